"""The HTML report: executed notebooks and a front page, made by Sphinx into pages that need no network.

Pages are built in a temporary folder and take the place of the old ones when they are complete and checked.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import nbformat

from proda.batch.front_page import front_page, run_page
from proda.batch.page_check import faults_of_pages
from proda.errors import ProdaError
from proda.stages import STAGES
from proda.study import Study

PAGES = Path(__file__).parent / "pages"
MATHJAX = "tex-svg-full.js"


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
        faults = faults_of_pages(pages)
        if faults:
            raise ReportFailed(
                "the pages of the report have faults:\n" + "\n".join(f"  {fault}" for fault in faults[:20])
            )
        _replace(target, pages)
    return target / "index.html"


def write_source(study: Study, executed: Path, source: Path) -> None:
    """Write what Sphinx reads into the new folder ``source``: configuration, own pages, executed notebooks, MathJax."""
    static = source / "_static"
    (static / "mathjax").mkdir(parents=True)
    shutil.copy(PAGES / "conf.py", source)
    shutil.copy(PAGES / "report.css", static)
    shutil.copy(_mathjax(), static / "mathjax")
    present = [name for name in STAGES if (executed / f"{name}.ipynb").is_file()]
    for name in present:
        notebook = nbformat.read(executed / f"{name}.ipynb", as_version=4)
        nbformat.write(for_the_page(notebook), source / f"{name}.ipynb")
    for picture in sorted(study.path("figures").glob("*.png")):
        shutil.copy(picture, source)
    (source / "index.md").write_text(front_page(study, present), encoding="utf-8")
    (source / "run.md").write_text(run_page(study), encoding="utf-8")


def for_the_page(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """``notebook`` with its code folded and with progress bars as they stood at the end; changed in place."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata["tags"] = sorted({*cell.metadata.get("tags", []), "hide-input"})
        cell.outputs = merged_streams(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = last_state(output.text)
    notebook.metadata.pop("widgets", None)
    return notebook


def merged_streams(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """``outputs`` with what was written to one stream in several goes as one: every update of a bar is a go."""
    merged: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            output.text = "".join(output.text)
            if merged and merged[-1].output_type == "stream" and merged[-1].name == output.name:
                merged[-1].text += output.text
                continue
        merged.append(output)
    return merged


def last_state(text: str) -> str:
    """``text`` as a terminal shows it after carriage returns: of each line what was written last."""
    lines = [[part for part in line.split("\r") if part.strip()] or [""] for line in text.split("\n")]
    return "\n".join(parts[-1] for parts in lines)


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
    """Take away what only the making needed, and what a page cannot use from the file system."""
    unused = [pages / ".buildinfo", pages / "objects.inv", *(pages / "_static").glob("*webpack-macros.html")]
    for path in (*unused, *(pages / "_static").rglob("*.map")):
        path.unlink(missing_ok=True)


def _replace(target: Path, pages: Path) -> None:
    old = pages.with_name("old")
    if target.exists():
        target.replace(old)
    pages.replace(target)
