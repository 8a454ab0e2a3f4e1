"""Twenty steps of every training, to the bit: a refactoring leaves golden_losses.txt as it is.

Bits are those of any x86-64 processor: the trainings run in a process whose matrix products, convolutions
and vector functions use the oldest instruction set. A change that is meant to change what is computed writes
the file again: `ARBISCALE_GOLDEN=write pytest tests/training/test_golden_losses.py`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arbiscale.config.align import AlignSettings
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.training import TrainingSettings
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.training.alignment import SampleAlignment, TimestepAlignment
from arbiscale.training.autoencoder import AutoencoderTraining
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.fit import fit
from arbiscale.training.module import TrainingModule

GOLDEN = Path(__file__).with_name("golden_losses.txt")
OUT = "ARBISCALE_GOLDEN_OUT"  # where the inner process writes
ANY_PROCESSOR = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
STEPS = 20

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the bits are those of x86-64")


def test_losses_are_the_golden_ones(tmp_path: Path) -> None:
    out = tmp_path / "losses.txt"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-o", "python_functions=record_twenty_steps", __file__]
    environment = {**os.environ, **ANY_PROCESSOR, OUT: str(out)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if os.environ.get("ARBISCALE_GOLDEN") == "write":
        GOLDEN.write_text(out.read_text())
    assert out.read_text() == GOLDEN.read_text()


def record_twenty_steps(
    autoencoder_training: Callable[..., AutoencoderTraining],
    training_settings: Callable[..., TrainingSettings],
    align_settings: Callable[..., AlignSettings],
    baseline_training: Callable[..., TrainingModule],
    model: Callable[..., LatentDiffusion],
    runtime: RuntimeSettings,
    crops: Callable[..., Any],
    images: Tensor,
    recorder: Any,
    tmp_path: Path,
) -> None:
    torch.backends.mkldnn.set_flags(False)
    weights_dir = _alexnet(tmp_path / "weights")
    training = training_settings(steps=STEPS)
    samples = {
        "sampling": {"steps": 3, "spacing": "trailing", "eta": 0.5},
        "gradient_steps": 2,
        "training": training.model_dump(),
    }
    align = align_settings(
        decoder_lr=1e-4, lpips_weight=0.1, decode_px=32, timesteps=training.model_dump(), samples=samples
    )
    plain = autoencoder_training(
        grid_weight=0.5, training=training.model_dump(), target_px=[32, 48], decode_px=32
    )
    gaussian = autoencoder_training(
        network={"posterior": "gaussian"},
        kl_weight=1e-3,
        training=training_settings(steps=STEPS, schedule="constant", gradient_clip=0.0).model_dump(),
    )
    flow = {"kind": "flow", "width": 8, "layers": 1, "frequencies": 4, "flow_layers": 2}
    fourier = {"kind": "fourier", "width": 8, "layers": 2, "frequencies": 4}
    linf = baseline_training(
        "linf",
        training=training_settings(steps=STEPS // 2, schedule="halved").model_dump(),
        fine_tuning={"steps": STEPS // 2, "perceptual_weight": 0.025},
        input_px=32,
        scales=[1, 2],
        decode_px=32,
        weights_dir=weights_dir,
    )
    modules: dict[str, TrainingModule] = {
        "autoencoder": plain,
        "autoencoder of a Gaussian posterior": gaussian,
        "diffusion": DiffusionTraining(training, 1e-3, model()),
        "diffusion of generation": DiffusionTraining(training, 1e-3, model("generation", "epsilon")),
        "align_timesteps": TimestepAlignment(align, model(), weights_dir),
        "align_samples": SampleAlignment(align, model(), weights_dir),
        "align_samples of generation": SampleAlignment(align, model("generation"), weights_dir),
        "autoencoder with a Fourier head": autoencoder_training(
            network={"head": fourier}, training=training.model_dump()
        ),
        "autoencoder with a flow over patches": autoencoder_training(
            network={"head": flow | {"patch_px": 3}}, training=training.model_dump()
        ),
        "align_timesteps with a flow": TimestepAlignment(align, model(head=flow), weights_dir),
        "align_samples with a flow": SampleAlignment(align, model(head=flow), weights_dir),
        "liif": baseline_training("liif", training=training.model_dump()),
        "linf": linf,
    }
    lines = []
    for name, module in modules.items():
        assert module.left_out == []
        recorder.metrics.clear()
        scratch = tmp_path / name
        scratch.mkdir()
        train = crops(side_px=64 if name == "linf" else 32)
        fit(module, train, [images], runtime=runtime, seed=0, scratch=scratch, recorder=recorder)
        for step, values in recorder.metrics:
            lines += [
                f"{name} {step} {metric} {value!r}"
                for metric, value in sorted(values.items())
                if metric.startswith(("train/", "validation/"))
            ]
        weights = hashlib.sha256()
        for network, _ in module.learning().values():
            for tensor in network.state_dict().values():
                weights.update(tensor.numpy().tobytes())
        lines.append(f"{name} weights {weights.hexdigest()}")
    Path(os.environ[OUT]).write_text("\n".join(lines) + "\n")


def _alexnet(folder: Path) -> str:
    """A folder with AlexNet's convolutions, of random weights: what LPIPS needs."""
    generator = torch.Generator().manual_seed(0)
    shapes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    state = {}
    for layer, (wide, narrow, side) in shapes.items():
        kernels = torch.randn((wide, narrow, side, side), generator=generator)
        state[f"features.{layer}.weight"] = kernels * (2 / (narrow * side**2)) ** 0.5
        state[f"features.{layer}.bias"] = torch.zeros(wide)
    folder.mkdir()
    torch.save(state, folder / "alexnet_features.pt")
    return str(folder)
