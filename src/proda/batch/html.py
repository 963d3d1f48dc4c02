"""The HTML report: executed notebooks and pages about them, made by Sphinx into pages that need no network.

Pages are built in a temporary folder and take the place of the old ones when they are complete and checked.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from importlib import metadata
from pathlib import Path

import nbformat

from proda.batch.front_page import front_page
from proda.batch.notebook_page import for_the_page, title_of, without_outputs
from proda.batch.page_check import faults_of_pages, weight_faults, weights_of_pages
from proda.batch.page_figures import with_figures_as_files
from proda.batch.run_page import run_page
from proda.batch.sources_page import sources_page
from proda.errors import ProdaError
from proda.stages import STAGES
from proda.study import Study, repository_root

PAGES = Path(__file__).parent / "pages"
MATHJAX = "tex-svg.js"
TUTORIAL = Path("docs", "your-own-region.md")
# Draws icons that the theme's style sheet draws as well, from a font.
ICON_SCRIPT = re.compile(r'<script[^>]*src="[^"]*scripts/fontawesome\.js[^"]*"[^>]*></script>')


class ReportFailed(ProdaError):
    """The HTML report could not be built, or its pages are not what they must be."""


def build_report(study: Study, executed: Path, target: Path) -> Path:
    """Build the report of ``study`` from the notebooks in ``executed`` into the folder ``target``.

    Returns
    -------
    The front page, ``target/index.html``.

    Raises
    ------
    ReportFailed
        With Sphinx's own words, or the list of faults of the pages; ``target`` is then as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".html-", dir=target.parent) as folder:
        source, pages = Path(folder, "source"), Path(folder, "html")
        write_source(study, executed, source)
        _run_sphinx(source, pages, f"{study.title} · {study.scale}")
        _without_unused(pages)
        for path in (pages / "_sources").glob("*.ipynb"):
            # Its figures are on the page; what a reader downloads is what runs.
            nbformat.write(without_outputs(nbformat.read(executed / path.name, as_version=4)), path)
        faults = faults_of_pages(pages)
        if faults:
            raise ReportFailed(
                "the pages of the report have faults:\n" + "\n".join(f"  {fault}" for fault in faults[:20])
            )
        for fault in weight_faults(weights_of_pages(pages)):
            warnings.warn(f"{fault}: fewer or smaller figures would make it lighter", stacklevel=2)
        _replace(target, pages)
    return target / "index.html"


def write_source(study: Study, executed: Path, source: Path) -> None:
    """Write what Sphinx reads into the new folder ``source``: configuration, own pages, executed notebooks, MathJax."""
    static = source / "_static"
    (static / "mathjax").mkdir(parents=True)
    shutil.copy(PAGES / "conf.py", source)
    shutil.copy(PAGES / "report.css", static)
    shutil.copy(_mathjax(), static / "mathjax")
    titles = {}
    for name in (name for name in STAGES if (executed / f"{name}.ipynb").is_file()):
        notebook = nbformat.read(executed / f"{name}.ipynb", as_version=4)
        titles[name] = title_of(notebook, name)
        page = with_figures_as_files(for_the_page(notebook), name, source)
        nbformat.write(page, source / f"{name}.ipynb")
    pages = {"index": front_page(study, titles, source), "sources": sources_page(study), "run": run_page(study)}
    for name, text in pages.items():
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    shutil.copy(repository_root() / TUTORIAL, source)


def _run_sphinx(source: Path, pages: Path, title: str) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-d", str(source.parent / "doctrees")]
    done = subprocess.run(
        [*command, str(source), str(pages)],
        capture_output=True,
        text=True,
        env={**os.environ, "PRODA_REPORT_TITLE": title},
    )
    if done.stderr:
        print(done.stderr.replace(str(source), "").strip(), file=sys.stderr)
    if done.returncode != 0:
        raise ReportFailed(f"Sphinx could not build the report:\n{done.stderr[-3000:]}")


def _mathjax() -> Path:
    """The one file with which a page sets mathematics by itself, from the package that ships it."""
    try:
        files = metadata.files("sphinx-mathjax-offline") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == MATHJAX:
            return Path(file.locate())
    raise ReportFailed('sphinx-mathjax-offline is not installed: pip install -e ".[report]"')


def _without_unused(pages: Path) -> None:
    """Take away what only the making needed, what a page can do without, and what it cannot use from a file system."""
    static = pages / "_static"
    for page in pages.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(ICON_SCRIPT.sub("", text), encoding="utf-8")
    unused = [pages / ".buildinfo", pages / "objects.inv", *static.glob("*webpack-macros.html")]
    for path in (*unused, *static.rglob("*.map"), *(static / "scripts").glob("fontawesome.js*")):
        path.unlink(missing_ok=True)
    shutil.rmtree(static / "locales", ignore_errors=True)


def _replace(target: Path, pages: Path) -> None:
    old = pages.with_name("old")
    if target.exists():
        target.replace(old)
    pages.replace(target)
