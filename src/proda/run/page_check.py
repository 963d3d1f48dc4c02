"""Every page of a report, as a browser without a network meets it: ``python -m proda.run.page_check DIR``.

A headless Chromium without a network, led over its DevTools protocol: open a page, ask it, press keys, look at it.

The protocol: https://chromedevtools.github.io/devtools-protocol/

The pages of a report in a headless Chromium without a network: what they ask for, what their scripts make of them,
whether they fit a desk and a phone, and whether the keyboard reaches what the mouse does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import websocket

from proda.errors import ProdaError

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
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-port=0",
)
KEYS = {"Tab": 9, "Enter": 13}
WAIT = 60  # s, for a machine that has other things to do
LOCAL = ("file:", "data:", "blob:", "about:", "chrome:")


class BrowserFailed(ProdaError):
    """The browser did not start, or did not answer."""


def find_browser() -> str | None:
    """The path of a Chromium on this machine, or None."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


class Chromium:
    """A running browser with one page.

    with Chromium(find_browser()) as page:
        page.open(path)
        page.ask("document.title")

    Attributes
    ----------
    requests : list of str
        Addresses that the page opened last asked the network for.
    errors : list of str
        What its scripts threw, and what the browser reported as an error.
    """

    def __init__(self, program: str):
        self.program = program
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._number = 0
        self._session: str | None = None
        self._seen: set[str] = set()

    def __enter__(self) -> Chromium:
        self._folder = tempfile.TemporaryDirectory(prefix="proda-browser-", ignore_cleanup_errors=True)
        command = [self.program, *OPTIONS, f"--user-data-dir={self._folder.name}", "about:blank"]
        # What it leaves behind goes with the folder.
        place = {**os.environ, "TMPDIR": self._folder.name}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, env=place, **quiet)
        try:
            self._socket = websocket.create_connection(self._address(), timeout=WAIT, suppress_origin=True)
            target = self._call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime", "Log"):
                self._call(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_socket"):
            self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def resize(self, width: int, height: int) -> None:
        """Give the page a screen of so many pixels; one under 600 wide is a phone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        self.ask("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")

    def open(self, path: Path, query: str = "") -> None:
        """Open the page at `path` from the file system and wait until it is loaded and its mathematics are set."""
        self.requests, self.errors = [], []
        self._seen.clear()
        self._call("Page.navigate", url=path.resolve().as_uri() + query)
        self._until(lambda: "Page.loadEventFired" in self._seen)
        self.ask("window.MathJax?.startup?.promise?.then(() => true)")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; that of a promise when it has one."""
        answer = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserFailed(f"the page could not tell {expression!r}: {_thrown(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key of the keyboard: "Tab" or "Enter"."""
        told = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "text": "\r" if key == "Enter" else ""}
        self._call("Input.dispatchKeyEvent", type="keyDown", **told)
        self._call("Input.dispatchKeyEvent", type="keyUp", **told)

    def picture(self, path: Path) -> Path:
        """Write what the screen shows to a PNG file."""
        path.write_bytes(b64decode(self._call("Page.captureScreenshot", format="png")["data"]))
        return path

    def _address(self) -> str:
        """Where the browser listens; it writes that into its folder when it is ready."""
        file, end = Path(self._folder.name, "DevToolsActivePort"), time.monotonic() + WAIT
        while time.monotonic() < end and self._process.poll() is None:
            lines = file.read_text().split() if file.is_file() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            time.sleep(0.05)
        raise BrowserFailed(f"{self.program} did not start within {WAIT} s (exit code {self._process.poll()})")

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while (answer := self._next()).get("id") != message["id"]:
            pass
        if "error" in answer:
            raise BrowserFailed(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _until(self, done: Any) -> None:
        while not done():
            self._next()

    def _next(self) -> dict[str, Any]:
        """The next message of the browser, what it tells of the page noted."""
        try:
            message = json.loads(self._socket.recv())
        except websocket.WebSocketTimeoutException as error:
            raise BrowserFailed(f"{self.program} said nothing for {WAIT} s") from error
        event, told = message.get("method", ""), message.get("params", {})
        self._seen.add(event)
        if event == "Network.requestWillBeSent" and not told["request"]["url"].startswith(LOCAL):
            self.requests.append(told["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(_thrown(told["exceptionDetails"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}".strip())
        elif event == "Runtime.consoleAPICalled" and told["type"] == "error":
            self.errors.append(" ".join(str(item.get("value", item.get("description"))) for item in told["args"]))
        return message


def _thrown(details: dict[str, Any]) -> str:
    return details.get("exception", {}).get("description", details["text"]).splitlines()[0]


SCREENS = {"desktop": (1280, 800), "phone": (390, 844)}
# Mathematics that its script left as it was, and what it draws in place of what it cannot read.
NOT_SET = re.compile(r'class="math[^>]*>\s*(\\[(\[].*?)</', re.DOTALL)
BAD_EQUATION = re.compile(r'<g data-mml-node="(?:merror|mtext" fill="red)"')

# How much wider than the screen, and the first element of the text that is to blame: none that scrolls by itself.
TOO_WIDE = """(() => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide <= 1) return "";
  const scrolls = e => e && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const out = [...document.querySelectorAll("article *")]
    .filter(e => !e.children.length && e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e.parentElement));
  return `${wide} px, from ${out[0]?.outerHTML.slice(0, 100)}`;
})()"""
SETTLED = "Promise.all(document.getAnimations().map(motion => motion.finished)).then(() => true)"
NOT_SHOWN = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.getAttribute('src'))"
AT = """(() => { const e = document.activeElement, r = e.getBoundingClientRect();
  return {href: e.getAttribute("href") || "", seen: r.width > 1 && r.height > 1 && r.top >= 0 && r.left >= 0,
          outline: getComputedStyle(e).outlineStyle !== "none" || getComputedStyle(e).boxShadow !== "none"}; })()"""
FIRST_FOLD = "document.querySelector('.bd-article details > summary')"
FOUND = """new Promise(done => { const end = Date.now() + 5000, look = () => {
  const links = [...document.querySelectorAll("#search-results li a")].map(a => a.getAttribute("href"));
  const found = links.some(link => link.startsWith("index.html")) || Date.now() > end;
  found ? done(links) : setTimeout(look, 50); }; look(); })"""


class Opened(NamedTuple):
    """A page after its scripts have run: its HTML, what it asked the network for, and the errors of its scripts."""

    html: str
    requests: list[str]
    errors: list[str]


def opened(browser: str, page: Path, query: str = "") -> Opened:
    """Open ``page`` from the file system and wait for its scripts."""
    with Chromium(browser) as chromium:
        chromium.open(page, query)
        html = chromium.ask("document.documentElement.outerHTML")
        return Opened(html, chromium.requests, chromium.errors)


def faults_in_browser(browser: str, folder: Path, word: str = "carbon") -> list[str]:
    """What is wrong with the report in ``folder`` in ``browser``, one sentence each.

    Looked for: requests to the network, errors of scripts, equations that are not set, figures that are not shown,
    pages wider than the screen of a desk or a phone, a keyboard that does not reach the text or the folded code, and
    a search without hits.
    """
    faults = []
    with Chromium(browser) as chromium:
        for path in sorted(folder.glob("*.html")):
            faults += [f"{path.name}: {fault}" for fault in faults_of_page(chromium, path)]
        if (folder / "search.html").is_file():
            chromium.open(folder / "search.html", f"?q={word}")
            if not any("index.html" in link for link in chromium.ask(FOUND)):
                faults.append(f"search.html: finds no page for {word!r}")
            faults += [f"search.html: asks the network for {address[:120]}" for address in chromium.requests]
            faults += [f"search.html: a script fails: {error[:200]}" for error in chromium.errors]
    return faults


def faults_of_page(chromium: Chromium, path: Path) -> Iterator[str]:
    """What is wrong with one page, as the ends of sentences."""
    chromium.resize(*SCREENS["desktop"])
    chromium.open(path)
    html = chromium.ask("document.documentElement.outerHTML")
    yield from (f"the equation {text[:80]} is not set" for text in NOT_SET.findall(html))
    if BAD_EQUATION.search(html):
        yield "an equation has an error or an unknown command, shown in red"
    yield from (f"the figure {source} is not shown" for source in chromium.ask(NOT_SHOWN))
    yield from keyboard_faults(chromium)
    for screen, size in SCREENS.items():
        chromium.resize(*size)
        wide = chromium.ask(TOO_WIDE)
        if wide:
            yield f"is wider than the screen of a {screen} ({size[0]} px) by {wide}"
    yield from (f"asks the network for {address[:120]}" for address in chromium.requests)
    yield from (f"a script fails: {error[:200]}" for error in chromium.errors)


def keyboard_faults(chromium: Chromium) -> Iterator[str]:
    """What a reader without a mouse cannot do on the page that is open."""
    if not chromium.ask("!!document.getElementById('main-content')"):
        return  # no page of the theme
    chromium.press("Tab")
    chromium.ask(SETTLED)
    at = chromium.ask(AT)
    if at["href"] != "#main-content" or not at["seen"]:
        yield "the first press of Tab does not show a link that skips to the text"
    if not at["outline"]:
        yield "what the keyboard is at cannot be seen"
    if chromium.ask(f"!!{FIRST_FOLD}"):
        before = chromium.ask(f"{FIRST_FOLD}.focus(), {FIRST_FOLD}.parentElement.open")
        if not chromium.ask(f"document.activeElement === {FIRST_FOLD}"):
            yield "the keyboard does not reach folded code"
        elif not chromium.ask(AT)["outline"]:
            yield "folded code that the keyboard is at cannot be told from other"
        chromium.press("Enter")
        if chromium.ask(f"{FIRST_FOLD}.parentElement.open") == before:
            yield "the Enter key does not unfold code"
        chromium.press("Enter")


# What a browser loads by itself, by tag and attribute. Links that a reader may follow are another matter.
LOADED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "embed": ("src",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "input": ("src",),
}
LOADED_LINKS = {
    "stylesheet",
    "icon",
    "shortcut",
    "preload",
    "prefetch",
    "modulepreload",
    "preconnect",
    "dns-prefetch",
    "manifest",
}
CSS_URL = re.compile(r"""(?:url\(|@import\s)\s*(?!url)['"]?([^'")\s;]+)""")
# Words that could stand under any picture, and names of files.
SAYS_NOTHING = re.compile(
    r"(?:\S*|(?:an? |the )?(?:image|figure|picture|plot|chart|map|graph)\W*\d*|no description.*|"
    r".*\.(?:png|svg|jpe?g|webp))",
    re.IGNORECASE,
)
LEAST_WORDS = 4
# Bytes that a page, with all that it loads, and a report may weigh.
HEAVIEST = 10_000_000
CSS_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


class Page(HTMLParser):
    """What one page loads, links to and offers as anchors."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.figures: list[tuple[str, str | None]] = []
        self.captions: list[str] = []
        self.equations = 0
        self._style = self._caption = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag loads, where it leads, and how it can be reached."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self.loads += [given[name] for name in LOADED.get(tag, ()) if given.get(name)]
        self.loads += CSS_URL.findall(given.get("style", ""))
        if tag == "link" and LOADED_LINKS & set(given.get("rel", "").split()):
            self.loads.append(given.get("href", ""))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "img":
            self.figures.append((given.get("src", ""), given.get("alt")))
        self.equations += "math" in given.get("class", "").split()
        self._style = tag == "style"
        if tag == "figcaption":
            self.captions.append("")
            self._caption = True

    def handle_endtag(self, tag: str) -> None:
        """Note where a caption ends."""
        self._caption = self._caption and tag != "figcaption"

    def handle_data(self, data: str) -> None:
        """Note what a style sheet inside the page loads, and what a caption says."""
        if self._style:
            self.loads += CSS_URL.findall(CSS_COMMENT.sub("", data))
            self._style = False
        if self._caption:
            self.captions[-1] += data


class Summary(NamedTuple):
    """What the pages of a report hold together."""

    pages: int
    links: int
    figures: int
    captions: int
    equations: int


def faults_of_pages(folder: Path) -> list[str]:
    """What is wrong with the report in ``folder``, one sentence each; none for a report that opens offline and whole.

    Checked: a front page, a search page with its index, nothing loaded from the network, every local file and anchor
    that is loaded or linked is there, figures have alternative texts that tell them apart and captions that say
    something, and pages with equations load the local MathJax.
    """
    pages = read_pages(folder)
    faults = [
        f"{name} is missing"
        for name in ("index.html", "search.html", "searchindex.js")
        if not (folder / name).is_file()
    ]
    for path, page in pages.items():
        where = path.relative_to(folder).as_posix()
        faults += [f"{where}: {fault}" for fault in _load_faults(path, page.loads)]
        faults += [f"{where}: {fault}" for fault in _link_faults(path, page, pages)]
        faults += [f"{where}: {fault}" for fault in (*_alt_faults(page), *_caption_faults(page))]
        if page.equations and not any("mathjax/" in load for load in page.loads):
            faults.append(f"{where}: has equations but does not load the local MathJax")
    for path in sorted(folder.rglob("*.css")):
        text = CSS_COMMENT.sub("", path.read_text(encoding="utf-8"))
        faults += [
            f"{path.relative_to(folder).as_posix()}: {fault}" for fault in _load_faults(path, CSS_URL.findall(text))
        ]
    return faults


def weights_of_pages(folder: Path) -> dict[str, int]:
    """Bytes of every page with all that it loads, by its name, and of the whole report, by "."."""
    sizes = {path.resolve(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    found = {}
    for path, page in read_pages(folder).items():
        loaded = {path.resolve(), *_files(path, page.loads)}
        for style in [item for item in loaded if item.suffix == ".css"]:
            loaded |= _files(style, CSS_URL.findall(CSS_COMMENT.sub("", style.read_text(encoding="utf-8"))))
        found[path.relative_to(folder).as_posix()] = sum(sizes.get(item, 0) for item in loaded)
    return {**found, ".": sum(sizes.values())}


def weight_faults(weights: dict[str, int]) -> list[str]:
    """What is heavier than a page, or a report, may be."""
    return [
        f"{'the report' if name == '.' else name} weighs {size / 1e6:.1f} MB; at most {HEAVIEST / 1e6:.0f} are allowed"
        for name, size in weights.items()
        if size > HEAVIEST
    ]


def says_nothing(alt: str) -> bool:
    """Whether an alternative text could stand under any picture, or is too short to tell one from another."""
    return bool(SAYS_NOTHING.fullmatch(alt.strip())) or len(alt.split()) < LEAST_WORDS


def read_pages(folder: Path) -> dict[Path, Page]:
    """Every HTML file below ``folder``, read."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}


def summary(folder: Path) -> Summary:
    """How many pages, links, figures, captions and equations the report in ``folder`` holds."""
    pages = read_pages(folder).values()
    return Summary(
        pages=len(pages),
        links=sum(len(page.links) for page in pages),
        figures=sum(len(page.figures) for page in pages),
        captions=sum(len(page.captions) for page in pages),
        equations=sum(page.equations for page in pages),
    )


def _files(path: Path, loads: list[str]) -> set[Path]:
    """The local files that a page or a style sheet at `path` loads."""
    parts = [urlsplit(load) for load in loads]
    return {(path.parent / unquote(part.path)).resolve() for part in parts if part.path and not part.scheme}


def _alt_faults(page: Page) -> Iterator[str]:
    words: dict[str, str] = {}
    for source, alt in page.figures:
        name = source[:120]
        if alt is None or not alt.strip():
            yield f"the figure {name} has no alternative text"
        elif says_nothing(alt):
            yield f"the alternative text of the figure {name} says nothing: {alt[:60]!r}"
        elif words.setdefault(alt, source) != source:
            yield f"the figures {words[alt][:120]} and {name} have the same alternative text"


def _caption_faults(page: Page) -> Iterator[str]:
    yield from (f"a caption says nothing: {caption[:60]!r}" for caption in page.captions if says_nothing(caption))


def _load_faults(path: Path, loads: list[str]) -> Iterator[str]:
    for load in loads:
        parts = urlsplit(load)
        if parts.scheme == "data" or load.startswith("#"):
            continue
        if parts.scheme or parts.netloc:
            yield f"loads {load[:120]} from the network"
        elif not (path.parent / unquote(parts.path)).is_file():
            yield f"loads {load[:120]}, which is not there"


def _link_faults(path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
        known = {other.resolve(): content for other, content in pages.items()} if parts.fragment else {}
        if not goal.is_file():
            yield f"links to {link[:120]}, which is not there"
        elif goal in known and unquote(parts.fragment) not in known[goal].anchors:
            yield f"links to {link[:120]}, but that page has no such place"


def main(arguments: list[str]) -> int:
    """Check the report in the folder named by ``arguments``, in a browser too if there is one; 1 if it has faults."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("give the folder of a report: python -m proda.run.page_check reports/html", file=sys.stderr)
        return 2
    folder, browser = Path(arguments[0]), find_browser()
    weights = weights_of_pages(folder)
    faults = faults_of_pages(folder) + weight_faults(weights)
    if browser and not faults:
        faults = faults_in_browser(browser, folder)
    for fault in faults:
        print(fault)
    heaviest = max((name for name in weights if name != "."), key=weights.__getitem__, default=".")
    counts = ", ".join(f"{count} {name}" for name, count in summary(folder)._asdict().items())
    print(
        f"{counts}; {weights['.'] / 1e6:.1f} MB, the heaviest page {weights[heaviest] / 1e6:.1f} MB ({heaviest}): "
        f"{len(faults)} faults",
        "" if browser else "(no browser here: the pages were read, not opened)",
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
