"""A study: what its TOML file says, at one scale, and the folder where its stages leave their files.

study = Study.open("virtual", scale="tiny")
study.require("01-data-cleaning")
with study.stage("05-network-training") as folder:
    table.to_csv(folder / "training.csv")
"""

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proda import stages
from proda.errors import InputError, MissingOutput
from proda.fingerprints import fault, fingerprint
from proda.settings import settings_at, suggestion
from proda.stage_writing import written_stage
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
        with written_stage(self, name, self.fingerprints()[name], resumable) as folder:
            yield folder


def _check_stage_name(name: str) -> None:
    if name not in stages.STAGES:
        raise InputError(f"unknown stage {name!r}: {suggestion(name, stages.STAGES)}")
