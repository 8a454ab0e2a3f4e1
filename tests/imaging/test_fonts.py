"""The font of labels."""

from arbiscale.imaging.sheets import label_font


def test_letters_beyond_ascii_are_drawn():
    font = label_font(14)
    unknown = bytes(font.getmask("\uffff"))  # the box that stands for a missing letter
    for letter in "äøЖλ":
        drawn = bytes(font.getmask(letter))
        assert any(drawn)
        assert drawn != unknown
    assert label_font(28).getlength("m") > font.getlength("m")
