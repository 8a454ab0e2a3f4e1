"""The command as a whole: help at once, one line and code 2 for every mistake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arbiscale import __version__
from arbiscale.config.preset import list_presets
from tests.cli.conftest import error_line
from tests.cli.running import run

COMMANDS = ["upscale", "generate", "zoom", "check", "preset", "weights", "runs", "ui", "register", "promote"]
COMMANDS += ["import-checkpoint", "export-checkpoint", "halve"]


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_on_a_full_disk(unbuffered: str) -> None:
    command = [Path(sys.executable).with_name("arbiscale"), "preset", "list"]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output or a file: cannot be written (")
    assert done.stderr.count("\n") == 1


def test_every_command_stands_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    named = capsys.readouterr().out
    assert run() == 0
    assert capsys.readouterr().out.split() == named.split()
    assert all(f" {command} " in named for command in COMMANDS)


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
