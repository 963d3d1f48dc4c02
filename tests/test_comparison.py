"""All methods on the same folds: nothing has seen what it is judged on, and processes change nothing."""

import numpy as np
import pytest
from learnable import learnable

from proda.learning.cross_validation import (
    METHODS,
    FoldPlan,
    MethodResult,
    TrainingConfig,
    carbon_methods,
    compared_methods,
    comparison_in_rows,
    comparison_table,
    default_carbon,
    direct_trees,
    embedded_two_steps,
    forest_two_steps,
    networks_without_soil_model,
    paper_two_steps,
    parameter_comparison,
    task_seed,
)
from proda.learning.ensemble import TwoStepPlan
from proda.learning.hybrid import HybridPlan
from proda.learning.splits import BLOCKS, KINDS, RANDOM
from proda.learning.trees import BOOSTED, FOREST, DirectTrees

PAPER = {
    "epochs": 30, "batch_size": 32, "validation_share": 0.2, "dropout": 0.1, "learning_rate": 1.0,
    "kept_weights": "best", "patience": 20,
}  # fmt: skip
PLANS = TrainingConfig(
    PAPER, TwoStepPlan(n_members=2, epochs=40, batch_size=32), HybridPlan(2, 40, 32, 6e-3, dropout=0.0)
)


def places(n: int):
    rng = np.random.default_rng(8)
    return rng.uniform(-120, -75, n), rng.uniform(30, 47, n)


def tells_what_it_saw(material, train, plans, seed):
    """Carbon 1 at training sites and 2 elsewhere: what is judged must all be 2."""
    soc = np.full(material.observed.depth.shape, 2.0)
    soc[train] = 1.0
    return {"hybrid": MethodResult(soc, np.full((len(soc), 25), 0.5), np.full(soc.shape, 0.1))}


def test_every_site_is_judged_once_by_a_model_that_has_not_seen_it():
    made, methods = learnable(120), (tells_what_it_saw,)
    found = compared_methods(made, *places(120), PLANS, FoldPlan(3, 400.0, 1), progress=False, methods=methods)
    judged = found["soc"].values[0]
    assert (judged[:, made.observed.present] == 2.0).all() and np.isnan(judged[:, ~made.observed.present]).all()
    assert (found["hybrid_log_sd"].values[made.observed.present] == np.float32(0.1)).all()
    assert found["fold"].shape == (2, 120) and set(found["fold"].values.ravel()) == {0, 1, 2}


def test_two_processes_find_to_the_last_bit_what_one_finds():
    made = learnable(120)
    plan = FoldPlan(2, 400.0, 1)
    one, two = (
        compared_methods(
            made,
            *places(120),
            PLANS,
            plan._replace(n_processes=n),
            progress=False,
            methods=(forest_two_steps, direct_trees),
        )
        for n in (1, 2)
    )
    assert (one["seconds"] > 0.0).all()
    one, two = (found.drop_vars("seconds") for found in (one, two))
    assert one.sel(approach=two["approach"]).identical(two)


def test_the_seed_of_a_fold_is_its_own_and_not_that_which_drew_the_folds():
    seeds = {task_seed(7, kind, fold) for kind in KINDS for fold in range(3)} | {7}
    assert len(seeds) == 7 and task_seed(7, BLOCKS, 1) == task_seed(7, BLOCKS, 1)


@pytest.fixture(scope="module")
def quick():
    made = learnable(150)
    methods = (tells_what_it_saw, default_carbon, forest_two_steps, direct_trees)
    return made, compared_methods(made, *places(150), PLANS, FoldPlan(3, 400.0, 1), False, methods)


def test_the_table_has_the_score_of_the_pooled_held_out_layers(quick):
    made, found = quick
    table = comparison_table(found)
    row = table[(table["method"] == "random forest on carbon") & (table["kind"] == BLOCKS)].iloc[0]
    here = found["soc"].sel(approach="random forest on carbon", kind=BLOCKS).values[made.observed.present]
    observed = made.observed.soc[made.observed.present].astype(float)
    expected = 1 - ((here - observed) ** 2).sum() / ((observed - observed.mean()) ** 2).sum()
    assert row["efficiency"] == pytest.approx(expected, rel=1e-5) and row["n"] == observed.size
    assert row["train_efficiency"] > row["efficiency"]
    assert table["method"].iloc[0] == table[table["kind"] == BLOCKS].sort_values("efficiency")["method"].iloc[-1]


def with_other_posteriors(made, rows):
    x_mean, x_sd, draws = made.x_mean.copy(), made.x_sd.copy(), made.draws.copy()
    x_mean[rows], x_sd[rows], draws[rows] = 1.0 - x_mean[rows], 0.3 * x_sd[rows], 1.0 - draws[rows]
    return made._replace(x_mean=x_mean, x_sd=x_sd, draws=draws)


@pytest.fixture(scope="module")
def carbon():
    """Hybrids and trees that have learnt the even sites, of the made world and of one with other odd sites."""
    made, train = learnable(120), np.arange(0, 120, 2)
    odd = made.observed.soc.copy()
    odd[1::2] *= 9.0
    other = with_other_posteriors(made._replace(observed=made.observed._replace(soc=odd)), slice(1, None, 2))
    plans = PLANS._replace(hybrid=HybridPlan(2, 3, 16))
    methods = (carbon_methods, networks_without_soil_model)
    return made, *(taught_by(methods, material, train, plans) for material in (made, other))


def taught_by(methods, material, train, plans):
    return {name: learnt for method in methods for name, learnt in method(material, train, plans, 3).items()}


def test_what_is_withheld_has_no_say_in_any_method_that_is_taught_carbon(carbon):
    _, found, other = carbon
    for name, learnt in found.items():
        np.testing.assert_array_equal(learnt.soc, other[name].soc, err_msg=name)


def test_withheld_posteriors_have_no_say_in_any_method_of_two_steps():
    made, train = learnable(80), np.arange(0, 80, 2)
    plans = PLANS._replace(paper={**PAPER, "epochs": 3}, two_step=TwoStepPlan(n_members=2, epochs=3, batch_size=16))
    methods = (paper_two_steps, embedded_two_steps, forest_two_steps)
    found, other = (
        taught_by(methods, material, train, plans)
        for material in (made, with_other_posteriors(made, slice(1, None, 2)))
    )
    assert len(found) == 9
    for name, learnt in found.items():
        np.testing.assert_array_equal(learnt.soc, other[name].soc, err_msg=name)


def test_means_of_methods_are_their_means(carbon):
    made, found, _ = carbon
    forest, boosted = found["random forest on carbon"].soc, found["boosted trees on carbon"].soc
    present = made.observed.present
    for name, soc in (
        ("hybrid and forest", (found["hybrid"].soc + forest) / 2),
        ("hybrid and both trees", (found["hybrid"].soc + forest + boosted) / 3),
        ("forest and boosted trees", (forest + boosted) / 2),
    ):
        np.testing.assert_allclose(found[f"mean of {name}"].soc[present], soc[present], rtol=1e-12)
    assert {"hybrid, one member", "hybrid, layers alone", "hybrid, layers alone, no prior term"} < set(found)
    assert not np.allclose(found["hybrid"].soc, found["hybrid, layers alone"].soc)


def test_what_teachers_took_is_counted_with_what_they_taught(carbon):
    _, found, _ = carbon
    both = found["hybrid"].seconds + found["random forest on carbon"].seconds
    assert found["hybrid"].seconds > found["hybrid, layers alone"].seconds > 0.0
    assert found["mean of hybrid and forest"].seconds == pytest.approx(both)


def test_the_time_of_a_method_is_the_median_of_its_folds():
    def told_of_time(material, train, plans, seed):
        took = 1.0 if 0 in train else 7.0
        return {"told": MethodResult(np.ones(material.observed.depth.shape), seconds=took)}

    made = learnable(60)
    found = compared_methods(made, *places(60), PLANS, FoldPlan(3, 400.0, 1), False, (told_of_time,))
    assert found["seconds"].values.tolist() == [1.0]
    assert (comparison_table(found)["seconds"] == 1.0).all()


def test_controls_tell_carbon_and_no_parameters(carbon):
    made, found, _ = carbon
    for name in ("networks without the soil model", "networks without the soil model, layers alone"):
        assert found[name].x is None and np.isfinite(found[name].log_sd).all()
        assert (found[name].soc[made.observed.present] > 0.0).all()


def test_the_filter_judges_fewer_sites(quick):
    made, found = quick
    kept = comparison_table(found, made.used)["n"].unique()
    assert kept.size == 1 and kept[0] == made.observed.present[made.used].sum()


def test_in_rows_every_method_stands_once_with_all_kinds(quick):
    _, found = quick
    rows = comparison_in_rows(comparison_table(found))
    assert rows.index.is_unique and {kind for kind, _ in rows.columns} == {"training", RANDOM, BLOCKS, "learning"}


def test_only_methods_with_parameters_are_compared_by_them(quick):
    made, found = quick
    methods = set(parameter_comparison(found, made.x_mean, "r")["method"])
    assert "forest on parameters" in methods and "random forest on carbon" not in methods
    assert set(parameter_comparison(found, made.x_mean, "r")["kind"]) == set(KINDS)


@pytest.mark.parametrize("kind", [BOOSTED, FOREST])
def test_trees_tell_carbon_that_follows_from_depth_and_a_class(kind):
    made = learnable(300, noise=0.02)
    site, at = np.nonzero(made.observed.present)
    depth, soc = made.observed.depth[site, at], made.observed.soc[site, at].astype(float)
    learns = site < 200
    trees = DirectTrees(kind, made.frame, made.class_names, seed=1).fit(site[learns], depth[learns], soc[learns])
    error = trees.predict(site[~learns], depth[~learns]) - soc[~learns]
    assert 1 - (error**2).sum() / ((soc[~learns] - soc[~learns].mean()) ** 2).sum() > 0.4


def test_every_method_has_a_sentence_about_it():
    assert all(method.__doc__ for method in METHODS)
