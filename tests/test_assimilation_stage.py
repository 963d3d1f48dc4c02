"""kill -9 at any moment: the same command goes on, and its files have the bits of a run that nothing happened to."""

import multiprocessing
import os
import secrets
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from made_sites import RUN, STAGES, run_stage, stage_files, study_in

from proda.assimilation.results import read_posterior, site_posterior
from proda.data.stage import cleaned_study
from proda.errors import InputError
from proda.stage import partial_path

KILLS = 2  # at least, and until one of them has met a run that went on


class Run:
    """A stage run by a process of its own. The server that it is forked from has imported the package already."""

    def __init__(self, out: Path, study: str, stage: str) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["proda.assimilation.stage"])
        self.messages, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=run_stage, args=(out, study, stage, theirs.send))
        self.process.start()
        theirs.close()
        self.received = [self.messages.recv()]
        self.begun = time.monotonic()

    def killed_after(self, seconds: float) -> bool:
        """Kill it when so much time has passed since it began; False when it had ended by then."""
        time.sleep(max(0.0, self.begun + seconds - time.monotonic()))
        self.process.kill()
        self._listen()
        return self.process.exitcode == -signal.SIGKILL

    def ended(self) -> float:
        """Wait for its end; seconds since it began."""
        self._listen()
        assert self.process.exitcode == 0 and self.received[-1] == "ended"
        return time.monotonic() - self.begun

    def _listen(self) -> None:
        try:
            while True:
                self.received.append(self.messages.recv())
        except EOFError:
            self.process.join()

    @property
    def went_on(self) -> int:
        return sum(word.startswith("went on") for word in self.received)


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("kill")
    for study in ("virtual", "virtual-cesm2"):
        cleaned_study(study_in(out / study, study))
    return out


@pytest.mark.slow
@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="there is no SIGKILL")
@pytest.mark.parametrize(
    ("study", "stage"), [("virtual", "sites"), ("virtual", "one-batch"), ("virtual-cesm2", "sites")]
)
def test_a_stage_killed_again_and_again_ends_with_the_bits_of_an_undisturbed_one(cleaned, study, stage, tmp_path):
    seed = int(os.environ.get("PRODA_KILL_SEED") or secrets.randbits(32))
    print(f"moments of the kills follow from PRODA_KILL_SEED={seed}")
    rng = np.random.default_rng(seed)
    for name in ("undisturbed", "killed"):
        shutil.copytree(cleaned / study, tmp_path / name)
    undisturbed = Run(tmp_path / "undisturbed", study, stage)
    seconds = undisturbed.ended()
    assert undisturbed.went_on == 0

    kills = went_on = 0
    while kills < KILLS or not went_on:
        run = Run(tmp_path / "killed", study, stage)
        moment = seconds * rng.uniform(0.1, 0.7)
        kills += run.killed_after(moment)
        went_on += run.went_on
        print(f"killed after {moment:.2f} of {seconds:.2f} s, {run.went_on} parts went on")
        assert kills < 20, "no run ever went on from what the one before had left"
    Run(tmp_path / "killed", study, stage).ended()

    expected, files = (stage_files(tmp_path / name, stage) for name in ("undisturbed", "killed"))
    assert set(files) == set(expected)
    assert [name for name in expected if files[name] != expected[name]] == []
    opened = study_in(tmp_path / "killed", study)
    opened.require(STAGES[stage])
    assert not partial_path(opened.out, STAGES[stage]).exists()


@pytest.mark.slow
def test_checkpoints_of_other_settings_are_refused_and_results_can_be_read(cleaned, tmp_path):
    shutil.copytree(cleaned / "virtual", tmp_path / "study")
    study = study_in(tmp_path / "study")
    with pytest.raises(KeyboardInterrupt), study.stage(STAGES["sites"], resumable=True) as folder:
        (folder / "checkpoints" / "something").touch()
        raise KeyboardInterrupt
    other = type(study).open("virtual", "tiny", out=study.out, settings={**study.overrides, "site_steps": 9000})
    with pytest.raises(InputError, match=r"checkpoints of an interrupted run .* other settings \(site_steps\)"):
        RUN["sites"](other)
    result = RUN["sites"](study)
    assert len(result.status) == result.problem.n_sites == result.sites.sizes["site"]
    tree = site_posterior(study, result.problem.profile_id[3])
    np.testing.assert_array_equal(tree["posterior/x"], result.sites["x"][3])
    with pytest.raises(InputError, match="has no site 'nowhere': expected a profile_id, such as .* number from 0 to"):
        site_posterior(study, "nowhere")
    pooled = RUN["one-batch"](study)
    for name, run in (("one_batch.nc", pooled.result), ("one_batch_formal.nc", pooled.formal)):
        np.testing.assert_array_equal(read_posterior(study.path(name))["x"], run.x)
    assert pooled.formal.B == 1.0 and pooled.result.B == 1.0 / result.problem.n_sites
