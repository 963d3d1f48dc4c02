"""Land use in one set of classes."""

import numpy as np
import pandas as pd

from proda.data.covariates import CLASSES, class_of_cover, land_use_of_sites


def named(codes):
    return [CLASSES.get(int(code), "") if np.isfinite(code) else "" for code in codes]


def test_the_words_of_several_collections_are_understood():
    words = {
        "wetland": "wetland", "woodyWetlands": "wetland", "Forested Upland": "forest", "evergreenForest": "forest",
        "Shrubland": "shrubland", "shrubScrub": "shrubland", "Non-Natural Woody": "shrubland", "rangeland": "grassland",
        "grasslandHerbaceous": "grassland", "pastureHay": "pasture and hay", "CRP": "pasture and hay",
        "Planted/Cultivated": "cropland", "cultivatedCrops": "cropland", "Developed": "developed", "urban": "developed",
        "Barren": "barren",
    }  # fmt: skip
    found = land_use_of_sites(pd.Series(list(words)), np.full(len(words), 10))
    assert named(found.classes) == list(words.values())
    assert found.told == len(words) and found.not_understood == ()


def test_without_a_word_the_cover_of_the_cell_decides():
    found = land_use_of_sites(pd.Series([None, "wetland", "orchid house", None]), [12, 12, 7, 99])
    assert named(found.classes) == ["cropland", "wetland", "shrubland", ""]
    assert found.told == 1 and found.not_understood == ("orchid house",)


def test_every_class_of_land_cover_has_a_land_use():
    assert all(named(class_of_cover(range(1, 18))))
    assert np.isnan(class_of_cover([0, 18, np.nan])).all()
