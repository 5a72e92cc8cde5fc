"""Progress: a bar where somebody looks, a line now and then where nobody does."""

from __future__ import annotations

import contextlib
import logging

import pytest

from langchain_embedding_adapter import _progress
from langchain_embedding_adapter._progress import ProgressLog, clock, progress_bar, told


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    standing = Time()
    monkeypatch.setattr(_progress, "time", standing)
    return standing


def test_lines_come_more_and_more_seldom(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with ProgressLog(1000, "questions", "chunk") as progress:
        for _ in range(1000):
            time.now += 0.2
            progress.update()
    assert [record.getMessage() for record in caplog.records] == [
        "questions: 25 of 1000 chunks (2 %), 5.0 a second, 3:15 left",
        "questions: 75 of 1000 chunks (7 %), 5.0 a second, 3:05 left",
        "questions: 175 of 1000 chunks (17 %), 5.0 a second, 2:45 left",
        "questions: 375 of 1000 chunks (37 %), 5.0 a second, 2:05 left",
        "questions: 675 of 1000 chunks (67 %), 5.0 a second, 1:05 left",
        "questions: 975 of 1000 chunks (97 %), 5.0 a second, 0:05 left",
        "questions: all 1000 chunks in 3:20",
    ]


def test_what_is_done_at_once_is_not_told(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with ProgressLog(10, "embed passages", "text") as progress:
        time.now += 4
        progress.update(10)
        progress.set_postfix({"loss": "1"})
    assert caplog.records == []


def test_what_is_broken_off_is_not_said_to_be_all(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with contextlib.suppress(RuntimeError), ProgressLog(10, "epochs", "epoch") as progress:
        time.now += 6
        progress.update(3)
        raise RuntimeError
    assert [record.getMessage() for record in caplog.records] == [
        "epochs: 3 of 10 epochs (30 %), 30.0 a minute, 0:14 left"
    ]


def test_no_bar_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(progress_bar(3, "a", "b", None), ProgressLog)
    with progress_bar(3, "a", "b", show=False) as silent:
        silent.update(3)
    assert capsys.readouterr().err == ""
    with progress_bar(3, "drawn", "b", show=True) as drawn:
        drawn.update(1)
    assert "drawn" in capsys.readouterr().err


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_bar(3, "a", "b", None), ProgressLog)


def test_words() -> None:
    assert told("a", "b", 0, 10, 0.0) == "a: 0 of 10 bs (0 %), 0.0 a minute"
    assert clock(3600) == "1:00:00"
