"""What the metrics of the table are called, what they are counted in, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "near one", "neither"]

NOT_CONTESTING = frozenset({"autoencoder", "other_latent"})  # an upper bound, and a control
_WORDS = {"higher": "higher is better", "lower": "lower is better", "near one": "1 is best", "neither": ""}
_ARROWS = {"higher": "↑", "lower": "↓", "near one": "→ 1", "neither": ""}


@dataclass(frozen=True)
class Measure:
    """How a metric is shown."""

    name: str
    label: str
    unit: str = ""
    better: Better = "neither"
    decimals: int = 3
    logarithmic: bool = False  # where charts have it on an axis

    @property
    def words(self) -> str:
        """Label and unit: what an axis is labelled by."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def arrow(self) -> str:
        """The way to better values."""
        return _ARROWS[self.better]

    @property
    def direction(self) -> str:
        """The way to better values, in words."""
        return _WORDS[self.better]

    def text(self, value: float | None) -> str:
        """A value without its unit; a dash where there is none."""
        if value is None or not math.isfinite(value):
            return "–"
        if self.logarithmic:
            return significant(value)
        return _without_sign_of_zero(f"{value:.{self.decimals}f}".replace("-", "−"))

    def best(self, values: Mapping[str, float | None]) -> set[str]:
        """The rows whose shown value is the best; none where fewer than two contest, or none is better."""
        contesting = {
            row: value
            for row, value in values.items()
            if row not in NOT_CONTESTING and value is not None and math.isfinite(value)
        }
        if len(contesting) < 2 or self.better == "neither":
            return set()
        shown = self.text(min(contesting.values(), key=self.badness))
        return {row for row, value in contesting.items() if self.text(value) == shown}

    def badness(self, value: float) -> float:
        """A value as a number of which less is better."""
        if self.better == "near one":
            return abs(math.log(value)) if value > 0 else math.inf
        return -value if self.better == "higher" else value


_KNOWN = (
    Measure("psnr", "PSNR", "dB", "higher", 2),
    Measure("psnr_without_latent", "PSNR without latent", "dB", "higher", 2),
    Measure("ssim", "SSIM", "", "higher"),
    Measure("lpips", "LPIPS", "", "lower"),
    Measure("lpips_vgg", "LPIPS VGG", "", "lower"),
    Measure("dists", "DISTS", "", "lower"),
    Measure("niqe", "NIQE", "", "lower", 2),
    Measure("musiq", "MUSIQ", "", "higher", 2),
    Measure("clip_iqa", "CLIP-IQA", "", "higher"),
    Measure("patch_fid", "Patch FID", "", "lower", 2),
    Measure("patch_kid", "Patch KID", "", "lower", 4),
    Measure("fid", "FID", "", "lower", 2),
    Measure("kid", "KID", "", "lower", 4),
    Measure("precision", "Precision", "", "higher"),
    Measure("recall", "Recall", "", "higher"),
    Measure("diversity_lpips", "Diversity LPIPS", "", "neither"),
    Measure("diversity_std", "Diversity", "levels", "neither", 2),
    Measure("calibration", "Calibration", "", "higher", 2),
    Measure("consistency", "Consistency", "dB", "higher", 2),
    Measure("self_ssim", "SelfSSIM", "", "higher", 4),
    Measure("grid_energy", "Grid energy", "", "near one"),
    Measure("colour_shift", "Colour shift", "levels", "lower", 2),
    Measure("fps", "Speed", "pictures/s", "higher", 2, logarithmic=True),
)
_BY_NAME = {measure.name: measure for measure in _KNOWN}


def measures(names: Iterable[str]) -> list[Measure]:
    """The measures of these metrics: known ones in the order of papers, then the others under their names."""
    wanted = dict.fromkeys(names)
    known = [measure for measure in _KNOWN if measure.name in wanted]
    return known + [Measure(name, label_of(name)) for name in wanted if name not in _BY_NAME]


def label_of(name: str) -> str:
    """A row's or metric's name as it is read."""
    return name.replace("_", " ")


def significant(value: float) -> str:
    """A positive number to three significant digits, without an exponent."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}".replace(",", " ").replace("-", "−")


def signed(value: float, decimals: int) -> str:
    """A difference with its sign; one that is nothing at so many decimals has none."""
    return _without_sign_of_zero(f"{value:+.{decimals}f}".replace("-", "−"))


def interval_text(low: float, high: float, shown_as: Callable[[float], str]) -> str:
    """An interval, `22.10 to 23.40`; empty where there is none (NaN)."""
    return f"{shown_as(low)} to {shown_as(high)}" if math.isfinite(low) and math.isfinite(high) else ""


def _without_sign_of_zero(text: str) -> str:
    return text if text.strip("+−0.") else text.lstrip("+−")


def duration(seconds: float) -> str:
    """Seconds as they are read: `85 ms`, `4.2 s`, `12 min 3 s`, `2 h 5 min`."""
    if seconds < 1:
        return f"{significant(seconds * 1000)} ms"
    if seconds < 60:
        return f"{significant(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
