"""The table of an evaluation: a score for every picture, means for every row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from arbiscale.evaluation.comparisons import BestAndWorst, Comparison, of_one
from arbiscale.metrics.quality import SSIM_WINDOW_PX

Means = dict[str, dict[str, dict[str, float | None]]]


@dataclass(frozen=True)
class Score:
    """The metrics of one picture; NaN where one is not defined."""

    group: str  # the scale, such as `x2.7`, after the protocol where it is not `sample`; or `generation`
    row: str  # the model or baseline that drew it
    photograph: str
    metrics: dict[str, float]
    finite: bool  # whether the picture is free of NaN and infinity


@dataclass(frozen=True)
class Setting:
    """What a model draws with; None = it has no such setting.

    Attributes:
        varied: the one that differs from point to point of a curve.
        steps: sampling steps.
        eta: noise that ddim adds.
        temperature: of a flow's texture.
        fidelity: share of what a branch draws without latent.
    """

    varied: Literal["steps", "temperature", "fidelity"] | None = None
    steps: int | None = None
    eta: float | None = None
    temperature: float | None = None
    fidelity: float | None = None

    @property
    def values(self) -> dict[str, float]:
        """The settings that there are, by name."""
        found = {
            "steps": self.steps,
            "eta": self.eta,
            "temperature": self.temperature,
            "fidelity": self.fidelity,
        }
        return {name: value for name, value in found.items() if value is not None}

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self.values.items())


@dataclass(frozen=True)
class OperatingPoint:
    """A point of a trade-off curve: mean PSNR, in dB, and LPIPS of a row at one setting."""

    row: str
    scale: float
    setting: Setting
    psnr: float
    lpips: float


@dataclass
class Evaluation:
    """The results of an evaluation.

    Attributes:
        scores: one for every row, scale and picture.
        sets: metrics of a group's and row's pictures as a whole, such as FID; NaN where missing.
        times: pictures drawn and the seconds it took, by group and row.
        comparisons: pictures to look at, by group.
        best_and_worst: pictures of the last model, by group.
        trade_off: points of the curves of LPIPS against PSNR.
        left_out: one line for everything that could not be measured.
        least_px: the shortest side of a picture that a metric takes, where it is more than one pixel.
    """

    scores: list[Score] = field(default_factory=list)
    sets: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    times: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    comparisons: dict[str, list[Comparison]] = field(default_factory=dict)
    best_and_worst: dict[str, BestAndWorst] = field(default_factory=dict)
    trade_off: list[OperatingPoint] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    least_px: dict[str, int] = field(default_factory=lambda: {"ssim": SSIM_WINDOW_PX})

    def add(
        self,
        group: str,
        row: str,
        photographs: Sequence[str],
        images: Tensor,
        metrics: Mapping[str, Sequence[float]],
    ) -> None:
        """Add one row's images (batch, ...) of one group, with metrics as lists over the batch."""
        finite = images.isfinite().flatten(1).all(dim=1).tolist()
        for index, photograph in enumerate(photographs):
            self.scores.append(Score(group, row, photograph, of_one(metrics, index), finite[index]))

    def add_time(self, group: str, row: str, pictures: int, seconds: float) -> None:
        """Add the time that drawing pictures took."""
        before, spent = self.times.get((group, row), (0, 0.0))
        self.times[group, row] = (before + pictures, spent + seconds)

    def extend(self, other: Evaluation) -> None:
        """Add another evaluation, of other groups."""
        self.scores += other.scores
        self.sets |= other.sets
        self.times |= other.times
        self.comparisons |= other.comparisons
        self.best_and_worst |= other.best_and_worst
        self.trade_off += other.trade_off
        self.left_out += other.left_out
        self.least_px |= other.least_px

    def means(self) -> Means:
        """Means over pictures and metrics of sets, as group -> row -> metric; None where there is none."""
        table: Means = {}
        for group, row, scores in self.rows():
            metrics: dict[str, float | None] = {}
            found = {
                name: sum(score.metrics[name] for score in scores) / len(scores) for name in scores[0].metrics
            }
            for name, value in (found | self.sets.get((group, row), {})).items():
                metrics[name] = value if math.isfinite(value) else None
            if (group, row) in self.times:
                pictures, seconds = self.times[group, row]
                metrics["fps"] = pictures / seconds
            table.setdefault(group, {})[row] = metrics
        return table

    def problems(self) -> list[str]:
        """One line for everything left out, and for every row with missing means, with the reason."""
        lines = list(self.left_out)
        for group, row, scores in self.rows():
            broken = sum(not score.finite for score in scores)
            if broken:
                lines.append(f"{group}/{row}: {broken} of {len(scores)} pictures hold NaN or infinity")
            for metric, least_px in self.least_px.items():
                small = sum(score.finite and math.isnan(score.metrics.get(metric, 0)) for score in scores)
                if small:
                    lines.append(
                        f"{group}/{row}: {small} of {len(scores)} pictures are too small for {metric} "
                        f"({least_px} px)"
                    )
        return lines

    def rows(self) -> Iterator[tuple[str, str, list[Score]]]:
        """The scores of every group and row."""
        rows: dict[tuple[str, str], list[Score]] = {}
        for score in self.scores:
            rows.setdefault((score.group, score.row), []).append(score)
        for (group, row), scores in rows.items():
            yield group, row, scores
