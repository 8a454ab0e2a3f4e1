"""What `pip install` brings."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_holds_the_presets_the_page_and_the_shipped_model(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shipped = (ROOT / "src/arbiscale/config/presets").glob("*.yaml")
    assert names >= {f"arbiscale/config/presets/{path.name}" for path in shipped}
    page = (ROOT / "src/arbiscale/web/page").iterdir()
    assert names >= {f"arbiscale/web/page/{path.name}" for path in page}
    model = list((ROOT / "src/arbiscale/models/compact").iterdir())
    assert {path.name for path in model} >= {"README.md", "autoencoder.safetensors", "config.json"}
    assert names >= {f"arbiscale/models/compact/{path.name}" for path in model}
    assert sum(path.stat().st_size for path in model) <= 8e6
