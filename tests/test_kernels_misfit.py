"""The misfit of a profile: its weights, its quadratic form against the direct sum, and its compiled form."""

import numpy as np
import pytest
from columns import misfit
from scipy.interpolate import PchipInterpolator

from proda.compiled import kept_compiled
from proda.kernels.misfit import block_misfit, first_partners, layer_weights, misfit_forms
from proda.kernels.simd import BLOCK_WIDTH, store
from proda.kernels.steady_state import block_grid, to_blocks
from proda.model.configuration import PAPER_COLUMN
from proda.model.observation import layer_means, layer_operator

NODE = PAPER_COLUMN.node


@kept_compiled
def fill_misfit(soc, forms, first, grid, n, values, out):
    for block in range(soc.shape[0]):
        store(out, block, block_misfit(soc[block], forms[block], first, grid, n, values))


def compiled_misfit(soc, forms):
    blocks, form_blocks = to_blocks(soc), to_blocks(forms)
    out, n = np.empty(blocks.shape[0] * BLOCK_WIDTH), PAPER_COLUMN.n_layers
    first, values = first_partners(forms, 2 * n), np.empty(2 * n * BLOCK_WIDTH)
    fill_misfit(blocks, form_blocks, first, block_grid(), n, values, out)
    return out[: soc.shape[1]]


def directly(soc, target, depth, observed, weight, relative_sd):
    """Eq. 5.2, an observation at a time."""
    phi = np.zeros(soc.shape[1])
    for i, z, x, w in zip(target, depth, observed, weight, strict=True):
        modelled = PchipInterpolator(NODE, soc[:, i])(np.clip(z, NODE[0], NODE[-1]))
        phi[i] += w * (modelled - x) ** 2 / (2.0 * (relative_sd * x) ** 2)
    return phi


@pytest.fixture
def observed(rng):
    """Observations of 37 targets, from none to twelve each, some above and below all nodes: target, depth, density."""
    target = np.repeat(np.arange(37), rng.integers(0, 13, 37))
    return target, rng.uniform(0.0, 3.8, target.size), rng.lognormal(8.0, 1.0, target.size)


@pytest.fixture
def profiles(rng):
    """Any shape: some falling, some turning at every node, some flat between nodes."""
    soc = rng.lognormal(8.0, 1.5, (10, 37))
    soc[:, :12] = np.sort(soc[:, :12], axis=0)[::-1]
    soc[4, 20:25] = soc[3, 20:25]
    soc[:, 36] = 1000.0
    return soc


def test_weights_decay_with_depth_between_the_ends_of_a_profile():
    site, depth = [0] * 4, [0.05, 0.3, 0.8, 1.5]
    np.testing.assert_allclose(layer_weights(site, depth), [10.0, np.exp(-0.3), np.exp(-0.8), 10.0], rtol=1e-15)


def test_each_profile_has_one_shallowest_and_one_deepest_layer_even_where_depths_are_equal():
    weights = layer_weights([0] * 4, [0.2, 0.2, 0.2, 0.2])
    assert sorted(weights) == pytest.approx([np.exp(-0.2)] * 2 + [10.0] * 2)
    assert (layer_weights([0, 0], [0.2, 0.2]) == 10.0).all()


@pytest.mark.parametrize("relative_sd", [0.3, 0.6])
def test_the_quadratic_form_is_the_direct_sum(observed, profiles, relative_sd):
    target, depth, density = observed
    weight = layer_weights(target, depth)
    forms = misfit_forms(target, 37, layer_operator(depth, depth), density, weight, relative_sd * density)
    expected = directly(profiles, target, depth, density, weight, relative_sd)
    np.testing.assert_allclose(misfit(profiles, forms), expected, rtol=1e-10, atol=1e-10 * expected.max())


def test_the_compiled_misfit_is_that_of_numpy(observed, profiles):
    target, depth, density = observed
    forms = misfit_forms(target, 37, layer_operator(depth, depth), density, layer_weights(target, depth), 0.3 * density)
    expected = misfit(profiles, forms)
    np.testing.assert_allclose(compiled_misfit(profiles, forms), expected, rtol=1e-11, atol=1e-11 * expected.max())


def test_the_misfit_of_layer_means_is_the_direct_sum_whatever_layers_they_span(observed, profiles, rng):
    target, upper, density = observed
    lower = upper + rng.choice([0.02, 0.3, 2.5], upper.size)
    forms = misfit_forms(target, 37, layer_operator(upper, lower), density, np.ones(upper.size), 0.3 * density)
    error = (layer_means(profiles, target, upper, lower) - density) / (0.3 * density)
    expected = np.bincount(target, 0.5 * error**2, 37)
    np.testing.assert_allclose(compiled_misfit(profiles, forms), expected, rtol=1e-10, atol=1e-10 * expected.max())


def test_forms_of_profiles_that_share_a_column_add_up(observed, profiles, rng):
    target, depth, density = observed
    weight = layer_weights(target, depth)
    single = misfit_forms(target, 37, layer_operator(depth, depth), density, weight, 0.3 * density)
    shared = misfit_forms(np.zeros_like(target), 1, layer_operator(depth, depth), density, weight, 0.3 * density)
    np.testing.assert_allclose(single.sum(axis=1, keepdims=True), shared, rtol=1e-12)
    soc = profiles[:, :1]
    everywhere = np.repeat(soc, 37, axis=1)
    assert misfit(soc, shared)[0] == pytest.approx(misfit(everywhere, single).sum(), rel=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_density_that_is_not_a_number_is_not_hidden(profiles, bad):
    operator = layer_operator([0.5, 0.5], [0.5, 0.5])
    forms = misfit_forms([0, 1], 37, operator, [1000.0, 1000.0], [10.0, 10.0], [300.0, 300.0])
    profiles[4, 0] = bad
    found = compiled_misfit(profiles, forms)
    assert not np.isfinite(found[0]) and np.isfinite(found[1:]).all()
