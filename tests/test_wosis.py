"""The three layouts of WoSIS give the same tidy tables, with units, from a folder or a zip."""

import numpy as np
import pandas as pd
import pytest
import wosis_files

from proda.data import bulk_density
from proda.data.bulk_density import with_soc_density
from proda.data.readers import wosis
from proda.data.readers.wosis import read_wosis_201909, read_wosis_202312, read_wosis_latest
from proda.data.stage import cleaned_study
from proda.study import Study

LAYOUTS = {
    "december-2023": (wosis_files.write_december_2023, read_wosis_202312),
    "september-2019": (wosis_files.write_september_2019, read_wosis_201909),
    "latest": (wosis_files.write_latest, read_wosis_latest),
}


@pytest.fixture(scope="module")
def made():
    return wosis_files.made_world(60, seed=3)


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


def test_carbon_by_volume_is_carbon_times_density_without_the_stones(made, tmp_path):
    tables = with_soc_density(read_wosis_202312(wosis_files.write_december_2023(made, tmp_path)))
    truth = made.layers.set_index("layer_id").loc[tables.layers["layer"]]
    density = truth["bdfi33"].fillna(truth["bdfiod"])
    expected = truth["orgc"] * density * 1000 * (1 - truth["cfvo"].fillna(0) / 100)
    np.testing.assert_allclose(tables.layers["soc"], expected)
    assert tables.layers["soc"].isna().sum() == density.isna().sum() > 0
    assert (tables.layers["density_relative_sd"] == 0).all()


def test_a_zip_gives_the_same_tables_as_its_files(made, tmp_path):
    plain = read_wosis_202312(wosis_files.write_december_2023(made, tmp_path / "plain"))
    zipped = read_wosis_202312(wosis_files.write_december_2023(made, tmp_path / "zip", zipped=True))
    pd.testing.assert_frame_equal(plain.layers, zipped.layers)
    pd.testing.assert_frame_equal(plain.profiles, zipped.profiles)


def test_a_table_of_many_chunks_is_the_table_of_one(made, tmp_path, monkeypatch):
    folder = wosis_files.write_september_2019(made, tmp_path)
    whole = read_wosis_201909(folder)
    monkeypatch.setattr("proda.data.readers.delimited.BLOCK", 2000)
    pd.testing.assert_frame_equal(read_wosis_201909(folder).layers, whole.layers)


def test_profiles_without_organic_carbon_are_listed_so_that_they_can_be_counted(made, tmp_path):
    some = made._replace(layers=made.layers[made.layers["profile_id"] % 2 == 0])
    tables = read_wosis_202312(wosis_files.write_december_2023(some, tmp_path))
    assert len(tables.profiles) == 60
    assert tables.layers["profile_id"].nunique() == 30


def test_the_average_is_used_where_several_values_stand_in_braces(made, tmp_path):
    folder = wosis_files.write_december_2023(made, tmp_path)
    path = folder / "wosis_202312_orgc.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table.loc[0, ["value", "value_avg"]] = ["{20,30}", "25"]
    table.to_csv(path, sep="\t", index=False)
    assert read_wosis_202312(folder).layers["organic_carbon"].iloc[0] == 25


@pytest.mark.parametrize(
    ("text", "metres"),
    [("< 100 m", 100), ("100 m - 1 km", 1000), ("> 10 km", np.inf), ("250", 250), ("unknown", np.nan), (None, np.nan)],
)
def test_the_uncertainty_of_a_position_is_the_greatest_distance_named(text, metres):
    np.testing.assert_equal(wosis.metres_of(pd.Series([text], dtype="string")).iloc[0], metres)


@pytest.mark.parametrize("flag", ["t", "True", "1"])
def test_a_layer_flagged_as_litter_or_above_the_surface_is_marked(made, tmp_path, flag):
    layers = made.layers.copy()
    layers.loc[0, "litter"] = flag
    layers.loc[3, ["upper_depth", "lower_depth"]] = [-5, 0]
    tables = read_wosis_202312(wosis_files.write_december_2023(made._replace(layers=layers), tmp_path))
    kind = with_soc_density(tables).layers.set_index("layer")["kind"]
    assert set(kind.index[kind == "litter"]) == set(layers["layer_id"].iloc[[0, 3]])


def test_accuracy_in_degrees_becomes_metres(made, tmp_path):
    tables = read_wosis_201909(wosis_files.write_september_2019(made, tmp_path))
    assert tables.profiles["position_uncertainty"].max() == pytest.approx(111_195)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_study_runs_from_a_download_to_tidy_files_and_counts_every_row(made, tmp_path, layout):
    file = tmp_path / "mine.toml"
    text = (Study.open("wosis", data=wosis_files.write_grid(tmp_path / "data", wosis_files.BOXES[:1])).file).read_text()
    file.write_text(text.replace('layout = "december-2023"', f'layout = "{layout}"'))
    LAYOUTS[layout][0](made, tmp_path / "data")
    study = Study.open(file, data=tmp_path / "data", out=tmp_path / "out")
    result = cleaned_study(study)
    home = (made.profiles["country_name"] == "United States of America").sum()
    assert len(result.profiles) == home > 5
    whole = result.exclusions["layer"].isna()
    assert 60 == len(result.profiles) + whole.sum()
    assert len(made.layers) == len(result.layers) + (~whole).sum()
    assert set(result.exclusions["rule"]) == {"outside the domain"}
    truth = made.layers.set_index("layer_id").loc[
        made.layers["layer_id"][made.layers["profile_id"].astype(str).isin(result.profiles["profile_id"])]
    ]
    density = truth["bdfi33"].fillna(truth["bdfiod"])
    estimate, sd = bulk_density.estimated_density(truth["orgc"], "adams-1973")
    expected = (
        truth["orgc"] * density.fillna(pd.Series(estimate, truth.index)) * 1000 * (1 - truth["cfvo"].fillna(0) / 100)
    )
    np.testing.assert_allclose(np.sort(result.layers["soc"]), np.sort(expected))
    assert (result.layers["density_relative_sd"] > 0).sum() == density.isna().sum()
    assert set(result.layers["density_relative_sd"]) <= {0.0, *sd}
