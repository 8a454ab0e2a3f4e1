"""The table of the benchmark protocol: means, and what the first row has over the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arbiscale.evaluation.peers import load_row
from arbiscale.evaluation.store import Scratch
from arbiscale.imaging.writing import write_image
from arbiscale.inference.latent_model import LatentModel
from benchmarks.table import Drawn, as_markdown, main, measured
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


def test_rows_are_drawn_as_a_self_ensemble_and_consistent(tmp_path: Path, upscaler: LatentModel) -> None:
    pixels = texture(64, 0)
    write_image(tmp_path / "set/a.png", pixels)
    rows: dict[str, Any] = {
        "plain": upscaler,
        "mean": Drawn(upscaler, self_ensemble=True, consistent=False),
        "consistent": Drawn(upscaler, self_ensemble=False, consistent=True),
    }
    found = measured(rows, {"set": str(tmp_path / "set")}, Scratch(tmp_path / "scratch"), NO_NETWORKS)
    psnr = {each.row: each.mean for each in found if each.metric == "psnr" and not each.over}
    assert psnr["mean"] > psnr["plain"]  # as of any mean of pictures that are off in their own ways
    assert psnr["consistent"] > psnr["plain"]
    assert rows["mean"].identity.endswith("self-ensemble")
    assert rows["consistent"].identity.endswith(" consistent")


@pytest.mark.parametrize("row", ["first", "drawn", "missing"])
def test_rows_that_cannot_be_one(
    tmp_path: Path, save_linf: Callable[..., Path], row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "drawn").mkdir()
    rows = [f"first={save_linf()}", f"drawn=folder:{tmp_path / 'drawn'}"]
    with pytest.raises(SystemExit):
        main([*rows, "--sets", "a=b", "--scratch", str(tmp_path), "--self-ensemble", row])
    assert f"{row}: is no model's row behind the first" in capsys.readouterr().err
