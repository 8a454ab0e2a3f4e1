from pathlib import Path

import pytest

from arbiscale.pipeline.curves import write_curves
from arbiscale.tracking.journal import open_journal


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_resumed_training_gives_the_whole_curve(tmp_path: Path) -> None:
    with open_journal("r") as journal:
        journal.log_metrics({"train/loss": 3.0, "train/image": 1.0, "throughput/images_per_second": 9.0}, 0)
        journal.log_metrics({"validation/psnr": 20.0}, 10)
        journal.log_metrics({"train/loss": 2.0, "train/image": 0.5}, 10)
    with (tmp_path / ".journal/r/entries.jsonl").open("a") as file:
        file.write('{"kind": "metrics", "step": 20, "lo')  # killed here
    with open_journal("r") as journal:
        for step, loss in ((10, 2.0), (20, 1.0)):
            journal.log_metrics({"train/loss": loss}, step)
        write_curves(journal, tmp_path / "runs/diffusion.tsv")
    expected = "step\ttrain/image\ttrain/loss\n0\t1.0\t3.0\n10\t0.5\t2.0\n20\t\t1.0\n"
    assert (tmp_path / "runs/diffusion.tsv").read_text() == expected


def test_a_run_without_losses_gives_an_empty_table(tmp_path: Path) -> None:
    with open_journal("r") as journal:
        journal.log_metrics({"psnr": 3.0}, None)
        write_curves(journal, tmp_path / "x.tsv")
    assert (tmp_path / "x.tsv").read_text() == "step\n"
