"""One notebook, executed by papermill in a kernel process of its own."""

import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import psutil

from proda.errors import InputError, ProdaError
from proda.stages import write_json

KERNEL = "proda-batch"
KERNEL_ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    # Batched small solves are 10 to 25 times slower with two threads.
    "OPENBLAS_NUM_THREADS": "1",
    # Else a backend chosen for the terminal would take the figures from the notebook.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}


class NotebookFailed(ProdaError):
    """A cell raised an error, or its kernel died."""


def notebook_paths(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """The notebook of each stage in ``folder``.

    Raises
    ------
    InputError
        Names the first that is missing.
    """
    paths = {name: folder / f"{name}.ipynb" for name in names}
    for path in paths.values():
        if not path.is_file():
            raise InputError(f"notebook {path} does not exist: restore it from the repository")
    return paths


@contextmanager
def kernel_of_this_python() -> Iterator[str]:
    """The name of a kernel that runs this very interpreter, for as long as the block lasts.

    The kernels that are installed on a machine need not have the package.
    """
    before = os.environ.get("JUPYTER_PATH")
    with tempfile.TemporaryDirectory(prefix="proda-kernel-") as folder:
        # What JAX has compiled in one process serves the others of the run.
        programs = {"JAX_COMPILATION_CACHE_DIR": os.environ.get("JAX_COMPILATION_CACHE_DIR", str(Path(folder, "jax")))}
        specification = {
            # Its warnings are about itself (how it talks to this process on this machine), not about the notebook.
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=ERROR"],
            "display_name": "Python 3",
            "language": "python",
            "env": KERNEL_ENVIRONMENT | programs,
        }
        write_json(Path(folder, "kernels", KERNEL, "kernel.json"), specification)
        os.environ["JUPYTER_PATH"] = folder + (os.pathsep + before if before else "")
        try:
            yield KERNEL
        finally:
            if before is None:
                del os.environ["JUPYTER_PATH"]
            else:
                os.environ["JUPYTER_PATH"] = before


def execute(source: Path, target: Path, parameters: dict[str, Any], kernel: str, progress: bool = False) -> None:
    """Run the notebook ``source`` and leave the executed copy at ``target``, only when every cell has run.

    After an error the copy, with the error in it, is ``<name>.failed.ipynb`` beside it (``<name>.interrupted.ipynb``
    when the run was stopped) and no file ``target`` exists.

    Parameters
    ----------
    parameters : values for the cell tagged "parameters"
    kernel : name of a Jupyter kernel
    progress : show the cells' progress, and what they write to stderr, in the terminal

    Raises
    ------
    NotebookFailed
        Names the notebook, the cell and the error.
    """
    # Imported late: papermill takes a second, which mistyped arguments need not wait for.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import papermill

    partial = target.with_name(f".{target.stem}.part.ipynb")
    failed, interrupted = (target.with_suffix(f".{word}.ipynb") for word in ("failed", "interrupted"))
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in (target, failed, interrupted):
        old.unlink(missing_ok=True)
    try:
        papermill.execute_notebook(
            source,
            partial,
            parameters=parameters,
            kernel_name=kernel,
            cwd=source.parent,
            progress_bar=progress,
            stderr_file=sys.stderr if progress else None,
        )
    except papermill.PapermillExecutionError as error:
        _tidy(partial, failed)
        raise NotebookFailed(
            f"{source.name}, cell {error.cell_index + 1}: {error.ename}: {error.evalue}\n"
            f"The notebook with the error is {failed}"
        ) from error
    except (KeyboardInterrupt, SystemExit):
        _tidy(partial, interrupted)
        raise
    except Exception as error:
        _tidy(partial, failed)
        raise NotebookFailed(f"{source.name}: {_reason(error)}\nWhat had run is in {failed}") from error
    _tidy(partial, target)


class PeakMemory:
    """The largest memory of this process's children together, sampled while the block lasts.

    Pages that processes share, such as those of libraries, count once where the system tells (PSS, Linux).

    with PeakMemory() as memory: ...
    memory.megabytes
    """

    interval = 0.5  # s
    # The system walks through all pages of a process to tell its PSS, a tenth of a second a gigabyte while the process
    # has to wait. Its resident memory costs nothing: PSS is asked for when that has grown by this share.
    growth = 0.01

    def __enter__(self) -> "PeakMemory":
        self.megabytes = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.megabytes = round(self.megabytes, 1)

    def _sample(self) -> None:
        parent, asked = psutil.Process(), 0.0
        while not self._stop.wait(self.interval):
            children = parent.children(recursive=True)
            resident = sum(_bytes(child, "rss") for child in children)
            if resident > asked * (1.0 + self.growth):
                asked = resident
                self.megabytes = max(self.megabytes, sum(_bytes(child, "pss") for child in children) / 1e6)


def _bytes(process: psutil.Process, kind: str) -> int:
    """Resident memory of a process ("rss"), or its share of it ("pss") where the system tells; 0 when it is gone."""
    try:
        memory = process.memory_info() if kind == "rss" else process.memory_full_info()
    except psutil.Error:
        return 0
    return getattr(memory, kind, memory.rss)


def _tidy(partial: Path, target: Path) -> None:
    """Move an executed notebook to its place, without the folders and kernel that papermill writes into it."""
    if not partial.is_file():
        return
    notebook = nbformat.read(partial, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    partial.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    partial.replace(target)


def _reason(error: Exception) -> str:
    if type(error).__name__ == "DeadKernelError":
        return "its Python process died, most often for want of memory: close other programs or take a smaller scale"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}"
