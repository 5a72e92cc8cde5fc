"""Which errors pass, which never will, and how long to wait: what a server asks for, and what patience we have.

Providers' packages have no error class in common; the HTTP status behind an error is what they share.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Literal

Verdict = Literal["never", "not this one", "later", "unknown"]

FIRST_WAIT = 1.0
"""Seconds before the second attempt, doubled for each further one; half of it is left to chance."""
LONGEST_WAIT = 60.0
"""Most seconds that we wait of our own accord."""
LONGEST_ASKED = 600.0
"""A server that asks for more seconds than this ends the run."""
ATTEMPTS_OF_UNKNOWN = 3
"""Attempts after an error of which nothing is known: a garbled answer passes, a caller's own mistake does not."""
HOPELESS = 10
"""So many inputs that failed for good, with none answered between them, end the run."""


def verdict_on(error: BaseException) -> Verdict:
    """Whether an error may pass, by its HTTP status and, where it has none, by its class.

    >>> verdict_on(ConnectionResetError())
    'later'
    """
    status = status_of(error)
    if status in (401, 402, 403, 404) or getattr(error, "code", None) == "insufficient_quota":
        return "never"
    if status in (408, 409, 425, 429) or (status is not None and status >= 500):
        return "later"
    if status is not None and status >= 400:
        return "not this one"
    names = [cls.__name__.lower() for cls in type(error).__mro__]
    lost = any(part in name for name in names for part in ("connect", "timeout", "transport", "protocolerror"))
    return "later" if lost else "unknown"


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an error, wherever its library keeps it."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        response = response.get("ResponseMetadata", {})
        found = response.get("HTTPStatusCode")
    else:
        found = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    return found if isinstance(found, int) else None


def retry_after(error: BaseException) -> float | None:
    """The seconds that the server asks us to wait, by its headers ``Retry-After`` and ``Retry-After-Ms``."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name) or headers.get(name.title())
        if not value:
            continue
        try:
            return max(0.0, float(value) * unit)
        except ValueError:
            pass
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            continue
        date = date if date.tzinfo else date.replace(tzinfo=timezone.utc)
        return max(0.0, (date - datetime.now(timezone.utc)).total_seconds())
    return None


def own_wait(attempts: int) -> float:
    """The seconds that we wait of our own accord after so many attempts."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempts - 1))
    return random.uniform(longest / 2, longest)  # noqa: S311 no secret
