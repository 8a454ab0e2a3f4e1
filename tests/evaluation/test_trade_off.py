"""Trade-off curves: known errors give known points, at every setting that a model has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from arbiscale.config.evaluate import TradeOffSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.noise import noise_seeds
from arbiscale.evaluation.scores import Evaluation, OperatingPoint
from arbiscale.evaluation.trade_off import TradeOff
from arbiscale.imaging.coordinates import Size
from arbiscale.inference.latent_model import LatentModel
from arbiscale.models.folder import ModelConfig
from arbiscale.models.latent_diffusion import LatentDiffusion
from tests.stand_ins import MeanDifference, StandIn, Still, evaluated, still, upscaled

GREY = [still(name, np.full((64, 64, 3), 100, np.uint8)) for name in "ab"]
LPIPS = MetricNetworks({"lpips": MeanDifference()})


def settings(**changes: Any) -> TradeOffSettings:
    values = {"scales": [4], "temperatures": [], "fidelities": [], "steps": [4, 1, 8], "etas": [0, 1]}
    return TradeOffSettings.model_validate(values | changes)


@dataclass
class Levels(StandIn):
    """Samples grey pictures that are too bright by `steps` levels of 255, by ten more with eta 1.

    Draws them a hundred levels brighter at temperature 1.
    """

    latents: int = 0  # how many batches of them were asked for

    def sample_latents(
        self, low_resolution: Tensor, *, seed: Sequence[int], steps: int = 0, eta: float | None = None
    ) -> Tensor:
        self.latents += 1
        latents = super().sample_latents(low_resolution, seed=seed)
        return latents + (steps + 10 * (eta or 0)) * 2 / 255

    def decode(
        self, latent: Tensor, size: Size, *, temperature: float | None, seed: Sequence[int], **others: Any
    ) -> Tensor:
        assert seed in [noise_seeds(0, [each.name]) for each in GREY]
        return super().decode(latent, size, **others) + 100 * (temperature or 0) * 2 / 255


def levels(sampler: str = "ddim", timesteps: int = 100) -> Levels:
    sampling = SamplingSettings.model_validate(
        {"sampler": sampler, "steps": 4, "spacing": "trailing", "eta": 0}
    )
    return Levels("super_resolution", sampling=sampling, timesteps=timesteps)


def evaluate(
    models: dict[str, Any],
    pictures: Sequence[Still] = GREY,
    seed: int = 0,
    networks: MetricNetworks = LPIPS,
    **changes: Any,
) -> Evaluation:
    return evaluated(lambda album: TradeOff(models, pictures, settings(**changes), seed, networks), networks)


def test_every_number_of_steps_and_every_eta_has_its_point() -> None:
    evaluation = evaluate({"diffusion": levels()})
    first, *drawn = evaluation.trade_off
    assert (first.row, first.setting.values, first.psnr, first.lpips) == ("bicubic", {}, 100, 0)
    expected = {(4, 0): 4, (1, 0): 1, (8, 0): 8, (4, 1): 14, (1, 1): 11, (8, 1): 18}
    found = {(each.setting.steps, each.setting.eta): each for each in drawn}
    assert list(found) == list(expected)
    for setting, off in expected.items():
        assert found[setting].psnr == pytest.approx(20 * np.log10(255 / off), abs=1e-3)
        assert found[setting].lpips == pytest.approx(2 * off / 255, rel=1e-4)
    assert {(each.row, each.scale, each.setting.varied) for each in drawn} == {("diffusion", 4, "steps")}
    assert evaluation.left_out == []


def test_steps_end_with_the_process_and_other_samplers_have_no_eta() -> None:
    evaluation = evaluate({"short": levels(timesteps=4), "unipc": levels("unipc")}, scales=[2, 4])
    found = [(each.scale, each.row, *each.setting.values.values()) for each in evaluation.trade_off]
    short = [("short", steps, eta) for eta in (0, 1) for steps in (4, 1)]
    rows: list[tuple[Any, ...]] = [("bicubic",), *short, *(("unipc", steps) for steps in (4, 1, 8))]
    assert found == [(scale, *row) for scale in (2, 4) for row in rows]


def off_by(point: OperatingPoint) -> float:
    """Levels of 255 by which a point's pictures are too bright."""
    return round(point.lpips * 255 / 2, 3)


def test_a_flow_draws_one_latent_at_every_temperature() -> None:
    flow = Levels("super_resolution", has_texture=True)
    found = evaluate({"linf": flow}, temperatures=[0, 0.5, 0.25]).trade_off[1:]
    assert [(each.setting.temperature, off_by(each)) for each in found] == [(0, 0), (0.5, 50), (0.25, 25)]
    assert {(each.setting.varied, each.setting.steps) for each in found} == {("temperature", None)}
    assert flow.latents == len(GREY)


def test_a_diffusion_model_with_a_flow_has_both() -> None:
    flow = levels()
    flow.has_texture, flow.temperature = True, 0.25
    found = evaluate({"both": flow}, temperatures=[0, 0.5], steps=[1, 2], etas=[1]).trade_off[1:]
    values = [(each.setting.varied, *each.setting.values.values(), off_by(each)) for each in found]
    assert values == [
        ("steps", 1, 1, 0.25, 36),
        ("steps", 2, 1, 0.25, 37),
        ("temperature", 4, 0, 0, 4),
        ("temperature", 4, 0, 0.5, 54),
    ]
    assert flow.latents == 3 * len(GREY)
    nothing_varies = evaluate({"both": flow}, temperatures=[], steps=[]).trade_off[1]
    assert (nothing_varies.setting.varied, off_by(nothing_varies)) == (None, 29)


def test_a_model_without_settings_is_one_point() -> None:
    evaluation = evaluate({"liif": StandIn("super_resolution", 2 * 5 / 255)})
    point = evaluation.trade_off[1]
    assert len(evaluation.trade_off) == 2
    assert (point.row, point.setting.varied, point.setting.values) == ("liif", None, {})
    assert point.lpips == pytest.approx(10 / 255, rel=1e-4)


@pytest.mark.parametrize("kind", ["liif", "flow"])
def test_at_its_own_setting_a_model_has_the_tables_numbers(
    kind: str,
    model_config: Callable[..., ModelConfig],
    make_model: Callable[[ModelConfig], LatentDiffusion],
    crops: list[Still],
) -> None:
    config = model_config(head={"kind": kind, "width": 8, "layers": 1})
    sampling = SamplingSettings(steps=2, spacing="trailing", eta=0.0)
    model = LatentModel(config, make_model(config), torch.device("cpu"), "float32", sampling)
    model.temperature = 0.5
    models = {"autoencoder": StandIn("reconstruction"), "diffusion": model}
    table = upscaled(models, crops, [2.7], seed=5, networks=LPIPS).means()["x2.7"]
    wanted = {"scales": [2.7], "steps": [2, 500], "etas": [0], "temperatures": [0.5, 0]}
    curve = evaluate({"diffusion": model}, crops, 5, **wanted).trade_off
    own = {"steps": 2, "eta": 0} | ({"temperature": 0.5} if kind == "flow" else {})
    points = {each.setting.varied: each for each in curve if each.setting.values in ({}, own)}
    assert list(points) == ([None, "steps", "temperature"] if kind == "flow" else [None, "steps"])
    for point in points.values():
        row = table[point.row]
        assert (point.psnr, point.lpips) == (pytest.approx(row["psnr"]), pytest.approx(row["lpips"]))
    if kind == "flow":
        assert abs(curve[-1].psnr - points["temperature"].psnr) > 0.1


def test_points_without_a_value_are_left_out_with_the_reason() -> None:
    broken = StandIn("super_resolution", torch.inf)  # as shown it is white, which has a distance
    evaluation = evaluate({"broken": broken, "diffusion": levels()}, steps=[1], etas=[1])
    assert [each.row for each in evaluation.trade_off] == ["bicubic", "diffusion"]
    assert evaluation.problems() == ["evaluate.trade_off: x4/broken: pictures hold NaN or infinity"]
    small = MetricNetworks({"lpips": MeanDifference(least_px=65)})
    evaluation = evaluate({"diffusion": levels()}, networks=small, steps=[1], etas=[0])
    assert evaluation.trade_off == []
    assert evaluation.left_out == [
        "evaluate.trade_off: x4/bicubic: pictures are too small for lpips",
        "evaluate.trade_off: x4/diffusion steps 1, eta 0: pictures are too small for lpips",
    ]


def test_a_model_with_a_branch_draws_one_latent_at_every_fidelity() -> None:
    model = levels(timesteps=0)
    model.has_branch = True
    found = evaluate({"last": model}, fidelities=[0, 0.5, 1]).trade_off[1:]
    assert [(each.setting.varied, each.setting.fidelity) for each in found] == [
        ("fidelity", 0),
        ("fidelity", 0.5),
        ("fidelity", 1),
    ]
    assert model.latents == len(GREY)
