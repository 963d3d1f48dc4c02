"""The virtual continent: covariates that belong together, forcing for the model, parameters within their bounds."""

import numpy as np
import pytest

from proda.data.covariates import PAPER_COVARIATES
from proda.data.region import Region, conterminous_land
from proda.data.virtual_continent import LEAST_WOODY, MARGIN, bioclimatic_variables, true_parameters, virtual_covariates
from proda.data.virtual_profiles import virtual_continent
from proda.model.configuration import CESM2, PAPER, validated
from proda.model.parameters import PAPER_PARAMETERS, cwd_share

SEED = 20200017
CONTERMINOUS_US = Region("", conterminous_land(), 0.5)


def test_the_continent_has_half_degree_cells_with_sixty_covariates_and_forcing():
    continent = virtual_continent(CONTERMINOUS_US, SEED, PAPER)
    seasonal = virtual_continent(CONTERMINOUS_US, SEED, CESM2)
    assert len(continent.cells) == pytest.approx(3370, abs=10)
    assert tuple(continent.covariates) == PAPER_COVARIATES
    assert np.isfinite(continent.covariates.to_numpy()).all()
    validated(continent.forcing)
    monthly = validated(seasonal.forcing, CESM2)
    np.testing.assert_allclose(monthly.annual_input, continent.forcing.npp_mean)
    swing = np.ptp(monthly.soil_temperature, axis=1)
    assert (np.diff(swing, axis=0) < 0).all() and swing[0].min() > 5.0 and swing[-1].max() < 1.0
    for depth in ("0cm", "30cm", "100cm"):
        parts = continent.covariates[[f"{name}_Content_{depth}" for name in ("Sand", "Silt", "Clay")]]
        np.testing.assert_allclose(parts.sum(axis=1), 100.0)


def test_a_place_has_the_same_covariates_whoever_else_is_asked_for():
    lon, lat = np.array([-110.3, -85.2, -75.9]), np.array([44.1, 33.3, 42.2])
    together = virtual_covariates(lon, lat, SEED)
    alone = virtual_covariates(lon[1:2], lat[1:2], SEED)
    np.testing.assert_allclose(alone.iloc[0], together.iloc[1], rtol=1e-12)


def test_every_true_site_has_carbon_left_for_woody_debris():
    n = 3000
    covariates = virtual_covariates(np.linspace(-120.0, -75.0, n), np.linspace(33.0, 47.0, n), seed=3)
    # Noise that asks for nearly all of each litter share, at one site in two.
    noise = np.where(np.arange(n) % 2, 5.0, 0.0) * np.ones((25, 1))
    x = true_parameters(covariates, PAPER_PARAMETERS, noise)
    assert ((x >= MARGIN) & (x <= 1.0 - MARGIN)).all()
    low, high = PAPER_PARAMETERS.minimum[:, None], PAPER_PARAMETERS.maximum[:, None]
    shares = cwd_share(low + x * (high - low))
    np.testing.assert_allclose(shares[1::2].min(), LEAST_WOODY, rtol=1e-10)
    assert (shares[::2] > LEAST_WOODY).all()


def test_bioclimatic_variables_of_a_made_year_are_those_of_their_definitions():
    month = np.arange(12)[:, None]
    temperature = 10.0 - 10.0 * np.cos(2 * np.pi * month / 12)  # coldest in January, warmest in July
    rain = np.where(month < 3, 100.0, 10.0)  # wettest quarter: January to March
    bio = bioclimatic_variables(temperature, rain, np.array([8.0]))
    expected = {1: 10.0, 5: 24.0, 6: -4.0, 7: 28.0, 8: temperature[:3].mean(), 11: temperature[[11, 0, 1]].mean()}
    expected |= {12: 390.0, 16: 300.0, 18: 30.0, 19: 210.0}
    for i, value in expected.items():
        assert bio[f"BIO{i}"].item() == pytest.approx(value)
