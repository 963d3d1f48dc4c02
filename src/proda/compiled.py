"""Machine code that is kept between runs: that of the kernels, in a folder named by their code, and that of JAX."""

import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

INLINED = {"error_model": "numpy", "forceinline": True}


def inlined(function: Callable[..., Any]) -> Any:
    """`numba.njit` of a function that becomes part of the compiled functions that call it.

    As a function of its own it would be compiled anew with every caller, each time optimised a little differently: the
    last bit of a result would depend on which came first.
    """
    import numba

    return numba.njit(**INLINED)(function)


def kept_compiled(function: Callable[..., Any]) -> Any:
    """`numba.njit` without the interpreter's lock, with the machine code kept in `cache_folder`."""
    import numba
    from numba.core.caching import IndexDataCacheFile

    from proda.fingerprint import source_digest

    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_folder())
    try:
        compiled = numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    finally:
        numba.config.CACHE_DIR = before
    # Numba would name the entry by the line of the function, and mark it with the time of change of its file.
    kept = compiled._cache
    name = f"{function.__module__}.{function.__qualname__}-{sys.implementation.cache_tag}"
    stamp = source_digest(Path(function.__code__.co_filename))
    kept._cache_file = IndexDataCacheFile(kept._cache_path, name, stamp)
    return compiled


@cache
def cache_folder() -> Path:
    """Folder of the compiled functions of this version of the kernels."""
    from proda.fingerprint import code_digest

    return cache_root() / f"compiled-{code_digest(('kernels',))[:16]}"


def cache_root() -> Path:
    """Folder beside the sources, or in the user's cache where these cannot be written, or a new temporary one."""
    # Never a shared one, in which others may put what will be run here.
    for place in (Path(__file__).parent / "__pycache__", Path(os.path.expanduser("~"), ".cache", "proda")):
        if not place.is_absolute():
            continue
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return place
    return Path(tempfile.mkdtemp(prefix="proda-"))


def set_jax_cache_folder() -> None:
    """Set the folder of what JAX compiled; without effect where it is imported, or the user has chosen one."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache_root() / f"compiled-jax-{_instructions_digest()}")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


def _instructions_digest() -> str:
    """Eight characters for the processor's instructions, for which JAX's code is made but which its index ignores."""
    known, cpuinfo = [platform.machine()], Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        # x86 lists its instructions as "flags", ARM as "Features"; all cores have the same.
        lines = cpuinfo.read_text().splitlines()
        known += [line for line in lines if line.startswith(("flags", "Features", "model name", "CPU part"))][:2]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:8]
