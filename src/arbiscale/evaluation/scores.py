"""The table of an evaluation: a score for every picture, means for every row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
from torch import Tensor

from arbiscale.evaluation.comparisons import Comparison
from arbiscale.metrics.quality import SSIM_WINDOW_PX

Means = dict[str, dict[str, dict[str, float]]]  # group -> row -> metric
Score = dict[str, Any]  # a line of the table, by column
KEYS = ("place", "picture", "photograph", "scene", "group", "row", "finite", "seconds", "problem")
KEPT_DIVERSITY = 0.5  # of LPIPS between draws: less is reported
SETTINGS = ("varied", "steps", "eta", "temperature", "fidelity")  # of points of trade-off curves


def score_lines(
    group: str,
    row: str,
    pictures: Sequence[Mapping[str, str]],
    images: Tensor,
    metrics: Mapping[str, Tensor],
    *,
    seconds: float | None = None,
    **settings: Any,
) -> list[Score]:
    """What is known of a row's images of one group, a line a picture.

    Args:
        group: the scale, such as `x2.7`, after the protocol where it is not `sample`; or a size.
        row: the model or baseline that drew them.
        pictures: `picture`, `photograph` and `scene` of each.
        images: shape (batch, ...), in any range.
        metrics: each of shape (batch,); NaN where one is not defined.
        seconds: that drawing all of them took; None = it means nothing.
        settings: columns that are the same in all lines.
    """
    finite = images.isfinite().flatten(1).all(dim=1).tolist()
    values = {name: value.tolist() for name, value in metrics.items()}
    each = math.nan if seconds is None else seconds / len(pictures)
    return [
        {**picture, "group": group, "row": row, "finite": finite[index], "seconds": each, **settings}
        | {name: of_all[index] for name, of_all in values.items()}
        for index, picture in enumerate(pictures)
    ]


def problem_lines(pictures: Sequence[Mapping[str, str]], problems: Iterable[Sequence[str]]) -> list[Score]:
    """A line for every problem of each picture."""
    pairs = zip(pictures, problems, strict=True)
    return [{**picture, "problem": problem} for picture, of_one in pairs for problem in of_one]


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
        return {name: value for name in SETTINGS[1:] if (value := getattr(self, name)) is not None}

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
        scores: a line for every picture of every row and group, in the columns `KEYS` and the metrics; one
            for every picture that was left out, which has a `problem` and no row.
        sets: metrics of a group's and row's pictures as a whole, such as FID.
        comparisons: pictures to look at, by group.
        best: those that the last model improved most over bicubic, by group.
        worst: and least.
        trade_off: points of the curves of LPIPS against PSNR.
        left_out: one line for everything else that could not be measured.
        least_px: the shortest side of a picture that a metric takes, where it is more than one pixel.
    """

    scores: pd.DataFrame
    sets: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    comparisons: dict[str, list[Comparison]] = field(default_factory=dict)
    best: dict[str, list[Comparison]] = field(default_factory=dict)
    worst: dict[str, list[Comparison]] = field(default_factory=dict)
    trade_off: list[OperatingPoint] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    least_px: dict[str, int] = field(default_factory=lambda: {"ssim": SSIM_WINDOW_PX})

    @property
    def metrics(self) -> list[str]:
        """The metrics of pictures that any of them has."""
        return [name for name in self.scores if name not in KEYS]

    def rows(self) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """The scores of every group and row."""
        for (group, row), scores in self.scores.groupby(["group", "row"], sort=False):
            yield group, row, scores

    def means(self) -> Means:
        """Means over pictures, metrics of sets, and pictures a second; what has no value is left out.

        A mean has none where any picture has none.
        """
        table: Means = {}
        for group, row, scores in self.rows():
            found = scores[self.metrics].mean(skipna=False).to_dict()
            found |= self.sets.get((group, row), {}) | {"fps": 1 / scores.seconds.mean()}
            known = {name: value for name, value in found.items() if math.isfinite(value)}
            table.setdefault(group, {})[row] = known
        return table

    def collapsed(self) -> Iterator[str]:
        """One line for every row that alignment has taken most of the diversity from."""
        for group, rows in self.means().items():
            before = rows.get("diffusion", {}).get("diversity_lpips", 0)
            for row in (row for row in rows if row.startswith("align_")):
                left = rows[row].get("diversity_lpips", before)
                if left < KEPT_DIVERSITY * before:
                    yield (
                        f"{group}/{row}: draws differ by an LPIPS of {left:.4f}, before alignment by "
                        f"{before:.4f}: it has taken most of their diversity"
                    )

    def problems(self) -> list[str]:
        """One line for everything left out, for rows that collapsed, and for those with missing means."""
        lines = [*self.left_out, *self.scores.problem.dropna().unique(), *self.collapsed()]
        for group, row, scores in self.rows():
            finite = scores.finite.astype(bool)
            if not finite.all():
                broken = (~finite).sum()
                lines.append(f"{group}/{row}: {broken} of {len(scores)} pictures hold NaN or infinity")
            measured = finite & scores.psnr.notna() if "psnr" in scores else ~finite
            for metric, least_px in self.least_px.items():
                small = (measured & scores[metric].isna()).sum() if metric in scores else 0
                if small:
                    lines.append(
                        f"{group}: {small} of {len(scores)} pictures are too small for {metric} "
                        f"({least_px} px)"
                    )
        return [*dict.fromkeys(lines)]  # what is too small is so in every row
