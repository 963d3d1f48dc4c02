"""Regional biases: places lie in the right states, differences are those that were put in, signs are compared."""

import numpy as np
import pandas as pd
import pytest

from proda.errors import InputError
from proda.maps.regions import (
    PUBLISHED_BIASES,
    REGIONS,
    VERDICTS,
    biases_in_a_row,
    region_masks,
    region_shapes,
    regional_biases,
    regional_spread,
    state_of,
    stock_differences,
    with_published_findings,
)

PLACES = {
    "Portland": (-122.7, 45.5), "New York": (-74.0, 40.7), "Des Moines": (-93.6, 41.6), "Milwaukee": (-88.0, 43.0),
    "Salt Lake City": (-111.9, 40.8), "Oklahoma City": (-97.5, 35.5), "Phoenix": (-112.1, 33.4),
    "Birmingham": (-86.8, 33.5),
}  # fmt: skip


def regions_at(place):
    lon, lat = PLACES[place]
    return {name for name, inside in region_masks([lon], [lat]).items() if inside[0]}


def test_positions_lie_in_their_states_and_those_off_the_coast_in_the_nearest():
    lon, lat = np.array(list(PLACES.values())).T
    found = state_of([*lon, -69.5], [*lat, 43.5]).tolist()
    assert found == [
        "Oregon", "New York", "Iowa", "Wisconsin", "Utah", "Oklahoma", "Arizona", "Alabama", "Maine"
    ]  # fmt: skip


def test_a_missing_position_is_an_error():
    with pytest.raises(InputError, match="position 1 has no longitude"):
        state_of([-100.0, np.nan], [40.0, 40.0])


def test_regions_hold_the_places_that_everybody_would_put_there():
    assert regions_at("Portland") == {"West coast"}
    assert regions_at("New York") == {"East coast", "Northeast"}
    assert regions_at("Des Moines") == {"Midwest"}
    assert regions_at("Milwaukee") == {"Midwest", "Great Lakes"}
    assert regions_at("Salt Lake City") == {"Intermontane Plateaus"}
    assert regions_at("Oklahoma City") == {"Southern Great Plains"}
    assert regions_at("Phoenix") == {"Intermontane Plateaus", "Southwest"}
    assert regions_at("Birmingham") == set()


def test_the_shapes_are_those_of_the_masks(rng):
    lon, lat = rng.uniform(-124, -68, 400), rng.uniform(26, 49, 400)
    shapes = region_shapes()
    points = shapes.from_xy(lon, lat, crs=4326)
    land = np.any([points.within(shape) for shape in shapes], axis=0)
    for name, inside in region_masks(lon, lat).items():
        assert not (points.within(shapes[name]) & ~inside).any()
        assert (points.within(shapes[name]) == inside)[land].mean() > 0.97


@pytest.fixture
def profiles():
    """Two layers at each of sixteen sites, two at each place, 20 kg C m-3 from 0 to 0.5 m and from 0.5 to 1 m."""
    lon, lat = np.repeat(np.array(list(PLACES.values())).T, 2, axis=1)
    sites = pd.DataFrame({"lon": lon, "lat": lat, "cell": np.repeat(np.arange(8), 2)})
    layers = pd.DataFrame({"site": np.repeat(np.arange(16), 2), "upper_depth": [0.0, 0.5] * 16})
    return sites, layers.assign(lower_depth=layers["upper_depth"] + 0.5, soc=20e3)


def test_a_stock_difference_is_density_times_thickness_and_needs_every_layer(profiles):
    _, layers = profiles
    modelled = layers["soc"].to_numpy() + 4e3
    modelled[3] = np.nan
    found = stock_differences(layers, modelled, 17)
    assert found[0] == pytest.approx(4.0) and np.isnan(found[1]) and np.isnan(found[16])


def test_the_bias_of_a_region_is_the_one_that_was_put_there(profiles):
    sites, layers = profiles
    west = np.isin(layers["site"], [0, 1])
    modelled = {"default": layers["soc"] + np.where(west, 6e3, -2e3), "network": layers["soc"].to_numpy(float)}
    table = regional_biases(layers, modelled, sites, np.ones(16, bool))
    assert table.loc[("West coast", "default"), "bias"] == pytest.approx(6.0)
    assert table.loc[("Midwest", "default"), "bias"] == pytest.approx(-2.0)
    assert table.loc[("all", "default"), "bias"] == pytest.approx(-1.0)
    assert table.loc[("West coast", "default"), "pattern"] == pytest.approx((26 / 20) / (19 / 20))
    assert table.loc[("West coast", "default"), "too_high"] == 1 and table.loc["Midwest", "n_sites"].tolist() == [4, 4]
    spread = regional_spread(table)
    assert spread["network"] == 0 and spread["default"] > 2
    assert biases_in_a_row(table).index.tolist() == ["all", *REGIONS]


def test_agreement_is_told_by_the_sign_and_by_the_pattern(profiles):
    sites, layers = profiles
    west = np.isin(layers["site"], [0, 1])
    modelled = {"default": (layers["soc"] - np.where(west, 1e3, 8e3)).to_numpy()}
    shown = with_published_findings(regional_biases(layers, modelled, sites, np.ones(16, bool)))
    assert [place for method, place in PUBLISHED_BIASES if method == "default"] == [place for _, place in shown.index]
    coast, middle = shown.loc[("default", "West coast")], shown.loc[("default", "Midwest")]
    assert coast["published"] == "too high" and [coast[name] for name in VERDICTS] == ["no", "no", "yes"]
    assert middle["published"] == "too low" and [middle[name] for name in VERDICTS] == ["yes"] * 3


def test_the_mean_and_most_sites_may_disagree(profiles):
    sites, layers = profiles
    error = np.where(np.isin(layers["site"], [4, 6]), -9e3, 1e3)
    table = regional_biases(
        layers, {"default": layers["soc"] + error}, sites.assign(lon=-93.6, lat=41.6), np.ones(16, bool)
    )
    row = with_published_findings(table).loc[("default", "Midwest")]
    assert row["bias (kg m-2)"] < 0 < row["sites too high (%)"] - 50
    assert (row["mean as published"], row["most sites as published"]) == ("yes", "no")


def test_sites_of_one_cell_do_not_make_a_mean_surer(profiles):
    sites, layers = profiles
    error = np.repeat([5e3, -5e3, 5e3, -5e3], 8)
    alone = regional_biases(
        layers, {"default": layers["soc"] + error}, sites.assign(cell=np.arange(16)), np.ones(16, bool)
    )
    together = regional_biases(layers, {"default": layers["soc"] + error}, sites, np.ones(16, bool))
    assert together.loc[("all", "default"), "se"] == pytest.approx(np.sqrt(2) * alone.loc[("all", "default"), "se"])


def test_a_region_without_sites_has_no_bias_and_no_verdict(profiles):
    sites, layers = profiles
    used = ~np.isin(np.arange(16), [0, 1])
    row = regional_biases(layers, {"default": layers["soc"] + 1e3}, sites, used).loc[("West coast", "default")]
    assert row["n_sites"] == 0 and np.isnan(row["bias"]) and pd.isna(row["bias_agrees"])
