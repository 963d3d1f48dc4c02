"""A download that is not what its layout says is an error that names file, line, value and remedy."""

import pandas as pd
import pytest
import wosis_files

from proda.data.readers.wosis import read_wosis_201909, read_wosis_202312, read_wosis_latest
from proda.data.stage import cleaned_study
from proda.errors import InputError
from proda.study import Study

ORGC = "wosis_202312_orgc.tsv"


@pytest.fixture
def made():
    return wosis_files.made_world(30, seed=5)


@pytest.fixture
def folder(made, tmp_path):
    return wosis_files.write_december_2023(made, tmp_path / "data")


def replaced(folder, change, name=ORGC):
    """The folder after `change` of the lines of one of its files."""
    path = folder / name
    lines = path.read_text().splitlines()
    path.write_text("\n".join(change(lines)) + "\n")
    return folder


def field(number: int, name: str, value: str):
    """A change of one field of line `number`."""

    def change(lines):
        fields = lines[number - 1].split("\t")
        fields[lines[0].split("\t").index(name)] = value
        return [*lines[: number - 1], "\t".join(fields), *lines[number:]]

    return change


def test_a_zip_that_was_cut_short_is_told_from_one_that_is_whole(made, tmp_path):
    folder = wosis_files.write_december_2023(made, tmp_path, zipped=True)
    path = folder / "WoSIS_2023_December.zip"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"WoSIS_2023_December\.zip: [\d,]+ bytes, but no zip.*cut short"):
        read_wosis_202312(folder)


def test_a_zip_with_damaged_bytes_is_told(made, tmp_path):
    folder = wosis_files.write_december_2023(made, tmp_path, zipped=True)
    path = folder / "WoSIS_2023_December.zip"
    content = bytearray(path.read_bytes())
    at = content.index(b"orgc.tsv") + 200
    content[at : at + 40] = bytes(40)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"orgc\.tsv: the file is damaged.*Download it again"):
        read_wosis_202312(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: [*lines[:4], lines[4] + "\textra", *lines[5:]], r"line 5: \d+ fields, expected \d+.*shifted"),
        (lambda lines: [*lines[:4], "\t".join(lines[4].split("\t")[:6])], r"line 5: 6 fields, expected \d+.*cut short"),
        (
            lambda lines: [lines[0], lines[1], "\t".join(["x", *lines[2].split("\t")[:-1]]), *lines[3:]],
            r"line 3: \w+ is '\S+', expected a number.*shifted|line 3: value_avg is .*braces",
        ),
        (field(3, "value_avg", "27,5"), r"line 3: value_avg is '27,5', expected a number.*decimal comma"),
        (field(3, "value_avg", "{27.5}"), r"line 3: value_avg is '\{27.5\}', expected.*braces"),
        (lambda lines: [lines[0].replace("value_avg", "value_mean"), *lines[1:]], "no column value_avg; did you mean"),
        (lambda lines: [line.replace("\t", ";") for line in lines], "one column only.*another delimiter"),
        (lambda lines: lines[:1], "a header but no rows"),
    ],
)
def test_a_table_that_is_not_what_its_header_says_is_named_with_its_line(folder, change, told):
    with pytest.raises(InputError, match=rf"{ORGC}[^:]*: ?.*({told})|{ORGC}, ({told})"):
        read_wosis_202312(replaced(folder, change))


def test_bytes_that_are_not_text_are_told(folder):
    (folder / ORGC).write_bytes((folder / ORGC).read_bytes().replace(b"Elsewhere", b"Else\xffwhere", 1))
    with pytest.raises(InputError, match=rf"{ORGC}.*(UTF-?8|utf-?8)"):
        read_wosis_202312(folder)


@pytest.mark.parametrize(
    ("columns", "factor", "told"),
    [
        (["upper_depth", "lower_depth"], 0.01, "median of lower_depth is .*metres.? Multiply by 100"),
        (["upper_depth", "lower_depth"], 10, "median of lower_depth.*millimetres"),
        (["upper_depth", "lower_depth"], -1, "lower_depth is negative in .* positive down"),
        (["orgc"], 0.1, "in percent.? Multiply by 10"),
        (["orgc"], 1000, "mg per kg"),
        (["bdfi33", "bdfiod"], 1000, "In kg per m3.? Divide by 1000"),
        (["cfvo"], 0.01, "fraction.? Multiply by 100"),
        (["phaq"], 10, "median of pH is .*Times ten.? Divide by 10"),
    ],
)
@pytest.mark.parametrize(
    ("write", "read"),
    [
        (wosis_files.write_december_2023, read_wosis_202312),
        (wosis_files.write_september_2019, read_wosis_201909),
        (wosis_files.write_latest, read_wosis_latest),
    ],
)
def test_a_column_in_another_unit_is_told_with_the_remedy(made, tmp_path, columns, factor, told, write, read):
    layers = made.layers.copy()
    layers[columns] = layers[columns] * factor
    with pytest.raises(InputError, match=told):
        read(write(made._replace(layers=layers), tmp_path))


def test_bounds_under_each_others_name_are_told(made, tmp_path):
    layers = made.layers.rename(columns={"upper_depth": "lower_depth", "lower_depth": "upper_depth"})
    with pytest.raises(InputError, match="lower_depth is above upper_depth.*exchanged"):
        read_wosis_202312(wosis_files.write_december_2023(made._replace(layers=layers), tmp_path))


def exchanged(made):
    names = {"longitude": "latitude", "latitude": "longitude"}
    return wosis_files.Made(made.profiles.rename(columns=names), made.layers.rename(columns=names))


def test_longitude_and_latitude_that_are_exchanged_are_told(made, tmp_path):
    with pytest.raises(InputError, match="latitudes are beyond 90 degrees.*exchanged"):
        read_wosis_202312(wosis_files.write_december_2023(exchanged(made), tmp_path))


def test_positions_that_are_possible_but_exchanged_are_told_by_the_land(tmp_path):
    europe = wosis_files.BOXES[3:4]
    made = exchanged(wosis_files.made_world(30, boxes=europe))
    wosis_files.write_december_2023(made, tmp_path / "data")
    study = Study.open("wosis", data=wosis_files.write_grid(tmp_path / "data", europe), out=tmp_path / "out")
    with pytest.raises(InputError, match="30 would with longitude and latitude exchanged"):
        cleaned_study(study)


def test_a_grid_that_does_not_cover_the_profiles_is_told(tmp_path):
    wosis_files.write_december_2023(wosis_files.made_world(30, boxes=wosis_files.BOXES[3:4]), tmp_path / "data")
    grid = wosis_files.write_grid(tmp_path / "data", wosis_files.BOXES[:1])
    with pytest.raises(InputError, match="none of 30 profiles lies on a land cell.*Give a grid that covers"):
        cleaned_study(Study.open("wosis", data=grid, out=tmp_path / "out"))


def test_an_identifier_that_occurs_twice_is_named(made, tmp_path):
    profiles = pd.concat([made.profiles, made.profiles.iloc[:1]])
    for write, read in (
        (wosis_files.write_december_2023, read_wosis_202312),
        (wosis_files.write_september_2019, read_wosis_201909),
    ):
        with pytest.raises(InputError, match="profile_id '100000' stands for 2 profiles"):
            read(write(made._replace(profiles=profiles), tmp_path / write.__name__))


def test_a_profile_at_two_positions_is_named(made, tmp_path):
    layers = made.layers.copy()
    layers.loc[0, "longitude"] += 1
    with pytest.raises(InputError, match="profile_id '100000' stands for 2 profiles"):
        read_wosis_latest(wosis_files.write_latest(made._replace(layers=layers), tmp_path))


def test_a_folder_of_another_layout_names_the_layout_to_set(folder, tmp_path):
    with pytest.raises(InputError, match=r'no wosis_201909_profiles\.tsv.*set layout = "december-2023"'):
        read_wosis_201909(folder)
    with pytest.raises(InputError, match=r"no wosis_latest_orgc\.csv.*it holds nothing"):
        (tmp_path / "empty").mkdir()
        read_wosis_latest(tmp_path / "empty")


def test_an_unknown_layout_lists_the_known_ones(folder, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(Study.open("wosis", data=folder).file.read_text().replace('"december-2023" ', '"2016" '))
    with pytest.raises(InputError, match="layout is '2016', expected one of december-2023, september-2019, latest"):
        cleaned_study(Study.open(file, data=folder, out=tmp_path / "out"))
