"""JSON from anyone: what the standard has, of a sensible size, or an error that says what is wrong with it."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 64
MAX_DIGITS = 40
"""Of a whole number: a seed of 128 bits has 39."""


def parse_json(data: bytes, source: str) -> Any:
    """JSON as the standard has it, and of a sensible size.

    Raises:
        ValueError: If it is malformed, nested more than ``MAX_DEPTH`` deep, repeats a key, or holds NaN, an infinity, a
            whole number of more than ``MAX_DIGITS`` digits or half a character.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_int=_whole_number,
            parse_float=_finite_number,
        )
        _check_depth(value)
    except RecursionError:
        raise ValueError(f"{source} is not valid JSON here: it is nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:
        raise ValueError(f"{source} is not valid JSON: {error}") from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object repeats a key")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def _whole_number(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a whole number has {len(text)} digits")
    return int(text)


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is beyond the numbers that are read")
    return number


def _check_depth(value: Any) -> None:
    """Without recursion; and of texts, that they can be written again."""
    waiting = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, str):
            item.encode("utf-8")
        elif isinstance(item, dict | list):
            if depth == MAX_DEPTH:
                raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
            inner = [*item, *item.values()] if isinstance(item, dict) else item
            waiting += [(part, depth + 1) for part in inner if isinstance(part, str | dict | list)]
