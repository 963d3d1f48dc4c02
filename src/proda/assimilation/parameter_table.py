"""Table S1: what is known of every parameter before and after the data, and what the paper found of its variance."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from proda.model.parameters import PAPER_PARAMETERS

PRIOR_VARIANCE = 1.0 / 12.0  # uniform on the unit cube
# Mean posterior variance over the sites on the unit scale, as the text beside Fig. S5 of Tao et al. 2020 has it.
ABOVE, AT_MOST = 0.06, 0.04
PUBLISHED_ABOVE, PUBLISHED_AT_MOST = ("tau4l2l3", "tau4l1", "fs2s1"), ("tau4s2", "tau4s3", "efolding")


def parameter_table(mean: ArrayLike, variance: ArrayLike, gelman_rubin: ArrayLike) -> pd.DataFrame:
    """Table S1, by parameter: meaning, unit, range and default, posterior `mean` and `variance`, `Gelman-Rubin`.

    Parameters
    ----------
    mean, variance, gelman_rubin : (25,)
        Mean and variance on the unit cube.
    """
    table = pd.DataFrame(
        {
            "meaning": PAPER_PARAMETERS.meaning,
            "unit": PAPER_PARAMETERS.unit,
            "range": [f"{row.minimum:g} to {row.maximum:g}" for row in PAPER_PARAMETERS.rows],
            "default": PAPER_PARAMETERS.default,
            "mean": np.asarray(mean, float),
            "variance": np.asarray(variance, float),
            "Gelman-Rubin": np.asarray(gelman_rubin, float),
        }
    )
    return table.set_index(pd.Index(PAPER_PARAMETERS.names, name="parameter"))


def variance_beside_published(variance: pd.Series) -> pd.DataFrame:
    """Mean posterior variances that the paper speaks of, by parameter: `published`, `ours`, whether they `agree`."""
    rows = {}
    for name in PUBLISHED_ABOVE:
        rows[name] = {"published": f"above {ABOVE:g}", "ours": variance[name], "agree": bool(variance[name] > ABOVE)}
    for name in PUBLISHED_AT_MOST:
        agree = bool(variance[name] <= AT_MOST)
        rows[name] = {"published": f"at most {AT_MOST:g}", "ours": variance[name], "agree": agree}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("parameter")
