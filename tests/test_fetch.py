"""Downloads say what will come, go on where they were cut, and leave the whole file or nothing that looks like it."""

import hashlib
import io
import json
import shutil
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from file_server import Served, file_server

from proda.__main__ import main
from proda.data import fetch as downloader
from proda.data import fetch as fetching
from proda.data.fetch import (
    CHUNK,
    PublicSource,
    RemoteFile,
    ResumingDownloader,
    bytes_text,
    fetch,
    known_sources,
    source_named,
)
from proda.errors import DownloadError, InputError

CONTENT = np.random.default_rng(1).bytes(3_000_000)
A, B = 15 * CHUNK, 30 * CHUNK  # bytes before a cut: 983,040 and 1,966,080
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with file_server() as (files, address):
        yield SimpleNamespace(files=files, address=address)


def source(*files: RemoteFile) -> PublicSource:
    return PublicSource("made", "A made source", "CC0", "Nobody (2020)", "https://example.org", files)


def fetched(what: PublicSource, to, **options):
    said: list[str] = []
    paths = fetch(what, to, say=said.append, **{"pause": 0.0, **options})
    return paths, "\n".join(said)


def left(folder) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_a_file_comes_whole_with_a_receipt_of_where_it_is_from(server, tmp_path):
    server.files["a.bin"] = Served(CONTENT)
    url = server.address("a.bin")
    (path,), _ = fetched(source(RemoteFile("a.bin", (url,), checksum=SHA256)), tmp_path)
    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == {"a.bin", "fetched.json"}
    receipt = json.loads((tmp_path / "fetched.json").read_text())["a.bin"]
    assert receipt["urls"] == [url] and receipt["licence"] == "CC0" and receipt["bytes"] == len(CONTENT)
    assert SHA256 == f"sha256:{receipt['sha256']}"


def test_before_the_first_byte_it_is_said_what_comes_how_large_whose_and_where_to(server, tmp_path):
    server.files["a.bin"] = Served(CONTENT, status=503)
    said = []
    what = source(RemoteFile("a.bin", (server.address("a.bin"),), size=len(CONTENT)))
    with pytest.raises(DownloadError):
        fetch(what, tmp_path, say=said.append, pause=0.0)
    for told in ("A made source", "CC0", "Nobody (2020)", "3 MB", "no published checksum", str(tmp_path)):
        assert told in said[0]


def test_the_size_is_the_servers_where_it_tells_one(server, tmp_path):
    server.files["a.bin"] = Served(CONTENT)
    _, said = fetched(source(RemoteFile("a.bin", (server.address("a.bin"),), size=5)), tmp_path, dry_run=True)
    assert "1 file, 3 MB" in said and left(tmp_path) == set()


def test_a_cut_download_goes_on_from_the_byte_it_had_reached(server, tmp_path):
    served = server.files["a.bin"] = Served(CONTENT, cuts=[A, B - A])
    (path,), _ = fetched(source(RemoteFile("a.bin", (server.address("a.bin"),))), tmp_path)
    assert path.read_bytes() == CONTENT
    assert served.asked == ["", f"bytes={A}-", f"bytes={B}-"]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server, tmp_path):
    served = server.files["a.bin"] = Served(CONTENT, cuts=[B])
    what = source(RemoteFile("a.bin", (server.address("a.bin"),)))
    with pytest.raises(DownloadError, match=r"1.97 MB of it are kept; the same command goes on from there"):
        fetched(what, tmp_path, attempts=0)
    assert left(tmp_path) == {"a.bin.part", "a.bin.part.json"}
    (path,), _ = fetched(what, tmp_path)
    assert path.read_bytes() == CONTENT and served.asked[-1] == f"bytes={B}-"
    assert left(tmp_path) == {"a.bin", "fetched.json"}


def test_a_file_renewed_between_two_calls_is_begun_anew(server, tmp_path):
    served = server.files["a.bin"] = Served(CONTENT, cuts=[B])
    what = source(RemoteFile("a.bin", (server.address("a.bin"),)))
    with pytest.raises(DownloadError):
        fetched(what, tmp_path, attempts=0)
    served.content, served.etag = CONTENT[::-1], '"2"'
    (path,), _ = fetched(what, tmp_path)
    assert path.read_bytes() == CONTENT[::-1]


def test_bytes_that_no_mark_vouches_for_are_not_gone_on_with(server, tmp_path):
    served = server.files["a.bin"] = Served(CONTENT, etag="", cuts=[B])
    (path,), _ = fetched(source(RemoteFile("a.bin", (server.address("a.bin"),))), tmp_path)
    assert path.read_bytes() == CONTENT and served.asked == ["", ""]


def test_a_server_that_ignores_ranges_is_read_from_the_start_again(server, tmp_path):
    served = server.files["a.bin"] = Served(CONTENT, ranges=False, cuts=[A])
    (path,), _ = fetched(source(RemoteFile("a.bin", (server.address("a.bin"),), checksum=SHA256)), tmp_path)
    assert path.read_bytes() == CONTENT and served.asked == ["", f"bytes={A}-"]


def test_all_bytes_come_but_not_yet_renamed_need_no_second_download(server, tmp_path):
    server.files["a.bin"] = Served(CONTENT)
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    (path,), _ = fetched(source(RemoteFile("a.bin", (server.address("a.bin"),), checksum=SHA256)), tmp_path)
    assert path.read_bytes() == CONTENT and server.files["a.bin"].asked == [f"bytes={len(CONTENT)}-"]


def test_more_bytes_than_the_server_has_are_begun_anew(server, tmp_path):
    served = server.files["a.bin"] = Served(CONTENT)
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"of another file")
    (path,), _ = fetched(source(RemoteFile("a.bin", (server.address("a.bin"),), checksum=SHA256)), tmp_path)
    assert path.read_bytes() == CONTENT and served.asked == [f"bytes={len(CONTENT) + 15}-", ""]


def test_a_weak_mark_vouches_for_no_bytes(server, tmp_path):
    served = server.files["a.bin"] = Served(CONTENT, etag='W/"1"', cuts=[B])
    (path,), _ = fetched(source(RemoteFile("a.bin", (server.address("a.bin"),))), tmp_path)
    assert path.read_bytes() == CONTENT and served.asked == ["", ""]


def test_fewer_bytes_than_were_announced_are_not_taken_for_the_file(tmp_path, monkeypatch):
    class Short:
        """An answer that ends early without an error, as of a library that does not count."""

        status_code, headers = 200, {"Content-Length": str(len(CONTENT)), "ETag": '"1"'}
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = raise_for_status = lambda self, *_: None
        iter_content = lambda self, size: [CONTENT[:A]]  # noqa: E731

    monkeypatch.setattr(downloader.requests, "get", lambda *_, **__: Short())
    with pytest.raises(DownloadError, match=f"{A} bytes came, {len(CONTENT)} were announced"):
        ResumingDownloader(tmp_path / "a.bin", attempts=0)("http://127.0.0.1:9/a.bin", tmp_path / "whole", None)
    assert left(tmp_path) == {"a.bin.part", "a.bin.part.json"}


def test_what_comes_with_another_checksum_leaves_nothing(server, tmp_path):
    server.files["a.bin"] = Served(CONTENT[:-1] + b"x")
    with pytest.raises(DownloadError, match=r"a\.bin could not be fetched.*another checksum than sha256:"):
        fetched(source(RemoteFile("a.bin", (server.address("a.bin"),), checksum=SHA256)), tmp_path)
    assert left(tmp_path) == set()


def test_a_mirror_gives_what_the_first_address_has_no_more(server, tmp_path):
    server.files["mirror/a.bin"] = Served(CONTENT)
    urls = (server.address("gone/a.bin"), server.address("mirror/a.bin"))
    (path,), said = fetched(source(RemoteFile("a.bin", urls, checksum=SHA256)), tmp_path)
    assert path.read_bytes() == CONTENT
    assert "the server answers 404 Not Found; trying the next address" in said


def test_with_a_checksum_a_mirror_goes_on_with_the_bytes_of_the_first_address(server, tmp_path):
    server.files["one"] = Served(CONTENT, cuts=[B])
    server.files["two"] = Served(CONTENT, etag='"other"')
    urls = (server.address("one"), server.address("two"))
    fetched(source(RemoteFile("a.bin", urls, checksum=SHA256)), tmp_path, attempts=0)
    assert server.files["two"].asked == [f"bytes={B}-"]


def test_without_one_a_mirror_is_read_from_the_start(server, tmp_path):
    server.files["one"] = Served(CONTENT, cuts=[B])
    server.files["two"] = Served(CONTENT, etag='"other"')
    urls = (server.address("one"), server.address("two"))
    (path,), _ = fetched(source(RemoteFile("a.bin", urls)), tmp_path, attempts=0)
    assert path.read_bytes() == CONTENT and server.files["two"].asked == [""]


def test_a_file_that_no_address_has_is_an_error_that_says_so(server, tmp_path):
    with pytest.raises(DownloadError, match=r"a\.bin could not be fetched.*404 Not Found"):
        fetched(source(RemoteFile("a.bin", (server.address("gone"),))), tmp_path)
    assert left(tmp_path) == set()


def test_a_login_page_is_not_taken_for_the_file(server, tmp_path):
    server.files["a.hdf"] = Served(b"<!DOCTYPE html><title>Log in</title>", kind="text/html")
    with pytest.raises(DownloadError, match="sent a page, not the file"):
        fetched(source(RemoteFile("a.hdf", (server.address("a.hdf"),))), tmp_path)
    assert left(tmp_path) == set()


def test_a_zip_cut_short_by_a_server_that_names_no_length_is_found(server, tmp_path):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("wosis_202312_orgc.tsv", CONTENT[:100_000])
    server.files["a.zip"] = Served(whole.getvalue()[:50_000], length=False)
    with pytest.raises(DownloadError, match="no whole zip file"):
        fetched(source(RemoteFile("a.zip", (server.address("a.zip"),))), tmp_path)
    assert left(tmp_path) == set()


def test_a_zip_with_one_changed_byte_is_found_without_a_published_checksum(server, tmp_path):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("wosis_202312_orgc.tsv", CONTENT[:100_000])
    damaged = bytearray(whole.getvalue())
    damaged[50_000] ^= 1
    server.files["a.zip"] = Served(bytes(damaged))
    with pytest.raises(DownloadError, match=r"no whole zip file \(wosis_202312_orgc.tsv\)"):
        fetched(source(RemoteFile("a.zip", (server.address("a.zip"),))), tmp_path)


def zipped(**members: bytes) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return whole.getvalue()


def test_a_zip_whose_members_are_needed_is_unpacked_beside_itself(server, tmp_path):
    server.files["maps.zip"] = Served(zipped(**{"bio_1.tif": b"one", "more/bio_2.tif": b"two"}))
    what = source(RemoteFile("maps.zip", (server.address("maps.zip"),), unpack=True))
    _, said = fetched(what, tmp_path)
    assert (tmp_path / "maps" / "more" / "bio_2.tif").read_bytes() == b"two" and "unpacked to" in said
    shutil.rmtree(tmp_path / "maps")
    fetched(what, tmp_path)
    assert (tmp_path / "maps" / "bio_1.tif").read_bytes() == b"one" and len(server.files["maps.zip"].asked) == 1


def test_members_of_a_zip_stay_in_its_folder(server, tmp_path):
    server.files["maps.zip"] = Served(zipped(**{"../../outside.tif": b"x"}))
    fetched(source(RemoteFile("maps.zip", (server.address("maps.zip"),), unpack=True)), tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.rglob("outside.tif")] == ["outside.tif"]
    assert (tmp_path / "a" / "b" / "maps" / "outside.tif").is_file()


def test_a_zip_that_does_not_fit_unpacked_leaves_no_folder(server, tmp_path, monkeypatch):
    server.files["maps.zip"] = Served(zipped(a=bytes(5_000_000)))
    what = source(RemoteFile("maps.zip", (server.address("maps.zip"),), unpack=True))
    sizes = iter([10**9, 1_000_000])
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 0, next(sizes)))
    with pytest.raises(InputError, match="unpacked it takes 5 MB, 1 MB are free"):
        fetched(what, tmp_path)
    assert left(tmp_path) == {"maps.zip", "fetched.json"}


def test_a_folder_with_spaces_and_letters_of_other_languages_will_do(server, tmp_path):
    server.files["a.bin"] = Served(CONTENT, cuts=[10])
    folder = tmp_path / "données brutes" / "Böden 土壤"
    (path,), _ = fetched(source(RemoteFile("a.bin", (server.address("a.bin"),), checksum=SHA256)), folder)
    assert path.read_bytes() == CONTENT and path.parent == folder


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    served = server.files["a.bin"] = Served(CONTENT)
    what = source(RemoteFile("a.bin", (server.address("a.bin"),)))
    fetched(what, tmp_path)
    _, said = fetched(what, tmp_path)
    assert len(served.asked) == 1 and "Nothing to download" in said


def test_a_file_changed_since_it_was_fetched_is_not_overwritten(server, tmp_path):
    server.files["a.bin"] = Served(CONTENT)
    what = source(RemoteFile("a.bin", (server.address("a.bin"),)))
    fetched(what, tmp_path)
    (tmp_path / "a.bin").write_bytes(b"edited by hand")
    with pytest.raises(InputError, match="is not the file that was fetched.*Remove or rename it"):
        fetched(what, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"edited by hand"


def test_a_file_of_unknown_origin_is_kept_and_told(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"from a friend")
    _, said = fetched(source(RemoteFile("a.bin", ("http://127.0.0.1:9/a.bin",))), tmp_path)
    assert "nothing tells whether it is whole" in said


def test_a_disk_that_is_too_small_is_told_before_the_download(server, tmp_path, monkeypatch):
    served = server.files["a.bin"] = Served(CONTENT)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1_000_000))
    with pytest.raises(InputError, match="3 MB are needed and 1 MB are free.*--to DIR"):
        fetched(source(RemoteFile("a.bin", (server.address("a.bin"),))), tmp_path)
    assert served.asked == []


@pytest.mark.parametrize(("reported", "told"), [(SHA256, "as others have reported"), ("md5:0", "OTHERS HAVE REPORTED")])
def test_a_checksum_that_others_reported_is_compared_and_told(server, tmp_path, reported, told):
    server.files["a.bin"] = Served(CONTENT)
    _, said = fetched(source(RemoteFile("a.bin", (server.address("a.bin"),), reported=reported)), tmp_path)
    assert told in said


def test_every_shipped_source_says_what_and_whose_it_is():
    sources = known_sources()
    assert {"wosis-2023", "wosis-2019", "wosis-latest", "binn", "worldclim-10m", "koppen-2018"} <= set(sources)
    for entry in sources.values():
        assert entry.licence and entry.citation and entry.page
        assert all(url.startswith(("https://", "http://")) for file in entry.files for url in file.urls)
    soil = {file.name: file.urls[0] for file in sources["soilgrids-5km"].files}
    assert len(soil) == 9 * 6 + 1 and soil["soc_0-5cm_mean_5000.tif"].endswith("/5000m/soc/soc_0-5cm_mean_5000.tif")


def test_without_a_source_the_command_lists_them(capsys):
    assert main(["fetch"]) == 0
    listed = capsys.readouterr().out
    assert "wosis-2023" in listed and "456 MB; licence: CC BY 4.0" in listed


def test_a_download_that_is_stopped_is_told_to_go_on(monkeypatch, capsys):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "fetch", stopped)
    assert main(["fetch", "wosis-2023"]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err


def test_an_unknown_source_is_told_with_the_nearest(capsys):
    assert main(["fetch", "wosis-2013"]) == 2
    assert "did you mean 'wosis-2023'?" in capsys.readouterr().err


TEXTS = '[a]\ntitle="A"\nlicence="l"\ncitation="c"\npage="p"'


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('[a]\ntitle = "A"', "source a has no licence, citation, page"),
        (TEXTS, "has the files none"),
        (
            '[a]\ntitle="A"\nlicence="l"\ncitation="c"\npage="p"\n[[a.files]]\nname="../b"\nurls=["http://c"]',
            "leave its",
        ),
        (TEXTS + '\n[[a.files]]\nname="b"\nurl="http://c"', "expected name"),
    ],
)
def test_a_faulty_registry_is_named_with_its_entry(tmp_path, entry, told):
    (tmp_path / "sources.toml").write_text(entry)
    with pytest.raises(InputError, match=told):
        source_named("a", tmp_path / "sources.toml")


def test_sizes_are_told_in_words():
    assert [bytes_text(n) for n in (0, 12, 4_200, 456_000_000, 1.5e9)] == [
        "size not known", "12 bytes", "4.2 kB", "456 MB", "1.5 GB",
    ]  # fmt: skip
