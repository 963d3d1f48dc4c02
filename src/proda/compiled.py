"""Compiled functions that are kept on disk between runs, and compiled anew when the code of the kernels changes.

Numba's own cache looks at the time of change of the function's file alone. A change in one of the other files that the
kernels are made of would go unnoticed, and a comment in this one would compile it anew: the cache is kept in a folder
named by the code of all of them, without docstrings and comments.
"""

import ast
import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba as nb
from numba.core.caching import IndexDataCacheFile

from proda.code_cache import cache_root, source_digest

_PACKAGE = Path(__file__).parent
INLINED = {"error_model": "numpy", "forceinline": True}


def inlined(function: Callable[..., Any]) -> Any:
    """`numba.njit` of a function that becomes part of the compiled functions that call it.

    As a function of its own it would be compiled with every caller, each time optimised a little differently, and a
    process takes whichever comes first: the last bit of a result would then depend on what lay in the folder before.
    """
    return nb.njit(**INLINED)(function)


def kept_compiled(function: Callable[..., Any]) -> Any:
    """`numba.njit` without the interpreter's lock, with the machine code kept in `cache_folder`."""
    before = nb.config.CACHE_DIR
    nb.config.CACHE_DIR = str(cache_folder())
    try:
        compiled = nb.njit(nogil=True, error_model="numpy", cache=True)(function)
    finally:
        nb.config.CACHE_DIR = before
    # Numba would name the entry by the line of the function, and mark it with the time of change of its file.
    kept = compiled._cache
    name = f"{function.__module__}.{function.__qualname__}-{sys.implementation.cache_tag}"
    stamp = source_digest(Path(function.__code__.co_filename))
    kept._cache_file = IndexDataCacheFile(kept._cache_path, name, stamp)
    return compiled


@cache
def cache_folder() -> Path:
    """Folder of the compiled functions of this version of the sources."""
    return cache_root() / f"compiled-{kernel_digest()}"


def kernel_digest(package: Path = _PACKAGE) -> str:
    """Sixteen characters that differ when the code of the kernels does: `kernel_sources`, without comments."""
    return hashlib.sha256("".join(map(source_digest, kernel_sources(package))).encode()).hexdigest()[:16]


def kernel_sources(package: Path = _PACKAGE) -> list[Path]:
    """This file, the kernels, and the modules of the model that they import, also indirectly."""
    sources = {package / "compiled.py", *(package / "kernels").glob("*.py")}
    pending = list(sources)
    while pending:
        tree = ast.parse(pending.pop().read_text(encoding="utf-8"))
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        model = {package / "model" / f"{name.split('.')[2]}.py" for name in modules if name.startswith("proda.model.")}
        pending += model - sources
        sources |= model
    return sorted(sources)
