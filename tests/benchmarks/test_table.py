"""The table of the benchmark protocol: means, and what the first row has over the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from arbiscale.evaluation.peers import load_row
from arbiscale.evaluation.store import Scratch
from arbiscale.imaging.writing import write_image
from benchmarks.table import as_markdown, measured
from tests.stand_ins import NO_NETWORKS, StandIn, texture


def test_rows_have_means_and_differences_to_the_first(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write_image(tmp_path / f"set/{name}.png", texture(64, seed))
        for scale in (2, 3, 4):
            side = 64 // scale * scale
            write_image(
                tmp_path / f"drawn/benchmark/set/x{scale}/{name}.png", texture(64, seed)[:side, :side]
            )
    rows: dict[str, Any] = {
        "first": StandIn("super_resolution"),
        "worse": StandIn("super_resolution", 0.2),
        "perfect": load_row(f"folder:{tmp_path / 'drawn'}", "cpu"),
    }
    found = measured(rows, {"set": str(tmp_path / "set")}, Scratch(tmp_path / "scratch"), NO_NETWORKS)
    of_x4 = [each for each in found if each.metric == "psnr" and each.group.endswith("x4")]
    over = {each.row + each.over: each for each in of_x4}
    assert over["perfect"].mean == 100
    assert over["firstperfect"].mean == pytest.approx(over["first"].mean - 100)
    assert over["firstworse"].low > 5
    lines = [*as_markdown(found, "first")]
    assert len(lines) == 2 + 3 * 5  # bicubic and lanczos beside them
    (line,) = (line for line in lines if line.startswith("| set/x4 | perfect |"))
    assert line.startswith("| set/x4 | perfect | 100.00 | 1.0000 |")
    (own,) = (line for line in lines if line.startswith("| set/x4 | first |"))
    assert own.endswith("|  |  |")  # nothing over itself
