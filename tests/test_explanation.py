"""Importance and partial dependence find again what made functions were built from."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from proda.data.covariates import LAND_USE, LISTS, PAPER_COVARIATES
from proda.data.virtual_continent import true_parameters, virtual_covariates
from proda.errors import InputError
from proda.figures.learning import dependence_curves, importance_bars, parameter_importance_map
from proda.learning.importance import (
    covariate_groups,
    dependence_values,
    group_importance,
    parameter_importance,
    partial_dependence,
)
from proda.model.parameters import PAPER_PARAMETERS

matplotlib.use("Agg")

N, DEPTHS = 3000, np.array([1.0, 0.5, 0.25, 0.1])
GROUPS = {"climate": ["BIO1", "BIO12"], "soil texture": ["Clay_Content_0cm"], "soil water": ["SWC_v_Wilting_Point_0cm"]}
Q10, TAU = PAPER_PARAMETERS.index("q10"), PAPER_PARAMETERS.index("tau4s3")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def sites(rng) -> pd.DataFrame:
    """Sites whose two climate covariates are correlated; all other covariates are independent."""
    cold, other = rng.standard_normal((2, N))
    return pd.DataFrame(
        {
            "BIO1": cold,
            "BIO12": 0.8 * cold + 0.6 * other,
            "Clay_Content_0cm": rng.uniform(-1.0, 1.0, N),
            "SWC_v_Wilting_Point_0cm": rng.standard_normal(N),
            "IGBP": rng.choice([4.0, 7.0, 12.0], N),
        },
        index=np.arange(N) + 70,
    )


def climate(sites: pd.DataFrame) -> np.ndarray:
    return (3.0 * sites["BIO1"] + 2.0 * sites["BIO12"]).to_numpy()


def texture(sites: pd.DataFrame) -> np.ndarray:
    return 4.0 * sites["Clay_Content_0cm"].to_numpy() ** 3


def soc(sites: pd.DataFrame) -> np.ndarray:
    return 20.0 + DEPTHS * (climate(sites) + texture(sites))[:, None]


def members(sites: pd.DataFrame) -> np.ndarray:
    """Three members: q10 falls with clay, tau4s3 rises with temperature and depends on the class, members differ."""
    x = np.full((3, len(sites), 25), 0.5)
    x[:, :, Q10] = 0.5 - 0.1 * sites["Clay_Content_0cm"].to_numpy()
    land = sites["IGBP"].map({4.0: 0.0, 7.0: 0.1, 12.0: -0.1}).to_numpy()
    tau = 0.05 * sites["BIO1"].to_numpy()
    x[:, :, TAU] = 0.5 + np.array([0.8, 1.0, 1.2])[:, None] * tau + land + np.array([0.0, 0.02, 0.01])[:, None]
    return x


def test_the_error_grows_by_twice_the_variance_that_a_group_explains(sites, rng):
    frame = sites.drop(columns="IGBP")
    observed = soc(frame) + rng.standard_normal((N, 4))
    present = rng.random((N, 4)) < 0.7
    table = group_importance(soc, frame, GROUPS, np.where(present, observed, np.nan), present, 12, seed=3)
    assert list(table["group"]) == ["climate", "soil texture", "soil water"]
    assert list(table["n_covariates"]) == [2, 1, 1]
    mean_square = (DEPTHS**2).mean()
    for row, part in ((0, climate), (1, texture)):
        assert table["mse_increase"][row] == pytest.approx(2.0 * mean_square * part(frame).var(), rel=0.05)
        assert table["mse_increase_sd"][row] < 0.1 * table["mse_increase"][row]
    np.testing.assert_array_equal(table.loc[2, ["mse_increase", "mse_increase_sd", "r2_loss"]].to_numpy(float), 0.0)
    total = observed[present].var()
    np.testing.assert_allclose(table["efficiency_loss"], table["mse_increase"] / total, rtol=1e-9, atol=1e-12)


def test_the_columns_of_a_group_move_together(sites):
    frame = sites[["BIO1", "BIO12"]].assign(BIO12=sites["BIO1"])

    def difference(changed):
        return (changed["BIO1"] - changed["BIO12"]).to_numpy()[:, None]

    nothing, present = np.zeros((N, 1)), np.ones((N, 1), bool)
    together = group_importance(difference, frame, {"climate": ["BIO1", "BIO12"]}, nothing, present)
    apart = group_importance(difference, frame, {"a": ["BIO1"], "b": ["BIO12"]}, nothing, present)
    assert together["mse_increase"][0] == 0.0
    np.testing.assert_allclose(apart["mse_increase"], 2.0 * frame["BIO1"].var(), rtol=0.05)


def test_every_group_of_a_repeat_meets_the_same_permutation_and_repeats_differ():
    frame = pd.DataFrame({"a": np.arange(50.0), "b": np.arange(50.0) + 100.0}, index=np.arange(50)[::-1])
    asked = []

    def predicted(changed):
        assert list(changed.index) == list(frame.index)
        asked.append(changed.to_numpy())
        return changed[["a"]].to_numpy()

    group_importance(predicted, frame, {"A": ["a"], "B": ["b"]}, frame[["a"]], np.ones((50, 1), bool), 2, seed=1)
    _, first_a, first_b, second_a, second_b = asked
    np.testing.assert_array_equal(first_a[:, 0] + 100.0, first_b[:, 1])
    np.testing.assert_array_equal(second_a[:, 0] + 100.0, second_b[:, 1])
    np.testing.assert_array_equal(first_a[:, 1], frame["b"])
    assert (first_a[:, 0] != second_a[:, 0]).any()


def test_importance_is_that_of_the_seed(sites):
    frame, present = sites.drop(columns="IGBP"), np.ones((N, 4), bool)
    first, again, other = (group_importance(soc, frame, GROUPS, soc(frame), present, 2, seed) for seed in (5, 5, 6))
    pd.testing.assert_frame_equal(first, again)
    assert first["mse_increase"][0] != other["mse_increase"][0]


def test_the_share_of_a_group_in_a_parameter_is_its_share_of_the_variance(sites):
    groups = covariate_groups(sites)
    table = parameter_importance(members, sites, groups, ["q10", "tau4s3", "beta"], n_repeats=20, seed=2)
    share = table.pivot_table("share", "parameter", "group", dropna=False)
    assert share.loc["q10", "soil texture"] == pytest.approx(1.0, abs=0.02)
    assert share.loc["tau4s3", "soil texture"] == share.loc["q10", "climate"] == 0.0
    parts = {"climate": 0.05**2 * sites["BIO1"].var(), "land cover and use": 0.01 * 2.0 / 3.0}
    for group, part in parts.items():
        assert share.loc["tau4s3", group] == pytest.approx(part / sum(parts.values()), abs=0.03)
    assert share.loc["beta"].isna().all()
    change = table.set_index(["parameter", "group"])["change"]
    assert change["q10", "soil texture"] == pytest.approx(np.sqrt(2.0) * 0.1 / np.sqrt(3.0), rel=0.03)
    assert change["beta", "climate"] == 0.0


def test_the_true_parameters_of_the_virtual_continent_lean_on_what_they_were_made_from(rng):
    frame = virtual_covariates(rng.uniform(-120, -75, 800), rng.uniform(30, 48, 800), seed=4)

    def truth(changed):
        return true_parameters(changed).T[None]

    told = ["tau4s3", "tau4s2", "maxpsi"]
    table = parameter_importance(truth, frame, covariate_groups(frame), told, n_repeats=3)
    told_by = table[table["share"] > 1e-9].groupby("parameter")["group"].agg(set)
    assert told_by["tau4s3"] == {"climate", "soil texture", "soil chemistry"}
    assert told_by["tau4s2"] == {"climate", "soil chemistry", "soil density and stones"}
    assert told_by["maxpsi"] == {"soil texture"}
    clay, warmth = (
        partial_dependence(truth, frame, name, parameters=["tau4s3"])["mean"] for name in ("Clay_Content_30cm", "BIO1")
    )
    assert clay.is_monotonic_increasing and warmth.is_monotonic_decreasing


def test_the_dependence_of_a_sum_is_its_part_up_to_a_constant(sites):
    table = partial_dependence(members, sites, "BIO1", parameters=["tau4s3", "q10"])
    tau, q10 = (table[table["parameter"] == name] for name in ("tau4s3", "q10"))
    value = tau["value"].to_numpy()
    np.testing.assert_allclose(value[[0, -1]], np.quantile(sites["BIO1"], [0.02, 0.98]))
    np.testing.assert_allclose(np.diff(tau["mean"]), 0.05 * np.diff(value), atol=1e-12)
    np.testing.assert_allclose(q10["mean"], q10["mean"].iloc[0], atol=1e-12)
    by_member = 0.05 * np.outer([0.8, 1.0, 1.2], value) + np.array([[0.0], [0.02], [0.01]])
    low, high = np.quantile(by_member, [0.05, 0.95], axis=0)
    np.testing.assert_allclose(tau["q95"] - tau["q05"], high - low)


def test_the_dependence_on_a_class_is_its_effect_as_a_code_and_one_hot(sites):
    table = partial_dependence(members, sites, "IGBP", parameters=["tau4s3"])
    np.testing.assert_array_equal(table["value"], [4.0, 7.0, 12.0])
    np.testing.assert_allclose(np.diff(table["mean"]), [0.1, -0.2], atol=1e-12)
    columns = {f"IGBP={code}": (sites["IGBP"] == code).astype(float) for code in (4, 7, 12)}
    one_hot = sites.drop(columns="IGBP").assign(**columns, **{"IGBP=13": 0.0})

    def of_one_hot(frame):
        columns = [f"IGBP={code}" for code in (4, 7, 12)]
        assert (frame[columns].sum(axis=1) == 1.0).all()
        return members(frame.assign(IGBP=frame[columns].to_numpy() @ [4.0, 7.0, 12.0]))

    pd.testing.assert_frame_equal(partial_dependence(of_one_hot, one_hot, "IGBP", parameters=["tau4s3"]), table)


def test_columns_that_say_the_same_show_their_whole_effect_only_together(sites):
    frame = sites.assign(BIO10=3.0 * sites["BIO1"] + 20.0)

    def spread(changed):
        x = np.full((1, N, 25), 0.5)
        x[0, :, Q10] += 0.02 * changed["BIO1"] + 0.01 * (changed["BIO10"] - 20.0)
        return x

    alone, both = (
        partial_dependence(spread, frame, "BIO1", parameters=["q10"], together=together) for together in ([], ["BIO10"])
    )
    span = np.ptp(alone["value"])
    assert np.ptp(alone["mean"]) == pytest.approx(0.02 * span)
    assert np.ptp(both["mean"]) == pytest.approx(0.05 * span, rel=0.01)


def test_every_covariate_of_the_lists_has_a_group_and_nothing_is_dropped():
    for rows in LISTS.values():
        names = [row.name for row in rows]
        groups = covariate_groups(names)
        assert "other" not in groups
        assert sorted(sum(groups.values(), [])) == sorted(names)
    more = ["IGBP=4", "koppen_class=-1", LAND_USE.name, "gravity", "gravity=2"]
    groups = covariate_groups([*PAPER_COVARIATES, *more])
    assert groups["land cover and use"] == ["IGBP", "IGBP=4", LAND_USE.name]
    assert groups["climate class"] == ["Climate", "koppen_class=-1"]
    assert groups["other"] == ["gravity", "gravity=2"]
    assert groups["soil water"] == [f"SWC_v_Wilting_Point_{depth}" for depth in ("0cm", "30cm", "100cm")]
    with pytest.raises(InputError, match="'BIO1' occurs twice"):
        covariate_groups(["BIO1", "BIO2", "BIO1"])


def test_one_hot_columns_count_as_one_covariate():
    frame = pd.DataFrame({"IGBP=4": [1.0, 0.0, 0.0], "IGBP=7": [0.0, 1.0, 1.0], "ESA_Land_Cover": [1.0, 2.0, 3.0]})
    observed = frame[["IGBP=4"]].to_numpy()
    table = group_importance(
        lambda changed: changed[["IGBP=4"]], frame, covariate_groups(frame), observed, np.ones((3, 1), bool), 1
    )
    assert table["n_covariates"].tolist() == [2]
    assert np.isnan(table["mse_increase_sd"][0])


def test_faults_of_groups_are_named(sites):
    observed, present = soc(sites), np.ones((N, 4), bool)
    for groups, said in (
        ({**covariate_groups(sites), "soil class": ["WRB"]}, "group 'soil class': no column 'WRB'; the frame has BIO1"),
        (GROUPS, "in no group: IGBP"),
        ({**covariate_groups(sites), "again": ["BIO1"]}, "'BIO1' is in the groups 'climate' and 'again'"),
        ({**covariate_groups(sites), "empty": []}, "group 'empty' has no columns"),
    ):
        with pytest.raises(InputError, match=said):
            group_importance(soc, sites, groups, observed, present)
        with pytest.raises(InputError, match=said):
            parameter_importance(members, sites, groups)


def test_faults_of_observations_and_predictions_are_named(sites):
    groups, observed, present = covariate_groups(sites), soc(sites), np.ones((N, 4), bool)
    with pytest.raises(InputError, match=r"observed has shape \(2999, 4\).*expected \(3000, m\)"):
        group_importance(soc, sites, groups, observed[1:], present[1:])
    with pytest.raises(InputError, match="present .* of float64"):
        group_importance(soc, sites, groups, observed, present.astype(float))
    with pytest.raises(InputError, match="observed: 0 of 0 layers"):
        group_importance(soc, sites, groups, observed, ~present)
    with pytest.raises(InputError, match=r"predicted SOC has shape \(3000, 3\).*\(3000, 4\)"):
        group_importance(lambda frame: soc(frame)[:, :3], sites, groups, observed, present)
    with pytest.raises(InputError, match="SOC of site 5 is not a finite"):
        group_importance(lambda frame: np.where(np.arange(N) == 5, np.nan, soc(frame).T).T, sites, groups, observed,
                         present)  # fmt: skip
    with pytest.raises(InputError, match="n_repeats is 0"):
        group_importance(soc, sites, groups, observed, present, 0)
    with pytest.raises(InputError, match=r"shape \(3000, 25\), expected \(n_members, 3000, 25\)"):
        parameter_importance(lambda frame: members(frame)[0], sites, groups)
    with pytest.raises(InputError, match="no parameter 'tau5'"):
        parameter_importance(members, sites, groups, ["tau5"])


def test_faults_of_dependence_are_named(sites):
    with pytest.raises(InputError, match="no covariate 'Clay'; the frame has BIO1"):
        partial_dependence(members, sites, "Clay")
    with pytest.raises(InputError, match="value of 'IGBP' is 5; the sites have 4, 7, 12"):
        partial_dependence(members, sites, "IGBP", [4, 5])
    with pytest.raises(InputError, match="value of 'BIO1' is 40; the sites have"):
        partial_dependence(members, sites, "BIO1", [0.0, 40.0])
    with pytest.raises(InputError, match="together with 'BIO1': 'BIO13'"):
        partial_dependence(members, sites, "BIO1", together=["BIO13"])
    with pytest.raises(InputError, match="'IGBP' is a class"):
        partial_dependence(members, sites, "IGBP", together=["BIO1"])
    with pytest.raises(InputError, match="'BIO12' is 3 at nearly all sites"):
        dependence_values(sites.assign(BIO12=3.0), "BIO12")

    def lost(frame):
        x = members(frame)
        x[1, 7, Q10] = np.nan
        return x

    with pytest.raises(InputError, match="predicted q10 of site 7 and member 1"):
        partial_dependence(lost, sites, "BIO1")


def test_the_bars_show_the_increase_in_order_and_the_loss_of_efficiency_on_the_other_scale(sites):
    frame = sites.drop(columns="IGBP")
    table = group_importance(soc, frame, GROUPS, soc(frame), np.ones((N, 4), bool), 3)
    ax = importance_bars(table, plt.figure().add_subplot())
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], table["mse_increase"][::-1])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["soil water (1)", "soil texture (1)", "climate (2)"]
    ax.figure.canvas.draw()
    above = ax.child_axes[0]
    ratio = above.get_xlim()[1] / ax.get_xlim()[1]
    assert ratio * table["mse_increase"][0] == pytest.approx(table["efficiency_loss"][0])


def test_the_map_of_shares_has_a_row_for_each_parameter(sites):
    table = parameter_importance(members, sites, covariate_groups(sites), ["q10", "tau4s3", "beta"], 2)
    ax = parameter_importance_map(table, plt.figure().add_subplot())
    drawn = np.ma.filled(ax.share.get_array(), np.nan)
    np.testing.assert_allclose(drawn.ravel(), table.sort_values("parameter", key=lambda names: names.map(
        {"q10": 0, "tau4s3": 1, "beta": 2}), kind="stable")["share"])  # fmt: skip
    assert [label.get_text() for label in ax.get_yticklabels()] == ["q10", "tau4s3", "beta"]


def test_the_panels_span_the_same_and_show_line_band_deciles_classes_and_truth(sites):
    told = ["q10", "tau4s3"]
    table = pd.concat([partial_dependence(members, sites, name, parameters=told) for name in ("BIO1", "IGBP")])
    truth = table.assign(mean=table["mean"] + 0.01)
    drawn = dependence_curves(table, plt.figure().subplots(3, 2, sharey="row"), sites, truth)
    curve, deciles, true_curve = drawn[1, 0].lines
    rows = table[(table["parameter"] == "tau4s3") & (table["covariate"] == "BIO1")]
    np.testing.assert_allclose(curve.get_xydata(), rows[["value", "mean"]])
    np.testing.assert_allclose(true_curve.get_ydata(), rows["mean"] + 0.01)
    np.testing.assert_allclose(deciles.get_xdata()[4], np.median(sites["BIO1"]))
    band = drawn[1, 0].collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == rows["q05"].min() and band[:, 1].max() == rows["q95"].max()
    np.testing.assert_allclose([np.ptp(ax.get_ylim()) for ax in drawn[:2].flat], np.ptp(drawn[0, 0].get_ylim()))
    assert not drawn[2, 0].get_visible()
    labels = [label.get_text() for label in drawn[1, 1].get_xticklabels()]
    assert labels == [f"{code}\n{(sites['IGBP'] == code).sum()}" for code in (4, 7, 12)]
    drawn[0, 0].figure.canvas.draw()


def test_axes_that_cannot_show_the_curves_are_refused(sites):
    table = partial_dependence(members, sites, "BIO1", parameters=["q10", "tau4s3"])
    with pytest.raises(InputError, match="1 axes for 2 parameters x 1 covariates"):
        dependence_curves(table, plt.figure().subplots())
    with pytest.raises(InputError, match='sharey="row"'):
        dependence_curves(table, plt.figure().subplots(2, 1, sharey=True))
