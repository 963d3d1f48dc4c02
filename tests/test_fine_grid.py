"""Maps of any number of cells: the same as the half-degree map, whatever the chunks, and whole or not there at all."""

import multiprocessing
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fine_source import HIGHEST, Responding, fine_source, make_maps_slowly
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_study import write_study

from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.maps.fine_grid import STORED, FixedDraws, MapDraws, NetworkDraws, fine_maps, opened_source, read_chunk
from proda.maps.netcdf import LEVELS, SOC_CONTENT
from proda.maps.prediction import maps_by_method, one_batch_draws, read_inputs, soc_of_draws
from proda.maps.stocks import land_area
from proda.model.configuration import PAPER_COLUMN
from proda.model.parameters import physical

N = 150


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The maps of `fine_source(N)` in one chunk by one thread."""
    path = tmp_path_factory.mktemp("whole") / "maps.zarr"
    return fine_maps(fine_source(N), Responding(12), path, chunk=N, workers=1).load()


def same(found, expected):
    for name in STORED:
        np.testing.assert_array_equal(found[name].values, expected[name].values, err_msg=name)


def test_on_the_cells_of_a_study_it_is_the_half_degree_map_of_draws(tmp_path):
    study = write_study(tmp_path)
    inputs = read_inputs(study)
    draws = one_batch_draws(inputs.one_batch, 30, seed=4)
    expected = soc_of_draws(draws, inputs.forcing, land_area(inputs.grid))["stock"]
    with xr.open_dataset(study.path("forcing.nc")) as forcing:
        for name in ("npp_mean", "npp_min", "npp_max"):
            forcing[name].attrs["units"] = "g m-2 yr-1"
        found = fine_maps(forcing, FixedDraws(draws), tmp_path / "maps.zarr", chunk=37)
    for statistic, suffix in LEVELS.items():
        np.testing.assert_allclose(found[SOC_CONTENT + suffix], expected.sel(statistic=statistic), rtol=3e-7)


def test_a_single_draw_in_every_cell_is_the_networks_map_and_has_no_quantiles(tmp_path):
    study = write_study(tmp_path)
    inputs = read_inputs(study)
    expected = maps_by_method(inputs, 2, 1)["stock"].sel(parameterisation="network", statistic="mean")
    with xr.open_dataset(study.path("forcing.nc")) as forcing:
        for name in ("npp_mean", "npp_min", "npp_max"):
            forcing[name].attrs["units"] = "g m-2 yr-1"
        source = forcing.load().assign({f"x{k}": ("cell", x) for k, x in enumerate(inputs.network_cells.T)})

    def network(covariates):
        return covariates.to_numpy().T[None]

    network.covariates = tuple(f"x{k}" for k in range(25))
    found = fine_maps(source, network, tmp_path / "maps.zarr", chunk=11)
    np.testing.assert_allclose(found[SOC_CONTENT], expected, rtol=3e-7)
    assert np.isnan(found[SOC_CONTENT + "_p50"]).all()


@settings(max_examples=8)
@given(chunk=st.integers(1, N + 5).filter(lambda size: size > 6), workers=st.integers(1, 3))
def test_neither_chunks_nor_threads_change_a_bit(whole, tmp_path_factory, chunk, workers):
    path = tmp_path_factory.mktemp("chunks") / "maps.zarr"
    same(fine_maps(fine_source(N), Responding(12), path, chunk=chunk, workers=workers), whole)


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


def test_a_raster_is_stacked_into_cells(whole, tmp_path):
    square = fine_source(N).drop_vars(["lon", "lat"]).assign_coords(cell=np.arange(N))
    raster = square.coarsen(cell=15).construct(cell=("lat", "lon")).drop_vars("cell")
    raster = raster.assign_coords(lat=np.arange(10.0), lon=np.arange(15.0))
    cells = raster.stack(cell=("lat", "lon")).reset_index("cell")  # noqa: PD013 (xarray, not pandas)
    found = fine_maps(cells, Responding(12), tmp_path / "maps.zarr")
    same(found, whole)
    assert found["lat"].dims == ("cell",) and float(found["lon"][14]) == 14.0


def test_statistics_are_those_of_all_draws_done_by_hand(whole):
    source, cells = fine_source(N), [0, 77, N - 1]
    predictor = Responding(12)
    with_all = source.isel(cell=cells)
    chunk = read_chunk(opened_source(with_all, predictor.covariates), predictor.covariates, 0, 3)
    x = predictor(chunk.covariates).x
    soc = np.stack([lanes.soc_density(physical(draw, chunk.forcing), chunk.forcing) for draw in x])
    share = np.clip(1.0 - PAPER_COLUMN.top, 0, PAPER_COLUMN.thickness)
    stock = np.einsum("j,djn->dn", share, soc) / 1000.0
    np.testing.assert_allclose(whole[SOC_CONTENT].sel(depth=1.0)[cells], stock.mean(axis=0), rtol=1e-6)
    expected = np.quantile(stock, [0.05, 0.5, 0.95], axis=0)
    for suffix, values in zip(("_p05", "_p50", "_p95"), expected, strict=True):
        np.testing.assert_allclose(whole[SOC_CONTENT + suffix].sel(depth=1.0)[cells], values, rtol=1e-6)


def test_cells_without_forcing_or_covariates_are_missing_and_counted_and_the_others_are_not(whole):
    assert whole["status"].values[[4, 9, N // 2]].tolist() == [1, 1, 2]
    assert np.isnan(whole[SOC_CONTENT].values[:, [4, 9, N // 2]]).all()
    others = np.delete(np.arange(N), [4, 9, N // 2])
    assert (whole["status"].values[others] == 0).all() and np.isfinite(whole[SOC_CONTENT].values[:, others]).all()
    assert whole.attrs["cells_forcing_is_missing"] == 2 and whole.attrs["cells_a_covariate_is_missing"] == 1
    assert whole.attrs["cells_has_a_value"] == N - 3


def test_every_cell_says_how_many_covariates_its_predictor_never_met(whole):
    source = fine_source(N)
    expected = (source["wet"] > HIGHEST).astype(float) + (source["warm"] > HIGHEST)
    known = whole["status"] == 0
    np.testing.assert_array_equal(whole["extrapolated"][known], expected[known])
    assert set(np.unique(expected[known])) == {0.0, 1.0, 2.0}, "the test wants cells of every kind"
    assert np.isnan(whole["extrapolated"][~known]).all()
    assert whole.attrs["cells_extrapolated"] == int((expected[known] > 0).sum())
    assert whole[SOC_CONTENT].attrs["ancillary_variables"] == "extrapolated status"


def test_draws_that_look_at_no_covariates_extrapolate_nothing_that_could_be_counted(tmp_path):
    found = fine_maps(fine_source(20, gaps=False), FixedDraws(np.full((2, 25), 0.5)), tmp_path / "maps.zarr")
    assert np.isnan(found["extrapolated"]).all() and found.attrs["cells_extrapolated"] == 0


@pytest.mark.parametrize("counts", [np.zeros(19), np.full(20, -1.0), np.zeros((20, 2))])
def test_counts_of_other_cells_or_below_zero_are_told(counts, tmp_path):
    def predictor(covariates):
        return MapDraws(np.full((2, 25, 20), 0.5), counts)

    with pytest.raises(InputError, match="expected a count of 0 or more for each of 20 cells"):
        fine_maps(fine_source(20, gaps=False), predictor, tmp_path / "maps.zarr")


def test_carbon_that_is_not_finite_is_missing_and_counted(tmp_path):
    draws = np.full((3, 25), 0.5)
    draws[1, 3] = 0.0  # an e-folding depth of zero has no steady state
    found = fine_maps(fine_source(20, gaps=False), FixedDraws(draws), tmp_path / "maps.zarr")
    assert (found["status"] == 3).all() and np.isnan(found[SOC_CONTENT]).all()
    assert found.attrs["cells_carbon_is_not_finite"] == 20


def test_areas_and_places_come_along_so_that_a_total_can_be_taken(whole):
    source = fine_source(N)
    for name in ("lon", "lat", "cell_area", "land_fraction"):
        np.testing.assert_array_equal(whole[name], source[name])
    np.testing.assert_array_equal(whole["depth_bounds"], [[0, 0.3], [0, 1], [0, 2]])


def test_an_interrupted_run_leaves_no_store_and_the_next_goes_on(whole, tmp_path):
    path = tmp_path / "maps.zarr"
    with pytest.raises(KeyboardInterrupt):
        fine_maps(fine_source(N), Responding(12, breaks_at=6), path, chunk=20, workers=1)
    assert not path.exists() and (tmp_path / "maps.zarr.partial").is_dir()
    again = Responding(12)
    same(fine_maps(fine_source(N), again, path, chunk=20, workers=1), whole)
    # One call to know the predictor by, and one for each of the 8 chunks that was not finished (4 were).
    assert again.calls == 1 + 8 - 4
    assert not (tmp_path / "maps.zarr.partial").exists()


def test_a_damaged_chunk_and_one_whose_input_has_changed_are_made_again(tmp_path):
    path, source = tmp_path / "maps.zarr", fine_source(N)
    with pytest.raises(KeyboardInterrupt):
        fine_maps(source, Responding(12, breaks_at=6), path, chunk=20, workers=1)
    parts = tmp_path / "maps.zarr.partial" / "maps.zarr" / SOC_CONTENT / "c" / "0"
    (parts / "1").write_bytes((parts / "0").read_bytes())
    warmer = source.copy(deep=True)
    warmer["soil_temperature"][:, 45] += 5.0
    again = Responding(12)
    found = fine_maps(warmer, again, path, chunk=20, workers=1)
    assert again.calls == 1 + 8 - 4 + 2
    same(found, fine_maps(warmer, Responding(12), tmp_path / "new.zarr"))


def test_an_unfinished_store_of_something_else_is_not_overwritten_unless_it_is_given_up(whole, tmp_path):
    path = tmp_path / "maps.zarr"
    with pytest.raises(KeyboardInterrupt):
        fine_maps(fine_source(N), Responding(12, breaks_at=4), path, chunk=20, workers=1)
    with pytest.raises(InputError, match="unfinished maps of something else \\(predictor differ"):
        fine_maps(fine_source(N), Responding(12, shift=0.01), path, chunk=20)
    with pytest.raises(InputError, match="something else \\(chunk differ"):
        fine_maps(fine_source(N), Responding(12), path, chunk=30)
    same(fine_maps(fine_source(N), Responding(12), path, chunk=30, fresh=True), whole)


def test_a_finished_store_is_replaced_only_if_told_and_a_folder_of_something_else_never(tmp_path):
    path = tmp_path / "maps.zarr"
    fine_maps(fine_source(20), Responding(3), path)
    with pytest.raises(InputError, match="is there already"):
        fine_maps(fine_source(20), Responding(3), path)
    fine_maps(fine_source(20), Responding(4), path, fresh=True)
    (tmp_path / "photographs").mkdir()
    with pytest.raises(InputError, match="nothing was touched"):
        fine_maps(fine_source(20), Responding(3), tmp_path / "photographs", fresh=True)
    assert (tmp_path / "photographs").is_dir()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda source: source.rename(cell="place"), "expected `cell`"),
        (lambda source: source.drop_vars("npp_min"), "no variable npp_min"),
        (lambda source: source.drop_vars("warm"), "no variable warm"),
        (lambda source: source.assign(warm=source["soil_temperature"]), "warm has dimensions"),
        (lambda source: source.isel(layer=slice(7)), "7 layers"),
        (lambda source: source.assign(npp_mean=source["npp_mean"].assign_attrs(units="kg")), "npp_mean is in 'kg'"),
        (lambda source: source.assign(soil_temperature=source["soil_temperature"] - 273.15), "is in None"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_before_anything_is_written(change, told, tmp_path):
    with xr.set_options(keep_attrs=False), pytest.raises(InputError, match=told):
        fine_maps(change(fine_source(20)), Responding(3), tmp_path / "maps.zarr")
    assert list(tmp_path.iterdir()) == []


def test_degrees_celsius_are_told_with_their_cell_though_cells_before_it_have_gaps(tmp_path):
    source = fine_source(40)
    source["soil_temperature"][:, 30] -= 273.15
    with pytest.raises(InputError, match="counted from cell 0: soil_temperature.* in column 30 "):
        fine_maps(source, Responding(3), tmp_path / "maps.zarr")


@pytest.mark.parametrize(
    ("given_x", "told"),
    [
        (lambda n: np.full((25, n), 0.5), "shape \\(25, 20\\)"),
        (lambda n: np.full((3, 25, n - 1), 0.5), "expected \\(n_draws, 25, 20 or 1\\)"),
        (lambda n: np.full((3, 25, n), 1.5), "diffus = 1.5"),
        (lambda n: np.full((3, 25, n), np.nan), "diffus = nan"),
    ],
)
def test_a_predictor_that_gives_something_else_is_told_so(given_x, told, tmp_path):
    with pytest.raises(InputError, match=told):
        fine_maps(fine_source(20, gaps=False), lambda covariates: given_x(len(covariates)), tmp_path / "maps.zarr")


def test_every_network_of_an_ensemble_is_a_draw_from_its_own_covariates():
    predictor = Responding(2)

    class Network:
        covariates = predictor.covariates

        def __init__(self, k):
            self.k = k

        def __call__(self, frame):
            return SimpleNamespace(x=predictor(frame).x[self.k].T, extrapolated=np.array([0, 1, 2 * self.k]))

    frame = pd.DataFrame({"wet": [0.1, 0.9, 0.4], "warm": [0.2, 0.3, 0.5]})
    ensemble = NetworkDraws(Network(0), Network(1))
    assert ensemble.covariates == ("wet", "warm")
    found = ensemble(frame)
    np.testing.assert_array_equal(found.x, predictor(frame).x)
    assert found.extrapolated.tolist() == [0.0, 1.0, 2.0]


def test_networks_of_other_covariates_make_no_ensemble():
    class Network:
        def __init__(self, *names):
            self.covariates = names

    with pytest.raises(InputError, match="same covariates"):
        NetworkDraws(Network("wet"), Network("warm"))


@pytest.mark.slow
@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="there is no SIGKILL")
def test_after_kill_9_the_same_call_goes_on_to_the_same_bits(whole, tmp_path):
    path = tmp_path / "maps.zarr"
    marks = tmp_path / "maps.zarr.partial" / "chunks"
    process = multiprocessing.get_context("forkserver").Process(target=make_maps_slowly, args=(path, N))
    process.start()
    while process.is_alive() and len(list(marks.glob("*.json"))) < 4:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not path.exists() and 4 <= len(list(marks.glob("*.json"))) < 15
    again = Responding(12)
    same(fine_maps(fine_source(N), again, path, chunk=10), whole)
    assert again.calls <= 1 + 15 - 4
