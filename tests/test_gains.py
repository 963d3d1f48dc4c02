"""What one method has over another, and what the choice of land leaves open of it."""

import numpy as np
import pytest
import xarray as xr

from proda.errors import InputError
from proda.learning.cross_validation import efficiency_gains
from proda.learning.scores import scores
from proda.learning.splits import KINDS

N_BLOCKS, N_SITES, N_LAYERS = 40, 800, 3
BLOCK = np.arange(N_SITES) % N_BLOCKS


def compared(errors_of: dict[str, np.ndarray]) -> xr.Dataset:
    rng = np.random.default_rng(2)
    observed = rng.lognormal(2.0, 0.7, (N_SITES, N_LAYERS))
    observed[::5, 2] = np.nan
    soc = np.stack([[observed + errors] * 2 for errors in errors_of.values()])
    return xr.Dataset(
        {"soc": (("approach", "kind", "site", "layer"), soc), "observed": (("site", "layer"), observed)},
        coords={"approach": list(errors_of), "kind": list(KINDS)},
    )


def errors(sd: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, sd, (N_SITES, N_LAYERS))


def test_the_gain_is_the_difference_of_the_pooled_efficiencies():
    found = compared({"a": errors(1.0, 3), "b": errors(2.0, 4)})
    gains = efficiency_gains(found, "a", ["b"], BLOCK, seed=1)
    there = np.isfinite(found["observed"].values)
    a, b = (
        scores(found["observed"].values[there], found["soc"].sel(approach=name, kind=KINDS[0]).values[there])
        for name in "ab"
    )
    np.testing.assert_allclose(gains["gain"], a["efficiency"] - b["efficiency"], rtol=1e-9)
    assert list(gains["kind"]) == list(KINDS) and (gains["low"] > 0).all() and (gains["share"] == 1.0).all()


def test_methods_of_one_skill_are_not_told_apart():
    inside = [
        (gain.low < 0.0 < gain.high)
        for seed in range(20)
        for gain in efficiency_gains(
            compared({"a": errors(2.0, 100 + seed), "b": errors(2.0, 300 + seed)}), "a", ["b"], BLOCK, 1
        ).head(1).itertuples()
    ]  # fmt: skip
    assert np.mean(inside) >= 0.7


def test_errors_that_a_block_shares_widen_the_interval():
    shared = np.random.default_rng(7).normal(0.0, 2.0, N_BLOCKS)[BLOCK][:, None] + np.zeros((1, N_LAYERS))
    single = errors(2.0, 8)
    wide, narrow = (
        efficiency_gains(compared({"a": errors(2.0, 9), "b": other}), "a", ["b"], BLOCK, 1).iloc[0]
        for other in (shared, single)
    )
    assert wide["high"] - wide["low"] > 1.5 * (narrow["high"] - narrow["low"])


def test_an_unknown_method_and_a_single_block_are_told():
    found = compared({"a": errors(1.0, 3), "b": errors(2.0, 4)})
    with pytest.raises(InputError, match="no method 'c' was compared"):
        efficiency_gains(found, "a", ["c"], BLOCK, 1)
    with pytest.raises(InputError, match=r"1 block\(s\)"):
        efficiency_gains(found, "a", ["b"], np.zeros(N_SITES), 1)
