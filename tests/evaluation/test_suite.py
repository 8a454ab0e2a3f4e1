"""All protocols of the settings: one that cannot be followed does not spoil the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.errors import UserError
from arbiscale.evaluation.held_out import HeldOutData
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.scores import Evaluation
from arbiscale.evaluation.suite import evaluate_models
from tests.stand_ins import NO_NETWORKS, MeanDifference, texture

Make = Callable[..., Any]


def settings(protocols: list[str], **folders: Any) -> EvaluateSettings:
    return EvaluateSettings.model_validate(
        {
            "protocols": protocols,
            "perceptual": ["lpips"],
            "folders": {"div2k": "", "faces": "", "benchmark": []} | folders,
            "extra_models": [],
            "temperature": 0,
            "fidelity": 0,
            "trade_off": {"scales": [], "temperatures": [0], "fidelities": [0], "steps": [1, 2], "etas": [0]},
            "crop_px": 64,
            "crops_per_photograph": 1,
            "scales": [4],
            "generation_sizes": ["64x64", "48x80"],
            "generation_count": 2,
            "diversity_seeds": 0,
            "sampling": {"sampler": "ddim", "steps": 2, "spacing": "trailing", "eta": 0.0},
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Two pictures, one in a folder of its own."""
    (tmp_path / "set/more").mkdir(parents=True)
    Image.fromarray(texture(72, 0)).save(tmp_path / "set/a.png")
    Image.fromarray(texture(64, 1)).save(tmp_path / "set/more/b.png")
    return str(tmp_path / "set")


def evaluate(
    make: Make, wanted: EvaluateSettings, task: str = "super_resolution", **extra: Any
) -> Evaluation:
    models = {"autoencoder": make("reconstruction"), "diffusion": make(task)}
    photographs = {name: texture(80, seed) for seed, name in enumerate("ab")}
    data = HeldOutData(photographs)
    return evaluate_models(models, data, wanted, **{"seed": 0, "networks": NO_NETWORKS} | extra)


def test_every_protocol_has_its_groups(stand_in: Make, folder: str) -> None:
    means = evaluate(stand_in, settings(["sample", "benchmark"], benchmark=[f"own={folder}"])).means()
    assert list(means) == ["x4", *(f"benchmark/own/x{scale}" for scale in (2, 3, 4))]
    assert list(means["x4"]) == ["bicubic", "autoencoder", "diffusion", "other_latent"]
    assert "colour_shift" not in means["x4"]["bicubic"]


def test_folders_are_searched_recursively(stand_in: Make, folder: str) -> None:
    found = evaluate(stand_in, settings(["benchmark"], benchmark=[f"own={folder}"])).scores
    assert {score.photograph for score in found} == {"a", "more/b"}


def test_numbers_are_the_same_again_and_with_two_workers(stand_in: Make, folder: str) -> None:
    wanted = settings(["sample", "crops", "benchmark"], benchmark=[f"own={folder}"])
    first, again, shared = (evaluate(stand_in, wanted, workers=workers) for workers in (0, 0, 2))
    assert first.scores
    assert repr(again.scores) == repr(first.scores)  # NaN included
    assert repr(shared.scores) == repr(first.scores)
    assert shared.left_out == first.left_out


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_left_out(stand_in: Make, folder: str, workers: int) -> None:
    (Path(folder) / "b.png").write_text("no picture")
    wanted = settings(["benchmark"], benchmark=[f"own={folder}"])
    evaluation = evaluate(stand_in, wanted, workers=workers)
    assert {score.photograph for score in evaluation.scores} == {"a", "more/b"}
    assert len(evaluation.left_out) == 3  # scales
    for line in evaluation.left_out:
        assert line.startswith(f"benchmark: left out: {Path(folder) / 'b.png'}: ")


def test_what_cannot_be_followed_is_said_and_the_rest_stands(
    stand_in: Make, folder: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    sets = [f"none={tmp_path / 'empty'}", f"gone={tmp_path / 'gone'}", f"own={folder}"]
    evaluation = evaluate(stand_in, settings(["crops", "benchmark"], benchmark=sets))
    assert {group.rpartition("/")[0] for group in evaluation.means()} == {"benchmark/own"}
    crops, none, gone = evaluation.left_out
    assert "none of 2 test photographs is 192 px wide and high" in crops
    assert none.startswith("evaluate.folders.benchmark: none: ")
    assert none.endswith("holds no picture; name one that holds high-resolution pictures")
    assert "gone is not a folder" in gone
    assert evaluation.problems()[:3] == [crops, none, gone]


def test_an_empty_split_with_nothing_else_to_measure_is_an_error(stand_in: Make) -> None:
    models = {"autoencoder": stand_in("reconstruction"), "diffusion": stand_in("super_resolution")}
    with pytest.raises(UserError, match="none of 0 test photographs is 64 px"):
        evaluate_models(models, HeldOutData({}), settings(["sample"]), seed=0, networks=NO_NETWORKS)


def test_networks_that_are_not_at_hand_leave_the_rest_of_the_table_intact(stand_in: Make) -> None:
    absent = MetricNetworks({"lpips": None, "dists": None}, unavailable=("dists is not measured: no VGG16",))
    evaluation = evaluate(stand_in, settings(["sample"]), networks=absent)
    bicubic = evaluation.means()["x4"]["bicubic"]
    assert (bicubic["dists"], bicubic["psnr"]) == (None, pytest.approx(20, abs=15))
    assert evaluation.problems() == ["dists is not measured: no VGG16"]


def test_extra_models_of_another_task_are_left_out(stand_in: Make) -> None:
    extra = {"good": stand_in("super_resolution"), "generator": stand_in("generation")}
    evaluation = evaluate(stand_in, settings(["sample"]), extra=extra)
    assert list(evaluation.means()["x4"])[-1] == "good"
    assert evaluation.left_out == ["row generator: its model was not made for super-resolution"]


def test_the_trade_off_is_measured_beside_the_table_and_changes_nothing_in_it(stand_in: Make) -> None:
    wanted, networks = settings(["sample"]), MetricNetworks({"lpips": MeanDifference()})
    curves = wanted.trade_off.model_copy(update={"scales": [2.0, 4.0]})
    extra = {"good": stand_in("super_resolution")}
    plain, found = (
        evaluate(stand_in, each, networks=networks, extra=extra)
        for each in (wanted, wanted.model_copy(update={"trade_off": curves}))
    )
    assert repr(found.scores) == repr(plain.scores)
    assert plain.trade_off == []
    rows = ["bicubic", "diffusion", "good"]
    assert [(each.scale, each.row) for each in found.trade_off] == [(s, row) for s in (2, 4) for row in rows]
    generated = evaluate(stand_in, wanted.model_copy(update={"trade_off": curves}), task="generation")
    assert (generated.trade_off, generated.left_out) == ([], [])


def test_generators_follow_the_protocols_of_generation(stand_in: Make, folder: str) -> None:
    wanted = settings(["sample", "benchmark", "generation"], benchmark=[f"own={folder}"])
    extra = {"other": stand_in("generation"), "upscaler": stand_in("super_resolution")}
    evaluation = evaluate(stand_in, wanted, task="generation", extra=extra)
    means = evaluation.means()
    assert {group: list(rows) for group, rows in means.items()} == {
        "generation": ["autoencoder", "diffusion", "other"],
        "generation/64x64": ["diffusion", "other"],
        "generation/48x80": ["diffusion", "other"],
    }
    assert evaluation.left_out == [
        "row upscaler: its model was not made for generation",
        "evaluate.protocols: benchmark: needs models of super-resolution; these are of generation",
    ]


def test_upscalers_do_not_follow_generation(stand_in: Make) -> None:
    evaluation = evaluate(stand_in, settings(["sample", "generation"]))
    assert list(evaluation.means()) == ["x4"]
    assert evaluation.left_out == [
        "evaluate.protocols: generation: needs models of generation; these are of super-resolution"
    ]
