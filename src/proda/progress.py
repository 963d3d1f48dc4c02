"""Progress of long computations as one line of plain text."""

import sys

from tqdm import tqdm


def progress_bar(total: int | None, description: str, unit: str) -> tqdm:
    """A bar on standard error, updated in place every few seconds; ``total`` is None where it is not known."""
    # Plain tqdm: its notebook variant needs widgets, which the HTML of an executed notebook does not have.
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        mininterval=2.0,
        maxinterval=60.0,
        file=sys.stderr,
        ncols=100,
        ascii=True,
        unit_scale=unit in ("step", "byte"),
    )
