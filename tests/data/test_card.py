"""What the data card says of photographs and crops."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.config.data import SplitSettings
from arbiscale.data.examination import examine, jpeg_quality
from arbiscale.data.manifest import Manifest


def encoded(pixels: np.ndarray, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_is_what_it_was_saved_at(quality: int) -> None:
    data = encoded(np.zeros((16, 16, 3), np.uint8), "JPEG", quality=quality)
    assert jpeg_quality(data) == pytest.approx(quality, abs=2)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", encoded(np.zeros((8, 8, 3), np.uint8), "PNG")])
def test_what_is_no_whole_jpeg_has_no_quality(data: bytes) -> None:
    assert jpeg_quality(data) is None


def test_a_photograph_beyond_pillows_limit_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(np.zeros((16, 16, 3), np.uint8), "JPEG", quality=90)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert examine(data)[0].jpeg_quality == pytest.approx(90, abs=2)


def test_colour_and_sharpness_of_a_photograph() -> None:
    flat, _ = examine(encoded(np.full((32, 32, 3), (250, 128, 10), np.uint8), "PNG"))
    assert (flat.mean_colour, flat.sharpness, flat.jpeg_quality) == ("#fa800a", 0.0, None)
    board = np.indices((32, 32)).sum(0) % 2 * 255
    sharp, _ = examine(encoded(np.repeat(board[..., None], 3, 2).astype(np.uint8), "PNG"))
    assert sharp.sharpness == pytest.approx(4 * 255)  # four neighbours of the other colour
    assert sharp.mean_colour == "#808080"


def test_the_card_counts_what_the_manifest_lists(
    cut: Callable[..., Manifest], own: Path, tmp_path: Path, split_settings: SplitSettings
) -> None:
    (own / "<b>.png").write_bytes(b"nothing")
    picture = Image.open(own / "a.png")
    picture.save(own / "copy.jpg", quality=80)
    cut(split=split_settings.model_copy(update={"near_duplicate_bits": 8}))
    card = json.loads((tmp_path / "crops/card.json").read_text())
    counts = {
        name: (part["photographs"], part["scenes"], part["crops"]) for name, part in card["splits"].items()
    }
    assert counts == {
        "train": (3, 3, {"32x32": 18}),
        "validation": (1, 1, {"32x32": 6}),
        "test": (2, 2, {}),
    }
    assert card["licences"] == {"not stated": 6}
    assert sum(map(sum, card["sharpness"]["counts"].values())) == 6
    assert sum(card["jpeg_quality"]["counts"]["test"]) == 1
    assert card["jpeg_quality"]["without"] == 5
    assert [each["source"] for each in card["rejected"]] == ["<b>.png"]
    assert [each["first"] for each in card["near_duplicates"]] == ["a.png"]
    page = (tmp_path / "crops/card.html").read_text()
    assert "&lt;b&gt;.png" in page
    assert "<b>.png" not in page
    assert str(tmp_path) not in page
    assert page.count("<rect") > len(card["colours"]) == 6
