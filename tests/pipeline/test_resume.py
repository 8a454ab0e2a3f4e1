import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from arbiscale.errors import UserError
from arbiscale.files import content_hash
from arbiscale.pipeline import resume
from arbiscale.pipeline.resume import fingerprint, scratch, stage_inputs

PARAMS = "seed: 3\nalign:\n  lr: 1e-6\n  training: {steps: 4, batch_size: 2}\nruntime: {threads: 0}\n"
DVC = """
stages:
  align:
    cmd: python stages/align.py
    params: [seed, align.lr, align.training]
    deps: [code.py, models, data/crops]
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "code.py").write_text("x = 1\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a.bin").write_bytes(b"abc")
    (tmp_path / "data/crops/train").mkdir(parents=True)
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
    assert list(inputs.dependencies) == ["code.py", "data/crops", "models"]
    assert inputs.fingerprint == fingerprint("align", workspace) == fingerprint("align")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("params.yaml", PARAMS.replace("1e-6", "2e-6")),
        ("params.yaml", PARAMS.replace("steps: 4", "steps: 5")),
        ("code.py", "x = 2\n"),
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


def test_versions_change_the_fingerprint(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint("align")
    monkeypatch.setattr(resume.metadata, "version", lambda _: "0.0")
    assert fingerprint("align") != before


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
        "stages:\n  x:\n    params: [{other.yaml: null}, {params.yaml: [seed]}]\n    deps: [{code.py: {}}]\n"
        "  bare: {cmd: ls}\n"
    )
    inputs = stage_inputs("x")
    assert inputs.flat_parameters() == {"a": 1, "b.c": 2, "seed": 3}
    assert inputs.dependencies == {"code.py": content_hash(workspace / "code.py")}
    assert inputs.data_hash is None
    assert stage_inputs("bare").parameters == {}


@pytest.mark.parametrize(
    ("stage", "remove", "message"),
    [
        ("other", None, "dvc.yaml: stages.other: is missing"),
        ("align", "dvc.yaml", "dvc.yaml: no such file"),
        ("align", "params.yaml", "params.yaml: no such file"),
        ("align", "code.py", "code.py: is missing; `dvc repro`"),
    ],
)
def test_missing_inputs_are_named(workspace: Path, stage: str, remove: str | None, message: str) -> None:
    if remove:
        (workspace / remove).unlink()
    with pytest.raises(UserError, match=message):
        fingerprint(stage)


def test_a_missing_parameter_is_named(workspace: Path) -> None:
    (workspace / "params.yaml").write_text("seed: 3\nalign: {}\n")
    with pytest.raises(UserError, match=r"align\.lr: is missing"):
        fingerprint("align")


def test_scratch_survives_failure_and_goes_on_success(workspace: Path) -> None:
    with suppress(RuntimeError), scratch("s", "f") as first:
        (first / "state").write_text("half")
        raise RuntimeError
    assert first == workspace / ".resume/s/f"
    with scratch("s", "f") as second:
        assert (second / "state").read_text() == "half"
    assert list((workspace / ".resume/s").iterdir()) == []
    with scratch("s", "f") as third:
        assert list(third.iterdir()) == []


def test_scratch_lies_in_the_real_repository(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.mktemp("root")
    monkeypatch.setenv("DVC_ROOT", str(root))
    with scratch("s", "f") as folder:
        assert folder == root / ".resume/s/f"


def test_a_second_holder_gets_a_private_folder(workspace: Path) -> None:
    command = (
        "import sys; from arbiscale.pipeline.resume import scratch\n"
        "with scratch('s', 'f') as folder: print(folder, flush=True); (folder / 'x').touch()"
    )
    with suppress(RuntimeError), scratch("s", "f") as held:
        done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
        assert not Path(done.stdout.strip()).exists()
        assert Path(done.stdout.strip()) != held
        assert list(held.iterdir()) == []
        raise RuntimeError
    assert held.is_dir()


def test_a_killed_holder_lets_go(workspace: Path) -> None:
    command = (
        "import os; from arbiscale.pipeline.resume import scratch\n"
        "with scratch('s', 'f') as folder: (folder / 'x').touch(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == -9
    with scratch("s", "f") as folder:
        assert [file.name for file in folder.iterdir()] == ["x"]


def test_old_and_many_states_are_pruned(workspace: Path) -> None:
    base = workspace / ".resume/s"
    days = {"new": 0.1, "newer": 0.05, "third": 0.2, "old": 8.0}
    for name, age in days.items():
        (base / name).mkdir(parents=True)
        os.utime(base / name, (time.time() - age * 86400,) * 2)
    with scratch("s", "now"):
        assert {folder.name for folder in base.iterdir() if folder.is_dir()} == {"now", "newer", "new"}
    shutil.rmtree(base / "newer")
    os.utime(base / "new", (time.time() - 8 * 86400,) * 2)
    with scratch("s", "now"):
        assert {folder.name for folder in base.iterdir() if folder.is_dir()} == {"now"}


def test_held_states_are_not_pruned(workspace: Path) -> None:
    with scratch("s", "busy") as busy:
        os.utime(busy, (0, 0))
        with resume._try_lock(busy.with_name("other")), scratch("s", "now"):
            assert busy.is_dir()


def test_an_unwritable_place_is_named(workspace: Path) -> None:
    (workspace / ".resume").write_text("a file stands here")
    with pytest.raises(UserError, match=r"\.resume.*cannot be written"), scratch("s", "f"):
        pass
