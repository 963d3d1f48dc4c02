"""A chain on disk: after any interruption it goes on to the same bits, and a file that cannot be used is not."""

import errno
from pathlib import Path

import numpy as np
import pytest
from pooled_study import PLAN, pooled_study, sampled

from proda.assimilation import one_batch as chain_checkpoint
from proda.errors import ProdaError

STUDY = pooled_study(times=100)


class Stopped(Exception):
    """The run ends here, as by a signal."""


def stopping_after(steps: int):
    """A `report` that stops the run when so many steps have been taken."""
    taken = []

    def report(n: int) -> None:
        taken.append(n)
        if sum(taken) > steps:
            raise Stopped

    return report


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(chain_checkpoint, "SECONDS_BETWEEN", 0.0)


@pytest.fixture(scope="module")
def undisturbed():
    return sampled(STUDY, B=1.0, n_chains=2)


def the_same(one, other) -> bool:
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(np.asarray(first), np.asarray(second)) for first, second in pairs)


@pytest.mark.parametrize("steps", [60, 330, 700, 1100, 1600], ids=lambda steps: f"{steps} steps")
def test_an_interrupted_chain_goes_on_to_the_same_bits(undisturbed, tmp_path, steps):
    """In the test run, whose width is being judged, in the burn-in and in the kept part."""
    with pytest.raises(Stopped):
        sampled(STUDY, B=1.0, n_chains=2, n_workers=1, checkpoints=tmp_path, report=stopping_after(steps))
    assert (tmp_path / "chain-1.npz").is_file()
    reported = []
    again = sampled(STUDY, B=1.0, n_chains=2, n_workers=1, checkpoints=tmp_path, report=reported.append)
    assert max(reported) > 50 or steps < 100, "it did not go on from the file"
    assert sum(reported) == 2 * PLAN.total
    assert the_same(again, undisturbed)


def test_a_chain_that_was_saved_at_its_end_is_not_run_again(undisturbed, tmp_path, monkeypatch):
    sampled(STUDY, B=1.0, n_chains=2, checkpoints=tmp_path)
    monkeypatch.setattr("proda.assimilation.one_batch.run_chains", lambda *given: pytest.fail("it was run again"))
    assert the_same(sampled(STUDY, B=1.0, n_chains=2, checkpoints=tmp_path), undisturbed)


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut short":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a bit flipped":
        middle = content.index(b"chains_mean") + 600
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif how == "of another kind":
        with path.open("wb") as stream:
            np.savez(stream, step=50)
    else:
        path.write_bytes(b"something else entirely")


@pytest.mark.parametrize("how", ["cut short", "empty", "a bit flipped", "of another kind", "no archive"])
def test_a_chain_whose_file_is_damaged_begins_anew(undisturbed, tmp_path, how):
    with pytest.raises(Stopped):
        sampled(STUDY, B=1.0, n_chains=1, checkpoints=tmp_path, report=stopping_after(1000))
    damaged(tmp_path / "chain-1.npz", how)
    reported = []
    again = sampled(STUDY, B=1.0, n_chains=1, checkpoints=tmp_path, report=reported.append)
    np.testing.assert_array_equal(again.x[0], undisturbed.x[0])
    assert max(reported) == 50


def test_a_disk_that_refuses_is_told_and_leaves_what_was_saved_before(undisturbed, tmp_path, monkeypatch):
    with pytest.raises(Stopped):
        sampled(STUDY, B=1.0, n_chains=1, checkpoints=tmp_path, report=stopping_after(600))
    before = (tmp_path / "chain-1.npz").read_bytes()

    def full(*given, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(chain_checkpoint.np, "savez", full)
        with pytest.raises(ProdaError, match=r"chain-1.npz cannot be written: No space left on device\. Make room"):
            sampled(STUDY, B=1.0, n_chains=1, checkpoints=tmp_path)
    assert (tmp_path / "chain-1.npz").read_bytes() == before
    np.testing.assert_array_equal(sampled(STUDY, B=1.0, n_chains=1, checkpoints=tmp_path).x[0], undisturbed.x[0])


def test_without_a_folder_nothing_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sampled(STUDY, B=1.0, n_chains=1)
    assert not list(tmp_path.iterdir())
