"""The command as a whole: help at once, one line and code 2 for every mistake, the project's own commands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from arbiscale import __version__
from arbiscale.cli.app import main
from arbiscale.config.data import FolderSettings
from arbiscale.config.preset import find_preset, list_presets
from arbiscale.data.index import open_index
from arbiscale.data.scan import scan
from arbiscale.data.sources.folder import Folder
from arbiscale.pipeline import dry_run

ROOT = Path(__file__).parents[2]
COMMANDS = ["upscale", "generate", "zoom", "check", "preset", "weights", "runs", "ui", "register", "promote"]
COMMANDS += ["import-checkpoint", "export-checkpoint", "halve"]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's parameters, as the working directory."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.endswith("\n")
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["check"], ["preset", "apply", "smoke"], ["upscale", "--help"], ["zoom", "--help"]],
)
def test_nothing_heavy_is_imported(workspace: Path, arguments: list[str]) -> None:
    script = (
        "import sys\nfrom arbiscale.cli.app import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'mlflow', 'pytorch_lightning', 'albumentations', 'boto3', 'numpy', 'PIL'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")


def test_the_installed_command_ends_with_code_2_and_no_traceback(workspace: Path) -> None:
    command = Path(sys.executable).with_name("arbiscale")
    done = subprocess.run(
        [command, "preset", "apply", "nothing"], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: preset 'nothing': does not exist; available: {', '.join(list_presets())}\n"
    )


def test_every_command_stands_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    named = capsys.readouterr().out
    assert run() == 0
    assert capsys.readouterr().out.split() == named.split()
    assert all(f" {command} " in named for command in COMMANDS)


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


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"arbiscale {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["upscal"], "No such command 'upscal'"),
        (["check", "--bogus"], "No such option: --bogus"),
        (["upscale"], "Missing argument 'INPUT'"),
        (["generate", "out", "--size", "8x8", "--count", "0"], "Invalid value for '--count'"),
        (
            ["upscale", "a.png", "b.png", "--scale", "2", "--steps", "0"],
            "Invalid value for '--steps': must be ",
        ),
        (["upscale", "a.png", "b.png", "--scale", "2", "--seed", "-1"], "Invalid value for '--seed'"),
        (["upscale", "a.png", "b.png", "--scale", "2", "--sampler", "x"], "'--sampler': 'x' is not one of"),
        (["preset"], "Missing command"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert run(*arguments) == 2
    assert said in error_line(capsys)


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


def test_presets(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("preset", "list") == 0
    assert "\nsmoke " in capsys.readouterr().out
    assert run("preset", "show", "smoke") == 0
    assert capsys.readouterr().out == find_preset("smoke").read_text()
    assert run("preset", "apply", "smoke") == 0
    assert "evaluate.generation_count: " in capsys.readouterr().out
    assert run("preset", "apply", "smoke") == 0
    assert capsys.readouterr().out == "params.yaml: already holds every value of smoke\n"
    assert run("preset", "apply", "sample") == 0
    assert (workspace / "params.yaml").read_text() == (ROOT / "params.yaml").read_text()
    capsys.readouterr()
    assert run("preset", "show", "../params") == 2
    assert "preset '../params': does not exist" in error_line(capsys)


def test_a_projects_own_presets_come_first(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "presets").mkdir()
    (workspace / "presets" / "smoke.yaml").write_text("# Ours.\nseed: 77\n")
    (workspace / "presets" / "faces-77.yaml").write_text("# Faces.\nextends: faces\nseed: 77\n")
    assert run("preset", "list") == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["smoke", "Ours."] in lines
    assert ["faces-77", "Faces."] in lines
    assert run("preset", "apply", "faces-77") == 0
    assert "data.source: bundled -> ffhq_128" in capsys.readouterr().out
    assert "\nseed: 77 " in (workspace / "params.yaml").read_text()


def test_weights_come_from_a_folder(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = workspace / "given"
    given.mkdir()
    assert run("weights", "--from", str(given)) == 2
    assert "holds no AlexNet" in error_line(capsys)
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
