"""The mean of a picture's drawings in its 8 orientations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from arbiscale.config.local_implicit import LocalImplicitSettings
from arbiscale.errors import UserError
from arbiscale.imaging.kernels import resize_region
from arbiscale.imaging.orientations import ORIENTATIONS
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.inference import decoding as decoding_module
from arbiscale.inference import features
from arbiscale.inference.latent_model import LatentModel
from arbiscale.inference.loading import load_model
from arbiscale.inference.local_implicit_model import LocalImplicitModel
from arbiscale.inference.model import Model
from arbiscale.models.folder import LocalImplicitConfig
from arbiscale.models.local_implicit import LocalImplicit

ODD = (99, 203)  # of 41 x 72 px: x2.41 vertically, x2.82 horizontally


@pytest.fixture(scope="module")
def deep(photo: np.ndarray) -> np.ndarray:
    """Of sides unlike each other, 16 bits, and pale: nothing that is drawn is cut off."""
    return (photo[3:44].astype(np.uint16) // 8 + 112) * 257


@pytest.fixture(scope="module")
def models(
    upscaler: LatentModel,
    model_config: Callable,
    make_model: Callable,
    save_linf: Callable[..., Path],
) -> dict[str, Model]:
    """Of every kind: latent diffusion, the same with a branch, LIIF, a LINF that draws texture in patches."""
    config = model_config(branch={"width": 8, "blocks": 1})
    sampling = upscaler.sampling
    liif = LocalImplicitSettings.model_validate(
        {
            "encoder": {"kind": "edsr", "width": 8, "blocks": 2},
            "head": {"width": 8, "layers": 2},
            "residual": False,
        }
    )
    torch.manual_seed(0)
    device = torch.device("cpu")
    return {
        "latent": upscaler,
        "branch": LatentModel(config, make_model(config), device, "float32", sampling),
        "liif": LocalImplicitModel(
            LocalImplicitConfig(network=liif), LocalImplicit(liif).eval(), device, "float32"
        ),
        "linf": load_model(save_linf(0.7, patch_px=3), "cpu"),
    }


KINDS = ["latent", "branch", "liif", "linf"]


def turned_back(model: Model, picture: np.ndarray, size: tuple[int, int], **options: object) -> np.ndarray:
    """The same mean, from whole drawings of turned pictures."""
    members = []
    for each in ORIENTATIONS:
        drawn = model.upscale(each.turn_pixels(picture), size=each.size(size), **options)
        members.append(each.turn_back(torch.from_numpy(drawn.astype(float)).permute(2, 0, 1)))
    return torch.stack(members).mean(0).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [ODD, (17, 300)])
def test_the_mean_of_the_turned_pictures_drawings(
    models: dict[str, Model], deep: np.ndarray, kind: str, size: tuple[int, int]
) -> None:
    expected = turned_back(models[kind], deep, size, seed=3)
    drawn = models[kind].upscale(deep, size=size, seed=3, self_ensemble=True)
    plain = models[kind].upscale(deep, size=size, seed=3)
    assert np.abs(drawn - expected).max() <= 2
    assert np.abs(plain - expected).max() > 20


@pytest.mark.parametrize("fidelity", [0.3, 1.0])
def test_at_a_fidelity(models: dict[str, Model], deep: np.ndarray, fidelity: float) -> None:
    expected = turned_back(models["branch"], deep, ODD, fidelity=fidelity)
    drawn = models["branch"].upscale(deep, size=ODD, fidelity=fidelity, self_ensemble=True)
    assert np.abs(drawn - expected).max() <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_turned_picture_is_drawn_turned(models: dict[str, Model], deep: np.ndarray, kind: str) -> None:
    drawn = models[kind].upscale(deep, size=ODD, self_ensemble=True)
    for each in ORIENTATIONS[1::3]:
        other = models[kind].upscale(each.turn_pixels(deep), size=each.size(ODD), self_ensemble=True)
        assert np.abs(each.turn_pixels(drawn).astype(int) - other).max() <= 2


def test_where_nothing_is_drawn_to_it_the_bicubic_picture_stays(
    latent_model: Callable[..., LatentModel], deep: np.ndarray
) -> None:
    """A model that draws no difference is equivariant."""
    model = latent_model()
    for parameter in model.head.output.parameters():
        torch.nn.init.zeros_(parameter)
    drawn = model.upscale(deep, size=ODD, self_ensemble=True)
    np.testing.assert_array_equal(drawn, model.upscale(deep, size=ODD))
    base = resize_region(to_tensor(deep), ODD, (0, 0, *ODD))
    np.testing.assert_array_equal(drawn, to_array(base, 16))


@pytest.mark.parametrize("tile", ["none", 32])
@pytest.mark.parametrize("kind", KINDS)
def test_bands_and_regions_are_parts_of_the_whole(
    models: dict[str, Model],
    photo: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    tile: str | int,
) -> None:
    drawing = models[kind].sample(photo, tile=tile, self_ensemble=True)
    whole = drawing.draw(ODD)
    held = models[kind].sample(photo, tile=tile, self_ensemble=True)
    held.hold()
    for top, left, height, width in ((50, 20, 30, 100), (0, 150, 9, 53), (90, 0, 9, 203)):
        part = held.region(ODD, (top, left, height, width)).astype(int)
        assert np.abs(part - whole[top : top + height, left : left + width]).max() <= 1
    monkeypatch.setattr(decoding_module, "_BAND_PIXELS", 25 * ODD[1])
    bands = list(drawing.bands(ODD))
    assert len(bands) == -(-ODD[0] // 25)
    assert np.abs(np.concatenate(bands).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_regions_where_neighbours_tie(models: dict[str, Model], photo: np.ndarray, kind: str) -> None:
    """At x1 and x3 the middle of a pixel has one neighbour from above, another from below."""
    drawing = models[kind].sample(photo, self_ensemble=True)
    for scale in (1, 3):
        size = (photo.shape[0] * scale, photo.shape[1] * scale)
        whole = drawing.draw(size).astype(int)
        for top, left in ((0, 0), (13, 28), (25, 51)):
            part = drawing.region(size, (top, left, 2, 3))
            assert np.abs(part - whole[top : top + 2, left : left + 3]).max() <= 1


def test_tiles_change_it_no_more_than_one_drawing(upscaler: LatentModel) -> None:
    y, x = np.mgrid[:80, :128]
    waves = [np.sin(x / 5 + y / 9), np.cos(x / 3 - y / 7), np.sin(x * y / 800)]
    picture = (127.5 + 100 * np.stack(waves, axis=2)).astype(np.uint8)
    change = {}
    for self_ensemble in (False, True):
        whole, tiled = (
            upscaler.upscale(picture, scale=2.37, tile=tile, self_ensemble=self_ensemble).astype(float)
            for tile in ("none", 48)
        )
        change[self_ensemble] = np.abs(whole - tiled).mean()
    assert 0 < change[True] <= change[False]


def test_features_of_all_members_take_no_more_memory_than_one(
    upscaler: LatentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of tiles are shorter for as many more."""
    made = []
    make = features.FeatureStrips
    monkeypatch.setattr(features, "_STRIP_BYTES", 4 * 8 * 8 * 160 * 40)
    monkeypatch.setattr(features, "FeatureStrips", lambda *a, **b: made.append(b["down"]) or make(*a, **b))
    picture = np.random.default_rng(0).integers(0, 256, (72, 160, 3), dtype=np.uint8)
    for self_ensemble in (False, True):
        upscaler.sample(picture, tile=64, self_ensemble=self_ensemble).region((72, 160), (0, 0, 1, 1))
    assert [down.tile_px for down in made] == [64, 40]


def test_alpha_and_grey_are_kept(upscaler: LatentModel, photo: np.ndarray, deep: np.ndarray) -> None:
    alpha = photo[..., 0].clip(1)
    drawing = upscaler.sample(Picture(photo, alpha), self_ensemble=True)
    drawn = drawing.draw(ODD)
    np.testing.assert_array_equal(drawn[..., :3], upscaler.upscale(photo, size=ODD, self_ensemble=True))
    np.testing.assert_array_equal(drawn[..., 3:], upscaler.sample(Picture(photo, alpha)).draw(ODD)[..., 3:])
    grey = upscaler.upscale(deep[..., :1], size=ODD, self_ensemble=True)
    assert grey.shape == (*ODD, 1)
    assert np.abs(grey - turned_back(upscaler, deep[..., :1], ODD)).max() <= 2


def test_flat_areas_stay_flat(upscaler: LatentModel, photo: np.ndarray) -> None:
    picture = photo.copy()
    picture[10:40, 10:40] = (10, 200, 77)
    drawn = upscaler.upscale(picture, scale=2, self_ensemble=True)
    assert (drawn[30:70, 30:70] == (10, 200, 77)).all()


def test_models_that_do_not_super_resolve_refuse(
    latent_model: Callable[..., LatentModel], photo: np.ndarray
) -> None:
    for task in ("generation", "reconstruction"):
        with pytest.raises(UserError, match=f"made for {task}, not for super_resolution"):
            latent_model(task).upscale(photo, scale=2, self_ensemble=True)
