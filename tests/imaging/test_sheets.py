"""Sheets: their font, their captions, rows of any length."""

import numpy as np

from arbiscale.imaging.sheets import Row, Tile, draw_sheet, label_font, shortened

WHITE = np.full((32, 32, 3), 255, np.uint8)


def test_letters_beyond_ascii_are_drawn():
    font = label_font(14)
    unknown = bytes(font.getmask("\uffff"))  # the box that stands for a missing letter
    for letter in "äøЖλ":
        drawn = bytes(font.getmask(letter))
        assert any(drawn)
        assert drawn != unknown
    assert label_font(28).getlength("m") > font.getlength("m")


def test_a_row_without_pictures_shows_its_title():
    empty, one = (draw_sheet([Row("validation", tiles)]) for tiles in ([], [Tile(WHITE, "label", "caption")]))
    assert (empty < 200).any()
    assert one.shape[0] > empty.shape[0]


def test_long_captions_are_shortened():
    assert shortened("a", 100) == "a"
    assert shortened("a" * 50, 100).endswith("a...")
    assert draw_sheet([Row("", [Tile(WHITE, caption=shortened("a" * 99, 160))])]).shape[1] <= 190
