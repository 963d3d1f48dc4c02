"""The public archive is read as it was written: every join by its own rule, every index from its own start."""

import re
import time
import tracemalloc

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
from small_archive import N, field_value, layer_table, places, profile_table, write_archive, write_field, write_nc

from proda.data.forcing import has_forcing
from proda.data.readers import archive as layout
from proda.data.readers.archive import (
    INPUTS,
    archive_cells,
    archive_forcing,
    read_archive_profiles,
    read_field,
    read_grid_environment,
    read_scaling,
    read_site_environment,
    scaled,
)
from proda.data.readers.archive_results import (
    group_results,
    read_network_results,
    read_site_results,
    us_grid_selection,
    us_selection,
)
from proda.errors import InputError
from proda.model.checks import validated
from proda.model.configuration import CESM2, CESM2_COLUMN, PAPER, PAPER_COLUMN
from proda.model.parameters import CESM2_PARAMETERS
from proda.study import repository_root

FIELD = layout.FIELD.format(name="TSOI")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("Archiv für Böden"))


@pytest.fixture
def copy(tmp_path):
    """An archive without fields that a test may spoil."""
    return write_archive(tmp_path, fields=())


def test_profiles_and_layers_come_in_metres_and_grams_with_the_row_they_stand_in(root):
    profiles, layers = read_archive_profiles(root.parent.parent).tables
    assert profiles["archive_row"].tolist() == list(range(N))
    assert profiles["profile_id"].tolist() == [str(1000 + 7 * i) for i in range(N)]
    np.testing.assert_allclose(profiles["lon"], places()[0])
    assert profiles["year"].tolist()[1] == 2007 and np.isnan(profiles["year"][0])
    third = layers[layers["profile_id"] == "1014"]
    assert third["upper_depth"].tolist() == [0.0, 0.1, 0.3] and third["lower_depth"].tolist() == [0.1, 0.3, 1.0]
    assert third["layer"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(third["soc"], 20000 * np.exp(-0.02 * np.array([5, 20, 65])) + 1014)


def test_a_layer_without_carbon_is_left_for_cleaning_to_count(root):
    layers = read_archive_profiles(root).tables.layers
    assert len(layers) == 3 * N and layers["soc"].isna().sum() == 1


def test_environment_has_the_81_columns_and_the_rows_of_the_profiles(root):
    assert len(layout.ENVIRONMENT_COLUMNS) == len(set(layout.ENVIRONMENT_COLUMNS)) == 81
    assert len(layout.GRID_ENVIRONMENT_COLUMNS) == 77
    info = read_archive_profiles(root).info
    table = read_site_environment(root, info)
    assert table.loc[12, "BIO1"] == 12 + 0.18 and table.loc[12, "nbedrock"] == 12 + 0.79
    grid = read_grid_environment(root)
    assert grid.loc[12, "BIO1"] == 12 + 0.18
    assert table.isna().to_numpy().sum() == 1  # missing stays missing


def test_scaling_knows_that_the_first_column_is_the_least_value(root):
    ranges = read_scaling(root)
    info = read_archive_profiles(root).info
    result = scaled(read_site_environment(root, info), ranges)
    np.testing.assert_allclose(result["BIO1"], np.minimum(np.arange(N) / 20.0, 1.0))
    assert result.loc[12, "ESA_Land_Cover"] == 12 and result.loc[12, "ProfileID"] == 1084  # not scaled
    assert np.isnan(result.iloc[4, 40])


def test_a_place_takes_the_nearest_row_and_column_and_the_first_on_ties():
    lon_grid, lat_grid = np.linspace(-179.6875, 179.6875, 576), np.linspace(89.765625, -89.765625, 384)
    random = np.random.default_rng(1)
    lon, lat = random.uniform(-180, 180, 500), random.uniform(-90, 90, 500)
    row, column = archive_cells(lon, lat)
    assert row.tolist() == [int(np.abs(lat_grid - y).argmin()) for y in lat]
    assert column.tolist() == [int(np.abs(lon_grid - x).argmin()) for x in lon]
    assert (archive_cells(np.mod(lon, 360), lat)[1] == column).all()
    assert archive_cells([0.0], [0.0]) == (191, 287)  # between two rows and two columns: the northern, the western
    assert archive_cells([-180.0, 180.0], [10, 10])[1].tolist() == [0, 575]


def test_forcing_is_that_of_each_place_and_the_input_a_column_total(root):
    lon, lat = (axis[:30] for axis in places())
    forcing, found, _ = archive_forcing(root, lon, lat)
    forcing = validated(forcing, CESM2)
    row, column = archive_cells(lon, lat)
    layer, month = np.arange(20)[:, None, None], np.arange(12)[:, None]
    np.testing.assert_allclose(forcing.soil_temperature, field_value("TSOI", row, column, layer, month), rtol=1e-6)
    np.testing.assert_allclose(forcing.water_scalar, field_value("W_SCALAR", row, column, layer, month), rtol=1e-6)
    np.testing.assert_allclose(
        forcing.nitrogen_scalar[:, 3], field_value("FPI_vr", row, column, layer[:, 0], 3), rtol=1e-6
    )
    np.testing.assert_allclose(forcing.active_layer, field_value("ALTMAX", row, column, 0, month), rtol=1e-6)
    np.testing.assert_array_equal(forcing.bedrock, np.minimum(field_value("nbedrock", row, column, 0, 0), 20))
    thickness = CESM2_COLUMN.thickness[:, None, None]
    for kind, name in enumerate(INPUTS):
        total = (thickness * field_value(name, row, column, layer, month)).sum(axis=0)
        np.testing.assert_allclose(forcing.carbon_input[kind], total, rtol=1e-6)
    assert found.set_index("variable").loc["TSOI", ["unit", "missing"]].tolist() == ["K", 0]


def test_the_papers_configuration_takes_annual_means_at_its_own_depths(root):
    lon, lat = (axis[:30] for axis in places())
    forcing, _, comment = archive_forcing(root, lon, lat, PAPER, npp_multiples=(0.8, 1.5))
    forcing = validated(forcing)
    row, column = archive_cells(lon, lat)
    # The made fields are linear in month and layer number.
    mean_month = np.average(np.arange(12), weights=[31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    layer = np.interp(PAPER_COLUMN.node, CESM2_COLUMN.node, np.arange(20))[:, None]
    np.testing.assert_allclose(forcing.soil_temperature, field_value("TSOI", row, column, layer, mean_month), rtol=1e-6)
    np.testing.assert_allclose(
        forcing.water_potential, field_value("SOILPSI", row, column, layer, mean_month), rtol=1e-5
    )
    npp = field_value("NPP", row, column, 0, mean_month) * 365 * 86400
    np.testing.assert_allclose(forcing.npp_mean, npp, rtol=1e-5)
    np.testing.assert_allclose(forcing.npp_max / forcing.npp_min, 1.5 / 0.8, rtol=1e-12)
    assert "0.8 to 1.5 times its mean" in comment


def test_a_place_off_the_land_is_missing(root):
    forcing, found, _ = archive_forcing(root, [-100.0, 10.0], [40.0, 50.0])
    assert has_forcing(forcing).tolist() == [True, False]
    assert found.set_index("variable").loc["ALTMAX", "missing"] == 12


def test_a_field_is_read_by_slices_not_as_a_whole(root):
    lon, lat = (axis[:30] for axis in places())
    tracemalloc.start()
    begin = time.perf_counter()
    read_field(root, "TSOI", *archive_cells(lon, lat))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # the whole field takes 425 MB in double precision
    assert time.perf_counter() - begin < 10


def test_results_are_joined_by_position_and_indices_count_from_one(root):
    results = read_site_results(root, N)
    assert list(results.gelman_rubin) == list(CESM2_PARAMETERS.names)
    assert results.gelman_rubin.loc[3, "q10"] == 1.2
    assert np.flatnonzero(~results.eligible).tolist() == [9, 24, 39]
    assert results.representative.min() >= 0 and results.representative.max() <= 29
    assert len(np.unique(results.representative)) == results.representative.size


def test_network_parameters_are_those_of_the_site_averaged_over_runs_and_clipped(root):
    networks = read_network_results(root, N, read_site_results(root, N).eligible)
    truth = (networks.parameters.index.to_numpy()[:, None] + 1) / 50.0 + np.arange(21) / 100.0
    np.testing.assert_allclose(networks.parameters, np.clip(truth, 0, 1), atol=1e-12)
    assert (networks.runs == 9).all() and networks.clipped == 0
    np.testing.assert_allclose(networks.spread, 0.001 * np.std(np.arange(9), ddof=1), rtol=1e-6)


def test_the_selection_of_us_profiles_says_what_each_condition_takes(root):
    info = read_archive_profiles(root).info
    results = read_site_results(root, N)
    chosen = us_selection(info, results, read_network_results(root, N, results.eligible))
    assert chosen.rows.tolist() == [i for i in range(30) if i not in (3, 6, 9, 24)]
    assert chosen.account["profiles_after"].tolist() == [30, 30, 29, 28, 26, 26]
    assert (chosen.account["profiles_before"][1:].to_numpy() == chosen.account["profiles_after"][:-1]).all()


def test_a_profile_without_covariates_goes_last_and_is_counted(root):
    info, results = read_archive_profiles(root).info, read_site_results(root, N)
    complete = read_site_environment(root, info)["Bulk_Density_0cm"].notna().to_numpy().copy()
    complete[7] = False
    chosen = us_selection(info, results, complete=complete)
    assert 7 not in chosen.rows and chosen.account["condition"].iloc[-1] == "every covariate and all forcing"
    assert chosen.account["profiles_before"].iloc[-1] - chosen.account["profiles_after"].iloc[-1] == int(
        (~complete[[i for i in range(30) if i not in (3, 6, 9, 24)]]).sum()
    )


def test_grid_cells_of_classes_that_no_site_has_are_left_out(root):
    grid = read_grid_environment(root)
    sites = read_site_environment(root, read_archive_profiles(root).info).iloc[:20]
    chosen = us_grid_selection(grid, sites, ["BIO1", "Soil_Type", layout.ENVIRONMENT_COLUMNS[40]], ["Soil_Type"])
    assert chosen.rows.tolist() == [i for i in range(20) if i != 4]
    assert chosen.account["cells_after"].tolist() == [30, 29, 19]


def rewrite_mat(path, name, change):
    values = scipy.io.loadmat(path)[name]
    scipy.io.savemat(path, {name: change(values)})


def rewrite_sites(root, change):
    for run in layout.NETWORK_RUNS:
        path = root / layout.NETWORK.format(what="site_loc", run=run)
        change(pd.read_csv(path, header=None)).to_csv(path, header=False, index=False, float_format="%.18e")


def test_lists_that_count_from_zero_are_told(copy):
    rewrite_mat(copy / layout.ELIGIBLE, "eligible_loc_0", lambda v: v - 1)
    with pytest.raises(InputError, match="eligible_loc_0 holds 0, expected positions from 1 to 40"):
        read_site_results(copy, N)


def test_sites_that_count_from_zero_are_told_even_when_none_is_the_first_profile(copy):
    eligible = read_site_results(copy, N).eligible
    shifted = lambda sites: (sites - 1)[(sites - 1)[0] > 0]  # noqa: E731
    rewrite_sites(copy, shifted)
    with pytest.raises(InputError, match="when they count from 1, but 3. when they count from 0. Add 1"):
        read_network_results(copy, N, eligible)


def test_an_index_beyond_the_last_profile_is_told(copy):
    rewrite_mat(copy / layout.REPRESENTATIVE, "sample_profile_id", lambda v: v + 20)
    with pytest.raises(InputError, match="sample_profile_id holds .*, expected 1 to 40"):
        read_site_results(copy, N)


def test_an_environment_shifted_by_a_row_is_told(copy):
    rewrite_mat(copy / layout.SITE_ENVIRONMENT, "EnvInfo", lambda v: np.roll(v, 1, axis=0))
    with pytest.raises(InputError, match="ProfileID is 1273 in row 0 .from 0., but 1000 in the table of profiles"):
        read_site_environment(copy, read_archive_profiles(copy).info)


def test_ranges_written_as_the_name_of_their_variable_says_are_told(copy):
    rewrite_mat(copy / layout.SCALING, "col_max_min", lambda v: v[:, ::-1])
    with pytest.raises(InputError, match="ProfileNum has 20 before 0 .80 columns.; expected the least value first"):
        read_scaling(copy)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.T, r"soil_profile_info has shape \(40, 7\), expected \(7, n\). The axes are exchanged"),
        (lambda t: t[:, :6], r"soil_profile_info has shape \(6, 40\), expected \(7, n\)"),
        (lambda t: t[:, [0, 1, 2, 4, 3, 5, 6]], "lon runs from .* Columns exchanged"),
        (lambda t: np.column_stack([t[:, :3], t[:, 3] % 360, t[:, 4:]]), "lon runs from .* from 0 to 360"),
        (lambda t: np.vstack([t, t[:1]]), "profile_id 1000 in row 40 .from 0. is missing or occurs a second time"),
    ],
)  # fmt: skip
def test_a_table_of_profiles_that_is_not_as_described_is_told(spoil, message, copy):
    table = profile_table()
    table[35, 4] = 60.0
    table[0, 3] = -118.0
    write_nc(copy / layout.PROFILES, "soil_profile_info", spoil(table))
    with pytest.raises(InputError, match=message):
        read_archive_profiles(copy)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t * np.where(np.arange(9) < 5, np.where(np.arange(9) > 1, 0.01, 1), 1), "Depths in metres"),
        (lambda t: t * np.where(np.arange(9) == 6, 1e-3, 1), "expected thousands of g C m-3. In kg"),
        (lambda t: t[:, [0, 1, 2, 4, 3, 5, 6, 7, 8]], "layers have their node outside their bounds"),
    ],
)  # fmt: skip
def test_a_table_of_layers_that_is_not_as_described_is_told(spoil, message, copy):
    write_nc(copy / layout.LAYERS, "data_soc_integrate", spoil(layer_table()))
    with pytest.raises(InputError, match=message):
        read_archive_profiles(copy)


def test_a_missing_and_a_broken_off_file_are_told(copy):
    path = copy / layout.GELMAN_RUBIN
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match="not a readable MATLAB file"):
        read_site_results(copy, N)
    path.unlink()
    with pytest.raises(InputError, match="no such file; expected it in the unpacked archive"):
        read_site_results(copy, N)
    with pytest.raises(InputError, match="no folder 'wosis_2019_snap_shot'"):
        read_archive_profiles(copy.parent / "elsewhere")


def test_a_network_file_of_another_length_or_another_kind_of_number_is_told(copy):
    path = copy / layout.NETWORK.format(what="para_result", run=4)
    text = path.read_text()
    path.write_text(text[: text.rindex("\n", 0, -1) + 1])
    with pytest.raises(InputError, match="32 rows of parameters for 33 sites"):
        read_network_results(copy, N)
    path.write_text(text.replace(",", ";"))
    with pytest.raises(InputError, match="1 columns, expected 21"):
        read_network_results(copy, N)


def test_fields_that_are_not_as_described_are_told(copy):
    path = write_field(copy, "TSOI")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        read_field(copy, "TSOI", np.array([100]), np.array([120]))
    scipy.io.savemat(path, {"var_record_monthly_mean": np.zeros((2, 2))})
    with pytest.raises(InputError, match="expected MATLAB's version 7.3"):
        read_field(copy, "TSOI", np.array([100]), np.array([120]))
    with h5py.File(path, "w") as file:
        file["var_record_monthly_mean"] = h5py.Empty("f8")
    with h5py.File(path, "w") as file:
        file.create_dataset("var_record_monthly_mean", (384, 576, 20, 12), "f4")
    with pytest.raises(InputError, match="Axes in the order of Python"):
        read_field(copy, "TSOI", np.array([100]), np.array([120]))
    with h5py.File(path, "w") as file:
        file.create_dataset("var_record_monthly_mean", (12, 20, 576, 384), "f4", fillvalue=15.0, chunks=(12, 20, 8, 8))
    with pytest.raises(InputError, match="TSOI is 15 K somewhere, expected 180 to 350"):
        read_field(copy, "TSOI", np.array([100]), np.array([120]))


@pytest.mark.parametrize("configuration", [PAPER, CESM2])
def test_a_field_without_a_single_value_is_told(copy, configuration):
    write_field(copy, "TSOI", land=lambda row, column: row < 0)
    lon, lat = (axis[:30] for axis in places())
    with pytest.raises(InputError, match=r"TSOI\.mat: no value at any of the 30 places"):
        archive_forcing(copy, lon, lat, configuration)


def test_fields_in_degrees_celsius_and_depths_in_centimetres_are_told(copy):
    lon, lat = (axis[:30] for axis in places())
    for name, turned, told in (
        ("ALTMAX", lambda values: 0 * values + 3500, "ALTMAX is .* m somewhere, expected 0 to 100"),
        ("TSOI", lambda values: values - 273.15, "TSOI is .* K somewhere, expected 180 to 350"),
    ):
        for needed in ("TSOI", "SOILPSI", "ALTMAX"):
            path = copy / layout.FIELD.format(name=needed)
            path = path if path.exists() else write_field(copy, needed)
        with h5py.File(copy / layout.FIELD.format(name=name), "r+") as file:
            stored = file["var_record_monthly_mean"]
            stored[..., 96:168, 72:144] = turned(stored[..., 96:168, 72:144])
        with pytest.raises(InputError, match=told):
            archive_forcing(copy, lon, lat, PAPER)


def test_the_example_of_the_readme_sets_the_groups_results_beside_the_profiles(tmp_path, monkeypatch):
    readme = (repository_root() / "data" / "README.md").read_text()
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "group_results" in block)
    (tmp_path / "data" / "raw" / "binn").mkdir(parents=True)
    write_archive(tmp_path / "data" / "raw" / "binn", fields=())
    monkeypatch.chdir(tmp_path)
    made = {}
    exec(example, made)
    group = made["group"]
    # As `write_archive` says: site 3 has not converged, site 6 does not fit, 9 and 24 are not eligible, from 30 on is
    # Europe.
    kept = [f"{1000 + 7 * i}" for i in range(30) if i not in (3, 6, 9, 24)]
    assert group.sites.index[group.sites["kept"]].tolist() == kept
    assert group.account["profiles_after"].iloc[-1] == len(kept)
    np.testing.assert_allclose(group.sites.loc["1021", ["gelman_rubin", "r2"]].astype(float), [1.2, 0.8])
    # The made networks predict (number from 1) / 50 + 0.01 x (parameter) for each profile.
    third = list(CESM2_PARAMETERS.names)[2]
    np.testing.assert_allclose(group.parameters.loc["1007", third], 2 / 50 + 0.02)
    # Row 4 lacks a covariate, and the cells east of the Atlantic are beyond the box.
    assert set(made["cells"].rows) <= set(range(30)) - {4}
    inputs = made["inputs"]
    assert inputs["BIO1"].between(0, 1).all() and (inputs["ESA_Land_Cover"] == made["cells"].rows).all()


def test_profiles_are_joined_to_the_groups_results_by_row_whatever_their_order(copy):
    order = np.arange(N)[::-1]
    write_nc(copy / layout.PROFILES, "soil_profile_info", profile_table()[order])
    sites = group_results(copy).sites
    assert sites.loc[sites["gelman_rubin"] > 1.05, "archive_row"].tolist() == [3]
    assert sites.index[3] == f"{1000 + 7 * (N - 1 - 3)}"
