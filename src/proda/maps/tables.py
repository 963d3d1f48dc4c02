"""Tables as a reader wants them: rounded, without what does not differ, numbers missing shown as a dash."""

from __future__ import annotations

import pandas as pd

from proda.maps.subsets import USED


def readable(table: pd.DataFrame, digits: int = 2):
    """A table for a notebook: `digits` decimals, whole numbers with thousands marks, a dash where missing."""
    whole = [name for name in table if pd.api.types.is_integer_dtype(table[name])]
    formats = {name: "{:,.0f}" if name in whole else f"{{:.{digits}f}}" for name in table.select_dtypes("number")}
    return table.style.format(formats, na_rep="–")


def scores_on(table: pd.DataFrame, subset: str, sites: str = USED) -> pd.DataFrame:
    """Our scores of Table 1 for one subset of the sites, a row a method."""
    rows = table[(table["source"] == "this study") & (table["sites"] == sites) & (table["subset"] == subset)]
    return rows.set_index("method").drop(columns=["source", "sites", "subset"])


def stocks_in_a_row(table: pd.DataFrame) -> pd.DataFrame:
    """Stocks with a row a method and columns by depth interval: the total and, where there are draws, 5 and 95 %.

    The last two columns are the shares of the land with a value, in the intervals where they are largest and smallest.
    """
    values = ["stock_pg", "p05_pg", "p95_pg"]
    wide = table.pivot_table(index=["source", "method"], columns="interval", values=values, dropna=False)
    wide = wide.reindex(list(dict.fromkeys(zip(table["source"], table["method"], strict=True))))
    names = {"stock_pg": "Pg C", "p05_pg": "5 %", "p95_pg": "95 %"}
    ordered = [(kind, interval) for interval in dict.fromkeys(table["interval"]) for kind in names]
    wide = wide[ordered].dropna(axis="columns", how="all")
    wide.columns = [f"{interval}: {names[kind]}" for kind, interval in wide.columns]
    land = table.groupby(["source", "method"])["land_share"].agg(["max", "min"]).mul(100)
    return wide.assign(**{"most land (%)": land["max"], "least land (%)": land["min"]})


def best_method(scores: pd.Series, least: bool = False) -> str:
    """The name of the method with the greatest score, with the `least` if so wished; "none" where none has a score.

    A region's filter may have taken no site away, and then there is nothing to score on those that it took.
    """
    known = scores.dropna()
    return "none" if known.empty else str(known.idxmin() if least else known.idxmax())
