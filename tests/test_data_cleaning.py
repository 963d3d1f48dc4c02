"""Carbon by volume is that of published functions, and every rule excludes what it is for: the account adds up."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proda.data import cleaning
from proda.data.cleaning import COARSEST_SD, RULES, cleaned, with_soc_density
from proda.data.tables import ProfileTables
from proda.errors import InputError
from proda.study import ALLOWED


def layers(**columns) -> ProfileTables:
    n = len(next(iter(columns.values())))
    default = {
        "soc": np.nan, "organic_carbon": np.nan, "bulk_density": np.nan, "bulk_density_method": None,
        "coarse_fraction": np.nan, "litter": False,
    }  # fmt: skip
    return ProfileTables(pd.DataFrame(), pd.DataFrame(default | columns, index=range(n)))


# Worked by hand from the equations as published: carbon in percent for the regressions, organic matter = 1.724 carbon.
@pytest.mark.parametrize(
    ("rule", "carbon", "density"),
    [
        ("manrique-jones-1991", 10.0, 1.660 - 0.318),
        ("manrique-jones-1991", 40.0, 1.660 - 0.636),
        ("hossain-2015", 0.0, 1.393),
        ("hossain-2015", 100.0, 0.071 + 1.322 * 0.491644),
        ("adams-1973", 0.0, 1.64),
        ("adams-1973", 58.0, 100 / (10 / 0.244 + 90 / 1.64)),
        ("adams-1973", 580.0, 0.244),
        ("perie-ouimet-2008", 0.0, 1.767),
        ("perie-ouimet-2008", 580.0, 0.111),
        ("perie-ouimet-2008", 58.0, 0.111 * 1.767 / (0.1 * 1.767 + 0.9 * 0.111)),
    ],
)
def test_a_function_gives_its_published_value(rule, carbon, density):
    assert cleaning.estimated_density([carbon], rule)[0][0] == pytest.approx(density, rel=1e-4)


@pytest.mark.parametrize("rule", cleaning.PEDOTRANSFER)
def test_density_falls_with_carbon_stays_positive_and_its_error_is_known_wherever_it_is(rule):
    density, sd = cleaning.estimated_density(np.linspace(0, 580, 200), rule)
    known = np.isfinite(density)
    assert (np.diff(density[known]) <= 0).all() and (density[known] > 0.05).all()
    assert ((sd[known] > 0.1) & (sd[known] < 1)).all()
    assert np.isnan(sd[~known]).all()


def test_a_function_for_mineral_soil_gives_no_density_of_peat():
    density, _ = cleaning.estimated_density([120.0, 121.0, np.nan, -1.0], "manrique-jones-1991")
    assert np.isfinite(density).tolist() == [True, False, False, False]


def test_the_setting_allows_what_the_package_has():
    assert ALLOWED["bulk_density_rule"] == ("none", *cleaning.PEDOTRANSFER)


def test_carbon_by_volume_of_a_known_soil():
    # 2 % carbon, 1.3 g cm-3 and a quarter of stones: 20 g kg-1 x 1300 kg m-3 x 0.75
    assert cleaning.soc_density([20.0], [1.3], [0.25])[0] == pytest.approx(19_500)
    assert cleaning.soc_density([20.0], [1.3], [np.nan])[0] == pytest.approx(26_000)


def test_a_reported_stock_passes_through_and_only_what_is_missing_is_estimated():
    raw = layers(
        soc=[5e3, np.nan, np.nan, np.nan],
        organic_carbon=[10.0, 10.0, 10.0, np.nan],
        bulk_density=[np.nan, 1.5, np.nan, np.nan],
    )
    result = with_soc_density(raw, "manrique-jones-1991").layers
    np.testing.assert_allclose(result["soc"], [5e3, 15e3, 10 * 1342.0, np.nan])
    assert result["density_relative_sd"].tolist() == [0, 0, 0.18, 0]
    assert result["density_source"].tolist() == [
        "as reported", "measured bulk density", "estimated (manrique-jones-1991)", "",
    ]  # fmt: skip


def test_nothing_is_estimated_with_the_rule_none():
    result = with_soc_density(layers(organic_carbon=[10.0])).layers
    assert result["soc"].isna().all() and (result["density_relative_sd"] == 0).all()


def test_an_estimate_of_the_source_carries_the_error_of_its_function():
    methods = ["ptf_adams", "measured_field", "ptf_hossain"]
    raw = layers(soc=[2e3] * 3, organic_carbon=10.0, bulk_density=1.4, bulk_density_method=methods)
    assert with_soc_density(raw).layers["density_relative_sd"].tolist() == [0.13, 0, 0.26]


def test_an_estimate_beyond_what_its_function_was_made_for_is_not_taken_for_a_measurement():
    """The function of Manrique and Jones has no peat."""
    raw = layers(soc=[6e4], organic_carbon=[300.0], bulk_density=[0.2], bulk_density_method="ptf_manrique")
    assert with_soc_density(raw).layers["density_relative_sd"].tolist() == [COARSEST_SD] and COARSEST_SD == 0.68


def test_layers_are_marked_as_mineral_organic_litter_or_unknown():
    raw = layers(organic_carbon=[119.0, 120.0, 400.0, np.nan], litter=[False, False, True, False])
    assert with_soc_density(raw).layers["kind"].tolist() == ["mineral", "organic", "litter", "unknown"]


def test_the_error_of_a_density_that_a_source_estimated_is_carried_where_it_gives_no_carbon_by_mass():
    carbon = np.array([5.0, 60.0, 300.0])  # g kg-1, one of each class of relative error
    density, error = cleaning.estimated_density(carbon, "adams-1973")
    table = layers(soc=carbon * density * 1000, bulk_density_method="ptf of the archive")
    np.testing.assert_array_equal(with_soc_density(table).layers["density_relative_sd"], error)
    assert (with_soc_density(layers(soc=carbon * density * 1000)).layers["density_relative_sd"] == 0).all()


LIMITS = {
    "min_layers": 2,
    "max_depth_m": 3.8,
    "max_soc_kg_m3": 180.0,
    "overlap_tolerance_m": 0.01,
    "duplicate_tolerance_degrees": 0.02,
    "limestone_from_ph": 7.5,
    "max_position_uncertainty_km": 0.0,
    "min_soc_kg_m3": 0.3,
    "min_carbon_percent": 0.03,
    "hundredth_below": 0.03,
    "exclude_litter": True,
}


def profile(profile_id: str, *layers: tuple[float, float, float], **replaced) -> tuple[dict, list[dict]]:
    """A sound profile with `layers` (upper m, lower m, kg C m-3), but for what is `replaced`."""
    place = {"lon": -100.0, "lat": 40.0, "position_uncertainty": 5.0, "source": "S", "in_domain": True, "cell": 0}
    row = {"profile_id": profile_id, **place, "distance": 0.0, "has_forcing": True, "has_covariates": True} | replaced
    laboratory = {"kind": "mineral", "organic_carbon": np.nan, "bulk_density": np.nan, "bulk_density_method": None}
    return row, [
        {"profile_id": profile_id, "layer": i, "upper_depth": up, "lower_depth": low, "soc": 1000.0 * soc}
        | laboratory
        | {"ph": np.nan}
        for i, (up, low, soc) in enumerate(layers, start=1)
    ]


def tables(*profiles: tuple[dict, list[dict]]) -> ProfileTables:
    rows = pd.DataFrame([row for row, _ in profiles])
    return ProfileTables(rows, pd.DataFrame([layer for _, layers in profiles for layer in layers]))


SOUND = profile("sound", (0, 0.1, 20), (0.1, 0.5, 10), (0.5, 1, 5))


def excluded(result) -> set[tuple]:
    table = result.exclusions.astype(object).where(result.exclusions.notna(), None)
    return set(table[["profile_id", "layer", "rule"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("position missing", profile("bad", (0, 0.1, 21), (0.1, 0.5, 11), lon=np.nan)),
        ("position missing", profile("bad", (0, 0.1, 21), (0.1, 0.5, 11), lat=95.0)),
        ("no layers", profile("bad")),
        ("position uncertain", profile("bad", (0, 0.1, 21), (0.1, 0.5, 11), position_uncertainty=20e3)),
        ("outside the domain", profile("bad", (0, 0.1, 21), (0.1, 0.5, 11), in_domain=False, cell=-1)),
        ("off the land", profile("bad", (0, 0.1, 21), (0.1, 0.5, 11), cell=-1, distance=2.0)),
        ("no forcing", profile("bad", (0, 0.1, 21), (0.1, 0.5, 11), has_forcing=False)),
        ("no covariates", profile("bad", (0, 0.1, 21), (0.1, 0.5, 11), has_covariates=False)),
        ("duplicate profile", profile("bad", (0, 0.1, 20), (0.1, 0.5, 10), (0.5, 1, 5), lon=-100.004)),
        ("too few layers", profile("bad", (0, 0.1, 21))),
    ],
)
def test_a_profile_that_a_rule_is_for_goes_with_all_its_layers(rule, bad):
    result = cleaned(tables(SOUND, bad), LIMITS | {"max_position_uncertainty_km": 10.0})
    assert excluded(result) == {("bad", None, rule), *(("bad", layer["layer"], rule) for layer in bad[1])}
    assert list(result.profiles["profile_id"]) == ["sound"]


@pytest.mark.parametrize(
    ("rule", "layer"),
    [
        ("no density", (0.5, 1, np.nan)),
        ("zero carbon", (0.5, 1, 0.0)),
        ("zero carbon", (0.5, 1, -2.0)),
        ("inverted depths", (1.0, 0.5, 3.0)),
        ("inverted depths", (0.5, 0.5, 3.0)),
        ("inverted depths", (0.5, np.nan, 3.0)),
        ("inverted depths", (-0.1, 0.0, 3.0)),
        ("implausible density", (0.5, 1, 200.0)),
        ("implausibly low density", (0.5, 1, 0.2)),
        ("below the model", (3.6, 4.2, 3.0)),
        ("overlapping layers", (0.4, 1, 3.0)),
    ],
)
def test_a_layer_that_a_rule_is_for_goes_alone(rule, layer):
    result = cleaned(tables(SOUND, profile("bad", (0, 0.1, 21), (0.1, 0.5, 11), layer)), LIMITS)
    assert excluded(result) == {("bad", 3, rule)}
    assert len(result.profiles) == 2
    assert len(result.layers) == 5


def test_an_uncertain_position_is_kept_unless_the_study_sets_a_limit():
    county = profile("county", (0, 0.1, 21), (0.1, 0.5, 11), position_uncertainty=50e3)
    assert len(cleaned(tables(SOUND, county), LIMITS).profiles) == 2
    assert len(cleaned(tables(SOUND, county), LIMITS | {"max_position_uncertainty_km": 50.0}).profiles) == 2
    assert len(cleaned(tables(SOUND, county), LIMITS | {"max_position_uncertainty_km": 49.0}).profiles) == 1


def test_litter_goes_unless_the_study_keeps_it():
    raw = tables(profile("pit", (0, 0.05, 30), (0.05, 0.3, 20), (0.3, 1, 5)))
    raw.layers["kind"] = ["litter", "mineral", "mineral"]
    assert excluded(cleaned(raw, LIMITS)) == {("pit", 1, "litter layer")}
    assert cleaned(raw, LIMITS | {"exclude_litter": False}).exclusions.empty


# A subsoil of central Texas: light organic matter would leave its minerals less room than solid rock takes.
LIMESTONE = {"organic_carbon": 49.1, "bulk_density": 1.79, "ph": 8.0, "bulk_density_method": "measured_oven_dry"}


def with_subsoil(**laboratory) -> ProfileTables:
    """A profile of three layers, the third with what a `laboratory` measured of it; carbon in g per kg."""
    raw = tables(profile("pit", (0, 0.1, 21), (0.1, 0.5, 11), (0.5, 1, 88)))
    sound = {"organic_carbon": 10.0, "bulk_density": 1.4, "ph": 8.2, "bulk_density_method": "measured_field"}
    for name, value in laboratory.items():
        raw.layers[name] = [sound[name], sound[name], value]
    return raw


def test_an_alkaline_layer_too_dense_for_organic_matter_goes_and_its_numbers_are_listed():
    result = cleaned(with_subsoil(**LIMESTONE), LIMITS)
    assert excluded(result) == {("pit", 3, "carbon of limestone")}
    assert result.exclusions["value"].item() == "4.91 % carbon at pH 8.0 and 1.79 g cm-3"


@pytest.mark.parametrize(
    "other",
    [
        {"organic_carbon": 15.0},  # minerals alone may be this dense
        {"bulk_density": 1.42},
        {"ph": 7.4},  # lime keeps soil above
        {"bulk_density_method": "ptf_adams"},  # made from the carbon itself
        {"organic_carbon": 130.0},  # muck keeps to no law of mixtures
        {"organic_carbon": np.nan},
        {"bulk_density": np.nan},
        {"ph": np.nan},
    ],
)
def test_carbon_is_limestones_only_where_carbon_density_and_ph_say_so_together(other):
    assert cleaned(with_subsoil(**LIMESTONE | other), LIMITS).exclusions.empty


def test_limestone_stays_where_the_study_keeps_it_or_asks_for_a_higher_ph():
    raw = with_subsoil(**LIMESTONE)
    assert len(cleaned(raw, LIMITS | {"limestone_from_ph": 8.0}).exclusions) == 1
    assert cleaned(raw, LIMITS | {"limestone_from_ph": 8.1}).exclusions.empty
    assert cleaned(raw, LIMITS | {"limestone_from_ph": 0}).exclusions.empty


def test_the_second_layer_of_a_number_goes():
    raw = tables(profile("pit", (0, 0.1, 21), (0.1, 0.5, 11), (0.5, 1, 6)))
    raw.layers["layer"] = [1, 2, 2]
    result = cleaned(raw, LIMITS)
    assert excluded(result) == {("pit", 2, "layer twice")}
    assert result.layers["lower_depth"].tolist() == [0.1, 0.5]


def test_exclusions_list_rule_kind_value_and_source():
    raw = tables(SOUND, profile("bog", (0, 0.1, 250), (0.1, 0.5, 90), (0.5, 1, 80)))
    raw.layers["kind"] = ["mineral"] * 3 + ["organic"] * 3
    result = cleaned(raw, LIMITS)
    columns = ["rule", "kind", "value", "source"]
    assert result.exclusions[columns].values.tolist() == [["implausible density", "organic", "250 kg m-3", "S"]]


def test_a_layer_with_its_middle_above_the_limit_stays_and_the_same_layers_far_apart_are_two_profiles():
    deep = profile("deep", (0, 0.1, 21), (3.6, 4.0, 3.0))
    other = profile("other", (0, 0.1, 20), (0.1, 0.5, 10), (0.5, 1, 5), lon=-99.9)
    assert cleaned(tables(SOUND, deep, other), LIMITS).exclusions.empty


@given(st.permutations(range(6)), st.sampled_from([(-100.0, -99.99), (179.995, -179.995), (-180.0, 180.0)]))
def test_the_same_pit_is_found_in_any_order_of_rows_and_across_180_degrees(order, lon):
    layers = (0, 0.1, 20), (0.1, 0.5, 10), (0.5, 1, 5)
    raw = tables(profile("first", *layers, lon=lon[0]), profile("second", *layers, lon=lon[1]))
    raw = raw._replace(layers=raw.layers.iloc[list(order)])
    assert set(cleaned(raw, LIMITS).exclusions["rule"]) == {"duplicate profile"}


def test_of_two_layers_for_one_depth_the_one_that_starts_higher_stays():
    pit = profile("pit", (0, 0.3, 20), (0, 1.0, 12), (0.3, 1.0, 6))
    assert excluded(cleaned(tables(pit), LIMITS)) == {("pit", 2, "overlapping layers")}


def mass(profile, *percent):
    """The profile with these shares of carbon by mass."""
    for layer, value in zip(profile[1], percent, strict=True):
        layer["organic_carbon"] = 10.0 * value
    return profile


def bodies(n, source, *percent):
    """Sound profiles of a source with these shares, a little different from one another."""
    depths = [(0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1.0)][: len(percent)]
    rng = np.random.default_rng(len(source))
    for k in range(n):
        factor = rng.lognormal(0.0, 0.3)
        layers = [(*bounds, 10.0 * value * factor) for bounds, value in zip(depths, percent, strict=True)]
        place = {"source": source, "lon": -100.0 + 0.1 * k}
        yield mass(profile(f"{source}{k}", *layers, **place), *(factor * value for value in percent))


def test_carbon_that_laboratories_cannot_tell_from_none_is_below_detection_and_zero_is_a_rule_of_its_own():
    bad = mass(profile("bad", (0, 0.1, 20), (0.1, 0.3, 9), (0.3, 0.6, 0.4), (0.6, 1, 0)), 1.5, 0.7, 0.02, 0.0)
    assert excluded(cleaned(tables(SOUND, bad), LIMITS)) == {("bad", 3, "below detection"), ("bad", 4, "zero carbon")}
    kept = cleaned(tables(SOUND, bad), LIMITS | {"min_carbon_percent": 0.0})
    assert excluded(kept) == {("bad", 4, "zero carbon")}


FRACTION = "fraction read as percent"


@pytest.mark.parametrize("factor", [1, 100])
def test_a_layer_a_profile_or_a_source_with_fractions_read_as_percent_is_recognised(factor):
    """A hundredth of what it must be: one layer between two others, all of a profile, and all of a source."""
    sound = [*bodies(30, "A", 2.0, 1.2, 0.8, 0.4), *bodies(30, "C", 1.5, 1.0, 0.7, 0.5), *bodies(9, "D", 3.0, 1.0, 0.9)]
    layer = mass(profile("layer", (0, 0.1, 20), (0.1, 0.3, 12), (0.3, 0.6, 8), source="A"), 2.0, 0.012 * factor, 0.8)
    whole = mass(profile("whole", (0, 0.1, 20), (0.1, 0.3, 12), source="A"), 0.02 * factor, 0.011 * factor)
    source = list(bodies(20, "B", 0.02 * factor, 0.012 * factor))
    found = excluded(
        cleaned(tables(*sound, layer, whole, *source), LIMITS | {"min_soc_kg_m3": 0, "min_carbon_percent": 0})
    )
    wrong = {("layer", 2, FRACTION), ("whole", 1, FRACTION), ("whole", 2, FRACTION)}
    wrong |= {(row["profile_id"], layer["layer"], FRACTION) for row, layers in source for layer in layers}
    assert {row for row in found if row[2] == FRACTION} == (wrong if factor == 1 else set())


def test_poor_soils_a_thin_peat_and_wetlands_are_not_taken_for_fractions():
    sound = [*bodies(30, "A", 2.0, 1.2, 0.8, 0.4), *bodies(20, "peat", 8.0, 6.0)]
    desert = mass(profile("desert", (0, 0.1, 3), (0.1, 0.3, 2), source="A"), 0.15, 0.1)
    falling = mass(profile("falling", (0, 0.1, 50), (0.1, 0.3, 9), (0.3, 0.6, 0.9), source="A"), 45.0, 1.0, 0.06)
    poor = mass(profile("marsh", (0, 0.1, 9), (0.1, 0.3, 8), source="peat", lon=-90.0), 0.3, 0.25)
    assert cleaned(tables(*sound, desert, falling, poor), LIMITS).exclusions.empty


def test_a_profile_that_loses_its_layers_goes_when_fewer_than_two_are_left():
    bad = profile("bad", (0, 0.1, 0.0), (0.1, 0.5, 11))
    assert excluded(cleaned(tables(SOUND, bad), LIMITS)) == {
        ("bad", 1, "zero carbon"),
        ("bad", None, "too few layers"),
        ("bad", 2, "too few layers"),
    }


def test_a_layer_of_a_profile_that_is_not_listed_is_counted():
    _, strays = profile("stray", (0, 0.1, 20))
    row, layers = SOUND
    result = cleaned(ProfileTables(pd.DataFrame([row]), pd.DataFrame(layers + strays)), LIMITS)
    assert excluded(result) == {("stray", 1, "layer without profile")}


def test_an_error_is_raised_when_nothing_is_left():
    with pytest.raises(InputError, match="left no profile of 1.*too few layers"):
        cleaned(tables(profile("only", (0, 0.1, 20))), LIMITS)


def test_the_table_of_rules_has_the_threshold_and_the_count_of_each():
    table = cleaning.rules_table(cleaned(tables(SOUND, profile("bad", (0, 0.1, 21))), LIMITS).account, LIMITS)
    assert table.loc["too few layers", ["threshold", "profiles", "layers"]].tolist() == ["2", 1, 1]


odd = st.one_of(st.floats(-1, 5), st.sampled_from([0.0, 0.1, 0.5, np.nan]))
layer = st.tuples(odd, odd, st.one_of(st.floats(-1, 300), st.just(np.nan)))
pit = st.tuples(
    st.sampled_from([-100.0, -90.0, np.nan]), st.sampled_from([-1, 0]), st.booleans(), st.lists(layer, max_size=5)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(pit, min_size=1, max_size=8))
def test_rows_in_are_rows_out_plus_rows_excluded_for_any_input(made):
    pits = [
        profile(f"p{i}", *layers, lon=lon, cell=cell, has_forcing=forced, source="SR"[i % 2])
        for i, (lon, cell, forced, layers) in enumerate(made)
    ]
    raw = tables(SOUND, *pits)
    result = cleaned(raw, LIMITS)
    whole = result.exclusions["layer"].isna()
    assert len(raw.profiles) == len(result.profiles) + whole.sum()
    assert len(raw.layers) == len(result.layers) + (~whole).sum()
    assert not set(result.profiles["profile_id"]) & set(result.exclusions["profile_id"][whole])
    assert result.layers["profile_id"].value_counts().min() >= 2
    account = result.account
    assert list(account["rule"]) == [rule.name for rule in RULES]
    assert (account["layers_before"].to_numpy()[1:] == account["layers_after"].to_numpy()[:-1]).all()
    by_rule = result.exclusions[whole]["rule"].value_counts()
    lost = (account["profiles_before"] - account["profiles_after"]).set_axis(account["rule"])
    assert (by_rule == lost[by_rule.index]).all()
