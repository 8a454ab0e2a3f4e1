"""Progress in a log, where no terminal is."""

import pytest

from arbiscale import progress
from arbiscale.progress import LongTask, drawing_progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds; a test moves it."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then_and_one_at_the_end(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with LongTask("train", 40, "steps", done=10) as task:
        for _ in range(30):
            clock[0] += 1
            task.advance(1, f"loss {task.done}")
    assert capsys.readouterr().out.splitlines() == [
        "train  25/40 steps  loss 24  1.00 steps/s  15 s left",
        "train  40/40 steps  loss 39  1.00 steps/s  0 s left",
    ]


def test_the_rate_does_not_count_what_an_earlier_process_did(clock: list[float]) -> None:
    with LongTask("train", 40, "steps", done=30) as task:
        clock[0] += 2
        task.advance(5)
        assert task.rate == 2.5


def test_the_terminal_is_given_back_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes stderr for a terminal
    task = LongTask("train", 2, "steps")
    assert task._bar.live.is_started
    with pytest.raises(RuntimeError), task:
        raise RuntimeError
    assert not task._bar.live.is_started


def test_drawing_says_a_line_a_minute_where_no_terminal_is(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with drawing_progress(1) as drawing:
        drawing.begin("cat [v2].png", 1000)
        for _ in range(3):
            clock[0] += 25
            drawing.passed()
        clock[0] += 65
        drawing.advance(500)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "cat [v2].png  0 %  3 network passes"
    assert said[1].startswith("cat [v2].png  50 %")
    assert len(said) == 2
