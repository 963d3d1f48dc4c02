"""Arrays of the public archive: NetCDF written from MATLAB, .mat files of both kinds; names and shapes are checked."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import scipy.io
from numpy.typing import NDArray

from proda.errors import InputError

# "n" stands for any length.
Shape = tuple[int | str, ...]


def existing(path: Path) -> Path:
    """`path`, once it is a file.

    Raises
    ------
    InputError
        When it is not.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected it in the unpacked archive. Was it unpacked completely?")
    return path


def netcdf_table(path: Path, name: str, columns: int) -> NDArray[np.float64]:
    """A table that MATLAB wrote into a NetCDF file: stored (columns, n), returned (n, columns).

    Raises
    ------
    InputError
        When the file cannot be read, or lacks the variable, or the variable has another shape.
    """
    existing(path)
    try:
        with netCDF4.Dataset(path) as file:
            _check_name(path, name, list(file.variables))
            stored = np.ma.filled(file[name][:].astype(np.float64), np.nan)
    except OSError as error:
        raise _unreadable(path, "NetCDF", error) from None
    return checked_shape(stored, (columns, "n"), path, name).T


def mat_array(path: Path, name: str, shape: Shape) -> NDArray[np.float64]:
    """An array of a .mat file of version 5 or 7.

    Raises
    ------
    InputError
        When the file cannot be read, is of version 7.3, or lacks the variable, or the variable has another shape.
    """
    existing(path)
    try:
        content = scipy.io.loadmat(path)
    except NotImplementedError:
        raise InputError(
            f"{path}: a .mat file of version 7.3 (HDF5), expected version 5 or 7. Save it with -v7."
        ) from None
    except Exception as error:  # a broken file fails in many ways: zlib, struct, shapes
        raise _unreadable(path, "MATLAB", error) from None
    _check_name(path, name, [key for key in content if not key.startswith("__")])
    return checked_shape(np.asarray(content[name], dtype=np.float64), shape, path, name)


def checked_shape(values: NDArray, shape: Shape, path: Path, name: str) -> NDArray:
    """`values`, once they have the shape expected.

    Raises
    ------
    InputError
        Says which shape it was, and when the axes seem exchanged.
    """
    if _fits(values.shape, shape):
        return values
    turned = " The axes are exchanged: transposed when it was written?" if _fits(values.shape[::-1], shape) else ""
    raise InputError(f"{path}: {name} has shape {values.shape}, expected ({', '.join(map(str, shape))}).{turned}")


def _fits(found: tuple[int, ...], expected: Shape) -> bool:
    return len(found) == len(expected) and all(e in ("n", f) for f, e in zip(found, expected, strict=True))


def _check_name(path: Path, name: str, names: list[str]) -> None:
    if name not in names:
        raise InputError(f"{path}: no variable {name!r}; it has: {', '.join(names) or 'none'}.")


def _unreadable(path: Path, kind: str, error: Exception) -> InputError:
    return InputError(f"{path}: not a readable {kind} file ({str(error).splitlines()[0]}). Broken off in transfer?")
