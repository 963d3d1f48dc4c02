"""Machine code that is kept between runs, that of Numba (`proda.compiled`) and that of JAX, and digests of source code.

JAX takes many seconds to compile the derivatives of the soil model, in every process anew if it is not told where to
keep them. Its code is of one processor's instructions, which its own index does not know: the folder is named by them.
"""

import ast
import hashlib
import os
import platform
import tempfile
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent


def code_folder() -> Path:
    """Folder beside the sources, or in the user's cache where these cannot be written, or a new temporary one."""
    # Never a common one, in which others may put what will be run here.
    for place in (_HERE / "__pycache__", Path(os.path.expanduser("~"), ".cache", "proda")):
        if not place.is_absolute():
            continue
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return place
    return Path(tempfile.mkdtemp(prefix="proda-"))


@cache
def jax_code_folder() -> Path:
    """Folder for what JAX compiles on a processor with these instructions."""
    return code_folder() / f"compiled-jax-{instructions_digest()}"


def instructions_digest(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Eight characters that differ where processors understand different instructions."""
    known = [platform.machine()]
    if cpuinfo.is_file():
        # x86 lists its instructions as "flags", ARM as "Features"; all cores have the same.
        lines = cpuinfo.read_text().splitlines()
        known += [line for line in lines if line.startswith(("flags", "Features", "model name", "CPU part"))][:2]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:8]


def let_jax_keep_its_code() -> None:
    """Tell JAX and all processes begun from here where to keep what took half a second to compile.

    Without effect where JAX has been imported before, or the user has chosen a folder. What lies there may be deleted
    at any time; a file that a killed process left half written is told by JAX, which then compiles anew.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(jax_code_folder())
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


@cache
def source_digest(path: Path) -> str:
    """SHA-256 (hex) of what the code of a source file does: its syntax tree without docstrings and comments."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
