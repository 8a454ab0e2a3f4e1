"""Published data sets, from mirrors and offline copies."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import get_args

import pytest

from arbiscale.config.data import DataSettings, PublishedName
from arbiscale.data.index import Index
from arbiscale.data.manifest import Rejected
from arbiscale.data.scan import scan
from arbiscale.data.sources.published import PUBLISHED, Part
from arbiscale.data.split import split_scenes
from arbiscale.errors import UserError
from tests.data.sources.fetching import VALUES, picture, source, zipped
from tests.data.web_server import WebServer

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def _small_div2k(monkeypatch: pytest.MonkeyPatch, server: WebServer) -> None:
    """DIV2K's archives, of pictures of 8 px."""
    parts = []
    for number, part in enumerate(PUBLISHED["div2k"]):
        content = zipped(
            {f"{part.folder}/{number}{index}.png": picture(10 * number + index) for index in (1, 2)}
        )
        server.files[f"/set/{part.file}"] = content
        sha256 = hashlib.sha256(content).hexdigest()
        parts.append(Part(part.file, part.folder, part.terms, None, len(content), sha256, part.split))
    monkeypatch.setitem(PUBLISHED, "div2k", tuple(parts))


@pytest.mark.usefixtures("_small_div2k")
def test_a_published_data_set_from_a_mirror(server: WebServer, tmp_path: Path, index: Index) -> None:
    chosen = source("div2k", downloads={"mirrors": [f"{server.url}/set/"]})
    assert chosen.pending() == "DIV2K_train_HR.zip (794 B), DIV2K_valid_HR.zip (794 B)"
    state = chosen.state()
    record, _ = scan(chosen, tmp_path / "raw", index, "code")
    assert chosen.state() == state
    names = [
        "DIV2K_train_HR/01.png",
        "DIV2K_train_HR/02.png",
        "DIV2K_valid_HR/11.png",
        "DIV2K_valid_HR/12.png",
    ]
    assert [each.name for each in record.photographs] == names
    assert {each.licence for each in record.photographs} == {PUBLISHED["div2k"][0].terms.licence}
    settings = DataSettings.model_validate(VALUES).split.model_copy(update={"test": [], "validation": []})
    splits = split_scenes(record.photographs, settings.model_copy(update={"validation_fraction": 0.999}))
    assert splits["DIV2K_valid_HR/11"] == splits["DIV2K_valid_HR/12"] == "test"
    assert splits["01"] == splits["02"] == "validation"
    (tmp_path / "downloads/DIV2K_valid_HR.zip").unlink()
    one = source("div2k", downloads={"mirrors": [f"{server.url}/set/DIV2K_valid_HR.zip"]})
    assert one.read("DIV2K_valid_HR/12.png") == picture(12)


@pytest.mark.usefixtures("_small_div2k")
def test_an_offline_copy_may_be_unpacked(server: WebServer, tmp_path: Path) -> None:
    for part in PUBLISHED["div2k"]:
        archive = zipfile.ZipFile(io.BytesIO(server.files[f"/set/{part.file}"]))
        archive.extractall(tmp_path / "copy/DIV2K")
    chosen = source("div2k", downloads={"folder": "copy"})
    assert chosen.pending() == ""
    assert chosen.list().entries[0].name == "DIV2K_train_HR/01.png"
    assert chosen.read("DIV2K_valid_HR/11.png") == picture(11)
    state = chosen.state()
    (tmp_path / "copy/DIV2K/DIV2K_train_HR/03.png").write_bytes(picture(3))
    assert source("div2k", downloads={"folder": "copy"}).state() != state


@pytest.mark.usefixtures("_small_div2k")
def test_a_name_that_is_no_text_is_rejected(tmp_path: Path, index: Index) -> None:
    for number, part in enumerate(PUBLISHED["div2k"]):
        (tmp_path / "copy" / part.folder).mkdir(parents=True)
        (tmp_path / "copy" / part.folder / "1.png").write_bytes(picture(number))
    (tmp_path / "copy/DIV2K_train_HR/\udcff.png").write_bytes(picture(3))
    record, _ = scan(source("div2k", downloads={"folder": "copy"}), tmp_path / "raw", index, "code")
    assert len(record.photographs) == 2
    (rejected,) = record.rejected
    assert rejected == Rejected("DIV2K_train_HR/\\udcff.png", "has a name that is no UTF-8; rename it")


@pytest.mark.usefixtures("_small_div2k")
def test_an_altered_copy_is_refused(server: WebServer, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/DIV2K_train_HR.zip").write_bytes(server.files["/set/DIV2K_valid_HR.zip"])
    with pytest.raises(UserError, match=r"DIV2K_train_HR\.zip: is not DIV2K_train_HR\.zip as expected"):
        source("div2k", downloads={"mirrors": [f"{server.url}/set/"]}).list()


@pytest.mark.usefixtures("_small_div2k")
def test_only_named_pictures_are_taken_of_the_training_part(server: WebServer, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("somewhere/02.webp\n")
    mirror = {"mirrors": [f"{server.url}/set/"]}
    chosen = source("div2k", downloads=mirror | {"names": "names.txt"})
    names = [each.name for each in chosen.list().entries]
    assert names == ["DIV2K_train_HR/02.png", "DIV2K_valid_HR/11.png", "DIV2K_valid_HR/12.png"]
    assert chosen.state() != source("div2k", downloads=mirror).state()
    (tmp_path / "names.txt").write_text("03\n")
    archive = tmp_path / "downloads/DIV2K_train_HR.zip"
    with pytest.raises(UserError, match=rf"^data\.downloads\.names: names no picture of {archive} below "):
        source("div2k", downloads=mirror | {"names": "names.txt"}).list()


@pytest.mark.usefixtures("_small_div2k")
def test_an_offline_copy_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "copy/DIV2K_train_HR").mkdir(parents=True)
    (tmp_path / "copy/DIV2K_valid_HR").mkdir()
    with pytest.raises(UserError, match=rf"^{tmp_path}/copy/DIV2K_train_HR: holds no picture .*; remove it"):
        source("div2k", downloads={"folder": "copy"}).list()


def test_faces_are_tested_on_another_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no thumbnails128x128, no thumbnails128x128\.zip; get "):
        source("ffhq_128").list()
    faces = {f"thumbnails128x128/00000/{number:05}.png": picture(number) for number in range(3)}
    others = {f"CelebAMask-HQ/CelebA-HQ-img/{number}.jpg": picture(number) for number in range(100, 350)}
    masks = {"CelebAMask-HQ/CelebAMask-HQ-mask-anno/0/00000_hair.png": picture(9)}
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/thumbnails128x128.zip").write_bytes(zipped(faces))
    (tmp_path / "downloads/CelebAMask-HQ.zip").write_bytes(zipped(others | masks))
    entries = source("ffhq_128").list().entries
    assert [each.split for each in entries] == ["test"] * 100 + [None] * 3
    assert entries[0].name == "CelebA-HQ-img/100.jpg"
    assert entries[0].scene == "CelebA-HQ-img/100"
    assert entries[-1].name == "thumbnails128x128/00000/00002.png"


def test_the_table_is_complete() -> None:
    assert set(PUBLISHED) == set(get_args(PublishedName))
    for parts in PUBLISHED.values():
        assert {part.split for part in parts} <= {None, "test"}
        for part in parts:
            assert part.file.startswith(part.folder) or part.file in ("Flickr2K.tar", "CelebAMask-HQ.zip")
            assert part.sha256 is None or len(bytes.fromhex(part.sha256)) == 32
            assert part.terms.page.startswith("https://")
