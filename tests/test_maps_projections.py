"""Projections: pathways, the response of every parameterisation, its spread and sensitivity, and the file of maps."""

import numpy as np
import pytest
import xarray as xr
from columns import seasonal_forcing
from synthetic_study import small_results

from proda.data.forcing import forcing_dataset
from proda.errors import InputError
from proda.figures import maps as figures
from proda.kernels.transient import pathway_places, trajectories
from proda.maps.netcdf import write_product
from proda.maps.projections import (
    Pathway,
    carbon_climate_sensitivity,
    efolding_times,
    parameter_sets,
    pathway_of_files,
    response_product,
    response_series,
    soc_responses,
    spread_shares,
    standard_pathways,
)
from proda.maps.stocks import land_area, overlap, petagrams
from proda.model.configuration import PAPER, PAPER_COLUMN
from proda.model.solver import soc_stock, steady_state


@pytest.fixture(scope="module")
def inputs():
    return small_results().inputs


@pytest.fixture(scope="module")
def responses(inputs):
    pathways = standard_pathways(0.2)
    chosen = ("constant", "+3 K", "constant, +20 % input", "+3 K, +20 % input")
    return soc_responses(inputs, {name: pathways[name] for name in chosen}, 10, seed=1)


def test_the_standard_pathways_end_with_their_warming_and_input(inputs):
    pathways = standard_pathways(0.2)
    assert list(pathways)[:4] == ["constant", "+1.5 K", "+3 K", "+4.5 K"] and len(pathways) == 8
    last = pathways["+4.5 K, +20 % input"]
    end = 79.5 / 80  # the mean of the last year
    assert (last.warming[-1], last.input[-1]) == pytest.approx((4.5 * end, 1.0 + 0.2 * end))
    forcing = last.forcing(inputs.forcing, slice(3, 5))
    np.testing.assert_allclose(forcing[-1].soil_temperature - forcing[0].soil_temperature, 4.5 * end)
    np.testing.assert_allclose(forcing[-1].npp_mean / forcing[0].npp_mean, 1.0 + 0.2 * end)
    assert len(standard_pathways(0.0)) == 4


def test_months_respond_as_their_own_model_does():
    inputs = small_results("cesm2").inputs
    found = soc_responses(inputs, {"+3 K": standard_pathways(0.2)["+3 K"]}, 2, seed=1)
    assert found.imbalance < 1e-9 and found.total.sizes["draw"] == 3
    assert (found.total.isel(year=-1) < found.total.isel(year=0)).sel(draw=0).all()


def test_yearly_steps_are_short_enough(inputs):
    cells, share = slice(0, 40), overlap([(0.0, 1.0)], PAPER_COLUMN)
    theta = parameter_sets(inputs, 1, 1)["network"][0](cells)
    here, change = inputs.forcing.take(cells), {}
    for steps in (80, 640):
        warming = 3.0 * (np.arange(steps) + 0.5) / steps
        places = pathway_places([here, *map(here.warmed, warming)])
        soil = trajectories(theta, places, 365.0 * 80 / steps, share).soil[:, 0]
        change[steps] = soil[-1] - soil[0]
    np.testing.assert_allclose(change[80], change[640], rtol=1e-3)


def test_totals_begin_at_the_steady_state_and_keep_it_without_a_change(inputs, responses):
    assert responses.imbalance < 1e-12
    total, area = responses.total, land_area(inputs.grid)
    assert np.isfinite(total).sum("draw").isel(pathway=0, year=0).values.tolist() == [1, 10, 1, 3, 1]
    for name, sets in parameter_sets(inputs, 10, 1).items():
        theta = sets[-1](slice(None))
        stock = soc_stock(steady_state(theta, inputs.forcing), inputs.forcing, PAPER, depth=1.0) / 1000.0
        of = total.sel(parameterisation=name, draw=len(sets) - 1)
        np.testing.assert_allclose(of.isel(year=0), petagrams(stock, area), rtol=1e-10)
        np.testing.assert_allclose(of.sel(pathway="constant", year=2100), of.sel(pathway="constant", year=2020))
    change = responses.change.sel(statistic="mean", map_year=2100)
    sums = petagrams(change.values.astype(float), area)
    mean = (total.isel(year=-1) - total.isel(year=0)).mean("draw")
    np.testing.assert_allclose(sums, mean, rtol=1e-4, atol=1e-6)


def test_warming_takes_carbon_and_input_gives_it(responses):
    series = response_series(responses)
    last = series[series["year"] == 2100].pivot(index="parameterisation", columns="pathway", values="change")
    assert (last["+3 K"] < 0).all() and (last["constant, +20 % input"] > 0).all()
    assert (last["+3 K, +20 % input"] > last["+3 K"]).all()
    one_batch = series[(series["parameterisation"] == "one-batch") & (series["pathway"] == "+3 K")]
    assert (one_batch["p05"] <= one_batch["change"] + 1e-9).all()
    assert series.loc[series["parameterisation"] == "network", "p05"].isna().all()


def test_sensitivity_is_the_difference_to_the_pathway_without_warming_per_kelvin(responses):
    table, last = carbon_climate_sensitivity(responses), responses.total.isel(year=-1)
    assert set(table.index.get_level_values("pathway")) == {"+3 K", "+3 K, +20 % input"}
    for rise in ("", ", +20 % input"):
        change = (last.sel(pathway=f"+3 K{rise}") - last.sel(pathway=f"constant{rise}")).mean("draw")
        expected = change / (3.0 * 79.5 / 80)
        for method in ("default", "one-batch", "network", "hybrid"):
            got = table.loc[(method, f"+3 K{rise}"), "pg_per_k"]
            assert got == pytest.approx(float(expected.sel(parameterisation=method))) and got < 0


def test_the_spread_is_split_between_parameters_and_methods(responses):
    table = spread_shares(responses)
    assert np.isnan(table.loc["constant", "share_of_parameters"])
    row = table.loc["+3 K"]
    change = responses.total.isel(year=-1) - responses.total.isel(year=0)
    change = change.sel(pathway="+3 K").drop_sel(parameterisation="truth")
    assert row["between_methods"] == pytest.approx(float(change.mean("draw").std("parameterisation", ddof=1)))
    within = row["of_parameters"] ** 2
    assert row["share_of_parameters"] == pytest.approx(within / (within + row["between_methods"] ** 2))


def test_efolding_times_are_of_every_parameterisation(inputs):
    times = efolding_times(inputs, 12, 10, seed=1)
    assert times.index.tolist() == ["default", "one-batch", "network", "hybrid", "truth"]
    assert ((times["p10"] <= times["median"]) & (times["median"] <= times["p90"]) & (times["p10"] > 1)).all()


def test_the_file_of_maps_has_a_time_axis_and_units(inputs, responses, tmp_path):
    write_product(response_product(responses, inputs.grid, "Responses"), tmp_path / "soc_response.nc")
    with xr.open_dataset(tmp_path / "soc_response.nc") as file:
        assert file["time"].dt.year.values.tolist() == [2020, 2040, 2060, 2080, 2100]
        change = file["soil_carbon_change"]
        assert change.attrs["units"] == "kg m-2" and change.sizes["pathway"] == 4
        assert float(np.abs(change.isel(time=0)).max()) == 0
        assert "cannot separate" in file.attrs["comment"] and "07-projections" in file.attrs["history"]
        assert file["soil_carbon_change_p05"].sel(parameterisation="network").isnull().all()


def test_a_pathway_of_files_is_that_of_its_years(inputs, responses, tmp_path):
    lon, lat = inputs.grid["lon"].values, inputs.grid["lat"].values
    for year in range(2021, 2101):
        warm = inputs.forcing.warmed(3.0 * (year - 2020.5) / 80)
        forcing_dataset(warm, lon, lat, "warmer").to_netcdf(tmp_path / f"forcing_{year}.nc")
    pathway = pathway_of_files(tmp_path, inputs.forcing)
    assert pathway.first_year == 2020 and pathway.warming[-1] == pytest.approx(3.0 * 79.5 / 80)
    of_files = soc_responses(inputs, {"files": pathway}, 10, seed=1)
    np.testing.assert_allclose(of_files.total.sel(pathway="files"), responses.total.sel(pathway="+3 K"), rtol=1e-9)
    with pytest.raises(InputError, match="has 210 cells, expected the study's 3"):
        pathway_of_files(tmp_path, inputs.forcing.take([0, 1, 2]))
    forcing_dataset(seasonal_forcing(inputs.forcing.n_columns), lon, lat, "").to_netcdf(tmp_path / "forcing_2060.nc")
    with pytest.raises(InputError, match="forcing_2060.nc is a MonthlyForcing; the 'paper' configuration takes a"):
        pathway_of_files(tmp_path, inputs.forcing)
    (tmp_path / "forcing_2050.nc").unlink()
    with pytest.raises(InputError, match="found the years .*expected a file such as forcing_2021.nc for every year"):
        pathway_of_files(tmp_path, inputs.forcing)


def test_cells_taken_in_parts_give_the_same(inputs, responses, monkeypatch):
    monkeypatch.setattr("proda.maps.projections.CHUNK", 100)
    again = soc_responses(inputs, {"+3 K": standard_pathways(0.2)["+3 K"]}, 10, seed=1)
    np.testing.assert_allclose(again.total.sel(pathway="+3 K"), responses.total.sel(pathway="+3 K"), rtol=1e-12)
    np.testing.assert_array_equal(again.change.sel(pathway="+3 K"), responses.change.sel(pathway="+3 K"))


def test_the_figures_show_every_method_and_pathway(inputs, responses):
    maps = figures.change_maps(responses.change, inputs.grid, ["+3 K", "+3 K, +20 % input"])
    assert len(maps.axes) == 11 and maps.axes[0].get_title() == "+3 K"
    course = figures.response_figure(response_series(responses))
    assert [ax.get_title() for ax in course.axes] == list(responses.total["pathway"].values)
    assert len(course.axes[1].lines) == 6  # four methods, the truth and zero
    spread = figures.spread_figure(spread_shares(responses))
    assert [label.get_text() for label in spread.axes[0].get_yticklabels()][0] == "+3 K"
    assert isinstance(standard_pathways(0.1)["constant"], Pathway)
