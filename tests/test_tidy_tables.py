"""Raw tables are read in the package's units, and whatever is wrong with them is named with its file."""

import numpy as np
import pandas as pd
import pytest

from proda.data.grid import cell_area
from proda.data.readers.tidy import grid_covariates, read_grid_table, read_profile_tables
from proda.errors import InputError


def profile_rows(n: int = 12) -> pd.DataFrame:
    ids = [f"p{i}" for i in range(n)]
    return pd.DataFrame({"profile_id": ids, "lon": -100.1, "lat": 40.1, "source": "S", "year": 2001.0})


def layer_rows(n: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    carbon, density = rng.uniform(0.5, 4, n), rng.uniform(0.9, 1.6, n)
    return pd.DataFrame(
        {
            "profile_id": [f"p{i}" for i in range(n)],
            "layer": 1,
            "upper_depth_m": 0.0,
            "lower_depth_m": 0.2,
            "oc_percent": carbon,
            "bulk_density_g_cm3": density,
            "coarse_fraction": 0.1,
            "ph": 6.5,
            "soc_kg_m3": carbon * 10 * density * 0.9,
        }
    )


def grid_rows() -> pd.DataFrame:
    driver = {
        "land_fraction": 1.0, "cell_area_m2": float(cell_area(40.25)),
        "mean_annual_temperature_degC": 10.0, "precipitation_mm_yr": 700.0,
        "clm5_npp_gC_m2_yr": 300.0, "npp_gC_m2_yr": 400.0, "sand_fraction": 0.4, "clay_fraction": 0.2,
        "water_wilting_m3_m3": 0.15, "water_field_capacity_m3_m3": 0.26, "water_saturation_m3_m3": 0.44,
        "igbp_land_cover": 10, "koppen_class": 6, "ref_whrc_soc_0_30cm_kg_m2": 5.0,
    }  # fmt: skip
    return pd.DataFrame([{"lon": lon, "lat": 40.25} | driver for lon in (-100.25, -99.75)])


@pytest.fixture
def folder(tmp_path):
    def written(profiles=None, layers=None, grid=None):
        for name, table, default in (
            ("profiles.csv", profiles, profile_rows),
            ("layers.csv", layers, layer_rows),
            ("grid_half_degree.csv", grid, grid_rows),
        ):
            (default() if table is None else table).to_csv(tmp_path / name, index=False)
        return tmp_path

    return written


def test_carbon_is_read_in_grams_per_cubic_metre(folder):
    tables = read_profile_tables(folder())
    np.testing.assert_allclose(tables.layers["soc"], 1000 * layer_rows()["soc_kg_m3"])


def test_missing_carbon_by_volume_is_computed_where_a_density_is_known(folder):
    layers = layer_rows()
    expected = layers["soc_kg_m3"].to_numpy() * 1000
    layers.loc[[3, 4], "soc_kg_m3"] = np.nan
    layers.loc[4, "bulk_density_g_cm3"] = np.nan
    soc = read_profile_tables(folder(layers=layers)).layers["soc"].to_numpy()
    assert soc[3] == pytest.approx(expected[3])
    assert np.isnan(soc[4])


def test_ph_is_read_where_it_is_given(folder):
    assert (read_profile_tables(folder()).layers["ph"] == 6.5).all()
    assert read_profile_tables(folder(layers=layer_rows().drop(columns="ph"))).layers["ph"].isna().all()


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder.*--data DIR"):
        read_profile_tables(tmp_path / "nowhere")


def test_a_missing_file_is_named(folder):
    path = folder()
    (path / "layers.csv").unlink()
    with pytest.raises(InputError, match=r"layers\.csv: no such file"):
        read_profile_tables(path)


@pytest.mark.parametrize(
    ("table", "rows", "column"),
    [("profiles", profile_rows, "lon"), ("layers", layer_rows, "upper_depth_m"), ("grid", grid_rows, "npp_gC_m2_yr")],
)
def test_a_missing_column_is_named_with_its_file(folder, table, rows, column):
    path = folder(**{table: rows().drop(columns=column)})
    with pytest.raises(InputError, match=rf"{table}\w*\.csv: no column {column}; it has"):
        read_profile_tables(path)
        read_grid_table(path)


def test_an_empty_table_is_named(folder):
    with pytest.raises(InputError, match=r"layers\.csv: the table is empty: it has a header but no rows"):
        read_profile_tables(folder(layers=layer_rows().iloc[:0]))


def test_an_empty_file_is_named(folder):
    path = folder()
    (path / "profiles.csv").write_text("")
    with pytest.raises(InputError, match=r"profiles\.csv: the file is empty"):
        read_profile_tables(path)


def test_text_in_a_column_of_numbers_is_named_with_its_line(folder):
    layers = layer_rows().astype({"soc_kg_m3": object})
    layers.loc[2, "soc_kg_m3"] = "trace"
    with pytest.raises(InputError, match=r"layers\.csv, line 4: soc_kg_m3 is 'trace', expected a number"):
        read_profile_tables(folder(layers=layers))


@pytest.mark.parametrize(
    ("table", "column", "value", "told"),
    [
        ("layers", "soc_kg_m3", "27,5", "expected a number.*A decimal comma"),
        ("layers", "oc_percent", "2,5", "expected a number.*A decimal comma"),
        ("layers", "oc_percent", "{2.5}", "expected a number.*in braces"),
        ("layers", "bulk_density_g_cm3", "1,3", "expected a number.*A decimal comma"),
        ("layers", "coarse_fraction", "0,2", "expected a number.*A decimal comma"),
        ("layers", "coarse_fraction", "20", "expected 0 to 1.*percent. Divide by 100"),
        ("layers", "ph", "7,8", "expected a number.*A decimal comma"),
        ("layers", "ph", "78", "expected 0 to 14.*x 10"),
        ("profiles", "lat", "40,1", "expected a number.*A decimal comma"),
        ("profiles", "year", "about 1980", "expected a number"),
        ("profiles", "coord_uncertainty_km", "1,5", "expected a number.*A decimal comma"),
        ("grid", "npp_gC_m2_yr", "400,5", "expected a number.*A decimal comma"),
    ],
)
def test_what_is_no_number_is_told_in_columns_that_must_and_in_those_that_may_be_there(
    folder, table, column, value, told
):
    rows = {"profiles": profile_rows, "layers": layer_rows, "grid": grid_rows}[table]()
    rows = rows.assign(coord_uncertainty_km=1.0) if table == "profiles" else rows
    rows = rows.astype({column: object})
    rows.loc[1, column] = value
    given = folder(**{table: rows})
    with pytest.raises(InputError, match=rf"\.csv, line 3: {column} is '?{value}'?, {told}"):
        read_grid_table(given) if table == "grid" else read_profile_tables(given)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda rows: [*rows[:3], rows[3].rsplit(",", 2)[0], *rows[4:]], 4),  # a line cut short
        (lambda rows: [*rows[:3], rows[3] + ",7", *rows[4:]], 4),
        (lambda rows: [rows[0], *("x," + row for row in rows[1:])], 2),  # a column without a name in front
        (lambda rows: [rows[0], *(row + "," for row in rows[1:])], 2),
        (lambda rows: [rows[0], *(row.replace(".", ",") for row in rows[1:])], 2),  # decimal commas without quotes
    ],
)
@pytest.mark.parametrize("name", ["layers.csv", "profiles.csv", "grid_half_degree.csv"])
def test_a_line_with_more_or_fewer_fields_than_the_header_is_named(folder, name, change, line):
    path = folder() / name
    rows = path.read_text().splitlines()
    while len(rows) < 5:  # the small grid
        rows.append(rows[-1])
    path.write_text("\n".join(change(rows)) + "\n")
    read = read_grid_table if name.startswith("grid") else read_profile_tables
    with pytest.raises(InputError, match=rf"{name}, line {line}: \d+ fields, expected \d+ as in the header.*shifted"):
        read(path.parent)


def test_a_table_that_is_not_utf_8_is_told(folder):
    path = folder(profiles=profile_rows().assign(source="Böden")) / "profiles.csv"
    path.write_bytes(path.read_text().encode("latin-1"))
    with pytest.raises(InputError, match=r"profiles\.csv: not UTF-8 text"):
        read_profile_tables(path.parent)


def test_carbon_by_mass_in_its_own_column_is_explained(folder):
    layers = layer_rows().rename(columns={"soc_kg_m3": "soc_g_kg"})
    with pytest.raises(InputError, match="'soc_g_kg'.*expected soc_kg_m3.*Multiply g/kg by bulk density"):
        read_profile_tables(folder(layers=layers))


def test_carbon_by_mass_under_the_name_of_carbon_by_volume_is_found(folder):
    layers = layer_rows()
    layers["soc_kg_m3"] = 10 * layers["oc_percent"]
    with pytest.raises(InputError, match=r"layers\.csv: soc_kg_m3 is .* times.*values in g per kg"):
        read_profile_tables(folder(layers=layers))


@pytest.mark.parametrize("given", [True, False])
def test_grams_per_kilogram_under_the_name_of_percent_are_found_by_the_density_of_rich_soils(folder, given):
    layers = layer_rows(60)
    layers["oc_percent"] *= 10
    layers["soc_kg_m3"] = 10 * layers["oc_percent"] * layers["bulk_density_g_cm3"] * 0.9 if given else np.nan
    with pytest.raises(InputError, match=r"layers with oc_percent of 8 and above .*expected below 1\.15: .*by 10"):
        read_profile_tables(folder(layers=layers))


def test_without_densities_grams_per_kilogram_are_found_by_more_carbon_than_organic_matter_holds(folder):
    layers = layer_rows(60).assign(bulk_density_g_cm3=np.nan, soc_kg_m3=np.nan)
    layers.loc[:3, "oc_percent"] = 8.0  # a little peat of 80 g per kg
    read_profile_tables(folder(layers=layers))
    with pytest.raises(InputError, match="have oc_percent above 80, expected at most 60: values in g per kg"):
        read_profile_tables(folder(layers=layers.assign(oc_percent=10 * layers["oc_percent"])))


def test_a_study_of_peat_is_not_taken_for_another_unit(folder):
    peat = layer_rows(60).assign(oc_percent=45.0, bulk_density_g_cm3=0.15, soc_kg_m3=450 * 0.15 * 0.9)
    assert len(read_profile_tables(folder(layers=peat)).layers) == 60


def test_carbon_in_grams_per_cubic_metre_is_found(folder):
    with pytest.raises(InputError, match=r"soc_kg_m3 is 1e\+03 times.*another unit"):
        read_profile_tables(folder(layers=layer_rows().assign(soc_kg_m3=lambda t: 1000 * t["soc_kg_m3"])))


@pytest.mark.parametrize(
    ("factor", "remedy"),
    [
        (1e-3, r"g per cm3\? Multiply by 1000"),
        (1e3, r"g per m3\? Divide by 1000"),
        (1 / 40, r"percent of the mass\? That is oc_percent"),
    ],
)
def test_carbon_in_another_unit_is_found_without_columns_to_compare_with(folder, factor, remedy):
    layers = layer_rows().drop(columns=["oc_percent", "bulk_density_g_cm3"])
    layers["soc_kg_m3"] *= factor
    with pytest.raises(InputError, match=rf"layers\.csv: the median of soc_kg_m3 is .*expected 1 to 200.*{remedy}"):
        read_profile_tables(folder(layers=layers))


def test_single_layers_without_carbon_or_full_of_it_are_left_to_cleaning(folder):
    layers = layer_rows()
    layers.loc[[0, 1, 2], "soc_kg_m3"] = [0.0, 400.0, np.nan]
    layers = layers.drop(columns=["oc_percent"])
    assert len(read_profile_tables(folder(layers=layers)).layers) == len(layers)


def test_depths_in_centimetres_are_found(folder):
    with pytest.raises(InputError, match="median of lower_depth_m is 20.*centimetres"):
        read_profile_tables(folder(layers=layer_rows().assign(lower_depth_m=20.0)))


def test_depths_positive_up_are_found(folder):
    with pytest.raises(InputError, match="median of lower_depth_m is -0.2.*positive down"):
        read_profile_tables(folder(layers=layer_rows().assign(lower_depth_m=-0.2)))


def test_the_uncertainty_of_a_position_is_read_in_metres(folder):
    tables = read_profile_tables(folder(profiles=profile_rows().assign(coord_uncertainty_km=1.5)))
    assert (tables.profiles["position_uncertainty"] == 1500).all()


@pytest.mark.parametrize(
    ("column", "value", "guess"),
    [
        ("mean_annual_temperature_degC", 283.15, "kelvin"),
        ("sand_fraction", 40.0, "percent"),
        ("npp_gC_m2_yr", 1.3e-5, "per second"),
        ("precipitation_mm_yr", 2.0, "per day"),
        ("cell_area_m2", 2300.0, "square kilometres"),
    ],
)
def test_a_driver_in_another_unit_is_found(folder, column, value, guess):
    with pytest.raises(InputError, match=f"grid_half_degree.csv: the median of {column}.*{guess}"):
        read_grid_table(folder(grid=grid_rows().assign(**{column: value})))


@pytest.mark.parametrize("value", [97.0, 0.0, -0.1, np.nan])
def test_a_share_of_land_that_is_no_share_is_named_with_its_line(folder, value):
    grid = grid_rows()
    grid.loc[1, "land_fraction"] = value
    with pytest.raises(
        InputError, match=rf"degree\.csv, line 3: land_fraction is {value:g}, expected above 0 and at most 1"
    ):
        read_grid_table(folder(grid=grid))


@pytest.mark.parametrize("factor", [0.5, 1.03, np.nan])
def test_an_area_that_is_not_that_of_its_cell_is_named_with_its_line(folder, factor):
    grid = grid_rows()
    grid.loc[1, "cell_area_m2"] *= factor
    with pytest.raises(
        InputError, match=r"degree\.csv, line 3: cell_area_m2 is .*, expected 2\.359e\+09 m2 within 2 %"
    ):
        read_grid_table(folder(grid=grid))


def test_areas_on_the_ellipsoid_are_accepted(folder):
    assert len(read_grid_table(folder(grid=grid_rows().assign(cell_area_m2=lambda t: 1.009 * t["cell_area_m2"])))) == 2


def test_a_position_that_is_no_cell_centre_is_found(folder):
    grid = grid_rows()
    grid.loc[1, "lon"] = -99.5
    with pytest.raises(InputError, match=r"line 3: the cell is at -99.5, 40.25; expected centres of half-degree"):
        read_grid_table(folder(grid=grid))


def test_a_cell_that_is_listed_twice_is_found(folder):
    with pytest.raises(InputError, match="line 3.*expected every cell once"):
        read_grid_table(folder(grid=grid_rows().assign(lon=-100.25)))


def test_an_identifier_that_occurs_twice_is_named_with_its_line(folder):
    with pytest.raises(InputError, match="line 3: profile_id 'p0' occurs a second time"):
        read_profile_tables(folder(profiles=profile_rows().assign(profile_id="p0")))


def test_longitudes_from_0_to_360_are_found(folder):
    with pytest.raises(InputError, match="median of lon is 259.9.*Subtract 360"):
        read_profile_tables(folder(profiles=profile_rows().assign(lon=259.9)))


def test_longitude_and_latitude_exchanged_are_found(folder):
    with pytest.raises(InputError, match="median of lat is -100.1, expected -90 to 90.*exchange the columns"):
        read_profile_tables(folder(profiles=profile_rows().assign(lon=40.1, lat=-100.1)))


def test_a_grid_with_longitude_and_latitude_exchanged_is_found(folder):
    with pytest.raises(InputError, match=r"degree\.csv, line 2: lat is -100\.2.*lon and lat exchanged"):
        read_grid_table(folder(grid=grid_rows().rename(columns={"lon": "lat", "lat": "lon"})))


def test_reference_maps_and_positions_are_no_covariates(folder):
    covariates = grid_covariates(read_grid_table(folder()))
    assert len(covariates.columns) == 11
    assert not [name for name in covariates if name.startswith("ref_") or name in ("lon", "lat", "land_use")]
