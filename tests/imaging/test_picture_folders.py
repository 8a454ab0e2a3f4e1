"""Which files below a folder are pictures, and why others are left out."""

import os
from pathlib import Path

from PIL import Image

from arbiscale.imaging.picture_folders import find_pictures


def test_what_is_left_out_is_counted_with_its_reason(tmp_path: Path) -> None:
    album, elsewhere = tmp_path / "album", tmp_path / "elsewhere"
    (album / "below").mkdir(parents=True)
    (album / ".thumbnails").mkdir()
    elsewhere.mkdir()
    image = Image.new("RGB", (3, 2))
    for name in ("a.png", "below/B.JPG", "._a.png", ".thumbnails/a.png", "../elsewhere/c.png"):
        image.save(album / name)
    (album / "link.png").symlink_to(elsewhere / "c.png")
    (album / "broken.png").symlink_to("nowhere.png")
    (album / "linked").symlink_to(elsewhere)
    os.mkfifo(album / "pipe.png")
    for index in range(5):
        (album / f"note{index}.txt").touch()
    found = find_pictures(album)
    assert [path.relative_to(album).as_posix() for path in found.files] == [
        "a.png",
        "below/B.JPG",
        "link.png",
    ]
    counts = {reason: len(paths) for reason, paths in found.left_out.items()}
    assert counts == {
        "hidden": 2,
        "linked folders": 1,
        "broken links": 1,
        "no regular files": 1,
        "of other suffixes": 5,
    }
    assert "5 of other suffixes (note0.txt, note1.txt, note2.txt, ...)" in found.summary()
    assert find_pictures(elsewhere).summary() == ""
