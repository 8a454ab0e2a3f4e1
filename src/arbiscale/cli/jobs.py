"""Which pictures are read, and what each becomes: sources, outputs, and which of these exist."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from arbiscale.cli.requests import Size, Target, check_place
from arbiscale.errors import UserError
from arbiscale.imaging.formats import FORMATS, READ_SUFFIXES, Format, find_format
from arbiscale.imaging.picture_folders import Found, find_pictures

LONGEST_NAME_BYTES = 255  # on all usual file systems
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


def find_sources(given: Sequence[str], output: Path) -> tuple[list[Source], Found]:
    """The pictures that files, folders (searched recursively), glob patterns or `-` stand for.

    Pictures inside the output, where that is a folder in a folder searched, are not among them.

    Returns:
        The sources, and what was left out of folders and patterns.

    Raises:
        UserError: there are none for what was given.
    """
    sources: list[Source] = []
    all_found = Found()
    for text in given:
        path = Path(text)
        if path == STANDARD:
            sources.append(Source(STANDARD, Path("stdin.png")))
        elif path.is_dir():
            found = find_pictures(path)
            inside = [each for each in found.files if output.resolve() in each.resolve().parents]
            if path.resolve() in output.resolve().parents:
                found.files = [each for each in found.files if each not in inside]
            if not found.files:
                suffixes, left_out = ", ".join(sorted(READ_SUFFIXES)), found.summary()
                raise UserError(f"{path}: holds no picture ({suffixes})" + f"; {left_out}" * bool(left_out))
            sources += [Source(each, each.relative_to(path)) for each in found.files]
            for reason, paths in found.left_out.items():
                all_found.left_out.setdefault(reason, []).extend(paths)
        elif glob.has_magic(text) and not path.exists():
            sources += _matching(path, all_found)
        else:
            sources.append(Source(path, Path(path.name)))
    return sources, all_found


def _matching(pattern: Path, found: Found) -> list[Source]:
    """The files that match a pattern, named by their way from the folder that it begins with."""
    root = next((folder for folder in pattern.parents if folder.is_dir()), Path())
    rest = str(pattern.relative_to(root))
    matches = sorted(glob.glob(rest, root_dir=root, recursive=True))  # noqa: PTH207
    sources = []
    for name in matches:
        if (root / name).is_file():
            sources.append(Source(root / name, Path(name)))
        elif not (root / name).is_dir():
            found.leave_out(root / name, "no regular files")
    if not sources:
        raise UserError(f"{pattern}: matches no file")
    return sources


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
    skip_own: bool = False,
) -> list[Job]:
    """Name every output; `skip_own`: sources that an earlier run made of others in place are none.

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
            path = base.with_name(_fitting(base.stem, f"{tag}{base.suffix}")) if in_folder or tag else base
            if skip_own and taken.get(path, path) != path == source.path:
                break
            if path in taken:
                raise UserError(f"{path}: both {taken[path]} and {source.path} would be it; rename one")
            taken[path] = source.path
            check_place(path)
            outputs.append(Output(path, target, seed, temperature, fidelity))
        if outputs:
            jobs.append(Job(source, tuple(outputs)))
    return jobs


def _fitting(stem: str, tail: str) -> str:
    """A name of no more bytes than file systems take; a long stem is cut."""
    left = LONGEST_NAME_BYTES - len(os.fsencode(tail))
    encoded = os.fsencode(stem)
    return f"{stem if len(encoded) <= left else encoded[:left].decode(errors='ignore')}{tail}"


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


def report_skipped(planned: Sequence[Job], left: Sequence[Job]) -> None:
    """Say how many outputs exist."""
    wanted, new = (sum(len(job.outputs) for job in jobs) for jobs in (planned, left))
    if new < wanted:
        print(f"{wanted - new} of {wanted} outputs exist and are skipped", flush=True)


def sizes_of(outputs: Sequence[Output], size: Size, ending: str | None) -> list[Size]:
    """The outputs' sizes, of a source of (height, width) pixels; `ending` as for `format_of`.

    Raises:
        UserError: an absurd one, or one that its format cannot hold.
    """
    sizes = [output.target.of(size) for output in outputs]
    for output, each in zip(outputs, sizes, strict=True):
        format_of(output, ending, each)
    return sizes


def format_of(output: Output, ending: str | None, size: Size | None = None) -> Format:
    """The format that an output is written in: of its suffix, of standard output that of `ending`.

    Raises:
        UserError: there is none of that name, or it cannot hold the size.
    """
    path = Path(f"{output.path}{ending}") if output.path == STANDARD else output.path
    return find_format(path, size)
