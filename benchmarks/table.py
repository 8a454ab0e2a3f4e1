"""The table of the protocol `benchmark` for any rows, with paired intervals, as Markdown.

    python -m benchmarks.table ROW=MODEL ... --sets set5=FOLDER b100=FOLDER --scratch FOLDER

MODEL is whatever `evaluate.extra_models` takes. Differences are those of the first row to every other.
`--self-ensemble ROW ...` and `--consistent ROW ...` draw rows other than the first so.
Scores stay in the scratch folder: the same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from arbiscale.config.named import by_name
from arbiscale.evaluation.held_out import pictures_below
from arbiscale.evaluation.intervals import Interval, intervals
from arbiscale.evaluation.networks import MetricNetworks, load_metric_networks
from arbiscale.evaluation.noise import noise_seeds
from arbiscale.evaluation.pairs import Pairs
from arbiscale.evaluation.peers import Peer, identity_of, load_row
from arbiscale.evaluation.plan import Plan
from arbiscale.evaluation.protocols import BENCHMARK
from arbiscale.evaluation.rows import Upscalers
from arbiscale.evaluation.store import Scratch, measure
from arbiscale.evaluation.suite import finish
from arbiscale.evaluation.super_resolution import SuperResolution
from arbiscale.inference.model import Model


class Drawn(Peer):
    """A model that draws each picture as `Model.upscale` does with `self_ensemble`, `consistent`, or both."""

    timed = True

    def __init__(self, model: Model, *, self_ensemble: bool, consistent: bool) -> None:
        self.identity = identity_of(model) + " self-ensemble" * self_ensemble + " consistent" * consistent
        self._model = model
        self._self_ensemble, self._consistent = self_ensemble, consistent

    def draw(self, pairs: Pairs, group: str) -> Tensor:
        """See `Peer.draw`."""
        drawn = [
            self._model.upscale(
                low[None],
                size=pairs.size,
                seed=seed,
                self_ensemble=self._self_ensemble,
                consistent=self._consistent,
            )
            for low, seed in zip(pairs.low, noise_seeds(0, pairs.names), strict=True)
        ]
        return torch.cat(drawn)


METRICS = {"psnr": 2, "ssim": 4, "lpips": 3}  # digits


def measured(
    rows: Mapping[str, Model | Peer], sets: Mapping[str, str], scratch: Scratch, networks: MetricNetworks
) -> list[Interval]:
    """Every mean, and the first row's differences to the others, with their intervals."""
    first, *_ = rows
    models = {row: each for row, each in rows.items() if not isinstance(each, Peer)}
    peers = {row: each for row, each in rows.items() if isinstance(each, Peer)}
    upscalers = Upscalers({first: models.pop(first)}, models, seed=0, samples=1)
    works = [
        SuperResolution(
            BENCHMARK,
            name,
            pictures_below(folder, name),
            BENCHMARK.scales,
            upscalers,
            networks,
            scratch.album,
            peers=peers,
        )
        for name, folder in sets.items()
    ]
    measure(works, scratch)
    evaluation = finish(Plan([*works], networks=networks), scratch)
    for problem in evaluation.problems():
        print(problem)
    return [*intervals(evaluation, first, seed=0)]


def as_markdown(found: Sequence[Interval], first: str) -> Iterator[str]:
    """Lines of a table: means, then the first row's PSNR and LPIPS over each other row's."""
    by_key = {(each.group, each.row, each.over, each.metric): each for each in found}
    yield f"| data set | row | {' | '.join(METRICS)} | {first} over it: psnr | lpips |"
    yield "|---" * (len(METRICS) + 4) + "|"
    for group, row in dict.fromkeys((each.group, each.row) for each in found):
        means = [
            f"{by_key[group, row, '', metric].mean:.{digits}f}" if (group, row, "", metric) in by_key else ""
            for metric, digits in METRICS.items()
        ]
        over = []
        for metric in ("psnr", "lpips"):
            each, digits = by_key.get((group, first, row, metric)), METRICS[metric]
            ends = [f"{end:+.{digits}f}" for end in (each.low, each.high)] if each else []
            over.append(f"{each.mean:+.{digits}f} ({' to '.join(ends)})" if each else "")
        yield f"| {group.partition('/')[2]} | {' | '.join([row, *means, *over])} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__)
    parser.add_argument("rows", nargs="+", metavar="ROW=MODEL")
    parser.add_argument("--sets", nargs="+", metavar="SET=FOLDER", required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--self-ensemble", nargs="+", metavar="ROW", default=[])
    parser.add_argument("--consistent", nargs="+", metavar="ROW", default=[])
    parser.add_argument("--weights", default="", help="folder of AlexNet's")
    options = parser.parse_args(arguments)
    rows = {row: load_row(where, "cpu") for row, where in by_name(options.rows).items()}
    first, *others = rows
    for row in {*options.self_ensemble, *options.consistent}:
        model = rows[row] if row in others else None
        if model is None or isinstance(model, Peer):
            parser.error(f"{row}: is no model's row behind the first; only those are drawn so")
        rows[row] = Drawn(
            model, self_ensemble=row in options.self_ensemble, consistent=row in options.consistent
        )
    networks = load_metric_networks(["lpips"], options.weights, torch.device("cpu"))
    found = measured(rows, by_name(options.sets), Scratch(options.scratch), networks)
    print("\n".join(as_markdown(found, first)))


if __name__ == "__main__":
    main()
