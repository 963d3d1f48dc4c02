"""The control without the soil model: what its outputs are, that forcing has no say, and that it learns."""

import jax
import numpy as np
from learnable import learnable
from test_soc_layer import as_inputs

from proda.learning.encoding import Encoding
from proda.learning.hybrid import HybridPlan, HybridTrainer
from proda.learning.soil_layer import GREATEST, LEAST, NodeCarbon
from proda.learning.training_data import at_layers


def test_its_first_outputs_are_the_logarithm_of_carbon_at_the_nodes():
    made = learnable(40)
    x = np.random.default_rng(1).random((40, 2, 25))
    found = np.asarray(NodeCarbon()(as_inputs(x, made.observed)))
    for member in range(2):
        at_nodes = LEAST * (GREATEST / LEAST) ** x[:, member, :10].T
        expected = at_layers(1000.0 * at_nodes, made.observed)
        np.testing.assert_allclose(found[:, member][made.observed.present], expected[made.observed.present], rtol=1e-4)


def test_neither_forcing_nor_the_other_outputs_have_a_say():
    made = learnable(8)
    x = np.random.default_rng(2).random((8, 1, 25))
    inputs = as_inputs(x, made.observed)
    other = np.concatenate([x[..., :10], 1.0 - x[..., 10:]], axis=-1)
    changed = [np.asarray(other, np.float32), inputs[1] * 0.0, *inputs[2:]]
    np.testing.assert_array_equal(NodeCarbon()(inputs), NodeCarbon()(changed))


def test_networks_learn_carbon_through_it():
    made = learnable(240, noise=0.05)
    encoding = Encoding.of(made.frame.iloc[:200], made.class_names)
    encoded = encoding.encoded(made.frame)
    plan = HybridPlan(2, 60, 32, 6e-3, dropout=0.0, soil_model=False)
    trainer = HybridTrainer(encoding.shape, made.observed.soc.shape[1], plan)
    rows = np.arange(240) < 200
    curve = trainer.trained({name: v[rows] for name, v in encoded.items()}, made.observed.take(rows), seed=1)
    # The made carbon follows from forcing too, of which this network is told nothing.
    assert curve["loss"].iloc[-1] < 0.2 * curve["loss"].iloc[0]
    with jax.enable_x64(True):
        told = trainer.soc({name: v[~rows] for name, v in encoded.items()}, made.observed.take(~rows)).mean(axis=1)
    held = made.observed.take(~rows)
    error, known = (told - held.soc)[held.present], held.soc[held.present]
    assert 1 - (error**2).sum() / ((known - known.mean()) ** 2).sum() > 0.5
