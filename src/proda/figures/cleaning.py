"""Figures of the account of cleaning: what came in, which rule took what, from whom and where, and densities used."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from proda.data.bulk_density import PEDOTRANSFER, estimated_density
from proda.figures.style import CYCLE, INK, draw_sites, map_axes

KEPT = "#5f6d78"
MANY_SOURCES = 7  # named in a figure; the others are added up
NAMED_RULES = 5  # with a colour of their own on the map


def exclusion_bars(account: pd.DataFrame, of: str, ax: Axes) -> Axes:
    """What each cleaning rule took out, as a waterfall from all rows to those that are left.

    Parameters
    ----------
    account : DataFrame
        `cleaning.csv`.
    of : "profiles" or "layers"
    """
    before, after = account[f"{of}_before"].to_numpy(), account[f"{of}_after"].to_numpy()
    acting = np.flatnonzero(before > after)
    names = ["in", *account["rule"].iloc[acting], "kept"]
    left = np.array([0, *after[acting], 0])
    width = np.array([before[0], *(before - after)[acting], after[-1]])
    colours = ["#888888", *[CYCLE[1]] * len(acting), CYCLE[2]]
    ax.barh(names, width, left=left, color=colours, height=0.65)
    span = max(before[0] - after[-1], 1)
    start = max(0.0, after[-1] - 1.6 * span)
    ax.set_xlim(start, before[0] + 0.55 * (before[0] - start))
    for i, (x, n) in enumerate(zip(left + width, width, strict=True)):
        sign = "" if i in (0, len(names) - 1) else "\u2212"
        ax.annotate(f"{sign}{n:,}", (x, i), (4, 0), textcoords="offset points", va="center", fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel(f"{of.capitalize()}" + (" (axis does not start at zero)" if start > 0 else ""))
    ax.xaxis.set_major_locator(plt.MaxNLocator(4))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    return ax


def account_by_source(by_source: pd.DataFrame, of: str) -> pd.DataFrame:
    """Rows that came in, that each acting rule took, and that are kept, one column a source, small ones as "others".

    Parameters
    ----------
    by_source : DataFrame
        `cleaning_by_source.csv`.
    of : "profiles" or "layers"
    """
    begun = by_source.groupby("source")[["profiles_before", "layers_before"]].first()
    begun = begun.sort_values("profiles_before", ascending=False)[f"{of}_before"]
    named = list(begun.index[:MANY_SOURCES])
    source = by_source["source"].where(by_source["source"].isin(named), "others")
    lost = by_source.assign(source=source, lost=by_source[f"{of}_before"] - by_source[f"{of}_after"])
    lost = lost.pivot_table(index="rule", columns="source", values="lost", aggfunc="sum", sort=False)
    lost = lost[lost.sum(axis=1) > 0]
    came = begun.groupby(begun.index.where(begun.index.isin(named), "others"), sort=False).sum()
    order = [*named, *(["others"] if "others" in came.index else [])]
    came, lost = came[order], lost[order]
    table = pd.concat([came.to_frame("in").T, lost, (came - lost.sum()).to_frame("kept").T])
    return table.rename_axis(None, axis=1).astype(int)


def account_tables(by_source: pd.DataFrame) -> Figure:
    """`account_table` of profiles above that of layers."""
    rows = [len(account_by_source(by_source, of)) for of in ("profiles", "layers")]
    figure, axes = plt.subplots(2, 1, figsize=(9.5, 2.2 + 0.28 * sum(rows)), height_ratios=rows)
    account_table(by_source, "profiles", axes[0])
    account_table(by_source, "layers", axes[1])
    return figure


def account_table(by_source: pd.DataFrame, of: str, ax: Axes) -> Axes:
    """`account_by_source` as a table of numbers, shaded by the share of a source's own rows that a rule took."""
    table = account_by_source(by_source, of)
    counts = table.to_numpy()
    share = counts / np.maximum(counts[0], 1)
    share[[0, -1]] = np.nan
    ax.imshow(share, cmap="Oranges", norm=LogNorm(1e-3, 1.0), aspect="auto")
    for (row, column), n in np.ndenumerate(counts):
        dark = share[row, column] > 0.08
        ax.text(column, row, f"{n:,}" if n else "\u2013", ha="center", va="center", fontsize=7.5,
                color="white" if dark else INK, weight="bold" if row in (0, len(counts) - 1) else "normal")  # fmt: skip
    ax.set_xticks(
        range(table.shape[1]), [name.replace("_", " ") for name in table], rotation=30, ha="right", fontsize=8
    )
    ax.set_yticks(range(len(table)), table.index, fontsize=8)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(of.capitalize())
    return ax


def kept_and_lost(profiles: pd.DataFrame, grid) -> Figure:
    """Map of raw profiles, those kept in grey and the others by the rule that took them; the whole world if they reach
    far beyond the study's grid.

    Parameters
    ----------
    profiles : DataFrame
        `raw_profiles.parquet`.
    grid : Dataset
        `lon`, `lat` of the land cells.
    """
    rule = profiles["excluded_by"].fillna("kept").astype(object)
    here = profiles["lon"].between(-126, -66) & profiles["lat"].between(24, 50)
    beyond = int((~here).sum())
    wide = beyond > 0.01 * len(profiles)
    figure = plt.figure(figsize=(7.5, 4.9 + 3.6 * wide))
    ax = map_axes(figure, (2, 1, 1) if wide else 111)
    size = float(np.clip(25_000 / max(here.sum(), 1), 1.6, 9.0))
    counts = rule[here & (rule != "kept")].value_counts()
    named = list(counts.index[:NAMED_RULES])
    groups = [
        ("kept", KEPT, size),
        *((name, colour, 2.2 * size) for name, colour in zip(named, CYCLE[1:], strict=False)),
    ]
    shown = rule.where(rule.isin(["kept", *named]), "other rules")
    if (shown[here] == "other rules").any():
        groups.append(("other rules", CYCLE[0], 2.2 * size))
    for name, colour, area in groups:
        chosen = here & (shown == name)
        dots = draw_sites(colour, profiles[chosen], ax, size=area)
        dots.set_label(f"{name} ({chosen.sum():,})")
    ax.set_title(f"{(rule == 'kept').sum():,} profiles kept, {(rule != 'kept').sum():,} left out")
    if beyond:
        ax.plot([], [], " ", label=f"not on this map ({beyond:,})")
    larger = 2.0 if size < 3 else 1.2
    ax.legend(fontsize=8, loc="lower left", bbox_to_anchor=(-0.02, -0.08), ncols=2, markerscale=larger).set_zorder(5)
    if wide:
        _world(profiles, grid, figure.add_subplot(2, 1, 2))
    return figure


def _world(profiles: pd.DataFrame, grid, ax: Axes) -> None:
    known = profiles["lon"].between(-180, 180) & profiles["lat"].between(-90, 90)
    west, east = float(np.min(grid["lon"])) - 0.25, float(np.max(grid["lon"])) + 0.25
    south, north = float(np.min(grid["lat"])) - 0.25, float(np.max(grid["lat"])) + 0.25
    _, _, _, image = ax.hist2d(
        profiles["lon"][known], profiles["lat"][known], bins=[np.arange(-180, 181, 2), np.arange(-60, 85, 2)],
        norm=LogNorm(), cmin=1, cmap="viridis_r",
    )  # fmt: skip
    ax.add_patch(Rectangle((west, south), east - west, north - south, fill=False, edgecolor=CYCLE[1], linewidth=1.4))
    ax.annotate("the study's grid", (west, south), (0, -10), textcoords="offset points", color=CYCLE[1], fontsize=8)
    ax.set(xlabel="Longitude (\u00b0E)", ylabel="Latitude (\u00b0N)", aspect="equal", title="All profiles as they came")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02, aspect=28)
    bar.set_label("Profiles in 2\u00b0 x 2\u00b0")


def density_against_carbon(layers: pd.DataFrame, rule: str, ax: Axes) -> Axes:
    """Measured bulk densities against organic carbon, and what the published functions make of that carbon.

    Parameters
    ----------
    layers : DataFrame
        `raw_layers.parquet`.
    rule : str
        The study's `bulk_density_rule`, drawn thick.
    """
    estimated = layers["density_source"].fillna("").str.startswith("estimated")
    known = layers[layers["bulk_density"].between(0.02, 2.65) & (layers["organic_carbon"] > 0) & ~estimated]
    if len(known):
        bins = ax.hexbin(
            known["organic_carbon"], known["bulk_density"], xscale="log", gridsize=55, mincnt=1, bins="log",
            cmap="Greys", extent=(-0.5, np.log10(580), 0, 2.2), linewidths=0,
        )  # fmt: skip
        bar = ax.figure.colorbar(bins, ax=ax, shrink=0.8, pad=0.02, aspect=28)
        bar.set_label("Measured layers")
    carbon = np.geomspace(0.5, 580, 300)
    for name, colour in zip(PEDOTRANSFER, CYCLE, strict=False):
        chosen = name == rule
        density, sd = estimated_density(carbon, name)
        ax.plot(
            carbon, density, color=colour, lw=2.6 if chosen else 1.2, label=name + (" (this study)" if chosen else "")
        )
        if chosen:
            ax.fill_between(carbon, density * (1 - sd), density * (1 + sd), color=colour, alpha=0.18, linewidth=0)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set(xlim=(0.5, 580), ylim=(0, 2.2), xlabel="Organic carbon (g kg$^{-1}$)", ylabel="Bulk density (g cm$^{-3}$)")
    ax.legend(fontsize=8, loc="lower left")
    return ax
