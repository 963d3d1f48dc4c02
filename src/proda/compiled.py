"""Compiled functions that stay on disk between runs, and are compiled anew when any of their sources changes.

Numba's own cache looks at the file of the cached function alone. The chains of `assimilation` are made of functions of
other files, so a change there would go unnoticed: the cache is kept in a folder named by the content of all of them.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba as nb

from proda.code_folder import code_folder

_PACKAGE = Path(__file__).parent
INLINED = {"error_model": "numpy", "forceinline": True}


def source_digest(package: Path = _PACKAGE) -> str:
    """Sixteen characters that differ when this file or any of the two rooms with compiled functions does."""
    sources = [
        package / "compiled.py",
        *sorted((package / "model").glob("*.py")),
        *sorted((package / "assimilation").glob("*.py")),
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]


@cache
def cache_folder() -> Path:
    """Folder of the compiled functions of this version of the sources."""
    return code_folder() / f"compiled-{source_digest()}"


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
