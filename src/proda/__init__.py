"""A research compendium of Tao et al. 2020 (doi 10.3389/fdata.2020.00017): soil carbon profiles to continental maps."""

import os

import lazy_loader

from proda.compiled import set_jax_cache_folder

# Keras reads its backend once, at import: without this it looks for TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "jax")
set_jax_cache_folder()
# Sums over large matrices would depend on the number of threads of JAX, and folds that are trained side by side, each
# with as many threads as there are cores, take half as long again.
os.environ.setdefault("PJRT_NPROC", "1")

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"study": ["open_study"]})
