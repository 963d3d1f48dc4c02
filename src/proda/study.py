"""A study: its TOML file, its settings at one scale, and the folder where its stages leave their files."""

import codecs
import difflib
import hashlib
import math
import os
import shlex
import tomllib
import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from proda import stage as stages
from proda.errors import InputError, MissingOutput
from proda.fingerprint import fingerprint

DEEPEST = {"paper": 3.8, "cesm2": 8.6}  # m, where the column of a configuration ends
# Entries of a study file; the others may be left out.
REQUIRED = {"title": str, "seed": int, "source": dict}
ENTRIES = REQUIRED | {"description": str, "configuration": str, "region": dict, "settings": dict, "scales": dict}


class Numbers(NamedTuple):
    """Finite numbers from `least` to `greatest`; an end named in `without` is itself not allowed."""

    kind: type
    least: float
    greatest: float = math.inf
    without: tuple[float, ...] = ()

    def __contains__(self, value: Any) -> bool:
        return math.isfinite(value) and self.least <= value <= self.greatest and value not in self.without

    def __str__(self) -> str:
        low = f"above {self.least:g}" if self.least in self.without else f"of at least {self.least:g}"
        high = f"below {self.greatest:g}" if self.greatest in self.without else f"at most {self.greatest:g}"
        return f"{_KIND_NAMES[self.kind]} {low}" + ("" if math.isinf(self.greatest) else f" and {high}")


_KIND_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "a table"}

# What a setting may be: numbers, or one of several words. One that is not listed only needs the type of its value in
# data/studies/defaults.toml.
ALLOWED: dict[str, Numbers | tuple[str, ...]] = {
    "n_profiles": Numbers(int, 5),  # one for each part of the network's split
    **dict.fromkeys(("min_layers", "epochs", "batch_size", "hybrid_epochs", "score_repeats"), Numbers(int, 1)),
    **dict.fromkeys(("chains", "network_folds", "hybrid_members"), Numbers(int, 2)),  # R-hat compares chains
    **dict.fromkeys(("sbc_simulations", "supplement_sites"), Numbers(int, 20)),
    **dict.fromkeys(("kept_draws", "map_draws"), Numbers(int, 50)),
    "projection_draws": Numbers(int, 10),
    "projection_input_rise": Numbers(float, 0, 5),
    **dict.fromkeys(("one_batch_test_steps", "one_batch_steps", "site_test_steps", "site_steps"), Numbers(int, 100)),
    "site_max_steps": Numbers(int, 0),
    **dict.fromkeys(
        (
            *("overlap_tolerance_m", "duplicate_tolerance_degrees", "nearest_cell_degrees"),
            *("max_position_uncertainty_km", "site_ess_limit", "hybrid_prior_weight"),
            *("min_carbon_percent", "min_soc_kg_m3", "floor_kg_m3", "one_batch_floor"),
        ),
        Numbers(float, 0),
    ),
    **dict.fromkeys(("max_soc_kg_m3", "relative_sd", "learning_rate"), Numbers(float, 0, without=(0,))),
    **dict.fromkeys(("test_share", "validation_share"), Numbers(float, 0, 1, without=(0, 1))),
    **dict.fromkeys(("npp_min_multiple", "hybrid_distillation_share"), Numbers(float, 0, 1)),
    "npp_max_multiple": Numbers(float, 1),
    "max_depth_m": Numbers(float, 0, 8.6, without=(0,)),
    "hundredth_below": Numbers(float, 0, 0.1),
    "limestone_from_ph": Numbers(float, 0, 14),
    "soil_minus_air_temperature": Numbers(float, -30, 30),
    "site_rhat_limit": Numbers(float, 1, without=(1,)),
    "dropout": Numbers(float, 0, 1, without=(1,)),
    "network_block_km": Numbers(float, 50, 2000),
    "bulk_density_rule": ("none", "adams-1973", "perie-ouimet-2008", "manrique-jones-1991", "hossain-2015"),
    "observation_error": ("relative", "relative-with-floor", "estimated"),
    "observation_operator": ("mid-depth", "layer-mean"),
    "sampler": ("adaptive", "paper"),
    "one_batch_coordinates": ("box", "logarithmic"),
    "site_coordinates": ("box", "logarithmic"),
    "network_scaling": ("training", "grid"),
    "network_weights": ("best", "last"),
}
# Old names of settings, which are accepted with a warning for one version.
ALIASES = {
    "hybrid_panel_share": "hybrid_distillation_share",
    "shown_simulations": "sbc_simulations",
    "shown_sites": "supplement_sites",
}
# Entries of version 0.1 that had a choice: the value that is now always taken, and accepted with a warning.
REMOVED = {"site_acceptance": "metropolis", "site_kept_states": "all", "land_use": "own", "method": "nearest"}


def is_removed(name: str, value: Any, where: str) -> bool:
    """Whether the entry `name` of a study file is one of `REMOVED`; an InputError at a `value` that is gone."""
    if name in REMOVED and value != REMOVED[name]:
        raise InputError(f"{where}: {name} is {value!r}, of version 0.1; now it is always {REMOVED[name]!r}: remove it")
    if name in REMOVED:
        warnings.warn(f"{where}: {name} is now always {value!r}: remove it", FutureWarning, stacklevel=6)
    return name in REMOVED


def settings_at(
    content: Mapping[str, Any], scale: str, overrides: Mapping[str, Any], file: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every setting at ``scale`` with ``overrides`` applied, and the overrides in the settings' own types."""
    # Those of defaults.toml, replaced by those of its scale, of the study file, and of the file's scale.
    defaults = _toml(study_folder() / "defaults.toml")
    tables = [("defaults.toml", defaults), (f"study file {file}", content)]
    scales = {name for _, table in tables for name in table.get("scales", {})}
    if scale not in scales:
        raise InputError(f"study {file.stem} has no scale {scale!r}: {suggestion(scale, scales)}")
    settings: dict[str, Any] = dict(defaults["settings"])
    for where, table in tables:
        settings |= _checked(table.get("settings", {}), settings, f"{where}, [settings]")
        settings |= _checked(table.get("scales", {}).get(scale, {}), settings, f"{where}, [scales.{scale}]")
    given = _checked(overrides, settings, f"study {file.stem}", add=False)
    return settings | given, given


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'? Known: ...", for the end of an error message."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return (f"did you mean {close[0]!r}? " if close else "") + "Known: " + ", ".join(names)


def _checked(values: Mapping[str, Any], known: Mapping[str, Any], where: str, add: bool = True) -> dict[str, Any]:
    """``values`` in the types of their settings; with ``add``, settings of `ALLOWED` need not be ``known`` already."""
    result = {}
    for given_name, value in values.items():
        name = ALIASES.get(given_name, given_name)
        if name != given_name:
            text = f"{where}: setting {given_name} is now called {name}; the next version does not accept the old name"
            warnings.warn(text, FutureWarning, stacklevel=5)
        if is_removed(name, value, where):
            continue
        accepted = {*known, *ALLOWED} if add else known
        if name not in accepted:
            raise InputError(f"{where}: unknown setting {given_name!r}: {suggestion(name, accepted)}")
        allowed = ALLOWED.get(name)
        kind = allowed.kind if isinstance(allowed, Numbers) else str if allowed else type(known[name])
        result[name] = _converted(value, kind)
        if type(result[name]) is not kind or (allowed and result[name] not in allowed):
            expected = f"one of: {', '.join(allowed)}" if type(allowed) is tuple else allowed or _KIND_NAMES[kind]
            raise InputError(f"{where}: {given_name} is {value!r}, expected {expected}")
    return result


def _converted(value: Any, kind: type) -> Any:
    """``value`` as a ``kind`` where it can be one: text is read as TOML, 1 may stand for 1.0 and 5e4 for 50000."""
    if kind is str:
        return str(value) if type(value) in (int, float) else value
    if isinstance(value, str):
        try:
            value = tomllib.loads(f"value = {value.lower() if kind is bool else value}")["value"]
        except tomllib.TOMLDecodeError:
            return value
    whole = type(value) is float and value.is_integer()
    return kind(value) if (kind is float and type(value) is int) or (kind is int and whole) else value


def repository_root() -> Path:
    """The clone with ``data/studies`` and ``notebooks``: the one that the package lies in, else one around here."""
    for folder in (Path(__file__).resolve().parents[2], Path.cwd(), *Path.cwd().parents):
        if (folder / "data" / "studies").is_dir() and (folder / "notebooks").is_dir():
            return folder
    raise InputError(f"{Path.cwd()} is in no clone of the compendium: install the package with pip install -e .")


def study_folder() -> Path:
    return repository_root() / "data" / "studies"


def study_file(study: str | Path) -> Path:
    """The TOML file of a study, from its name or its path."""
    text = str(study)
    if text.endswith(".toml") or os.sep in text:
        path = Path(text).expanduser().resolve()
        if not path.is_file():
            raise InputError(f"there is no study file {path}")
        return path
    shipped = {path.stem: path for path in study_folder().glob("*.toml") if path.stem != "defaults"}
    if text not in shipped:
        raise InputError(f"unknown study {text!r}: {suggestion(text, shipped)}; or give the path of a TOML file")
    return shipped[text]


def data_folder(file: Path, source: Mapping[str, Any], data: str | Path) -> Path | None:
    """The folder of the raw data: as given, else ``folder`` of the [source] table, relative to the study file."""
    if source["kind"] == "virtual" and "projections" not in source:
        if str(data):
            raise InputError(f"study {file.stem} makes its own data: leave --data {data} out, or name another study")
        return None
    if not str(data) and "folder" not in source:
        raise InputError(f"study {file.stem} reads files from a folder: give it with --data DIR")
    folder = Path(data).expanduser().resolve() if str(data) else (file.parent / source["folder"]).resolve()
    if not any(path.is_file() for path in folder.rglob("*")):
        raise InputError(
            f"data folder {folder} does not exist or is empty: give the one with the tables of {file.stem} by --data"
        )
    return folder


def region_table(content: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """The [region] table of a study file (`proda.data.region`), with the digest of the file it may name."""
    region = dict(content.get("region", {}))
    if "outline" in region:
        path = file.parent / str(region["outline"])
        if not path.is_file():
            raise InputError(f"{file}: [region] outline is {region['outline']!r}, but there is no file {path}")
        region["sha256"] = stages.file_sha256(path)
    return region


def read_study_file(path: Path) -> dict[str, Any]:
    """The content of a study file, checked for its tables; an `InputError` names the file and the entry at fault."""
    content = _toml(path)
    for name in REQUIRED:
        if name not in content:
            raise InputError(f"study file {path} has no {name!r}: see data/studies/virtual.toml")
    for name, value in content.items():
        if name not in ENTRIES:
            raise InputError(f"study file {path}: unknown entry {name!r}: {suggestion(name, ENTRIES)}")
        if type(value) is not ENTRIES[name]:
            raise InputError(f"study file {path}: {name} is {value!r}; expected {_KIND_NAMES[ENTRIES[name]]}")
    given = content.get("configuration", "paper")
    if given not in DEEPEST:
        raise InputError(f"study file {path}: configuration is {given!r}; expected one of {tuple(DEEPEST)}")
    if not isinstance(content["source"].get("kind"), str):
        raise InputError(
            f'study file {path}: the [source] table has no kind: add kind = "virtual", "tidy-tables" or "wosis"'
        )
    return content


def utf8_text(content: bytes, where: str) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark; `where` names it in an InputError."""
    try:
        text, line, found = content.decode("utf-8-sig"), 1, ""
    except UnicodeDecodeError as error:
        line = len(content[: error.start].splitlines()) or 1
        text, found = "", f"{content[error.start : error.end]!r}, perhaps Windows-1252 or Latin-1"
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or b"\0" in content:
        found = "UTF-16"
    if found:
        raise InputError(f"{where}, line {line}: the text is not UTF-8 but {found}. Save the file as UTF-8.")
    return text


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(utf8_text(path.read_bytes(), f"study file {path}"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"study file {path} is not valid TOML: {error}") from error


@dataclass(frozen=True)
class Study:
    """A study at one scale. Make it with `Study.open`."""

    name: str
    scale: str
    title: str
    description: str
    configuration: str
    seed: int  # every other seed derives from it
    source: dict[str, Any]  # the [source] table of the study file
    region: dict[str, Any]  # the [region] table; empty for the conterminous United States
    settings: dict[str, Any]  # every setting by name, overrides included
    overrides: dict[str, Any]  # the settings given at `open`
    file: Path  # the study file
    data: Path | None  # folder of the raw tables; None for a study that makes its own
    out: Path  # the study folder, absolute

    @classmethod
    def open(
        cls,
        study: str | Path = "virtual",
        scale: str = "demo",
        data: str | Path = "",
        out: str | Path = "",
        settings: Mapping[str, Any] | None = None,
    ) -> "Study":
        """The study ``study`` (a name in ``data/studies``, or the path of a TOML file) at one of its scales.

        Its raw tables are in the folder ``data``, its results in ``out`` (``data/processed/<study>-<scale>`` of the
        clone when empty). Text in ``settings``, which replace the scale's, is read as the setting's own type. Raises
        InputError.
        """
        file = study_file(study)
        content = read_study_file(file)
        values, overrides = settings_at(content, scale, settings or {}, file)
        configuration = content.get("configuration", "paper")
        if values["max_depth_m"] > (deepest := DEEPEST[configuration]):
            raise InputError(
                f"study {file.stem}: max_depth_m is {values['max_depth_m']:g}, expected at most {deepest:g}, where the "
                f"column of the {configuration} configuration ends: lower it"
            )
        default = repository_root() / "data" / "processed" / f"{file.stem}-{scale}"
        return cls(
            name=file.stem,
            scale=scale,
            title=content["title"],
            description=content.get("description", ""),
            configuration=configuration,
            seed=content["seed"],
            source=content["source"],
            region=region_table(content, file),
            settings=values,
            overrides=overrides,
            file=file,
            data=data_folder(file, content["source"], data),
            out=Path(out).expanduser().resolve() if str(out) else default,
        )

    def __getitem__(self, name: str) -> Any:
        return self.settings[name]

    @property
    def label(self) -> str:
        """Study and scale in one word, as in ``virtual-demo``."""
        return f"{self.name}-{self.scale}"

    @property
    def opened_with(self) -> dict[str, Any]:
        """The arguments of `open` that give this study again, as text."""
        shipped = self.file.parent == study_folder()
        return {
            "study": self.name if shipped else str(self.file),
            "scale": self.scale,
            "data": str(self.data or ""),
            "out": str(self.out),
            "settings": self.overrides,
        }

    def path(self, name: str) -> Path:
        return self.out / name

    def command(self, *extra: str) -> str:
        """The command that runs this study, with ``extra`` arguments after it."""
        given = self.opened_with
        words = ["python", "-m", "proda", "run", "--study", given["study"], "--scale", self.scale]
        words += ["--data", given["data"]] if self.data else []
        words += ["--out", given["out"]] if self.out.name != self.label or self.out.parent.name != "processed" else []
        for name, value in self.overrides.items():
            words += ["--set", f"{name}={value}"]
        return shlex.join([*words, *extra])

    def fingerprints(self) -> dict[str, dict[str, Any]]:
        """What decides the result of each stage."""
        source = self.source | ({"region": self.region} if self.region else {})
        shared = (self.settings, source, self.configuration, self.seed, self.data)
        return {name: fingerprint(name, *shared) for name in stages.ALL_STAGES}

    def faults(self) -> dict[str, str]:
        """For each stage why its files cannot be used, empty text when they can."""
        expected = self.fingerprints()
        return {name: stages.fault(self.out, name, expected) for name in stages.ALL_STAGES}

    def require(self, *names: str) -> None:
        """Raise MissingOutput for the first of the stages ``names`` whose files cannot be used, with what makes it."""
        faults = self.faults() if names else {}
        for name in names:
            if faults[name]:
                below = stages.STAGES if name in stages.STAGES else stages.SUPPLEMENTS[name].upstream
                first = next(key for key in (*below, name) if faults[key])
                command = self.command(*stages.how_to_run(first))
                raise MissingOutput(f"{name} of {self.label} {faults[name]}. Run it first: {command}")

    def seed_for(self, *labels: object) -> int:
        """A 63-bit seed for one purpose, from the study's seed and labels: ``seed_for("site", profile_id, chain)``."""
        text = "/".join(str(item) for item in (self.seed, *labels))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def stage(self, name: str, resumable: bool = False) -> AbstractContextManager[Path]:
        """A folder for the files of stage ``name``, which become the study's only when the block ends well.

        The files then replace those of an earlier run of the stage. After an exception these are still there, but the
        stage is not done. A ``resumable`` stage begins with the files that an interrupted run of the same settings,
        data and code left in the folder; what only serves this goes to the folder's ``checkpoints``.

        Raises MissingOutput when a stage that this one reads from is not complete; InputError when another process is
        at work on this one, or an interrupted run with other settings, data or code could still be resumed.
        """
        self.require(*stages.ALL_STAGES[name].upstream)
        return stages.written_stage(self, name, self.fingerprints()[name], resumable)

    def write_summary(self, name: str, values: Mapping[str, Any]) -> None:
        """Finish the supplementary stage ``name`` with its summary: numbers and texts by name, as JSON."""
        with self.stage(name) as folder:
            stages.write_json(folder / f"{name}.json", values)

    def summary(self, name: str) -> dict[str, Any] | None:
        """What `write_summary` left of the supplementary stage ``name``; None when it was not run or is stale."""
        reason = stages.fault(self.out, name, self.fingerprints())
        return None if reason else stages.read_json(self.path(f"{name}.json"))


open_study = Study.open
