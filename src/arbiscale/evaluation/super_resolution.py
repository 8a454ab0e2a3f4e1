"""Evaluating super-resolution: every row upscales the same pictures, at every scale of a protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor

from arbiscale.evaluation.comparisons import (
    PER_ROW,
    BestAndWorst,
    Comparison,
    ComparisonBuilder,
    kept_part,
    of_one,
    one_per_photograph,
)
from arbiscale.evaluation.held_out import HeldOutCrop
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.pairs import Pairs, make_pairs, resized
from arbiscale.evaluation.pictures import (
    agreement_with_half_size,
    as_shown,
    compare,
    diversity,
)
from arbiscale.evaluation.protocols import SAMPLE, Protocol
from arbiscale.evaluation.rows import Upscalers, draw_rows
from arbiscale.evaluation.scores import Evaluation
from arbiscale.imaging.pixels import to_array
from arbiscale.inference.model import Model
from arbiscale.metrics.colour import colour_shift
from arbiscale.metrics.consistency import consistency
from arbiscale.metrics.cost import now_seconds
from arbiscale.metrics.spectrum import grid_energy
from arbiscale.progress import LongTask


def evaluate_super_resolution(
    models: Mapping[str, Model],
    images: Sequence[HeldOutCrop],
    scales: Sequence[float],
    *,
    seed: int,
    networks: MetricNetworks,
    protocol: Protocol = SAMPLE,
    dataset: str = "",
    extra: Mapping[str, Model] | None = None,
    diversity_seeds: int = 0,
    workers: int = 0,
) -> Evaluation:
    """Measure baselines, the autoencoder, each model and a control on pictures shrunk by each scale.

    Rows: `bicubic`; `lanczos` in extended protocols; `autoencoder`, which encodes the truth itself at the
    training's magnification (an upper bound); each further model under its name; `other_latent`, the last
    model's pictures from another photograph's latent (the control: what the latent contributes), where
    pictures are drawn together; the extra models.

    Args:
        models: `autoencoder`, then models of super-resolution in the order of their training.
        images: iterated once per scale.
        scales: output / input.
        seed: of the sampling noise.
        networks: behind metrics.
        protocol: sizes, kernel, channels, border.
        dataset: part of the groups' names, for protocols with several data sets.
        extra: further models of super-resolution, by the names of their rows.
        diversity_seeds: draws of each picture; 0 = diversity is not measured.
        workers: processes that prepare pictures ahead; 0 = none. Results are the same.
    """
    evaluation = Evaluation()
    evaluation.least_px |= networks.least_px
    device = next(iter(models.values())).device
    upscalers = Upscalers(models, extra or {}, seed, max(1, diversity_seeds))
    prefix = "" if protocol is SAMPLE else "".join(f"{part}/" for part in (protocol.name, dataset) if part)
    total = len(scales) * len(images) * upscalers.most_rows(protocol)
    with LongTask(prefix.rstrip("/") or protocol.name, total, "pictures") as task:
        for scale in scales:
            for pairs in make_pairs(protocol, images, scale, evaluation.left_out, workers=workers):
                there = pairs.to(device)
                group = f"{prefix}x{scale:g}"
                _evaluate_pairs(evaluation, group, protocol, scale, upscalers, there, networks, task)
    return evaluation


def _evaluate_pairs(
    evaluation: Evaluation,
    group: str,
    protocol: Protocol,
    scale: float,
    upscalers: Upscalers,
    pairs: Pairs,
    networks: MetricNetworks,
    task: LongTask,
) -> None:
    """Add every row of some pictures of one scale."""
    truth, low, photographs = pairs.truth, pairs.low, pairs.photographs
    size = (truth.shape[-2], truth.shape[-1])
    shown_truth, shown_low = as_shown(truth), as_shown(low)
    kept = evaluation.comparisons.setdefault(group, [])
    chosen = one_per_photograph(photographs, PER_ROW - len(kept))
    comparisons = [ComparisonBuilder(pairs, index) for index in chosen]
    last = [*upscalers.models][-1]
    best_and_worst = evaluation.best_and_worst.setdefault(group, BestAndWorst(last, over="bicubic"))
    bicubic: dict[str, list[float]] = {}
    for row in draw_rows(protocol, upscalers, pairs):
        begun = now_seconds(truth.device)
        images = row.draw(size)
        seconds = now_seconds(truth.device) - begun
        if row.seconds is not None:
            evaluation.add_time(group, row.name, len(images), row.seconds + seconds)
        shown = as_shown(images)
        metrics = compare(
            shown, shown_truth, networks, channels=protocol.channels, shave_px=protocol.shave_px(scale)
        )
        metrics["consistency"] = consistency(shown, shown_low).tolist()
        metrics["self_ssim"] = agreement_with_half_size(shown, row.draw).tolist()
        metrics["grid_energy"] = grid_energy((images + 1) / 2, row.latent_size).tolist()
        if protocol.extended:
            metrics["colour_shift"] = colour_shift(shown, shown_truth).tolist()
        if row.others:
            metrics |= diversity([shown, *(as_shown(other()(size)) for other in row.others)], networks)
        evaluation.add(group, row.name, photographs, images, metrics)
        task.advance(len(images), f"x{scale:g} {row.name}")
        if row.name == "bicubic":
            bicubic = metrics
        elif row.name == last:
            _offer(best_and_worst, protocol, pairs, images, bicubic, metrics)
        for comparison in comparisons:
            comparison.add(row.name, images, metrics)
    kept += [comparison.finish() for comparison in comparisons]


def _offer(
    best_and_worst: BestAndWorst,
    protocol: Protocol,
    pairs: Pairs,
    images: Tensor,
    bicubic: Mapping[str, Sequence[float]],
    metrics: Mapping[str, Sequence[float]],
) -> None:
    """Offer every picture of the last model, beside the bicubic one and the truth."""

    def compared(index: int) -> Comparison:
        truth = to_array(pairs.truth[index])
        size = (truth.shape[0], truth.shape[1])
        left, top, right, bottom = kept_part(truth)
        whole = {
            best_and_worst.over: to_array(resized(protocol, pairs.low[[index]], size)),
            best_and_worst.row: to_array(images[index]),
            "ground truth": truth,
        }
        parts = {name: pixels[top:bottom, left:right].copy() for name, pixels in whole.items()}
        numbers = {
            best_and_worst.over: of_one(bicubic, index),
            best_and_worst.row: of_one(metrics, index),
        }
        return Comparison(pairs.photographs[index], parts, numbers)

    for index, (before, after) in enumerate(zip(bicubic["psnr"], metrics["psnr"], strict=True)):
        best_and_worst.offer(after - before, partial(compared, index))
