"""The settings of a study: defaults, replaced by the scale's, then by the user's; checked for name, type and range."""

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from proda.errors import InputError


class Numbers(NamedTuple):
    """Finite numbers from `least` to `greatest`; an end named in `without` is itself not allowed."""

    kind: type
    least: float
    greatest: float = math.inf
    without: tuple[float, ...] = ()

    def __contains__(self, value: Any) -> bool:
        return math.isfinite(value) and self.least <= value <= self.greatest and value not in self.without

    def __str__(self) -> str:
        low = f"above {self.least:g}" if self.least in self.without else f"of at least {self.least:g}"
        high = f"below {self.greatest:g}" if self.greatest in self.without else f"at most {self.greatest:g}"
        return f"{_KIND_NAMES[self.kind]} {low}" + ("" if math.isinf(self.greatest) else f" and {high}")


class Choices(NamedTuple):
    """One of several words."""

    words: tuple[str, ...]
    kind: type = str

    def __contains__(self, value: Any) -> bool:
        return value in self.words

    def __str__(self) -> str:
        return "one of: " + ", ".join(self.words)


_KIND_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", list: "a list"}
_SHARE = Numbers(float, 0, 1, without=(0, 1))
_NOT_NEGATIVE = Numbers(float, 0)

# What each setting may be. One that is not listed here only needs the type of its default.
ALLOWED: dict[str, Numbers | Choices] = {
    # 01 data
    "n_profiles": Numbers(int, 5),  # each of the network's three parts gets one
    "min_layers": Numbers(int, 1),
    "max_depth_m": Numbers(float, 0, 3.8, without=(0,)),  # the model column ends there
    "max_soc_kg_m3": Numbers(float, 0, without=(0,)),
    "overlap_tolerance_m": _NOT_NEGATIVE,
    "duplicate_tolerance_degrees": _NOT_NEGATIVE,
    "nearest_cell_degrees": _NOT_NEGATIVE,
    "max_position_uncertainty_km": _NOT_NEGATIVE,
    "limestone_from_ph": Numbers(float, 0, 14),
    "bulk_density_rule": Choices(("none", "adams-1973", "perie-ouimet-2008", "manrique-jones-1991", "hossain-2015")),
    "npp_min_multiple": Numbers(float, 0, 1),
    "npp_max_multiple": Numbers(float, 1),
    "soil_minus_air_temperature": Numbers(float, -30, 30),
    # 03 and 04 assimilation
    "relative_sd": Numbers(float, 0, without=(0,)),
    "chains": Numbers(int, 2),  # R-hat compares chains
    "kept_draws": Numbers(int, 50),
    "one_batch_test_steps": Numbers(int, 100),
    "one_batch_steps": Numbers(int, 100),
    "site_test_steps": Numbers(int, 100),
    "site_steps": Numbers(int, 100),
    "one_batch_coordinates": Choices(("box", "logarithmic")),
    "site_rhat_limit": Numbers(float, 1, without=(1,)),
    "site_ess_limit": Numbers(float, 0),
    "site_max_steps": Numbers(int, 0),
    "site_coordinates": Choices(("box", "logarithmic")),
    "site_acceptance": Choices(("metropolis", "annealed")),
    "site_kept_states": Choices(("all", "accepted")),
    "shown_simulations": Numbers(int, 20),
    "shown_sites": Numbers(int, 20),
    # 05 network
    "epochs": Numbers(int, 1),
    "batch_size": Numbers(int, 1),
    "dropout": Numbers(float, 0, 1, without=(1,)),
    "learning_rate": Numbers(float, 0, without=(0,)),
    "test_share": _SHARE,
    "validation_share": _SHARE,
    "network_scaling": Choices(("training", "grid")),
    "network_weights": Choices(("best", "last")),
    "network_folds": Numbers(int, 2),
    "network_block_km": Numbers(float, 50, 2000),
    "hybrid_members": Numbers(int, 2),
    "hybrid_epochs": Numbers(int, 1),
    "hybrid_prior_weight": _NOT_NEGATIVE,
    "hybrid_panel_share": Numbers(float, 0, 1),
    # 06 maps
    "map_draws": Numbers(int, 50),
}


def settings_at(
    content: Mapping[str, Any], scale: str, overrides: Mapping[str, Any], file: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every setting at ``scale`` with ``overrides`` applied, and the overrides in the settings' own types.

    Raises
    ------
    InputError
        An unknown scale or setting, or a value of the wrong type or outside what `ALLOWED` says.
    """
    if scale not in content["scales"]:
        raise InputError(f"study {file.stem} has no scale {scale!r}: {suggestion(scale, content['scales'])}")
    defaults = _checked(content["settings"], content["settings"], f"study file {file}, [settings]")
    at_scale = _checked(content["scales"][scale], defaults, f"study file {file}, [scales.{scale}]")
    given = _checked(overrides, defaults, f"study {file.stem}")
    return {**defaults, **at_scale, **given}, given


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'? Known: ...", for the end of an error message."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return (f"did you mean {close[0]!r}? " if close else "") + "Known: " + ", ".join(names)


def _checked(values: Mapping[str, Any], defaults: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``values``, each in the type of its setting and allowed for it; ``where`` begins the error of one that is not."""
    result = {}
    for name, value in values.items():
        if name not in defaults:
            raise InputError(f"{where}: unknown setting {name!r}: {suggestion(name, defaults)}")
        allowed = ALLOWED.get(name)
        kind = allowed.kind if allowed else type(defaults[name])
        result[name] = _converted(value, kind)
        if type(result[name]) is not kind or (allowed and result[name] not in allowed):
            # The default, unless it is itself at fault, shows what the setting looks like.
            example = "" if value is defaults[name] or isinstance(allowed, Choices) else f", such as {defaults[name]!r}"
            expected = allowed or _KIND_NAMES.get(kind, kind.__name__)
            raise InputError(f"{where}: {name} is {value!r}, expected {expected}{example}")
    return result


def _converted(value: Any, kind: type) -> Any:
    """``value`` as a ``kind`` where it can be one: text is read as TOML, 1 may stand for 1.0 and 5e4 for 50000."""
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if kind is not str and isinstance(value, str):
        try:
            value = tomllib.loads(f"value = {value.lower() if kind is bool else value}")["value"]
        except tomllib.TOMLDecodeError:
            return value
    if kind is float and type(value) is int:
        return float(value)
    if kind is int and type(value) is float and value.is_integer():
        return int(value)
    return value
