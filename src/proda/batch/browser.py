"""The pages of a report in a headless Chromium without a network: what they ask for, and what their scripts make."""

import json
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No request leaves the machine, whether of a page or of the browser itself.
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--virtual-time-budget=10000",
)
# Mathematics that its script left as it was, and what it draws in place of what it cannot read.
NOT_SET = re.compile(r'class="math[^>]*>\s*(\\[(\[].*?)</', re.DOTALL)
BAD_EQUATION = re.compile(r'<g data-mml-node="(?:merror|mtext" fill="red)"')


class Opened(NamedTuple):
    """A page after its scripts have run: its HTML, and the addresses that it asked the network for."""

    html: str
    requests: list[str]


def find_browser() -> str | None:
    """The path of a Chromium on this machine, or None."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def opened(browser: str, page: Path, query: str = "") -> Opened:
    """Open ``page`` from the file system and wait for its scripts."""
    with tempfile.TemporaryDirectory(prefix="proda-browser-", ignore_cleanup_errors=True) as folder:
        log = Path(folder, "requests.json")
        address = page.resolve().as_uri() + query
        command = [
            browser,
            *OPTIONS,
            f"--user-data-dir={folder}/profile",
            f"--log-net-log={log}",
            "--dump-dom",
            address,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        events = [event.get("params", {}) for event in json.loads(log.read_text(encoding="utf-8"))["events"]]
    # The browser's own requests have no origin; those of a page have one, "null" for a page from the file system.
    own = "not an origin"
    asked = {event["url"] for event in events if "url" in event and event.get("initiator", own) != own}
    return Opened(done.stdout, sorted(asked))


def faults_in_browser(browser: str, folder: Path, word: str = "carbon") -> list[str]:
    """What is wrong with the report in ``folder`` in ``browser``: requests, unset equations, a search without hits."""
    paths = sorted(folder.glob("*.html"))
    with ThreadPoolExecutor(max_workers=4) as pool:  # most of the time a starting browser waits
        search = pool.submit(opened, browser, folder / "search.html", f"?q={word}")
        pages = list(pool.map(lambda path: opened(browser, path), paths))
    faults = []
    for path, (html, requests) in zip([*paths, folder / "search.html"], [*pages, search.result()], strict=True):
        faults += [f"{path.name}: asks the network for {address[:120]}" for address in requests]
        faults += [f"{path.name}: the equation {text[:80]} is not set" for text in NOT_SET.findall(html)]
        if BAD_EQUATION.search(html):
            faults.append(f"{path.name}: an equation has an error or an unknown command, shown in red")
    if "index.html" not in search.result().html.partition('id="search-results"')[2]:
        faults.append(f"search.html: finds no page for {word!r}")
    return faults
