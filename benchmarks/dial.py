"""The dial of fidelity on a folder of photographs: PSNR and LPIPS of every setting, and what eleven cost.

    python -m benchmarks.dial MODEL FOLDER [--scale 4]

Low resolutions by MATLAB's bicubic kernel, PSNR on Y, a border of `scale` px left out. MODEL is a folder, or
`pretrained`; FOLDER holds the high resolutions.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from arbiscale.config.params import load_params
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.pairs import resized
from arbiscale.evaluation.pictures import Truth, as_shown
from arbiscale.evaluation.protocols import BENCHMARK
from arbiscale.imaging.pixels import to_tensor
from arbiscale.imaging.reading import read_image
from arbiscale.inference.loading import load_model
from arbiscale.inference.model import Model
from arbiscale.pretrained.lpips import load_lpips
from arbiscale.progress import progress
from benchmarks.figures import Figure, as_table
from benchmarks.measure import machine

SETTINGS = tuple(tenth / 10 for tenth in range(11))
COST, SHARE = 1.1, 0.65  # bars: of one blend's time for all settings; of bicubic's LPIPS for the best
BLEND = 0.5
BICUBIC = "bicubic"


def dial(model: Model, pictures: Sequence[Path], scale: int, networks: MetricNetworks) -> Iterator[Figure]:
    """Quality of bicubic and of every setting, then the time of all settings in that of one."""
    found: dict[str, list[dict[str, Tensor]]] = {}
    once, all_of_them = [], []
    for path in progress(pictures, total=len(pictures), doing="Drawing"):
        truth = to_tensor(read_image(path))
        height, width = (side // scale * scale for side in truth.shape[-2:])
        truth = truth[..., :height, :width]
        low = resized(BENCHMARK, truth, (height // scale, width // scale))
        begun = time.perf_counter()
        model.sample(low, seed=0).draw((height, width), fidelity=BLEND)
        once.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        drawing = model.sample(low, seed=0)
        drawn = {each: drawing.draw((height, width), fidelity=each) for each in SETTINGS}
        all_of_them.append(time.perf_counter() - begun)
        images = {BICUBIC: resized(BENCHMARK, low, (height, width))}
        images |= {f"fidelity {each:g}": to_tensor(pixels) for each, pixels in drawn.items()}
        known = Truth(as_shown(truth), networks, channels="y", shave_px=scale)
        for name, image in images.items():
            found.setdefault(name, []).append(known.compare(as_shown(image)))
    means = {name: {key: _mean(found[name], key) for key in ("psnr", "lpips")} for name in found}
    base = means.pop(BICUBIC)
    yield Figure(BICUBIC, "PSNR of Y, dB", base["psnr"])
    yield Figure(BICUBIC, "LPIPS", base["lpips"])
    for name, mean in means.items():
        yield Figure(name, "PSNR of Y, dB", mean["psnr"])
        yield Figure(name, "LPIPS", mean["lpips"])
    better = [mean["lpips"] for mean in means.values() if mean["psnr"] >= base["psnr"]]
    yield Figure(
        "best of the dial, not below bicubic in PSNR",
        "share of bicubic's LPIPS",
        min(better, default=torch.nan) / base["lpips"],
        at_most=SHARE,
    )
    yield Figure(f"fidelity {BLEND:g} alone", "s", statistics.median(once))
    cost = statistics.median(both / one for both, one in zip(all_of_them, once, strict=True))
    yield Figure(f"{len(SETTINGS)} settings", "times the time of that", cost, at_most=COST)


def _mean(found: Sequence[dict[str, Tensor]], key: str) -> float:
    return float(torch.cat([each[key] for each in found]).mean())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--weights", default="", help="folder of the metric networks")
    options = parser.parse_args()
    model = load_model(options.model, "cpu")
    weights = options.weights or load_params(Path("params.yaml")).runtime.weights_dir
    networks = MetricNetworks({"lpips": load_lpips(weights)})
    figures = [*dial(model, sorted(options.folder.iterdir()), options.scale, networks)]
    where = machine(torch.device("cpu"))
    Console().print(as_table(figures, ", ".join(f"{name} {value}" for name, value in where.items())))


if __name__ == "__main__":
    main()
