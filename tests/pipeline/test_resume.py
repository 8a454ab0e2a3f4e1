import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arbiscale.errors import UserError
from arbiscale.files import content_hash
from arbiscale.pipeline import resume
from arbiscale.pipeline.resume import StageInputs, discard, find_states, resumable, stage_inputs

PARAMS = "seed: 3\nalign:\n  lr: 1e-6\n  training: {steps: 4, batch_size: 2}\nruntime: {threads: 0}\n"
DVC = """
stages:
  align:
    cmd: python stages/align.py
    params: [seed, align.lr, align.training]
    deps: [src/code.py, stages/align.py, models, data/crops]
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/code.py").write_text("x = 1\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a.bin").write_bytes(b"abc")
    (tmp_path / "data/crops/train").mkdir(parents=True)
    (tmp_path / "data/crops/manifest.json").write_text('{"sha256": "1"}')
    return tmp_path


def fingerprint(stage: str, root: Path | None = None) -> str:
    return stage_inputs(stage, root).fingerprint


def test_inputs_are_the_tracked_ones(workspace: Path) -> None:
    inputs = stage_inputs("align")
    assert inputs.flat_parameters() == {
        "seed": 3,
        "align.lr": 1e-6,
        "align.training.steps": 4,
        "align.training.batch_size": 2,
    }
    assert list(inputs.data) == ["data/crops", "models"]
    assert inputs.fingerprint == fingerprint("align", workspace) == fingerprint("align")


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
def test_any_input_changes_the_fingerprint(workspace: Path, file: str, text: str) -> None:
    before = fingerprint("align")
    (workspace / file).write_text(text)
    assert fingerprint("align") != before


def test_the_weights_started_from_are_an_input(workspace: Path) -> None:
    (workspace / "pretrained").mkdir()
    (workspace / "pretrained/config.json").write_text("{}")
    (workspace / "params.yaml").write_text(
        PARAMS.replace("training: {", "training: {init_from: pretrained, ")
    )
    inputs = stage_inputs("align")
    assert inputs.initial_weights == {"align.training.init_from": content_hash(workspace / "pretrained")}
    (workspace / "pretrained/config.json").write_text("{} ")
    assert stage_inputs("align").fingerprint != inputs.fingerprint
    shutil.rmtree(workspace / "pretrained")
    with pytest.raises(
        UserError, match=r"align.training.init_from: pretrained: no such folder; `arbiscale imp"
    ):
        stage_inputs("align")


def test_renaming_a_file_changes_the_fingerprint(workspace: Path) -> None:
    before = fingerprint("align")
    (workspace / "models/a.bin").rename(workspace / "models/b.bin")
    assert fingerprint("align") != before


def test_a_term_that_cannot_take_part_changes_the_fingerprint(workspace: Path) -> None:
    inputs = stage_inputs("align")
    assert replace(inputs, left_out=("lpips",)).fingerprint != inputs.fingerprint


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("params.yaml", PARAMS.replace("threads: 0", "threads: 8")),
        ("params.yaml", PARAMS.replace("1e-6", "0.000001")),  # as `dvc exp run -S` may write it
        ("data/crops/train/0.npy", "stands in the manifest by its hash"),
        ("models/__pycache__/a.pyc", "compiled"),
    ],
)
def test_what_does_not_change_the_fingerprint(workspace: Path, file: str, text: str) -> None:
    before = fingerprint("align")
    (workspace / file).parent.mkdir(exist_ok=True)
    (workspace / file).write_text(text)
    assert fingerprint("align") == before


def test_data_hash_concerns_data_only(workspace: Path) -> None:
    before = stage_inputs("align").data_hash
    (workspace / "code.py").write_text("x = 5\n")
    assert stage_inputs("align").data_hash == before
    (workspace / "data/crops/manifest.json").write_text("{}")
    assert stage_inputs("align").data_hash not in {None, before}


def test_other_forms_of_params_and_deps(workspace: Path) -> None:
    (workspace / "other.yaml").write_text("a: 1\nb: {c: 2}\n")
    (workspace / "dvc.yaml").write_text(
        "stages:\n  x:\n    params: [{other.yaml: null}, {params.yaml: [seed]}]\n    deps: [{models: {}}]\n"
        "  bare: {cmd: ls}\n"
    )
    inputs = stage_inputs("x")
    assert inputs.flat_parameters() == {"a": 1, "b.c": 2, "seed": 3}
    assert inputs.data == {"models": content_hash(workspace / "models")}
    assert inputs.data_hash is None
    assert stage_inputs("bare").parameters == {}


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
        (workspace / remove).rename(workspace / "elsewhere")
    with pytest.raises(UserError, match=message):
        fingerprint(stage)


def test_a_missing_parameter_is_named(workspace: Path) -> None:
    (workspace / "params.yaml").write_text("seed: 3\nalign: {}\n")
    with pytest.raises(UserError, match=r"align\.lr: is missing"):
        fingerprint("align")


@pytest.fixture
def inputs(workspace: Path) -> Callable[..., StageInputs]:
    """Makes inputs that differ in one parameter."""
    return lambda rate: StageInputs({"params.yaml:lr": rate}, {})


def interrupt(inputs: StageInputs, **arguments: Any) -> Path:
    with suppress(RuntimeError), resumable("s", inputs, **arguments) as folder:
        (folder / "last.ckpt").write_text("half")
        raise RuntimeError
    return folder


def test_a_state_survives_failure_and_goes_on_success(inputs: Callable[..., StageInputs]) -> None:
    first = interrupt(inputs(1))
    with resumable("s", inputs(1)) as second:
        assert second == first
        assert (second / "last.ckpt").read_text() == "half"
    assert not first.exists()
    assert find_states() == []


def test_states_outlast_dvcs_temporary_workspaces(
    inputs: Callable[..., StageInputs],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("root")
    monkeypatch.setenv("DVC_ROOT", str(root))
    assert interrupt(inputs(1)).parents[2] == root


def test_eight_interrupted_experiments_outlast_the_ninth(inputs: Callable[..., StageInputs]) -> None:
    folders = [interrupt(inputs(rate)) for rate in range(8)]
    os.utime(folders[0], (0, 0))
    with resumable("s", inputs(3)):
        pass
    with resumable("s", inputs(9)):
        pass
    assert [folder.exists() for folder in folders] == [rate != 3 for rate in range(8)]
    assert len(find_states()) == 7


def test_another_commit_is_a_warning(
    inputs: Callable[..., StageInputs], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(inputs(1), commit="old")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(resume.metadata, "version", lambda _: "0.0")
    interrupt(inputs(1), commit="new")
    (line,) = capsys.readouterr().out.splitlines()
    assert "warning" in line
    assert "commit old -> new" in line
    assert "-> 0.0" in line


def test_a_second_process_waits(
    inputs: Callable[..., StageInputs], workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        "from arbiscale.pipeline.resume import StageInputs, resumable\n"
        "with resumable('s', StageInputs({'params.yaml:lr': 1}, {})) as folder:\n"
        "    (folder / 'x').touch(); print('held', flush=True); input()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", command], **pipes) as other:
        assert other.stdout.readline() == "held\n"
        threading.Timer(0.5, lambda: other.communicate("go on\n")).start()
        with resumable("s", inputs(1)) as folder:
            assert other.wait(10) == 0
            assert not (folder / "x").exists()  # the first has finished: nothing is left to continue
    assert "another process" in capsys.readouterr().out


def test_a_killed_process_lets_go(inputs: Callable[..., StageInputs], workspace: Path) -> None:
    command = (
        "import os\nfrom arbiscale.pipeline.resume import StageInputs, resumable\n"
        "with resumable('s', StageInputs({'params.yaml:lr': 1}, {})) as folder:\n"
        "    (folder / 'x').touch(); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == -9
    with resumable("s", inputs(1)) as folder:
        assert (folder / "x").exists()


def test_states_are_listed_and_discarded(inputs: Callable[..., StageInputs]) -> None:
    interrupt(inputs(1))
    interrupt(inputs(2))
    first, second = find_states()
    assert (first.stage, first.parameters) == ("s", {"lr": 1})
    assert first.bytes > 4
    with resumable("s", inputs(2)), pytest.raises(UserError, match="a running process holds it"):
        discard(second.name)
    interrupt(inputs(2))
    assert discard(first.name).folder == first.folder
    assert [state.folder for state in find_states()] == [second.folder]
    for name in ("", "no such state"):
        with pytest.raises(UserError, match="`arbiscale resume list`"):
            discard(name)


def test_an_unwritable_place_is_named(inputs: Callable[..., StageInputs], workspace: Path) -> None:
    (workspace / ".resume").write_text("a file stands here")
    with pytest.raises(UserError, match=r"\.resume.*cannot be written"), resumable("s", inputs(1)):
        pass
