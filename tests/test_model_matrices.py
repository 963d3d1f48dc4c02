"""The matrices of the carbon balance equation: they conserve carbon, and the structured solution solves them."""

import numpy as np
import pytest
import xarray as xr
from columns import any_columns, drawn_columns
from hypothesis import given

from proda.model.configuration import PAPER_COLUMN
from proda.model.matrices import input_vector, labelled_matrices, mixing_matrix, system_matrix, transfer_matrix
from proda.model.parameters import PAPER_PARAMETERS
from proda.model.solver import POOLS, steady_state

POOL = {name: k for k, name in enumerate(POOLS)}
# Section 5 of the model specification: donor, receiver, parameter.
CASCADE = [("L1", "S1", "fl1s1"), ("L2", "S1", "fl2s1"), ("L3", "S2", "fl3s2"), ("S1", "S2", "fs1s2"),
           ("S1", "S3", "fs1s3"), ("S2", "S1", "fs2s1"), ("S2", "S3", "fs2s3"), ("S3", "S1", "fs3s1"),
           ("CWD", "L2", "fcwdl2")]  # fmt: skip


@pytest.fixture(scope="module")
def columns():
    theta, forcing = drawn_columns(4, seed=5, low=0.3, high=0.9)
    return theta, forcing._replace(active_layer=np.array([35.0, 1.0, 0.2, 0.0]))


@given(any_columns())
def test_mixing_moves_carbon_and_neither_makes_nor_loses_any(columns):
    v = mixing_matrix(*columns)
    weighted = PAPER_COLUMN.thickness[:, None, None] * v
    scale = np.abs(weighted).max(axis=(0, 1)) + 1e-300
    np.testing.assert_allclose(weighted.sum(axis=0) / scale, 0.0, atol=1e-15)


def test_labelled_matrices_give_the_balance_by_their_names(columns):
    theta, forcing = columns
    o = labelled_matrices(theta, forcing)
    assert {name: o[name].attrs["units"] for name in o.data_vars} == {
        "A": "1", "K": "day-1", "V": "day-1", "u": "g C m-3 day-1"
    }  # fmt: skip
    assert o["A"].sel(pool="S2", donor="S1").values.tolist() == theta[PAPER_PARAMETERS.index("fs1s2")].tolist()
    carbon = xr.DataArray(steady_state(theta, forcing), dims=("pool", "layer", "column"), coords={"pool": list(POOLS)})
    decayed = o["K"] * carbon
    received = o["A"].dot(decayed.rename(pool="donor"), dim="donor")
    mixed = o["V"].dot(carbon.rename(layer="neighbour"), dim="neighbour") * (o["pool"] != "CWD")
    change = o["u"] + received - mixed
    assert float(abs(change).max()) < 1e-13 * float(decayed.max())


def test_every_transfer_of_the_cascade_has_its_place_and_no_other(columns):
    theta, _ = columns
    a = transfer_matrix(theta)
    expected = np.repeat(-np.eye(7)[..., None], 4, axis=2)
    for donor, receiver, name in CASCADE:
        expected[POOL[receiver], POOL[donor]] = theta[PAPER_PARAMETERS.index(name)]
    expected[POOL["L3"], POOL["CWD"]] = 1.0 - theta[PAPER_PARAMETERS.index("fcwdl2")]
    np.testing.assert_array_equal(a, expected)


def test_the_structured_solution_leaves_no_residual(columns):
    theta, forcing = columns
    pools = np.moveaxis(steady_state(theta, forcing), -1, 0).reshape(4, 70)
    system, u = system_matrix(theta, forcing), input_vector(theta, forcing)
    residual = np.einsum("cij,cj->ci", system, pools) - u
    size = np.einsum("cij,cj->ci", np.abs(system), pools) + u
    assert (np.abs(residual) <= 1e-13 * size).all()
