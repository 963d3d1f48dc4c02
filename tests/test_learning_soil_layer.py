"""The soil model as a layer of a network: the model's carbon, with derivatives, finite in every corner; the control."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from columns import temperate
from learnable import learnable

from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.learning.hybrid import ABSENT, layer_loss
from proda.learning.soil_layer import (
    GREATEST,
    LEAST,
    NodeCarbon,
    SoilCarbon,
    carbon_at_layers,
    node_carbon_at_layers,
    physical_on_jax,
    soc_on_jax,
)
from proda.learning.training_data import at_layers, packed_forcing, unpacked_forcing
from proda.model.observation import at_depths
from proda.model.parameters import INNER, SHARES, cwd_share, physical


def as_inputs(x, sites):
    return [jnp.asarray(x, jnp.float32), sites.forcing, sites.interval, sites.weight]


def test_the_layer_gives_the_models_carbon_at_every_depth_for_every_member():
    made = learnable(60)
    rng = np.random.default_rng(1)
    x = rng.uniform(0.05, 0.95, (60, 3, 25))
    x[..., list(SHARES)] *= 0.6
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(SoilCarbon())(as_inputs(x, made.observed)))
    assert found.dtype == np.float32
    site, at = np.nonzero(made.observed.present)
    for member in range(3):
        soc = lanes.soc_density(physical(x[:, member].T, made.observed.columns), made.observed.columns)
        expected = at_depths(soc, site, made.observed.depth[site, at]) / 1000.0
        np.testing.assert_allclose(found[site, member, at], expected, rtol=2e-6)
        np.testing.assert_allclose(carbon_at_layers(x[:, member], made.observed)[site, at], expected, rtol=1e-6)


def test_its_derivatives_are_those_of_the_model_in_double_precision():
    made = learnable(12)
    x = np.random.default_rng(2).uniform(0.1, 0.6, (12, 25))
    with jax.enable_x64(True):
        forcing = unpacked_forcing(jnp.asarray(made.observed.forcing.T, jnp.float64))
        direction = np.random.default_rng(3).standard_normal((25, 12))
        carbon = jax.jit(lambda y: soc_on_jax(y, forcing))
        exact = np.asarray(jax.jvp(carbon, (x.T,), (direction,))[1])
        step = 1e-6
        ahead, behind = (np.asarray(carbon(x.T + sign * step * direction)) for sign in (1, -1))
    np.testing.assert_allclose(exact, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6)


def test_carbon_and_gradient_are_finite_at_the_corners_of_the_box():
    n = 256
    made = learnable(n)
    x = np.random.default_rng(4).choice([INNER, 1.0 - INNER], (n, 1, 25)).astype(np.float32)
    loss, layer = layer_loss(60.0), SoilCarbon()
    observed = np.where(made.observed.present, made.observed.soc, ABSENT)
    with jax.enable_x64(True):
        _, *rest = as_inputs(x, made.observed)

        def loss_and_carbon(y):
            soc = layer([y, *rest])
            return loss(observed, soc), soc

        gradient, soc = jax.jit(jax.grad(loss_and_carbon, has_aux=True))(x)
    assert np.isfinite(soc).all() and (np.asarray(soc) >= 0).all()
    assert np.isfinite(gradient).all() and (np.abs(gradient).max(axis=(1, 2)) > 0).mean() > 0.9


def test_it_refuses_32_bits_in_which_a_corner_would_spoil_the_batch():
    made = learnable(4)
    with pytest.raises(InputError, match="needs 64 bits"):
        SoilCarbon().call(as_inputs(np.full((4, 1, 25), 0.5), made.observed))


def test_parameters_on_jax_leave_a_share_to_woody_debris():
    x = np.full((25, 5), 0.99, np.float32)
    theta = np.asarray(physical_on_jax(x, unpacked_forcing(jnp.asarray(packed_forcing(temperate(5)).T))))
    assert (cwd_share(theta) > 0).all()
    fine = np.full((25, 5), 0.3)
    forcing = temperate(5)
    np.testing.assert_allclose(
        physical_on_jax(fine.astype(np.float32), unpacked_forcing(jnp.asarray(packed_forcing(forcing).T))),
        physical(fine, forcing), rtol=1e-5,
    )  # fmt: skip


def test_the_first_outputs_of_the_control_are_the_logarithm_of_carbon_at_the_nodes():
    made = learnable(40)
    x = np.random.default_rng(1).random((40, 2, 25))
    found = np.asarray(NodeCarbon()(as_inputs(x, made.observed)))
    for member in range(2):
        at_nodes = LEAST * (GREATEST / LEAST) ** x[:, member, :10].T
        expected = at_layers(1000.0 * at_nodes, made.observed)
        np.testing.assert_allclose(found[:, member][made.observed.present], expected[made.observed.present], rtol=1e-4)
        np.testing.assert_allclose(node_carbon_at_layers(x[:, member], made.observed), expected, rtol=1e-9)


def test_neither_forcing_nor_the_other_outputs_matter_to_the_control():
    made = learnable(8)
    x = np.random.default_rng(2).random((8, 1, 25))
    inputs = as_inputs(x, made.observed)
    other = np.concatenate([x[..., :10], 1.0 - x[..., 10:]], axis=-1)
    changed = [np.asarray(other, np.float32), inputs[1] * 0.0, *inputs[2:]]
    np.testing.assert_array_equal(NodeCarbon()(inputs), NodeCarbon()(changed))
