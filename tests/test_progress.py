"""Progress in a log, where no terminal is."""

import pytest

from arbiscale import progress
from arbiscale.progress import LongTask, drawing_progress, readable_size


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
        clock[0] += 5
        drawing.begin("cat [v2].png", 1_000_000, passes=4)
        for _ in range(4):
            clock[0] += 25
            drawing.passed()
        for _ in range(2):
            clock[0] += 20
            drawing.passed()  # features: no step of sampling
            clock[0] += 40
            drawing.advance(500_000)
    assert capsys.readouterr().err.splitlines() == [
        "cat [v2].png  38%  3 of 4 network passes  0:02:05 left",  # drawing: as long as sampling
        "cat [v2].png  73%  0.01 megapixels/s  0:01:00 left",
        "cat [v2].png  100%  0.01 megapixels/s  0:00:00 left",
    ]


def test_pictures_to_come_are_like_those_begun(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "DRAWING_LINE_SECONDS", 0)
    with drawing_progress(2) as drawing:
        for name in ("a", "b"):
            drawing.begin(name, 100, passes=1)
            clock[0] += 10
            drawing.passed()
            clock[0] += 30
            drawing.advance(100)
    shares = [(line[:7], line.split()[2]) for line in capsys.readouterr().err.splitlines()]
    assert shares == [("a (1/2)", "25%"), ("a (1/2)", "50%"), ("b (2/2)", "62%"), ("b (2/2)", "100%")]


def test_a_terminal_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes stderr for a terminal
    monkeypatch.setenv("COLUMNS", "120")
    with drawing_progress(1) as drawing:
        assert drawing._progress.tasks[0].description == "loading the model"
        drawing.begin("cat [v2].png", 100, passes=2)
        drawing.passed()
        (task,) = drawing._progress.tasks
        assert task.description == r"cat \[v2].png"
        assert task.fields["said"].startswith("25%  1 of 2 network passes  0:00:00 left")


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (12 * 2**20, "12.0 MiB"),
        (3_650_722_202, "3.40 GiB"),
        (2**44, "16384.00 GiB"),
    ],
)
def test_sizes_for_people(size_bytes: int, text: str) -> None:
    assert readable_size(size_bytes) == text
