"""The front page of the report: in one screen what was run, on what, what came out, and where to read on."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from PIL import Image

from proda.batch.markdown_tables import csv_table
from proda.batch.page_check import says_nothing
from proda.batch.page_figures import FOLDER, figure_html
from proda.figures.saving import description_in
from proda.model.column import STRATA, interval_name
from proda.stages import STAGES, read_json
from proda.study import Study

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
