"""Many calls of a chain: side by side, patient where it helps, stopped where it does not.

An error that may pass (too many requests, a server's trouble, a lost connection) is waited for, as long as the server
asks; one that never will (a wrong key, an unknown model) ends the run at once, and so does a spent budget. What has
been answered is handed over before the next call begins.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_executor_for_config, merge_configs

from langchain_embedding_adapter.generation.account import Account, Opener, Spent
from langchain_embedding_adapter.generation.errors import said
from langchain_embedding_adapter.verdicts import (
    ATTEMPTS_OF_UNKNOWN,
    LONGEST_ASKED,
    Verdict,
    own_wait,
    retry_after,
    verdict_on,
)

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 0.5
"""Seconds after which whoever waits looks again whether the run goes on, and whether the server asks for more."""
Inputs = list[Any]
OnAnswer = Callable[[int, Any], None]
OnFailure = Callable[[int, Exception], None]


@dataclass(frozen=True)
class CallLimits:
    """How much may be asked, and how persistently.

    Attributes:
        max_concurrency: Calls at a time.
        max_attempts: Attempts at one call, where its error may pass.
        max_calls: Calls in all, attempts counted one by one; none for no limit.
        max_tokens: No call begins after so many tokens, of prompts and answers, as the model reports them.
        rate_limiter: One of LangChain's, asked before each call.
    """

    max_concurrency: int = 16
    max_attempts: int = 6
    max_calls: int | None = None
    max_tokens: int | None = None
    rate_limiter: BaseRateLimiter | None = None

    def __post_init__(self) -> None:
        for name in ("max_concurrency", "max_attempts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("max_calls", "max_tokens"):
            if getattr(self, name) is not None and getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or above, or None for no limit; got {getattr(self, name)}")


class Calls:
    """The calls of one run, or of one of its callers, and how they went.

    Args:
        limits: How much, and how persistently.
        account: That of the run, where other processes call too; it knows the budget in the place of ``limits``.

    Attributes:
        calls: Calls made, attempts counted one by one.
        retries: Attempts after the first.
        failures: Errors of inputs that were given up.
        stopped: Why no further call was made, or ``None``.
        fatal: The error that ended the run, if one did.
    """

    def __init__(self, limits: CallLimits, account: Opener | None = None) -> None:
        self.limits = limits
        self.account: Opener = account or Account(limits.max_calls, limits.max_tokens)
        self.name = uuid.uuid4().hex
        self.usage = UsageMetadataCallbackHandler()
        self.calls = self.retries = 0
        self.failures: list[Exception] = []
        self.stopped: str | None = None
        self.fatal: Exception | None = None
        self.usage.run_inline = True  # else the asynchronous way takes a thread for each of its events
        self._resume_at = self._spread = 0.0
        self._lock = threading.Lock()
        self._keeping = threading.Lock()  # of its own: to keep an answer takes a disk's time

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens of the ``input`` and the ``output`` so far, as the model reported them."""
        found = list(self.usage.usage_metadata.values())
        return {
            "input": sum(usage["input_tokens"] for usage in found),
            "output": sum(usage["output_tokens"] for usage in found),
        }

    @property
    def spent(self) -> Spent:
        """What these calls have spent so far."""
        tokens = self.tokens
        return Spent(tokens["input"], tokens["output"], self.retries)

    def run(
        self,
        chain: Runnable[Any, Any],
        inputs: Inputs,
        on_answer: OnAnswer,
        config: RunnableConfig | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """Call the chain with every input, in threads.

        Args:
            chain: What to call.
            inputs: Its inputs.
            on_answer: Told the number of an input and its answer, one at a time, as they come.
            config: Passed to the chain.
            on_failure: Told the number of an input that is given up, and its error.
        """
        if not inputs:
            return
        waiting = _Counter(len(inputs))
        config = self._config(config)

        def one(position: int) -> None:
            tries = _Tries()
            while self.stopped is None:
                if self.limits.rate_limiter is not None:
                    self.limits.rate_limiter.acquire(blocking=True)
                while seconds := self._seconds_left(tries):
                    time.sleep(seconds)
                if not self._may_call():
                    return
                try:
                    answer = said(chain.invoke(inputs[position], config))
                except Exception as error:
                    if not self._try_again(error, tries):
                        if on_failure is not None:
                            on_failure(position, error)
                        return
                else:
                    self._hand_over(on_answer, position, answer)
                    return

        def work() -> None:
            while self.stopped is None and (position := next(waiting, None)) is not None:
                one(position)

        workers = min(config.get("max_concurrency") or self.limits.max_concurrency, len(inputs))
        with get_executor_for_config({"max_concurrency": workers}) as executor:
            futures = [executor.submit(work) for _ in range(workers)]
            try:
                wait(futures)
            except BaseException:
                self._end("it was interrupted")  # what is under way is still kept
                raise
            for future in futures:
                future.result()

    async def arun(
        self,
        chain: Runnable[Any, Any],
        inputs: Inputs,
        on_answer: OnAnswer,
        config: RunnableConfig | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """The asynchronous :meth:`run`, through ``ainvoke``."""
        waiting = _Counter(len(inputs))
        config = self._config(config)

        async def one(position: int) -> None:
            tries = _Tries()
            while self.stopped is None:
                if self.limits.rate_limiter is not None:
                    await self.limits.rate_limiter.aacquire(blocking=True)
                while seconds := self._seconds_left(tries):
                    await asyncio.sleep(seconds)
                if not self._may_call():
                    return
                try:
                    answer = said(await chain.ainvoke(inputs[position], config))
                except Exception as error:
                    if not self._try_again(error, tries):
                        if on_failure is not None:
                            on_failure(position, error)
                        return
                else:
                    await self._ahand_over(on_answer, position, answer)
                    return

        async def work() -> None:
            while self.stopped is None and (position := next(waiting, None)) is not None:
                await one(position)

        workers = min(config.get("max_concurrency") or self.limits.max_concurrency, len(inputs))
        for ended in await asyncio.gather(*(work() for _ in range(workers)), return_exceptions=True):
            if ended is not None:  # only now: the others have kept what they were waiting for
                raise ended

    def _config(self, config: RunnableConfig | None) -> RunnableConfig:
        return merge_configs(config, {"callbacks": [self.usage]})

    def _hand_over(self, on_answer: OnAnswer, position: int, answer: Any) -> None:
        with self._keeping:
            self.account.answered(self.name, self.spent)
            try:
                on_answer(position, answer)
            except BaseException:
                self._end("an answer could not be kept")
                raise

    async def _ahand_over(self, on_answer: OnAnswer, position: int, answer: Any) -> None:
        """In a thread: the other calls go on while the disk writes."""
        keeping = asyncio.ensure_future(asyncio.to_thread(self._hand_over, on_answer, position, answer))
        try:
            await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await keeping
            raise

    def _may_call(self) -> bool:
        """Whether the run goes on and its budget has room for one more call, which is then counted."""
        with self._lock:
            if self.stopped is None:
                self.stopped = self.account.may_call(self.name, self.spent)
                self.calls += self.stopped is None
            return self.stopped is None

    def _seconds_left(self, tries: _Tries) -> float:
        """How long to sleep before the next look at the clock; 0 if it is time for the call, or there will be none."""
        if self.stopped is not None:
            return 0.0
        resume_at = self._resume_at + tries.chance * self._spread  # not all at the same moment
        seconds = max(resume_at, tries.not_before) - time.monotonic()
        if seconds <= 0:
            return 0.0
        self.stopped = self.stopped or self.account.why_stopped()
        return 0.0 if self.stopped is not None else min(seconds, LONGEST_SLEEP)

    def _try_again(self, error: Exception, tries: _Tries) -> bool:
        """Whether an input that met an error is tried again, for which its tries are then told when."""
        verdict, asked = verdict_on(error), retry_after(error) or 0.0
        number = tries.errors.total()
        tries.errors[verdict] += 1
        with self._lock:
            if verdict == "never":
                self._stop(error, "an error that will not pass")
            elif asked > LONGEST_ASKED:
                self._stop(error, f"the server asks for {asked:.0f} seconds of patience")
            elif (
                verdict != "not this one"
                and number + 1 < self.limits.max_attempts
                and tries.errors["unknown"] < ATTEMPTS_OF_UNKNOWN
            ):
                self.retries += 1
                now = time.monotonic()
                if now + asked > self._resume_at:
                    self._resume_at, self._spread = now + asked, min(1.0, asked)
                if number or not asked:  # who is turned away again waits longer than the server says
                    tries.not_before = now + own_wait(number + 1)
                return True
            else:
                reason = self.account.gave_up(repr(error))
                if reason is not None:
                    self._stop(error, reason)
            self.failures.append(error)
            return False

    def _stop(self, error: Exception, reason: str) -> None:
        if self.stopped is None:
            self.fatal = error
            self._end(reason, error)
            logger.error("stopped: %s: %r", reason, error)

    def _end(self, reason: str, error: Exception | None = None) -> None:
        """Make no further call, here and wherever else this run calls."""
        self.stopped = reason
        self.account.stop(reason, None if error is None else repr(error))


@dataclass
class _Tries:
    """How often one input met which errors, when it may be tried again, and its place in a crowd that waits."""

    errors: Counter[Verdict] = field(default_factory=Counter)
    not_before: float = 0.0
    chance: float = field(default_factory=random.random)


class _Counter:
    """The numbers below ``count``, for several threads."""

    def __init__(self, count: int) -> None:
        self._numbers = iter(range(count))
        self._lock = threading.Lock()

    def __iter__(self) -> _Counter:
        return self

    def __next__(self) -> int:
        with self._lock:
            return next(self._numbers)
