"""What a version says of itself in the registry."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from arbiscale.files import content_hash, sha256_of_json, write_json
from arbiscale.inference import serving
from arbiscale.models.folder import ModelConfig, save_latent_diffusion
from arbiscale.pipeline.card import LONGEST, write_card
from arbiscale.tracking.registry import EVALUATION_TAG, ROW_TAG, register
from arbiscale.tracking.store import Store, open_store

SCORES = """group,row,scene,psnr,lpips
x4,bicubic,a,24,0.4
x4,bicubic,b,26,0.4
x4,align_samples,a,25,
x4,align_samples,b,28,0.2
"""


@pytest.fixture
def store(project: Path) -> Store:
    return open_store()


@pytest.fixture
def model(
    tmp_path: Path, model_config: Callable[..., ModelConfig], make_model: Callable[..., object]
) -> Path:
    config = model_config()
    save_latent_diffusion(tmp_path / "model", config, make_model(config))
    return tmp_path / "model"


def registered(store: Store, model: Path, tags: dict[str, str], run_tags: dict[str, str]) -> str:
    with store.run("register", tags=run_tags, params={}) as run:
        number = register(store, model, "m", serving, tags=tags, run_id=run.id)
    write_card(store, "m", number, model)
    return str(store.client.get_model_version("m", str(number)).description)


def test_a_card_says_what_is_known(store: Store, model: Path, tmp_path: Path) -> None:
    crop = {"source": "a.png", "split": "train"}
    held_out = {"source": "b.png", "split": "test"}
    manifest = {"crops": [crop, crop], "photographs": [held_out], "credits": {"a.png": "Ann (CC0-1.0)"}}
    write_json(tmp_path / "manifest.json", manifest)
    (tmp_path / "reports/sheets").mkdir(parents=True)
    for name in ("x2.7", "x4", "x8"):
        (tmp_path / f"reports/sheets/{name}.png").touch()
    pd.read_csv(StringIO(SCORES)).to_parquet(tmp_path / "reports/scores.parquet")
    data_hash = sha256_of_json({"data/crops": content_hash(tmp_path / "manifest.json")})
    with store.run("crop", tags={}, params={}) as crops:
        crops.log_artifact(tmp_path / "manifest.json")
    tags = {"data_hash": data_hash, "upstream.crop": crops.id, "git_commit": "c0ffee" * 4}
    parameters = {"align.lr": 1e-6, "align.samples.training.steps": 700, "align.samples.sampling.steps": 4}
    with store.run("align_samples", tags=tags, params=parameters) as trained:
        pass
    measuring = {"seed": 0, "diffusion.training.steps": 5}  # it records all of params.yaml
    with store.run("evaluate", tags={"data_hash": data_hash}, params=measuring) as measured:
        measured.log_artifact(tmp_path / "reports")
    card = registered(
        store,
        model,
        {EVALUATION_TAG: measured.id, ROW_TAG: "align_samples"},
        {"upstream.align_samples": trained.id, "upstream.evaluate": measured.id},
    )
    lines = card.splitlines()
    assert lines[:3] == ["PSNR 26.50 dB at ×4 (bicubic: PSNR 25.00 dB)", "", "# m 1"]
    assert any(f"(run [{measured.id}](#/experiments/1/runs/{measured.id}))" in line for line in lines)
    sheet = f"get-artifact?path=reports/sheets/x4.png&run_uuid={measured.id}"
    assert lines[-3:] == ["## Pictures", "", f"![reports/sheets/x4.png]({sheet})"]
    assert "parameters, 0." in lines[4]
    assert "| | PSNR (dB) ↑ | LPIPS ↓ |" in lines
    assert "| ×4 bicubic | 25.00 (24.00 to 26.00) | 0.400 (0.400 to 0.400) |" in lines
    assert "| ×4 this | 26.50 (25.00 to 28.00) | – |" in lines
    assert f"2 crops of 1 photographs, sha256 {data_hash}." in lines
    assert "- train: a.png (Ann (CC0-1.0))" in lines
    assert "- test: b.png (licence not recorded)" in lines
    assert f"| align_samples | lr 1e-06, steps 700 | c0ffeec0ff | {trained.id} |" in lines
    assert not any(line.startswith("| evaluate") for line in lines)
    assert any("no evidence" in line for line in lines)


def test_a_card_of_a_restored_version_says_what_is_not_known(store: Store, model: Path) -> None:
    card = registered(store, model, {}, {})
    assert "Nothing is recorded." in card
    assert card.startswith("# m 1\n")
    assert card.count("Not recorded in this store.") == 2
    assert "## Pictures" not in card


def test_a_long_card_ends_where_mlflow_would_refuse_it(store: Store, model: Path, tmp_path: Path) -> None:
    credits = {f"{index}.png": "x" * 1000 for index in range(9)}
    crops = [{"source": name, "split": "train"} for name in credits]
    write_json(tmp_path / "manifest.json", {"crops": crops, "photographs": [], "credits": credits})
    with store.run("crop", tags={}, params={}) as made:
        made.log_artifact(tmp_path / "manifest.json")
    with store.run("align_samples", tags={"data_hash": "d", "upstream.crop": made.id}, params={}) as trained:
        pass
    card = registered(store, model, {}, {"upstream.align_samples": trained.id})
    assert len(card) <= LONGEST
    assert "## Limits" in card
    assert card.endswith("\n...\n")


def test_a_generators_card(
    store: Store, tmp_path: Path, model_config: Callable[..., ModelConfig], make_model: Callable[..., object]
) -> None:
    config = model_config("generation")
    save_latent_diffusion(tmp_path / "generator", config, make_model(config))
    assert "Draws pictures of any size" in registered(store, tmp_path / "generator", {}, {})
