"""Where a picture, a version or a run came from."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from arbiscale.files import content_hash
from arbiscale.tracking.store import open_store
from tests.cli.running import run

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text()


@pytest.fixture
def registered(project: Path, super_resolution_model: Path) -> str:
    """A repository whose packed model is version 1; the id of the run that trained it."""
    (project / "params.yaml").write_text(PARAMS)
    shutil.copytree(super_resolution_model, project / "models/packed")
    sha256 = content_hash(super_resolution_model)
    with open_store().run(
        "align_samples", tags={"model_sha256": sha256, "git_commit": "c0ffee"}, params={}
    ) as made:
        pass
    assert run("register") == 0
    return made.id


def test_from_a_picture_to_its_run(
    registered: str, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run("upscale", picture, "o.jpg", "--scale", "2.5x3.1", "--model", "models:/arbiscale@challenger") == 0
    )
    capsys.readouterr()
    assert run("trace", "o.jpg") == 0
    shown = capsys.readouterr().out
    assert "scale 2.5x3.1" in shown
    assert "of picture.png, sha256" in shown
    assert "version   arbiscale 1 (challenger)" in shown
    assert run("trace", "o.jpg", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["picture"]["version"] == "1"
    assert found["version"]["number"] == 1
    assert found["data"] is None


@pytest.mark.parametrize(("suffix", "words"), [(".jpg", 12_000), (".dzi", 210_000)])
def test_a_picture_says_what_drew_it_beside_xmp_that_its_file_cannot_hold(
    picture: Path,
    super_resolution_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
    words: int,
) -> None:
    """Such as the history of edits in a TIFF: neither was found again, and nothing was said."""
    edited, drawn = tmp_path / "edited.tif", tmp_path / f"o{suffix}"
    rdf = f'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{"edit " * words}</r:RDF>'
    packet = f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{rdf}</x:xmpmeta>'
    with Image.open(picture) as pixels:
        pixels.save(edited, tiffinfo={700: packet.encode()})
    assert run("upscale", edited, drawn, "--scale", "2", "--model", super_resolution_model) == 0
    assert re.search(r"left out: .*\bXMP\b", capsys.readouterr().err)
    assert run("trace", drawn) == 0
    assert "of edited.tif, sha256" in capsys.readouterr().out


def test_from_a_version_or_a_run(registered: str, capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("1", "challenger", "models:/arbiscale/1"):
        assert run("trace", what) == 0
        assert capsys.readouterr().out.startswith("version   arbiscale 1 (challenger)")
    assert run("trace", registered) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"run       align_samples {registered}, FINISHED")
    assert "commit c0ffee" in shown


def test_a_parameter_is_shown_once(registered: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And in one piece; of what runs share the number is said."""
    store = open_store()
    params = {f"some.parameter.number{number}": "a b" for number in range(9)} | {"data.path": ""}
    with store.run("autoencoder", tags={}, params={"seed": 0, "lr": 1} | params) as first:
        pass
    with store.run("diffusion", tags={"upstream.autoencoder": first.id}, params={"seed": 0, "lr": 2}) as last:
        pass
    assert run("trace", last.id) == 0
    shown = capsys.readouterr().out
    assert "lr = 2, seed = 0\n" in shown
    assert "lr = 1, some.parameter.number0 = a b," in shown
    assert "data.path = ''," in shown
    assert shown.count("seed = 0") == 1
    assert "1 as above" in shown
    assert all(f"number{number} = a b" in shown for number in range(9))
    assert "\xa0" not in shown


def test_of_a_folders_model_the_run_is_found_by_its_hash(
    registered: str, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("upscale", picture, "o.png", "--scale", "2", "--model", "models/packed") == 0
    store = open_store()
    store.client.delete_model_version("arbiscale", "1")
    assert run("trace", "o.png") == 0
    assert f"align_samples {registered}" in capsys.readouterr().out


def test_what_is_nothing(registered: str, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("7", "nobody", "0" * 32, "no/file.png"):
        assert run("trace", what) == 2
        assert f"{what}: is no picture, no version and no run" in capsys.readouterr().err
    assert run("trace", picture) == 2
    assert "says nothing of its origin" in capsys.readouterr().err


def test_the_shipped_model_needs_no_store(
    project: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("upscale", picture, "o.png", "--scale", "2", "--model", "pretrained") == 0
    (project / "mlflow.db").unlink()
    assert run("trace", "o.png") == 0
    assert "model     comes with the package" in capsys.readouterr().out
    assert not (project / "mlflow.db").exists()


@pytest.mark.parametrize("arguments", [["trace", "7"], ["trace", "o.png"], ["runs", "sync"]])
def test_what_only_looks_makes_no_store(
    project: Path,
    picture: Path,
    super_resolution_model: Path,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (project / "mlflow.db").unlink()
    drawn = run("upscale", picture, "o.png", "--scale", "2", "--model", super_resolution_model)
    code = run(*arguments)
    said = capsys.readouterr()
    assert (drawn, code) == (0, 2 if "7" in arguments else 0)
    assert "registry" in said.out + said.err or "Nothing was left" in said.out
    assert not (project / "mlflow.db").exists()
