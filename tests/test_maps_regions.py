"""Biases by region and vegetation: places lie in the right regions, differences are those that were put in."""

import numpy as np
import pandas as pd
import pytest

from proda.maps import regions

PLACES = {
    "Portland": (-122.7, 45.5), "New York": (-74.0, 40.7), "Des Moines": (-93.6, 41.6), "Milwaukee": (-88.0, 43.0),
    "Salt Lake City": (-111.9, 40.8), "Oklahoma City": (-97.5, 35.5), "Phoenix": (-112.1, 33.4),
    "Birmingham": (-86.8, 33.5),
}  # fmt: skip


def regions_at(place):
    lon, lat = PLACES[place]
    return {name for name, inside in regions.region_masks([lon], [lat]).items() if inside[0]}


def test_positions_lie_in_their_states_and_those_off_the_coast_in_the_nearest():
    lon, lat = np.array(list(PLACES.values())).T
    found = regions.state_of([*lon, -69.5], [*lat, 43.5]).tolist()
    assert found == [
        "Oregon", "New York", "Iowa", "Wisconsin", "Utah", "Oklahoma", "Arizona", "Alabama", "Maine"
    ]  # fmt: skip


def test_regions_hold_the_places_that_lie_in_them():
    assert regions_at("Portland") == {"West coast"}
    assert regions_at("New York") == {"East coast", "Northeast"}
    assert regions_at("Des Moines") == {"Midwest"}
    assert regions_at("Milwaukee") == {"Midwest", "Great Lakes"}
    assert regions_at("Salt Lake City") == {"Intermontane Plateaus"}
    assert regions_at("Oklahoma City") == {"Southern Great Plains"}
    assert regions_at("Phoenix") == {"Intermontane Plateaus", "Southwest"}
    assert regions_at("Birmingham") == set()


@pytest.fixture
def profiles():
    """Two layers at each of sixteen sites, two at each place, 20 kg C m-3 from 0 to 0.5 m and from 0.5 to 1 m."""
    lon, lat = np.repeat(np.array(list(PLACES.values())).T, 2, axis=1)
    sites = pd.DataFrame({"lon": lon, "lat": lat, "cell": np.repeat(np.arange(8), 2)})
    sites = sites.assign(land_use=None, land_cover=np.where(sites["lon"] < -115, 1, 12))
    layers = pd.DataFrame({"site": np.repeat(np.arange(16), 2), "upper_depth": [0.0, 0.5] * 16})
    return sites, layers.assign(lower_depth=layers["upper_depth"] + 0.5, soc=20e3)


def test_a_stock_difference_is_density_times_thickness_and_needs_every_layer(profiles):
    _, layers = profiles
    modelled = layers["soc"].to_numpy() + 4e3
    modelled[3] = np.nan
    found = regions.stock_differences(layers, modelled, 17)
    assert found[0] == pytest.approx(4.0) and np.isnan(found[1]) and np.isnan(found[16])


def test_the_bias_of_a_region_is_the_one_that_was_put_there(profiles):
    sites, layers = profiles
    west = np.isin(layers["site"], [0, 1])
    modelled = {"default": layers["soc"] + np.where(west, 6e3, -2e3), "network": layers["soc"].to_numpy(float)}
    table = regions.regional_biases(layers, modelled, sites, np.ones(16, bool))
    assert table.loc[("West coast", "default"), "bias"] == pytest.approx(6.0)
    assert table.loc[("Midwest", "default"), "bias"] == pytest.approx(-2.0)
    assert table.loc[("all", "default"), "bias"] == pytest.approx(-1.0)
    assert table.loc["Midwest", "n_sites"].tolist() == [4, 4]
    assert table.loc[("Evergreen forest", "default"), "bias"] == pytest.approx(6.0)
    assert table.loc[("Cropland", "default"), "n_sites"] == 14 and table.loc["Wetland", "n_sites"].tolist() == [0, 0]


def test_sites_of_one_cell_do_not_make_a_mean_surer(profiles):
    sites, layers = profiles
    error = np.repeat([5e3, -5e3, 5e3, -5e3], 8)
    alone = regions.regional_biases(
        layers, {"default": layers["soc"] + error}, sites.assign(cell=np.arange(16)), np.ones(16, bool)
    )
    together = regions.regional_biases(layers, {"default": layers["soc"] + error}, sites, np.ones(16, bool))
    assert together.loc[("all", "default"), "se"] == pytest.approx(np.sqrt(2) * alone.loc[("all", "default"), "se"])


def test_a_region_without_sites_has_no_bias_and_no_verdict(profiles):
    sites, layers = profiles
    used = ~np.isin(np.arange(16), [0, 1])
    row = regions.regional_biases(layers, {"default": layers["soc"] + 1e3}, sites, used).loc[("West coast", "default")]
    assert row["n_sites"] == 0 and np.isnan(row["bias"]) and pd.isna(row["bias_agrees"])


def test_a_bias_agrees_with_the_paper_when_it_has_the_published_sign(profiles):
    sites, layers = profiles
    table = regions.regional_biases(layers, {"default": layers["soc"] - 1e3}, sites, np.ones(16, bool))
    rows = table.xs("default", level="method").loc[["West coast", "Midwest"]]
    assert rows["published"].tolist() == ["too high", "too low"] and rows["bias_agrees"].tolist() == [False, True]


def test_a_site_recorded_as_wetland_is_one():
    sites = pd.DataFrame({"land_cover": [1, 12, 13, 11], "land_use": ["woodyWetlands", None, "urban", "x"]})
    assert regions.vegetation_class(sites).tolist() == ["Wetland", "Cropland", "", "Wetland"]
