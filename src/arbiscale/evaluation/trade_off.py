"""Trade-off curves: LPIPS against PSNR while one setting of a model varies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby, product
from math import isfinite
from operator import attrgetter

import pandas as pd
from torch import Tensor

from arbiscale.config.evaluate import TradeOffSettings
from arbiscale.evaluation.held_out import HeldOutPicture
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.noise import noise_seeds
from arbiscale.evaluation.pairs import Pairs, Preparation, in_batches, resized
from arbiscale.evaluation.pictures import Truth, as_shown
from arbiscale.evaluation.protocols import SAMPLE
from arbiscale.evaluation.rows import Chain, sample
from arbiscale.evaluation.scores import SETTINGS, OperatingPoint, Score, Setting, problem_lines, score_lines
from arbiscale.inference.model import Model

PLACE = "trade_off"


@dataclass(frozen=True)
class TradeOff:
    """Every model at several settings, on the pictures of the protocol `sample`.

    A diffusion model gives a point for every number of steps that it can take and, where ddim samples it,
    every eta; then, at its own steps, a model whose head is a flow for every temperature, and one with a
    branch for every fidelity.
    Bicubic, and a model without settings, give one point.

    Attributes:
        models: of super-resolution, by the names of their rows.
        pictures: of one size.
        settings: scales, and what varies.
        seed: of the sampling noise, and of textures.
        networks: LPIPS (AlexNet) among them.
        workers: processes that prepare pictures ahead; 0 = none. Results are the same.
    """

    models: Mapping[str, Model]
    pictures: Sequence[HeldOutPicture]
    settings: TradeOffSettings
    seed: int
    networks: MetricNetworks
    workers: int = 0
    place: str = PLACE
    shown: Sequence[str] = ()
    albums: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """Of the pictures."""
        return [picture.name for picture in self.pictures]

    def measure(self, numbers: Sequence[int]) -> Iterator[tuple[list[int], list[Score]]]:
        """Some pictures at every scale; see `Work`."""
        preparation = Preparation(SAMPLE, self.pictures, self.settings.scales)
        device = next(iter(self.models.values())).device
        lpips = MetricNetworks({"lpips": self.networks.perceptual["lpips"]})
        for batch in in_batches(preparation.load(numbers, self.workers), device):
            keys = [picture.key(PLACE) for picture in (self.pictures[each.number] for each in batch)]
            lines = problem_lines(keys, (each.problems for each in batch))
            for scale in batch[0].pairs:
                pairs = preparation.together(batch, scale, device)
                truth = Truth(as_shown(pairs.truth), lpips)
                for row, setting, images in self._draw(pairs):
                    metrics = truth.compare(as_shown(images))
                    found = {name: metrics[name] for name in ("psnr", "lpips")}
                    lines += score_lines(f"x{scale:g}", row, keys, images, found, **asdict(setting))
            yield [each.number for each in batch], lines

    def _draw(self, pairs: Pairs) -> Iterator[tuple[str, Setting, Tensor]]:
        """Bicubic's pictures and every model's at each of its settings, with the row that they belong to."""
        yield "bicubic", Setting(), resized(SAMPLE, pairs.low, pairs.size)
        seeds = noise_seeds(self.seed, pairs.names)
        for row, model in self.models.items():
            settings = settings_of(model, self.settings)
            for (steps, eta), alike in groupby(settings, attrgetter("steps", "eta")):
                chain: Chain = {} if steps is None else {"steps": steps, "eta": eta}
                sampled = sample(model, pairs, seeds, **chain)
                for each in alike:
                    drawn = sampled.draw(pairs.size, temperature=each.temperature, fidelity=each.fidelity)
                    yield row, each, drawn


def settings_of(model: Model, settings: TradeOffSettings) -> list[Setting]:
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


def operating_points(scores: pd.DataFrame) -> tuple[list[OperatingPoint], list[str]]:
    """The points of the curves, and one line for every setting that gives none."""
    points, left_out = [], []
    drawn = scores.dropna(subset="row")
    for (group, row, *values), found in drawn.groupby(["group", "row", *SETTINGS], sort=False, dropna=False):
        known = {name: value for name, value in zip(SETTINGS, values, strict=True) if not pd.isna(value)}
        setting = Setting(**known | ({"steps": int(known["steps"])} if "steps" in known else {}))
        psnr, lpips = float(found.psnr.mean(skipna=False)), float(found.lpips.mean(skipna=False))
        if missing := _missing(found, lpips):
            at = f"{group}/{row} {setting}".rstrip()
            left_out.append(f"evaluate.trade_off: {at}: pictures {missing}")
        else:
            points.append(OperatingPoint(row, float(group[1:]), setting, psnr, lpips))
    return points, left_out


def _missing(scores: pd.DataFrame, lpips: float) -> str:
    """Why pictures give no point; empty where they give one."""
    if not scores.finite.all():
        return "hold NaN or infinity"
    return "" if isfinite(lpips) else "are too small for lpips"
