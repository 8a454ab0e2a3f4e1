"""The stream of samples."""

import pickle
from collections.abc import Callable
from functools import partial
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from arbiscale.config.data import AugmentationSettings
from arbiscale.data.dataset import CropDataset, training_batches
from arbiscale.data.manifest import Manifest, read_manifest
from arbiscale.data.pixel_shards import PixelWriter
from arbiscale.errors import UserError

AUGMENTATION = AugmentationSettings(
    crop_px=16, zoom_out=2.0, horizontal_flip=0.5, vertical_flip=0.5, transpose=0.5
)


@pytest.fixture
def crops(cut: Callable[..., Manifest], tmp_path: Path) -> Path:
    cut()
    return tmp_path / "crops"


def stored(crops: Path, split: str) -> np.ndarray:
    shards = [shard.file for shard in read_manifest(crops).shards if shard.split == split]
    return np.concatenate([np.load(crops / file) for file in shards])


def test_each_pass_shows_every_crop_once_in_an_order_of_its_own(crops: Path):
    dataset = CropDataset(crops, "train", None, seed=0)
    expected = stored(crops, "train")
    assert len(dataset) == len(expected) == 18
    passes = []
    for epoch in range(3):
        samples = [dataset[index] for index in range(18 * epoch, 18 * (epoch + 1))]
        pixels = [((sample.permute(1, 2, 0) + 1) * 127.5).round().numpy() for sample in samples]
        order = [int(np.flatnonzero((expected == each).all(axis=(1, 2, 3)))[0]) for each in pixels]
        assert sorted(order) == list(range(18))
        passes.append(order)
    assert passes[0] != passes[1] != passes[2]
    assert not torch.equal(
        torch.stack([CropDataset(crops, "train", None, seed=1)[index] for index in range(18)]),
        torch.stack([dataset[index] for index in range(18)]),
    )


def test_samples_are_in_range_and_the_centre_is_cut(crops: Path):
    whole = CropDataset(crops, "validation", None, seed=0)
    centre = CropDataset(crops, "validation", None, seed=0, crop_px=20)
    assert whole[0].shape == (3, 32, 32)
    assert whole[0].dtype == torch.float32
    for index in range(6):
        assert -1 <= whole[index].min() < whole[index].max() <= 1
        assert torch.equal(centre[index], whole[index][:, 6:26, 6:26])


def test_augmented_samples_differ_between_passes_and_seeds(crops: Path):
    dataset = CropDataset(crops, "train", AUGMENTATION, seed=0)
    assert dataset[0].shape == (3, 16, 16)
    samples = {dataset[index].numpy().tobytes() for index in range(3 * len(dataset))}
    assert len(samples) >= 3 * len(dataset) - 2
    again = CropDataset(crops, "train", AUGMENTATION, seed=0)
    assert torch.equal(again[10**9], dataset[10**9])
    assert not torch.equal(CropDataset(crops, "train", AUGMENTATION, seed=1)[7], dataset[7])


def test_workers_and_resuming_change_nothing(crops: Path):
    dataset = CropDataset(crops, "train", AUGMENTATION, seed=3)
    dataset[0]  # opens a memory map, which must not travel
    assert len(pickle.dumps(dataset)) < 100_000

    def batches(workers: int, first: int) -> list[torch.Tensor]:
        loader = DataLoader(dataset, batch_size=4, sampler=range(first, 40), num_workers=workers)
        return list(loader)

    alone = batches(0, 0)
    assert len(alone) == 10
    assert all(torch.equal(one, other) for one, other in zip(alone, batches(2, 0), strict=True))
    assert all(torch.equal(one, other) for one, other in zip(alone[5:], batches(0, 20), strict=True))
    unpickled = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(unpickled[25], alone[6][1])


def test_crops_of_several_shards_are_all_reached(cut: Callable[..., Manifest], crops: Path, monkeypatch):
    small = partial(PixelWriter, shard_bytes=128 + 4 * 32 * 32 * 3)
    monkeypatch.setattr("arbiscale.data.stores.PixelWriter", small)
    cut()
    expected = stored(crops, "train")
    dataset = CropDataset(crops, "train", None, seed=0)
    seen = {
        ((dataset[index] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy().tobytes()
        for index in range(18)
    }
    assert [shard.count for shard in read_manifest(crops).shards if shard.split == "train"] == [4, 4, 4, 4, 2]
    assert seen == {crop.tobytes() for crop in expected}


def test_refusals(crops: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"manifest\.json: no such file; run `dvc repro crop`"):
        CropDataset(tmp_path / "nowhere", "train", None, seed=0)
    with pytest.raises(UserError, match="holds no crops for test"):
        CropDataset(crops, "test", None, seed=0)
    with pytest.raises(
        UserError, match=r"32 px are too small for samples cut from 40 px; raise data\.crop\.size_px"
    ):
        CropDataset(crops, "train", AUGMENTATION.model_copy(update={"zoom_out": 2.5}), seed=0)
    with pytest.raises(UserError, match="too small"):
        CropDataset(crops, "validation", None, seed=0, crop_px=33)
    dataset = CropDataset(crops, "train", None, seed=0)
    with pytest.raises(IndexError, match="begins at 0"):
        dataset[-1]
    (crops / "train/00000.npy").write_bytes(b"short")
    with pytest.raises(UserError, match=r"00000\.npy: cannot be read .*; run `dvc repro -f -s crop`"):
        dataset[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_asked_for_with_any_number_of_workers(workers: int):
    endless, numbers = chain([0, 0], count(5)), TensorDataset(torch.arange(99))
    batches = [batch[0].tolist() for batch in islice(training_batches(numbers, 2, endless, workers), 4)]
    assert batches == [[0, 1], [0, 1], [10, 11], [12, 13]]


def test_memory_is_pinned_where_it_is_asked_for_alone(monkeypatch: pytest.MonkeyPatch):
    """Beside a GPU, a training on the CPU makes no CUDA context."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    numbers = TensorDataset(torch.arange(9))
    assert not training_batches(numbers, 2, [0], 0).pin_memory
    assert training_batches(numbers, 2, [0], 0, pinned=True).pin_memory


def test_workers_are_no_forks_of_this_process():
    """Which may hold a tracking thread, or CUDA."""
    context = training_batches(TensorDataset(torch.arange(9)), 2, [0], 1).multiprocessing_context
    assert context.get_start_method() == "forkserver"
