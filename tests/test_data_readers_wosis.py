"""The three layouts of WoSIS give the same tidy tables, with units, from a folder or a zip."""

import numpy as np
import pandas as pd
import pytest
import wosis_files

from proda.data.readers.wosis import read_wosis_201909, read_wosis_202312, read_wosis_latest
from proda.data.stage import cleaned_study
from proda.errors import InputError
from proda.study import Study

LAYOUTS = {
    "december-2023": (wosis_files.write_december_2023, read_wosis_202312),
    "september-2019": (wosis_files.write_september_2019, read_wosis_201909),
    "latest": (wosis_files.write_latest, read_wosis_latest),
}


@pytest.fixture(scope="module")
def made():
    return wosis_files.made_profiles(60, seed=5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_gives_back_what_was_written_in_metres_and_grams(made, tmp_path, layout):
    write, read = LAYOUTS[layout]
    tables = read(write(made, tmp_path / "höhe, mit Leerzeichen"))
    profiles = tables.profiles.set_index("profile_id").loc[made.profiles["profile_id"].astype(str)]
    np.testing.assert_allclose(profiles["lon"], made.profiles["longitude"])
    np.testing.assert_allclose(profiles["lat"], made.profiles["latitude"])
    assert profiles["state"].tolist() == made.profiles["country_name"].tolist()
    assert profiles["source"].tolist() == ("WoSIS " + made.profiles["dataset_code"]).tolist()
    expected = pd.to_numeric(made.profiles["date"].str[:4]).to_numpy(float)
    np.testing.assert_array_equal(profiles["year"].to_numpy(float), expected)
    layers, truth = tables.layers.set_index("layer").loc[made.layers["layer_id"]], made.layers
    np.testing.assert_allclose(layers["upper_depth"], truth["upper_depth"] / 100)
    np.testing.assert_allclose(layers["lower_depth"], truth["lower_depth"] / 100)
    np.testing.assert_allclose(layers["organic_carbon"], truth["orgc"])
    np.testing.assert_allclose(layers["bulk_density"], truth["bdfi33"].fillna(truth["bdfiod"]))
    np.testing.assert_allclose(layers["coarse_fraction"], truth["cfvo"] / 100)
    np.testing.assert_allclose(layers["ph"], truth["phaq"])


def test_a_zip_gives_the_same_tables_as_its_files_and_profiles_without_carbon_are_listed(made, tmp_path):
    some = made._replace(layers=made.layers[made.layers["profile_id"] % 2 == 0])
    plain = read_wosis_202312(wosis_files.write_december_2023(some, tmp_path / "plain"))
    zipped = read_wosis_202312(wosis_files.write_december_2023(some, tmp_path / "zip", zipped=True))
    pd.testing.assert_frame_equal(plain.layers, zipped.layers)
    pd.testing.assert_frame_equal(plain.profiles, zipped.profiles)
    assert len(plain.profiles) == 60 and plain.layers["profile_id"].nunique() == 30


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7000003", "7000003.5", r"organic carbon, line 5: layer is 7000003\.5, expected a whole number"),
        ("7000003", "", "organic carbon, line 5: layer is missing"),
        ("7000003", '"7000003', "orgc.tsv, line 5: layer_id is '\"7000003', expected a number"),
        ("100000", "0100000", "layers of '0100000' have no profile; the profiles without layers are '100000' and on"),
    ],
)
def test_numbers_and_identifiers_of_layers_that_were_changed_are_named(made, tmp_path, old, new, message):
    folder = wosis_files.write_december_2023(made, tmp_path)
    path = folder / "wosis_202312_orgc.tsv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join("\t".join(new if x == old else x for x in line.split("\t")) for line in lines))
    with pytest.raises(InputError, match=message):
        read_wosis_202312(folder)


def test_the_uncertainty_of_a_position_is_the_greatest_distance_named(made, tmp_path):
    texts = ["< 100 m", "100 m - 1 km", "> 10 km", "250", "unknown", ""]
    profiles = made.profiles.assign(positional_uncertainty=[*texts, *["< 100 m"] * 54])
    layers = made.layers.drop(columns="positional_uncertainty").merge(
        profiles[["profile_id", "positional_uncertainty"]]
    )
    read = read_wosis_202312(wosis_files.write_december_2023(wosis_files.Made(profiles, layers), tmp_path)).profiles
    np.testing.assert_array_equal(read["position_uncertainty"][:6], [100, 1000, np.inf, 250, np.nan, np.nan])


def test_a_layer_flagged_as_litter_or_above_the_surface_is_marked(made, tmp_path):
    layers = made.layers.copy()
    layers.loc[0, "litter"] = "True"
    layers.loc[3, ["upper_depth", "lower_depth"]] = [-5, 0]
    read = read_wosis_202312(wosis_files.write_december_2023(made._replace(layers=layers), tmp_path)).layers
    assert set(read["layer"][read["litter"]]) == set(layers["layer_id"].iloc[[0, 3]])


@pytest.mark.parametrize(
    ("columns", "factor", "message"),
    [
        (["upper_depth", "lower_depth"], 0.01, "median of lower_depth is .*, expected 5 to 400 cm. In metres"),
        (["upper_depth", "lower_depth"], -1, "median of lower_depth is .*Upwards"),
        (["orgc"], 0.1, "median of orgc is .*, expected 2 or above g kg-1"),
        (["orgc"], 1000, "99th percentile of orgc .*mg per kg"),
        (["bdfi33", "bdfiod"], 1000, "In kg per m3.? Divide by 1000"),
        (["cfvo"], 0.01, "fraction.? Multiply by 100"),
        (["phaq"], 10, "median of phaq is .*pH x 10.? Divide by 10"),
    ],
)
def test_a_column_in_another_unit_is_an_error_with_the_remedy(made, tmp_path, columns, factor, message):
    layers = made.layers.copy()
    layers[columns] = layers[columns] * factor
    with pytest.raises(InputError, match=message):
        read_wosis_202312(wosis_files.write_december_2023(made._replace(layers=layers), tmp_path))


def test_longitude_and_latitude_that_are_exchanged_are_errors(made, tmp_path):
    names = {"longitude": "latitude", "latitude": "longitude"}
    exchanged = wosis_files.Made(made.profiles.rename(columns=names), made.layers.rename(columns=names))
    with pytest.raises(InputError, match=r"percentile of \|latitude\| is .*, expected 0 to 90 degrees.*exchanged"):
        read_wosis_202312(wosis_files.write_december_2023(exchanged, tmp_path))


def test_an_identifier_of_two_profiles_or_positions_is_named(made, tmp_path):
    twice = made._replace(profiles=pd.concat([made.profiles, made.profiles.iloc[:1]]))
    moved = made._replace(layers=made.layers.assign(longitude=lambda t: t["longitude"].where(t.index > 0, 3.0)))
    for layout, given in (("september-2019", twice), ("latest", moved)):
        write, read = LAYOUTS[layout]
        with pytest.raises(InputError, match="profile_id '100000' stands for several profiles"):
            read(write(given, tmp_path / layout))


def test_a_folder_of_another_layout_names_the_layout_to_set_and_a_cut_zip_is_an_error(made, tmp_path):
    folder = wosis_files.write_december_2023(made, tmp_path)
    with pytest.raises(InputError, match=r'no wosis_201909_profiles\.tsv.*set layout = "december-2023"'):
        read_wosis_201909(folder)
    (folder / "all.zip").write_bytes(b"PK cut short")
    with pytest.raises(InputError, match=r"all\.zip: no whole zip file"):
        read_wosis_202312(folder)


def test_an_unknown_layout_lists_the_known_ones(made, tmp_path):
    folder = wosis_files.write_december_2023(made, tmp_path / "data")
    file = tmp_path / "mine.toml"
    file.write_text(Study.open("wosis", data=folder).file.read_text().replace('"december-2023" ', '"2016" '))
    with pytest.raises(InputError, match="layout is '2016', expected one of december-2023, september-2019, latest"):
        cleaned_study(Study.open(file, data=folder, out=tmp_path / "out"))
