"""Findings of the paper: judged by the numbers that are put in."""

import pytest
from synthetic_study import small_results

from proda.maps.findings import published_findings
from proda.maps.regions import PUBLISHED_BIASES, vegetation_biases


@pytest.fixture(scope="module")
def tables():
    results = small_results()
    inputs = results.inputs
    biases = vegetation_biases(inputs.layers, results.modelled, inputs.sites, inputs.used)
    return {"table": results.table, "stocks": results.stocks, "regional": results.regional, "by_vegetation": biases}


def judged(tables, begin):
    findings = published_findings(**tables)
    return findings[findings.index.str.startswith(begin)]["holds"].tolist()


def test_every_finding_has_its_numbers_and_a_verdict(tables):
    findings = published_findings(**tables)
    assert len(findings) == len(PUBLISHED_BIASES) + 7 and set(findings["holds"]) <= {"yes", "no", ""}
    assert (findings["published"] != "").all() and (findings["here"] != "").all()


def test_the_order_of_the_methods_holds_only_when_all_of_it_does(tables):
    table = tables["table"].copy()
    ours = (table["source"] == "this study") & (table["sites"] == "efficiency >= 0")
    order = ("site-by-site", "network", "one-batch", "random-sampling", "default")
    for r2, method in zip((0.9, 0.8, 0.7, 0.6, 0.5), order, strict=True):
        table.loc[ours & (table["method"] == method), "r2"] = r2
    assert judged(tables | {"table": table}, "Table 1") == ["yes"]
    table.loc[ours & (table["method"] == "default"), "r2"] = 0.65
    assert judged(tables | {"table": table}, "Table 1") == ["no"]


def test_stocks_and_their_intervals_are_judged_by_depth(tables):
    stocks = tables["stocks"].copy()
    ours = stocks["source"] == "this study"
    stocks.loc[ours & (stocks["method"] == "default"), "stock_pg"] = [1.0, 2.0, 3.0]
    for method, width in (("one-batch", 1.0), ("random-sampling", 2.0)):
        stocks.loc[ours & (stocks["method"] == method), ["stock_pg", "p05_pg", "p95_pg"]] = [10.0, 10.0, 10.0 + width]
    assert judged(tables | {"stocks": stocks}, "Fig. 4") == ["yes", "yes"]
    stocks.loc[ours & (stocks["method"] == "default"), "stock_pg"] = [3.0, 2.0, 1.0]
    assert judged(tables | {"stocks": stocks}, "Fig. 4: carbon") == ["no"]


def test_biases_by_vegetation_are_judged_by_sign_and_size(tables):
    bias = tables["by_vegetation"] * 0 - 1.0
    bias["network"] = 0.1
    assert judged(tables | {"by_vegetation": bias}, "Fig. 5") == ["yes" if len(bias) >= 5 else "no"] * 2 + ["yes"]
    assert judged(tables | {"by_vegetation": -bias.assign(network=9.0)}, "Fig. 5") == ["no"] * 3
