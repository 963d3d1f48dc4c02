"""Figures of the assimilation draw the numbers they are given."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from proda.assimilation.chains import SiteProblem
from proda.assimilation.results import posterior_tree
from proda.assimilation.sbc import rank_ecdf
from proda.figures import chains
from proda.model.parameters import PAPER_PARAMETERS

NAMES = list(PAPER_PARAMETERS.names)


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def sites(rng):
    places = {"lon": ("site", rng.uniform(-110.0, -80.0, 40)), "lat": ("site", rng.uniform(32.0, 46.0, 40))}
    sd = ("site", "parameter"), rng.uniform(1.0, 1.2, (40, 25)), {"long_name": "posterior sd", "units": "yr"}
    return xr.Dataset({"x_sd": sd}, coords={**places, "parameter": NAMES})


@pytest.fixture
def status(rng):
    ess = np.append(rng.uniform(20.0, 400.0, 59), np.nan)
    efficiency = np.concatenate([np.linspace(0.1, 0.9, 50), [-0.5] * 4, [-30.0] * 3, [np.nan] * 3])
    rhat = np.append(rng.uniform(1.0, 1.3, 58), [5.0, np.nan])
    columns = {"rhat_max": rhat, "ess_bulk_min": ess, "ess_tail_min": ess, "efficiency": efficiency}
    return pd.DataFrame(columns | {"acceptance": rng.uniform(0.1, 0.5, 60)})


def points_of(ax):
    return next(one for one in ax.collections if one.get_array() is not None and len(one.get_offsets()) > 1)


def test_arviz_traces_show_the_chosen_parameters_by_their_names(rng):
    chosen = ["efolding", "q10"]
    figure = chains.trace_figure(posterior_tree(rng.random((3, 200, 25)), rng.random((3, 200)), {}), chosen)
    texts = {text for ax in figure.axes for text in (ax.get_title(), ax.get_xlabel(), ax.get_ylabel())}
    texts = {line for text in texts for line in text.splitlines()}
    assert set(chosen) <= texts and not texts & (set(NAMES) - set(chosen))
    assert all(ax.get_legend() is None for ax in figure.axes)


def test_intervals_are_quantiles_of_the_draws_with_the_median_of_each_chain(ax, rng):
    x = rng.random((2, 300, 25)) * 0.1 + np.array([0.0, 0.8])[:, None, None]
    defaults = np.linspace(-0.1, 0.9, 25)
    chains.parameter_intervals(x, NAMES, defaults, ax)
    outer = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(outer, np.quantile(x.reshape(-1, 25), [0.05, 0.95], axis=0).T)
    marks = [line.get_xdata() for line in ax.lines if line.get_marker() == "|"]
    np.testing.assert_allclose(marks, np.median(x, axis=1))
    assert len(next(line for line in ax.lines if line.get_marker() == "D").get_xdata()) == (defaults >= 0.0).sum()
    assert ax.get_yticklabels()[0].get_text() == NAMES[0] and ax.lines[0].get_ydata()[0] == 24


def test_every_site_is_in_the_histograms_and_the_badly_fitted_in_the_first_bar(ax, status):
    figure = chains.convergence_histograms(status, 1.1)
    counts = [sum(bar.get_height() for bar in ax.patches if bar.get_facecolor()[3] == 1.0) for ax in figure.axes]
    assert counts == [59, 59, 60], "sites without a value are in none"
    chains.fit_histogram(status, ax)
    heights = np.array([patch.get_height() for patch in ax.patches])
    assert heights.sum() == 57 and heights[40] == 3


def test_site_profiles_show_the_observations_of_their_site_in_kilograms():
    depth, soc = np.array([0.1, 0.5, 0.1, 0.4, 0.9]), np.array([9e3, 4e3, 8e3, 5e3, 1e3])
    problem = SiteProblem(["a", "b"], None, np.array([0, 0, 1, 1, 1]), depth, depth, soc, 0.25 * soc, np.ones(5))
    profile = ("site", "layer"), np.linspace(1e4, 1e3, 20).reshape(2, 10)
    sites = xr.Dataset({"soc_mean": profile, "soc_sd": profile, "efficiency": ("site", [0.5, 0.75])})
    first = chains.site_profiles(problem, sites, [1, 0]).axes[0]
    np.testing.assert_allclose(first.lines[0].get_xdata(), profile[1][1][:8] / 1000.0)
    np.testing.assert_allclose(first.containers[0].lines[0].get_xdata(), [8.0, 5.0, 1.0])
    (bars,) = first.containers[0].lines[2]
    np.testing.assert_allclose([np.ptp(bar[:, 0]) / 2 for bar in bars.get_segments()], [2.0, 1.25, 0.25])
    assert first.get_title() == "b\nefficiency 0.75" and first.get_ylim()[0] == pytest.approx(1.15 * 0.9)


def test_a_map_shows_each_sites_value_where_the_site_lies_and_names_the_parameter(sites):
    values = sites["x_sd"].sel(parameter="q10")
    values[3] = np.nan
    ax = chains.site_map(values)
    dots = points_of(ax)
    at = ax.project(float(values.lon[7]), float(values.lat[7]))
    nearest = np.hypot(*(np.asarray(dots.get_offsets()) - at).T).argmin()
    assert dots.get_array()[nearest] == pytest.approx(float(values[7]))
    assert len(dots.get_offsets()) == 39, "a site without a value is not on the map"
    assert "q10, posterior sd (yr)" in {bar.get_xlabel() for bar in ax.figure.axes}


def test_ranks_are_drawn_on_one_scale_and_parameters_outside_the_band_are_named(rng):
    ranks = rng.integers(0, 100, (400, 25))
    ranks[:, 2] = np.minimum(rng.integers(0, 130, 400), 99)
    figure = chains.sbc_figure({"one": ranks, "other": ranks // 2}, NAMES)
    (low, high), other = (ax.get_ylim() for ax in figure.axes)
    assert low == -high and (low, high) == other
    assert [ax.get_title() for ax in figure.axes] == ["one", "other"]
    first = figure.axes[0]
    assert [text.get_text() for text in first.get_legend().get_texts()] == [NAMES[2]]
    named = next(line for line in first.lines if line.get_label() == NAMES[2])
    np.testing.assert_allclose(named.get_ydata(), rank_ecdf(ranks)[:, 2] - named.get_xdata())


def test_parameter_densities_have_common_axes_and_mark_what_goes_beyond(rng):
    modes, draws = rng.uniform(size=(300, 25)), rng.uniform(size=(300, 25))
    modes[:20] = np.nan
    draws[:, 2] = 0.5
    figure = chains.parameter_densities(modes, NAMES, draws)
    axes = figure.axes[:25]
    assert [ax.get_title() for ax in axes] == NAMES
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in axes}) == 1
    assert [bool(ax.texts) for ax in axes] == [False, False, True] + [False] * 22
    assert axes[2].texts[0].get_text().endswith(" 25")
    assert len(figure.legends[0].get_texts()) == 3
    assert len(chains.parameter_densities(modes, NAMES).legends[0].get_texts()) == 2
