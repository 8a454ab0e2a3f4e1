"""From photographs to a folder of crops."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arbiscale.config.data import CropSettings, DataSettings, FolderSettings, SplitSettings
from arbiscale.config.section import read_yaml
from arbiscale.data.crops import make_crops
from arbiscale.data.index import Index
from arbiscale.data.manifest import Manifest, read_manifest, read_record
from arbiscale.data.scan import scan
from arbiscale.data.sources import open_source
from arbiscale.data.sources.folder import Folder
from arbiscale.errors import UserError
from arbiscale.files import sha256_of
from arbiscale.imaging.reading import read_image
from tests.conftest import photograph

ROOT = Path(__file__).parents[2]


def test_every_crop_is_what_the_manifest_says(cut: Callable[..., Manifest], own: Path, tmp_path: Path):
    made = cut()
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
        photograph = own / crop.source
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
    assert np.array_equal(read_image(tmp_path / "crops/test/a.png"), read_image(own / "a.png"))
    assert (held_out.width, held_out.height) == (64, 64)
    assert read_image(tmp_path / "crops/preview.png").std() > 10


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def test_the_same_settings_give_the_same_bytes(cut: Callable[..., Manifest], tmp_path: Path):
    for name, seed in {"first": 0, "again": 0, "other": 1}.items():
        cut(name, seed=seed)
    first = digests(tmp_path / "first")
    assert first == digests(tmp_path / "again")
    assert first["train/00000.npy"] != digests(tmp_path / "other")["train/00000.npy"]


def test_useless_photographs_are_rejected_with_the_reason(
    cut: Callable[..., Manifest], own: Path, tmp_path: Path
):
    Image.new("RGB", (31, 200)).save(own / "narrow.png")
    (own / "broken.jpg").write_bytes(b"nothing")
    (own / "half.png").write_bytes((own / "c.png").read_bytes()[:-500])
    (own / "0").mkdir()
    shutil.copy(own / "a.png", own / "0/of_a.png")  # before a.png by its name
    manifest = cut()
    reasons = {rejected.source: rejected.reason for rejected in manifest.rejected}
    assert list(reasons) == ["0/of_a.png", "broken.jpg", "half.png", "narrow.png"]
    assert reasons["narrow.png"] == "is 31 x 200 px, smaller than a crop (data.crop.size_px: 32)"
    assert reasons["0/of_a.png"] == "has the same pixels as a.png"  # the test photograph stays one
    assert reasons["broken.jpg"].startswith("is not a picture")
    assert reasons["half.png"].startswith("is truncated")
    assert not {crop.source for crop in manifest.crops} & set(reasons)
    assert str(tmp_path) not in (tmp_path / "crops/manifest.json").read_text()


def test_a_rejected_photograph_holds_no_place_among_the_held_out(
    cut: Callable[..., Manifest], own: Path, split_settings: SplitSettings
):
    """One corrupt photograph that the hash of its name had held out left no photograph for testing."""
    by_share = split_settings.model_copy(update={"test": [], "test_fraction": 0.1})
    (held_out,) = cut(split=by_share).photographs
    (own / held_out.source).write_bytes(b"damaged")
    manifest = cut(split=by_share)
    assert [each.source for each in manifest.rejected] == [held_out.source]
    assert len(manifest.photographs) == 1
    (own / "a.png").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"data\.split\.test: a: is rejected \(a\.png is not a picture"):
        cut()


def test_equal_names_in_sub_directories_do_not_collide(
    cut: Callable[..., Manifest], own: Path, tmp_path: Path, split_settings: SplitSettings
):
    (own / "x").mkdir()
    for seed, name in enumerate(("x/f.png", "x_f.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(own / name)
    manifest = cut(split=split_settings.model_copy(update={"test": ["f", "x_f"]}))
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
            {"test": [], "validation": []},
            65,
            r"left for training; rejected: a\.png \(is 64 x 64 px, smaller .* and 3 more",
        ),
    ],
)
def test_fails_where_a_split_is_left_empty(
    cut: Callable[..., Manifest],
    tmp_path: Path,
    crop_settings: CropSettings,
    split_settings: SplitSettings,
    changes: dict,
    size_px: int,
    message: str,
):
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops/earlier").touch()
    crop = crop_settings.model_copy(update={"size_px": size_px})
    with pytest.raises(UserError, match=message) as caught:
        cut(crop=crop, split=split_settings.model_copy(update=changes))
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "crops").iterdir()] == ["earlier"]  # nothing half done


def test_an_empty_split_is_said_before_anything_is_cut(
    cut: Callable[..., Manifest], split_settings: SplitSettings, monkeypatch: pytest.MonkeyPatch
):
    cut()
    monkeypatch.setattr(Folder, "read", lambda self, name: pytest.fail(f"{name} is read"))
    with pytest.raises(UserError, match="no photograph is left for validation"):
        cut("other", split=split_settings.model_copy(update={"validation": []}))


def test_missing_or_broken_record(tmp_path: Path):
    (tmp_path / "sources.json").write_text("{}")
    with pytest.raises(UserError, match=r"sources\.json: cannot be read .* `dvc repro -f -s download`"):
        read_record(tmp_path)
    (tmp_path / "sources.json").unlink()
    with pytest.raises(UserError, match=r"sources\.json: no such file; run `dvc repro download`"):
        read_record(tmp_path)
    with pytest.raises(UserError, match=r"manifest\.json: no such file; run `dvc repro crop`"):
        read_manifest(tmp_path / "crops")


def test_what_did_not_change_is_not_read_again(
    cut: Callable[..., Manifest], own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read = []
    original = Folder.read

    def counted(self: Folder, name: str) -> bytes:
        read.append(name)
        return original(self, name)

    monkeypatch.setattr(Folder, "read", counted)
    first = cut()
    assert sorted(read) == sorted(["a.png", "b.png", "c.png", "d.png", "e.png"] * 2)  # to check and to cut
    read.clear()
    Image.fromarray(photograph(64, 80, 7)).save(own / "f.png")
    (own / "e.png").unlink()
    (own / "d.png").write_bytes(b"damaged")
    manifest = cut(reuse=True)
    assert sorted(read) == ["d.png", "f.png", "f.png"]
    assert [each.source for each in manifest.rejected] == ["d.png"]
    assert {each.source for each in manifest.crops} == {"b.png", "c.png", "f.png"}
    cut("anew")
    assert digests(tmp_path / "crops") == digests(tmp_path / "anew")
    assert first.photographs == manifest.photographs


def test_a_photograph_that_changes_between_the_stages_is_refused(
    own: Path, tmp_path: Path, index: Index, crop_settings: CropSettings, split_settings: SplitSettings
):
    source = Folder(FolderSettings(path=str(own)))
    record, _ = scan(source, tmp_path / "raw", index, "code")
    shutil.copy(own / "d.png", own / "c.png")
    with pytest.raises(UserError, match=r"c\.png: has changed since it was listed; `dvc repro` lists it"):
        make_crops(source, record, tmp_path / "crops", crop=crop_settings, split=split_settings, seed=0)
    (own / "c.png").unlink()
    with pytest.raises(UserError, match=r"c\.png: cannot be read \(No such file"):
        make_crops(source, record, tmp_path / "crops", crop=crop_settings, split=split_settings, seed=0)


def test_shipped_settings_on_the_bundled_photographs(tmp_path: Path, index: Index):
    values = read_yaml(ROOT / "params.yaml")["data"]
    settings = DataSettings.model_validate(values | {"source": "bundled"})
    source = open_source(settings)
    record, _ = scan(source, tmp_path / "raw", index, "code")
    crop = settings.crop.model_copy(update={"per_photograph": 2})
    manifest, read = make_crops(source, record, tmp_path / "crops", crop=crop, split=settings.split, seed=0)
    assert read == len(record.photographs)
    assert {each.scene for each in manifest.photographs} == {*settings.split.test}
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
        make_crops(source, record, tmp_path / "crops", crop=crop, split=never, seed=0)


def test_names_of_any_bytes_and_length(
    cut: Callable[..., Manifest], own: Path, tmp_path: Path, split_settings: SplitSettings
) -> None:
    deep = "/".join(["album" * 28, "photo" * 25]) + ".png"
    for shade, name in enumerate(["new\nline.png", deep]):
        (own / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), (shade, 90, 9)).save(own / name)
    manifest = cut(split=split_settings.model_copy(update={"test": ["a", "photo" * 25]}))
    assert not manifest.rejected
    assert "new\nline" in {crop.scene for crop in manifest.crops}
    assert all((tmp_path / "crops" / each.file).is_file() for each in manifest.photographs)


def test_the_middle_is_shrunk_to_a_crop_and_tested_so(
    cut: Callable[..., Manifest], own: Path, tmp_path: Path, crop_settings: CropSettings
):
    centre = crop_settings.model_copy(update={"mode": "centre"})
    manifest = cut(crop=centre)
    assert {(crop.source, crop.box) for crop in manifest.crops if crop.scene in "bc"} == {
        ("b.png", (4, 0, 68, 64)),
        ("c.png", (8, 0, 72, 64)),
    }
    (crop,) = (crop for crop in manifest.crops if crop.scene == "c")
    stored = np.load(tmp_path / "crops" / crop.shard, mmap_mode="r")[crop.index]
    expected = (
        Image.open(own / "c.png").convert("RGB").crop(crop.box).resize((32, 32), Image.Resampling.BICUBIC)
    )
    assert np.abs(stored.astype(int) - np.asarray(expected).astype(int)).max() <= 1
    (held_out,) = manifest.photographs
    assert (held_out.width, held_out.height) == (32, 32)


def test_former_crops_of_another_size_are_cut_again(
    cut: Callable[..., Manifest], tmp_path: Path, crop_settings: CropSettings
):
    first = crop_settings.model_copy(update={"mode": "centre"})
    second = first.model_copy(update={"size_px": 16})
    cut(crop=first)
    again = cut(crop=second, reuse=True)
    assert again.crop_px == 16
    assert np.load(tmp_path / "crops" / again.shards[0].file).shape[1:] == (16, 16, 3)
    assert (again.photographs[0].width, again.photographs[0].height) == (16, 16)


@pytest.mark.parametrize("mode", ["random", "grid", "centre"])
def test_the_disk_that_crops_take_is_said_and_required(
    cut: Callable[..., Manifest],
    tmp_path: Path,
    crop_settings: CropSettings,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    crop = crop_settings.model_copy(update={"mode": mode})
    pixels = len(cut(crop=crop).crops) * 3 * 32**2
    whole = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: whole._replace(free=pixels))
    cut(crop=crop)
    size = f"{pixels / 1024:.1f} KiB"
    assert f"The crops, kept as pixels, take {size}; {size} are free" in capsys.readouterr().out
    monkeypatch.setattr(shutil, "disk_usage", lambda path: whole._replace(free=pixels - 1))
    with pytest.raises(UserError, match=f"crops of {size} are to be written and .* free some.*, or lower"):
        cut(crop=crop)


def test_look_alikes_that_left_no_training_are_named(
    cut: Callable[..., Manifest], own: Path, split_settings: SplitSettings
) -> None:
    pixels = read_image(own / "b.png")  # validates
    for name in "cde":
        pixels[:4, :4] += 1
        Image.fromarray(pixels).save(own / f"{name}.png")
    with pytest.raises(UserError) as caught:
        cut(split=split_settings.model_copy(update={"near_duplicate_bits": 8}))
    assert str(caught.value).startswith("data.split: no photograph is left for training; ")
    assert "look alike and share one (data.split.near_duplicate_bits); hold out fewer" in str(caught.value)
