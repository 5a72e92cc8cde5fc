"""Progress bars, drawn alike everywhere: on standard error, and by default only where that is a terminal."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm


def progress_bar(total: int, desc: str, unit: str, show: bool | None) -> tqdm[Any]:
    """A ``tqdm`` bar to be advanced by hand.

    Args:
        total: How many units there are.
        desc: What is being done.
        unit: What is counted.
        show: ``None`` draws the bar only on a terminal (or in a notebook).
    """
    return tqdm(total=total, desc=desc, unit=unit, disable=None if show is None else not show, leave=False)
