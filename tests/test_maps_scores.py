"""Table 1: identical sites for all methods, the parts of the sites, and the published values."""

import numpy as np
import pandas as pd
import pytest
from synthetic_study import small_results

from proda.maps.scores import (
    ASSIMILATED,
    NEVER_SEEN,
    NEW_CELLS,
    PUBLISHED_SCORES,
    USED,
    published_findings,
    scores_on,
    site_subsets,
    stocks_by_interval,
    table_1,
    with_published,
)


@pytest.fixture
def layers():
    return pd.DataFrame({"site": [0, 0, 1, 1, 2, 2, 3, 3], "soc": np.arange(1.0, 9.0) * 1000})


def test_all_methods_are_scored_on_identical_layers(layers):
    modelled = {"default": layers["soc"].to_numpy() * 2, "network": layers["soc"].to_numpy().copy()}
    modelled["network"][0] = np.nan
    used, split = np.array([True, True, True, False]), np.array(["train", "train", "test", "unused"])
    table = table_1(layers, modelled, used, split, np.arange(4))
    ours = table[table["source"] == "this study"]
    counts = ours.groupby(["sites", "subset"])["n"].agg(["min", "max"])
    assert (counts["min"] == counts["max"]).all()
    assert counts.loc[(USED, "all"), "min"] == 4 and counts.loc[(USED, "test"), "min"] == 2
    assert counts.loc[(ASSIMILATED, "all"), "min"] == 6
    assert scores_on(table, "all")["n_sites"].tolist() == [2, 2]
    assert scores_on(table, NEVER_SEEN)["n_sites"].tolist() == [2, 2]


def test_sites_never_seen_are_the_test_sites_and_those_that_the_filter_removes():
    used = np.array([True, True, True, True, True, False])
    split = np.array(["train", "validation", "test", "test", "train", "unused"])
    found = {name: np.flatnonzero(mask).tolist() for name, mask in site_subsets(used, split, np.arange(6) // 3).items()}
    assert found[ASSIMILATED, NEVER_SEEN] == [2, 3, 5] and found[ASSIMILATED, "unused"] == [5]
    assert found[USED, "test"] == [2, 3] and found[USED, "all"] == [0, 1, 2, 3, 4]
    assert found[ASSIMILATED, "all"] == [0, 1, 2, 3, 4, 5]
    alone = site_subsets(used, split, np.array([0, 0, 0, 7, 2, 3]))[USED, NEW_CELLS]
    assert found[USED, NEW_CELLS] == [] and np.flatnonzero(alone).tolist() == [3]


def test_published_values_are_labelled_and_stand_beside_ours(layers):
    modelled = {"default": layers["soc"].to_numpy() * 2, "network": layers["soc"].to_numpy()}
    split = np.array(["train", "train", "validation", "test"])
    table = table_1(layers, modelled, np.ones(4, bool), split, np.arange(4))
    published = table[table["source"] == "published"].set_index(["method", "subset"])
    assert len(published) == len(PUBLISHED_SCORES)
    assert tuple(published.loc[("site-by-site", "all"), ["r2", "r", "rmse"]]) == (0.95, 0.98, 3.32)
    shown = with_published(table)
    assert list(shown.index) == [
        "default", "network (train sites)", "network (validation sites)", "network (test sites)"
    ]  # fmt: skip
    assert shown.loc["network (train sites)", "published rmse"] == 8.95
    assert np.isnan(shown.loc["network (test sites)", "published rmse"])


def test_stocks_have_a_row_for_each_method_with_the_land_that_they_cover():
    rows = [
        ("this study", "network", "0-30 cm", 5.0, 4.0, 6.0, 1.0),
        ("this study", "network", "30-100 cm", 7.0, np.nan, np.nan, 0.5),
    ]
    names = ["source", "method", "interval", "stock_pg", "p05_pg", "p95_pg", "land_share"]
    row = stocks_by_interval(pd.DataFrame(rows, columns=names)).loc["this study", "network"]
    assert (row["0-30 cm: Pg C"], row["0-30 cm: 95 %"], row["30-100 cm: Pg C"]) == (5.0, 6.0, 7.0)
    assert row["land (%)"] == 50.0 and "30-100 cm: 5 %" not in row


def test_findings_of_the_paper_are_judged_by_the_numbers_here():
    results = small_results()
    assert results.findings["holds"].isin(["yes", "no", ""]).all() and len(results.findings) == 13
    stocks = results.stocks.copy()
    stocks.loc[stocks["method"] == "default", "stock_pg"] *= [1, 100, 10000, 1, 1, 1]
    finding = next(name for name in results.findings.index if name.startswith("Fig. 4: carbon of the default"))
    assert published_findings(results.table, stocks, results.regional).loc[finding, "holds"] == "yes"
    regional = results.regional.copy()
    regional["bias"] = np.where(regional.index.get_level_values("method") == "network", regional["bias"], 1.0)
    finding = next(name for name in results.findings.index if name.startswith("Fig. 2: no regional pattern"))
    assert published_findings(results.table, stocks, regional).loc[finding, "holds"] == "no"
