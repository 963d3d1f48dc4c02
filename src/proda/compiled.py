"""Compiled functions that stay on disk between runs, and are compiled anew when the code of their sources changes.

Numba's own cache looks at the file of the cached function alone. The kernels are made of functions of several files, so
a change there would go unnoticed: the cache is kept in a folder named by the code of all of them.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba as nb

from proda.code_cache import code_folder, source_digest

_PACKAGE = Path(__file__).parent
INLINED = {"error_model": "numpy", "forceinline": True}


def kernel_digest(package: Path = _PACKAGE) -> str:
    """Sixteen characters that differ when the code of this file or of a room with compiled functions does."""
    sources = [package / "compiled.py", *sorted((package / "model").glob("*.py"))]
    sources += sorted((package / "kernels").glob("*.py"))
    return hashlib.sha256("".join(source_digest(path) for path in sources).encode()).hexdigest()[:16]


@cache
def cache_folder() -> Path:
    """Folder of the compiled functions of this version of the sources."""
    return code_folder() / f"compiled-{kernel_digest()}"


def inlined(function: Callable[..., Any]) -> Any:
    """`numba.njit` of a part of kept functions, which each of them then has in its own code.

    A part that stays a function of its own is compiled with every caller, each time optimised a little differently, and
    a process takes whichever comes first: what it computes would then differ in the last bit from what another finds,
    by which functions it has compiled itself and which it found in the folder.
    """
    return nb.njit(**INLINED)(function)


def kept_compiled(function: Callable[..., Any]) -> Any:
    """`numba.njit` without the interpreter's lock, with the machine code kept in `cache_folder`."""
    before = nb.config.CACHE_DIR
    nb.config.CACHE_DIR = str(cache_folder())
    try:
        return nb.njit(nogil=True, error_model="numpy", cache=True)(function)
    finally:
        nb.config.CACHE_DIR = before
