"""How far profiles constrain parameters: derivatives, Fisher information and directions, against known truths."""

import numpy as np
import pytest
from columns import misfit, seasonal_forcing, temperate

from proda.errors import InputError
from proda.kernels.misfit import layer_weights, misfit_forms
from proda.model.configuration import CESM2, PAPER
from proda.model.observation import at_depths, layer_operator
from proda.model.parameters import EFOLDING, MAXPSI, SHARES, TAU_CWD, TAU_S3, physical
from proda.model.sensitivity import fisher_information, linear_posterior, soc_jacobian, stock_elasticity
from proda.model.solver import soc_density, steady_state

N = 6
DEPTH = np.array([0.02, 0.2, 0.5, 0.9, 1.4])
SITE, LAYER = np.repeat(np.arange(N), DEPTH.size), np.tile(DEPTH, N)
CONFIGURATIONS = pytest.mark.parametrize("configuration", [PAPER, CESM2], ids=lambda configuration: configuration.name)


def columns(configuration):
    """Parameters away from the prior bounds, (n_parameters, N), and forcing."""
    x = np.random.default_rng(4).uniform(0.3, 0.7, (len(configuration.parameters), N))
    if configuration.monthly:
        return x, seasonal_forcing(N)
    x[list(SHARES)] *= 0.6
    return x, temperate(N)


def density(x, forcing, configuration):
    return soc_density(steady_state(physical(x, forcing, configuration.parameters), forcing, configuration))


def observed(x, forcing, configuration):
    return at_depths(density(x, forcing, configuration), SITE, LAYER, configuration.column)


def stock_to_1_m(x, forcing, configuration):
    column = configuration.column
    share = np.clip(np.minimum(column.bottom, 1.0) - column.top, 0.0, None)[:, None]
    if configuration.monthly:
        share = share * (np.arange(column.n_layers)[:, None] < forcing.bedrock)
    return (share * density(x, forcing, configuration)).sum(axis=0)


def differences(function, x, h=1e-4):
    """Fourth-order central differences of `function`, (n_parameters, ...)."""
    unit = np.eye(len(x))[:, :, None] * h
    return np.array([
        (8.0 * (function(x + step) - function(x - step)) - (function(x + 2.0 * step) - function(x - 2.0 * step)))
        / (12.0 * h)
        for step in unit
    ])  # fmt: skip


@CONFIGURATIONS
def test_the_jacobian_of_observed_layers_is_that_of_differences(configuration):
    x, forcing = columns(configuration)
    result = soc_jacobian(x, forcing, SITE, LAYER, configuration)
    np.testing.assert_allclose(result.value, observed(x, forcing, configuration), rtol=1e-12)
    expected = differences(lambda x: observed(x, forcing, configuration), x).T
    scale = np.abs(expected).max(axis=1, keepdims=True)
    assert (
        result.derivative.shape == (SITE.size, len(x)) and (np.abs(result.derivative - expected) < 1e-8 * scale).all()
    )


@CONFIGURATIONS
def test_the_elasticity_of_the_stock_is_that_of_differences_of_its_logarithm(configuration):
    x, forcing = columns(configuration)
    expected = differences(lambda x: np.log(stock_to_1_m(x, forcing, configuration)), x)
    np.testing.assert_allclose(stock_elasticity(x, forcing, configuration), expected, rtol=1e-8, atol=1e-9)


@CONFIGURATIONS
def test_the_fisher_information_is_the_curvature_of_the_misfit_at_a_perfect_fit(configuration):
    """Where the residuals vanish, the second derivative of Phi (Eq. 5.2) is J' W J exactly."""
    x, forcing = columns(configuration)
    truth, weight = observed(x, forcing, configuration), layer_weights(SITE, LAYER)
    forms = misfit_forms(SITE, N, layer_operator(LAYER, LAYER, configuration.column), truth, weight, 0.3 * truth)
    jacobian = soc_jacobian(x, forcing, SITE, LAYER, configuration)
    fisher = fisher_information(jacobian.derivative, 0.3 * truth, weight, SITE, N)

    def phi(towards):
        return misfit(density(x + towards[:, None], forcing, configuration), forms, configuration.column)

    step = np.zeros(len(x))
    step[[EFOLDING, TAU_S3]] = 1e-3, -2e-3
    expected = np.einsum("p,pqn,q->n", step, fisher, step) / 2.0
    np.testing.assert_allclose((phi(step) + phi(-step)) / 2.0, expected, rtol=1e-3)


def test_the_posterior_of_a_linear_model_is_the_inverse_of_the_summed_precisions(rng):
    rows, sd = rng.normal(scale=3.0, size=(6, 4, 25)), rng.uniform(0.1, 0.3, 25)
    fisher = np.einsum("nip,niq->pqn", rows, rows)
    result = linear_posterior(fisher, sd)
    for i in range(6):
        covariance = np.linalg.inv(fisher[..., i] + np.diag(1.0 / sd**2))
        np.testing.assert_allclose(result.sd_ratio[:, i], np.sqrt(np.diag(covariance)) / sd, rtol=1e-10)
    assert (
        (result.sd_ratio <= 1.0 + 1e-12).all() and (result.n_constrained <= 4).all() and result.n_constrained.max() == 4
    )


@CONFIGURATIONS
def test_a_profile_constrains_fewer_directions_than_layers_and_never_the_turnover_of_woody_debris(configuration):
    x, forcing = columns(configuration)
    jacobian = soc_jacobian(x, forcing, SITE, LAYER, configuration)
    fisher = fisher_information(jacobian.derivative, 0.3 * jacobian.value, layer_weights(SITE, LAYER), SITE, N)
    result = linear_posterior(fisher)
    assert (result.n_constrained >= 1).all() and (result.n_constrained <= DEPTH.size).all()
    assert (result.information[DEPTH.size :] < 1e-9 * result.information[0]).all()
    np.testing.assert_allclose(result.sd_ratio[TAU_CWD], 1.0, rtol=1e-12)


def test_a_parameter_at_the_end_of_its_range_without_a_derivative_is_named():
    x, forcing = columns(PAPER)
    x[MAXPSI, 2] = 1.0
    with pytest.raises(InputError, match="in column 2, where maxpsi stands at an end.*INNER"):
        soc_jacobian(x, forcing, SITE, LAYER)


@pytest.mark.parametrize(
    ("site", "depth", "message"),
    [
        ([0, N], [0.1, 0.2], r"layer 1 lies at 0\.2 m of column 6, expected .* column from 0 to 5"),
        ([0, 1], [0.1, np.nan], "layer 1 lies at nan m"),
    ],
)
def test_layers_that_lie_nowhere_are_refused(site, depth, message):
    with pytest.raises(InputError, match=message):
        soc_jacobian(*columns(PAPER), np.array(site), depth)
