"""An alias that moves is followed while the server runs, and versions are drawn with by number."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from arbiscale.inference import serving
from arbiscale.inference.latent_model import LatentModel
from arbiscale.inference.loading import load_model
from arbiscale.inference.model import Model
from arbiscale.models.folder import save_latent_diffusion
from arbiscale.tracking.registry import register
from arbiscale.tracking.store import Store, open_store
from arbiscale.web.models import Models

from .conftest import PIXELS, Client, pixels, png

URI = "models:/m@champion"


@pytest.fixture
def store(project: Path, tmp_path_factory: pytest.TempPathFactory, upscaler: LatentModel) -> Store:
    """A registry with two versions that draw in another number of steps; the first is champion."""
    (project / "params.yaml").write_text((Path(__file__).parents[2] / "params.yaml").read_text())
    opened = open_store()
    assert upscaler.diffusion is not None
    for steps in (1, 2):
        folder = tmp_path_factory.mktemp("models") / "m"
        sampling = upscaler.sampling.but(steps=steps)
        save_latent_diffusion(
            folder, upscaler.config.model_copy(update={"sampling": sampling}), upscaler.diffusion
        )
        with opened.run("register", tags={}, params={}) as run:
            register(opened, folder, "m", serving, tags={}, run_id=run.id)
    opened.client.set_registered_model_alias("m", "champion", "1")
    return opened


def test_a_moved_alias_is_followed_without_a_restart(
    store: Store, serve: Callable[..., Client], upscaler: Model
) -> None:
    client = serve(upscaler, where=URI, load=lambda name: load_model(name, "cpu"), alias_seconds=0.1)
    assert client.json("/health")["version"] == "1"
    expected = [upscaler.upscale(PIXELS, scale=2.0, steps=steps) for steps in (1, 2)]
    np.testing.assert_array_equal(pixels(client.ask("/upscale?scale=2", png())[1]), expected[0])
    named = client.json("/models")
    assert [(each["name"], each["aliases"]) for each in named] == [("1", ["champion"]), ("2", ["challenger"])]
    np.testing.assert_array_equal(pixels(client.ask("/upscale?scale=2&model=2", png())[1]), expected[1])
    store.client.set_registered_model_alias("m", "champion", "2")
    for _ in range(200):
        if client.json("/health")["version"] == "2":
            break
        time.sleep(0.05)
    np.testing.assert_array_equal(pixels(client.ask("/upscale?scale=2", png())[1]), expected[1])


def test_a_registry_that_is_gone_changes_nothing(
    store: Store, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = Models(URI, lambda name: load_model(name, "cpu"))
    assert models.label == f"{URI}, version 1"
    assert not models.refresh()
    store.client.delete_registered_model_alias("m", "champion")
    assert not models.refresh()
    assert models.served.origin is not None
    assert models.served.origin.version == 1
    assert "stays as it is" in caplog.text


def test_a_version_that_does_not_load_is_tried_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    broken = [RuntimeError("CUDA out of memory. Tried to allocate")] * 2

    def load(name: str) -> Model:
        if int(store.client.get_model_version_by_alias("m", "champion").version) == 2 and broken:
            raise broken.pop()
        return load_model(name, "cpu")

    models = Models(URI, load)
    store.client.set_registered_model_alias("m", "champion", "2")
    assert [models.refresh() for _ in range(4)] == [False, False, True, False]
    assert caplog.text.count("stays as it is (CUDA out of memory") == 1
    assert models.moves == 1
