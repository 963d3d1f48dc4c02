"""The HTML report: executed notebooks and a first page, made by Sphinx into pages that load nothing from a network."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Any

import nbformat
import pandas as pd
from PIL import Image

from proda.errors import InputError, ProdaError
from proda.stage import STAGES, SUPPLEMENTS, read_json
from proda.study import Study

PAGES = Path(__file__).parent / "pages"
MATHJAX = "tex-svg.js"
LOADING = "link|script|img|iframe|source|object"  # elements that load what they refer to
# The map of the first page, in order of preference, and what it shows of the table of scores.
MAPS = ("hybrid_map.png", "network_map.png")
PACKAGES = ("sphinx", "myst-nb", "sphinx-book-theme", "sphinx-mathjax-offline")
COLUMNS = {"r2": "r²", "efficiency": "NSE", "rmse": "RMSE", "bias": "bias", "published r2": "published r²"}


class ReportFailed(ProdaError):
    """The HTML report could not be built, or one of its pages refers to the network."""


def check_packages() -> None:
    """An InputError that names the packages of the report that are not installed."""
    installed = {distribution.name.lower().replace("_", "-") for distribution in metadata.distributions()}
    missing = [name for name in PACKAGES if name not in installed]
    if missing:
        raise InputError(f'the report needs {", ".join(missing)}, not installed here: pip install -e ".[report]"')


def build_report(study: Study, executed: Path, target: Path) -> Path:
    """Build the report of ``study`` from the notebooks in ``executed`` into the folder ``target``; give its first page.

    Raises ReportFailed with Sphinx's errors, or what is loaded from the network; ``target`` is then as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".html-", dir=target.parent) as folder:
        source, pages = Path(folder, "source"), Path(folder, "html")
        write_source(study, executed, source)
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(source / ".tmp")]
        environment = {**os.environ, "PRODA_REPORT_TITLE": f"{study.title} ({study.scale})"}
        done = subprocess.run([*command, str(source), str(pages)], capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise ReportFailed(f"Sphinx could not build the report:\n{done.stderr.replace(str(source), '')[-3000:]}")
        # What a browser does not read: maps of the theme's scripts and styles, and Sphinx's translations.
        shutil.rmtree(pages / "_static" / "locales", ignore_errors=True)
        for path in pages.rglob("*.map"):
            path.unlink()
        loaded = [f"  {page.name}: {address}" for page in pages.glob("*.html") for address in from_network(page)]
        if loaded:
            raise ReportFailed("\n".join(["pages of the report load files from the network:", *loaded[:20]]))
        if target.exists():
            target.replace(Path(folder, "old"))
        pages.replace(target)
    return target / "index.html"


def write_source(study: Study, executed: Path, source: Path) -> None:
    """Write what Sphinx reads into the new folder ``source``: configuration, pages, executed notebooks, MathJax."""
    shutil.copytree(PAGES, source)
    static = source / "_static"
    static.mkdir()
    (source / "report.css").rename(static / "report.css")
    mathematics = metadata.files("sphinx-mathjax-offline")  # the one file with which a page sets it by itself
    shutil.copy(next(file.locate() for file in mathematics if file.name == MATHJAX), static / MATHJAX)
    names = {}
    for kind, stages in (("core", STAGES), ("supplement", SUPPLEMENTS)):
        names[kind] = [name for name in stages if (executed / f"{name}.ipynb").is_file()]
        for name in names[kind]:
            notebook = nbformat.read(executed / f"{name}.ipynb", as_version=4)
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    cell.metadata["tags"] = sorted({*cell.metadata.get("tags", []), "hide-input"})
            nbformat.write(notebook, source / f"{name}.ipynb")
    supplement = ["## Supplement", "", "```{toctree}", ":maxdepth: 1", *names["supplement"], "```"]
    filled = Template((PAGES / "index.md").read_text(encoding="utf-8")).substitute(
        title=study.title,
        description=" ".join(study.description.split()),
        facts=_rows(_facts(study)),
        table_1=_table_1(study),
        map=_map(study, source),
        notebooks="\n".join(names["core"]),
        supplement="\n".join(supplement if names["supplement"] else []),
    )
    (source / "index.md").write_text(filled, encoding="utf-8")


def from_network(page: Path) -> list[str]:
    """The addresses in the network from which an HTML page loads a script, a style, an image or another page's part."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"<(?:{LOADING})\b[^>]*?\s(?:src|href|data)=[\"']((?:https?:)?//[^\"']+)", text)


def _facts(study: Study) -> Iterator[tuple[str, Any]]:
    record = read_json(study.path("run.json")) or {}
    yield "study", f"{study.name}, scale {study.scale}"
    yield "data", study.data.name if study.data else "synthetic, with known parameters"
    if study.path("cleaning.csv").is_file():
        counts = pd.read_csv(study.path("cleaning.csv")).iloc[-1]
        yield "after cleaning", f"{counts['profiles_after']:,} profiles, {counts['layers_after']:,} layers"
    seconds = sum(stage.get("seconds", 0) for stage in record.get("stages", {}).values())
    yield "run", f"{record.get('started', 'by hand')[:10]}, notebooks took {seconds / 60:.1f} min"
    revision = record.get("revision")
    changed = " with uncommitted changes" if revision and revision["dirty"] else ""
    yield "revision", f"{revision['commit'][:12]}{changed}" if revision else "not under version control"
    yield "seed", study.seed
    yield "settings changed for this run", ", ".join(f"{k} = {v}" for k, v in study.overrides.items()) or "none"
    yield "versions", ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())


def _table_1(study: Study) -> str:
    path = study.path("table_1_summary.csv")
    if not path.is_file():
        return _rows([["scores"], ["not made yet, by notebook 6"]])
    table = pd.read_csv(path)
    table = table[["method", *(name for name in COLUMNS if name in table)]].rename(columns=COLUMNS)
    numbers = table.map(lambda cell: f"{cell:.2f}".replace("nan", "") if isinstance(cell, float) else cell)
    return _rows([tuple(table.columns), *numbers.itertuples(index=False)])


def _map(study: Study, source: Path) -> str:
    path = next((study.path("figures") / name for name in MAPS if (study.path("figures") / name).is_file()), None)
    if path is None:
        return ""
    Image.open(path).convert("RGB").quantize(256).save(source / "map.png")
    caption = f"Soil organic carbon by the {path.stem.partition('_')[0]}, mapped by notebook 6."
    return f"```{{figure}} map.png\n:alt: {caption}\n:width: 100%\n\n{caption}\n```"


def _rows(rows: Any) -> str:
    """Rows of a Markdown list table."""
    return "\n".join(f"{'  ' if i else '* '}- {cell}" for row in rows for i, cell in enumerate(row))
