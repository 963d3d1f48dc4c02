"""Shared fixtures; every warning of ours is an error of ours."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# The same examples in every run, so that a failure is about the code.
settings.register_profile("proda", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("proda")

CASES = Path(__file__).parent / "cases"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200017)
