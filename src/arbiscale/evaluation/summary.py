"""The few figures of an evaluation that `dvc exp show` and `dvc metrics diff` compare."""

from __future__ import annotations

from arbiscale.evaluation.scores import Means

SCALE = 4.0
_UPSCALING = ("psnr", "ssim", "lpips", "consistency", "self_ssim", "grid_energy")
_DRAWING = ("self_ssim", "grid_energy", "fid", "kid", "precision", "recall")


def summary(means: Means, row: str, *, baseline: str = "bicubic") -> dict[str, float]:
    """At most eight figures of one model, such as `psnr_x4`; those without a value are left out.

    Super-resolution: metrics of the protocol `sample` at x4, the gain in PSNR over the baseline in dB, and
    LPIPS divided by the baseline's. Without `sample` the first protocol is taken, without x4 the largest
    scale. Generation: the agreement between sizes, the grid, and the distances from the training set at the
    first size.

    Args:
        means: the table.
        row: the model's row.
        baseline: the row that it is compared with.
    """
    groups = [group for group, rows in means.items() if row in rows]
    scales: dict[str, dict[float, str]] = {}  # the groups by protocol, then by scale
    for group in groups:
        protocol, _, last = group.rpartition("/")
        if last.startswith("x"):
            scales.setdefault(protocol, {})[float(last[1:])] = group
    if not scales:
        return _known(_DRAWING, means[groups[0]][row]) if groups else {}

    there = scales.get("") or next(iter(scales.values()))
    group = there.get(SCALE) or there[max(there)]
    found = _known(_UPSCALING, means[group][row])
    other = _known(_UPSCALING, means[group].get(baseline, {}))
    name = group.replace("/", "_")
    figures = {f"{metric}_{name}": value for metric, value in found.items()}
    if "psnr" in found and "psnr" in other:
        figures[f"psnr_{name}_gain_db"] = found["psnr"] - other["psnr"]
    if "lpips" in found and other.get("lpips"):
        figures[f"lpips_{name}_over_{baseline}"] = found["lpips"] / other["lpips"]
    return figures


def _known(metrics: tuple[str, ...], table: dict[str, float]) -> dict[str, float]:
    return {metric: table[metric] for metric in metrics if metric in table}
