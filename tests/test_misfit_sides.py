"""What over- and under-estimates cost under a standard deviation that is a share of the observation."""

import numpy as np
import pandas as pd
import pytest

from proda.kernels.misfit import layer_weights
from proda.maps.published_variants import misfit_by_sign, most_for_too_little


@pytest.fixture
def layers(rng):
    return pd.DataFrame({
        "site": np.repeat(np.arange(50), 4),
        "depth": np.tile([0.05, 0.2, 0.5, 1.1], 50),
        "soc": rng.lognormal(9, 1, 200),
    })  # fmt: skip


def test_no_carbon_at_all_is_the_most_that_too_little_can_cost(layers, rng):
    observed = layers["soc"].to_numpy()
    modelled = {"none": 0 * observed, "little": observed * rng.uniform(0.01, 1, 200), "three times": 3 * observed}
    found = misfit_by_sign(layers, modelled, np.ones(50, bool), 0.3)
    limit = most_for_too_little(0.3) * layer_weights(layers["site"], layers["depth"]).mean()
    assert most_for_too_little(0.3) == pytest.approx(1 / 0.18)
    assert found.loc["none", "misfit, too low"] == pytest.approx(limit)
    assert 0 < found.loc["little", "misfit, too low"] < limit
    assert found.loc["three times", "misfit, too high"] == pytest.approx(4 * limit)


def test_the_sides_add_up_to_the_misfit_of_the_assimilation(layers, rng):
    observed = layers["soc"].to_numpy()
    modelled = observed * rng.lognormal(0, 0.5, 200)
    found = misfit_by_sign(layers, {"any": modelled}, np.ones(50, bool), 0.3).loc["any"]
    weight = layer_weights(layers["site"], layers["depth"])
    expected = np.mean(weight * (modelled - observed) ** 2 / (2 * (0.3 * observed) ** 2))
    assert found["misfit, too high"] + found["misfit, too low"] == pytest.approx(expected)
    assert found["misfit"] == pytest.approx(expected)
    assert found["layers too high (%)"] == pytest.approx(100 * (modelled > observed).mean())


def test_one_value_for_sites_that_differ_is_drawn_below_their_median(layers):
    observed = layers["soc"].to_numpy()
    values = np.quantile(observed, np.linspace(0.01, 0.99, 99))
    same = {f"{value:.3f}": np.full(200, value) for value in values}
    best = misfit_by_sign(layers, same, np.ones(50, bool), 0.3)["misfit"].idxmin()
    assert float(best) < 0.5 * np.median(observed)
