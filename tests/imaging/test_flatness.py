"""Where a picture is flat."""

import pytest
import torch

from arbiscale.imaging import flatness
from arbiscale.imaging.flatness import flat_areas


def test_flat_is_what_is_equal_within_two_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.zeros(1, 3, 20, 16)
    image[0, 1, 10, 7] = 3 / 255
    expected = torch.ones(20, 16)
    expected[8:13, 5:10] = 0
    for rows in (512, 7):
        monkeypatch.setattr(flatness, "_ROWS", rows)
        found = flat_areas(image)
        assert found is not None
        torch.testing.assert_close(found[0, 0].float(), expected)


def test_noise_is_nowhere_flat() -> None:
    assert flat_areas(torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))) is None
