"""The public sources that `python -m proda fetch` knows: what they are, whose, where, how large (data/sources.toml)."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proda.errors import InputError
from proda.settings import suggestion
from proda.study import repository_root

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
