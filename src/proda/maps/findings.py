"""What Tao et al. (2020) find of the methods, judged by the numbers of a study."""

from __future__ import annotations

import numpy as np
import pandas as pd

from proda.learning.scores import USED
from proda.maps.regions import PUBLISHED_BIASES
from proda.maps.scores import PUBLISHED_SCORES, TRAINED
from proda.maps.stocks import PUBLISHED_STOCKS
from proda.model.configuration import STRATA, interval_name

SAME_EVERYWHERE = ("default", "one-batch", "random-sampling")  # methods with one set of parameters for all places
_STRATA = [interval_name(stratum) for stratum in STRATA]


def published_findings(
    table: pd.DataFrame, stocks: pd.DataFrame, regional: pd.DataFrame, by_vegetation: pd.DataFrame
) -> pd.DataFrame:
    """Findings of the paper beside the same numbers here.

    Parameters
    ----------
    table : pandas.DataFrame
        From `proda.maps.scores.table_1`.
    stocks : pandas.DataFrame
        From `proda.maps.stocks.stock_table`, Pg C.
    regional : pandas.DataFrame
        From `proda.maps.regions.regional_biases`, kg C m-2.
    by_vegetation : pandas.DataFrame
        From `proda.maps.regions.vegetation_biases`, kg C m-3.

    Returns
    -------
    pandas.DataFrame
        finding (index), published, here (numbers), holds ("yes", "no", or "" where there is no number).
    """
    rows = [_order_of_r2(table), *_regional_signs(regional), _no_pattern(regional)]
    rows += [_default_by_depth(stocks), _uncertainty(stocks)]
    rows += [_low_in_vegetation(by_vegetation, method) for method in ("one-batch", "random-sampling")]
    rows.append(_least_biased(by_vegetation))
    findings = pd.DataFrame(rows, columns=["finding", "published", "here", "holds"]).set_index("finding")
    return findings.assign(holds=["" if pd.isna(holds) else "yes" if holds else "no" for holds in findings["holds"]])


def _order_of_r2(table: pd.DataFrame) -> tuple:
    published = {method: scores[0] for (method, _), scores in PUBLISHED_SCORES.items()}
    order = sorted(published, key=published.__getitem__, reverse=True)
    ours = table[(table["source"] == "this study") & (table["sites"] == USED)].set_index(["method", "subset"])["r2"]
    here = [ours[method, "train" if method in TRAINED else "all"] for method in order]
    return (
        f"Table 1: r2 of {' > '.join(order)}",
        " > ".join(f"{published[method]:.2f}" for method in order),
        ", ".join(f"{value:.2f}" for value in here),
        bool((np.diff(here) < 0).all()),
    )


def _regional_signs(regional: pd.DataFrame) -> list[tuple]:
    rows = []
    for (method, region), published in PUBLISHED_BIASES.items():
        if (region, method) in regional.index:
            row = regional.loc[region, method]
            here = f"{row['bias']:+.1f} ± {2 * row['se']:.1f} kg C m-2 at {row['n_sites']:,} sites"
            rows.append((f"Fig. 2: {method}, {region}", published, here, row["bias_agrees"]))
    return rows


def _no_pattern(regional: pd.DataFrame) -> tuple:
    spread = regional.drop(index="all", level="region")["bias"].groupby(level="method").std()
    spread = spread[[*SAME_EVERYWHERE, "network"]]
    here = ", ".join(f"{name} {value:.1f}" for name, value in spread.items())
    finding = "Fig. 2: no regional pattern in the network's errors (standard deviation of the regional biases)"
    return finding, "network least", f"{here} kg C m-2", spread.idxmin() == "network"


def _stocks_of(stocks: pd.DataFrame, method: str) -> pd.DataFrame:
    ours = stocks[(stocks["source"] == "this study") & (stocks["method"] == method)]
    return ours.set_index("interval").loc[_STRATA]


def _default_by_depth(stocks: pd.DataFrame) -> tuple:
    here = _stocks_of(stocks, "default")["stock_pg"]
    published = " < ".join(f"{stratum[0]}" for stratum in PUBLISHED_STOCKS["default"])
    finding = "Fig. 4: carbon of the default increases with depth (0-30, 30-100, 100-200 cm)"
    return finding, f"{published} Pg C", ", ".join(f"{x:.0f}" for x in here) + " Pg C", bool((np.diff(here) > 0).all())


def _uncertainty(stocks: pd.DataFrame) -> tuple:
    widths, published = {}, {}
    for method in ("one-batch", "random-sampling"):
        ours = _stocks_of(stocks, method)
        widths[method] = ((ours["p95_pg"] - ours["p05_pg"]) / ours["stock_pg"]).to_numpy()
        published[method] = [(high - low) / mean for mean, low, high in PUBLISHED_STOCKS[method]]
    words = [
        "; ".join(f"{method} {', '.join(f'{width:.1f}' for width in each[method])}" for method in each)
        for each in (published, widths)
    ]
    finding = "Fig. 4: one-batch less uncertain than random-sampling (5-95 % width over the total, by depth)"
    return finding, *words, bool((widths["one-batch"] < widths["random-sampling"]).all())


def _low_in_vegetation(by_vegetation: pd.DataFrame, method: str) -> tuple:
    low, n = int((by_vegetation[method] < 0).sum()), len(by_vegetation)
    return f"Fig. 5: {method} too low in vegetation classes", "five of eight", f"{low} of {n}", low >= 5


def _least_biased(by_vegetation: pd.DataFrame) -> tuple:
    bias = by_vegetation[[*SAME_EVERYWHERE, "network"]].abs().mean()
    here = ", ".join(f"{name} {value:.1f}" for name, value in bias.items())
    finding = "Fig. 5: network least biased (mean absolute bias of the classes)"
    return finding, "network least", f"{here} kg C m-3", bias.idxmin() == "network"
