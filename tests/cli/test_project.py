"""The project's own commands: check, of parameters and what they ask for, and weights."""

import re
import shutil
from pathlib import Path

import pytest

from arbiscale.config.data import FolderSettings
from arbiscale.data.index import open_index
from arbiscale.data.scan import scan
from arbiscale.data.sources.folder import Folder
from arbiscale.pipeline import dry_run
from tests.cli.conftest import error_line
from tests.cli.running import run


def test_check_looks_for_the_models_to_start_from(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (workspace / "params.yaml").read_text()
    (workspace / "params.yaml").write_text(
        text.replace("diffusion:\n  init_from: ''", "diffusion:\n  init_from: trained")
    )
    assert run("check") == 2
    assert error_line(capsys).startswith("params.yaml: diffusion.init_from: trained: no model there")
    (workspace / "trained").mkdir()
    (workspace / "trained" / "config.json").write_text("{}")
    assert run("check") == 0


def test_check_looks_for_the_rows_of_an_evaluation(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "[a=nowhere, b=folder:nowhere, c=spandrel:no.pth, d=pretrained, e=models:/x@y]"
    path = workspace / "params.yaml"
    text = path.read_text().replace("extra_models: []", f"extra_models: {rows}")
    path.write_text(text.replace("against: bicubic", "against: swinir"))
    assert run("check") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "WARNING: evaluate.extra_models: a: nowhere: no model there (no config.json); `evaluate` needs it",
        "WARNING: evaluate.extra_models: b: folder:nowhere: no such folder; `evaluate` needs it",
        "WARNING: evaluate.extra_models: c: spandrel:no.pth: no such file; `evaluate` needs it",
        "WARNING: register.gate.against: swinir: no row is called so; evaluate.extra_models adds rows",
    ]


def test_check(workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("check") == 0
    assert capsys.readouterr().out == "params.yaml: ok\n"
    path = workspace / "params.yaml"
    path.write_text(path.read_text().replace("seed: 0", "sede: 0"))
    assert run("check") == 2
    assert error_line(capsys) == "params.yaml: seed: is missing; sede: unknown key; did you mean seed?"
    path.unlink()
    assert run("check") == 2
    assert "params.yaml: no such file" in error_line(capsys)


def test_check_says_which_benchmark_sets_would_be_fetched(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, place = workspace / "params.yaml", "https://example.org/sets.tar"
    text = path.read_text().replace("benchmarks: []", f"benchmarks: ['set5={place}#folder=Set5/HR']")
    text = text.replace("benchmark: []", f"benchmark: [own=sets/own, 'set14={place}#folder=Set14/HR']")
    path.write_text(text.replace("div2k: ''", f"div2k: {place}"))
    split = f"data.split.benchmarks: set5: `dvc repro` fetches {place}\n"
    assert run("check") == 0
    assert capsys.readouterr().out == f"params.yaml: ok\n{split}"
    path.write_text(path.read_text().replace("protocols: [sample]", "protocols: [sample, benchmark]", 1))
    assert run("check") == 0
    asked = f"evaluate.folders.benchmark: set14: `dvc repro` fetches {place}\n"
    assert capsys.readouterr().out == f"params.yaml: ok\n{split}{asked}"


@pytest.mark.parametrize(
    ("before", "after", "used"),
    [
        ("degradation: bicubic ", "degradation: realistic ", "trainings"),
        (
            "protocols: [sample]\n  perceptual",
            "protocols: [realistic]\n  perceptual",
            "evaluate.protocols alone",
        ),
    ],
)
def test_check_says_how_pictures_are_degraded(
    workspace: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, used: str
) -> None:
    path = workspace / "params.yaml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after).replace("rounds: 2", "rounds: 3"))
    assert run("check") == 0
    _, said = capsys.readouterr().out.splitlines()
    assert said.startswith("data.realistic: 3 x [50% another size (0.7 to 2 of the low resolution), 60% blur")
    assert said.endswith(f"; of {used}")


def test_check_draws_what_there_is(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--degraded", "sheet.png") == 2
    assert "data/crops" in capsys.readouterr().err
    assert not (workspace / "sheet.png").exists()


def test_check_reads_the_copy_that_dvc_runs_in(
    workspace: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = tmp_path_factory.mktemp("copy")
    (copy / "params.yaml").write_text((workspace / "params.yaml").read_text() + "extra: 1\n")
    monkeypatch.setenv("DVC_ROOT", str(workspace))
    monkeypatch.chdir(copy)
    assert run("check") == 2
    assert "extra: unknown key" in error_line(capsys)


def test_check_works_in_a_subfolder(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "photos").mkdir()
    monkeypatch.chdir(workspace / "photos")
    assert run("check") == 0
    assert capsys.readouterr().out == f"{workspace.resolve()}/params.yaml: ok\n"


def test_weights_come_from_a_folder(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = workspace / "given"
    given.mkdir()
    assert run("weights", "--from", str(given)) == 2
    line = error_line(capsys)
    assert f"--from: {given} holds no AlexNet" in line
    assert "leave it out to download" in line
    assert run("weights", "vgg19") == 2
    assert "weights: there is no network 'vgg19'; there are: alexnet, vgg16, inception" in error_line(capsys)
    (given / "alexnet_features.pt").write_bytes(b"weights")
    assert run("weights", "--from", str(given)) == 0
    assert (workspace / "weights" / "alexnet_features.pt").read_bytes() == b"weights"
    (given / "vgg16_features.pt").write_bytes(b"larger")
    assert run("weights", "vgg16", "--from", str(given)) == 0
    assert (workspace / "weights" / "vgg16_features.pt").read_bytes() == b"larger"


def test_a_dry_run_says_what_each_stage_costs(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = [
        dry_run.Cost("autoencoder", 700.4, 20 * 2**20, 0.1732, 700, 121.2),
        dry_run.Cost("diffusion", 900.0, 88 * 2**20, 0.2, 400, 83.0),
        dry_run.Cost("evaluate", 300.0, 2**20, 8.0, 2, 16.0),
    ]
    monkeypatch.setattr(dry_run, "dry_run", lambda params, counts: iter(costs))
    assert run("check", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("params.yaml: ok")
    assert "700 x 0.173 s a step" in lines[1]
    assert "memory 700 MiB  disk 20 MiB" in lines[1]
    assert "2 x 8 s a picture" in lines[3]
    assert "3 min 40 s  memory 900 MiB  disk 89 MiB" in lines[4]  # states are removed as stages end
    assert lines[5].startswith("not counted: photographs beyond one of each split, as data/crops is missing")


def test_check_counts_changed_photographs(
    workspace: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = workspace / "own"
    shutil.copytree(photographs, own)
    assert run("preset", "apply", "finetune") == 0
    params = workspace / "params.yaml"
    params.write_text(re.sub(r"(?<=folder:\n    path: )\S+", "own", params.read_text()))
    source = Folder(FolderSettings(path="own"))
    with open_index() as index:
        scan(source, workspace / "raw", index, "code")
    (own / "a.png").unlink()
    shutil.copy(own / "b.png", own / "f.png")
    capsys.readouterr()
    assert run("check") == 0
    assert "data.source: folder: +1, -1 since it was read; `dvc repro` reads" in capsys.readouterr().out


def test_check_looks_for_the_photographs(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("preset", "apply", "finetune") == 0
    params = workspace / "params.yaml"
    params.write_text(re.sub(r"(?<=folder:\n    path: )\S+", "nowhere", params.read_text()))
    capsys.readouterr()
    assert run("check") == 0
    assert "WARNING: data.folder.path: nowhere: no such folder; name" in capsys.readouterr().out


def test_inputs_go_into_a_folder(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "taken").touch()
    assert run("inputs", "taken") == 2
    assert error_line(capsys) == "taken: is not a folder; choose another output"
