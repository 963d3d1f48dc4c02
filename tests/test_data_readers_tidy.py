"""Tidy tables are read in the package's units; what is wrong is named with its line."""

import re

import numpy as np
import pandas as pd
import pytest
from small_tables import grid_rows

from proda.data.readers.tidy import grid_covariates, read_grid_table, read_profile_tables
from proda.errors import InputError


def profile_rows(n: int = 12) -> pd.DataFrame:
    ids = [f"p{i}" for i in range(n)]
    return pd.DataFrame({"profile_id": ids, "lon": -100.1, "lat": 40.1, "source": "S", "year": 2001.0})


def layer_rows(n: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    layers = pd.DataFrame({"profile_id": [f"p{i}" for i in range(n)], "layer": 1, "upper_depth_m": 0.0})
    layers = layers.assign(lower_depth_m=0.2, oc_percent=rng.uniform(0.5, 4, n), coarse_fraction=0.1, ph=6.5)
    density = rng.uniform(0.9, 1.6, n)
    return layers.assign(bulk_density_g_cm3=density, soc_kg_m3=layers["oc_percent"] * 10 * density * 0.9)


@pytest.fixture
def folder(tmp_path):
    def written(**given):
        tables = {"profiles": profile_rows(), "layers": layer_rows(), "grid_half_degree": grid_rows()} | given
        for name, table in tables.items():
            table.to_csv(tmp_path / f"{name}.csv", index=False)
        return tmp_path

    return written


def test_carbon_ph_and_positions_are_read_in_grams_per_cubic_metre_and_metres(folder):
    tables = read_profile_tables(folder(profiles=profile_rows().assign(coord_uncertainty_km=1.5)))
    np.testing.assert_allclose(tables.layers["soc"], 1000 * layer_rows()["soc_kg_m3"])
    assert (tables.profiles["position_uncertainty"] == 1500).all() and (tables.layers["ph"] == 6.5).all()
    assert read_profile_tables(folder(layers=layer_rows().drop(columns="ph"))).layers["ph"].isna().all()


def test_missing_carbon_by_volume_is_computed_where_a_density_is_known(folder):
    layers = layer_rows()
    expected = layers["soc_kg_m3"].to_numpy() * 1000
    layers.loc[[3, 4], "soc_kg_m3"] = np.nan
    layers.loc[4, "bulk_density_g_cm3"] = np.nan
    soc = read_profile_tables(folder(layers=layers)).layers["soc"].to_numpy()
    assert soc[3] == pytest.approx(expected[3]) and np.isnan(soc[4])


def test_a_missing_folder_file_or_column_is_named(folder, tmp_path):
    with pytest.raises(InputError, match=r"nowhere/profiles\.csv: no such file.*--data DIR"):
        read_profile_tables(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"layers\.csv: no column soc_kg_m3; it has .*, soc_g_kg"):
        read_profile_tables(folder(layers=layer_rows().rename(columns={"soc_kg_m3": "soc_g_kg"})))


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("layers", "soc_kg_m3", "trace", "expected a number"),
        ("layers", "coarse_fraction", "20", "expected 0 to 1.*percent. Divide by 100"),
        ("layers", "ph", "78", "expected 0 to 14.*x 10"),
        ("layers", "layer", "1.5", "expected a whole number.*from 1"),
        ("layers", "layer", "-0.5", "expected a whole number"),
        ("profiles", "source", "NA", "expected one in every row"),
        ("profiles", "year", "-9999", "expected 1700 to 2100. A fill value. Leave the field empty"),
        ("layers", "bulk_density_g_cm3", "-9999", "expected at least 0. A fill value"),
        ("grid_half_degree", "mean_annual_temperature_degC", "-80", "expected -70 to 60. A fill value"),
        ("grid_half_degree", "water_wilting_m3_m3", "-999", "expected 0 to 1. A fill value"),
        ("grid_half_degree", "ref_whrc_soc_0_30cm_kg_m2", "-3.4e+38", "expected 0 to 1000. A fill value"),
        ("profiles", "lat", "40,1", "expected a number.*A decimal comma"),
        ("profiles", "profile_id", "p0", "occurs a second time"),
        ("grid_half_degree", "npp_gC_m2_yr", "400,5", "expected a number.*A decimal comma"),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_named_with_its_line(folder, table, column, value, message):
    rows = {"profiles": profile_rows, "layers": layer_rows, "grid_half_degree": grid_rows}[table]()
    rows = rows.astype({column: object})
    rows.loc[1, column] = value
    given = folder(**{table: rows})
    with pytest.raises(InputError, match=rf"\.csv, line 3: {column}.*({re.escape(value)}'?,?|is missing,) {message}"):
        read_grid_table(given) if table == "grid_half_degree" else read_profile_tables(given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(soc_kg_m3=10 * t["oc_percent"]), "soc_kg_m3 is .* times.*values in g per kg"),
        (lambda t: t.assign(soc_kg_m3=3 * t["soc_kg_m3"]), "soc_kg_m3 is 3 times.*another unit"),
        (lambda t: t.assign(soc_kg_m3=1000 * t["soc_kg_m3"]), "of soc_kg_m3 is .*expected 1 to 200.*by 1000"),
        (lambda t: t.assign(lower_depth_m=20.0), "median of lower_depth_m is 20.*centimetres"),
        (lambda t: t.assign(lower_depth_m=-0.2), "median of lower_depth_m is -0.2.*upwards"),
        (
            lambda t: t.assign(oc_percent=30.0, bulk_density_g_cm3=1.3, soc_kg_m3=np.nan),
            r"layers with oc_percent of 8 and above .*expected below 1\.15: .*by 10",
        ),
        (
            lambda t: t.assign(bulk_density_g_cm3=np.nan, soc_kg_m3=np.nan, oc_percent=[70.0, 70.0, *[20.0] * 10]),
            "have oc_percent above .*, expected at most 60: values in g per kg",
        ),
    ],
)  # fmt: skip
def test_layers_in_another_unit_are_an_error_with_the_remedy(folder, change, message):
    with pytest.raises(InputError, match=rf"layers\.csv: .*{message}"):
        read_profile_tables(folder(layers=change(layer_rows())))


def test_peat_and_single_odd_layers_are_left_to_cleaning(folder):
    peat = layer_rows(60).assign(oc_percent=45.0, bulk_density_g_cm3=0.15, soc_kg_m3=450 * 0.15 * 0.9)
    assert len(read_profile_tables(folder(layers=peat)).layers) == 60
    layers = layer_rows().drop(columns=["oc_percent"])
    layers.loc[[0, 1, 2], "soc_kg_m3"] = [0.0, 400.0, np.nan]
    assert len(read_profile_tables(folder(layers=layers)).layers) == len(layers)


def test_positions_in_another_convention_are_an_error(folder):
    with pytest.raises(InputError, match="median of lat is -100.1, expected -90 to 90.*exchange the columns"):
        read_profile_tables(folder(profiles=profile_rows().assign(lon=40.1, lat=-100.1)))


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
def test_a_driver_in_another_unit_is_an_error(folder, column, value, guess):
    with pytest.raises(InputError, match=f"grid_half_degree.csv: the median of {column}.*{guess}"):
        read_grid_table(folder(grid_half_degree=grid_rows().assign(**{column: value})))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("land_fraction", 97.0, "land_fraction is 97, expected above 0 and at most 1"),
        ("land_fraction", np.nan, "land_fraction is missing, expected"),
        ("cell_area_m2", np.nan, "cell_area_m2 is missing, expected"),
        ("cell_area_m2", 1.2e9, r"cell_area_m2 is .*, expected 2\.359e\+09 m2 within 2 %"),
        ("lon", -99.5, "the cell is at -99.5, 40.25; expected lon and lat of centres of half-degree"),
        ("lon", -100.25, "the cell is at -100.25, 40.25; expected every cell once"),
        ("lat", 100.25, "the cell is at -99.75, 100.25; expected"),
        ("lon", 260.25, "the cell is at 260.25, 40.25; expected"),
    ],
)
def test_a_cell_that_is_none_of_the_grid_is_named_with_its_line(folder, column, value, message):
    grid = grid_rows()
    grid.loc[1, column] = value
    with pytest.raises(InputError, match=rf"degree\.csv, line 3: {message}"):
        read_grid_table(folder(grid_half_degree=grid))


def test_areas_on_the_ellipsoid_are_accepted_and_reference_maps_are_no_covariates(folder):
    ellipsoid = grid_rows().assign(cell_area_m2=lambda t: 1.009 * t["cell_area_m2"])
    grid = read_grid_table(folder(grid_half_degree=ellipsoid))
    assert "ref_whrc_soc_0_30cm_kg_m2" in grid
    covariates = grid_covariates(grid)
    assert len(covariates.columns) == 11
    assert not [name for name in covariates if name.startswith("ref_") or name in ("lon", "lat", "land_use")]


@pytest.mark.parametrize(
    ("in_profiles", "in_layers"),
    [("007", "7"), ("7", "007"), ("7", "7.0"), ("P-7", "p7"), ("ab 7", "ab7"), ("NL_7", "NL-7"), ("x", "y")],
)
def test_identifiers_written_in_another_way_are_named_from_both_tables(folder, in_profiles, in_layers):
    ids = pd.Series(range(10, 22)).astype(str)
    written = (profile_rows().assign(profile_id=ids), layer_rows().assign(profile_id=ids))
    for table, name in zip(written, (in_profiles, in_layers), strict=True):
        table.loc[slice(0, 11 if in_layers == "y" else 0), "profile_id"] = name
    if in_layers == "y":
        written[0]["profile_id"] = "x" + ids
    given = folder(profiles=written[0], layers=written[1])
    with pytest.raises(InputError, match=rf"layers of '{in_layers}' have no profile; .* are '{in_profiles}.*alike"):
        read_profile_tables(given)


def test_blanks_around_identifiers_do_not_count_and_layers_of_no_profile_are_left_to_cleaning(folder):
    layers = layer_rows()
    layers["profile_id"] = " " + layers["profile_id"] + "\u00a0"
    layers.loc[3, "profile_id"] = "elsewhere"
    tables = read_profile_tables(folder(layers=layers))
    assert (~tables.layers["profile_id"].isin(tables.profiles["profile_id"])).tolist() == [i == 3 for i in range(12)]
