"""Drawing needs no extra; what needs one names it."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from arbiscale.errors import EXTRAS

ROOT = Path(__file__).parents[2]
MODULES = {  # of packages whose names differ
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyvips[binary]": "pyvips",
    "ruamel.yaml": "ruamel",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "nvidia-ml-py": "pynvml",
}


def run_without_extras(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command line in a process in which no package of an extra can be imported."""
    blocked = [module for modules in EXTRAS.values() for module in modules]
    script = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class WithoutExtras(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] not in {blocked!r}:\n"
        "            return super().find_spec(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutExtras\n"
        "from arbiscale.cli.app import main\n"
        f"main({[str(argument) for argument in arguments]!r})\n"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_drawing_needs_no_extra(super_resolution_model: Path, picture: Path, tmp_path: Path) -> None:
    target = tmp_path / "large.png"
    options = ["--model", super_resolution_model, "--steps", 2, "--device", "cpu", "--scale", 2]
    done = run_without_extras("upscale", picture, target, *options)
    assert done.returncode == 0, done.stderr
    assert target.is_file()


def test_a_missing_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    done = run_without_extras("promote", "1")
    assert done.returncode == 2
    assert done.stderr == "error: this needs mlflow; run `pip install 'arbiscale[train]'`\n"


def test_every_package_of_an_extra_is_known() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def modules(requirements: list[str]) -> set[str]:
        packages = [re.split(r"[\[<>=]", requirement)[0] for requirement in requirements]
        return {MODULES.get(package, package).replace("-", "_") for package in packages}

    extras = {extra: modules(declared["optional-dependencies"][extra]) for extra in EXTRAS}
    assert all(extras[extra] <= set(EXTRAS[extra]) for extra in EXTRAS)
    known = {"arbiscale", "botocore", "pydantic_core", "s3transfer", *sys.stdlib_module_names}
    known |= modules(declared["dependencies"]).union(*extras.values())
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert {name.partition(".")[0] for name in names} <= known, path
