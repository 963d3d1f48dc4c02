"""Expected signs are judged as they are, and what members disagree about is not decided."""

import numpy as np
import pandas as pd
import pytest

from proda.data.covariates import LISTS
from proda.learning.importance import EXPECTATIONS, Expectation, compare_with_expected_signs
from proda.learning.scores import shares_near_bounds
from proda.model.parameters import PAPER_PARAMETERS

TAU, SAND = PAPER_PARAMETERS.index("tau4s3"), PAPER_PARAMETERS.index("fs1s2")


@pytest.fixture
def frame(rng) -> pd.DataFrame:
    return pd.DataFrame({"clay_fraction": rng.random(400), "sand_fraction": rng.random(400)})


def members(*slopes: float):
    """Members whose passive turnover follows clay with one slope each, and whose fs1s2 falls with sand."""

    def predicted(frame: pd.DataFrame) -> np.ndarray:
        x = np.full((len(slopes), len(frame), 25), 0.5)
        x[:, :, TAU] += np.outer(slopes, frame["clay_fraction"])
        x[:, :, SAND] -= 0.2 * frame["sand_fraction"].to_numpy()
        return x

    return predicted


def test_a_parameter_that_rises_as_expected_is_told_with_its_change(frame):
    found = compare_with_expected_signs(members(0.3, 0.2), frame).set_index("parameter")
    assert found.loc["tau4s3", "found"] == found.loc["fs1s2", "found"] == "as expected"
    assert found.loc["tau4s3", "change"] == pytest.approx(0.25 * 0.96, abs=0.02)
    assert found.loc["fs1s2", "expected"] == "falls" and found.loc["fs1s2", "change"] < -0.15


def test_one_that_goes_the_other_way_is_against_it(frame):
    found = compare_with_expected_signs(members(-0.3, -0.2), frame).set_index("parameter")
    assert found.loc["tau4s3", "found"] == "against it"


@pytest.mark.parametrize("slopes", [(0.3, -0.2), (-0.01, 0.2, 0.2, 0.2), (0.004, 0.005)])
def test_members_that_disagree_or_hardly_answer_decide_nothing(frame, slopes):
    found = compare_with_expected_signs(members(*slopes), frame).set_index("parameter")
    assert found.loc["tau4s3", "found"] == "undecided"


def test_columns_that_rise_with_a_covariate_can_be_taken_along(frame):
    deeper = frame.assign(deep_clay=frame["clay_fraction"] ** 2)

    def of_both(given: pd.DataFrame) -> np.ndarray:
        x = members(0.1)(given)
        x[:, :, TAU] += 0.2 * given["deep_clay"].to_numpy()
        return x

    bare, joined = (
        compare_with_expected_signs(of_both, deeper, together=together).set_index("parameter").loc["tau4s3", "change"]
        for together in ({}, {"clay_fraction": ["deep_clay"]})
    )
    assert bare == pytest.approx(0.1 * 0.96, abs=0.02) and joined == pytest.approx(0.3 * 0.96, abs=0.03)


def test_covariates_that_are_not_there_or_do_not_vary_are_left_out(frame):
    same = frame.assign(sand_fraction=0.4)
    assert set(compare_with_expected_signs(members(0.3), same)["covariate"]) == {"clay_fraction"}
    assert compare_with_expected_signs(members(0.3), frame[["sand_fraction"]].assign(clay_fraction=0.2)).shape[0] == 1
    nearly = frame.assign(sand_fraction=np.where(np.arange(400) == 7, 0.9, 0.4))
    assert set(compare_with_expected_signs(members(0.3), nearly)["covariate"]) == {"clay_fraction"}
    nothing = compare_with_expected_signs(members(0.3), frame, [Expectation("q10", ("BIO1",), 1, "nobody")])
    assert nothing.empty and "found" in nothing


def test_every_expectation_is_of_a_known_parameter_and_a_covariate_of_some_study():
    known = {covariate.name for rows in LISTS.values() for covariate in rows}
    for expected in EXPECTATIONS:
        assert expected.parameter in PAPER_PARAMETERS.names and expected.sign in (-1, 1)
        assert known & set(expected.names), expected.names


def test_shares_at_the_walls_are_counted_parameter_by_parameter():
    x = np.full((2, 10, 25), 0.5)
    x[0, :4, TAU], x[1, :6, TAU] = 0.01, 0.99
    found = shares_near_bounds(x)
    assert found.index[0] == "tau4s3" and found.loc["tau4s3"].tolist() == [0.2, 0.3, 0.5]
    assert (found.drop("tau4s3") == 0.0).all(axis=None)
