"""Which pictures are read, and what each becomes: sources, names of outputs, and those that exist."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from arbiscale.cli.requests import Target, check_place
from arbiscale.errors import UserError
from arbiscale.imaging.formats import FORMATS, READ_SUFFIXES

STANDARD = Path("-")  # input or output


@dataclass(frozen=True)
class Source:
    """A picture to read.

    Attributes:
        path: where it is; `-` = standard input.
        name: what its outputs in a folder are called after: a relative path.
    """

    path: Path
    name: Path


@dataclass(frozen=True)
class Output:
    """A picture to write: a source's, of one target and seed; None = the model's own value."""

    path: Path
    target: Target
    seed: int
    temperature: float | None = None
    fidelity: float | None = None


@dataclass(frozen=True)
class Job:
    """A source and everything that is drawn of it."""

    source: Source
    outputs: tuple[Output, ...]


def find_sources(given: str, output: Path) -> list[Source]:
    """The pictures that a file, folder (searched recursively), glob pattern or `-` stands for.

    Pictures inside the output, where that is a folder in the folder searched, are not among them.

    Raises:
        UserError: there are none.
    """
    path = Path(given)
    if path == STANDARD:
        return [Source(STANDARD, Path("stdin.png"))]
    if path.is_dir():
        found = sorted(
            each for each in path.rglob("*") if each.suffix.lower() in READ_SUFFIXES and each.is_file()
        )
        if path.resolve() in output.resolve().parents:
            found = [each for each in found if output.resolve() not in each.resolve().parents]
        if not found:
            raise UserError(f"{path}: holds no picture ({', '.join(sorted(READ_SUFFIXES))})")
        return [Source(each, each.relative_to(path)) for each in found]
    if not path.exists() and glob.has_magic(given):
        found = sorted(filter(Path.is_file, map(Path, glob.glob(given, recursive=True))))  # noqa: PTH207
        if not found:
            raise UserError(f"{given}: matches no file")
        return [Source(each, Path(each.name)) for each in found]
    return [Source(path, Path(path.name))]


def plan(
    sources: Sequence[Source],
    output: Path,
    targets: Sequence[Target],
    seeds: Sequence[int],
    temperatures: Sequence[float | None],
    fidelities: Sequence[float | None],
    suffix: str | None,
    *,
    in_folder: bool = False,
) -> list[Job]:
    """Name every output.

    One source and an output with a suffix make that file, unless `in_folder`; otherwise the output is a
    folder, in which pictures keep their names. Several targets, seeds, temperatures or fidelities are told
    apart by `-x2.5`, `-480x640`, `-seed1`, `-t0.6`, `-f0.5`.

    Raises:
        UserError: several pictures for one file, two sources for one name, or a place that cannot be.
    """
    asked = list(product(targets, seeds, temperatures, fidelities))
    if output == STANDARD:
        if len(sources) * len(asked) > 1:
            raise UserError("-: takes one picture only; name a folder instead")
        return [Job(sources[0], (Output(STANDARD, *asked[0]),))]
    in_folder = in_folder or output.is_dir() or not output.suffix
    if not in_folder and suffix not in {None, output.suffix.lower()}:
        raise UserError(f"--format: {output} says its format itself; leave the option out")
    if not in_folder and len(sources) > 1:
        raise UserError(f"{output}: is one file for {len(sources)} pictures; name a folder, a / behind it")
    jobs = []
    taken: dict[Path, Path] = {}
    for source in sources:
        own = source.name.suffix if source.name.suffix.lower() in FORMATS else ".png"
        base = (output / source.name).with_suffix(suffix or own) if in_folder else output
        outputs = []
        for target, seed, temperature, fidelity in asked:
            tag = f"-{target.label}" * (len(targets) > 1) + f"-seed{seed}" * (len(seeds) > 1)
            tag += f"-t{temperature}" * (len(temperatures) > 1) + f"-f{fidelity}" * (len(fidelities) > 1)
            path = base.with_name(f"{base.stem}{tag}{base.suffix}")
            if path in taken:
                raise UserError(f"{path}: both {taken[path]} and {source.path} would be it; rename one")
            taken[path] = source.path
            check_place(path)
            outputs.append(Output(path, target, seed, temperature, fidelity))
        jobs.append(Job(source, tuple(outputs)))
    return jobs


def without_existing(jobs: Sequence[Job], *, overwrite: bool, skip: bool) -> list[Job]:
    """The jobs that are left to do.

    Raises:
        UserError: an output exists, and neither was asked for; or both were.
    """
    if overwrite and skip:
        raise UserError("give either --overwrite or --skip-existing")
    if overwrite:
        return list(jobs)
    left = []
    for job in jobs:
        new = tuple(each for each in job.outputs if each.path == STANDARD or not each.path.exists())
        if len(new) < len(job.outputs) and not skip:
            old = next(each.path for each in job.outputs if each not in new)
            raise UserError(f"{old}: exists; give --overwrite or --skip-existing, or name another output")
        if new:
            left.append(Job(job.source, new))
    return left
