"""A source is summarised as it is, and a variable in another unit is refused with its remedy."""

import numpy as np
import pytest

from proda.data.findings import checked_unit, finding, findings_table
from proda.errors import InputError


def test_a_finding_counts_missing_values_and_gives_the_range_of_the_others():
    row = findings_table([finding("a run", "TSOI", "K", [280.0, np.nan, 290.0, 300.0])]).iloc[0]
    assert row[["values", "missing", "least", "middle", "greatest"]].tolist() == [4, 1, 280.0, 290.0, 300.0]
    assert np.isnan(finding("a run", "TSOI", "K", [np.nan]).least)


@pytest.mark.parametrize(
    ("unit", "expected", "result"),
    [
        ("gC/m^2/s", ("g C m-2 s-1",), "g C m-2 s-1"),
        ("Kelvin", ("K",), "K"),
        (None, ("1",), "1"),
        ("gC/m3/month", ("g C m-3 s-1", "g C m-3 month-1"), "g C m-3 month-1"),
    ],
)
def test_spellings_of_a_unit_are_known(unit, expected, result):
    assert checked_unit(unit, expected, "run.nc: X") == result


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("degC", "run.nc: TSOI is in 'degC', expected 'K'. Temperatures in degrees Celsius. Add 273.15, and set the"),
        (None, "run.nc: TSOI has no attribute 'units', expected 'K'"),
    ],
)
def test_another_unit_is_refused_and_never_converted(unit, message):
    with pytest.raises(InputError, match=message):
        checked_unit(unit, ("K",), "run.nc: TSOI")
