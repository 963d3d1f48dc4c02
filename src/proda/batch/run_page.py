"""The page of the report on how it was made: times, versions, seed, revision, machine and every setting."""

from proda.batch.front_page import memory_text, revision_text, time_text
from proda.batch.markdown_tables import markdown_table
from proda.stages import read_json
from proda.study import Study


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
