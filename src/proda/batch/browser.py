"""The pages of a report in a headless Chromium without a network: what they ask for, what their scripts make of them,
whether they fit a desk and a phone, and whether the keyboard reaches what the mouse does.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from proda.batch.chromium import Chromium

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
