"""Published pedotransfer functions give the values of their papers; measured stocks pass through untouched."""

import numpy as np
import pandas as pd
import pytest

from proda.data.bulk_density import COARSEST_SD, PEDOTRANSFER, RULES, estimated_density, soc_density, with_soc_density
from proda.data.tables import ProfileTables
from proda.errors import InputError
from proda.study import ALLOWED


def layers(**columns) -> ProfileTables:
    n = len(next(iter(columns.values())))
    default = {
        "soc": np.nan, "organic_carbon": np.nan, "bulk_density": np.nan, "bulk_density_method": None,
        "coarse_fraction": np.nan, "litter": False,
    }  # fmt: skip
    return ProfileTables(pd.DataFrame(), pd.DataFrame(default | columns, index=range(n)))


# Worked by hand from the equations as published: carbon in percent for the regressions, organic matter = 1.724 carbon.
@pytest.mark.parametrize(
    ("rule", "carbon", "density"),
    [
        ("manrique-jones-1991", 10.0, 1.660 - 0.318),
        ("manrique-jones-1991", 40.0, 1.660 - 0.636),
        ("hossain-2015", 0.0, 1.393),
        ("hossain-2015", 100.0, 0.071 + 1.322 * 0.491644),
        ("adams-1973", 0.0, 1.64),
        ("adams-1973", 58.0, 100 / (10 / 0.244 + 90 / 1.64)),
        ("adams-1973", 580.0, 0.244),
        ("perie-ouimet-2008", 0.0, 1.767),
        ("perie-ouimet-2008", 580.0, 0.111),
        ("perie-ouimet-2008", 58.0, 0.111 * 1.767 / (0.1 * 1.767 + 0.9 * 0.111)),
    ],
)
def test_a_function_gives_its_published_value(rule, carbon, density):
    assert estimated_density([carbon], rule)[0][0] == pytest.approx(density, rel=1e-4)


@pytest.mark.parametrize("rule", PEDOTRANSFER)
def test_density_falls_with_carbon_stays_positive_and_its_error_is_known_wherever_it_is(rule):
    density, sd = estimated_density(np.linspace(0, 580, 200), rule)
    known = np.isfinite(density)
    assert (np.diff(density[known]) <= 0).all() and (density[known] > 0.05).all()
    assert ((sd[known] > 0.1) & (sd[known] < 1)).all()
    assert np.isnan(sd[~known]).all()


def test_a_function_for_mineral_soil_gives_no_density_of_peat():
    density, _ = estimated_density([120.0, 121.0, np.nan, -1.0], "manrique-jones-1991")
    assert np.isfinite(density).tolist() == [True, False, False, False]


def test_an_unknown_function_lists_the_known_ones():
    with pytest.raises(InputError, match="'adams' *, expected one of: none, adams-1973"):
        estimated_density([1.0], "adams")


def test_the_setting_allows_what_the_package_has():
    assert ALLOWED["bulk_density_rule"] == RULES


def test_carbon_by_volume_of_a_known_soil():
    # 2 % carbon, 1.3 g cm-3 and a quarter of stones: 20 g kg-1 x 1300 kg m-3 x 0.75
    assert soc_density([20.0], [1.3], [0.25])[0] == pytest.approx(19_500)
    assert soc_density([20.0], [1.3], [np.nan])[0] == pytest.approx(26_000)


def test_a_reported_stock_passes_through_and_only_what_is_missing_is_estimated():
    tables = layers(
        soc=[5e3, np.nan, np.nan, np.nan],
        organic_carbon=[10.0, 10.0, 10.0, np.nan],
        bulk_density=[np.nan, 1.5, np.nan, np.nan],
    )
    result = with_soc_density(tables, "manrique-jones-1991").layers
    np.testing.assert_allclose(result["soc"], [5e3, 15e3, 10 * 1342.0, np.nan])
    assert result["density_relative_sd"].tolist() == [0, 0, 0.18, 0]
    assert result["density_source"].tolist() == [
        "as reported", "measured bulk density", "estimated (manrique-jones-1991)", "",
    ]  # fmt: skip


def test_nothing_is_estimated_with_the_rule_none():
    result = with_soc_density(layers(organic_carbon=[10.0])).layers
    assert result["soc"].isna().all() and (result["density_relative_sd"] == 0).all()


def test_an_estimate_of_the_source_carries_the_error_of_its_function():
    tables = layers(soc=[2e3] * 3, organic_carbon=[10.0] * 3, bulk_density=[1.4] * 3)
    tables.layers["bulk_density_method"] = ["ptf_adams", "measured_field", "ptf_hossain"]
    assert with_soc_density(tables).layers["density_relative_sd"].tolist() == [0.13, 0, 0.26]


def test_an_estimate_beyond_what_its_function_was_made_for_is_not_taken_for_a_measurement():
    """The function of Manrique and Jones has no peat."""
    tables = layers(soc=[6e4], organic_carbon=[300.0], bulk_density=[0.2])
    tables.layers["bulk_density_method"] = "ptf_manrique"
    assert with_soc_density(tables).layers["density_relative_sd"].tolist() == [COARSEST_SD] and COARSEST_SD == 0.68


def test_layers_are_marked_as_mineral_organic_litter_or_unknown():
    tables = layers(organic_carbon=[119.0, 120.0, 400.0, np.nan], litter=[False, False, True, False])
    assert with_soc_density(tables).layers["kind"].tolist() == ["mineral", "organic", "litter", "unknown"]


def test_the_error_of_a_density_that_a_source_estimated_is_carried_where_it_gives_no_carbon_by_mass():
    carbon = np.array([5.0, 60.0, 300.0])  # g kg-1, one of each class of relative error
    density, error = estimated_density(carbon, "adams-1973")
    table = layers(soc=carbon * density * 1000, bulk_density_method="ptf of the archive")
    np.testing.assert_array_equal(with_soc_density(table).layers["density_relative_sd"], error)
    assert (with_soc_density(layers(soc=carbon * density * 1000)).layers["density_relative_sd"] == 0).all()
