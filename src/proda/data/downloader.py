"""A downloader for pooch that goes on where a cut download stopped.

pooch gives a temporary name, checks the sum and renames; it begins at the first byte every time. Here the bytes that
have come stay in ``NAME.part`` beside the target, with a note of the address and of the server's mark of that version.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from proda.errors import DownloadError
from proda.stages import read_json, write_json

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
