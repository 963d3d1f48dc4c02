"""Downloads of public data: a whole file under its name, or nothing and an error with every address that was tried."""

import functools
import hashlib
import io
import json
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from proda.__main__ import main
from proda.data.fetch import PublicSource, RemoteFile, fetch, known_sources
from proda.errors import DownloadError

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def served(tmp_path):
    """Serves a file of that name and content, and returns its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    handler.func.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def write(name, content):
        (folder / name).write_bytes(content)
        return f"http://127.0.0.1:{server.server_port}/{name}"

    yield write
    server.shutdown()
    server.server_close()


def source(*files: RemoteFile) -> PublicSource:
    return PublicSource("made", "A made source", "CC0", "Nobody (2020)", "https://example.org", files)


def test_a_file_comes_whole_with_its_checksum_and_a_receipt(served, tmp_path, capsys):
    url = served("a.bin", CONTENT)
    (path,) = fetch(source(RemoteFile("a.bin", (url,), checksum=f"sha256:{SHA256}")), tmp_path / "raw")
    assert path.read_bytes() == CONTENT
    receipt = json.loads((tmp_path / "raw" / "fetched.json").read_text())["a.bin"]
    assert receipt["url"] == url and receipt["sha256"] == SHA256
    assert "CC0" in capsys.readouterr().out


def test_a_dry_run_prints_what_would_come_and_writes_nothing(tmp_path, capsys):
    what = source(RemoteFile("a.bin", ("http://127.0.0.1:9/a.bin",), size=3_000_000))
    assert fetch(what, tmp_path / "raw", dry_run=True) == []
    printed = capsys.readouterr().out
    for text in ("A made source", "CC0", "Nobody (2020)", "3 MB", "no published checksum", str(tmp_path)):
        assert text in printed
    assert not (tmp_path / "raw").exists()


def test_a_mirror_is_tried_when_the_first_address_fails(served, tmp_path):
    url = served("a.bin", CONTENT)
    urls = (url.replace("a.bin", "none.bin"), url)
    (path,) = fetch(source(RemoteFile("a.bin", urls)), tmp_path / "raw")
    assert path.read_bytes() == CONTENT
    path.write_bytes(b"mine")
    fetch(source(RemoteFile("a.bin", urls)), tmp_path / "raw")  # is not downloaded again
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("name", "content", "checksum", "message"),
    [
        ("a.bin", CONTENT, "md5:" + "0" * 32, "does not match"),
        ("a.tif", b"<!DOCTYPE html><title>Log in</title>", None, "a login"),
        ("a.zip", b"PK\x03\x04 cut short", None, "not a whole zip"),
    ],
)
def test_what_is_not_the_file_leaves_nothing_under_its_name(served, tmp_path, name, content, checksum, message):
    url = served(name, content)
    with pytest.raises(DownloadError, match=message) as error:
        fetch(source(RemoteFile(name, (url,), checksum=checksum)), tmp_path / "raw")
    assert url in str(error.value) and not (tmp_path / "raw" / name).exists()


def test_an_archive_whose_members_are_needed_is_unpacked_beside_itself(served, tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("maps/a.tif", b"1")
    url = served("maps.zip", content.getvalue())
    fetch(source(RemoteFile("maps.zip", (url,), unpack=True)), tmp_path / "raw")
    assert (tmp_path / "raw" / "maps" / "maps" / "a.tif").read_bytes() == b"1"


def test_every_source_states_licence_citation_page_and_addresses():
    sources = known_sources()
    assert {"wosis-2023", "wosis-2019", "wosis-latest", "binn", "worldclim-10m", "koppen-2018"} <= set(sources)
    for entry in sources.values():
        assert entry.licence and entry.citation and entry.page
        names = [file.name for file in entry.files]
        assert names and len(set(names)) == len(names)
        assert all(url.startswith(("https://", "http://")) for file in entry.files for url in file.urls)
    soil = {file.name: file.urls[0] for file in sources["soilgrids-5km"].files}
    assert len(soil) == 9 * 6 + 1 and soil["soc_0-5cm_mean_5000.tif"].endswith("/5000m/soc/soc_0-5cm_mean_5000.tif")


def test_the_command_lists_sources_and_names_the_nearest_one(capsys):
    assert main(["fetch"]) == 0
    assert "456 MB; licence: CC BY 4.0" in capsys.readouterr().out
    assert main(["fetch", "wosis-2013"]) == 2
    assert "did you mean 'wosis-2023'?" in capsys.readouterr().err
