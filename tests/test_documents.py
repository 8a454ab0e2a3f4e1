"""What the documents point to is there: files, parameters and presets."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from arbiscale.config.addresses import parse_archive_address
from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.config.named import by_name
from arbiscale.config.preset import list_presets
from arbiscale.config.section import flatten, read_yaml
from tests.documents import block

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_methods_parameters_exist() -> None:
    keys = flatten(read_yaml(ROOT / "params.yaml"))
    sections = {key.split(".")[0] for key in keys}
    named = set(
        re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?::[^`]*)?`", (ROOT / "docs" / "method.md").read_text())
    )
    parameters = {name for name in named if name.split(".")[0] in sections}
    assert {"align.weight_clamp", "autoencoder.network.residual", "evaluate.sampling"} <= parameters
    assert [name for name in parameters if not any(f"{key}.".startswith(f"{name}.") for key in keys)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_named_presets_exist(document: Path) -> None:
    named = re.findall(r"preset apply ([a-z0-9-]+)", document.read_text())
    assert set(named) <= set(list_presets())


def test_the_benchmark_sets_are_what_params_takes() -> None:
    """Each of the page's sets is a place, and those at an address are pictures of an archive."""
    values = read_yaml(ROOT / "params.yaml")["evaluate"]
    shown = YAML(typ="safe").load(block("docs/data.md", "## Benchmark sets", kind="yaml"))["evaluate"]
    folders = values.pop("folders") | shown.pop("folders")
    settings = EvaluateSettings.model_validate(values | shown | {"folders": folders})
    places = by_name(settings.folders.benchmark)
    found = {name: address for name, place in places.items() if (address := parse_archive_address(place))}
    assert {*places} - {*found} == {"manga109", "general100"}
    assert [found[name].folder for name in ("set5", "set14", "b100", "urban100")] == [
        *("Set5/HR", "Set14/HR", "B100/HR", "Urban100/HR")
    ]
