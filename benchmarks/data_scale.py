"""What a large folder of photographs costs: to list, read, cut, compare and load.

    python -m benchmarks.data_scale FOLDER --photographs 200000 --store photographs

FOLDER gets the photographs (kept for the next run) and a clone of this checkout's last commit, made anew, in
which the stages run as a user runs them. Memory is the proportional set size of the command and all its
processes. The loader's share is of processor time, as a CPU's trainer loads in its own process.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import torch
from PIL import Image
from rich.console import Console
from ruamel.yaml import YAML

from arbiscale.config.params import Params, load_params
from arbiscale.data.dataset import CropDataset, training_batches
from arbiscale.training.untrained import STAGES, untrained_training
from benchmarks.figures import Figure, as_table, write_figures
from benchmarks.measure import machine
from benchmarks.training import prepare

ROOT = Path(__file__).parents[1]
SIDE_PX, PER_FOLDER, QUALITY = 64, 1000, 90
SAMPLE_SECONDS = 0.1
STEPS, ROUNDS = 5, 5
LOADED = 4000  # samples whose rate is measured


def make_photographs(folder: Path, count: int) -> None:
    """Smooth random pictures as JPEG, each another; those that are there are kept."""
    for number in range(count):
        path = folder / f"{number // PER_FOLDER:04d}" / f"{number:07d}.jpg"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
        picture.save(path, quality=QUALITY)


def make_project(project: Path, photographs: Path, store: str) -> None:
    """A clone of the last commit whose parameters take the folder, every photograph one crop."""
    shutil.rmtree(project, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", ROOT, project], check=True)
    yaml = YAML()
    path = project / "params.yaml"
    values = yaml.load(path)
    data = values["data"]
    data["source"], data["folder"]["path"] = "folder", str(photographs.resolve())
    data["store"] = store
    data["crop"] |= {"mode": "centre", "size_px": SIDE_PX, "per_photograph": 1}
    data["split"] |= {"test": [], "validation": [], "test_fraction": 0.0005, "validation_fraction": 0.001}
    data["augmentation"] |= {"crop_px": SIDE_PX, "zoom_out": 1.0}
    values["autoencoder"] |= {"target_px": [16, SIDE_PX], "decode_px": SIDE_PX}
    values["align"]["decode_px"] = SIDE_PX
    values["evaluate"] |= {"crop_px": SIDE_PX}
    yaml.dump(values, path)


@dataclass(frozen=True)
class Cost:
    """Of a command and all its processes: wall and processor time, and the most memory at once."""

    seconds: float
    processor_seconds: float
    peak_mib: float

    def figures(self, name: str) -> Iterator[Figure]:
        """Of the benchmark of that name."""
        yield Figure(name, "s", self.seconds)
        yield Figure(name, "processor s", self.processor_seconds)
        yield Figure(name, "peak memory, MiB", self.peak_mib)


def run(command: Sequence[str], project: Path) -> Cost:
    """What a command of DVC costs, as sampled while it runs."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    begun, peak = time.perf_counter(), 0.0
    processor: dict[int, float] = {}
    with (project / "output.log").open("ab") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "dvc", *command], cwd=project, env=environment, stdout=log, stderr=log
        )
        while process.poll() is None:
            peak = max(peak, _look(process, processor))
            time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        sys.exit(f"error: dvc {' '.join(command)} failed; see {project / 'output.log'}")
    return Cost(time.perf_counter() - begun, sum(processor.values()), peak)


def _look(process: psutil.Process, processor: dict[int, float]) -> float:
    """The memory of a process and those it started, in MiB; notes each one's processor time so far."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_full_info().pss
            spent = each.cpu_times()
            processor[each.pid] = spent.user + spent.system
    except psutil.Error:  # one of them has just ended
        pass
    return total / 2**20


def stages(project: Path, count: int) -> Iterator[Figure]:
    """Every stage of the data, then what comparing costs where nothing has changed."""
    for stage in ("list", "download", "crop"):
        cost = run(["repro", "--single-item", stage], project)
        yield from cost.figures(stage)
        yield Figure(stage, "photographs a second", count / cost.seconds)
    for name, command in {
        "status": ["status"],
        "status again": ["status"],
        "nothing changed": ["repro", "crop"],
    }.items():
        yield from run(command, project).figures(f"dvc {command[0]}, {name}")
    crops = project / "data/crops"
    files = [path for path in crops.rglob("*") if path.is_file()]
    yield Figure("data/crops", "files", len(files))
    yield Figure("data/crops", "MiB", sum(path.stat().st_size for path in files) / 2**20)


def loading(project: Path) -> Iterator[Figure]:
    """The loader alone, then its share in the steps of the preset that the parameters are of."""
    params, here = load_params(project / "params.yaml"), psutil.Process()
    before, begun = here.memory_full_info().uss, time.perf_counter()
    dataset = CropDataset(project / "data/crops", "train", params.data.augmentation, params.seed)
    yield Figure("loader", "s to open", time.perf_counter() - begun)
    yield Figure("loader", "memory when opened, MiB", (here.memory_full_info().uss - before) / 2**20)
    begun = time.perf_counter()
    for index in range(LOADED):
        dataset[index]
    yield Figure("loader", "samples a second, one process", LOADED / (time.perf_counter() - begun))
    for stage in STAGES:
        yield Figure(
            f"{stage}, share of the rate with random tensors",
            "%",
            _share(params, stage, dataset),
            at_least=95,
        )


def _share(params: Params, stage: str, dataset: CropDataset) -> float:
    """Rounds of steps take turns: with a batch that is there, and with loading another in this process."""
    step = prepare(params, stage, torch.device("cpu"))
    batch_size = untrained_training(params, stage).training_settings.batch_size
    batches = iter(training_batches(dataset, batch_size, itertools.count(), workers=0))
    shares = []
    step()
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(STEPS):
            step()
        middle = time.process_time()
        for _ in range(STEPS):
            next(batches)
            step()
        shares.append((middle - begun) / (time.process_time() - middle))
    return 100 * median(shares)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything, print it and write it into the folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_scale", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photographs", type=int, default=20_000)
    parser.add_argument("--store", default="auto", help="data.store: auto, pixels, photographs")
    options = parser.parse_args(arguments)
    photographs = options.folder / f"photographs-{options.photographs}"
    project = options.folder / f"project-{options.photographs}-{options.store}"
    make_photographs(photographs, options.photographs)
    make_project(project, photographs, options.store)
    figures, where = [], machine(torch.device("cpu"))
    for part in (stages(project, options.photographs), loading(project)):
        for figure in part:
            figures.append(figure)
            print(f"{figure.benchmark}: {figure.name} {figure.text}", flush=True)
    Console().print(as_table(figures, _title(where)))
    write_figures(project.with_suffix(".json"), figures, where)


def _title(where: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in where.items())


if __name__ == "__main__":
    main()
