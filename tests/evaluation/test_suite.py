"""All protocols of the settings: one that cannot be followed does not spoil the others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pandas.testing import assert_frame_equal
from PIL import Image

from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.data import connections
from arbiscale.errors import UnavailableError, UserError
from arbiscale.evaluation.held_out import HeldOutData, HeldOutPhotograph
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.plan import Subject
from arbiscale.evaluation.scores import Evaluation
from arbiscale.evaluation.store import Scratch
from arbiscale.evaluation.suite import evaluate_models
from tests.data.web_server import serving
from tests.stand_ins import NO_NETWORKS, MeanDifference, texture

Make = Callable[..., Any]
Evaluate = Callable[..., Evaluation]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Two pictures, one in a folder of its own."""
    (tmp_path / "set/more").mkdir(parents=True)
    Image.fromarray(texture(72, 0)).save(tmp_path / "set/a.png")
    Image.fromarray(texture(64, 1)).save(tmp_path / "set/more/b.png")
    return str(tmp_path / "set")


@pytest.fixture
def evaluate(
    stand_in: Make, tmp_path: Path, evaluate_settings: Callable[..., EvaluateSettings]
) -> Callable[..., Evaluation]:
    """Evaluates on two photographs of 80 px, each time in a new scratch folder; keywords are settings."""
    photographs = []
    for seed, name in enumerate("ab"):
        Image.fromarray(texture(80, seed)).save(tmp_path / f"{name}.png")
        photographs.append(HeldOutPhotograph(name, tmp_path / f"{name}.png", name, (80, 80)))
    scratches = (tmp_path / f"scratch{number}" for number in count())

    def run(
        *protocols: str,
        task: str = "super_resolution",
        held_out: bool = True,
        subject: Mapping[str, Any] = MappingProxyType({}),
        **settings: Any,
    ) -> Evaluation:
        models = {"autoencoder": stand_in("reconstruction"), "diffusion": stand_in(task)}
        data = HeldOutData(photographs if held_out else [])
        settings = {"protocols": [*protocols], **settings}
        wanted = {"networks": NO_NETWORKS, "seed": 0} | dict(subject)
        return evaluate_models(
            Subject(models, data, evaluate_settings(**settings), **wanted), Scratch(next(scratches))
        )

    return run


def benchmark(*sets: str) -> dict[str, Any]:
    return {"div2k": "", "faces": "", "benchmark": [*sets]}


def test_every_protocol_has_its_groups(evaluate: Evaluate, folder: str) -> None:
    means = evaluate("sample", "benchmark", folders=benchmark(f"own={folder}")).means()
    assert list(means) == ["x4", *(f"benchmark/own/x{scale}" for scale in (2, 3, 4))]
    assert list(means["x4"]) == ["bicubic", "autoencoder", "diffusion", "other_latent"]
    assert "colour_shift" not in means["x4"]["bicubic"]


def test_folders_are_searched_recursively(evaluate: Evaluate, folder: str) -> None:
    found = evaluate("benchmark", folders=benchmark(f"own={folder}")).scores
    assert {*found.photograph} == {"a", "more/b"}


def test_numbers_are_the_same_again_and_with_two_workers(evaluate: Evaluate, folder: str) -> None:
    protocols, folders = ("sample", "crops", "benchmark"), benchmark(f"own={folder}")
    first, again, shared = (
        evaluate(*protocols, folders=folders, subject={"workers": workers}) for workers in (0, 0, 2)
    )
    for other in (again, shared):
        assert_frame_equal(first.scores.drop(columns="seconds"), other.scores.drop(columns="seconds"))
        assert other.left_out == first.left_out


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_left_out(evaluate: Evaluate, folder: str, workers: int) -> None:
    (Path(folder) / "b.png").write_text("no picture")
    folders = benchmark(f"own={folder}")
    evaluation = evaluate("benchmark", folders=folders, subject={"workers": workers})
    assert {*evaluation.scores.dropna(subset="row").photograph} == {"a", "more/b"}
    (line,) = evaluation.problems()
    assert line.startswith(f"benchmark: left out: {Path(folder) / 'b.png'}: ")


def test_what_cannot_be_followed_is_said_and_the_rest_stands(
    evaluate: Evaluate, folder: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    sets = [f"none={tmp_path / 'empty'}", f"gone={tmp_path / 'gone'}", f"own={folder}"]
    evaluation = evaluate("crops", "benchmark", folders=benchmark(*sets))
    assert {group.rpartition("/")[0] for group in evaluation.means()} == {"benchmark/own"}
    crops, none, gone = evaluation.left_out
    assert "none of 2 held-out photographs has 192 px of width and height" in crops
    assert none.startswith("evaluate.folders.benchmark: none: ")
    assert none.endswith("holds no picture; name one that holds high-resolution pictures")
    assert "gone is not a folder" in gone
    assert evaluation.problems()[:3] == [crops, none, gone]


def test_a_set_by_address_is_the_set_by_folder(
    evaluate: Evaluate, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(connections, "PAUSE_SECONDS", 0.001)
    archive = shutil.make_archive(str(tmp_path / "sets"), "zip", Path(folder).parent, Path(folder).name)
    with serving({"/sets.zip": Path(archive).read_bytes()}) as server:
        place = f"{server.url}/sets.zip#folder={Path(folder).name}"
        fetched = evaluate("benchmark", folders=benchmark(f"own={place}"))
        own = evaluate("benchmark", folders=benchmark(f"own={folder}"))
        assert_frame_equal(fetched.scores.drop(columns="seconds"), own.scores.drop(columns="seconds"))
        server.fault = lambda path, nth: 503
        with pytest.raises(
            UnavailableError
        ):  # another time it is there: the table must not lack it until then
            evaluate("benchmark", folders=benchmark(f"own={server.url}/others.zip"))


def test_an_empty_split_with_nothing_else_to_measure_is_an_error(evaluate: Evaluate) -> None:
    with pytest.raises(UserError, match="none of 0 held-out photographs has 64 px"):
        evaluate("sample", held_out=False)


def test_networks_that_are_not_at_hand_leave_the_rest_of_the_table_intact(evaluate: Evaluate) -> None:
    absent = MetricNetworks({"lpips": None, "dists": None}, unavailable=("dists is not measured: no VGG16",))
    evaluation = evaluate("sample", subject={"networks": absent})
    bicubic = evaluation.means()["x4"]["bicubic"]
    assert ("dists" in bicubic, bicubic["psnr"]) == (False, pytest.approx(20, abs=15))
    assert evaluation.problems() == ["dists is not measured: no VGG16"]


def test_extra_models_of_another_task_are_left_out(evaluate: Evaluate, stand_in: Make) -> None:
    extra = {"good": stand_in("super_resolution"), "generator": stand_in("generation")}
    evaluation = evaluate("sample", subject={"extra": extra})
    assert list(evaluation.means()["x4"])[-1] == "good"
    assert evaluation.left_out == ["row generator: its model was not made for super-resolution"]


def test_the_trade_off_is_measured_beside_the_table_and_changes_nothing_in_it(
    evaluate: Evaluate, stand_in: Make
) -> None:
    subject = {
        "networks": MetricNetworks({"lpips": MeanDifference()}),
        "extra": {"good": stand_in("super_resolution")},
    }
    curves = {"scales": [2, 4], "temperatures": [0], "fidelities": [0], "steps": [1, 2], "etas": [0]}
    plain = evaluate("sample", subject=subject)
    found = evaluate("sample", subject=subject, trade_off=curves)
    assert_frame_equal(found.scores.drop(columns="seconds"), plain.scores.drop(columns="seconds"))
    assert plain.trade_off == []
    rows = ["bicubic", "diffusion", "good"]
    assert [(each.scale, each.row) for each in found.trade_off] == [(s, row) for s in (2, 4) for row in rows]
    generated = evaluate("sample", subject=subject, trade_off=curves, task="generation")
    assert generated.trade_off == []
    without = evaluate("sample", trade_off=curves)
    assert without.left_out == ["evaluate.trade_off: left out, as it needs lpips, which is not measured"]


def test_generators_follow_the_protocols_of_generation(
    evaluate: Evaluate, stand_in: Make, folder: str
) -> None:
    extra = {"other": stand_in("generation"), "upscaler": stand_in("super_resolution")}
    evaluation = evaluate(
        "sample", "benchmark", "generation", folders=benchmark(f"own={folder}"), task="generation",
        subject={"extra": extra},
    )  # fmt: skip
    assert {group: list(rows) for group, rows in evaluation.means().items()} == {
        "reconstruction": ["autoencoder"],
        "generation/64x64": ["diffusion", "other"],
        "generation/48x80": ["diffusion", "other"],
    }
    assert evaluation.left_out == [
        "row upscaler: its model was not made for generation",
        "evaluate.protocols: benchmark: needs models of super-resolution; these are of generation",
    ]


def test_upscalers_do_not_follow_generation(evaluate: Evaluate) -> None:
    evaluation = evaluate("sample", "generation")
    assert list(evaluation.means()) == ["x4"]
    assert evaluation.left_out == [
        "evaluate.protocols: generation: needs models of generation; these are of super-resolution"
    ]
