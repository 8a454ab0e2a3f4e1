"""Near-duplicates and benchmark pictures among photographs."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from arbiscale.config.data import CropSettings, SplitSettings
from arbiscale.data.examination import examine
from arbiscale.data.manifest import Manifest, NearDuplicates, Photograph, Record, Rejected
from arbiscale.data.selection import select
from arbiscale.errors import UserError


@pytest.fixture
def alike(split_settings: SplitSettings) -> SplitSettings:
    """Scenes that look alike share a split; nothing is named for validation but b."""
    return split_settings.model_copy(update={"near_duplicate_bits": 8})


def resaved(path: Path, destination: Path) -> None:
    """The same picture, smaller and as JPEG."""
    picture = Image.open(path)
    picture.resize((picture.width * 3 // 4, picture.height * 3 // 4)).save(destination, quality=80)


def test_near_duplicates_are_held_out_together_and_listed(
    cut: Callable[..., Manifest], own: Path, split_settings: SplitSettings, alike: SplitSettings
) -> None:
    resaved(own / "a.png", own / "copy.jpg")
    assert {each.source for each in cut(split=split_settings).photographs} == {"a.png"}  # it leaked
    manifest = cut(split=alike)
    assert {each.source for each in manifest.photographs} == {"a.png", "copy.jpg"}
    assert {each.source for each in manifest.crops} == {"b.png", "c.png", "d.png", "e.png"}
    (pair,) = manifest.near_duplicates
    assert pair == NearDuplicates("a.png", "copy.jpg", pair.bits, ("test", "train"), "test")
    assert pair.bits <= 6


def test_views_of_one_scene_are_no_near_duplicates(
    cut: Callable[..., Manifest], own: Path, alike: SplitSettings
) -> None:
    resaved(own / "a.png", own / "a_small.jpg")
    by_letter = alike.model_copy(update={"scene_pattern": "^(.)"})
    assert cut(split=by_letter).near_duplicates == []


def test_benchmark_pictures_are_rejected(
    cut: Callable[..., Manifest], own: Path, tmp_path: Path, alike: SplitSettings
) -> None:
    benchmark = tmp_path / "benchmark"
    benchmark.mkdir()
    for name in "ac":
        resaved(own / f"{name}.png", benchmark / f"{name}1.jpg")
    against = alike.model_copy(update={"benchmarks": [f"set2={benchmark}"]})
    manifest = cut(split=against)
    (rejected,) = manifest.rejected  # a.png is named for testing, which is no leak
    bits = int(rejected.reason.partition("(")[2][0])
    assert rejected == Rejected("c.png", f"is the benchmark picture set2/c1.jpg ({bits} of 64 bits differ)")
    assert bits <= 6
    assert {each.source for each in manifest.crops} == {"b.png", "d.png", "e.png"}
    assert {each.source for each in manifest.photographs} == {"a.png"}

    (benchmark / "broken.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"data\.split\.benchmarks: set2/broken\.png: is not a picture"):
        cut(split=against)
    (benchmark / "broken.png").unlink()
    (benchmark / "broken.png").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"data\.split\.benchmarks: set2/broken\.png: is a broken link"):
        cut(split=against)
    shutil.rmtree(benchmark)
    with pytest.raises(UserError, match=r"data\.split\.benchmarks: set2: .*benchmark: no such folder"):
        cut(split=against)


def test_a_published_test_photograph_may_be_a_benchmark_picture(
    own: Path, tmp_path: Path, crop_settings: CropSettings, split_settings: SplitSettings
) -> None:
    benchmark = tmp_path / "benchmark"
    benchmark.mkdir()
    photographs = []
    for path in sorted(own.iterdir()):
        facts, _ = examine(path.read_bytes())
        published = "test" if path.stem == "d" else None
        photographs.append(Photograph(name=path.name, origin="", split=published, **asdict(facts)))
    for name in "de":
        shutil.copy(own / f"{name}.png", benchmark)
    against = split_settings.model_copy(update={"benchmarks": [f"set={benchmark}"]})
    chosen = select(Record(photographs, []), crop_settings, against)
    assert [each.source for each in chosen.rejected] == ["e.png"]
    assert chosen.splits["d"] == "test"
