"""A research compendium of Tao et al. 2020 (doi 10.3389/fdata.2020.00017): soil carbon profiles to continental maps."""

import os
from typing import TYPE_CHECKING, Any

from proda.compiled import set_jax_cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from proda.study import Study

# Keras reads its backend once, at import: without this it looks for TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "jax")
set_jax_cache_folder()

__version__ = "0.2.0"


def open_study(
    study: "str | Path" = "virtual",
    scale: str = "demo",
    data: "str | Path" = "",
    out: "str | Path" = "",
    settings: "Mapping[str, Any] | None" = None,
) -> "Study":
    """A study by its name in ``data/studies`` or its TOML file, at one scale: see `proda.study.Study.open`."""
    from proda.study import Study

    return Study.open(study, scale, data, out, settings)
