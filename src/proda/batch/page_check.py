"""Every page of a report, as a browser without a network meets it: ``python -m proda.batch.page_check DIR``."""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from proda.batch.browser import faults_in_browser
from proda.batch.chromium import find_browser

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
        print("give the folder of a report: python -m proda.batch.page_check reports/html", file=sys.stderr)
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
