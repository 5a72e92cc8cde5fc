"""What all callers of a run share: the budget, and why there are to be no further calls.

Within one process that is an object; over many, the same object lives in an actor beside the process that began the
run, so that a budget holds to the call and a wrong key ends every caller's work.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Protocol

from langchain_embedding_adapter.verdicts import HOPELESS


@dataclass(frozen=True)
class Spent:
    """What one caller has spent so far.

    Attributes:
        input_tokens: Tokens of prompts, as the model reported them.
        output_tokens: Tokens of answers, likewise.
        retries: Attempts after the first.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    retries: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.retries + other.retries,
        )


@dataclass(frozen=True)
class Bill:
    """What all callers came to.

    Attributes:
        calls: Calls made, attempts counted one by one.
        spent: What they spent.
        stopped: Why no further call is made, or ``None``.
        fatal: The error that ended the run, in words, if one did.
    """

    calls: int
    spent: Spent
    stopped: str | None
    fatal: str | None


class Opener(Protocol):
    """An account as its callers see it: one here, or one in an actor."""

    def may_call(self, caller: str, spent: Spent) -> str | None:
        """Count one more call, or say why there is to be none."""

    def answered(self, caller: str, spent: Spent) -> None:
        """A call was answered."""

    def gave_up(self, error: str) -> str | None:
        """An input was given up; say why the run is now too, if it is."""

    def why_stopped(self) -> str | None:
        """Why there is to be no further call, or ``None``."""

    def stop(self, reason: str, error: str | None) -> None:
        """No further call is to be made; an ``error`` is what the run is ended with."""

    def bill(self) -> Bill:
        """What all this came to so far."""


class Account:
    """A run's account.

    Args:
        max_calls: Calls in all, attempts counted one by one; none for no limit.
        max_tokens: No call begins after so many tokens.
    """

    def __init__(self, max_calls: int | None = None, max_tokens: int | None = None) -> None:
        self._max_calls, self._max_tokens = max_calls, max_tokens
        self._calls = self._in_a_row = 0
        self._spent: dict[str, Spent] = {}
        self._stopped: str | None = None
        self._fatal: str | None = None
        self._lock = threading.Lock()

    def may_call(self, caller: str, spent: Spent) -> str | None:
        """Count one more call, or say why there is to be none."""
        with self._lock:
            self._spent[caller] = spent
            if self._stopped is None:
                all_spent = self._in_all()
                tokens = all_spent.input_tokens + all_spent.output_tokens
                if self._max_calls is not None and self._calls >= self._max_calls:
                    self._stopped = f"the budget of {self._max_calls} calls is spent"
                elif self._max_tokens is not None and tokens >= self._max_tokens:
                    self._stopped = f"the budget of {self._max_tokens} tokens is spent ({tokens} were used)"
                else:
                    self._calls += 1
            return self._stopped

    def answered(self, caller: str, spent: Spent) -> None:
        """A call was answered."""
        with self._lock:
            self._spent[caller] = spent
            self._in_a_row = 0

    def gave_up(self, error: str) -> str | None:
        """An input was given up; say why the run is now too, if it is."""
        with self._lock:
            self._in_a_row += 1
            if self._in_a_row < HOPELESS or self._stopped is not None:
                return None
            self._stopped, self._fatal = f"{self._in_a_row} calls failed one after the other", error
            return self._stopped

    def why_stopped(self) -> str | None:
        """Why there is to be no further call, or ``None``."""
        return self._stopped

    def stop(self, reason: str, error: str | None) -> None:
        """No further call is to be made; an ``error`` is what the run is ended with."""
        with self._lock:
            if self._stopped is None:
                self._stopped, self._fatal = reason, error

    def bill(self) -> Bill:
        """What all this came to so far."""
        with self._lock:
            return Bill(self._calls, self._in_all(), self._stopped, self._fatal)

    def _in_all(self) -> Spent:
        return sum(self._spent.values(), Spent())


class AccountElsewhere:
    """An account that lives in a Ray actor.

    Args:
        actor: The handle of an actor of :class:`Account`.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def may_call(self, caller: str, spent: Spent) -> str | None:
        """As :meth:`Account.may_call`: a round trip, of about a millisecond, before each call of a model."""
        return self._word(self._actor.may_call.remote(caller, spent))

    def answered(self, caller: str, spent: Spent) -> None:
        """As :meth:`Account.answered`; nobody waits for it."""
        self._actor.answered.remote(caller, spent)

    def gave_up(self, error: str) -> str | None:
        """As :meth:`Account.gave_up`."""
        return self._word(self._actor.gave_up.remote(error))

    def why_stopped(self) -> str | None:
        """As :meth:`Account.why_stopped`."""
        return self._word(self._actor.why_stopped.remote())

    def stop(self, reason: str, error: str | None) -> None:
        """As :meth:`Account.stop`."""
        self._said(self._actor.stop.remote(reason, error))

    def bill(self) -> Bill:
        """As :meth:`Account.bill`."""
        found: Bill = self._said(self._actor.bill.remote())
        return found

    def _word(self, answer: Any) -> str | None:
        word: str | None = self._said(answer)
        return word

    def _said(self, answer: Any) -> Any:
        import ray

        return ray.get(answer)
