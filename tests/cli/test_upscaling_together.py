"""A folder upscaled by several processes, as torchrun starts them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arbiscale.pipeline.crew import Crew
from tests.cli.running import run

MAIN = "from arbiscale.cli.app import main; main()"
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five small pictures."""
    made = tmp_path / "photographs"
    made.mkdir()
    generator = np.random.default_rng(0)
    for number in range(5):
        pixels = generator.integers(0, 256, (8, 8 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(made / f"{number}.png")
    return made


def upscale(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`arbiscale upscale` in two processes."""
    command = [sys.executable, "-m", *TORCHRUN, sys.executable, "-c", MAIN, "upscale"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )


def test_two_processes_upscale_a_folder_as_one_does(
    folder: Path, tmp_path: Path, super_resolution_model: Path
) -> None:
    options = ["--scale", "2", "--model", super_resolution_model, "--steps", "2", "--threads", "1"]
    together = upscale(folder, tmp_path / "two", *options)
    assert together.returncode == 0, together.stderr
    said = re.findall(r"(\d)\.png: \d+x\d+ px in", together.stdout)
    assert sorted(said) == ["0", "1", "2", "3", "4"]  # each once
    assert run("upscale", folder, tmp_path / "one", *options, "--device", "cpu") == 0
    for path in (tmp_path / "one").iterdir():
        drawn, alone = (np.array(Image.open(tmp_path / name / path.name)) for name in ("two", "one"))
        assert np.array_equal(drawn, alone)


def test_failures_of_all_processes_are_counted(
    folder: Path, tmp_path: Path, super_resolution_model: Path
) -> None:
    for number in (0, 1, 2):  # of both processes
        (folder / f"{number}.png").write_bytes(b"no picture")
    options = ["--scale", "2", "--model", super_resolution_model, "--steps", "2"]
    together = upscale(folder, tmp_path / "out", *options)
    assert together.returncode != 0
    assert "error: 3 of 5 pictures could not be upscaled" in together.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["3.png", "4.png"]


def test_each_process_has_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    crews = [Crew(4, rank, rank) for rank in range(4)]
    assert [crew.device("auto") for crew in crews] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert [crew.device("cpu") for crew in crews] == ["cpu"] * 4
    assert Crew().device("auto") == "auto"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert crews[1].device("auto") == "auto"
