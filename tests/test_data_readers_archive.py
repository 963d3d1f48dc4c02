"""The public archive is read as it was written: every join by its own rule, every value at its own place."""

import tracemalloc

import h5py
import numpy as np
import pytest
import scipy.io
from small_archive import N, field_value, layer_table, places, profile_table, write_archive, write_field, write_nc

from proda.data.forcing import has_forcing
from proda.data.readers import archive
from proda.data.readers import archive as layout
from proda.data.readers.archive import archive_cells
from proda.errors import InputError
from proda.model.configuration import CESM2, CESM2_COLUMN, PAPER, PAPER_COLUMN, validated

LON, LAT = (axis[:30] for axis in places())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("Archiv für Böden"))


@pytest.fixture
def copy(tmp_path):
    """An archive without fields that a test may spoil."""
    return write_archive(tmp_path, fields=())


def test_profiles_and_layers_come_in_metres_and_grams_with_the_row_they_stand_in(root):
    profiles, layers = archive.read_archive_profiles(root.parent.parent)
    assert profiles["archive_row"].tolist() == list(range(N))
    assert profiles["profile_id"].tolist() == [str(1000 + 7 * i) for i in range(N)]
    np.testing.assert_allclose(profiles["lon"], places()[0])
    assert profiles["year"].tolist()[1] == 2007 and np.isnan(profiles["year"][0])
    third = layers[layers["profile_id"] == "1014"]
    assert third["upper_depth"].tolist() == [0.0, 0.1, 0.3] and third["lower_depth"].tolist() == [0.1, 0.3, 1.0]
    assert third["layer"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(third["soc"], 20000 * np.exp(-0.02 * np.array([5, 20, 65])) + 1014)
    assert len(layers) == 3 * N and layers["soc"].isna().sum() == 1  # missing carbon is left for cleaning to count


def test_environment_has_the_81_columns_and_the_rows_of_the_profiles(root):
    assert len(layout.ENVIRONMENT_COLUMNS) == len(set(layout.ENVIRONMENT_COLUMNS)) == 81
    assert len(layout.GRID_ENVIRONMENT_COLUMNS) == 77
    table = archive.read_site_environment(root)
    assert table.loc[12, "BIO1"] == 12 + 0.18 and table.loc[12, "nbedrock"] == 12 + 0.79
    assert archive.read_grid_environment(root).loc[12, "BIO1"] == 12 + 0.18
    assert table.isna().to_numpy().sum() == 1  # missing stays missing


def test_a_place_takes_the_nearest_row_and_column_and_the_first_on_ties():
    lon_grid, lat_grid = np.linspace(-179.6875, 179.6875, 576), np.linspace(89.765625, -89.765625, 384)
    random = np.random.default_rng(1)
    lon, lat = random.uniform(-180, 180, 500), random.uniform(-90, 90, 500)
    row, column = archive_cells(lon, lat)
    assert row.tolist() == [int(np.abs(lat_grid - y).argmin()) for y in lat]
    assert column.tolist() == [int(np.abs(lon_grid - x).argmin()) for x in lon]
    assert archive_cells([0.0], [0.0]) == (191, 287)  # between two rows and two columns: the northern, the western
    assert archive_cells([-180.0, 180.0], [10, 10])[1].tolist() == [0, 575]


def test_forcing_is_that_of_each_place_and_the_input_a_column_total(root):
    forcing, findings, _ = archive.archive_forcing(root, LON, LAT)
    forcing = validated(forcing, CESM2)
    row, column = archive_cells(LON, LAT)
    layer, month = np.arange(20)[:, None, None], np.arange(12)[:, None]
    np.testing.assert_allclose(forcing.soil_temperature, field_value("TSOI", row, column, layer, month), rtol=1e-6)
    np.testing.assert_allclose(forcing.water_scalar, field_value("W_SCALAR", row, column, layer, month), rtol=1e-6)
    np.testing.assert_allclose(forcing.active_layer, field_value("ALTMAX", row, column, 0, month), rtol=1e-6)
    np.testing.assert_array_equal(forcing.bedrock, np.minimum(field_value("nbedrock", row, column, 0, 0), 20))
    thickness = CESM2_COLUMN.thickness[:, None, None]
    for kind, name in enumerate(archive.INPUTS):
        total = (thickness * field_value(name, row, column, layer, month)).sum(axis=0)
        np.testing.assert_allclose(forcing.carbon_input[kind], total, rtol=1e-6)
    assert findings.set_index("variable").loc["TSOI", ["unit", "missing"]].tolist() == ["K", 0]


def test_the_papers_configuration_takes_annual_means_at_its_own_depths(root):
    forcing, _, comment = archive.archive_forcing(root, LON, LAT, PAPER, npp_multiples=(0.8, 1.5))
    forcing = validated(forcing)
    row, column = archive_cells(LON, LAT)
    # The made fields are linear in month and layer number.
    month = np.average(np.arange(12), weights=[31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    layer = np.interp(PAPER_COLUMN.node, CESM2_COLUMN.node, np.arange(20))[:, None]
    np.testing.assert_allclose(forcing.soil_temperature, field_value("TSOI", row, column, layer, month), rtol=1e-6)
    np.testing.assert_allclose(forcing.water_potential, field_value("SOILPSI", row, column, layer, month), rtol=1e-5)
    npp = field_value("NPP", row, column, 0, month) * 365 * 86400
    np.testing.assert_allclose(forcing.npp_mean, npp, rtol=1e-5)
    np.testing.assert_allclose(forcing.npp_max / forcing.npp_min, 1.5 / 0.8, rtol=1e-12)
    assert "0.8 to 1.5 times its mean" in comment


def test_a_place_off_the_land_is_missing_and_a_field_is_not_read_as_a_whole(root):
    tracemalloc.start()
    forcing, findings, _ = archive.archive_forcing(root, [-100.0, 10.0], [40.0, 50.0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # a whole field takes 425 MB in double precision
    assert has_forcing(forcing).tolist() == [True, False]
    assert findings.set_index("variable").loc["ALTMAX", "missing"] == 12


def test_an_environment_shifted_by_a_row_is_an_error(copy):
    path = copy / layout.SITE_ENVIRONMENT
    scipy.io.savemat(path, {"EnvInfo": np.roll(scipy.io.loadmat(path)["EnvInfo"], 1, axis=0)})
    with pytest.raises(InputError, match="40 rows, expected one for each of the 40 profiles .* differs in 40"):
        archive.read_site_environment(copy)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.T, r"soil_profile_info has shape \(7, 40\), expected 7 columns. Transposed"),
        (lambda t: t[:, [0, 1, 2, 4, 3, 5, 6]], "row .*: lat is .*, expected -90 to 90.* Columns exchanged"),
        (lambda t: np.where(np.arange(7) == 3, t % 360, t), "row .*: lon is .*, expected -180 to 180.* From 0 to"),
        (lambda t: np.vstack([t, t[:1]]), "row 40: profile_id .*1000.* occurs a second time"),
    ],
)
def test_a_table_of_profiles_that_is_not_as_described_is_an_error(spoil, message, copy):
    table = profile_table()
    table[0, 3] = -118.0
    write_nc(copy / layout.PROFILES, "soil_profile_info", spoil(table))
    with pytest.raises(InputError, match=message):
        archive.read_archive_profiles(copy)


@pytest.mark.parametrize(
    ("column", "factor", "message"), [(3, 0.01, "Depths in metres"), (6, 1e-3, "expected 200 to 200000 g C m-3. In kg")]
)
def test_layers_in_another_unit_are_an_error(column, factor, message, copy):
    write_nc(copy / layout.LAYERS, "data_soc_integrate", layer_table() * np.where(np.arange(9) == column, factor, 1))
    with pytest.raises(InputError, match=message):
        archive.read_archive_profiles(copy)


def test_missing_and_broken_files_are_errors_with_their_names(copy):
    path = copy / layout.SITE_ENVIRONMENT
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match="env_info.mat: no readable 'EnvInfo'"):
        archive.read_site_environment(copy)
    with pytest.raises(InputError, match="TSOI.mat: no readable .*MATLAB 7.3 file"):
        archive.archive_forcing(copy, LON, LAT, PAPER)
    with h5py.File(write_field(copy, "TSOI"), "w") as file:
        file.create_dataset("var_record_monthly_mean", (384, 576, 20, 12), "f4")
    with pytest.raises(InputError, match="stored with shape .384, 576, 20, 12., expected"):
        archive.archive_forcing(copy, LON, LAT, PAPER)
    with pytest.raises(InputError, match="0 folders 'wosis_2019_snap_shot'"):
        archive.read_archive_profiles(copy.parent / "elsewhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values * np.nan, r"TSOI\.mat: TSOI has no value at any of the 30 places"),
        (lambda values: values - 273.15, "TSOI is .* K, expected 180 to 350 .100.00% of"),
    ],
)
def test_a_field_without_a_value_or_in_another_unit_is_an_error(copy, change, message):
    with h5py.File(write_field(copy, "TSOI"), "r+") as file:
        stored = file["var_record_monthly_mean"]
        stored[..., 96:168, 72:144] = change(stored[..., 96:168, 72:144])
    with pytest.raises(InputError, match=message):
        archive.archive_forcing(copy, LON, LAT, PAPER)
