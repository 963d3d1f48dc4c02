"""Shared fixtures, and one profile for all property tests."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from small_study import STUDY

from proda.study import Study

# The same examples in every run, so that a failure is about the code.
settings.register_profile("proda", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("proda")

CASES = Path(__file__).parent / "cases"


@pytest.fixture(scope="session")
def results():
    """The results of stage 6 for a small virtual study; to be read, not changed."""
    from synthetic_study import small_results  # only where it is used: it imports Keras

    return small_results()


@pytest.fixture(scope="session")
def cluster():
    """Two worker processes, each with a nanny that starts another when it dies."""
    from distributed import LocalCluster

    local = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL")
    with local as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200017)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a small study."""
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def opened(file: Path):
    """Opens that study, at scale tiny unless another is given."""
    return lambda **given: Study.open(file, **{"scale": "tiny", "out": file.parent / "out", **given})
