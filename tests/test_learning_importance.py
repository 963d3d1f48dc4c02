"""Importance and signs of functions whose dependence on covariates is known."""

import re

import numpy as np
import pandas as pd
import pytest

from proda.data.covariates import LAND_USE, LISTS, PAPER_COVARIATES
from proda.data.virtual_continent import true_parameters, virtual_covariates
from proda.learning.importance import (
    EXPECTATIONS,
    Expectation,
    compare_with_expected_signs,
    covariate_groups,
    group_importance,
    parameter_importance,
)
from proda.model.parameters import PAPER_PARAMETERS

N, DEPTHS = 2000, np.array([1.0, 0.5, 0.25, 0.1])
Q10, TAU = PAPER_PARAMETERS.index("q10"), PAPER_PARAMETERS.index("tau4s3")


@pytest.fixture
def sites(rng) -> pd.DataFrame:
    """Sites whose two climate covariates are correlated; all other covariates are independent."""
    cold, other = rng.standard_normal((2, N))
    return pd.DataFrame(
        {
            "BIO1": cold,
            "BIO12": 0.8 * cold + 0.6 * other,
            "Clay_Content_0cm": rng.uniform(-1.0, 1.0, N),
            "SWC_v_Wilting_Point_0cm": rng.standard_normal(N),
            "IGBP": rng.choice([4.0, 7.0, 12.0], N),
        },
        index=np.arange(N) + 70,
    )


def climate(sites: pd.DataFrame) -> np.ndarray:
    return (3.0 * sites["BIO1"] + 2.0 * sites["BIO12"]).to_numpy()


def texture(sites: pd.DataFrame) -> np.ndarray:
    return 4.0 * sites["Clay_Content_0cm"].to_numpy() ** 3


def soc(sites: pd.DataFrame) -> np.ndarray:
    return 20.0 + DEPTHS * (climate(sites) + texture(sites))[:, None]


def members(sites: pd.DataFrame) -> np.ndarray:
    """Three members: q10 falls with clay, tau4s3 rises with temperature and depends on the class, members differ."""
    x = np.full((3, len(sites), 25), 0.5)
    x[:, :, Q10] = 0.5 - 0.1 * sites["Clay_Content_0cm"].to_numpy()
    land = sites["IGBP"].map({4.0: 0.0, 7.0: 0.1, 12.0: -0.1}).to_numpy()
    tau = 0.05 * sites["BIO1"].to_numpy()
    x[:, :, TAU] = 0.5 + np.array([0.8, 1.0, 1.2])[:, None] * tau + land + np.array([0.0, 0.02, 0.01])[:, None]
    return x


def test_the_error_grows_by_twice_the_variance_that_a_group_explains(sites, rng):
    frame = sites.drop(columns="IGBP")
    observed = soc(frame) + rng.standard_normal((N, 4))
    present = rng.random((N, 4)) < 0.7
    table = group_importance(soc, frame, np.where(present, observed, np.nan), present, 12, seed=3)
    assert list(table["group"]) == ["climate", "soil texture", "soil water"]
    assert list(table["n_columns"]) == [2, 1, 1]
    mean_square = (DEPTHS**2).mean()
    for row, part in ((0, climate), (1, texture)):
        assert table["mse_increase"][row] == pytest.approx(2.0 * mean_square * part(frame).var(), rel=0.05)
        assert table["mse_increase_sd"][row] < 0.1 * table["mse_increase"][row]
    np.testing.assert_array_equal(table.loc[2, ["mse_increase", "mse_increase_sd"]].to_numpy(float), 0.0)
    total = observed[present].var()
    np.testing.assert_allclose(table["efficiency_loss"], table["mse_increase"] / total, rtol=1e-9, atol=1e-12)


def test_the_columns_of_a_group_move_together_and_every_group_of_a_repeat_by_one_permutation():
    values = np.arange(50.0)
    frame = pd.DataFrame({"BIO1": values, "BIO12": values + 100.0, "IGBP": values}, index=np.arange(50)[::-1])
    asked = []

    def predicted(changed):
        assert list(changed.index) == list(frame.index)
        asked.append(changed.to_numpy())
        return changed[["BIO1"]].to_numpy()

    group_importance(predicted, frame, frame[["BIO1"]].to_numpy(), np.ones((50, 1), bool), 2, seed=1)
    _, first_climate, first_land, second_climate, _ = asked
    np.testing.assert_array_equal(first_climate[:, 0] + 100.0, first_climate[:, 1])
    np.testing.assert_array_equal(first_climate[:, 0], first_land[:, 2])
    np.testing.assert_array_equal(first_climate[:, 2], frame["IGBP"])
    assert (first_climate[:, 0] != second_climate[:, 0]).any()


def test_the_share_of_a_group_in_a_parameter_is_its_share_of_the_variance(sites):
    table = parameter_importance(members, sites, ["q10", "tau4s3", "beta"], n_repeats=20, seed=2)
    share = table.pivot_table("share", "parameter", "group", dropna=False)
    assert share.loc["q10", "soil texture"] == pytest.approx(1.0, abs=0.02)
    assert share.loc["tau4s3", "soil texture"] == share.loc["q10", "climate"] == 0.0
    parts = {"climate": 0.05**2 * sites["BIO1"].var(), "land cover and use": 0.01 * 2.0 / 3.0}
    for group, part in parts.items():
        assert share.loc["tau4s3", group] == pytest.approx(part / sum(parts.values()), abs=0.03)
    assert share.loc["beta"].isna().all()


def test_the_true_parameters_of_the_virtual_continent_depend_on_what_they_were_made_from(rng):
    frame = virtual_covariates(rng.uniform(-120, -75, 800), rng.uniform(30, 48, 800), seed=4)

    def truth(changed):
        return true_parameters(changed, PAPER_PARAMETERS).T[None]

    names = ["tau4s3", "tau4s2", "maxpsi"]
    table = parameter_importance(truth, frame, names, n_repeats=3)
    decisive = table[table["share"] > 1e-9].groupby("parameter")["group"].agg(set)
    assert decisive["tau4s3"] == {"climate", "soil texture", "soil chemistry"}
    assert decisive["tau4s2"] == {"climate", "soil chemistry", "soil density and stones"}
    assert decisive["maxpsi"] == {"soil texture"}


def test_every_covariate_of_the_lists_has_a_group_and_nothing_is_dropped():
    for rows in LISTS.values():
        names = [row.name for row in rows]
        groups = covariate_groups(names)
        assert "other" not in groups
        assert sorted(sum(groups.values(), [])) == sorted(names)
    more = ["IGBP=4", "koppen_class=-1", LAND_USE.name, "gravity", "gravity=2"]
    groups = covariate_groups([*PAPER_COVARIATES, *more])
    assert groups["land cover and use"] == ["IGBP", "IGBP=4", LAND_USE.name]
    assert groups["climate class"] == ["Climate", "koppen_class=-1"]
    assert groups["other"] == ["gravity", "gravity=2"]
    assert groups["soil water"] == [f"SWC_v_Wilting_Point_{depth}" for depth in ("0cm", "30cm", "100cm")]


@pytest.fixture
def soils(rng) -> pd.DataFrame:
    return pd.DataFrame({"clay_fraction": rng.random(400), "sand_fraction": rng.random(400)})


def sloped(*slopes: float):
    """Members whose passive turnover follows clay with one slope each, and whose fs1s2 falls with sand."""

    def predicted(frame: pd.DataFrame) -> np.ndarray:
        x = np.full((len(slopes), len(frame), 25), 0.5)
        x[:, :, TAU] += np.outer(slopes, frame["clay_fraction"])
        x[:, :, PAPER_PARAMETERS.index("fs1s2")] -= 0.2 * frame["sand_fraction"].to_numpy()
        return x

    return predicted


@pytest.mark.parametrize(
    ("slopes", "found"),
    [
        ((0.3, 0.2), "as expected"),
        ((-0.3, -0.2), "against it"),
        ((0.3, -0.2), "undecided"),
        ((0.004, 0.005), "undecided"),
    ],
)
def test_signs_are_compared_and_members_that_disagree_decide_nothing(soils, slopes, found):
    signs = compare_with_expected_signs(sloped(*slopes), soils).set_index("parameter")
    assert signs.loc["tau4s3", "found"] == found and signs.loc["fs1s2", "found"] == "as expected"
    assert signs.loc["tau4s3", "change"] == pytest.approx(np.mean(slopes) * 0.96, abs=0.02)


def test_expectations_about_covariates_that_are_not_there_or_do_not_vary_are_left_out(soils):
    same = soils.assign(sand_fraction=np.where(np.arange(400) == 7, 0.9, 0.4))
    assert set(compare_with_expected_signs(sloped(0.3), same)["covariates"]) == {"clay_fraction"}
    nothing = compare_with_expected_signs(sloped(0.3), soils, [Expectation("q10", "BIO1", 1, "nobody")])
    assert nothing.empty


def test_every_expectation_is_of_a_known_parameter_and_a_covariate_of_some_study():
    known = {covariate.name for rows in LISTS.values() for covariate in rows}
    for expected in EXPECTATIONS:
        assert expected.parameter in PAPER_PARAMETERS.names and expected.sign in (-1, 1)
        assert any(re.fullmatch(expected.pattern, name) for name in known), expected
