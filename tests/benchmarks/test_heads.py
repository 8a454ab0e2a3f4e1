"""The heads' benchmark draws what it says it draws; its timing runs by hand (`make bench`)."""

import pytest
import torch

from benchmarks.heads import HEADS, IN_PLACE, heads, prepare

CPU = torch.device("cpu")


def test_every_head_is_measured_and_the_bar_is_the_fourier_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.heads.peak_mib", lambda prepare, device: 1.0)  # processes take seconds
    figures = {
        (figure.benchmark.rpartition(", ")[0], figure.name): figure for figure in heads(48, CPU, runs=1)
    }
    assert {name for name, _ in figures} == set(HEADS)
    barred = [key for key, figure in figures.items() if figure.met is not None]
    assert barred == [(IN_PLACE, "share of the LIIF head's time")]
    products = {name: figure.value for (name, what), figure in figures.items() if "GFLOP" in what}
    assert products["flow of 3x3 patches"] < products[IN_PLACE] < products["liif"]
    assert products["flow of 3x3 patches"] < products["flow of 3x3 patches, blended"]


def test_flows_draw_texture_in_it() -> None:
    flow = HEADS["flow of pixels"]
    assert prepare(flow, (20, 20), CPU)().std() > 0
