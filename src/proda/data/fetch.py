"""`python -m proda fetch SOURCE`: say what will come, then bring it, checked, under its own name or not at all."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pooch

from proda import __version__
from proda.data.downloader import ResumingDownloader, remote_size
from proda.data.public_sources import PublicSource, RemoteFile, bytes_text
from proda.errors import DownloadError, InputError
from proda.progress import progress_bar
from proda.stages import read_json, write_json
from proda.study import repository_root

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
