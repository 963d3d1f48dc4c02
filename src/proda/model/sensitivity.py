"""How soil organic carbon responds to the parameters, and how far observed layers can constrain them.

With J the derivatives by the unit cube, weights w and standard deviations s (Eq. 5.2 of Tao et al. 2020), the Fisher
information is F = J' diag(w / s^2) J, and the posterior of a linear model under a normal prior of variances v has the
covariance (F + diag(1/v))^-1.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.configuration import PAPER, Configuration, checked_parameters, validated
from proda.model.forcing import AnyForcing
from proda.model.observation import curve_weights, node_slopes
from proda.model.parameters import bounds, physical
from proda.model.rates import jax_namespace
from proda.model.solver import soc_density, steady_state


class SocJacobian(NamedTuple):
    """SOC density at k layers, `value` (k,), and its `derivative` by x, (k, n_parameters), both in g C m-3."""

    value: NDArray[np.float64]
    derivative: NDArray[np.float64]


def soc_jacobian(
    x: ArrayLike, forcing: AnyForcing, site: ArrayLike, depth: ArrayLike, configuration: Configuration = PAPER
) -> SocJacobian:
    """The density at depths (k,), m, in the columns `site`, (k,), and its derivatives by x, (n_parameters, n).

    Raises an InputError for implausible parameters, forcing or layers, or where SOC has no derivative.
    """
    site, depth = np.asarray(site), np.asarray(depth, dtype=np.float64)
    bad = ~((site >= 0) & (site < forcing.n_columns) & (depth >= 0.0) & (depth < np.inf))
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(
            f"layer {i} lies at {depth[i]:g} m of column {site[i]}, expected a depth of 0 m or more in a column from 0 "
            f"to {forcing.n_columns - 1}."
        )
    nodes, by_x = _at_nodes(x, forcing, configuration)
    interval, weight = curve_weights(depth, configuration.column)
    places = [(quantity, interval + below, site) for quantity in (0, 1) for below in (0, 1)]
    return SocJacobian(
        sum(w * nodes[place] for w, place in zip(weight, places, strict=True)),
        sum(w[:, None] * by_x[place] for w, place in zip(weight, places, strict=True)),
    )


def stock_elasticity(x: ArrayLike, forcing: AnyForcing, configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """Relative change of the SOC stock above 1 m or bedrock with each parameter, (n_parameters, n), per range."""
    (soc, _), by_x = _at_nodes(x, forcing, configuration)
    above = 1.0 - configuration.column.top[:, None]
    share = np.clip(above, 0.0, configuration.soil_thickness(forcing))
    return (share * by_x[0].transpose(2, 0, 1)).sum(axis=1) / (share * soc).sum(axis=0)


def _at_nodes(x: ArrayLike, forcing: AnyForcing, configuration: Configuration) -> tuple[NDArray, NDArray]:
    """Density and slope at the nodes, (2, n_layers, n), and their derivatives, (2, n_layers, n, n_parameters)."""
    import jax

    table = configuration.parameters
    forcing = validated(forcing, configuration)
    theta = checked_parameters(physical(x, forcing, table), forcing.n_columns, configuration)
    low, high = bounds(forcing, table)
    with jax.enable_x64(True):
        values, derivatives = (np.stack(part) for part in _compiled(configuration)(theta, high - low, forcing))
    bad = ~np.isfinite(derivatives).all(axis=(0, 1, 3))
    if bad.any():
        i = int(np.argmax(bad))
        at_end = np.abs(theta[:, i] - 0.5 * (low + high)[:, i]) > (0.5 - 1e-12) * (high - low)[:, i]
        where = ", ".join(np.array(table.names)[at_end]) or "none of the parameters"
        raise InputError(
            f"SOC has no finite derivatives in column {i}, where {where} stands at an end of its range: expected "
            "positions on the unit cube between 0 and 1, `parameters.INNER` or more from both."
        )
    return values, derivatives


@cache
def _compiled(configuration: Configuration) -> Any:
    import jax

    namespace = jax_namespace()

    def curve(theta: Any, forcing: AnyForcing) -> tuple[Any, Any]:
        soc = soc_density(steady_state(theta, forcing, configuration, namespace))
        return soc, node_slopes(soc, configuration.column, namespace)

    def with_derivatives(theta: Any, span: Any, forcing: AnyForcing) -> tuple[Any, Any]:
        # Columns are independent, so one direction serves all of them at once.
        directions = np.eye(len(theta))[:, :, None] * span
        along = jax.vmap(lambda step: jax.jvp(lambda t: curve(t, forcing), (theta,), (step,)), out_axes=(None, -1))
        return along(directions)

    return jax.jit(with_derivatives)


def fisher_information(
    derivative: NDArray, sd: ArrayLike, weight: ArrayLike, site: ArrayLike, n_sites: int
) -> NDArray[np.float64]:
    """Fisher information of the layers of each site about the parameters, (n_parameters, n_parameters, n_sites).

    `derivative`, (k, n_parameters), g C m-3, is by layer, as are `sd`, g C m-3, `weight` (Eq. 5.2) and `site`, (k,).
    """
    scaled = derivative * (np.sqrt(weight) / sd)[:, None]
    information = np.zeros((n_sites, *scaled.shape[1:] * 2))
    np.add.at(information, np.asarray(site), scaled[:, :, None] * scaled[:, None, :])
    return np.moveaxis(information, 0, -1)


class LinearPosterior(NamedTuple):
    """The posterior of a linear model with a normal prior."""

    sd_ratio: NDArray[np.float64]  # (n_parameters, n), posterior over prior standard deviation
    information: NDArray[np.float64]  # (n_parameters, n), of the data over that of the prior, by direction, descending

    @property
    def n_constrained(self) -> NDArray[np.int64]:
        """Number of directions along which the data hold more information than the prior, (n,)."""
        return (self.information > 1.0).sum(axis=0)


def linear_posterior(fisher: NDArray, prior_sd: ArrayLike = 12.0**-0.5) -> LinearPosterior:
    """The posterior of a linear model, from the Fisher information; `prior_sd`, of each or all, on the unit cube."""
    sd = np.broadcast_to(np.asarray(prior_sd, dtype=np.float64), fisher.shape[:1])
    over_prior = np.moveaxis(fisher, -1, 0) * sd[:, None] * sd
    information, direction = (part[..., ::-1] for part in np.linalg.eigh(over_prior))
    # Rounding makes some of the many directions without information slightly negative.
    information = np.maximum(information, 0.0)
    # Of the variance along a direction 1/(1 + information) is left.
    sd_ratio = np.sqrt((direction**2 / (1.0 + information)[:, None, :]).sum(axis=-1))
    return LinearPosterior(sd_ratio.T, information.T)
