"""`python -m proda fetch SOURCE`: say what will come, then bring it, checked, under its own name or not at all.

A downloader for pooch that goes on where a cut download stopped.

pooch gives a temporary name, checks the sum and renames; it begins at the first byte every time. Here the bytes that
have come stay in ``NAME.part`` beside the target, with a note of the address and of the server's mark of that version.

The public sources that `python -m proda fetch` knows: what they are, whose, where, how large (data/sources.toml).
"""

from __future__ import annotations

import itertools
import shutil
import time
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pooch
import requests

from proda import __version__
from proda.errors import DownloadError, InputError
from proda.progress import progress_bar
from proda.stage import read_json, write_json
from proda.study import repository_root, suggestion

CHUNK = 1 << 16  # bytes; a cut loses less than this
_MARKUP = (".html", ".xml", ".vrt", ".gml")
TIMEOUT = (20, 120)  # s to connect, and between two packets


class ResumingDownloader:
    """Called by pooch as ``downloader(url, temporary_file, pooch)``.

    Parameters
    ----------
    target : Path
        Where the whole file will be; ``target.part`` holds what has come.
    same_everywhere : bool
        Whether a checksum will be compared, so that bytes of one mirror may be followed by bytes of another.
    attempts : int
        Tries without a single new byte before the address is given up.
    pause : float, s
        Between two tries, growing with their number.
    report : callable
        Told the number of bytes that have come, and the negative number when they are thrown away.
    """

    def __init__(
        self,
        target: Path,
        same_everywhere: bool = False,
        attempts: int = 4,
        pause: float = 2.0,
        report: Callable[[int], object] = lambda count: None,
    ) -> None:
        self.target = target
        self.part = target.with_name(f"{target.name}.part")
        self.record = target.with_name(f"{target.name}.part.json")
        self.same_everywhere, self.attempts, self.pause, self.report = same_everywhere, attempts, pause, report

    def __call__(self, url: str, output_file: str | Path, pooch: object, check_only: bool = False) -> None:
        """Bring all of ``url`` to ``output_file``; DownloadError when it will not come whole."""
        idle = 0
        self.report(self.size)
        while True:
            before = self.size
            try:
                self._one_request(url)
                break
            except requests.RequestException as error:
                idle = 0 if self.size > before else idle + 1
                if idle >= self.attempts or not _may_pass(error):
                    raise DownloadError(f"{url}: {_in_words(error)}") from error
                time.sleep(self.pause * (idle + 1))
        fault = _fault(self.part, self.target.suffix.lower())
        if fault:
            self._discard()
            raise DownloadError(f"{url}: {fault}; thrown away")
        self.part.replace(output_file)
        self.record.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def _one_request(self, url: str) -> None:
        begun = read_json(self.record) or {}
        mark = begun.get("mark") if begun.get("url") == url else None
        if self.size and not (mark or self.same_everywhere):
            self._discard()  # nothing says that these bytes belong to what the server has now
        headers = {"Accept-Encoding": "identity"}
        if self.size:
            headers["Range"] = f"bytes={self.size}-"
            headers |= {"If-Range": mark} if mark else {}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == 416:  # the file there is no longer than what has come: whole, or another one
                if answer.headers.get("Content-Range", "").endswith(f"*/{self.size}"):
                    return
                self._discard()
                raise requests.ConnectionError("the file there is shorter than what had come of it")
            answer.raise_for_status()
            if self.size and not _continues(answer, self.size):
                self._discard()
            write_json(self.record, {"url": url, "mark": _mark(answer.headers)})
            announced = answer.headers.get("Content-Length")
            expected = self.size + int(announced) if announced else None
            with self.part.open("ab") as stream:
                for chunk in answer.iter_content(CHUNK):
                    stream.write(chunk)
                    self.report(len(chunk))
        if expected not in (None, self.size):
            raise requests.ConnectionError(f"{self.size} bytes came, {expected} were announced")

    def _discard(self) -> None:
        self.report(-self.size)
        self.part.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)


def remote_size(url: str) -> int:
    """Bytes that the server says ``url`` has; 0 when it does not say."""
    try:
        answer = requests.head(url, headers={"Accept-Encoding": "identity"}, allow_redirects=True, timeout=TIMEOUT)
        answer.raise_for_status()
        return int(answer.headers.get("Content-Length") or 0)
    except (requests.RequestException, ValueError):
        return 0


def _mark(headers: Any) -> str | None:
    """What ``If-Range`` takes: a strong ETag, else the time of the last change."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _continues(answer: requests.Response, size: int) -> bool:
    """Whether the answer begins at byte ``size``; a server may ignore the range or have a newer file."""
    return answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {size}-")


def _may_pass(error: requests.RequestException) -> bool:
    """Whether another try may help: not when the server has answered that it will not."""
    status = error.response.status_code if error.response is not None else 0
    return status == 429 or not 400 <= status < 500


def _in_words(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    cause = error.args[0] if error.args else error
    reason = getattr(cause, "reason", None) or cause  # urllib3 wraps what happened into what it tried
    return f"no connection, or a cut one ({reason})"[:300]


def _fault(path: Path, suffix: str) -> str:
    """What is wrong with what came, empty when nothing is seen.

    A server that wants a login, or a map service that fails, answers "200 OK" with a page. A zip holds a checksum of
    every member: the only one there is where the publisher states none.
    """
    with path.open("rb") as stream:
        start = stream.read(256).lstrip().lower()
    if suffix not in _MARKUP and start.startswith((b"<!doctype", b"<html", b"<?xml", b"<ows:", b"<serviceexception")):
        return "the server sent a page, not the file (does it want a login?)"
    if suffix != ".zip":
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except zipfile.BadZipFile as error:
        broken = str(error)
    return f"what came is no whole zip file ({broken})" if broken else ""


_TEXTS = ("title", "licence", "citation", "page")


@dataclass(frozen=True)
class RemoteFile:
    """One file of a source.

    Attributes
    ----------
    name : str
        As it is saved.
    urls : tuple of str
        The address, then its mirrors.
    size : int
        Bytes, roughly; 0 where nobody has told.
    checksum, reported : str or None
        ``"md5:..."`` or ``"sha256:..."`` as the publisher states it, and as somebody else took it.
    unpack : bool
        Whether the readers need the members of this zip as files.
    """

    name: str
    urls: tuple[str, ...]
    size: int = 0
    checksum: str | None = None
    reported: str | None = None
    unpack: bool = False


@dataclass(frozen=True)
class PublicSource:
    """A public data set: its name on the command line, what a user must know before the download, and its files."""

    name: str
    title: str
    licence: str
    citation: str
    page: str
    files: tuple[RemoteFile, ...]
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files as far as they are known; 0 when one is not."""
        sizes = [file.size for file in self.files]
        return sum(sizes) if all(sizes) else 0


def known_sources(path: Path | None = None) -> dict[str, PublicSource]:
    """Every source of ``path`` (data/sources.toml of the clone when None), by name.

    Raises
    ------
    InputError
        When an entry lacks a text or has no file, a file has no address, or two files have the same name.
    """
    path = path or repository_root() / "data" / "sources.toml"
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: _source(name, entry, path) for name, entry in content.items()}


def source_named(name: str, path: Path | None = None) -> PublicSource:
    """The source ``name``; an unknown one is an `InputError` that lists those there are."""
    sources = known_sources(path)
    if name not in sources:
        raise InputError(f"unknown source {name!r}: {suggestion(name, sources)}")
    return sources[name]


def listing(sources: Mapping[str, PublicSource]) -> str:
    """What there is to fetch, for a terminal: name, size, title and licence."""
    width = max(map(len, sources))
    lines = ["Public sources; nothing in the virtual study needs one. Fetch one with: python -m proda fetch SOURCE", ""]
    for name, source in sources.items():
        files = f"{len(source.files)} file{'s' * (len(source.files) > 1)}"
        lines.append(f"{name:{width}}  {source.title}")
        lines.append(f"{'':{width}}  {files}, {bytes_text(source.size)}; licence: {source.licence}")
    return "\n".join(lines)


def bytes_text(size: int) -> str:
    """``size`` in words, decimal units; "size not known" for 0."""
    if not size:
        return "size not known"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def _source(name: str, entry: Mapping[str, Any], path: Path) -> PublicSource:
    missing = [key for key in _TEXTS if not entry.get(key)]
    if missing:
        raise InputError(f"{path}: source {name} has no {', '.join(missing)}; every source says what and whose it is.")
    files = [_file(item, name, path) for item in entry.get("files", [])] + _files_of_pattern(entry)
    names = [file.name for file in files]
    if not files or len(set(names)) < len(names):
        raise InputError(f"{path}: source {name} has the files {names or 'none'}; expected one or more, each once.")
    return PublicSource(name, **{key: entry[key] for key in _TEXTS}, files=tuple(files), note=entry.get("note", ""))


def _file(item: Mapping[str, Any], name: str, path: Path) -> RemoteFile:
    known = {"name", "urls", "size", "checksum", "reported", "unpack"}
    if not item.get("name") or not item.get("urls") or set(item) - known:
        raise InputError(
            f"{path}: a file of source {name} is {dict(item)}; expected name, urls and of {sorted(known)}."
        )
    if Path(item["name"]).name != item["name"]:
        raise InputError(f"{path}: file {item['name']!r} of source {name} would leave its folder; give a plain name.")
    hashes = {key: item.get(key) or None for key in ("checksum", "reported")}
    return RemoteFile(
        item["name"], tuple(item["urls"]), item.get("size", 0), unpack=item.get("unpack", False), **hashes
    )


def _files_of_pattern(entry: Mapping[str, Any]) -> list[RemoteFile]:
    """The files of a source that names them by every combination of the lists its pattern refers to."""
    if "pattern" not in entry:
        return []
    axes = {key: entry[key] for key in ("property", "depth") if key in entry}
    found = []
    for values in itertools.product(*axes.values()):
        filled = dict(zip(axes, values, strict=True))
        found.append(RemoteFile(entry["pattern_name"].format(**filled), (entry["pattern"].format(**filled),)))
    return found


RECEIPT = "fetched.json"  # beside the files: where each came from, when, its size and checksum, licence and citation


def fetch(
    source: PublicSource,
    to: Path | str = "",
    dry_run: bool = False,
    say: Callable[[str], object] = print,
    **downloader: Any,
) -> list[Path]:
    """The files of ``source``, downloaded where they are not there already.

    Parameters
    ----------
    to : folder; ``data/raw/<source>`` of the clone when empty
    dry_run : say what would be done, and do nothing
    downloader : `ResumingDownloader`'s ``attempts`` and ``pause``

    Raises
    ------
    InputError
        When a file is there with other content, or the disk has too little room.
    DownloadError
        When a file comes from no address, whole and with its checksum. What has come of it is kept under a name that
        ends in ``.part``, and the same command goes on from there.
    """
    folder = Path(to).expanduser().resolve() if str(to) else repository_root() / "data" / "raw" / source.name
    missing = [file for file in source.files if not _is_there(folder, file, say)]
    sizes = {file.name: _size(file) for file in missing}
    say(announcement(source, missing, sizes, folder))
    _check_room(folder, missing, sizes)
    if dry_run:
        return []
    pooch.get_logger().setLevel("WARNING")
    for file in missing:
        _download(file, folder, sizes[file.name], say, downloader)
        _write_receipt(source, file, folder, say)
    for file in source.files:
        if file.unpack:
            _unpack(folder / file.name, say)
    return [folder / file.name for file in source.files]


def announcement(source: PublicSource, missing: list[RemoteFile], sizes: dict[str, int], folder: Path) -> str:
    """What is about to be downloaded, from where, how large, under what licence and where to."""
    total = sum(sizes.values()) if all(sizes.values()) else 0
    lines = [
        source.title,
        f"  licence   {source.licence}",
        f"  cite      {source.citation}",
        f"  page      {source.page}",
        *([f"  note      {source.note}"] if source.note else []),
        f"  to        {folder}",
    ]
    if not missing:
        return "\n".join([*lines, "  Nothing to download: every file is there."])
    lines.append(f"  download  {len(missing)} file{'s' * (len(missing) > 1)}, {bytes_text(total)}")
    for file in missing:
        algorithm = (file.checksum or "").partition(":")[0]
        alone = "its length and the sums inside the zip" if file.name.endswith(".zip") else "its length"
        check = f"{algorithm} compared" if algorithm else f"no published checksum, so only {alone} can be checked"
        lines.append(f"    {file.name}: {bytes_text(sizes[file.name])}, {check}, from {file.urls[0]}")
        lines += [f"      or from {url}" for url in file.urls[1:]]
    return "\n".join(lines)


def _is_there(folder: Path, file: RemoteFile, say: Callable[[str], object]) -> bool:
    path = folder / file.name
    if not path.is_file():
        return False
    taken = (_receipt(folder).get(file.name) or {}).get("sha256")
    expected = file.checksum or (f"sha256:{taken}" if taken else None)
    if expected is None:
        say(f"{path} is there already, from elsewhere: nothing tells whether it is whole. Remove it to fetch it.")
    elif not _agrees(path, expected):
        raise InputError(
            f"{path} is there but is not the file that was fetched: its checksum is not {expected}. Remove or rename "
            "it, then fetch it again."
        )
    return True


def _size(file: RemoteFile) -> int:
    """Bytes as the first server that answers says, else as the registry has it."""
    return next((size for url in file.urls if (size := remote_size(url))), file.size)


def _check_room(folder: Path, missing: list[RemoteFile], sizes: dict[str, int]) -> None:
    here = next(place for place in (folder, *folder.parents) if place.exists())
    if not here.is_dir():
        raise InputError(f"{here} is a file; give a folder as --to DIR.")
    come = sum(ResumingDownloader(folder / file.name).size for file in missing)
    needed, free = sum(sizes.values()) - come, shutil.disk_usage(here).free
    if needed > free:
        raise InputError(
            f"{folder}: {bytes_text(needed)} are needed and {bytes_text(free)} are free on that disk. Give a folder on "
            "another one as --to DIR."
        )


def _download(file: RemoteFile, folder: Path, size: int, say: Callable[[str], object], options: dict[str, Any]) -> None:
    """Bring one file from the first address that gives it, whole and with its checksum."""
    faults = []
    for url in file.urls:
        with progress_bar(size or None, file.name, "byte") as bar:
            downloader = ResumingDownloader(
                folder / file.name, same_everywhere=file.checksum is not None, report=bar.update, **options
            )
            try:
                pooch.retrieve(url, file.checksum, file.name, folder, downloader=downloader)
                return
            except DownloadError as error:
                faults.append(str(error))
            except ValueError:  # pooch: the checksum
                faults.append(f"{url}: what came has another checksum than {file.checksum}; thrown away")
            except OSError as error:
                raise InputError(f"{folder}: cannot write {file.name} there: {error}") from error
        if url != file.urls[-1]:
            say(f"{faults[-1]}; trying the next address")
    kept = ResumingDownloader(folder / file.name).size
    rest = f" {bytes_text(kept)} of it are kept; the same command goes on from there." if kept else ""
    raise DownloadError(f"{file.name} could not be fetched. {faults[-1]}.{rest}")


def _write_receipt(source: PublicSource, file: RemoteFile, folder: Path, say: Callable[[str], object]) -> None:
    path = folder / file.name
    taken = pooch.file_hash(str(path))
    entry = {
        "source": source.name,
        "urls": file.urls,
        "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        "bytes": path.stat().st_size,
        "sha256": taken,
        "licence": source.licence,
        "citation": source.citation,
        "proda": __version__,
    }
    write_json(folder / RECEIPT, {**_receipt(folder), file.name: entry})
    told = f"{path}: {bytes_text(path.stat().st_size)}, sha256 {taken}"
    if file.reported:
        same = _agrees(path, file.reported)
        told += ", as others have reported it" if same else f". OTHERS HAVE REPORTED {file.reported}: renewed since?"
    say(told)


def _unpack(path: Path, say: Callable[[str], object]) -> None:
    """Put the members of a zip into a folder of its name beside it, which is there only when all of them are."""
    target = path.with_suffix("")
    if target.exists():
        return
    partial = target.with_name(f"{target.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            needed, free = sum(member.file_size for member in archive.infolist()), shutil.disk_usage(path.parent).free
            if needed > free:
                raise InputError(f"{path}: unpacked it takes {bytes_text(needed)}, {bytes_text(free)} are free there.")
            archive.extractall(partial)
    except (OSError, zipfile.BadZipFile) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(f"{path} cannot be unpacked: {error}. Remove it and fetch it again.") from error
    partial.replace(target)
    say(f"unpacked to {target}")


def _receipt(folder: Path) -> dict[str, Any]:
    return read_json(folder / RECEIPT) or {}


def _agrees(path: Path, checksum: str) -> bool:
    algorithm, _, expected = checksum.partition(":")
    return pooch.file_hash(str(path), alg=algorithm) == expected.lower()
