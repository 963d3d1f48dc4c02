"""The compiled steady state agrees with NumPy's and JAX's, and no column depends on its neighbours."""

import numpy as np
import pytest
from columns import any_columns, any_months, drawn_columns, seasonal_columns
from hypothesis import given

from proda.errors import InputError
from proda.kernels.steady_state import soc_density as compiled_density
from proda.model.configuration import CESM2, CESM2_AS_PUBLISHED, PAPER
from proda.model.parameters import MAXPSI
from proda.model.solver import soc_density, steady_state


@given(any_columns())
def test_the_compiled_model_agrees_with_numpy_anywhere(columns):
    density = soc_density(steady_state(*columns))
    np.testing.assert_allclose(compiled_density(*columns), density, rtol=1e-10, atol=1e-200)


@pytest.mark.parametrize("configuration", [CESM2, CESM2_AS_PUBLISHED], ids=lambda c: c.bottom)
@given(columns=any_months())
def test_the_compiled_model_agrees_with_numpy_by_month(configuration, columns):
    density = soc_density(steady_state(*columns, configuration))
    np.testing.assert_allclose(compiled_density(*columns, configuration), density, rtol=1e-10, atol=1e-200)


@pytest.mark.parametrize("configuration", [PAPER, CESM2, CESM2_AS_PUBLISHED], ids=lambda c: f"{c.name} {c.bottom}")
@pytest.mark.parametrize("cuts", [[1], [16], [5, 20], list(range(1, 37))], ids=str)
def test_the_result_of_a_column_does_not_depend_on_its_neighbours(configuration, cuts):
    theta, forcing = drawn_columns(37, seed=3) if configuration is PAPER else seasonal_columns(37, seed=3)
    parts = np.split(np.arange(37), cuts)
    apart = [compiled_density(theta[:, part], forcing.take(part), configuration) for part in parts]
    np.testing.assert_array_equal(np.concatenate(apart, axis=1), compiled_density(theta, forcing, configuration))


def test_at_the_end_of_its_range_maxpsi_limits_all_but_saturated_soil():
    theta, forcing = drawn_columns(4)
    theta[MAXPSI], almost = 0.0, theta.copy()
    almost[MAXPSI] = -1e-300
    soc = soc_density(steady_state(theta, forcing))
    np.testing.assert_allclose(soc, soc_density(steady_state(almost, forcing)), rtol=1e-12)
    np.testing.assert_allclose(compiled_density(theta, forcing), soc, rtol=1e-10)


def test_columns_that_do_not_match_are_refused():
    theta, forcing = drawn_columns(4)
    for arguments in ((theta[:, :1], forcing), (theta, forcing.take([0])), (theta, forcing, CESM2)):
        with pytest.raises(InputError, match="theta has shape .* configuration takes"):
            compiled_density(*arguments)
