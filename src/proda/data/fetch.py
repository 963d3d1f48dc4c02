"""Public data sets of data/sources.toml, downloaded with pooch: `python -m proda fetch SOURCE --to DIR --dry-run`."""

from __future__ import annotations

import itertools
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pooch

from proda.errors import DownloadError, InputError
from proda.stage import file_sha256, now, read_json, write_json
from proda.study import repository_root, suggestion

RECEIPT = "fetched.json"  # beside the files: where each came from, when, and its SHA-256
_PAGE_STARTS = (b"<!doctype", b"<html", b"<?xml", b"<ows:", b"<serviceexception")
_MARKUP = (".html", ".xml", ".vrt", ".gml")
_TIMEOUT = (20, 120)  # s to connect, and between two packets


class RemoteFile(NamedTuple):
    """A file of a public source."""

    name: str  # on disk
    urls: tuple[str, ...]  # the address and its mirrors
    size: int = 0  # bytes; 0 where unknown
    checksum: str | None = None  # as the publisher states it, "md5:..." or "sha256:..."
    unpack: bool = False  # whether the readers need the members of this zip as files


class PublicSource(NamedTuple):
    """An entry of `data/sources.toml`."""

    name: str  # on the command line
    title: str
    licence: str
    citation: str
    page: str
    files: tuple[RemoteFile, ...]
    note: str = ""


def fetch(source: PublicSource, to: Path | str = "", dry_run: bool = False) -> list[Path]:
    """Download the files of `source` that are not in the folder `to` (``data/raw/<source>`` of the clone when empty).

    A dry run prints what would be downloaded. When no address gives a file whole and with its checksum, nothing is left
    under its name, and that is a `DownloadError`.
    """
    folder = Path(to).expanduser().resolve() if str(to) else repository_root() / "data" / "raw" / source.name
    rows = {"licence": source.licence, "cite": source.citation, "page": source.page, "note": source.note, "to": folder}
    print(source.title, *(f"  {name:9} {text}" for name, text in rows.items() if text), sep="\n")
    for file in source.files:
        state = "is there already" if (folder / file.name).is_file() else _size(file)
        print(f"    {file.name}: {state}, {file.checksum or 'no published checksum'}, {file.urls[0]}")
    if dry_run:
        return []
    pooch.get_logger().setLevel("WARNING")
    for file in source.files:
        _download(file, folder)
    return [folder / file.name for file in source.files]


def _download(file: RemoteFile, folder: Path) -> None:
    path, causes = folder / file.name, []
    for url in file.urls:
        try:
            there = path.is_file()
            downloader = pooch.HTTPDownloader(progressbar=True, timeout=_TIMEOUT)
            pooch.retrieve(url, file.checksum, file.name, folder, processor=_checked, downloader=downloader)
            if not there:
                receipt = folder / RECEIPT
                entry = {"url": url, "fetched": now(), "sha256": file_sha256(path)}
                write_json(receipt, (read_json(receipt) or {}) | {path.name: entry})
            if file.unpack:
                pooch.Unzip(extract_dir=path.stem)(str(path), "fetch", None)
            return
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            causes.append(f"{url}: {error}")
    raise DownloadError(f"{file.name} could not be fetched to {folder}. " + " ".join(causes))


def _checked(name: str, action: str, _: Any) -> str:
    """A processor of pooch: servers that want a login, and map services that fail, send a page with status 200."""
    path, fault = Path(name), ""
    if action == "fetch":  # it was there already
        return name
    with path.open("rb") as stream:
        if path.suffix not in _MARKUP and stream.read(256).lstrip().lower().startswith(_PAGE_STARTS):
            fault = "the server sent a page, not the file. Does it want a login?"
    if path.suffix == ".zip" and not fault and not zipfile.is_zipfile(path):
        fault = "not a whole zip file."
    if fault:
        path.unlink()
        raise DownloadError(fault)
    return name


def known_sources() -> dict[str, PublicSource]:
    path = repository_root() / "data" / "sources.toml"
    return {name: _source(name, entry) for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()}


def _source(name: str, entry: Mapping[str, Any]) -> PublicSource:
    texts = {key: entry[key] for key in ("title", "licence", "citation", "page")}
    files = [RemoteFile(**{**item, "urls": tuple(item["urls"])}) for item in entry.get("files", [])]
    # A pattern stands for a file for every combination of the lists that it refers to.
    lists = {key: entry[key] for key in ("property", "depth") if key in entry}
    for values in itertools.product(*lists.values()) if "pattern" in entry else ():
        filled = dict(zip(lists, values, strict=True))
        files.append(RemoteFile(entry["pattern_name"].format(**filled), (entry["pattern"].format(**filled),)))
    return PublicSource(name, **texts, files=tuple(files), note=entry.get("note", ""))


def source_named(name: str) -> PublicSource:
    sources = known_sources()
    if name not in sources:
        raise InputError(f"unknown source {name!r}: {suggestion(name, sources)}")
    return sources[name]


def listing(sources: Mapping[str, PublicSource]) -> str:
    """What there is to fetch, for a terminal: name, title, size and licence."""
    width = max(map(len, sources))
    lines = ["Public sources; nothing in the virtual study needs one. Fetch one with: python -m proda fetch SOURCE", ""]
    for name, source in sources.items():
        lines.append(f"{name:{width}}  {source.title}")
        lines.append(f"{'':{width}}  {len(source.files)} file(s), {_size(*source.files)}; licence: {source.licence}")
    return "\n".join(lines)


def _size(*files: RemoteFile) -> str:
    return f"{sum(file.size for file in files) / 1e6:,.3g} MB" if all(file.size for file in files) else "size not known"
