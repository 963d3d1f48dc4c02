"""The hybrid's error on withheld land is put beside its parameters, stratum by stratum."""

import numpy as np
import pytest
import xarray as xr

from proda.errors import InputError
from proda.learning.hybrid_training import HybridTraining, with_error_on_blocks
from proda.learning.splits import BLOCKS

N = 600
CELL, BLOCK = np.arange(N) // 2, np.arange(N) // 30


def compared(depths=(0.1, 0.5, 1.5), sd: float = 0.4, seed: int = 3) -> xr.Dataset:
    """Predicted carbon 10 at three layers, observed with errors of cells of mean one."""
    rng = np.random.default_rng(seed)
    shape = (N, len(depths))
    observed = 10 * np.exp(sd * rng.standard_normal((N // 2, len(depths))) - sd**2 / 2)[CELL]
    observed *= np.exp(0.2 * rng.standard_normal(shape) - 0.02)
    return xr.Dataset(
        {
            "soc": (("approach", "kind", "site", "layer"), np.full((1, 1, *shape), 10.0)),
            "observed": (("site", "layer"), observed),
            "depth": (("site", "layer"), np.broadcast_to(depths, shape)),
            "hybrid_log_sd": (("site", "layer"), np.full(shape, 0.05)),
        },
        coords={"approach": ["hybrid"], "kind": [BLOCKS]},
    )


def told(found: xr.Dataset) -> xr.Dataset:
    return with_error_on_blocks(HybridTraining(None, None, xr.Dataset()), found, CELL, BLOCK, seed=1).parameters


def test_every_stratum_has_its_error_and_coverage():
    error = told(compared())
    np.testing.assert_allclose(np.sqrt(error["unseen_log_variance"]), 0.45, atol=0.08)
    assert (np.sqrt(error["common_log_variance"]) < 0.08).all() and (error["coverage"] > 0.8).all()
    assert list(error["stratum"].values) == ["0-30 cm", "30-100 cm", "100-200 cm"]


def test_where_no_profile_goes_so_deep_the_stratum_above_has_to_do():
    error = told(compared((0.1, 0.2, 0.5)))
    assert error["unseen_log_variance"][2] == error["unseen_log_variance"][1]
    assert error["common_log_variance"][2] == error["common_log_variance"][1]
    assert np.isnan(error["coverage"][2]) and np.isfinite(error["coverage"][:2]).all()


def test_without_layers_at_the_top_there_is_nothing_to_tell():
    with pytest.raises(InputError, match="0 withheld sites"):
        told(compared((0.5, 0.6, 1.5)))
