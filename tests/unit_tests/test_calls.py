"""Many calls: side by side, patient where it helps, stopped where it does not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_embedding_adapter import verdicts
from langchain_embedding_adapter.generation.calls import CallLimits, Calls
from langchain_embedding_adapter.verdicts import retry_after, verdict_on


class HTTPError(Exception):
    """An error as providers' clients raise them."""

    def __init__(self, status: int, headers: dict[str, str] | None = None, code: str | None = None) -> None:
        super().__init__(f"status {status}")
        self.status_code = status
        self.code = code
        self.response = SimpleNamespace(status_code=status, headers=headers or {})


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "FIRST_WAIT", 0.0)


@pytest.fixture(params=["threads", "asynchronous"])
def run(request: pytest.FixtureRequest):
    """Calls a chain in either way; what it was told, and the calls."""

    def go(chain: Runnable, inputs: list[Any], **limits: Any) -> tuple[dict[int, Any], Calls]:
        calls, answers = Calls(CallLimits(**limits)), {}
        arguments = (chain, inputs, answers.__setitem__)
        if request.param == "threads":
            calls.run(*arguments)
        else:
            asyncio.run(calls.arun(*arguments))
        return answers, calls

    return go


def failing(errors: dict[int, list[Exception]]) -> Runnable:
    """Fails as told, input by input, and then doubles it."""

    def answer(number: int) -> int:
        if errors.get(number):
            raise errors[number].pop(0)
        return 2 * number

    return RunnableLambda(answer)


def test_every_input_is_answered_once(run) -> None:
    asked: Counter[int] = Counter()
    chain = RunnableLambda(lambda number: (asked.update([number]), 2 * number)[1])
    answers, calls = run(chain, list(range(50)), max_concurrency=7)
    assert answers == {number: 2 * number for number in range(50)}
    assert set(asked.values()) == {1}
    assert (calls.calls, calls.retries, calls.failures, calls.stopped) == (50, 0, [], None)


def test_nothing_to_ask_is_no_error(run) -> None:
    assert run(failing({}), [])[0] == {}


def test_errors_that_may_pass_are_waited_for(run) -> None:
    trouble = [HTTPError(429), HTTPError(503), ConnectionResetError(), TimeoutError(), HTTPError(408)]
    answers, calls = run(failing({3: trouble}), list(range(5)), max_attempts=6)
    assert answers == {number: 2 * number for number in range(5)}
    assert (calls.calls, calls.retries, calls.failures) == (10, 5, [])


def test_patience_has_an_end(run) -> None:
    answers, calls = run(failing({3: [HTTPError(500) for _ in range(9)]}), list(range(5)), max_attempts=4)
    assert sorted(answers) == [0, 1, 2, 4]
    assert (calls.calls, calls.retries) == (8, 3)
    assert [error.status_code for error in calls.failures] == [500]
    assert calls.stopped is None


def test_an_unknown_error_is_tried_thrice(run) -> None:
    answers, calls = run(failing({0: [ValueError("odd")] * 9, 1: [KeyError("odd")] * 2}), [0, 1])
    assert answers == {1: 2}
    assert (calls.calls, len(calls.failures)) == (6, 1)


def test_a_bad_input_is_not_tried_again(run) -> None:
    answers, calls = run(failing({1: [HTTPError(400)] * 2}), [0, 1, 2])
    assert sorted(answers) == [0, 2]
    assert calls.calls == 3


@pytest.mark.parametrize(
    "error", [HTTPError(401), HTTPError(403), HTTPError(404), HTTPError(429, code="insufficient_quota")]
)
def test_an_error_that_never_passes_ends_the_run(run, error: HTTPError) -> None:
    answers, calls = run(failing({number: [error] for number in range(10, 2000)}), list(range(2000)), max_concurrency=4)
    assert set(answers) <= set(range(10))
    assert calls.fatal is error
    assert calls.calls <= 10 + 4
    assert "will not pass" in calls.stopped


def test_many_failures_in_a_row_end_the_run(run) -> None:
    _, calls = run(failing({number: [ValueError("odd")] * 3 for number in range(10_000)}), list(range(10_000)))
    assert calls.calls < 3 * (verdicts.HOPELESS + 2 * 16)
    assert isinstance(calls.fatal, ValueError)


def test_a_budget_of_calls_ends_the_run_cleanly(run) -> None:
    answers, calls = run(failing({0: [HTTPError(500)]}), list(range(100)), max_calls=20, max_concurrency=3)
    assert calls.calls == 20
    assert len(answers) == 19
    assert (calls.stopped, calls.fatal) == ("the budget of 20 calls is spent", None)


def test_a_budget_of_tokens_counts_what_the_model_reports(run) -> None:
    usage = {"input_tokens": 30, "output_tokens": 10, "total_tokens": 40}
    messages = (AIMessage("why?", usage_metadata=usage, response_metadata={"model_name": "it"}) for _ in range(100))
    llm = GenericFakeChatModel(messages=messages)
    answers, calls = run(llm, ["ask"] * 50, max_tokens=200, max_concurrency=1)
    assert len(answers) == calls.calls == 5
    assert calls.tokens == {"input": 150, "output": 50}
    assert "200 were used" in calls.stopped


def test_the_rate_limiter_is_asked(run) -> None:
    limiter = InMemoryRateLimiter(requests_per_second=100, check_every_n_seconds=0.001, max_bucket_size=1)
    start = time.monotonic()
    run(failing({}), list(range(11)), rate_limiter=limiter)
    assert time.monotonic() - start > 0.09


@pytest.mark.parametrize("headers", [{"retry-after": "0.2"}, {"retry-after-ms": "200"}])
def test_a_server_that_asks_for_patience_gets_it_from_everybody(run, headers: dict[str, str]) -> None:
    times: dict[int, list[float]] = {}
    first = threading.Event()

    def answer(number: int) -> int:
        times.setdefault(number, []).append(time.monotonic())
        if number == 0 and not first.is_set():
            first.set()
            raise HTTPError(429, headers)
        time.sleep(0.02)
        return number

    run(RunnableLambda(answer), list(range(8)), max_concurrency=2)
    refused, again = times[0]
    assert again - refused >= 0.19
    others = [moment for number, moments in times.items() if number for moment in moments]
    assert sum(refused + 0.03 < moment < refused + 0.19 for moment in others) == 0


def test_a_server_that_asks_for_too_much_patience_ends_the_run(run) -> None:
    _, calls = run(failing({number: [HTTPError(429, {"retry-after": "86400"})] for number in range(9)}), list(range(9)))
    assert "asks for 86400 seconds" in calls.stopped


def test_an_answer_that_cannot_be_kept_stops_everything() -> None:
    def full(position: int, answer: Any) -> None:
        raise OSError("the disk is full")

    for run in (Calls.run, lambda *arguments: asyncio.run(Calls.arun(*arguments))):
        calls = Calls(CallLimits(max_concurrency=2))
        with pytest.raises(OSError, match="the disk is full"):
            run(calls, failing({}), list(range(1000)), full)
        assert calls.calls <= 4


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (HTTPError(401), "never"),
        (HTTPError(404), "never"),
        (HTTPError(400), "not this one"),
        (HTTPError(422), "not this one"),
        (HTTPError(529), "later"),
        (ConnectionRefusedError(), "later"),
        (type("APIConnectionError", (Exception,), {})(), "later"),
        (type("ReadTimeout", (Exception,), {})(), "later"),
        (type("RemoteProtocolError", (Exception,), {})(), "later"),
        (IndexError("list index out of range"), "unknown"),
        (SimpleNamespace(response={"ResponseMetadata": {"HTTPStatusCode": 503}}), "later"),
    ],
)
def test_verdicts(error: Any, verdict: str) -> None:
    assert verdict_on(error) == verdict


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(HTTPError(429, headers)) == seconds
    assert retry_after(ValueError()) is None


def test_retry_after_a_date() -> None:
    date = datetime.now(timezone.utc) + timedelta(seconds=30)
    assert retry_after(HTTPError(429, {"retry-after": format_datetime(date, usegmt=True)})) == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_concurrency": 0}, "max_concurrency must be at least 1"),
        ({"max_attempts": 0}, "max_attempts must be at least 1"),
        ({"max_calls": -1}, "max_calls must be 0 or above"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CallLimits(**limits)
