"""Similarities and rankings are made once for all sessions, and never mixed up."""

import numpy as np

from dashboard.services import heads, pictures
from tests.dashboard.support import analyse, ignore


def test_a_similarity_is_computed_once_for_all_sessions() -> None:
    analysis = analyse(pictures.sample_picture("scene_1"), "demo_vit_p16", 96, ignore)
    first = heads.similarity(analysis, (1, 1))
    assert heads.similarity(analysis, (1, 1)) is first
    other = heads.similarity(analysis, (4, 6))
    assert not np.array_equal(other.divergence, first.divergence)
    ranked = heads.rankings(analysis, (1, 1), count=5, redundant_bits=0.05)
    assert heads.rankings(analysis, (1, 1), count=5, redundant_bits=0.05) is ranked
    assert heads.rankings(analysis, (1, 1), count=4, redundant_bits=0.05) is not ranked
    assert heads.rankings(analysis, (1, 1), count=5, redundant_bits=0.3) != ranked
    assert heads.rankings(analysis, (4, 6), count=5, redundant_bits=0.05) != ranked


def test_one_picture_in_two_models_or_sizes_has_two_similarities() -> None:
    made = [
        heads.similarity(analyse(pictures.sample_picture(picture), model, size, ignore), "cls").divergence
        for picture, model, size in (
            ("scene_1", "demo_vit_p16", 96),
            ("scene_1", "random_demo_vit_p16", 96),
            ("scene_1", "demo_vit_p16", 128),
            ("scene_2", "demo_vit_p16", 96),
        )
    ]
    assert all(not np.array_equal(one, made[0]) for one in made[1:])
