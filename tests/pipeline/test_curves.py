from pathlib import Path
from unittest.mock import Mock

import numpy as np

from arbiscale.pipeline.curves import CurveRecorder


def test_a_resumed_training_gives_the_whole_curve(tmp_path: Path) -> None:
    run, journal = Mock(), tmp_path / "curve.jsonl"
    first = CurveRecorder(run, journal)
    first.log_metrics({"train/loss": 3.0, "train/image": 1.0, "throughput/images_per_second": 9.0}, 0)
    first.log_metrics({"validation/psnr": 20.0}, 10)
    first.log_metrics({"train/loss": 2.0, "train/image": 0.5}, 10)
    with journal.open("a") as file:
        file.write('\n{"step": 20, "lo')  # killed here
    second = CurveRecorder(run, journal)
    for step, loss in ((10, 2.0), (20, 1.0)):
        second.log_metrics({"train/loss": loss}, step)
    second.write(tmp_path / "runs/diffusion.tsv")
    expected = "step\ttrain/image\ttrain/loss\n0\t1.0\t3.0\n10\t\t2.0\n20\t\t1.0\n"
    assert (tmp_path / "runs/diffusion.tsv").read_text() == expected
    assert run.log_metrics.call_count == 5


def test_everything_reaches_the_run(tmp_path: Path) -> None:
    run = Mock()
    recorder = CurveRecorder(run, tmp_path / "curve.jsonl")
    image = np.zeros((2, 2, 3), np.uint8)
    recorder.log_image("validation/samples", image, 5)
    recorder.set_tags({"lpips": "missing"})
    run.log_image.assert_called_once_with("validation/samples", image, 5)
    run.set_tags.assert_called_once_with({"lpips": "missing"})
    recorder.write(tmp_path / "x.tsv")
    assert (tmp_path / "x.tsv").read_text() == "step\n"
