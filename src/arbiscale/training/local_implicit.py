"""Training of LIIF and of LINF: pairs of images, cut from crops at a random scale, and the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from arbiscale.config.baselines import (
    FineTuningSettings,
    LIIFSettings,
    LINFSettings,
    LocalImplicitTrainingSettings,
)
from arbiscale.config.training import TrainingSettings
from arbiscale.imaging.coordinates import Region, Size, crop, random_region
from arbiscale.imaging.resize import resize
from arbiscale.imaging.sheets import comparison
from arbiscale.losses.image import load_perceptual
from arbiscale.losses.reduction import in_float32, per_sample
from arbiscale.models.local_implicit import BASE_KERNEL, LocalImplicit
from arbiscale.networks.texture import Texture
from arbiscale.pretrained.lpips import best_backbone
from arbiscale.training.module import TrainingModule, Validation, mean_psnr, rate_factor

_VALIDATION_TEMPERATURE = 0.8
_TERMS = ("nll", "l1", "lpips")  # of LINF's losses


@dataclass(frozen=True)
class Pair:
    """Low-resolution images and the part of the high-resolution ones that a batch draws.

    Attributes:
        low: shape (batch, 3, input_px, input_px), in [-1, 1].
        size: (height, width) of the whole output.
        region: of it, which is drawn and compared.
        target: shape (batch, 3, *region size), in [-1, 1].
        base: what a residual network draws on there, of the target's shape; None for any other.
    """

    low: Tensor
    size: Size
    region: Region
    target: Tensor
    base: Tensor | None


class LocalImplicitTraining(TrainingModule):
    """What both have in common."""

    def __init__(
        self, name: str, settings: LocalImplicitTrainingSettings, training: TrainingSettings
    ) -> None:
        super().__init__(name, training)
        self.common = settings
        self.model = LocalImplicit(settings.network)

    def learning(self) -> dict[str, tuple[nn.Module, float]]:
        """Encoder and head."""
        return {"model": (self.model, self.common.lr)}

    def cut(self, images: Tensor) -> Pair:
        """A pair of a random scale, from a random place of crops (batch, 3, height, width).

        The crops are at least `input_px` times the largest scale a side.
        """
        low, high = self.common.scales
        side = round(self.common.input_px * (low + (high - low) * float(torch.rand(()))))
        fine = crop(images, random_region((images.shape[-2], images.shape[-1]), side))
        region = random_region((side, side), self.common.decode_px)
        return self._pair(fine, (self.common.input_px, self.common.input_px), region)

    def whole(self, images: Tensor) -> Pair:
        """Crops whole, at the largest scale."""
        height, width = images.shape[-2:]
        high = self.common.scales[1]
        return self._pair(images, (round(height / high), round(width / high)), (0, 0, height, width))

    def draw(self, pair: Pair, features: Tensor, texture: Texture | None = None) -> Tensor:
        """The pair's region, not clamped."""
        return self.model.decode(features, pair.size, region=pair.region, base=pair.base, texture=texture)

    def _pair(self, fine: Tensor, low_size: Size, region: Region) -> Pair:
        size = (fine.shape[-2], fine.shape[-1])
        low = self.shrink(fine, low_size)
        base = crop(resize(low, size, BASE_KERNEL), region) if self.model.settings.residual else None
        return Pair(low, size, region, crop(fine, region), base)


class LIIFTraining(LocalImplicitTraining):
    """L1 (arXiv 2012.09161, section 4)."""

    def __init__(self, settings: LIIFSettings) -> None:
        super().__init__("liif", settings, settings.training)

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """L1 of the region."""
        pair = self.cut(images)
        drawn = self.draw(pair, self.model.encode(pair.low))
        return {"loss": per_sample(drawn - pair.target, "l1").mean()}

    def validate(self, images: Tensor) -> Validation:
        """Pictures and PSNR at the largest scale."""
        pair = self.whole(images)
        drawn = self.draw(pair, self.model.encode(pair.low)).clamp(-1, 1)
        return Validation({"psnr": mean_psnr(drawn, images)}, {"drawn": comparison([drawn, images])})


class LINFTraining(LocalImplicitTraining):
    """The likelihood, then in turns the likelihood and drawings (arXiv 2303.05156, section 3.4).

    In the second stage two steps share a batch: the first weighs the negative log-likelihood, the second
    L1 of the deterministic drawing and LPIPS of one with texture.
    """

    last: Tensor

    def __init__(self, settings: LINFSettings, weights_dir: str) -> None:
        first, second = settings.training, settings.fine_tuning
        super().__init__("linf", settings, first.model_copy(update={"steps": first.steps + second.steps}))
        self.settings = settings
        wanted = second.perceptual_weight > 0
        self.perceptual = load_perceptual(weights_dir, best_backbone(weights_dir)) if wanted else None
        self.register_buffer("last", torch.zeros(len(_TERMS)))

    @property
    def left_out(self) -> list[str]:
        """`lpips`, where it has a weight and its network is missing."""
        return ["lpips"] if self.settings.fine_tuning.perceptual_weight and self.perceptual is None else []

    def batch_of(self, step: int) -> int:
        """A batch a step, then one for two."""
        first = self.settings.training.steps
        return step if step < first else first + (step - first) // 2

    def rate_factor(self, step: int) -> float:
        """The schedule anew in the second stage, at that stage's rate and without warm-up."""
        first, second = self.settings.training, self.settings.fine_tuning
        if step < first.steps or not second.steps:
            return rate_factor(step, first)
        tuned = first.model_copy(update={"steps": second.steps, "warmup_steps": 0})
        return second.lr / self.settings.lr * rate_factor(step - first.steps, tuned)

    def on_train_batch_start(self, *_: Any) -> None:
        """Forget the optimizer's averages where the second stage begins, as the published one is new there.

        The likelihood's gradients are thousands of times those of drawings: Adam would divide these by the
        remembered size of those for thousands of steps.
        """
        if self.global_step == self.settings.training.steps:
            self.optimizers().optimizer.state.clear()  # type: ignore[union-attr]

    def losses(self, images: Tensor) -> dict[str, Tensor]:
        """The terms whose turn it is."""
        pair = self.cut(images)
        features = self.model.encode(pair.low)
        turn = self.global_step - self.settings.training.steps
        likelihood = turn < 0 or turn % 2 == 0
        terms = self._likelihood_terms(pair, features) if likelihood else self._drawing_terms(pair, features)
        weights = _weights(self.settings.fine_tuning) if turn >= 0 else {"nll": 1.0}
        loss = sum((weights[name] * term for name, term in terms.items()), images.new_zeros(()))
        return {"loss": loss, **terms}

    def recorded(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms whose turn it is, and the others as they were at theirs."""
        for name in terms.keys() & {*_TERMS}:
            if terms[name].isfinite():  # else the step is skipped, and its state must stay finite
                self.last[_TERMS.index(name)] = terms[name]
        turn = self.global_step - self.settings.training.steps
        weights = _weights(self.settings.fine_tuning) if turn >= 0 else {"nll": 1.0}
        known = [name for name in weights if name in terms or (turn > 0 and weights[name])]
        return {"loss": terms["loss"], **{name: self.last[_TERMS.index(name)].clone() for name in known}}

    def validate(self, images: Tensor) -> Validation:
        """PSNR without texture, and pictures without and with it, at the largest scale."""
        pair = self.whole(images)
        features = self.model.encode(pair.low)
        drawn, textured = (
            self.draw(pair, features, Texture(temperature)).clamp(-1, 1)
            for temperature in (0.0, _VALIDATION_TEMPERATURE)
        )
        return Validation(
            {"psnr": mean_psnr(drawn, images)}, {"drawn": comparison([drawn, textured, images])}
        )

    def _likelihood_terms(self, pair: Pair, features: Tensor) -> dict[str, Tensor]:
        """The negative log-likelihood in nats, the mean of the patches that fit into the region."""
        residual = pair.target if pair.base is None else pair.target - pair.base
        patch_px, (top, left, height, width) = self.settings.network.head.patch_px, pair.region
        height, width = height - height % patch_px, width - width % patch_px
        region, residual = (top, left, height, width), residual[..., :height, :width]
        return {"nll": -self.model.log_likelihood(features, pair.size, region, residual).mean()}

    def _drawing_terms(self, pair: Pair, features: Tensor) -> dict[str, Tensor]:
        terms = {"l1": per_sample(self.draw(pair, features) - pair.target, "l1").mean()}
        if self.perceptual is not None:
            seed = int(torch.randint(2**31, ()))
            texture = Texture(self.settings.fine_tuning.perceptual_temperature, seed)
            drawn = self.draw(pair, features, texture)
            terms["lpips"] = in_float32(self.perceptual)(drawn, pair.target).mean()
        return terms


def _weights(settings: FineTuningSettings) -> dict[str, float]:
    weights = (settings.nll_weight, settings.l1_weight, settings.perceptual_weight)
    return dict(zip(_TERMS, weights, strict=True))
