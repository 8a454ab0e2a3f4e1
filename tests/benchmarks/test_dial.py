"""The benchmark of the dial, on two small photographs and the shipped model."""

from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.inference.loading import load_model
from benchmarks.dial import COST, SETTINGS, SHARE, dial
from tests.stand_ins import MeanDifference


def test_every_setting_is_measured_and_the_bars_are_those_of_the_dial(tmp_path: Path) -> None:
    for name, picture in (("a", data.astronaut()[:99, 100:202]), ("b", data.chelsea()[60:140, 100:180])):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    networks = MetricNetworks({"lpips": MeanDifference()})
    figures = [*dial(load_model("pretrained", "cpu"), sorted(tmp_path.iterdir()), 4, networks)]
    found = {(figure.benchmark, figure.name): figure for figure in figures}
    decibels = [found[f"fidelity {each:g}", "PSNR of Y, dB"].value for each in SETTINGS]
    assert decibels[-1] > decibels[0]
    assert decibels[-1] > found["bicubic", "PSNR of Y, dB"].value
    share = found["best of the dial, not below bicubic in PSNR", "share of bicubic's LPIPS"]
    best = min(found[f"fidelity {each:g}", "LPIPS"].value for each in SETTINGS)
    assert share.value == pytest.approx(best / found["bicubic", "LPIPS"].value)
    assert share.at_most == SHARE
    assert found[f"{len(SETTINGS)} settings", "times the time of that"].at_most == COST
