"""Projections: pathways, the response of every parameterisation, its spread and sensitivity, and the file of maps."""

import numpy as np
import pytest
import xarray as xr
from columns import seasonal_forcing
from small_study import STUDY
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
    study_pathways,
)
from proda.maps.stocks import land_area, overlap, petagrams, soil_layers, stocks
from proda.model.configuration import PAPER, PAPER_COLUMN
from proda.model.solver import soc_density, soc_stock, steady_state
from proda.study import Study


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
    bedrock = np.where(
        np.arange(inputs.forcing.n_columns) % 2, 6, inputs.forcing.bedrock
    )  # the 6th layer ends at 0.48 m
    inputs = inputs._replace(forcing=inputs.forcing._replace(bedrock=bedrock))
    found = soc_responses(inputs, {"+3 K": standard_pathways(0.2)["+3 K"]}, 2, seed=1)
    assert found.imbalance < 1e-12 and found.total.sizes["draw"] == 3
    # What the model has below bedrock is no carbon of the soil.
    theta = parameter_sets(inputs, 2, 1)["network"][0](slice(None))
    pools = steady_state(theta, inputs.forcing, inputs.configuration)
    stock = stocks(soc_density(pools), [(0.0, 1.0)], soil_layers(inputs.forcing))
    total = found.total.sel(parameterisation="network").isel(draw=0, year=0)
    np.testing.assert_allclose(total, petagrams(stock, land_area(inputs.grid)), rtol=1e-9)
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


def write_years(folder, inputs, years, forcing_of=lambda year, today: today):
    """A file of forcing for each of the years."""
    folder.mkdir(parents=True, exist_ok=True)
    lon, lat = inputs.grid["lon"].values, inputs.grid["lat"].values
    for year in years:
        forcing = forcing_of(year, inputs.forcing)
        forcing_dataset(forcing, lon, lat, "").to_netcdf(folder / f"forcing_{year}.nc")


def test_a_pathway_of_files_is_that_of_its_years(inputs, responses, tmp_path):
    write_years(tmp_path, inputs, range(2021, 2101), lambda year, today: today.warmed(3.0 * (year - 2020.5) / 80))
    pathway = pathway_of_files(tmp_path, inputs.forcing, inputs.grid)
    assert pathway.first_year == 2020 and pathway.warming[-1] == pytest.approx(3.0 * 79.5 / 80)
    of_files = soc_responses(inputs, {"files": pathway}, 10, seed=1)
    np.testing.assert_allclose(of_files.total.sel(pathway="files"), responses.total.sel(pathway="+3 K"), rtol=1e-9)


def changing(year, today):
    """Weather: another temperature, wetness, depth of thaw and carbon input in every cell and year."""
    rng, n = np.random.default_rng(year), today.n_columns
    warmer = today.warmed(rng.normal(0.0, 2.0, n)).fertilised(rng.uniform(0.3, 1.8, n))
    wetter = today.water_potential * rng.uniform(0.2, 3.0, n)
    return warmer._replace(water_potential=wetter, active_layer=rng.uniform(0.1, 4.0, n))


def test_forcing_that_varies_from_year_to_year_keeps_the_carbon_balance(inputs, tmp_path):
    write_years(tmp_path, inputs, range(2015, 2031), changing)
    pathways = {"weather": pathway_of_files(tmp_path, inputs.forcing, inputs.grid)}
    responses = soc_responses(inputs, pathways, 10, seed=1)
    assert responses.imbalance < 1e-12
    steps = np.abs(responses.total.diff("year")) / responses.total.isel(year=0)
    assert float(steps.sel(parameterisation="default").max()) > 1e-3, "the carbon must change"
    assert responses.total["year"].values.tolist() == list(range(2014, 2031))


def changed(name, change):
    """A change of one of the yearly files, as a function of its dataset."""
    return lambda file: file.assign({name: change(file[name])})


BAD_FILES = {
    "units": (
        changed("npp_max", lambda values: (values * 4).assign_attrs(units="kg m-2 yr-1")),
        "2022.nc: npp_max has dimensions .*unit 'kg m-2 yr-1'; expected .*unit 'g m-2 yr-1'",
    ),
    "values": (changed("soil_temperature", lambda values: values - values + 25.0), "2022.nc: soil_temperature is 25 K"),
    "variable": (lambda file: file.rename(npp_mean="gpp"), "forcing_2022.nc: npp_mean is missing"),
    "months": (
        lambda file: forcing_dataset(seasonal_forcing(file.sizes["cell"]), file["lon"], file["lat"], ""),
        "2022.nc is a MonthlyForcing; the 'paper' configuration takes a",
    ),
    "gap": (changed("npp_mean", lambda values: values.where(values["cell"] != 7)), "npp_mean is nan .*in column 7"),
    "fewer cells": (lambda file: file.isel(cell=slice(3)), "2022.nc has 3 cells, expected the study's 210"),
    "other order": (lambda file: file.isel(cell=slice(None, None, -1)), "2022.nc has cell 0 at .*, expected"),
    "no places": (lambda file: file.drop_vars("lon"), "2022.nc has no lon of its cells"),
    "layers": (lambda file: file.isel(layer=slice(7)), "2022.nc has 7 layers, expected the 10 of the model"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "fault"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_of_yearly_forcing_is_named_with_its_fault(inputs, tmp_path, change, fault):
    write_years(tmp_path, inputs, range(2021, 2024))
    path = tmp_path / "forcing_2022.nc"
    with xr.load_dataset(path) as file, xr.set_options(keep_attrs=True):
        changed_file = change(file)
    changed_file.to_netcdf(path)
    with pytest.raises(InputError, match=fault):
        pathway_of_files(tmp_path, inputs.forcing, inputs.grid)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"forcing_2022.nc: cannot be read .* Cut short\? Copy it again"):
        pathway_of_files(tmp_path, inputs.forcing, inputs.grid)


def test_missing_and_double_years_are_named(inputs, tmp_path):
    with pytest.raises(InputError, match="found no file whose name ends in a year, expected one file a year, such as"):
        pathway_of_files(tmp_path, inputs.forcing, inputs.grid)
    write_years(tmp_path, inputs, (2021, 2022, 2024))
    with pytest.raises(InputError, match="found 0 files of 2023, expected one file a year"):
        pathway_of_files(tmp_path, inputs.forcing, inputs.grid)
    write_years(tmp_path, inputs, (2023,))
    (tmp_path / "again_2022.nc").write_bytes((tmp_path / "forcing_2022.nc").read_bytes())
    with pytest.raises(InputError, match="found 2 files of 2022"):
        pathway_of_files(tmp_path, inputs.forcing, inputs.grid)


def test_the_pathways_of_a_study_are_the_folders_that_its_file_names(inputs, file, tmp_path):
    file.write_text(STUDY.replace("[settings]", '[source.projections]\nfolder = "years"\n[settings]'))
    with pytest.raises(InputError, match="reads files from a folder: give it with --data DIR"):
        Study.open(file, "tiny")
    write_years(tmp_path / "years" / "ssp126", inputs, range(2021, 2024))
    study = Study.open(file, "tiny", data=tmp_path)
    read = study_pathways(study, inputs.forcing, inputs.grid)
    assert list(read) == ["constant", "ssp126"] and read["constant"].first_year == 2020
    write_years(tmp_path / "years" / "ssp585", inputs, range(2021, 2025))
    with pytest.raises(InputError, match="all of the same years; found ssp126 2021 to 2023, ssp585 2021 to 2024"):
        study_pathways(study, inputs.forcing, inputs.grid)
    file.write_text(STUDY.replace("[settings]", '[source.projections]\nfolder = "other"\n[settings]'))
    with pytest.raises(InputError, match="no 'other' in the data folder"):
        study_pathways(Study.open(file, "tiny", data=tmp_path), inputs.forcing, inputs.grid)


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
