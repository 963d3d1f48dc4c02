"""The vertical grid of a soil column: where layers end, and where within them the model computes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

DAYS_PER_YEAR = 365.0
STRATA = ((0.0, 0.3), (0.3, 1.0), (1.0, 2.0))  # m, in which the study tells stocks and errors


def interval_name(interval: tuple[float, float]) -> str:
    """Name of a depth interval in metres, such as "30-100 cm"."""
    return f"{100 * interval[0]:.0f}-{100 * interval[1]:.0f} cm"


@dataclass(frozen=True, eq=False)
class Column:
    """Layers of a soil column, top down; depths are positive down.

    Parameters
    ----------
    name : str
        The model configuration the grid belongs to.
    node : array, (n_layers,), m
        Depth at which a layer's state, temperature and water potential are meant.
    top, bottom : array, (n_layers,), m
        Bounds of the layers.
    thickness : array, (n_layers,), m
    """

    name: str
    node: NDArray[np.float64]
    top: NDArray[np.float64]
    bottom: NDArray[np.float64]
    thickness: NDArray[np.float64]

    @property
    def n_layers(self) -> int:
        return self.node.size

    @cached_property
    def spacing(self) -> NDArray[np.float64]:
        """Distance between neighbouring nodes, (n_layers - 1,), m."""
        return np.diff(self.node)

    @cached_property
    def share_above(self) -> NDArray[np.float64]:
        """Share of the distance between neighbouring nodes that lies above their interface, (n_layers - 1,), 1."""
        return (self.bottom[:-1] - self.node[:-1]) / self.spacing


def layered_column(name: str, node: NDArray[np.float64], interface: NDArray[np.float64]) -> Column:
    """A column whose layers touch: `interface` holds their n_layers + 1 bounds from the surface down."""
    return Column(name, node, interface[:-1], interface[1:], np.diff(interface))


def exponential_column(n_layers: int = 10, scale: float = 0.025, growth: float = 0.5) -> Column:
    """The CLM4.5 grid, z_j = scale (exp(growth (j - 1/2)) - 1), cut after `n_layers`.

    Interfaces lie midway between nodes, so the last layer needs the node below it: ending the formula at ten levels
    would put its bottom at the wrong depth (Oleson et al. 2013, CLM4.5 Technical Note, Eq. 6.5-6.7).
    """
    node = scale * np.expm1(growth * (np.arange(1, n_layers + 2) - 0.5))
    bottom = 0.5 * (node[:-1] + node[1:])
    return layered_column("paper", node[:-1], np.concatenate([[0.0], bottom]))


def clm5_column() -> Column:
    """The upper twenty layers of the CLM5 soil grid, 8.60 m: nodes are layer centres (Lawrence et al. 2019)."""
    thickness = np.concatenate([
        [0.02, 0.04, 0.06, 0.08, 0.12], np.linspace(0.16, 0.44, 8), np.linspace(0.54, 1.14, 7),
    ])  # fmt: skip
    bottom = np.cumsum(thickness)
    return layered_column("cesm2", bottom - 0.5 * thickness, np.concatenate([[0.0], bottom]))


PAPER_COLUMN = exponential_column()
CESM2_COLUMN = clm5_column()
