"""Table 1: identical sites for all methods, the parts of the sites, and the published values."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic_study import small_results

from proda import __version__
from proda.__main__ import main
from proda.maps import scores
from proda.maps.scores import site_subsets
from proda.model.configuration import PAPER_COLUMN
from proda.model.observation import layer_means
from proda.stage import MARKER_FORM, marker_path, write_json
from proda.study import Study


@pytest.fixture
def layers():
    return pd.DataFrame({"site": [0, 0, 1, 1, 2, 2, 3, 3], "soc": np.arange(1.0, 9.0) * 1000})


def test_all_methods_are_scored_on_identical_layers(layers):
    modelled = {"default": layers["soc"].to_numpy() * 2, "network": layers["soc"].to_numpy().copy()}
    modelled["network"][0] = np.nan
    used, split = np.array([True, True, True, False]), np.array(["train", "train", "test", "unused"])
    table = scores.table_1(layers, modelled, used, split, np.arange(4))
    ours = table[table["source"] == "this study"]
    counts = ours.groupby(["sites", "subset"])["n"].agg(["min", "max"])
    assert (counts["min"] == counts["max"]).all()
    assert counts.loc[(scores.USED, "all"), "min"] == 4 and counts.loc[(scores.USED, "test"), "min"] == 2
    assert counts.loc[(scores.ASSIMILATED, "all"), "min"] == 6
    assert scores.scores_on(table, "all")["n_sites"].tolist() == [2, 2]
    assert scores.scores_on(table, scores.NEVER_SEEN)["n_sites"].tolist() == [2, 2]


def test_sites_never_seen_are_the_test_sites_and_those_that_the_filter_removes():
    used = np.array([True, True, True, True, True, False])
    split = np.array(["train", "validation", "test", "test", "train", "unused"])
    found = {name: np.flatnonzero(mask).tolist() for name, mask in site_subsets(used, split, np.arange(6) // 3).items()}
    assert found[scores.ASSIMILATED, scores.NEVER_SEEN] == [2, 3, 5] and found[scores.ASSIMILATED, "unused"] == [5]
    assert found[scores.USED, "test"] == [2, 3] and found[scores.USED, "all"] == [0, 1, 2, 3, 4]
    assert found[scores.ASSIMILATED, "all"] == [0, 1, 2, 3, 4, 5]
    alone = site_subsets(used, split, np.array([0, 0, 0, 7, 2, 3]))[scores.USED, scores.NEW_CELLS]
    assert found[scores.USED, scores.NEW_CELLS] == [] and np.flatnonzero(alone).tolist() == [3]


def test_published_values_are_labelled_and_stand_beside_ours(layers):
    modelled = {"default": layers["soc"].to_numpy() * 2, "network": layers["soc"].to_numpy()}
    split = np.array(["train", "train", "validation", "test"])
    table = scores.table_1(layers, modelled, np.ones(4, bool), split, np.arange(4))
    published = table[table["source"] == "published"].set_index(["method", "subset"])
    assert len(published) == len(scores.PUBLISHED_SCORES)
    assert tuple(published.loc[("site-by-site", "all"), ["r2", "r", "rmse"]]) == (0.95, 0.98, 3.32)
    shown = scores.with_published(table)
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
    row = scores.stocks_by_interval(pd.DataFrame(rows, columns=names)).loc["this study", "network"]
    assert (row["0-30 cm: Pg C"], row["0-30 cm: 95 %"], row["30-100 cm: Pg C"]) == (5.0, 6.0, 7.0)
    assert row["land (%)"] == 50.0 and "30-100 cm: 5 %" not in row


def test_findings_of_the_paper_are_judged_by_the_numbers_here():
    results = small_results()
    assert results.findings["holds"].isin(["yes", "no", ""]).all() and len(results.findings) == 23
    assert ((results.findings["because"] == "") == (results.findings["holds"] == "yes")).all()

    def judged(name, modelled=results.modelled, stocks=results.stocks, regional=results.regional, **changed):
        inputs = results.inputs._replace(**changed)
        findings = scores.published_findings(inputs, modelled, results.table, stocks, regional)
        finding = findings.loc[next(finding for finding in findings.index if finding.startswith(name))]
        return finding["holds"], finding["because"]

    observed, depth = results.inputs.layers[["soc", "depth"]].to_numpy(float).T
    assert judged("the default overestimates", {"default": observed * (1.1 + depth)})[0] == "yes"
    verdict, because = judged("the default overestimates", {"default": observed * (4.0 - depth)})
    assert verdict == "no" and "forcing: Made for the test" in because
    regional, method = results.regional.copy(), results.regional.index.get_level_values("method")
    regional["bias"] = np.where(method == "network", regional["bias"], -1.0)
    assert judged("no regional pattern", regional=regional)[0] == "no"
    assert judged("one-batch too low", regional=regional)[0] == "yes"
    regional["bias"], regional["se"], regional["bias_agrees"] = 1.0, 0.6, False
    assert judged("one-batch too low", regional=regional)[0] == "no"
    assert judged("default, Midwest", regional=regional) == ("", "within two standard errors of zero")
    wider = results.stocks["p95_pg"] + np.where(results.stocks["method"] == "one-batch", 1e6, 0.0)
    assert judged("one-batch less uncertain", stocks=results.stocks.assign(p95_pg=wider))[0] == "no"
    sites, sd = np.random.default_rng(0).beta(2, 2, (5000, 25)), np.full((5, 25), 0.19)
    same = {"x_mode": sites, "one_batch": sites[::2], "used": np.ones(5000, bool)}
    assert judged("one-batch posterior", **same)[0] == "yes"
    assert judged("one-batch posterior", one_batch=np.full((9, 25), 0.999))[0] == "no"
    assert judged("mean posterior variance: tau4s2", x_sd=sd)[0] == "yes"
    verdict, because = judged("mean posterior variance: tau4l2l3", x_sd=sd)
    assert verdict == "no" and "tau4l1 0.69" in because
    skill = results.inputs.skill.assign(r_test=lambda table: np.where(table["paper"] == "not", 0.9, 0.1))
    assert judged("predicted badly", skill=skill)[0] == "no"


LON, LAT = (-100.25, -99.75, -99.25), (40.25, 40.75)
BOUNDS = np.array([(0.0, 0.2), (0.2, 0.6), (0.6, 1.6)])  # m, a layer in every stratum
# Three profiles in cells of their own; S0, which the study used, and S1, which it did not, in the first of them again;
# a copy of S0 beside it, while "there" has the layers of S0 in another cell; and one in the sea.
PLACES = {"here": (0, 0), "there": (1, 0), "north": (1, 1), "S0": (0, 0), "S1": (0, 0), "copy": (0, 0), "sea": (2, 1)}


@pytest.fixture
def folders(tmp_path):
    """A study folder whose hybrid is right at every profile and whose default is half of it, and a folder of data."""
    out, data = tmp_path / "out", tmp_path / "data"
    factor = np.array([[10.0, 40.0, 20.0], [30.0, 80.0, np.nan]])
    hybrid = np.exp(-PAPER_COLUMN.node)[:, None, None] * factor
    sites = hybrid.copy()
    sites[8:], sites[:, :, 1:] = np.nan, np.nan
    density = np.stack([hybrid / 2, hybrid, sites])
    maps = xr.Dataset({"soc_density": (("parameterisation", "layer", "lat", "lon"), density, {"units": "kg m-3"})})
    study = Study.open("virtual", "tiny", out=out)
    older = study.fingerprints()["06-final-figures"] | {"code": "older"}
    marker = {"form": MARKER_FORM, "status": "complete", "version": __version__, "fingerprint": older, "started": ""}
    marker |= {"opened_with": study.opened_with, "upstream": {}, "files": {}}
    write_json(marker_path(out, "06-final-figures"), marker)
    maps.assign_coords(parameterisation=["default", "hybrid", "site-by-site"], lon=list(LON), lat=list(LAT)).to_netcdf(
        out / "soc_maps.nc"
    )
    column = {name: ((1, 0) if name in ("S0", "copy") else place) for name, place in PLACES.items()}
    carbon = {name: layer_means(hybrid[:, row], [x] * 3, *BOUNDS.T) for name, (x, row) in column.items()}
    profiles = pd.DataFrame({"profile_id": list(PLACES), "source": "made"})
    profiles[["lon", "lat"]] = [
        (LON[x] + 0.1 - 0.2 * (name == "S1"), LAT[row] + 2.0 * (name == "sea")) for name, (x, row) in PLACES.items()
    ]
    layers = pd.DataFrame(np.tile(BOUNDS, (len(PLACES), 1)), columns=["upper_depth_m", "lower_depth_m"])
    layers = layers.assign(profile_id=np.repeat(list(PLACES), 3), layer=[1, 2, 3] * len(PLACES))
    layers["soc_kg_m3"] = np.nan_to_num(np.concatenate(list(carbon.values())), nan=5.0)
    data.mkdir()
    profiles.to_csv(data / "profiles.csv", index=False)
    layers.to_csv(data / "layers.csv", index=False)
    own, names = profiles[profiles["profile_id"].str.startswith("S")], {"upper_depth_m": "upper_depth"}
    own.assign(excluded_by=[None, "too few layers"]).to_parquet(out / "raw_profiles.parquet")
    layers = layers.rename(columns=names | {"lower_depth_m": "lower_depth"}).assign(soc=1000 * layers["soc_kg_m3"])
    layers[layers["profile_id"].isin(own["profile_id"])].to_parquet(out / "raw_layers.parquet")
    return out, data


def test_maps_are_scored_on_profiles_of_others_each_method_where_it_has_values(folders, tmp_path, capsys):
    out, data = folders
    assert main(["score", str(out), "--data", str(data), "--to", str(tmp_path / "to")]) == 0
    printed = capsys.readouterr()
    assert "4 profiles and 12 layers" in printed.out and re.search(r"used by the study +2 +6\n", printed.out)
    assert "warning: 06-final-figures is stale: the package has changed since" in printed.err
    excluded = pd.read_csv(tmp_path / "to" / "profile_scores_exclusions.csv")
    assert set(excluded.loc[excluded["layer"].isna(), "profile_id"]) == {"S0", "copy", "sea"}
    table = pd.read_csv(tmp_path / "to" / "profile_scores.csv").set_index(["cells", "depth", "method"])
    whole = table.xs(("all", "all"), level=("cells", "depth"))
    assert whole["n"].tolist() == [12, 12, 4] and whole["n_profiles"].tolist() == [4, 4, 2]
    assert whole.loc["hybrid", "efficiency"] == pytest.approx(1) and whole["rmse"].tolist()[2] < 1e-6
    assert whole.loc["default", "median_ratio"] == pytest.approx(0.5)
    n = table["n"].xs("default", level="method")
    assert n["with training profiles", "0-30 cm"] == 2 and n["without training profiles", "all"] == 6
    assert (tmp_path / "to" / "profile_scores.png").stat().st_size > 1e4
    keep(data, ["there"])
    assert main(["score", str(out), "--data", str(data)]) == 0, "site-by-site has no value here"
    assert np.isnan(pd.read_csv(out / "profile_scores.csv")["efficiency"].iloc[2])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            lambda out, data: marker_path(out, "06-final-figures").unlink(),
            "06-final-figures in .* has not been run: `python",
        ),
        (
            lambda out, data: write_json(marker_path(out, "06-final-figures"), {"version": "0.1.0"}),
            "06-final-figures in .* was written by proda 0.1.0, whose results",
        ),
        (lambda out, data: (out / "soc_maps.nc").unlink(), "soc_maps.nc: expected soc_density .*FileNotFoundError"),
        (lambda out, data: xr.Dataset().to_netcdf(out / "soc_maps.nc"), "expected soc_density .*Run notebook 6 again"),
        (lambda out, data: keep(data, ["sea"]), "none of 1 profiles lies on a land cell of the study"),
        (lambda out, data: keep(data, ["S0", "copy"]), "most were excluded by the rule 'used by the study'"),
    ],
)
def test_a_folder_that_cannot_be_scored_is_named_with_the_reason(folders, capsys, fault, message):
    fault(*folders)
    assert main(["score", str(folders[0]), "--data", str(folders[1])]) == 2
    assert re.search(message, capsys.readouterr().err)


def keep(data, names):
    for file in ("profiles.csv", "layers.csv"):
        table = pd.read_csv(data / file)
        table[table["profile_id"].isin(names)].to_csv(data / file, index=False)
