"""Shards in an S3-compatible store (moto's server), read from there while training."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from arbiscale.data import photograph_shards, remote_shards
from arbiscale.data.dataset import CropDataset
from arbiscale.data.manifest import Manifest
from arbiscale.data.remote_shards import ShardPrefix
from arbiscale.errors import UserError
from tests.conftest import photograph
from tests.data.test_stores import AUGMENTATION

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto.server")
pytest.importorskip("s3fs")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """An empty bucket `shards`, and this machine's repository."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))
    (tmp_path / "repository").mkdir()
    made = boto3.resource("s3", endpoint_url=endpoint).Bucket("shards")
    made.create()
    yield made
    made.objects.all().delete()
    made.delete()


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one photograph each."""
    original = photograph_shards.PhotographWriter.__init__
    monkeypatch.setattr(
        photograph_shards.PhotographWriter,
        "__init__",
        lambda self, *rest: original(self, *rest, shard_bytes=1),
    )


def kept(tmp_path: Path) -> set[str]:
    return {path.stem for path in (tmp_path / "repository/.shards").glob("*.tar")}


def pointers(folder: Path) -> list[dict]:
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("*/0*.json"))]


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("kept_of_train", [0, 2, 3])
def test_samples_are_those_of_shards_that_lie_here(
    cut: Callable[..., Manifest],
    endpoint: str,
    bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kept_of_train: int,
):
    here = cut("here", store="photographs")
    there = cut("crops", store="photographs", prefix=ShardPrefix("s3://shards/deep/", endpoint))
    assert there.shards == here.shards
    assert [*there.crops] == [*here.crops]
    assert not [*(tmp_path / "crops").rglob("*.tar")]
    assert {each.key for each in bucket.objects.all()} == {f"deep/{each.sha256}.tar" for each in here.shards}
    assert (tmp_path / "crops/preview.png").read_bytes() == (tmp_path / "here/preview.png").read_bytes()

    order = sorted(
        pointers(tmp_path / "crops"), key=lambda each: each["before_bytes"]
    )  # validation's is cut first
    limit = sum(each["bytes"] for each in order[:kept_of_train])
    monkeypatch.setenv("ARBISCALE_SHARD_CACHE_GIB", str(limit / 2**30))
    shutil.rmtree(tmp_path / "repository/.shards", ignore_errors=True)
    shutil.copytree(tmp_path / "crops", tmp_path / "clone")  # what `dvc pull` brings
    expected, found = (
        CropDataset(tmp_path / name, "train", AUGMENTATION, seed=5) for name in ("here", "clone")
    )
    assert all(torch.equal(expected[index], found[index]) for index in range(2 * len(expected)))
    train = {shard.sha256 for shard in here.shards if shard.split == "train"}
    assert kept(tmp_path) == {each["sha256"] for each in order[:kept_of_train]} & train


IN_A_PROCESS = """
import sys
from pathlib import Path
import torch
from arbiscale.data.dataset import CropDataset, training_batches
if __name__ == "__main__":
    here, there = (CropDataset(Path(folder), "train", None, 0) for folder in sys.argv[1:])
    one, other = training_batches(here, 4, range(6), 0), training_batches(there, 4, range(6), 2)
    assert all(torch.equal(*batches) for batches in zip(one, other, strict=True))
"""


def test_loader_processes_read_there_too(
    cut: Callable[..., Manifest], endpoint: str, bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """In a process of its own: loaders have the environment that the first of all was begun in."""
    cut("here", store="photographs")
    manifest = cut(store="photographs", prefix=ShardPrefix("s3://shards", endpoint))
    script = tmp_path / "load.py"
    script.write_text(IN_A_PROCESS)
    for gib, expected in (("0", set()), ("1", {each.sha256 for each in manifest.shards[1:]})):
        monkeypatch.setenv("ARBISCALE_SHARD_CACHE_GIB", gib)
        shutil.rmtree(tmp_path / "repository/.shards", ignore_errors=True)
        command = [sys.executable, script, tmp_path / "here", tmp_path / "crops"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert kept(tmp_path) == expected


@pytest.mark.usefixtures("small_shards")
def test_what_did_not_change_is_neither_cut_nor_put_again(
    cut: Callable[..., Manifest], own: Path, endpoint: str, bucket, tmp_path: Path
):
    prefix = ShardPrefix("s3://shards", endpoint)
    cut(store="photographs", prefix=prefix)
    before = {each.key: each.last_modified for each in bucket.objects.all()}
    bucket.put_object(Key="mark", Body=b"")
    Image.fromarray(photograph(64, 80, 7)).save(own / "f.png")
    cut(store="photographs", prefix=ShardPrefix("s3://shards", endpoint), reuse=True)
    after = {each.key: each.last_modified for each in bucket.objects.all()}
    assert len(after) == len(before) + 2
    assert all(after[key] == before[key] for key in before)
    cut("anew", store="photographs")
    crops, anew = (CropDataset(tmp_path / name, "train", None, seed=0) for name in ("crops", "anew"))
    assert all(torch.equal(crops[index], anew[index]) for index in range(len(anew)))


def test_what_is_gone_is_put_there_again(cut: Callable[..., Manifest], endpoint: str, bucket, tmp_path: Path):
    manifest = cut(store="photographs", prefix=ShardPrefix("s3://shards", endpoint))
    shutil.rmtree(tmp_path / "repository/.shards")
    bucket.objects.all().delete()
    assert cut(store="photographs", prefix=ShardPrefix("s3://shards", endpoint), reuse=True) == manifest
    assert {each.key for each in bucket.objects.all()} == {f"{each.sha256}.tar" for each in manifest.shards}


def test_shards_of_other_data_leave_first(
    cut: Callable[..., Manifest], endpoint: str, bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cut(store="photographs", prefix=ShardPrefix("s3://shards", endpoint))
    limit = sum(each["bytes"] for each in pointers(tmp_path / "crops"))
    monkeypatch.setenv("ARBISCALE_SHARD_CACHE_GIB", str(limit / 2**30))
    shutil.rmtree(tmp_path / "repository/.shards", ignore_errors=True)
    (tmp_path / "repository/.shards").mkdir()
    (tmp_path / "repository/.shards/old.tar").write_bytes(bytes(limit))
    CropDataset(tmp_path / "crops", "train", None, seed=0)[0]
    train = json.loads((tmp_path / "crops/train/00000.json").read_bytes())
    assert kept(tmp_path) == {train["sha256"]}


def test_what_was_altered_on_its_way_is_fetched_again(
    cut: Callable[..., Manifest], endpoint: str, bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    manifest = cut(store="photographs", prefix=ShardPrefix("s3://shards", endpoint))
    shutil.rmtree(tmp_path / "repository/.shards", ignore_errors=True)
    store, fetched = remote_shards._store(endpoint), []
    original = store.get_file

    def get_file(url: str, file: str) -> None:
        original(url, file)
        if not fetched:
            Path(file).write_bytes(b"x" + Path(file).read_bytes()[1:])
        fetched.append(url)

    monkeypatch.setattr(store, "get_file", get_file)
    CropDataset(tmp_path / "crops", "train", None, seed=0)[0]
    (shard,) = (each for each in manifest.shards if each.split == "train")
    assert fetched == [f"s3://shards/{shard.sha256}.tar"] * 2
    assert kept(tmp_path) == {shard.sha256}


def test_what_is_wrong_is_one_line(
    cut: Callable[..., Manifest], endpoint: str, bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    manifest = cut(store="photographs", prefix=ShardPrefix("s3://shards", endpoint))
    (shard,) = (each for each in manifest.shards if each.split == "train")
    shutil.rmtree(tmp_path / "repository/.shards", ignore_errors=True)

    def said() -> str:
        with pytest.raises(UserError) as caught:
            CropDataset(tmp_path / "crops", "train", None, seed=0)[0]
        assert "\n" not in str(caught.value)
        return str(caught.value)

    whole = bucket.Object(f"{shard.sha256}.tar").get()["Body"].read()
    bucket.put_object(Key=f"{shard.sha256}.tar", Body=whole[:-1] + b"x")
    assert "is another shard than was cut" in said()
    assert kept(tmp_path) == set()
    bucket.Object(f"{shard.sha256}.tar").delete()
    for gib in ("20", "0"):
        monkeypatch.setenv("ARBISCALE_SHARD_CACHE_GIB", gib)
        gone = (
            f"s3://shards/{shard.sha256}.tar: is not there; run `dvc repro -f -s crop`, which puts it there"
        )
        assert said() == gone
    with pytest.raises(UserError, match=r"s3://elsewhere/\S+: .*"):
        cut("other", store="photographs", prefix=ShardPrefix("s3://elsewhere", endpoint))
    assert not (tmp_path / "other").exists()
    pointer = next((tmp_path / "crops/train").glob("*.json"))
    elsewhere = pointer.read_text().replace("s3://shards/", "s3://elsewhere/")
    pointer.write_text(elsewhere.replace(endpoint, "http://127.0.0.1:9"))
    assert re.fullmatch(r"s3://elsewhere/\S+: cannot be reached or refuses \(.*\)", said())
    pointer.write_text("{}")
    assert "no pointer to a shard" in said()
