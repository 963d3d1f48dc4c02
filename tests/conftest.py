"""Shared fixtures; every warning of ours is an error of ours."""

from pathlib import Path

import numpy as np
import pytest

CASES = Path(__file__).parent / "cases"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200017)
