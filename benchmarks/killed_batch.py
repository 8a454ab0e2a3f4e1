"""Kill a batch of pictures at random moments, start it again, and hold what it leaves against a clean run.

    python -m benchmarks.killed_batch FOLDER --files 2000 --kills 20

FOLDER is made; pictures of 16 px are upscaled in it by the shipped model, or the one that --model names.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image

SIDE_PX = 16
SUFFIXES = (".png", ".jpg", ".webp", ".tif", ".avif")
COMMAND = (sys.executable, "-c", "from arbiscale.cli.app import main; main()", "upscale")


def make_pictures(folder: Path, count: int) -> None:
    """Noise in every format that is read and written, half of it in a folder below."""
    generator = np.random.default_rng(0)
    (folder / "below").mkdir(parents=True)
    for number, suffix in enumerate(islice(cycle(SUFFIXES), count)):
        pixels = generator.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
        place = folder / "below" if number % 2 else folder
        Image.fromarray(pixels).save(place / f"{number:05d}{suffix}")


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder by its name, hidden files too; None = a folder."""
    found = ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*"))
    return {name: path.read_bytes() if path.is_file() else None for name, path in found}


def run_killed(command: list[str], output: Path, files: int, kills: int, seed: int = 0) -> list[int]:
    """Kill a command `kills` times, evenly spread over its files, then let it end.

    Returns:
        How many files there were at each kill.

    Raises:
        AssertionError: it ended in another way.
    """
    rng = random.Random(seed)
    found = []
    for kill in range(kills):
        goal = files * (kill + rng.random()) / kills
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and _count(output) < goal:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))  # somewhere in the next picture
        assert process.poll() is None, process.communicate()[1].decode()
        process.kill()
        process.communicate()
        found.append(_count(output))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return found


def _count(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.suffix in {*SUFFIXES, ".dzi"})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("options", nargs="*", help="behind --, of arbiscale upscale")
    options = parser.parse_args()
    inputs, clean, killed = (options.folder / name for name in ("inputs", "clean", "killed"))
    make_pictures(inputs, options.files)
    chosen = ["--scale", "2", "--threads", "1", "--skip-existing", *options.options]
    for output, kills in ((clean, 0), (killed, options.kills)):
        began = time.monotonic()
        command = [*COMMAND, str(inputs), str(output), *chosen]
        found = run_killed(command, output, options.files, kills, options.seed)
        print(f"{output.name}: {time.monotonic() - began:.0f} s; files at each kill: {found}", flush=True)
    expected, left = contents(clean), contents(killed)
    differing = sorted({name for name, _ in expected.items() ^ left.items()})
    print(f"{len(expected)} files and folders, {len(differing)} of them differ: {differing[:10]}")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
