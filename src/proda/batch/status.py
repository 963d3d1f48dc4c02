"""What a study folder holds: which stages are complete, stale, failed or interrupted."""

from pathlib import Path
from typing import Any

from proda.data.public_sources import bytes_text
from proda.errors import InputError
from proda.stages import STAGES, attempt_path, is_alive, marker_path, read_json, unfinished
from proda.study import Study


def status_text(folder: Path) -> str:
    """A table of the stages in the study folder ``folder``, with what remains to be done.

    Raises
    ------
    InputError
        When the folder does not exist or holds no study.
    """
    if not folder.is_dir():
        raise InputError(f"study folder {folder} does not exist; runs leave theirs in data/processed/<study>-<scale>")
    record = read_json(folder / "run.json") or {}
    opened_with = _opened_with(folder, record)
    lines = []
    try:
        study = Study.open(**{**opened_with, "out": folder})
        faults, note = study.faults(), ""
        lines.append(f"{study.title}: {study.label} in {folder}")
    except InputError as error:
        faults = {name: "" if marker_path(folder, name).is_file() else unfinished(folder, name) for name in STAGES}
        note = f"Whether the stages are up to date cannot be told: {error}"
        lines.append(f"{opened_with['study']}-{opened_with['scale']} in {folder}")
    lines += [_run_line(record), ""]
    lines += [_stage_line(folder, name, faults[name], record) for name in STAGES]
    undone = [number for number, name in enumerate(STAGES, start=1) if faults[name]]
    if note:
        lines += ["", note]
    elif undone:
        lines += ["", f"To complete it: {study.command('--from', str(undone[0]))}"]
    return "\n".join(lines)


def _opened_with(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `Study.open` that the latest run or stage left behind."""
    if "opened_with" in record:
        return record["opened_with"]
    paths = [
        path for name in STAGES for path in (marker_path(folder, name), attempt_path(folder, name)) if path.is_file()
    ]
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        content = read_json(path) or {}
        if "opened_with" in content:
            return content["opened_with"]
    raise InputError(f"{folder} is not a study folder: it has no run.json and no finished stage")


def _run_line(record: dict[str, Any]) -> str:
    if not record:
        return "No batch run; its stages come from notebooks run by hand."
    state = record["status"]
    if state == "running" and not is_alive(record):
        state = "interrupted"
    end = f", {record['seconds']:.0f} s" if "seconds" in record else ""
    error = f": {record['error']}" if record.get("error") else ""
    return f"Last run: {state}, started {record['started']}{end}{error}"


def _stage_line(folder: Path, name: str, fault: str, record: dict[str, Any]) -> str:
    marker = read_json(marker_path(folder, name))
    if fault:
        return f"  {name:<30} {fault}"
    size = bytes_text(sum(item["bytes"] for item in marker["files"].values()))
    cost = record.get("stages", {}).get(name, {})
    seconds = f", notebook {cost['seconds']:.0f} s" if "seconds" in cost else ""
    failed = f"; but the notebook {cost['status']}" if cost.get("status") in ("failed", "interrupted") else ""
    return f"  {name:<30} complete, {len(marker['files'])} outputs, {size}{seconds}{failed}"
