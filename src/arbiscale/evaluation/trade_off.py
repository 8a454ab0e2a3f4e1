"""Trade-off curves: LPIPS against PSNR while one setting of a model varies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, product
from math import isfinite
from operator import attrgetter
from statistics import fmean

from torch import Tensor

from arbiscale.config.evaluate import TradeOffSettings
from arbiscale.evaluation.held_out import HeldOutCrop
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.noise import noise_seeds
from arbiscale.evaluation.pairs import Pairs, make_pairs, resized
from arbiscale.evaluation.pictures import as_shown, compare
from arbiscale.evaluation.protocols import SAMPLE
from arbiscale.evaluation.rows import Chain, drawing, make_latents
from arbiscale.evaluation.scores import Evaluation, OperatingPoint, Setting
from arbiscale.inference.model import Model
from arbiscale.progress import LongTask


def evaluate_trade_off(
    models: Mapping[str, Model],
    crops: Sequence[HeldOutCrop],
    settings: TradeOffSettings,
    *,
    seed: int,
    networks: MetricNetworks,
) -> Evaluation:
    """Measure every model at several settings, on the pictures of the protocol `sample`.

    A diffusion model gives a point for every number of steps that it can take and, where ddim samples it,
    every eta; then, at its own steps, a model whose head is a flow for every temperature, and one with a
    branch for every fidelity.
    Bicubic, and a model without settings, give one point.

    Args:
        models: of super-resolution, by the names of their rows.
        crops: of one size.
        settings: scales, and what varies.
        seed: of the sampling noise, and of textures.
        networks: LPIPS (AlexNet) among them, or there are no curves.
    """
    lpips = networks.perceptual.get("lpips")
    if lpips is None:
        return Evaluation(left_out=["evaluate.trade_off: left out, as it needs lpips, which is not measured"])
    evaluation, measuring = Evaluation(), MetricNetworks({"lpips": lpips})
    device = next(iter(models.values())).device
    count = 1 + sum(len(_settings_of(model, settings)) for model in models.values())
    with LongTask("trade-off", len(settings.scales) * len(crops) * count, "pictures") as task:
        for scale in settings.scales:
            for pairs in make_pairs(SAMPLE, crops, scale, evaluation.left_out):
                there = pairs.to(device)
                truth = as_shown(there.truth)
                for row, setting, images in _draw(models, there, settings, seed):
                    metrics = compare(as_shown(images), truth, measuring)
                    psnr, distance = (fmean(metrics[name]) for name in ("psnr", "lpips"))
                    if missing := _missing(images, distance):
                        at = f"x{scale:g}/{row} {setting}".rstrip()
                        evaluation.left_out.append(f"evaluate.trade_off: {at}: pictures {missing}")
                    else:
                        evaluation.trade_off.append(OperatingPoint(row, scale, setting, psnr, distance))
                    task.advance(len(images), f"x{scale:g} {row}")
    return evaluation


def _settings_of(model: Model, settings: TradeOffSettings) -> list[Setting]:
    """The settings at which a model is measured, those of one latent after one another."""
    own, found = (
        Setting(
            temperature=model.temperature if model.has_texture else None,
            fidelity=model.fidelity if model.has_branch else None,
        ),
        [],
    )
    if model.sampling is not None and model.timesteps:
        takes_eta = model.sampling.sampler == "ddim"
        possible = [steps for steps in settings.steps if steps <= model.timesteps]
        for eta, steps in product(settings.etas if takes_eta else [None], possible):
            found.append(replace(own, varied="steps", steps=steps, eta=eta))
        own = replace(own, steps=model.sampling.steps, eta=model.sampling.eta if takes_eta else None)
    if model.has_texture:
        found += [replace(own, varied="temperature", temperature=each) for each in settings.temperatures]
    if model.has_branch:
        found += [replace(own, varied="fidelity", fidelity=each) for each in settings.fidelities]
    return found or [own]


def _draw(
    models: Mapping[str, Model], pairs: Pairs, settings: TradeOffSettings, seed: int
) -> Iterator[tuple[str, Setting, Tensor]]:
    """Bicubic's pictures and every model's at each of its settings, with the row that they belong to."""
    size, seeds = (pairs.truth.shape[-2], pairs.truth.shape[-1]), noise_seeds(seed, pairs.names)
    yield "bicubic", Setting(), resized(SAMPLE, pairs.low, size)
    for row, model in models.items():
        for (steps, eta), alike in groupby(_settings_of(model, settings), attrgetter("steps", "eta")):
            chain: Chain = {} if steps is None else {"steps": steps, "eta": eta}
            latent = make_latents(model, pairs, seeds, **chain)
            for setting in alike:
                draw = drawing(model, latent, pairs.low, seeds, setting.temperature, setting.fidelity)
                yield row, setting, draw(size)


def _missing(images: Tensor, distance: float) -> str:
    """Why pictures give no point; empty where they give one."""
    if not images.isfinite().all():
        return "hold NaN or infinity"
    return "" if isfinite(distance) else "are too small for lpips"
