"""The two configurations of the model, with their vertical grids: one set of equations, two sets of data and choices.

`PAPER` is the study of Tao et al. 2020: ten layers, 25 parameters, annual means, carbon input from NPP. `CESM2` is what
the same group used later (Tao et al. 2023, doi 10.1038/s41586-023-06042-3): the CLM5 grid, 21 parameters, twelve months
of CLM's own scalars and litter fall.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from proda.model.forcing import AnyForcing, Forcing, MonthlyForcing
from proda.model.parameters import CESM2_PARAMETERS, PAPER_PARAMETERS, ParameterTable

DAYS_PER_YEAR = 365.0
STRATA = ((0.0, 0.3), (0.3, 1.0), (1.0, 2.0))  # m, depth intervals of the reported stocks and errors


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
        Depth at which a layer's state, temperature and water potential are given.
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


def _clm45_column() -> Column:
    """The upper ten layers of the CLM4.5 grid, z_j = 0.025 (exp(0.5 (j - 1/2)) - 1) m.

    Interfaces lie midway between nodes, so the last layer needs the node below it: ending the formula at ten levels
    would put its bottom at the wrong depth (Oleson et al. 2013, CLM4.5 Technical Note, Eq. 6.5-6.7).
    """
    node = 0.025 * np.expm1(0.5 * (np.arange(1, 12) - 0.5))
    interface = np.concatenate([[0.0], 0.5 * (node[:-1] + node[1:])])
    return Column("paper", node[:-1], interface[:-1], interface[1:], np.diff(interface))


def _clm5_column() -> Column:
    """The upper twenty layers of the CLM5 soil grid, 8.60 m: nodes are layer centres (Lawrence et al. 2019)."""
    thickness = np.concatenate([[0.02, 0.04, 0.06, 0.08, 0.12], np.linspace(0.16, 0.44, 8), np.linspace(0.54, 1.14, 7)])
    bottom = np.cumsum(thickness)
    interface = np.concatenate([[0.0], bottom])
    return Column("cesm2", bottom - 0.5 * thickness, interface[:-1], bottom, np.diff(interface))


PAPER_COLUMN = _clm45_column()
CESM2_COLUMN = _clm5_column()


@dataclass(frozen=True)
class Configuration:
    """What distinguishes one configuration from another.

    Parameters
    ----------
    name : str
    column : Column
        The vertical grid.
    parameters : ParameterTable
        Rows of every parameter array.
    forcing : type
        `Forcing` (annual means and a water potential) or `MonthlyForcing` (twelve months of CLM's scalars).
    input_depth : float, m
        No carbon enters below.
    bottom : 'closed' or 'published'
        `closed`: nothing moves across the top of the bedrock. `published`: the leaking boundary of the `cesm2` program
        (`rates.published_exchange`), where carbon is lost, or made.
    """

    name: str
    column: Column
    parameters: ParameterTable
    forcing: type[AnyForcing]
    input_depth: float
    bottom: Literal["closed", "published"] = "closed"

    @property
    def monthly(self) -> bool:
        """Whether the forcing holds CLM's own scalars and litter fall, month by month."""
        return self.forcing is MonthlyForcing

    def soil_thickness(self, forcing: AnyForcing) -> NDArray[np.float64]:
        """Thickness of layers above bedrock, zero below, (n_layers, n), m."""
        thickness = np.repeat(self.column.thickness[:, None], forcing.n_columns, axis=1)
        if self.monthly:
            thickness[np.arange(self.column.n_layers)[:, None] >= forcing.bedrock] = 0.0
        return thickness

    def on(self, column: Column) -> "Configuration":
        """The same configuration on another vertical grid."""
        return replace(self, column=column)


PAPER = Configuration("paper", PAPER_COLUMN, PAPER_PARAMETERS, Forcing, input_depth=3.8)
CESM2 = Configuration("cesm2", CESM2_COLUMN, CESM2_PARAMETERS, MonthlyForcing, input_depth=np.inf)
CESM2_AS_PUBLISHED = replace(CESM2, bottom="published")
