"""As many rows are read as a file has lines, each field in its own column, or the error names the line."""

import zipfile

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proda.data.readers import delimited
from proda.data.readers.delimited import DataFile, data_files, read_delimited
from proda.errors import InputError

GOOD = "profile_id,carbon,source\n007,1.5,NA\n7,,a\n"


def read(tmp_path, text, name="t.csv", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_delimited(DataFile(path), ("carbon",), ("profile_id", "source"), **options)


def test_identifiers_keep_their_zeros_and_only_an_empty_text_is_missing(tmp_path):
    table = read(tmp_path, GOOD)
    assert table["profile_id"].tolist() == ["007", "7"]
    assert table["source"].tolist() == ["NA", "a"] and table["carbon"].isna().tolist() == [False, True]
    assert read(tmp_path, GOOD.replace("1.5", "NaN"))["carbon"].isna().all()
    assert read(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()).equals(table)
    assert read(tmp_path, GOOD.replace(",carbon,", ", carbon ,")).equals(table)


@given(st.lists(st.tuples(st.text("ab\" ';", max_size=4), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_every_line_of_a_tab_separated_file_is_a_row_whatever_quotes_it_holds(tmp_path_factory, rows):
    text = "profile_id\tcarbon\tsource\n" + "".join(f"p{i}\t{x!r}\t{s}\n" for i, (s, x) in enumerate(rows))
    table = read(tmp_path_factory.mktemp("t"), text, "t.tsv")
    assert len(table) == len(rows)
    assert table["profile_id"].tolist() == [f"p{i}" for i in range(len(rows))]
    assert table["carbon"].tolist() == pytest.approx([x for _, x in rows], rel=1e-15)


def test_a_table_read_in_chunks_is_the_table_read_at_once_and_rows_without_a_value_go(tmp_path, monkeypatch):
    text = "profile_id,carbon,source\n" + "".join(f"{i},{i if i % 3 else ''},s\n" for i in range(50))
    whole = read(tmp_path, text)
    monkeypatch.setattr(delimited, "CHUNK", 7)
    pd.testing.assert_frame_equal(read(tmp_path, text), whole)
    assert len(read(tmp_path, text, any_of=("carbon",))) == 33


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("7,,a", "7,"), "line 3: 2 fields, expected 3 as in the header.*cut short"),
        (GOOD.replace("1.5", "1,5"), "line 2: 4 fields, expected 3.*decimal comma"),
        (GOOD.replace("007,1.5", '"007,1.5') + '8,2,"b\n', "line 2: a quote is not closed in its line"),
        (GOOD.replace("1.5", '"1,5"'), "line 2: carbon is '1,5', expected a number or an empty field. A decimal comma"),
        (GOOD.replace("1.5", "{1.5}"), "line 2: carbon is '{1.5}', expected a number.*braces"),
        (GOOD + "8,trace,b\n", "line 4: carbon is 'trace', expected a number"),
        (GOOD.replace(",", ";"), "no column carbon.*one column only.*another separator"),
        (GOOD.replace("carbon", "carbn"), "no column carbon; did you mean 'carbn'"),
        ("profile_id,carbon,source\n", "a header but no rows"),
        (GOOD.replace("profile_id", "source"), "a column occurs twice in the header"),
        ("", "the file is empty"),
        (GOOD.replace(",a", ",é").encode("latin-1"), "not UTF-8 text"),
        (GOOD.encode("utf-16"), "not UTF-8 text"),
    ],
)
def test_what_is_not_the_table_that_its_header_announces_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"t\.csv.*{message}"):
        read(tmp_path, text)


def test_a_zip_gives_its_members_and_damage_is_named(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/t.csv", GOOD * 50)
    (tmp_path / "t2.csv").write_text(GOOD)
    files = data_files(tmp_path)
    assert set(files) == {"t.csv", "t2.csv"}
    content = bytearray(path.read_bytes())
    content[60:80] = bytes(20)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"all\.zip, folder/t\.csv: the file is damaged.*Download it again"):
        read_delimited(files["t.csv"], ("carbon",))
    path.write_bytes(bytes(content[:-40]))
    with pytest.raises(InputError, match=r"all\.zip: [\d,]+ bytes, but no whole zip.*cut short"):
        data_files(tmp_path)
