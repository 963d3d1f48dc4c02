"""The pages of the report that no notebook wrote: what was run on what, what came out, and with what it was made."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from proda.stages import STAGES, read_json
from proda.study import Study

PAPER = (
    "Tao, F., Zhou, Z., Huang, Y., Li, Q., Lu, X., Ma, S., Huang, X., Liang, Y., Hugelius, G., Jiang, L., Doughty, R., "
    "Ren, Z. and Luo, Y. (2020). Deep Learning Optimizes Data-Driven Representation of Soil Organic Carbon in Earth "
    "System Model Over the Conterminous United States. *Frontiers in Big Data* 3:17. "
    "[doi:10.3389/fdata.2020.00017](https://doi.org/10.3389/fdata.2020.00017)"
)
# The table that stands for the whole, in order of preference.
TABLES = ("table_1_summary.csv", "table_1.csv")
TABLE_NOTE = (
    "Table 1: modelled against measured soil organic carbon of all layers; RMSE and bias in kg C m⁻³. "
    "Columns named *published* are the paper's own numbers, on its own data."
)
# The picture that stands for the whole, in order of preference; else the first figure with "map" in its name.
PICTURES = ("network_map.png", "figure_3.png")


def front_page(study: Study, present: Sequence[str]) -> str:
    """The front page in MyST Markdown, with the notebooks ``present`` as its table of contents."""
    record = read_json(study.path("run.json")) or {}
    parts = [f"# {study.title}", study.description.strip(), "## What was run", _what_was_run(study, record)]
    score = next((study.path(name) for name in TABLES if study.path(name).is_file()), None)
    if score:
        parts += ["## What came out", TABLE_NOTE, csv_table(score)]
        if "06-final-figures" in present:
            parts.append("[The final figures](06-final-figures.ipynb) explain each line and show the maps.")
    picture = _picture(study.path("figures"))
    if picture:
        parts.append(f"```{{image}} {picture.name}\n:alt: {picture.stem.replace('_', ' ')}\n:width: 100%\n```")
    parts += ["## The notebooks", _stages(study, record, present), _contents(present), "## Reference", PAPER]
    return "\n\n".join(part for part in parts if part) + "\n"


def run_page(study: Study) -> str:
    """The page on how the report was made: versions, seed, revision, machine and every setting."""
    record = read_json(study.path("run.json")) or {}
    machine = record.get("platform", {})
    changed = record.get("opened_with", {}).get("settings", {})
    settings = [
        (f"`{name}`", f"`{value}`", "set for this run" if name in changed else "")
        for name, value in sorted(record.get("settings", {}).items())
    ]
    made = [
        ("Finished", record.get("finished", "not recorded")),
        ("Seed", record.get("seed", study.seed)),
        ("Model configuration", study.configuration),
        ("Git revision", _revision(record)),
        ("System", f"{machine.get('system', '')} {machine.get('processor', '')}"),
        ("Processor cores", machine.get("cores", "not recorded")),
        ("Memory", f"{machine.get('memory_gib', '?')} GiB"),
    ]
    return "\n\n".join(
        (
            "# How this report was made",
            "The same values are in `run.json` of the study folder.",
            markdown_table(("Started", record.get("started", "not recorded")), made),
            "## Versions",
            markdown_table(("package", "version"), record.get("versions", {}).items()),
            "## Settings",
            markdown_table(("setting", "value", ""), settings),
            "",
        )
    )


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; columns of numbers stand on the right."""
    texts = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    columns = list(zip(*texts, strict=True)) if texts else [() for _ in head]
    rules = ["---:" if column and all(_is_number(cell) for cell in column) else "---" for column in columns]
    lines = [list(head), rules, *texts]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def csv_table(path: Path) -> str:
    """A CSV file as a Markdown table, numbers with three significant decimals."""
    with path.open(newline="", encoding="utf-8") as stream:
        head, *rows = list(csv.reader(stream)) or [[""]]
    return markdown_table([name.replace("_", " ") for name in head], [[_short(cell) for cell in row] for row in rows])


def _what_was_run(study: Study, record: dict[str, Any]) -> str:
    source = study.data.name if study.data else "made by the study itself, with a known truth"
    rows = [
        ("Scale", study.scale),
        ("Data", source),
        ("Date", record.get("started", "not recorded")[:10]),
        ("Revision", _revision(record)),
        ("Run", f"{record.get('status', 'not recorded')}; [versions, seed and settings](run.md)"),
    ]
    return markdown_table(("Study", f"{study.name} (`{study.file.name}`)"), rows)


def _stages(study: Study, record: dict[str, Any], present: Sequence[str]) -> str:
    faults = study.faults()
    rows = []
    for name in STAGES:
        cost = record.get("stages", {}).get(name, {})
        link = f"[{name}]({name}.ipynb)" if name in present else name
        rows.append((link, _time(cost.get("seconds")), _memory(cost.get("peak_memory_mb")), faults[name] or "complete"))
    return markdown_table(("notebook", "time", "memory", "state"), rows)


def _contents(present: Sequence[str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", "", *present, "run", "```"])


def _picture(folder: Path) -> Path | None:
    found = sorted(folder.glob("*.png"))
    preferred = [folder / name for name in PICTURES if folder / name in found]
    return next(iter([*preferred, *(path for path in found if "map" in path.stem)]), None)


def _revision(record: dict[str, Any]) -> str:
    revision = record.get("revision")
    if not revision:
        return "not under version control"
    return f"`{revision['commit'][:12]}`" + (" with uncommitted changes" if revision["dirty"] else "")


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "not run"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _memory(megabytes: float | None) -> str:
    return "" if megabytes is None else f"{megabytes / 1000:.1f} GB"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == ""
    return True


def _short(text: str) -> str:
    if not _is_number(text) or not text or text.lstrip("-").isdigit():
        return text
    value = float(text)
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
