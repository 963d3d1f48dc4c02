"""Where machine code is kept between runs, that of Numba (`proda.compiled`) and of JAX, and digests of source code."""

import ast
import hashlib
import os
import platform
import tempfile
from functools import cache
from pathlib import Path


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
    """Set the folder in which JAX, here and in child processes, keeps what took half a second to compile.

    JAX takes many seconds to compile the derivatives of the soil model, in every process anew without such a folder.
    Without effect where JAX has been imported before, or the user has chosen a folder.
    """
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


@cache
def source_digest(path: Path) -> str:
    """SHA-256 (hex) of the code of a source file: its syntax tree without docstrings and comments."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
