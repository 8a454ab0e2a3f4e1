"""From photographs to a folder of crops."""

import hashlib
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.config.data import CropSettings, DataSettings, SplitSettings
from arbiscale.config.section import read_yaml
from arbiscale.data.crops import crop_boxes, make_crops
from arbiscale.data.manifest import (
    PHOTOGRAPHS,
    Photograph,
    Rejected,
    read_manifest,
    read_record,
    write_record,
)
from arbiscale.data.sources import fetch
from arbiscale.errors import UserError
from arbiscale.imaging.reading import read_image

ROOT = Path(__file__).parents[2]


def add(raw: Path, name: str, source: Path | None = None, content: bytes = b"") -> None:
    """Put another photograph into a folder of fetched ones."""
    path = raw / PHOTOGRAPHS / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(source.read_bytes() if source else content)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    write_record(raw, [*read_record(raw), Photograph(name=name, sha256=digest, origin=name)])


def test_every_crop_is_what_the_manifest_says(
    raw: Path, tmp_path: Path, crop_settings: CropSettings, split_settings: SplitSettings
):
    made = make_crops(raw, tmp_path / "crops", crop=crop_settings, split=split_settings, seed=0)
    manifest = read_manifest(tmp_path / "crops")
    assert manifest == made
    assert {crop.scene: crop.split for crop in manifest.crops} == {
        "b": "validation",
        "c": "train",
        "d": "train",
        "e": "train",
    }
    assert len(manifest.crops) == 4 * 6
    for crop in manifest.crops:
        photograph = raw / PHOTOGRAPHS / crop.source
        assert crop.source_sha256 == hashlib.sha256(photograph.read_bytes()).hexdigest()
        left, top, right, bottom = crop.box
        stored = np.load(tmp_path / "crops" / crop.shard, mmap_mode="r")[crop.index]
        assert np.array_equal(stored, read_image(photograph)[top:bottom, left:right])
    for shard in manifest.shards:
        path = tmp_path / "crops" / shard.file
        assert shard.file.startswith(f"{shard.split}/")
        assert shard.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert np.load(path, mmap_mode="r").shape == (shard.count, 32, 32, 3)
    (held_out,) = manifest.photographs
    assert (held_out.file, held_out.scene, held_out.split) == ("test/a.png", "a", "test")
    assert np.array_equal(read_image(tmp_path / "crops/test/a.png"), read_image(raw / PHOTOGRAPHS / "a.png"))
    assert (held_out.width, held_out.height) == (64, 64)
    assert read_image(tmp_path / "crops/preview.png").std() > 10


def test_the_same_settings_give_the_same_bytes(
    raw: Path, tmp_path: Path, crop_settings: CropSettings, split_settings: SplitSettings
):
    def digests(name: str, seed: int) -> dict[str, str]:
        folder = tmp_path / name
        make_crops(raw, folder, crop=crop_settings, split=split_settings, seed=seed)
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }

    first = digests("first", 0)
    assert first == digests("again", 0)
    assert first["train/00000.npy"] != digests("other", 1)["train/00000.npy"]


def test_useless_photographs_are_rejected_with_the_reason(
    raw: Path, tmp_path: Path, crop_settings: CropSettings, split_settings: SplitSettings
):
    Image.new("RGB", (31, 200)).save(tmp_path / "narrow.png")
    add(raw, "narrow.png", tmp_path / "narrow.png")
    add(raw, "broken.jpg", content=b"nothing")
    add(raw, "half.png", content=(raw / PHOTOGRAPHS / "c.png").read_bytes()[:-500])
    add(raw, "copy/of_a.png", raw / PHOTOGRAPHS / "a.png")
    manifest = make_crops(raw, tmp_path / "crops", crop=crop_settings, split=split_settings, seed=0)
    reasons = {rejected.source: rejected.reason for rejected in manifest.rejected}
    assert sorted(reasons) == ["broken.jpg", "copy/of_a.png", "half.png", "narrow.png"]
    assert reasons["narrow.png"] == "is 31 x 200 px, smaller than a crop (data.crop.size_px: 32)"
    assert reasons["copy/of_a.png"] == "has the same pixels as a.png"  # the test photograph stays one
    assert reasons["broken.jpg"].startswith("is not a picture")
    assert reasons["half.png"].startswith("is truncated")
    assert not {crop.source for crop in manifest.crops} & set(reasons)
    assert isinstance(manifest.rejected[0], Rejected)
    assert str(tmp_path) not in (tmp_path / "crops/manifest.json").read_text()


def test_equal_names_in_sub_directories_do_not_collide(
    raw: Path, tmp_path: Path, crop_settings: CropSettings, split_settings: SplitSettings
):
    for seed, name in enumerate(("x/f.png", "x_f.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "new.png")
        add(raw, name, tmp_path / "new.png")
    held_out = split_settings.model_copy(update={"test": ["f", "x_f"]})
    manifest = make_crops(raw, tmp_path / "crops", crop=crop_settings, split=held_out, seed=0)
    assert {each.source: each.file for each in manifest.photographs} == {
        "x/f.png": "test/x_f.png",
        "x_f.png": "test/x_f-2.png",
    }
    assert not np.array_equal(
        read_image(tmp_path / "crops/test/x_f.png"), read_image(tmp_path / "crops/test/x_f-2.png")
    )


@pytest.mark.parametrize(
    ("changes", "size_px", "message"),
    [
        ({"validation": ["b", "c", "d", "e"]}, 32, r"data\.split: no photograph is left for training; hold"),
        ({"test": []}, 32, r"data\.split\.test: no photograph is left for test; name scenes there"),
        ({"validation": []}, 32, r"data\.split\.validation: no photograph is left for validation;"),
        (
            {},
            65,
            r"left for training; rejected: a\.png \(is 64 x 64 px, smaller .* and 3 more",
        ),
    ],
)
def test_fails_where_a_split_is_left_empty(
    raw: Path,
    tmp_path: Path,
    crop_settings: CropSettings,
    split_settings: SplitSettings,
    changes: dict,
    size_px: int,
    message: str,
):
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops/earlier").touch()
    with pytest.raises(UserError, match=message) as caught:
        make_crops(
            raw,
            tmp_path / "crops",
            crop=crop_settings.model_copy(update={"size_px": size_px}),
            split=split_settings.model_copy(update=changes),
            seed=0,
        )
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "crops").iterdir()] == ["earlier"]  # nothing half done


def test_missing_or_broken_record(raw: Path, tmp_path: Path, crop_settings, split_settings):
    (raw / "sources.json").write_text("{}")
    with pytest.raises(UserError, match=r"sources\.json: cannot be read .* `dvc repro -f -s download`"):
        make_crops(raw, tmp_path / "crops", crop=crop_settings, split=split_settings, seed=0)
    shutil.rmtree(raw)
    with pytest.raises(UserError, match=r"sources\.json: no such file; run `dvc repro download`"):
        make_crops(raw, tmp_path / "crops", crop=crop_settings, split=split_settings, seed=0)
    with pytest.raises(UserError, match=r"manifest\.json: no such file; run `dvc repro crop`"):
        read_manifest(tmp_path / "crops")


def test_shipped_settings_on_the_bundled_photographs(tmp_path: Path):
    values = read_yaml(ROOT / "params.yaml")["data"]
    settings = DataSettings.model_validate(values | {"source": "bundled"})
    fetch(settings, tmp_path / "raw")
    crop = settings.crop.model_copy(update={"per_photograph": 2})
    manifest = make_crops(tmp_path / "raw", tmp_path / "crops", crop=crop, split=settings.split, seed=0)
    assert {each.scene for each in manifest.photographs} >= {"astronaut", "coffee", "china"}
    splits = {}
    for entry in [*manifest.crops, *manifest.photographs]:
        splits.setdefault(entry.scene, set()).add(entry.split)
    assert all(len(split) == 1 for split in splits.values())
    assert splits["retina"] == splits["hubble"] == splits["ihc"] == {"train"}
    assert {crop.source for crop in manifest.crops if crop.scene == "motorcycle"} == {
        "motorcycle_left.png",
        "motorcycle_right.png",
    }
    assert manifest.rejected == []
    assert "CC-BY-2.0" in manifest.credits["china.jpg"]
    never = settings.split.model_copy(update={"test": ["retina"]})
    with pytest.raises(UserError, match="retina: is never a test scene"):
        make_crops(tmp_path / "raw", tmp_path / "crops", crop=crop, split=never, seed=0)


def boxes(width: int, height: int, *, mode="random", size_px=16, per_photograph=100, seed=0, name="a.png"):
    settings = CropSettings(mode=mode, size_px=size_px, per_photograph=per_photograph)
    return crop_boxes(width, height, settings, seed=seed, name=name)


@pytest.mark.parametrize("mode", ["random", "grid"])
@pytest.mark.parametrize(("width", "height"), [(16, 16), (17, 40), (100, 31)])
def test_boxes_are_distinct_inside_and_of_one_size(mode: str, width: int, height: int):
    found = boxes(width, height, mode=mode)
    assert found
    assert len(set(found)) == len(found) <= 100
    for left, top, right, bottom in found:
        assert left >= 0
        assert top >= 0
        assert (right - left, bottom - top) == (16, 16)
        assert right <= width
        assert bottom <= height


def test_too_small_gives_none():
    assert boxes(15, 200) == []
    assert boxes(200, 15, mode="grid") == []


def test_random_takes_every_place_before_repeating_any():
    assert len(boxes(18, 17, per_photograph=100)) == 3 * 2
    assert len(boxes(300, 300, per_photograph=7)) == 7


def test_random_depends_on_seed_and_name_only():
    first = boxes(200, 100)
    assert first == boxes(200, 100)
    assert first != boxes(200, 100, seed=1)
    assert first != boxes(200, 100, name="b.png")


def test_random_covers_the_whole_photograph():
    covered = np.zeros((100, 200), dtype=bool)
    for left, top, right, bottom in boxes(200, 100, per_photograph=1000):
        covered[top:bottom, left:right] = True
    assert covered[16:-16, 16:-16].all()  # at the edges few boxes can lie


def test_grid_closed_form():
    # 3 fit in 50 px with 2 px left over, which even gaps share: starts 0, 17, 34; one fits in 25 px, centred.
    assert boxes(50, 25, mode="grid") == [(0, 4, 16, 20), (17, 4, 33, 20), (34, 4, 50, 20)]
    some = boxes(50, 25, mode="grid", per_photograph=2)
    assert len(some) == 2
    assert set(some) < set(boxes(50, 25, mode="grid"))


def test_names_of_any_bytes_and_length(
    raw: Path, tmp_path: Path, crop_settings: CropSettings, split_settings: SplitSettings
) -> None:
    deep = "/".join(["album" * 28, "photo" * 25]) + ".png"
    for shade, name in enumerate(["new\nline.png", deep]):
        stored = io.BytesIO()
        Image.new("RGB", (64, 64), (shade, 90, 9)).save(stored, "PNG")
        add(raw, name, content=stored.getvalue())
    held_out = split_settings.model_copy(update={"test": ["a", "photo" * 25]})
    manifest = make_crops(raw, tmp_path / "crops", crop=crop_settings, split=held_out, seed=0)
    assert not manifest.rejected
    assert "new\nline" in {crop.scene for crop in manifest.crops}
    assert all((tmp_path / "crops" / each.file).is_file() for each in manifest.photographs)
