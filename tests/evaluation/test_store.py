"""Scores leave as they are made: what is killed goes on, what is shared adds up, and little is held."""

from __future__ import annotations

import resource
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal
from torch import Tensor

from arbiscale.evaluation import pairs, store
from arbiscale.evaluation.held_out import pictures_below
from arbiscale.evaluation.plan import Plan
from arbiscale.evaluation.protocols import FACES, SAMPLE
from arbiscale.evaluation.rows import Upscalers, of_other_scenes
from arbiscale.evaluation.scores import Evaluation, Score
from arbiscale.evaluation.store import Scratch, measure
from arbiscale.evaluation.suite import finish
from arbiscale.evaluation.super_resolution import SuperResolution
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.writing import write_image
from arbiscale.inference.latent_model import LatentModel
from tests.stand_ins import NO_NETWORKS, StandIn, Still, still, texture, upscaled

PICTURES = [still(f"p{number}", texture(32, number)) for number in range(7)]


class Killed(BaseException):
    """What nothing catches."""


class Counting(StandIn):
    """Counts what it samples; dies before a picture, where that is asked for."""

    sampled: int = 0
    dies_at: int | None = None

    def sample_latents(self, low_resolution: Tensor, *, seed: Sequence[int]) -> Tensor:
        if self.sampled == self.dies_at:
            raise Killed
        self.sampled += 1
        return super().sample_latents(low_resolution, seed=seed)


def work(scratch: Scratch, model: Any, pictures: Sequence[Any] = PICTURES, **changes: Any) -> SuperResolution:
    models: Any = {"autoencoder": StandIn("reconstruction"), "diffusion": model}
    values = {"protocol": SAMPLE, "scales": [4, 2], **changes}
    return SuperResolution(
        dataset="", pictures=pictures, upscalers=Upscalers(models, {}, 0, 1), networks=NO_NETWORKS,
        album=scratch.album, **values,
    )  # fmt: skip


def table(scratch: Scratch, *works: Any) -> pd.DataFrame:
    return finish(Plan([*works]), scratch).scores.drop(columns="seconds")


@pytest.mark.parametrize("at", [1, 6, 9])
def test_a_killed_evaluation_goes_on_at_the_picture_it_had_reached(
    tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A15: everything was in memory until the end."""
    monkeypatch.setattr(store, "FLUSH_SECONDS", 0.0)
    whole, killed = Scratch(tmp_path / "whole"), Scratch(tmp_path / "killed")
    model = Counting("super_resolution", 0.1)
    measure([work(whole, model)], whole)
    every = model.sampled
    model.sampled, model.dies_at = 0, at
    with pytest.raises(Killed):
        measure([work(killed, model)], killed)
    model.dies_at = None
    again = Scratch(tmp_path / "killed")
    measure([work(again, model)], again)
    repeated = model.sampled - every
    assert 0 <= repeated <= 3, (
        "the picture at hand, at two scales, and its neighbour's latent for the control"
    )
    assert_frame_equal(table(again, work(again, model)), table(whole, work(whole, model)))
    shown = finish(Plan([work(again, model)]), again).comparisons["x4"]
    assert [each.title for each in shown] == [picture.name for picture in PICTURES[:6]]


def test_processes_share_the_pictures_and_totals_are_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "NEIGHBOURS", 2)
    alone = Scratch(tmp_path / "alone")
    model = StandIn("super_resolution", 0.1)
    measure([work(alone, model)], alone)
    for process in (1, 0):
        scratch = Scratch(tmp_path / "shared", process)
        measure([work(scratch, model)], scratch, processes=2)
    lines = pd.concat(pd.read_parquet(part) for part in (tmp_path / "shared/scores").iterdir())
    assert {*lines.groupby(["picture", "group", "row"]).size()} == {1}
    assert_frame_equal(table(scratch, work(scratch, model)), table(alone, work(alone, model)))


def test_pictures_that_come_are_added_and_those_that_went_are_left_out(tmp_path: Path) -> None:
    model, scratch = Counting("super_resolution"), Scratch(tmp_path)
    measure([work(scratch, model, PICTURES[:3])], scratch)
    first = model.sampled
    other = work(scratch, model, PICTURES[2:5])
    measure([other], scratch)
    assert model.sampled <= first + 2 * 2 + 2
    assert table(scratch, other).picture.unique().tolist() == ["p2", "p3", "p4"]


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_batches_give_one_table_to_the_bit_on_a_cpu(
    latent_model: Callable[..., LatentModel], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """A19; and networks compute other last bits for other numbers of pictures."""
    models = {"autoencoder": latent_model("reconstruction"), "diffusion": latent_model(steps=2, eta=1.0)}

    def evaluate(pictures: list[Still]) -> pd.DataFrame:
        return upscaled(models, pictures, [4], samples=2).scores.drop(columns="seconds")

    monkeypatch.setattr(pairs, "BATCH_PIXELS", batch * 32**2)
    found = evaluate(PICTURES)
    monkeypatch.setattr(pairs, "BATCH_PIXELS", 2 * 32**2)
    assert_frame_equal(evaluate(PICTURES), found)
    own = found[(found.picture == "p3") & (found.row == "diffusion")]
    alone = evaluate(PICTURES[3:4])
    assert_frame_equal(own.reset_index(drop=True), alone[alone.row == "diffusion"].reset_index(drop=True))


def test_accelerators_draw_neighbours_of_one_size_together() -> None:
    device = torch.device("cuda")
    sizes = [32, 32, 32, 16, 32, 32]
    prepared = [
        pairs.Prepared(number, {2.0: (torch.zeros(3, side, side), torch.zeros(3, side // 2, side // 2))}, [])
        for number, side in enumerate(sizes)
    ]
    assert pairs.batch_size(device, (256, 256)) == 8
    found = [[each.number for each in batch] for batch in pairs.in_batches(prepared, device)]
    assert found == [[0, 1, 2], [3], [4, 5]]
    alone = [[each.number for each in batch] for batch in pairs.in_batches(prepared, torch.device("cpu"))]
    assert alone == [[0], [1], [2], [3], [4], [5]]


def test_pictures_are_not_kept_beyond_their_batch(tmp_path: Path) -> None:
    """A15: truth, low resolution and every row's pictures of a whole data set lay in memory."""
    drawn: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    class Watched(StandIn):
        def decode(self, latent: Tensor, size: Size, **others: Any) -> Tensor:
            images = super().decode(latent, size, **others).clone()
            drawn.append(weakref.ref(images))
            alive.append(sum(each() is not None for each in drawn))
            return images

    many = [still(f"p{number}", texture(32, number % 5)) for number in range(30)]
    scratch = Scratch(tmp_path)
    measure([work(scratch, Watched("super_resolution"), many)], scratch)
    assert len(drawn) >= 30
    assert max(alive) <= 4


def test_loader_processes_leave_no_files_open(tmp_path: Path) -> None:
    """A16: two descriptors of every picture stayed open until all were there."""
    for number in range(60):
        write_image(tmp_path / f"photographs/{number:02d}.png", texture(96, number % 5))
    open_now = len([*Path("/proc/self/fd").iterdir()])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    scratch = Scratch(tmp_path / "scratch")
    pictures = pictures_below(str(tmp_path / "photographs"), "key")
    of_faces = work(scratch, StandIn("super_resolution"), pictures, protocol=FACES, scales=[5.3], workers=1)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 40, hard))
        measure([of_faces], scratch)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(table(scratch, of_faces).picture.unique()) == 60


@dataclass
class Many:
    """A data set of many pictures, measured at once."""

    names: list[str]
    place: str = "many"
    shown: Sequence[str] = ()
    albums: Sequence[str] = ()

    def measure(self, numbers: Sequence[int]) -> Iterator[tuple[list[int], list[Score]]]:
        for start in range(0, len(numbers), 100):
            here = [*numbers[start : start + 100]]
            lines = [
                {"place": "many", "picture": self.names[each], "row": "r", "group": "x4"} for each in here
            ]
            yield here, [line | {"psnr": 20.0, "finite": True, "scene": "s"} for line in lines]


def test_the_bookkeeping_of_100_000_pictures_takes_seconds(tmp_path: Path) -> None:
    """A18: the control's partners, among others, took a time that grew with the square."""
    many, scratch = Many([f"p{number}" for number in range(100_000)]), Scratch(tmp_path)
    begun = time.monotonic()
    measure([many], scratch)
    measure([many], scratch)  # nothing is missing
    evaluation: Evaluation = finish(Plan([many]), scratch)
    runs = [
        still(name, PICTURES[0].pixels, "a" if number % 1000 else "b")
        for number, name in enumerate(many.names)
    ]
    others = of_other_scenes(runs)
    assert time.monotonic() - begun < 30
    assert evaluation.means() == {"x4": {"r": {"psnr": 20.0}}}
    assert (others[0], others[1], others[999]) == (99_999, 0, 0)
