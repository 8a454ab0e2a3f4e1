"""An evaluation of two small scales by stand-ins, and facts about it whose every name is hostile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from arbiscale.evaluation.intervals import intervals
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.scores import Evaluation, OperatingPoint, Setting
from arbiscale.report.document import render
from arbiscale.report.facts import Facts, StageRecord, Training
from tests.stand_ins import Still, still, upscaled

HOSTILE = """</script><img src=x onerror=alert(1)> '"&{{ 7 * 7 }}"""


@pytest.fixture
def make_evaluation(stand_in: Callable[..., Any], crops: list[Still]) -> Callable[..., Evaluation]:
    """Makes evaluations of 64-px crops; `error` spoils the model, `named` renames the photographs."""

    def make(scales: tuple[float, ...] = (2, 4), error: float = 0.02, named: str = "") -> Evaluation:
        models = {"autoencoder": stand_in("reconstruction"), "diffusion": stand_in("super_resolution", error)}
        shown = [still(f"{named}{crop.name}", crop.pixels, named + crop.photograph) for crop in crops]
        networks = MetricNetworks({"lpips": None})
        return upscaled(models, shown, scales, networks=networks)

    return make


@pytest.fixture
def points() -> list[OperatingPoint]:
    """Of bicubic, and of diffusion at two numbers of steps and two etas, of which one does not matter."""
    settings = [Setting("steps", steps, eta) for eta in (0.0, 1.0) for steps in (4, 1)]
    values = [(24.25, 0.3125), (25.5, 0.4375), (24.0, 0.28125), (25.5, 0.4375)]
    drawn = [
        OperatingPoint("diffusion", 4.0, setting, *value)
        for setting, value in zip(settings, values, strict=True)
    ]
    return [OperatingPoint("bicubic", 4.0, Setting(), 23.0, 0.5), *drawn]


@pytest.fixture
def facts() -> Facts:
    """Of a run after two trainings, one of which the store has lost."""
    curve = [(step, 1 / (1 + step)) for step in range(0, 500, 2)]
    return Facts(
        run_id="0123456789abcdef",
        tags={
            "git_commit": "f" * 40,
            "git_dirty": "true",
            "data_hash": "d" * 64,
            "python": "3.11",
            "torch": "2.11",
            "chosen_on": "validation scenes, 1: v",
            "reported_on": "test scenes, 1: a",
        },
        seed=7,
        written="2026-01-02 03:04 UTC",
        device="cpu",
        seconds=61.4,
        upstream=[
            StageRecord("crop", "crop-run", 1.5, "e" * 40, False),
            StageRecord("autoencoder", "autoencoder-run", 75.0, "e" * 40, False),
            StageRecord("diffusion"),
        ],
        trainings=[
            Training(
                "autoencoder", {"train/loss": curve, "train/image": curve, "validation/psnr": [(9, 20.0)]}
            ),
            Training("diffusion", missing="runs/diffusion.json does not name a run."),
        ],
        parameters={"seed": 7, "data.split.test": ["a"], "align.lr": 1e-5, "data.source": HOSTILE},
        credits={"a": f"Zoë {HOSTILE}"},
    )


@pytest.fixture
def draw(facts: Facts) -> Callable[..., str]:
    """Renders an evaluation as a page."""

    def page(evaluation: Evaluation, about: Facts = facts, last: str = "diffusion") -> str:
        return render(evaluation, [*intervals(evaluation, last, about.seed)], about, last)

    return page
