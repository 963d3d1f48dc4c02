"""A research compendium of Tao et al. 2020 (doi 10.3389/fdata.2020.00017): soil carbon profiles to continental maps."""

import os

from proda.compiled import let_jax_keep_its_code

# Keras reads its backend once, at import: without this it looks for TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "jax")
let_jax_keep_its_code()

__version__ = "0.1.0"
