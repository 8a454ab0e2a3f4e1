from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.measure import machine, matmul_rate, median_seconds, peak_mib

CPU = torch.device("cpu")


def test_peak_memory_is_what_the_call_needs() -> None:
    prepare = partial(partial, np.ones, 300 * 2**17)  # of 8 bytes; the test's own functions stay behind
    assert peak_mib(prepare, CPU) == pytest.approx(300, abs=30)


def test_the_first_call_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    durations, clock = [10, 3, 1, 2], [0]

    def call() -> None:
        clock[0] += durations.pop(0)

    monkeypatch.setattr("benchmarks.measure.now_seconds", lambda _: clock[0])
    assert median_seconds(call, runs=3, device=CPU) == 2
    assert not durations


def test_the_products_rate_is_that_of_its_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.measure.seconds", lambda function, _: function() or 0.5)
    assert matmul_rate(10, 4, torch.float32, CPU) == 2 * 10 * 4 * 4 / 0.5


def test_the_machine_is_described_without_its_name() -> None:
    described = machine(CPU)
    assert described["threads"] == str(torch.get_num_threads())
    assert described["processor"]
    assert "host" not in described
