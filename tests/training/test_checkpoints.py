from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from arbiscale.errors import UserError
from arbiscale.training.checkpoint_files import resumable_step
from arbiscale.training.checkpoints import WholeCheckpoints
from tests.full_disk import full_disk


def test_a_checkpoint_that_cannot_be_written_leaves_the_former_one(tmp_path: Path) -> None:
    path = tmp_path / "step-000000003.ckpt"
    WholeCheckpoints().write({"global_step": 3}, path)
    with pytest.raises(Exception, match="pickle"):
        WholeCheckpoints().write({"global_step": lambda: 6}, path)
    assert torch.load(path) == {"global_step": 3}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_state_that_is_not_finite_is_refused(tmp_path: Path, poison: float) -> None:
    state: dict[str, Any] = {
        "state_dict": {"weight": torch.ones(3)},
        "optimizer_states": [{"m": torch.ones(2)}],
    }
    path = tmp_path / "step-000000001.ckpt"
    WholeCheckpoints().write(state, path)
    before = path.read_bytes()
    state["optimizer_states"][0]["m"][1] = poison
    with pytest.raises(UserError, match=r"optimizer_states\.0\.m is not finite"):
        WholeCheckpoints().write(state, path)
    assert path.read_bytes() == before


def test_the_step_that_a_state_goes_on_from(tmp_path: Path) -> None:
    assert resumable_step(tmp_path) is None
    for step in (3, 10):
        torch.save({"global_step": step}, tmp_path / f"step-{step:09d}.ckpt")
    assert resumable_step(tmp_path) == 10
    (tmp_path / "step-000000010.ckpt").write_bytes(b"cut off")
    assert resumable_step(tmp_path) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a file's size stands for a full disk")
def test_a_full_disk_is_one_line_and_leaves_the_former_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "step-000000001.ckpt"
    WholeCheckpoints().save_checkpoint({"state_dict": {}}, path)
    before = path.read_bytes()
    with full_disk():
        WholeCheckpoints().save_checkpoint({"state_dict": {"weight": torch.zeros(100_000)}}, path)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"WARNING: {path}: not written, training goes on (")
    assert "is the disk full?" in line
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
