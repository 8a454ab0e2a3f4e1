"""Presets are listed, shown and applied."""

from pathlib import Path

import pytest

from arbiscale.config.preset import find_preset
from tests.cli.conftest import ROOT, error_line
from tests.cli.running import run


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
