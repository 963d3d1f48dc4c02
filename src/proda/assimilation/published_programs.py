"""Where the group's published programs and an R port differ from Tao et al. 2020, measured on the same sites."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.assimilation.chains import SitePlan, SiteProblem, sampled_by_workers
from proda.assimilation.one_batch import one_batch_posterior
from proda.assimilation.store import agreement_by_site, soc_of_draws
from proda.kernels.metropolis import Proposal, Schedule
from proda.kernels.misfit import layer_weights
from proda.kernels.steady_state import soc_density
from proda.model.parameters import physical, prior_sd

CODED_SD = 0.6  # standard deviation of an observation over its value
CODED_SCALE = 2.4**0.5  # s_d of Eq. 8 is 2.4 / d
CODED_PROFILES = 10  # of one-batch, drawn at random


class Variant(NamedTuple):
    """One way to assimilate: error and weights of an observation, steps, acceptance, and states that are kept."""

    relative_sd: float = 0.3
    weights_by_depth: bool = False  # exp(-depth in m), without the paper's 10 for both ends of a profile
    annealed: bool = False
    accepted_only: bool = False
    redrawn: bool = False  # steps beyond a bound

    def problem(self, problem: SiteProblem) -> SiteProblem:
        """The sites with the error and the weights of this variant."""
        by_depth, depth = self.weights_by_depth, problem.depth
        weight = np.exp(-depth) if by_depth else layer_weights(problem.site, depth)
        return problem._replace(sd=self.relative_sd * problem.soc, weight=weight)


VARIANTS = {
    "as in the paper": Variant(),
    "60 % error": Variant(relative_sd=CODED_SD),
    "weights exp(-depth) alone": Variant(weights_by_depth=True),
    "annealed acceptance": Variant(annealed=True),
    "accepted states only": Variant(accepted_only=True),
    "redrawn at the bounds": Variant(redrawn=True),
    "as coded: all five": Variant(CODED_SD, True, True, True, True),
}


def variants_table(problem: SiteProblem, seed: int, plan: SitePlan) -> pd.DataFrame:
    """Assimilate the same sites by every variant, with a fixed number of steps.

    By variant: `sd ratio`, posterior over prior standard deviation, mean over parameters and median over sites;
    `SOC sd / mean`, spread over the draws of the modelled density, median over sites and nodes; `acceptance`;
    `sites used`, where the model efficiency of the mean profile is not negative; `RMSE` of all layers, kg C m-3.
    """
    rows = {}
    for name, variant in VARIANTS.items():
        own = variant.problem(problem)
        proposal = plan.proposal._replace(annealed=variant.annealed, redrawn=variant.redrawn)
        how = plan._replace(proposal=proposal, accepted_only=variant.accepted_only, max_steps=0)
        sampled = sampled_by_workers(own, seed, how)
        draws = sampled.draws.reshape(own.n_sites, -1, sampled.draws.shape[-1])
        some = np.linspace(0, draws.shape[1] - 1, plan.n_kept).round().astype(int)
        soc = soc_of_draws(draws[:, some], own.forcing)
        modelled = own.modelled(soc.mean(axis=0))
        efficiency = agreement_by_site(own.site, own.soc, modelled, own.n_sites)[1]
        sd = sampled.draws.std(axis=(1, 2), dtype=float) / prior_sd(own.configuration.parameters)
        rows[name] = {
            "sd ratio": np.median(sd.mean(axis=1)),
            "SOC sd / mean": np.median(soc.std(axis=0, ddof=1) / soc.mean(axis=0)),
            "acceptance": np.median(sampled.acceptance),
            "sites used": int((efficiency >= 0.0).sum()),
            "RMSE": float(np.sqrt(np.mean((modelled - own.soc) ** 2))) / 1000.0,
        }
    return pd.DataFrame(rows).T.rename_axis("variant")


def one_batch_as_coded(
    problem: SiteProblem, cell: ArrayLike, seed: int, schedule: Schedule, n_selections: int = 6
) -> pd.DataFrame:
    """One-batch as coded: 10 random profiles, B = 1, weights exp(-depth), 60 % error, annealed; judged on all profiles.

    Steps have the fixed length of `CODED_SCALE`, and are redrawn at the bounds. By selection of 10 profiles: median of
    `modelled / observed` density over all layers, their `efficiency`, and `SOC sd / mean`, the median spread of the
    draws. `cell` is the grid cell of every site, (n_sites,).
    """
    coded, cell = Variant(CODED_SD, weights_by_depth=True).problem(problem), np.asarray(cell)
    rows = []
    for k in range(n_selections):
        n = min(CODED_PROFILES, problem.n_sites)
        few = np.sort(np.random.default_rng([seed, 9, k]).choice(problem.n_sites, n, replace=False))
        how = Proposal(annealed=True, literal=True, redrawn=True, scale=CODED_SCALE)
        x = one_batch_posterior(coded.take(few), cell[few], seed + k, schedule, proposal=how).posterior
        modelled, some = one_batch_carbon(x, problem), x[:: max(1, len(x) // 50)]
        sd = np.std([one_batch_carbon(one[None], problem) for one in some], axis=0)
        efficiency = 1.0 - np.mean((modelled - problem.soc) ** 2) / problem.soc.var()
        row = {"modelled / observed": np.median(modelled / problem.soc), "efficiency": efficiency}
        rows.append(row | {"SOC sd / mean": np.median(sd / modelled)})
    return pd.DataFrame(rows, index=pd.RangeIndex(1, n_selections + 1, name="selection"))


def one_batch_carbon(x: NDArray, problem: SiteProblem, n_draws: int = 100) -> NDArray[np.float64]:
    """Mean modelled density at the observed layers of all sites, (k,) g C m-3, of draws x (n, parameter) for all sites.

    At most `n_draws` of them, evenly spaced, are used.
    """
    some, forcing, configuration = x[:: max(1, len(x) // n_draws)], problem.forcing, problem.configuration
    total = sum(soc_density(physical(one, forcing, configuration.parameters), forcing, configuration) for one in some)
    return problem.modelled(total / len(some))
