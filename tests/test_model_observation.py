"""The curve from layers to observed depths, against SciPy's monotone interpolation."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.interpolate import PchipInterpolator

from proda.model.configuration import PAPER_COLUMN
from proda.model.observation import at_depths, curve_weights, layer_means

NODE = PAPER_COLUMN.node
DENSITY = st.one_of(st.floats(1e-3, 1e5), st.sampled_from([0.0, 1.0, 1000.0]))
DEPTHS = np.concatenate([np.linspace(0.0, 3.8, 60), NODE, 0.5 * (NODE[1:] + NODE[:-1])])


def by_scipy(profile, depth):
    return PchipInterpolator(NODE, profile)(np.clip(depth, NODE[0], NODE[-1]))


@given(arrays(float, 10, elements=DENSITY))
def test_it_is_scipys_monotone_curve_for_any_profile(profile):
    values = at_depths(profile[:, None], np.zeros(DEPTHS.size, int), DEPTHS)
    np.testing.assert_allclose(values, by_scipy(profile, DEPTHS), rtol=1e-11, atol=1e-12 * profile.max() + 1e-300)


def test_each_depth_is_read_from_its_own_column(rng):
    profiles = rng.lognormal(8.0, 1.0, (10, 6))
    column, depth = rng.integers(6, size=40), rng.uniform(0.0, 3.8, 40)
    expected = [by_scipy(profiles[:, c], z) for c, z in zip(column, depth, strict=True)]
    np.testing.assert_allclose(at_depths(profiles, column, depth), expected, rtol=1e-12)


def test_the_weights_of_a_depth_are_those_of_a_cubic_hermite_curve():
    """A cubic is its own Hermite curve: values and slopes at two nodes give it back exactly."""
    cubic = np.polynomial.Polynomial([4.0, -3.0, 2.0, 0.5])
    interval, weight = curve_weights(DEPTHS)
    below = interval + 1
    slopes = cubic.deriv()(NODE)
    values = np.stack([cubic(NODE)[interval], cubic(NODE)[below], slopes[interval], slopes[below]])
    inside = np.clip(DEPTHS, NODE[0], NODE[-1])
    np.testing.assert_allclose((weight * values).sum(axis=0), cubic(inside), rtol=1e-12)


@given(arrays(float, 10, elements=DENSITY), st.floats(0.0, 3.5), st.floats(1e-3, 3.8))
def test_the_mean_of_a_layer_is_the_integral_of_scipys_curve(profile, upper, thickness):
    lower, curve = min(upper + thickness, 3.8), PchipInterpolator(NODE, profile)
    # Constant beyond the end nodes.
    inside, above = np.clip([upper, lower], NODE[0], NODE[-1]), min(lower, NODE[0]) - upper
    integral = curve.integrate(*inside) + max(above, 0.0) * profile[0]
    integral += max(lower - max(upper, NODE[-1]), 0.0) * profile[-1]
    mean = layer_means(profile[:, None], [0], [upper], [lower])[0]
    np.testing.assert_allclose(mean, integral / (lower - upper), rtol=1e-8, atol=1e-8 * profile.max())


def test_adjacent_layers_hold_what_they_hold_together_and_a_depth_is_a_layer_without_thickness(rng):
    profiles, bounds = rng.lognormal(8.0, 1.0, (10, 5)), np.array([0.0, 0.15, 0.5, 1.3, 2.9, 3.8])
    column = np.repeat(np.arange(5), 5)
    upper, lower = np.tile(bounds[:-1], 5), np.tile(bounds[1:], 5)
    parts = (layer_means(profiles, column, upper, lower) * (lower - upper)).reshape(5, 5).sum(axis=1)
    whole = layer_means(profiles, np.arange(5), np.zeros(5), np.full(5, 3.8)) * 3.8
    np.testing.assert_allclose(parts, whole, rtol=1e-12)
    np.testing.assert_allclose(
        layer_means(profiles, column, upper, upper), at_depths(profiles, column, upper), rtol=1e-12
    )
