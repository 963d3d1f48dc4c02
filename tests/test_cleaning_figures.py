"""Figures of the account of cleaning show the numbers of the account, and nothing asks for the network."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from proda.data.bulk_density import PEDOTRANSFER, with_soc_density
from proda.data.cleaning import RULES, cleaned
from proda.data.tables import ProfileTables
from proda.figures import cleaning as figures
from proda.figures.cleaning import LAND_COVER_GROUPS, climate_groups, land_cover_groups, layers_map
from proda.model.forcing import Forcing

LIMITS = {
    "min_layers": 2, "max_depth_m": 3.8, "max_soc_kg_m3": 180.0, "overlap_tolerance_m": 0.01,
    "duplicate_tolerance_degrees": 0.02,
}  # fmt: skip


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def raw():
    """Sixty profiles of ten sources, every fifth of one layer, two in the sea."""
    rng = np.random.default_rng(1)
    ids = [f"p{i:02d}" for i in range(60)]
    profiles = pd.DataFrame({"profile_id": ids, "lon": rng.uniform(-110, -90, 60), "lat": rng.uniform(33, 45, 60)})
    profiles = profiles.assign(source=[f"S{i % 10}" for i in range(60)], in_domain=True, cell=0, distance=0.0)
    profiles = profiles.assign(has_forcing=True, has_covariates=True)
    profiles.loc[:1, "cell"] = -1
    layers = pd.DataFrame({"profile_id": np.repeat(ids, 2), "layer": [1, 2] * 60, "upper_depth": [0.0, 0.2] * 60})
    layers = layers.assign(lower_depth=layers["upper_depth"] + 0.2, soc=np.nan, organic_carbon=rng.uniform(1, 90, 120))
    layers = layers.assign(bulk_density=1.3, bulk_density_method=None, coarse_fraction=0.1, litter=False)
    tables = with_soc_density(ProfileTables(profiles, layers.drop(index=range(1, 120, 10))))
    return tables


@pytest.fixture(scope="module")
def result(raw):
    return cleaned(raw, LIMITS)


def test_the_table_by_source_adds_up_to_the_account(result):
    for of in ("profiles", "layers"):
        table = figures.account_by_source(result.by_source, of)
        assert len(table.columns) == figures.MANY_SOURCES + 1 and table.columns[-1] == "others"
        assert table.loc["in"].sum() == result.account[f"{of}_before"].iloc[0]
        assert table.loc["kept"].sum() == result.account[f"{of}_after"].iloc[-1]
        assert (table.iloc[0] == table.iloc[1:].sum()).all()
        acting = result.account[result.account[f"{of}_before"] > result.account[f"{of}_after"]]
        assert list(table.index[1:-1]) == acting["rule"].tolist()


def test_the_figure_by_source_shows_every_number_of_the_table(result):
    figure = figures.account_tables(result.by_source)
    shown = sorted(text.get_text() for text in figure.axes[0].texts)
    table = figures.account_by_source(result.by_source, "profiles")
    assert shown == sorted(f"{n:,}" if n else "\u2013" for n in table.to_numpy().ravel())


def test_the_waterfall_begins_with_what_came_and_ends_with_what_is_kept(result):
    ax = figures.exclusion_bars(result.account, "layers", plt.figure().add_subplot())
    labels = [text.get_text() for text in ax.texts]
    first, last = result.account.iloc[0]["layers_before"], result.account.iloc[-1]["layers_after"]
    assert labels[0] == f"{first:,}" and labels[-1] == f"{last:,}"
    assert sum(int(text[1:]) for text in labels[1:-1]) == first - last


def test_an_account_without_exclusions_can_be_drawn(result):
    nothing = pd.DataFrame({"rule": [rule.name for rule in RULES]})
    nothing = nothing.assign(profiles_before=5, profiles_after=5, layers_before=9, layers_after=9)
    ax = figures.exclusion_bars(nothing, "layers", plt.figure().add_subplot())
    assert [text.get_text() for text in ax.texts] == ["9", "9"]


@pytest.mark.parametrize("beyond", [0, 30])
def test_the_map_of_losses_counts_every_profile_once(raw, result, beyond):
    whole = result.exclusions[result.exclusions["layer"].isna()].set_index("profile_id")["rule"]
    profiles = raw.profiles.assign(excluded_by=raw.profiles["profile_id"].map(whole))
    profiles.loc[: beyond - 1, ["lon", "lat"]] = [20.0, 50.0]
    grid = {"lon": np.array([-110.0, -90.0]), "lat": np.array([33.0, 45.0])}
    figure = figures.kept_and_lost(profiles, grid)
    counts = [int(text.get_text().split("(")[1][:-1].replace(",", "")) for text in figure.axes[0].get_legend().texts]
    assert sum(counts) == 60
    assert any("study's grid" in text.get_text() for ax in figure.axes for text in ax.texts) == (beyond > 0)


def test_the_functions_are_drawn_with_the_one_of_the_study_marked(raw):
    ax = figures.density_against_carbon(raw.layers, "hossain-2015", plt.figure().add_subplot())
    labels = [line.get_label() for line in ax.lines]
    assert labels == [name + (" (this study)" if name == "hossain-2015" else "") for name in PEDOTRANSFER]


def test_climates_share_out_every_profile_once():
    rng = np.random.default_rng(2)
    n = 400
    forcing = Forcing(
        soil_temperature=np.repeat(rng.uniform(270, 300, n)[None], 10, axis=0),
        water_potential=np.repeat(rng.uniform(-2, -0.01, n)[None], 10, axis=0),
        active_layer=np.full(n, 35.0), npp_mean=np.full(n, 400.0), npp_min=np.full(n, 300.0), npp_max=np.full(n, 500.0),
    )  # fmt: skip
    groups = climate_groups(forcing, rng.integers(n, size=1000))
    assert len(groups) == 6
    assert (np.sum(list(groups.values()), axis=0) == 1).all()
    warm = next(members for name, members in groups.items() if name.startswith("above") and name.endswith("moist"))
    assert 0 < warm.sum() < 1000


def test_land_cover_groups_are_those_of_the_classes():
    groups = land_cover_groups(pd.DataFrame({"land_cover": [1, 4, 10, 12, 17]}))
    assert [name for name, members in groups.items() if members[3]] == ["Cropland"]
    assert set(groups) == set(LAND_COVER_GROUPS) and not any(members[4] for members in groups.values())


def test_the_map_of_layers_tells_how_many_there_are(raw):
    ax = layers_map(raw.profiles.assign(n_layers=3))
    assert ax.get_title() == "60 profiles, 180 layers"
