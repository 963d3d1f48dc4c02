"""Coverage at layers that the chains have not seen: one layer of each profile is withheld and predicted."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.assimilation.misfit import layer_weights
from proda.assimilation.schedules import SitePlan
from proda.assimilation.site_problem import SiteProblem
from proda.assimilation.site_summaries import soc_of_draws
from proda.assimilation.workers import sampled_by_workers
from proda.model.observation import at_depths

LEAST_LAYERS = 3  # two are left to be fitted
DEPTHS = (0.0, 0.3, 1.0, 3.8)  # m, bounds of the table
PAPER_WEIGHTS, EQUAL_WEIGHTS = "weights of Eq. 5.2", "equal weights"


def withheld_layers(problem: SiteProblem, seed: int) -> NDArray[np.bool_]:
    """One layer of every site with at least `LEAST_LAYERS`, drawn at random, (n_layers_observed,)."""
    rng = np.random.default_rng([seed, 6])
    key = rng.random(problem.site.size)
    order = np.lexsort((key, problem.site))
    first = np.ones(order.size, bool)
    first[1:] = problem.site[order][1:] != problem.site[order][:-1]
    chosen = np.zeros(order.size, bool)
    chosen[order[first]] = True
    return chosen & (np.bincount(problem.site, minlength=problem.n_sites)[problem.site] >= LEAST_LAYERS)


def withheld_predictions(
    problem: SiteProblem,
    seed: int,
    plan: SitePlan,
    weights: str = PAPER_WEIGHTS,
    true_soc: NDArray | None = None,
) -> pd.DataFrame:
    """90 % intervals at withheld layers, from the posterior of each profile's other layers.

    Parameters
    ----------
    problem : SiteProblem
        Of sites with at least `LEAST_LAYERS` observed layers; others have no row.
    weights : str
        Those of Eq. 5.2, taken anew of the layers that are left, or one for each.
    true_soc : (n_layers, n_sites), optional
        True profiles, g C m-3, where they are known.

    Returns
    -------
    DataFrame
        A row for each withheld layer: `site`, `depth` (m), `observed` (g C m-3), `low` and `high` of the modelled
        density, `observation_inside` (the 5-95 % interval of modelled density, with an error of the same share of it
        as the observation's sd is of the observation, holds the observation), and, where the truth is known, `truth`
        and `truth_inside` (that of the modelled density holds the true one).
    """
    out = withheld_layers(problem, seed)
    sites = np.unique(problem.site[out])
    left = problem.layers(~out).take(sites)
    weight = layer_weights(left.site, left.depth) if weights == PAPER_WEIGHTS else np.ones(left.site.size)
    left = left._replace(weight=weight)
    sampled = sampled_by_workers(left, seed, plan)
    draws = sampled.draws.reshape(sites.size, -1, sampled.draws.shape[-1])
    draws = draws[:, np.linspace(0, draws.shape[1] - 1, 500).round().astype(int)]
    held = problem.layers(out).take(sites)
    modelled = np.stack([at_depths(one, held.site, held.depth) for one in soc_of_draws(draws, held.forcing)])
    relative = held.sd / held.soc
    error = np.random.default_rng([seed, 7]).gamma(relative**-2, relative**2, modelled.shape)
    low, high = np.quantile(modelled, (0.05, 0.95), axis=0)
    below, above = np.quantile(modelled * error, (0.05, 0.95), axis=0)
    table = pd.DataFrame({"site": sites[held.site], "depth": held.depth, "observed": held.soc})
    table["low"], table["high"] = low, high
    table["observation_inside"] = (below <= held.soc) & (held.soc <= above)
    if true_soc is not None:
        table["truth"] = at_depths(true_soc[:, sites], held.site, held.depth)
        table["truth_inside"] = (table["low"] <= table["truth"]) & (table["truth"] <= table["high"])
    return table


def coverage_by_depth(table: pd.DataFrame) -> pd.DataFrame:
    """Share of intervals that hold what they should, by depth, and the number of layers; the last row is all depths."""
    names = [name for name in ("truth_inside", "observation_inside", "inside") if name in table]
    bins = pd.cut(table["depth"], DEPTHS, right=False)
    labels = {interval: f"{100 * interval.left:.0f}-{100 * interval.right:.0f} cm" for interval in bins.cat.categories}
    by_depth = table.groupby(bins.cat.rename_categories(labels), observed=True)[names].mean()
    by_depth["layers"] = table.groupby(bins.cat.rename_categories(labels), observed=True).size()
    by_depth.loc["all"] = [*table[names].mean(), len(table)]
    return by_depth.astype({"layers": int}).rename_axis("depth")
