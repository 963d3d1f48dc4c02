"""Maps of any number of cells: the same as the half-degree map, whatever the chunks, and whole or not there at all."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic_study import small_results

from proda.data.forcing import VARIABLES
from proda.errors import InputError
from proda.maps.fine_grid import FixedDraws, MapDraws, NetworkDraws, fine_maps
from proda.maps.netcdf import BEYOND, LEVELS, SOC_CONTENT
from proda.maps.prediction import one_batch_draws, soc_of_draws
from proda.maps.stocks import land_area
from proda.model.configuration import PAPER_COLUMN
from proda.model.forcing import Forcing

HIGHEST = 0.9


def fine_source(n: int, seed: int = 5, gaps: bool = True) -> xr.Dataset:
    """Forcing of `n` cells with the variables and units of forcing.nc, covariates `wet` and `warm`, areas."""
    rng = np.random.default_rng(seed)
    npp = rng.uniform(100, 900, n)
    forcing = Forcing(
        soil_temperature=rng.uniform(265, 300, n) + 0.5 * np.arange(PAPER_COLUMN.n_layers)[:, None],
        water_potential=-rng.uniform(0.001, 5, (PAPER_COLUMN.n_layers, n)),
        active_layer=np.where(rng.random(n) < 0.2, rng.uniform(0, 4, n), 35.0),
        npp_mean=npp,
        npp_min=0.7 * npp,
        npp_max=1.3 * npp,
    )
    data = {
        name: (dims, getattr(forcing, field).copy(), {"units": attributes["units"]})
        for name, (field, dims, attributes) in VARIABLES[Forcing].items()
    }
    data |= {name: ("cell", rng.random(n)) for name in ("wet", "warm")}
    data |= {"cell_area": ("cell", rng.uniform(1e6, 2e6, n)), "land_fraction": ("cell", rng.uniform(0.1, 1, n))}
    if gaps:
        data["soil_temperature"][1][3, 4] = np.nan
        data["npp_mean"][1][9] = np.nan
        data["wet"][1][n // 2] = np.nan
    coords = {"lon": ("cell", rng.uniform(-120, -70, n)), "lat": ("cell", rng.uniform(25, 49, n))}
    return xr.Dataset(data, coords)


class Responding:
    """A predictor whose draws follow two covariates, trained up to `HIGHEST`; interrupts at call `breaks_at`."""

    covariates = ("wet", "warm")

    def __init__(self, n_draws: int, breaks_at: int | None = None) -> None:
        rng = np.random.default_rng(2)
        self.centre = rng.uniform(0.3, 0.6, (n_draws, 25, 1))
        self.slope = rng.uniform(-0.2, 0.2, (2, 1, 25, 1))
        self.calls, self.breaks_at = 0, breaks_at

    def __call__(self, covariates, forcing):
        self.calls += 1
        assert forcing is None or forcing.n_columns == len(covariates)
        if self.breaks_at is not None and self.calls >= self.breaks_at:
            raise KeyboardInterrupt
        wet, warm = covariates["wet"].to_numpy(), covariates["warm"].to_numpy()
        x = self.centre + self.slope[0] * wet + self.slope[1] * warm
        return MapDraws(x, (wet > HIGHEST).astype(float) + (warm > HIGHEST))


N = 150
STORED = (*(SOC_CONTENT + suffix for suffix in LEVELS.values()), BEYOND, "status")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The maps of `fine_source(N)` in one chunk by one thread."""
    path = tmp_path_factory.mktemp("whole") / "maps.zarr"
    return fine_maps(fine_source(N), Responding(12), path, chunk=N).load()


def same(found, expected):
    for name in STORED:
        np.testing.assert_array_equal(found[name].values, expected[name].values, err_msg=name)


@pytest.mark.parametrize(("n_draws", "configuration"), [(30, "paper"), (1, "paper"), (5, "cesm2")])
def test_on_the_cells_of_a_study_it_is_the_half_degree_map_of_draws(tmp_path, n_draws, configuration):
    inputs = small_results(configuration).inputs
    draws = one_batch_draws(inputs.one_batch, n_draws, seed=4)
    expected = soc_of_draws(draws, inputs.forcing, land_area(inputs.grid))["stock"]
    source = xr.Dataset({
        name: (dims, getattr(inputs.forcing, field), {"units": attributes["units"]})
        for name, (field, dims, attributes) in VARIABLES[type(inputs.forcing)].items()
    })  # fmt: skip
    found = fine_maps(source, FixedDraws(draws), tmp_path / "maps.zarr", chunk=37)
    for statistic, suffix in LEVELS.items() if n_draws > 1 else [("mean", "")]:
        np.testing.assert_allclose(found[SOC_CONTENT + suffix], expected.sel(statistic=statistic), rtol=3e-7)
    assert np.isnan(found[SOC_CONTENT + "_p50"]).all() == (n_draws == 1)


@pytest.mark.parametrize("chunk", [1, 7, 64, N + 5])
def test_chunks_do_not_change_a_bit(whole, tmp_path, chunk):
    same(fine_maps(fine_source(N), Responding(12), tmp_path / "maps.zarr", chunk=chunk), whole)


def test_dask_netcdf_and_zarr_sources_give_the_same(whole, tmp_path):
    source = fine_source(N)
    source.to_netcdf(tmp_path / "source.nc")
    source.chunk(cell=32).to_zarr(tmp_path / "source.zarr", consolidated=False)
    for name, given_source in {
        "netcdf": tmp_path / "source.nc",
        "zarr": tmp_path / "source.zarr",
        "dask": source.chunk(cell=40),
    }.items():
        same(fine_maps(given_source, Responding(12), tmp_path / f"{name}-maps.zarr", chunk=64), whole)


def test_cells_without_forcing_or_covariates_are_missing_and_counted_and_the_others_are_not(whole):
    assert whole["status"].values[[4, 9, N // 2]].tolist() == [1, 1, 2]
    assert np.isnan(whole[SOC_CONTENT].values[:, [4, 9, N // 2]]).all()
    others = np.delete(np.arange(N), [4, 9, N // 2])
    assert (whole["status"].values[others] == 0).all() and np.isfinite(whole[SOC_CONTENT].values[:, others]).all()


def test_every_cell_has_its_number_of_extrapolated_covariates(whole):
    source = fine_source(N)
    expected = (source["wet"] > HIGHEST).astype(float) + (source["warm"] > HIGHEST)
    known = whole["status"] == 0
    np.testing.assert_array_equal(whole["extrapolated"][known], expected[known])
    assert set(np.unique(expected[known])) == {0.0, 1.0, 2.0}
    assert np.isnan(whole["extrapolated"][~known]).all()
    assert whole[SOC_CONTENT].attrs["ancillary_variables"] == "extrapolated status"


def test_carbon_that_is_not_finite_is_missing_and_counted(tmp_path):
    draws = np.full((3, 25), 0.5)
    draws[1, 3] = 0.0  # an e-folding depth of zero has no steady state
    found = fine_maps(fine_source(20, gaps=False), FixedDraws(draws), tmp_path / "maps.zarr")
    assert (found["status"] == 3).all() and np.isnan(found[SOC_CONTENT]).all()


def test_an_interrupted_run_leaves_no_store_and_the_next_begins_anew(whole, tmp_path):
    path = tmp_path / "maps.zarr"
    with pytest.raises(KeyboardInterrupt):
        fine_maps(fine_source(N), Responding(12, breaks_at=6), path, chunk=20)
    assert not path.exists()
    same(fine_maps(fine_source(N), Responding(12), path, chunk=20), whole)
    assert [entry.name for entry in tmp_path.iterdir()] == ["maps.zarr"]


def test_a_store_or_folder_that_exists_is_left_alone(tmp_path):
    (tmp_path / "photographs").mkdir()
    with pytest.raises(InputError, match="photographs exists: give another name"):
        fine_maps(fine_source(20), Responding(3), tmp_path / "photographs")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda source: source.rename(cell="place"), "expected dimensions"),
        (lambda source: source.drop_vars("npp_min"), "npp_min is missing"),
        (lambda source: source.drop_vars("warm"), "warm is missing"),
        (lambda source: source.assign(warm=source["soil_temperature"]), "warm has dimensions"),
        (lambda source: source.isel(layer=slice(7)), "7 layers"),
        (
            lambda source: source.assign(npp_mean=source["npp_mean"].assign_attrs(units="kg")),
            "npp_mean has .* unit 'kg'",
        ),
        (lambda source: source.assign(soil_temperature=source["soil_temperature"] - 273.15), "unit None"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_before_anything_is_written(change, fault, tmp_path):
    with xr.set_options(keep_attrs=False), pytest.raises(InputError, match=fault):
        fine_maps(change(fine_source(20)), Responding(3), tmp_path / "maps.zarr")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("x", [np.full((3, 25, 19), 0.5), np.full((3, 25, 20), 1.5), np.full((3, 25, 20), np.nan)])
def test_a_predictor_that_gives_something_else_is_refused(x, tmp_path):
    with pytest.raises(InputError, match=r"shape|expected 0 to 1"):
        fine_maps(fine_source(20, gaps=False), lambda *_: MapDraws(x), tmp_path / "maps.zarr")


def test_degrees_celsius_are_reported_with_their_cell_though_cells_before_it_have_gaps(tmp_path):
    source = fine_source(40)
    source["soil_temperature"][:, 30] -= 273.15
    with pytest.raises(InputError, match="counted from cell 0: soil_temperature.* in column 30 "):
        fine_maps(source, Responding(3), tmp_path / "maps.zarr")


@pytest.mark.parametrize("n_members", [0, 2])
def test_every_member_of_a_predictor_is_a_draw(n_members):
    draws = Responding(max(n_members, 1))

    def predictor(frame, forcing):
        x = np.swapaxes(draws(frame, forcing).x, 1, 2)
        return SimpleNamespace(x=x if n_members else x[0], extrapolated=np.array([0, 1, 2]))

    predictor.covariates = draws.covariates
    frame = pd.DataFrame({"wet": [0.1, 0.9, 0.4], "warm": [0.2, 0.3, 0.5]})
    predicted = NetworkDraws(predictor)(frame, None)
    np.testing.assert_array_equal(predicted.x, draws(frame, None).x)
    assert predicted.extrapolated.tolist() == [0.0, 1.0, 2.0]
