"""Colours of transparent pixels."""

import numpy as np

from arbiscale.imaging.picture import Picture
from arbiscale.imaging.transparency import fill_hidden


def test_hidden_colours_are_those_around_them() -> None:
    colour = np.zeros((9, 13, 3), np.uint8)
    alpha = np.zeros((9, 13), np.uint8)
    colour[2:5, 3:6], alpha[2:5, 3:6] = (250, 240, 60), 255
    colour[3, 4], alpha[3, 5] = (10, 20, 30), 1
    filled = fill_hidden(Picture(colour, alpha)).colour
    np.testing.assert_array_equal(filled[alpha > 0], colour[alpha > 0])
    beside = filled[1, 3:6].astype(int)
    assert np.abs(beside - [250, 240, 60]).max() <= 90  # rather than black
    assert filled.min() >= 10
    assert np.abs(filled[0, 12].astype(int) - filled[8, 12]).max() < 100


def test_nothing_is_changed_where_all_is_seen_or_nothing() -> None:
    colour = np.random.default_rng(0).integers(0, 65536, (5, 6, 1), dtype=np.uint16)
    for picture in (
        Picture(colour),
        Picture(colour, np.full((5, 6), 7, np.uint16)),
        Picture(colour, np.zeros((5, 6), np.uint16)),
    ):
        assert fill_hidden(picture) is picture


def test_one_colour_fills_all() -> None:
    colour = np.zeros((40, 30, 1), np.uint16)
    alpha = np.zeros((40, 30), np.uint16)
    colour[20, 11], alpha[20, 11] = 4321, 9
    np.testing.assert_array_equal(fill_hidden(Picture(colour, alpha)).colour, 4321)
