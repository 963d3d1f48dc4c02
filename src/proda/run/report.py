"""The HTML report: executed notebooks and pages about them, made by Sphinx into pages that need no network.

Pages are built in a temporary folder and take the place of the old ones when they are complete and checked.

Tables of the report's own pages in Markdown.

The figures of an executed notebook as files of a page: small, with alternative texts, and captions below them.

The front page of the report: in one screen what was run, on what, what came out, and where to read on.

An executed notebook made ready for its page: code folded, its summary at the top, progress bars as they ended.

The page of the report on how it was made: times, versions, seed, revision, machine and every setting.

The page of the report on whose data and software a study rests: sources, licences, citations.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pyarrow.parquet as pq
from PIL import Image

from proda.data.covariates import LISTS
from proda.data.fetch import bytes_text, known_sources
from proda.data.grid import read_grid
from proda.errors import ProdaError
from proda.figures.style import CAPTION_KEY as CAPTION
from proda.figures.style import description_in, in_few_colours
from proda.maps.stocks import reference_stocks
from proda.model.configuration import STRATA, interval_name
from proda.run.page_check import faults_of_pages, says_nothing, weight_faults, weights_of_pages
from proda.run.record import PACKAGES
from proda.stage import STAGES, read_json
from proda.study import Study, repository_root


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; columns of numbers stand on the right."""
    texts = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    columns = list(zip(*texts, strict=True)) if texts else [() for _ in head]
    rules = ["---:" if column and all(_is_number(cell) for cell in column) else "---" for column in columns]
    lines = [list(head), rules, *texts]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def csv_table(path: Path, names: Mapping[str, str] | None = None, decimals: int = 3) -> str:
    """A CSV file as a Markdown table.

    Parameters
    ----------
    names : headings by column, for the columns that are wanted; those that the file lacks are left out
    decimals : of numbers below 100
    """
    with path.open(newline="", encoding="utf-8") as stream:
        head, *rows = list(csv.reader(stream)) or [[""]]
    wanted = [name for name in names or head if name in head]
    places = [head.index(name) for name in wanted]
    return markdown_table(
        [names[name] if names else name.replace("_", " ") for name in wanted],
        [[_short(row[place], decimals) for place in places] for row in rows],
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == ""
    return True


def _short(text: str, decimals: int) -> str:
    if not _is_number(text) or not text or text.lstrip("-").isdigit():
        return text
    value = float(text)
    return f"{value:.{decimals}f}" if abs(value) < 100 else f"{value:.1f}"


PNG = "image/png"
FOLDER = "_static/figures"  # as a page names it
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


def with_figures_as_files(notebook: nbformat.NotebookNode, name: str, source: Path) -> nbformat.NotebookNode:
    """`notebook` with every PNG among its outputs as a file below the folder `source`; changed in place.

    A reader gets the figure at the width that its notebook gave it, and opens it in full with a click or the Enter key.
    Its caption is that of the cell's metadata (``mystnb.figure.caption``), else the figure's own
    (`proda.figures.style`).

    Parameters
    ----------
    name : the notebook's name, with which the files' names begin
    """
    folder = source / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for number, (output, alt, caption) in enumerate(figures_with_words(notebook), start=1):
        image = Image.open(BytesIO(b64decode(output["data"][PNG])))
        file = folder / f"{name}-{number}.webp"
        # A fifth smaller than a PNG of the same pixels.
        in_few_colours(image).convert("RGB").save(file, lossless=True, quality=80, method=4)
        shown = output.get("metadata", {}).get(PNG, {})
        width, height = shown.get("width", image.width), shown.get("height", image.height)
        shown_as = figure_html(f"{FOLDER}/{file.name}", alt, width, height, caption)
        output["data"] = nbformat.from_dict({"text/html": shown_as})
    return notebook


def figure_html(address: str, alt: str, width: float, height: float, caption: str = "") -> str:
    """A figure in a page, linked to itself in full, with its caption below if it has one."""
    size = f'width="{round(width)}" height="{round(height)}"'
    picture = f'<a class="figure" href="{address}"><img src="{address}" {size} alt="{escape(alt)}"></a>'
    below = f"<figcaption>{escape(caption, quote=False)}</figcaption>" if caption else ""
    return f"<figure>{picture}{below}</figure>"


def figures_with_words(notebook: nbformat.NotebookNode) -> Iterator[tuple[nbformat.NotebookNode, str, str]]:
    """Every output of `notebook` that is a PNG, with its alternative text and its caption, which may be empty.

    The alternative text is what the cell's metadata say (``mystnb.image.alt``), else what the figure tells of itself
    (`proda.figures.style`), else the heading above the cell and the first sentence below that. Words that say too
    little get the heading's in front, and no two figures have the same.
    """
    heading, sentence, told = "the notebook", "", Counter()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading, sentence = _place(cell.source, heading, sentence)
            continue
        about = cell.metadata.get("mystnb", {})
        given = str(about.get("image", {}).get("alt", "")).strip()
        below = str(about.get("figure", {}).get("caption", "")).strip()
        for output in (output for output in cell.get("outputs", []) if PNG in output.get("data", {})):
            own = output.get("metadata", {}).get(PNG, {})
            alt = given or own.get("alt", "")
            if says_nothing(alt):
                alt = " ".join(f"Figure of the section “{heading}”. {alt or sentence}".split())
            told[alt] += 1
            yield output, alt if told[alt] == 1 else f"{alt} ({told[alt]} of these)", below or own.get(CAPTION, "")


def _place(markdown: str, heading: str, sentence: str) -> tuple[str, str]:
    """The last heading of a cell and the first sentence of the prose below it, or those of the cells before."""
    headings = list(HEADING.finditer(markdown))
    if not headings:
        return heading, sentence
    below = [line for line in markdown[headings[-1].end() :].splitlines() if line[:1].isalpha()]
    first = re.split(r"(?<=[.:?])\s", below[0])[0] if below else ""
    return _without_marks(headings[-1][1]), _without_marks(first)


def _without_marks(text: str) -> str:
    return re.sub(r"\[([^]]*)\]\([^)]*\)|[*`$]", lambda found: found[1] or "", text).strip()


PAPER = (
    "Tao, F., Zhou, Z., Huang, Y., Li, Q., Lu, X., Ma, S., Huang, X., Liang, Y., Hugelius, G., Jiang, L., Doughty, R., "
    "Ren, Z. and Luo, Y. (2020). Deep Learning Optimizes Data-Driven Representation of Soil Organic Carbon in Earth "
    "System Model Over the Conterminous United States. *Frontiers in Big Data* 3:17. "
    "[doi:10.3389/fdata.2020.00017](https://doi.org/10.3389/fdata.2020.00017)"
)
# The table that stands for the whole, in order of preference, and what of it the front page shows.
TABLES = ("table_1_summary.csv", "table_1.csv")
COLUMNS = {
    "method": "method",
    "r2": "r²",
    "efficiency": "1:1 efficiency",
    "rmse": "RMSE",
    "bias": "bias",
    "published r2": "published r²",
}
TABLE_NOTE = (
    "Modelled against measured soil organic carbon of all layers (Table 1); RMSE and bias in kg C m⁻³. *Published* is "
    "the paper's own number, on its own data. Site-by-site has seen what it is scored on: the lines to look at are "
    "network and hybrid on test sites."
)
# The picture that stands for the whole, in order of preference; else the first figure with "map" in its name.
PICTURES = ("hybrid_map.png", "network_map.png", "figure_3.png")
PICTURE_WIDTH = 760  # pixels of a page
# Pages beside the notebooks, in the order of the table of contents.
OTHERS = {
    "your-own-region": "[Your own region in seven steps](your-own-region.md)",
    "sources": "[Data sources, licences and citations](sources.md)",
    "run": "[Versions, seed, settings and times of this run](run.md)",
}


def front_page(study: Study, titles: Mapping[str, str], source: Path) -> str:
    """The front page in MyST Markdown.

    Parameters
    ----------
    titles : the title of every notebook that has a page, by its name
    source : the folder of the pages' sources; the picture is put there
    """
    record = read_json(study.path("run.json")) or {}
    table = next((study.path(name) for name in TABLES if study.path(name).is_file()), None)
    left = [csv_table(table, COLUMNS, decimals=2), TABLE_NOTE] if table else []
    total = _total(study)
    right = [_picture(study.path("figures"), source, total) or total]
    parts = [
        # The right side bar has nothing to list on a page of one screen.
        "---\nhtml_theme.sidebar_secondary.remove: true\n---",
        f"# {study.title}",
        " ".join(study.description.split()),
        _facts(study, record, titles),
        _box("side-by-side", [_box("half", left), _box("half", right)]) if table or right[0] else "",
        "## Six notebooks",
        _notebooks(study, record, titles),
        _box("also", ["**Also here**", *OTHERS.values()]),
        _contents(titles),
        "## Reference",
        PAPER,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def revision_text(record: Mapping[str, Any]) -> str:
    """The git revision of a run, in Markdown."""
    revision = record.get("revision")
    if not revision:
        return "not under version control"
    return f"`{revision['commit'][:12]}`" + (" with uncommitted changes" if revision["dirty"] else "")


def time_text(seconds: float | None) -> str:
    """Seconds in words; "not run" for None."""
    if seconds is None:
        return "not run"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def memory_text(megabytes: float | None) -> str:
    """Megabytes as gigabytes; empty for None."""
    return "" if megabytes is None else f"{megabytes / 1000:.1f} GB"


def _facts(study: Study, record: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """What was run, on what, when and with what, in one short table that lies on its side."""
    source = study.data.name if study.data else "made by the study itself, with a known truth"
    seconds = [record["stages"][name].get("seconds") or 0 for name in record.get("stages", {})]
    time = f"{len(seconds)} notebooks in {time_text(sum(seconds))}" if seconds else "not recorded"
    began = [stage["started"] for stage in record.get("stages", {}).values() if "started" in stage]
    if began and min(began) < record.get("started", ""):
        time += ", some of an earlier run"
    facts = {
        "Study": f"{study.name} (`{study.file.name}`), scale {study.scale}",
        "Data": source + _counted(study),
        "Run": f"{record.get('started', 'date not recorded')[:10]}, {record.get('status', 'not recorded')}; {time}",
        "Seed": f"{record.get('seed', study.seed)}",
        "Revision": revision_text(record),
    }
    if "06-final-figures" in titles:
        facts["Results"] = "[the final figures](06-final-figures.ipynb)"
    return _box("facts", [f"**{name}** {value}" for name, value in facts.items()])


def _counted(study: Study) -> str:
    tables = {"profiles": study.path("profiles.parquet"), "layers": study.path("layers.parquet")}
    counts = [f"{pq.read_metadata(path).num_rows:,} {name}" for name, path in tables.items() if path.is_file()]
    return f": {' and '.join(counts)} after cleaning" if counts else ""


def _notebooks(study: Study, record: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """The notebooks with a link, the time of each, and its state if that is not as it should be."""
    faults, lines = study.faults(), []
    for name in STAGES:
        link = f"[{titles[name]}]({name}.ipynb)" if name in titles else name
        seconds = record.get("stages", {}).get(name, {}).get("seconds")
        time = "" if seconds is None else f", {time_text(seconds)}"
        lines.append(f"{link}{time}" + (f" (**{faults[name]}**)" if faults[name] else ""))
    return _box("notebooks", lines)


def _contents(titles: Mapping[str, str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", "", *titles, *OTHERS, "```"])


def _picture(folder: Path, source: Path, caption: str) -> str:
    """The picture that stands for the whole, as HTML; empty when the study has none."""
    found = sorted(folder.glob("*.png"))
    preferred = [folder / name for name in PICTURES if folder / name in found]
    path = next(iter([*preferred, *(path for path in found if "map" in path.stem)]), None)
    if path is None:
        return ""
    target = source / FOLDER / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes())
    with Image.open(path) as image:
        width, height = image.size
    alt = description_in(path)
    if says_nothing(alt):
        alt = f"Figure {path.stem.replace('_', ' ')} of the study folder {path.parents[1].name}"
    return figure_html(f"{FOLDER}/{path.name}", alt, PICTURE_WIDTH, PICTURE_WIDTH * height / width, caption)


def _total(study: Study) -> str:
    """What the soils hold to two metres by the methods that map each place for itself, in one sentence."""
    path = study.path("stocks.csv")
    if not path.is_file():
        return ""
    table = pd.read_csv(path)
    ours = table[(table["source"] == "this study") & table["interval"].isin(map(interval_name, STRATA))]
    total = ours.groupby("method")["stock_pg"].sum()
    told = [f"{name} {total[name]:.0f}" for name in ("hybrid", "network", "truth") if name in total]
    return f"Soil organic carbon to 2 m, Pg: {', '.join(told)}; by depth with 5 to 95 % in Figure 4." if told else ""


def _box(style: str, parts: Iterable[str]) -> str:
    """Parts in a division of the page with a class of `report.css`; the fence is longer than those within."""
    inner = "\n\n".join(part for part in parts if part)
    fence = ":" * (3 + max((len(line) - len(line.lstrip(":")) for line in inner.splitlines()), default=0))
    return f"{fence}{{container}} {style}\n{inner}\n{fence}"


SUMMARY = re.compile(r"^##\s+Summary\s*$", re.MULTILINE)
MARKDOWN = "text/markdown"


def for_the_page(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """``notebook`` with its code folded, its summary under its title, and progress bars as they stood at the end.

    Changed in place.
    """
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata["tags"] = sorted({*cell.metadata.get("tags", []), "hide-input"})
        cell.outputs = merged_streams(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = last_state(output.text)
    found = summary_of(notebook)
    if found:
        box = f":::{{admonition}} In short\n:class: in-short\n\n{found}\n:::"
        notebook.cells[1:1] = [nbformat.v4.new_markdown_cell(box)]
    notebook.metadata.pop("widgets", None)
    return notebook


def summary_of(notebook: nbformat.NotebookNode) -> str:
    """What the section "Summary" of an executed notebook says, in Markdown; empty when there is none."""
    parts: list[str] = []
    within = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = SUMMARY.search(cell.source)
            if heading:
                within, text = True, cell.source[heading.end() :]
            else:
                text = cell.source
                within = within and not text.lstrip().startswith("#")
            parts += [text.strip()] if within else []
        elif within:
            parts += [output.data[MARKDOWN].strip() for output in cell.outputs if MARKDOWN in output.get("data", {})]
    return "\n\n".join(part for part in parts if part)


def title_of(notebook: nbformat.NotebookNode, name: str) -> str:
    """The first heading of a notebook, ``name`` if it has none."""
    found = re.search(r"^#\s+(.+)$", notebook.cells[0].source if notebook.cells else "", re.MULTILINE)
    return found[1].strip() if found else name


def without_outputs(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """``notebook`` as it was run, parameters and all, without what it gave; changed in place."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
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


def run_page(study: Study) -> str:
    """The page in Markdown, from ``run.json`` of the study folder."""
    record = read_json(study.path("run.json")) or {}
    machine = record.get("platform", {})
    changed = record.get("opened_with", {}).get("settings", {})
    settings = [
        (f"`{name}`", f"`{value}`", "set for this run" if name in changed else "")
        for name, value in sorted(record.get("settings", {}).items())
    ]
    costs = record.get("stages", {})
    times = [
        (
            name,
            cost.get("status", ""),
            cost.get("started", ""),
            time_text(cost.get("seconds")),
            memory_text(cost.get("peak_memory_mb")),
            revision_text(cost) if "revision" in cost else "",
        )
        for name, cost in costs.items()
    ]
    total = sum(cost.get("seconds") or 0 for cost in costs.values())
    made = [
        ("Finished", record.get("finished", "not recorded")),
        ("Notebooks took", time_text(total) if costs else "not recorded"),
        ("Seed", record.get("seed", study.seed)),
        ("Model configuration", study.configuration),
        ("Git revision", revision_text(record)),
        ("System", f"{machine.get('system', '')} {machine.get('processor', '')}"),
        ("Processor cores", machine.get("cores", "not recorded")),
        ("Memory", f"{machine.get('memory_gib', '?')} GiB"),
    ]
    return "\n\n".join(
        (
            "# How this report was made",
            "The same values are in `run.json` of the study folder. Every other seed, of sites, chains, splits and the "
            "network, follows from the study's seed and the name of what it is for.",
            markdown_table(("Started", record.get("started", "not recorded")), made),
            "## Notebooks",
            markdown_table(("notebook", "state", "started", "time", "memory at most", "revision"), times),
            "## Versions",
            markdown_table(("package", "version"), record.get("versions", {}).items()),
            "## Settings",
            markdown_table(("setting", "value", ""), settings),
            "",
        )
    )


INVENTED = (
    "This study makes its own data: the continent's climate, soils, vegetation and profiles are invented (seed "
    "{seed}), and nobody's data are in them. The covariates below bear the names of real ones, so that the notebooks "
    "read as they would with real data."
)
READ = (
    "Profiles, forcing and covariates were read from the folder `{folder}`. Their owners keep their rights: name them "
    "when you publish, under the licences that came with the files."
)
# As gathered in the tables for which the study us-profiles was made (data/README.md).
OWNERS = (
    ("RaCA", "USDA-NRCS Rapid Carbon Assessment", "US government work"),
    ("USGS", "US Geological Survey, Data Series 801", "US government work"),
    ("EPA", "EPA National Wetland Condition Assessment 2011", "US government work"),
    ("SoDaH", "SoDaH, NEON and LTER: Soils Data Harmonization database", "see the database's page"),
    ("NCSS", "USDA-NCSS pedons as distributed with WoSIS 2016 (ISRIC)", "CC BY-SA 4.0"),
)
# Maps that a study may be compared with, by the beginning of their names in the report.
REFERENCES = (
    ("WHRC", "Woods Hole Research Center, presumably Sanderman et al. (2017), doi 10.1073/pnas.1706103114", "MIT"),
    ("HWSD", "Harmonized World Soil Database: FAO, IIASA, ISRIC, ISS-CAS, JRC", "see its documentation"),
    ("SoilGrids 2017", "ISRIC: Hengl et al. (2017), doi 10.1371/journal.pone.0169748", "ODbL 1.0"),
    ("SoilGrids", "ISRIC: Poggio et al. (2021), doi 10.5194/soil-7-217-2021", "CC BY 4.0"),
    ("WISE30sec", "ISRIC: Batjes (2016), doi 10.1016/j.geoderma.2016.01.034", "see `wise30sec` below"),
)
OUTLINES = (
    "State outlines: US Census Bureau, cartographic boundary files, in the public domain; topology by "
    "[us-atlas](https://github.com/topojson/us-atlas), Copyright 2013-2019 Michael Bostock, ISC licence."
)
FETCH = "`python -m proda fetch SOURCE` downloads one, and says first how large it is and under what licence it comes."
CITE = (
    "Cite the paper, and this repository as `CITATION.cff` says. The code is under the MIT licence; results of a run "
    "are yours, within the licences of the data that went into it."
)
DOI = re.compile(r"(?:doi[: ]\s*)(10\.\d{4,}/[^\s,;)]+[^\s,;.)])", re.IGNORECASE)


def sources_page(study: Study) -> str:
    """The page in Markdown: what this study read, what there is to fetch, outlines, software, how to cite."""
    said = INVENTED.format(seed=study.seed) if study.data is None else READ.format(folder=study.data.name)
    parts = [
        "# Data sources, licences and citations",
        "## What this study read",
        said,
        _profiles(study),
        _drivers(study),
        _covariates(study),
        _references(study),
        "## Public data sets that a study can read",
        FETCH,
        markdown_table(("`SOURCE`", "what", "licence", "cite", "size"), _fetchable()),
        "## Maps in this report",
        OUTLINES,
        "## Software",
        "What shaped the results; [the run's own versions](run.md) are in its record.",
        markdown_table(("package", "licence", "page"), _software()),
        "## How to cite",
        CITE,
        PAPER,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def linked(citation: str) -> str:
    """A citation whose DOIs can be followed."""
    return DOI.sub(lambda found: f"[doi:{found[1]}](https://doi.org/{found[1]})", citation)


def _profiles(study: Study) -> str:
    """How many profiles each survey gave, and who owns the surveys that are known."""
    path = study.path("profiles.parquet")
    if not path.is_file():
        return ""
    counts = pd.read_parquet(path, columns=["source"])["source"].value_counts()
    rows = []
    for name, count in counts.items():
        owner, licence = next(
            ((what, licence) for word, what, licence in OWNERS if study.data and word in str(name)),
            ("invented", "MIT") if study.data is None else ("as its owner says", "as its owner says"),
        )
        rows.append((name, f"{count:,}", owner, licence))
    return markdown_table(("profiles of", "number after cleaning", "whose", "licence"), rows)


def _drivers(study: Study) -> str:
    """Where forcing and covariates come from, with what was missing."""
    path = study.path("drivers.csv")
    if not path.is_file():
        return ""
    table = pd.read_csv(path)
    rows = [
        (source, len(group), _few(group["variable"].astype(str)), f"{int(group['missing'].sum()):,}")
        for source, group in table.groupby("source", sort=False)
    ]
    return markdown_table(("forcing and covariates from", "variables", "which", "missing values"), rows)


def _covariates(study: Study) -> str:
    """The maps behind the covariates that the study has, each with its licence."""
    path = study.path("covariates.parquet")
    if not path.is_file():
        return ""
    known = {item.name: item for items in LISTS.values() for item in items}
    # A class has a column for each of its values, "IGBP=10".
    names = dict.fromkeys(name.split("=")[0] for name in pd.read_parquet(path).columns)
    by_source: dict[tuple[str, str], list[str]] = {}
    for item in (known[name] for name in names if name in known):
        by_source.setdefault((item.source, item.licence), []).append(item.name)
    rows = [(linked(source), f"{len(items)}: {_few(items)}", licence) for (source, licence), items in by_source.items()]
    head = "covariates under the names of" if study.data is None else "covariates as described by"
    return markdown_table((head, "which", "licence of the original"), rows) if rows else ""


def _references(study: Study) -> str:
    """The maps that the study's own are compared with."""
    if not study.path("grid.nc").is_file():
        return ""
    made = ("made by the study", "none") if study.data is None else ("as its owner says", "as its owner says")
    rows = []
    for name, stocks in reference_stocks(read_grid(study.path("grid.nc"))).items():
        known = ((linked(who), licence) for word, who, licence in REFERENCES if study.data and name.startswith(word))
        owner = next(known, made)
        rows.append((name, ", ".join(map(interval_name, stocks)), *owner))
    head = ("maps to compare with, never learnt from", "depths", "whose", "licence")
    return markdown_table(head, rows) if rows else ""


def _fetchable() -> Iterator[tuple[str, ...]]:
    for name, source in known_sources().items():
        what = f"[{source.title}]({source.page})"
        yield f"`{name}`", what, source.licence, linked(source.citation), bytes_text(source.size)


def _software() -> Iterator[tuple[str, str, str]]:
    for name in PACKAGES:
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        named = [text.partition(", ")[2] for text in about.get_all("Project-URL") or []]
        pages = [about.get("Home-page") or "", *named]
        page = next((text for text in pages if text.startswith("http")), "")
        yield name, _licence(about), f"[{page.split('//')[1].rstrip('/')}]({page})" if page else ""


def _licence(about: metadata.PackageMetadata) -> str:
    """The licence as a package states it: the expression, else its classifier, else the first line of the text."""
    classes = [text.split(" :: ")[-1] for text in about.get_all("Classifier") or [] if text.startswith("License ::")]
    stated = (about.get("License") or "").strip().splitlines()
    return about.get("License-Expression") or ", ".join(classes) or (stated[0] if stated else "not stated")


def _few(names: "pd.Series | list[str]", most: int = 6) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"`{name}`" for name in names[:most]) + more


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
