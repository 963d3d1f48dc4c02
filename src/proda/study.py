"""A study: what its TOML file says, at one scale, and the folder where its stages leave their files.

study = Study.open("virtual", scale="tiny")
study.require("01-data-cleaning")
with study.stage("05-network-training") as folder:
    table.to_csv(folder / "training.csv")
"""

import hashlib
import os
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proda import __version__, stages
from proda.checkpoints import CHECKPOINTS, partial_folder
from proda.errors import InputError, MissingOutput
from proda.fingerprints import fault, fingerprint
from proda.settings import settings_at, suggestion
from proda.study_file import data_folder, read_study_file, repository_root, study_file


@dataclass(frozen=True)
class Study:
    """A study at one scale. Make it with `Study.open`.

    Attributes
    ----------
    name, scale, title, description, configuration : as in the study file
    seed : the study's seed; every other seed derives from it
    source : the ``[source]`` table of the study file
    settings : every setting by name, overrides included
    overrides : the settings given at `open`
    file : the study file
    data : folder of the raw tables, None for a study that makes its own
    out : the study folder (absolute)
    """

    name: str
    scale: str
    title: str
    description: str
    configuration: str
    seed: int
    source: dict[str, Any]
    settings: dict[str, Any]
    file: Path
    data: Path | None
    out: Path
    overrides: dict[str, Any] = field(default_factory=dict)

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

        Parameters
        ----------
        data : folder with the raw tables, for studies that read from one
        out : study folder; ``data/processed/<study>-<scale>`` of the clone when empty. Made by the first stage.
        settings : settings that differ from the scale's; text is read as the setting's own type

        Raises
        ------
        InputError
            An unknown study, scale or setting, a value it cannot have, a faulty study file, a missing data folder.
        """
        file = study_file(study)
        content = read_study_file(file)
        overrides = dict(settings or {})
        values, overrides = settings_at(content, scale, overrides, file)
        label = f"{file.stem}-{scale}"
        return cls(
            name=file.stem,
            scale=scale,
            title=content["title"],
            description=content.get("description", ""),
            configuration=content.get("configuration", "paper"),
            seed=content["seed"],
            source=content["source"],
            settings=values,
            overrides=overrides,
            file=file,
            data=data_folder(file, content["source"], data),
            out=Path(out).expanduser().resolve() if str(out) else repository_root() / "data" / "processed" / label,
        )

    def __getitem__(self, name: str) -> Any:
        """The value of one setting."""
        if name not in self.settings:
            raise InputError(f"study {self.name} has no setting {name!r}: {suggestion(name, self.settings)}")
        return self.settings[name]

    @property
    def label(self) -> str:
        """Study and scale in one word, as in ``virtual-demo``."""
        return f"{self.name}-{self.scale}"

    @property
    def opened_with(self) -> dict[str, Any]:
        """The arguments of `open` that give this study again, as text."""
        shipped = self.file.parent == repository_root() / "data" / "studies"
        return {
            "study": self.name if shipped else str(self.file),
            "scale": self.scale,
            "data": str(self.data or ""),
            "out": str(self.out),
            "settings": self.overrides,
        }

    def path(self, name: str) -> Path:
        """The path of a file of the study folder."""
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
        """What decides the result of each stage (see `proda.fingerprints.fingerprint`)."""
        identity = {"source": self.source, "configuration": self.configuration}
        return {name: fingerprint(name, self.settings, identity, self.seed, self.data) for name in stages.STAGES}

    def faults(self) -> dict[str, str]:
        """For each stage why its files cannot be used, empty text when they can."""
        expected = self.fingerprints()
        return {name: fault(self.out, name, expected) for name in stages.STAGES}

    def require(self, *names: str) -> None:
        """Check that the stages ``names`` are complete and made with the present settings, data and code.

        Raises
        ------
        MissingOutput
            For the first that is not, with the reason and the command that makes it.
        """
        expected = self.fingerprints()
        for name in names:
            _check_stage_name(name)
            reason = fault(self.out, name, expected)
            if reason:
                first = next(key for key in stages.STAGES if fault(self.out, key, expected))
                command = self.command("--from", str(list(stages.STAGES).index(first) + 1))
                raise MissingOutput(f"{name} of {self.label} {reason}. Run it first: {command}")

    def seed_for(self, *labels: object) -> int:
        """A 63-bit seed for one purpose, from the study's seed and labels: ``seed_for("site", profile_id, chain)``."""
        text = "/".join(str(item) for item in (self.seed, *labels))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    @contextmanager
    def stage(self, name: str, resumable: bool = False) -> Iterator[Path]:
        """A folder for the files of stage ``name``, which become the study's only when the block ends well.

        The files then replace those of an earlier run of the stage in the study folder, and the stage's marker is
        written last. An exception leaves the study folder as it was but without the marker: the stage is not done.

        Parameters
        ----------
        resumable : bool
            Begin with the files that an interrupted run of the same settings, data and code left in the folder, and
            leave them there for the next when this one is interrupted. What only serves this goes to the folder's
            ``checkpoints`` (`proda.checkpoints`).

        Raises
        ------
        MissingOutput, InputError
            When a stage that this one reads from is not complete; when another process is at work on this one; when
            an interrupted run of other settings, data or code could still go on.
        """
        _check_stage_name(name)
        self.require(*stages.STAGES[name].upstream)
        stages.refuse_if_running(self.out, name)
        started = time.time()
        marker, attempt = stages.marker_path(self.out, name), stages.attempt_path(self.out, name)
        before = stages.read_json(marker) or stages.read_json(attempt) or {}
        begun = {
            **stages.this_process(),
            "started": _now(),
            "opened_with": self.opened_with,
            "fingerprint": self.fingerprints()[name],
            # Taken now: another process may renew a stage below while this one still computes from what it has read.
            "upstream": {key: self._content(key) for key in stages.STAGES[name].upstream},
            "files": before.get("files", {}),
        }
        identity = {key: begun[key] for key in ("fingerprint", "upstream")} if resumable else None
        again = self.command("--from", str(list(stages.STAGES).index(name) + 1))
        folder = partial_folder(self.out, name, identity, again)
        try:
            stages.write_json(attempt, begun)
            marker.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                f"{attempt.parent} cannot be written: {error.strerror}. Give write access to it, make room, or give "
                "another folder as --out"
            ) from error
        finished = False
        try:
            yield folder
            files = stages.inventory(folder, CHECKPOINTS)
            for old in begun["files"]:
                _remove(self.out / old)
            for path in stages.outputs(folder, CHECKPOINTS):
                target = self.out / path.relative_to(folder)
                _remove(target)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
            finished = True
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"[:2000] if isinstance(error, Exception) else ""
            with suppress(OSError):  # a full disk has no room for this either, and is what has to be told
                stages.write_json(attempt, {**begun, "ended": True, "error": told})
            raise
        finally:
            if finished or not resumable:
                shutil.rmtree(folder, ignore_errors=True)
        stages.write_json(marker, self._marker(name, begun, files, started))
        attempt.unlink(missing_ok=True)

    def _content(self, stage: str) -> str | None:
        return (stages.read_json(stages.marker_path(self.out, stage)) or {}).get("content")

    def _marker(self, name: str, begun: dict[str, Any], files: dict[str, Any], started: float) -> dict[str, Any]:
        content = hashlib.sha256(repr([(key, item["sha256"]) for key, item in sorted(files.items())]).encode())
        return {
            "stage": name,
            "version": __version__,
            **{key: begun[key] for key in ("opened_with", "fingerprint", "upstream")},
            "content": content.hexdigest(),
            "files": files,
            "seconds": round(time.time() - started, 3),
            "finished": _now(),
        }


def _check_stage_name(name: str) -> None:
    if name not in stages.STAGES:
        raise InputError(f"unknown stage {name!r}: {suggestion(name, stages.STAGES)}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
