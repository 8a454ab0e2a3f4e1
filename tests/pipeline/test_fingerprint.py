"""What identifies a stage's inputs, and what a stage may read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from arbiscale.config.section import Section
from arbiscale.errors import UnavailableError, UserError
from arbiscale.files import content_hash
from arbiscale.pipeline.fingerprint import only_tracked, stage_inputs
from arbiscale.pretrained import files

PARAMS = "seed: 3\nalign:\n  lr: 1e-6\n  training: {steps: 4, batch_size: 2}\nruntime: {threads: 0}\n"
DVC = """
stages:
  align:
    cmd: python stages/align.py
    params: [seed, align.lr, align.training]
    deps: [stages/align.py, src/training, models, data/crops]
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "dvc.yaml").write_text(DVC)
    for folder in ("stages", "src/training", "models", "data/crops/train"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "stages/align.py").write_text("x = 1\n")
    (tmp_path / "src/training/fit.py").write_text("x = 1\n")
    (tmp_path / "models/a.bin").write_bytes(b"abc")
    (tmp_path / "data/crops/manifest.json").write_text('{"sha256": "1"}')
    return tmp_path


def test_inputs_are_the_tracked_ones(workspace: Path) -> None:
    inputs = stage_inputs("align")
    assert inputs.flat_parameters() == {
        "seed": 3,
        "align.lr": 1e-6,
        "align.training.steps": 4,
        "align.training.batch_size": 2,
    }
    assert inputs.dependencies.keys() == {"data/crops", "models"}
    assert inputs.data_hash is not None


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("params.yaml", PARAMS.replace("1e-6", "2e-6")),
        ("params.yaml", PARAMS.replace("steps: 4", "steps: 5")),
        ("models/a.bin", "abd"),
        ("models/b.bin", ""),
        ("data/crops/manifest.json", '{"sha256": "2"}'),
    ],
)
def test_data_models_and_parameters_change_the_fingerprint(workspace: Path, file: str, text: str) -> None:
    before = stage_inputs("align").fingerprint
    (workspace / file).write_text(text)
    assert stage_inputs("align").fingerprint != before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("params.yaml", PARAMS.replace("threads: 0", "threads: 8")),
        ("params.yaml", PARAMS.replace("1e-6", "0.000001")),  # as `dvc exp run -S` may write it
        ("data/crops/train/0.npy", "stands in the manifest by its hash"),
        ("models/__pycache__/a.pyc", "compiled"),
    ],
)
def test_what_changes_nothing(workspace: Path, file: str, text: str) -> None:
    before = stage_inputs("align")
    (workspace / file).parent.mkdir(exist_ok=True)
    (workspace / file).write_text(text)
    assert stage_inputs("align") == before


@pytest.mark.parametrize("file", ["stages/align.py", "src/training/fit.py"])
def test_code_is_noted_and_keeps_the_fingerprint(workspace: Path, file: str) -> None:
    before = stage_inputs("align")
    (workspace / file).write_text("x = 1  # a comment\n")
    after = stage_inputs("align")
    assert after.fingerprint == before.fingerprint
    assert after.code != before.code


def test_the_weights_started_from_are_an_input(workspace: Path) -> None:
    (workspace / "trained").mkdir()
    (workspace / "trained/config.json").write_text("{}")
    (workspace / "params.yaml").write_text(PARAMS.replace("training: {", "training: {init_from: trained, "))
    inputs = stage_inputs("align")
    assert inputs.initial_weights == {"align.training.init_from": content_hash(workspace / "trained")}
    (workspace / "trained/config.json").write_text("{} ")
    assert stage_inputs("align").fingerprint != inputs.fingerprint


def test_whether_lpips_takes_part_is_an_input(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weighted = PARAMS.replace("training: {", "training: {lpips_weight: 0.1, ")
    assert stage_inputs("align").optional_losses == {}
    (workspace / "params.yaml").write_text(weighted)
    monkeypatch.setattr(files, "obtain", lambda *_: Path())
    with_it = stage_inputs("align")

    def missing(*_: object) -> Path:
        raise UnavailableError("nowhere")

    monkeypatch.setattr(files, "obtain", missing)
    without = stage_inputs("align")
    assert (with_it.optional_losses, without.optional_losses) == ({"lpips": True}, {"lpips": False})
    assert with_it.fingerprint != without.fingerprint


@pytest.mark.parametrize(
    ("stage", "remove", "message"),
    [
        ("other", None, "dvc.yaml: stages.other: is missing"),
        ("align", "dvc.yaml", "dvc.yaml: no such file"),
        ("align", "params.yaml", "params.yaml: no such file"),
        ("align", "models", "models: is missing; `dvc repro`"),
    ],
)
def test_missing_inputs_are_named(workspace: Path, stage: str, remove: str | None, message: str) -> None:
    if remove:
        path = workspace / remove
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match=message):
        stage_inputs(stage)


def test_which_network_the_perceptual_term_takes_is_an_input(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = PARAMS.replace("training: {", "training: {perceptual_weight: 0.1, ")
    (workspace / "params.yaml").write_text(params)
    monkeypatch.setattr(files, "obtain", lambda *_: Path())
    for at_hand, found in ((Path("vgg16_features.pt"), {"lpips_vgg": True}), (None, {"lpips": True})):
        monkeypatch.setattr(files, "locate", lambda *_, at_hand=at_hand: at_hand)
        assert stage_inputs("align").optional_losses == found


def test_a_stage_of_a_group_is_called_as_its_item(workspace: Path) -> None:
    group = """
  baselines:
    foreach: ${train}
    do: {cmd: 'python stages/${item}.py', params: ['${item}.lr'], deps: ['stages/${item}.py', models]}
"""
    (workspace / "dvc.yaml").write_text(DVC + group)
    (workspace / "params.yaml").write_text(PARAMS + "train: [b]\na: {lr: 1}\nb: {lr: 2}\n")
    (workspace / "stages/b.py").write_text("x = 1\n")
    inputs = stage_inputs("b")
    assert (inputs.parameters, [*inputs.dependencies]) == ({"b.lr": 2}, ["models"])
    assert stage_inputs("align").parameters["align.lr"] == 1e-6
    with pytest.raises(UserError, match=r"stages\.a: is missing"):  # train does not list it
        stage_inputs("a")


@pytest.mark.parametrize("over", ["[x, y]", "{x: {a: 1}}", "${own}", "${own.list}"])
def test_groups_of_the_users_own_are_left_alone(workspace: Path, over: str) -> None:
    inputs = stage_inputs("align")
    (workspace / "dvc.yaml").write_text(
        DVC + f"  own:\n    foreach: {over}\n    do: {{cmd: 'echo ${{item}}'}}\n"
    )
    assert stage_inputs("align") == inputs


class Inner(Section):
    steps: int = 1
    size: int = 2


class Outer(Section):
    lr: float = 0.5
    weight: float = 0.25
    training: Inner = Inner()
    other: Inner = Inner()


def test_a_stage_can_read_what_it_tracks_and_nothing_else() -> None:
    seen = only_tracked(Outer(), "align", {"align.lr": 1, "align.training": {}, "align.other.size": 2})
    assert (seen.lr, seen.training, seen.other.size) == (0.5, Inner(), 2)
    for untracked in (lambda: seen.weight, lambda: seen.other.steps):
        with pytest.raises(AttributeError):
            untracked()
    assert only_tracked(Outer(), "align", {"align": {}}) == Outer()
    assert only_tracked(Inner(), "align.training", {"align": {}}) == Inner()
