"""A research compendium of Tao et al. 2020 (doi 10.3389/fdata.2020.00017): soil carbon profiles to continental maps."""

import os

# Keras reads its backend once, at import: without this it looks for TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "jax")

__version__ = "0.1.0"
