"""The measurement of few steps, on a tiny model: what it compares with what, and whom it calls no worse."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from arbiscale.evaluation.pairs import Pairs
from arbiscale.inference.loading import load_model
from arbiscale.metrics.quality import psnr
from arbiscale.models.folder import ModelConfig, save_latent_diffusion
from arbiscale.models.latent_diffusion import LatentDiffusion
from benchmarks import steps
from benchmarks.steps import Compared, Outcome, as_figures, few_steps, fewest
from benchmarks.steps_plot import write_curve
from tests.stand_ins import still, texture

CPU = torch.device("cpu")


def outcome(sampler: str, count: int, psnr: float, lpips: float, spread: float = 0.0) -> Outcome:
    compared = [
        Compared(mean * ratio, ratio, ratio - spread, ratio + spread)
        for mean, ratio in ((24.0, psnr), (0.4, lpips))
    ]
    return Outcome(sampler, count, *compared, seconds=0.1 * count)


OUTCOMES = [
    outcome("ddim", 1, 1.03, 1.02),  # LPIPS too far
    outcome("ddim", 2, 0.989, 0.9),  # PSNR too far
    outcome("ddim", 4, 0.995, 1.005, spread=0.006),  # perhaps
    outcome("ddim", 8, 0.995, 1.005, spread=0.004),
    outcome("ddim", 200, 1.0, 1.0),
    outcome("unipc", 4, 0.9, 1.2),
]


def test_the_fewest_steps_no_worse() -> None:
    found = {figure.name: figure.value for figure in fewest(OUTCOMES, "model")}
    assert found == {"ddim, by the means": 4, "ddim, by the intervals": 8}  # and none of unipc's


def test_an_outcome_in_the_table() -> None:
    figures = list(as_figures(OUTCOMES[2], "model", 200))
    assert {figure.benchmark for figure in figures} == {"model x4, ddim, 4 steps"}
    assert [(figure.name, figure.text) for figure in figures] == [
        ("s a picture", "0.4"),
        ("PSNR, dB", "23.88"),
        ("PSNR / in 200 of ddim", "0.995 [0.989, 1.001]"),
        ("LPIPS", "0.402"),
        ("LPIPS / in 200 of ddim", "1.005 [0.999, 1.011]"),
    ]


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_curve_is_drawn(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"curve{suffix}"
    write_curve(path, OUTCOMES, "model")
    if suffix == ".png":
        assert path.read_bytes().startswith(b"\x89PNG")
        return
    words = {element.text for element in ElementTree.parse(path).iter() if element.text}
    assert {"model, x4", "ddim", "unipc", "PSNR / 24.00 dB of 200 DDIM steps", "200"} <= words


def test_the_crops_are_those_of_held_out_photographs() -> None:
    pairs = steps.held_out_pairs(CPU)
    assert sorted(picture.photograph for picture in pairs.pictures) == sorted(2 * steps.SCENES)
    assert (pairs.truth.shape, pairs.low.shape) == ((6, 3, 256, 256), (6, 3, 64, 64))


class Distance(torch.nn.Module):
    """In place of LPIPS, whose weights may be missing."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).abs().mean((1, 2, 3))


@pytest.fixture
def measured(
    tmp_path: Path,
    model_config: Callable[..., ModelConfig],
    make_model: Callable[[ModelConfig], LatentDiffusion],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Path, Pairs, list[Outcome]]:
    """A model, two small pictures, and what it draws of them in 1, 2 and 5 steps, twice."""
    config = model_config()
    save_latent_diffusion(tmp_path / "model", config, make_model(config))
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand((2, 3, 48, 48), generator=generator) * 2 - 1
    pictures = [still(name, texture(1, 0)) for name in "ab"]
    pairs = Pairs(pictures, truth, torch.nn.functional.avg_pool2d(truth, 4))
    monkeypatch.setattr(steps, "held_out_pairs", lambda device: pairs)
    outcomes = few_steps(tmp_path / "model", [5, 1, 2], 2, Distance(), CPU)
    return tmp_path / "model", pairs, list(outcomes)


def test_every_way_is_measured_once(measured: tuple[Path, Pairs, list[Outcome]]) -> None:
    outcomes = measured[2]
    ways = [("ddim", 1), ("ddim", 2), ("ddim", 5), *((solver, n) for solver in steps.SOLVERS for n in (2, 5))]
    assert [(each.sampler, each.steps) for each in outcomes] == ways
    assert all(each.seconds > 0 for each in outcomes)
    for found in (outcomes[2].psnr, outcomes[2].lpips):  # the reference, over itself
        assert (found.ratio, found.low, found.high) == (1, 1, 1)


def test_ratios_are_of_the_same_seed_and_picture(measured: tuple[Path, Pairs, list[Outcome]]) -> None:
    folder, pairs, outcomes = measured
    model = load_model(folder, "cpu", sampling=None)
    model.sampling = model.sampling.model_copy(update={"spacing": "trailing", "eta": 0.0})

    def drawn(count: int, seed: int) -> np.ndarray:
        latent = model.sample_latents(pairs.low, sampler="ddim", steps=count, seed=seed)
        images = model.decode(latent, (48, 48), low_resolution=pairs.low)
        shown, truth = ((each.clamp(-1, 1) + 1) / 2 for each in (images, pairs.truth))
        return psnr((shown * 255).round() / 255, (truth * 255).round() / 255).numpy()

    ratios = np.stack([drawn(2, seed) / drawn(5, seed) for seed in range(2)])  # (seeds, pictures)
    found = outcomes[1].psnr
    assert found.ratio == pytest.approx(ratios.mean(), abs=1e-6)
    # Of two photographs: 1/4 of the draws take one twice, 1/4 the other.
    assert (found.low, found.high) == pytest.approx(sorted(ratios.mean(0)), abs=1e-6)
