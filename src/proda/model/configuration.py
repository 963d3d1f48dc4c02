"""The two configurations of the model: one set of equations, two sets of data and named choices.

`PAPER` is the study of Tao et al. 2020: ten layers, 25 parameters, annual means, carbon input from NPP. `CESM2` is what
the same group used later (Tao et al. 2023, doi 10.1038/s41586-023-06042-3): the CLM5 grid, 21 parameters, twelve months
of CLM's own scalars and litter fall.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from proda.model.column import CESM2_COLUMN, PAPER_COLUMN, Column
from proda.model.forcing import AnyForcing, Forcing, MonthlyForcing
from proda.model.parameters import CESM2_PARAMETERS, PAPER_PARAMETERS, ParameterTable


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
        The kind of forcing it takes: annual means and a water potential, or twelve months of CLM's scalars.
    input_depth : float, m
        No carbon enters below.
    bottom : 'closed' or 'published'
        `closed`: nothing moves across the top of the bedrock. `published`: the leaking boundary of the `cesm2` program,
        whose first bedrock layer is also mixed with the second, but not the second with the first: carbon is lost, or
        made, there (`mixing.published_exchange`).
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
        """Thickness of layers above bedrock, zero below, (n_layers, n), m: what a stock of soil is taken over."""
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
