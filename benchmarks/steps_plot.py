"""The curve of few steps: quality and time over the number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from arbiscale.files import atomic_file
from benchmarks.steps import SCALE, TOLERANCE, Outcome


def write_curve(path: Path, outcomes: Sequence[Outcome], name: str) -> None:
    """Draw PSNR and LPIPS, as shares of the reference's, and time over steps into an SVG or PNG file.

    Bars are 95 % intervals; the dotted line is as far from the reference as is still no worse.
    """
    reference = max((each for each in outcomes if each.sampler == "ddim"), key=lambda each: each.steps)
    drawn = Figure(figsize=(10, 3.2), layout="constrained")
    drawn.suptitle(f"{name}, x{SCALE}", fontsize=10)
    psnr, lpips, time = drawn.subplots(1, 3)
    for sampler in dict.fromkeys(each.sampler for each in outcomes):
        line = [each for each in outcomes if each.sampler == sampler]
        steps = [each.steps for each in line]
        for axes, found in ((psnr, [each.psnr for each in line]), (lpips, [each.lpips for each in line])):
            ends = [[each.ratio - each.low for each in found], [each.high - each.ratio for each in found]]
            ratios = [each.ratio for each in found]
            axes.errorbar(steps, ratios, ends, marker="o", markersize=3, capsize=2, label=sampler)
        time.plot(steps, [each.seconds for each in line], marker="o", markersize=3)
    counts = sorted({each.steps for each in outcomes})
    of = f"of {reference.steps} DDIM steps"
    _finish(psnr, counts, f"PSNR / {reference.psnr.mean:.2f} dB {of}", 1 - TOLERANCE)
    _finish(lpips, counts, f"LPIPS / {reference.lpips.mean:.3f} {of}", 1 + TOLERANCE)
    _finish(time, counts, "seconds a picture")
    time.set_yscale("log")
    psnr.legend(fontsize=7)
    with atomic_file(path) as temporary, rc_context({"svg.fonttype": "none"}):  # text stays text
        drawn.savefig(temporary, dpi=110)


def _finish(axes: Axes, counts: Sequence[int], title: str, worst: float | None = None) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("steps", fontsize=8)
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=7)
    if worst is not None:
        axes.axhline(worst, color="grey", linestyle=":")
