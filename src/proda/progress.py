"""Progress of long computations as one line of plain text: how far, how fast, how long still."""

import sys

from tqdm import tqdm


def progress_bar(total: int | None, description: str, unit: str) -> tqdm:
    """A bar on standard error, updated in place; without an end where the total is not known (None).

    Plain `tqdm` on purpose: its notebook variant needs widgets, which the HTML of an executed notebook does not have.
    Updates are seconds apart, so the output of an executed notebook stays short.
    """
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
