from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.training.checkpoint_files import (
    BEST,
    checkpoint_file,
    checkpoints,
    newest_whole,
    resumable_step,
    step_of,
)
from arbiscale.training.checkpoints import WholeCheckpoints
from arbiscale.training.module import TrainingModule, Validation
from tests.full_disk import full_disk

from .conftest import different


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


def test_the_best_validation_is_kept_besides_the_last_three(
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    recorder: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = iter([9.0, 1.0, 3.0, 2.0, 2.5, 2.0, 1.0])  # the first is of the pictures before the first step
    module = make_module("liif")
    monkeypatch.setattr(module, "validate", lambda images: Validation({"psnr": next(figures)}))
    run(module, crops(), validate_every_steps=1, checkpoint_every_steps=1)
    scratch = tmp_path / "scratch"
    assert [step_of(path) for path in checkpoints(scratch)] == [6, 5, 4]
    assert [step_of(path) for path in checkpoints(scratch, BEST)] == [2]
    assert newest_whole(scratch) == checkpoint_file(scratch, 6)
    for path in checkpoints(scratch):
        path.write_bytes(b"cut off")
    assert newest_whole(scratch) == checkpoint_file(scratch, 2, BEST)


def test_a_full_disk_does_not_end_a_training(
    make_module: Callable[[str], TrainingModule],
    run: Callable[..., dict[str, Tensor]],
    crops: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    undisturbed = run(make_module("liif"), crops(), "undisturbed")
    save, calls = torch.save, iter(range(99))

    def full(*arguments: Any, **keywords: Any) -> None:
        if next(calls) >= 1:
            raise OSError(28, "No space left on device")
        save(*arguments, **keywords)

    monkeypatch.setattr(torch, "save", full)
    weights = run(make_module("liif"), crops(), checkpoint_every_steps=2)
    assert different(undisturbed, weights) == []
    assert len(checkpoints(tmp_path / "scratch")) == 1  # the former one stays
    assert "not written, training goes on" in capsys.readouterr().err
