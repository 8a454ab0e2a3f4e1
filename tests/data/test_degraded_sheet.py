"""The sheet shows crops, clean and degraded, the same at every call."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from arbiscale.config.degradation import RealisticSettings
from arbiscale.data.degradation import Degradation
from arbiscale.data.degraded_sheet import draw_degraded
from arbiscale.data.manifest import Manifest


def test_the_sheet_shows_clean_and_degraded_pictures(cut: Callable[..., Manifest], tmp_path: Path) -> None:
    cut()
    sheets = [
        draw_degraded(tmp_path / "crops", 4, Degradation(RealisticSettings(), seed)) for seed in (0, 0, 1)
    ]
    assert sheets[0].dtype == np.uint8
    assert np.array_equal(sheets[0], sheets[1])
    differing = np.flatnonzero((sheets[0] != sheets[2]).any((0, 2)))
    width = sheets[0].shape[1]
    assert differing.min() > width / 5  # the clean column is the same
    assert differing.max() > width * 4 / 5
