"""The stereo pair is the pair of scikit-image, and each of its pictures names the other."""

import numpy as np
import skimage.data

from dashboard.samples import SAMPLES, find_sample
from dashboard.services.pictures import sample_picture


def test_pairs_name_each_other() -> None:
    pairs = {sample.name: sample.pair for sample in SAMPLES if sample.pair}
    assert pairs == {"motorcycle_left": "motorcycle_right", "motorcycle_right": "motorcycle_left"}
    assert all(find_sample(name) for name in pairs.values())


def test_the_left_eye_is_the_left_one() -> None:
    left, right, _ = skimage.data.stereo_motorcycle()
    np.testing.assert_array_equal(sample_picture("motorcycle_left").pixels, left)
    np.testing.assert_array_equal(sample_picture("motorcycle_right").pixels, right)
