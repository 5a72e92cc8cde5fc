"""What the page says in sentences: the verdict with its uncertainty, and what to do now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from langchain_embedding_adapter.report.page.data import Row, Verdict
from langchain_embedding_adapter.report.page.texts import signed

CHANCE = "95% interval"


def verdict(
    row: Row,
    *,
    found: tuple[float, float | None] | None,
    asked: Literal["apart", "folds", "deciding", "pseudo"] = "apart",
    learned: int | None = None,
    improved: bool | None = None,
    retrained: bool = False,
    pseudo: bool = False,
    reason: str = "",
    needed: int | None = None,
    parts: Sequence[Row] = (),
) -> Verdict:
    """The verdict on an adapter.

    Args:
        row: The metric that decides, over all questions.
        found: The share of the questions that find a right passage among the first ten, base and adapted.
        asked: What the questions were to the adapter; see :class:`~langchain_embedding_adapter.report.details.Details`.
        learned: Of questions kept apart, how many training has learned from all the same; ``None`` if nobody knows.
        retrained: Whether training started from an adapter.
        improved: Whether training kept an adapter; ``None`` where nothing is known of a training.
        pseudo: Whether nobody has asked these questions.
        reason: Training's own words.
        needed: So many questions would tell a gain of this size from chance.
        parts: The questions by what training had seen of their passages.
    """
    count = f"{row.questions:,} question{'s' * (row.questions != 1)}"
    where = _where(count, asked, learned)
    if pseudo and improved is False:
        return Verdict(
            "kept",
            "Keep the base",
            "What the pseudo-questions taught could not be relied on, and the base is kept.",
            advice="There is nothing to ship, and nothing is lost: what training handed back answers as the base does. "
            "Real questions with their passages, even twenty, may change this.",
            caveats=(reason,) if reason else (),
        )
    if pseudo:
        return Verdict(
            "unverified",
            "Nobody knows yet",
            "The adapter was trained on questions cut out of the passages, and a gain on such questions is no gain: "
            "whether it helps with what people ask is not known.",
            advice="Collect real questions with their passages (twenty tell something, a hundred much) and evaluate "
            "the adapter on them before it is used.",
            caveats=(reason,) if reason else (),
        )
    if row.adapted is None or row.gain is None:
        return Verdict(
            "base",
            "The base alone",
            f"With the base embeddings {row.name} is {row.base.mean:.3f}{_interval(row.base.low, row.base.high)} on "
            f"{count}; no adapter was compared.",
            plainly=_share(found),
            advice="Train an adapter and evaluate it on the same questions: then this page sets the one against the "
            "other.",
        )
    if improved is False and retrained:
        return Verdict(
            "kept",
            "Keep the adapter from before",
            "Nothing that was tried could be relied on to beat the adapter that training started from, and it is "
            f"kept: {row.name} {row.base.mean:.3f}{_interval(row.base.low, row.base.high)} on {count}.",
            plainly=_share((found[0], None) if found else None),
            advice="There is nothing new to ship: what training handed back answers as the adapter from before does.",
        )
    if improved is False:
        return Verdict(
            "kept",
            "Keep the base",
            f"Nothing that was tried could be relied on to beat the base, and the base is kept: {row.name} "
            f"{row.base.mean:.3f}{_interval(row.base.low, row.base.high)} on {count}.",
            plainly=_share((found[0], None) if found else None),
            advice="There is nothing to ship, and nothing is lost: what training handed back answers as the base does. "
            "More questions, or questions more like those that people ask, may change this.",
        )
    moves = f"{row.name} goes from {row.base.mean:.3f} to {row.adapted.mean:.3f}"
    change, interval = f"{signed(row.gain.mean)}", _interval(row.gain.low, row.gain.high, signs=True)
    caveats = []
    if learned and asked == "apart":
        caveats.append("On questions that it has learned from, an adapter looks better than it is: leave them out.")
    if asked == "folds":
        caveats.append(
            "The questions are those of the training, each answered by an adapter that was fitted without it. The "
            "candidate was chosen on them, which flatters it a little: a test on questions kept apart is stricter."
        )
    if asked == "deciding":
        caveats.append(
            "These questions decided whether and how far the adapter is used, which flatters it a little: a test on "
            "questions kept apart is stricter."
        )
    differing = [
        f"{part.name} {signed(part.gain.mean)}{_interval(part.gain.low, part.gain.high, signs=True)}"
        for part in parts
        if part.gain is not None and part.status not in ("few", row.status)
    ]
    if differing:
        caveats.append(f"It depends on what training had seen: on {'; on '.join(differing)}.")
    if row.status == "few":
        return Verdict(
            "unclear",
            "Too few questions to tell",
            f"{moves} ({change}), but {count} are too few to say how sure that is.",
            plainly=_share(found),
            advice="Evaluate on a hundred questions or more before you decide.",
            caveats=tuple(caveats),
        )
    if row.status == "better":
        return Verdict(
            "ship",
            "Better with the adapter",
            f"{moves} on {where}: {change}{interval}.",
            plainly=_share(found),
            advice="Nothing here speaks against using it. See below whether it also helps with the questions that "
            "matter most to you, and what scores it gives if you have a threshold.",
            caveats=tuple(caveats),
        )
    if row.status == "worse":
        return Verdict(
            "worse",
            "Worse with the adapter",
            f"{moves} on {where}: {change}{interval}.",
            plainly=_share(found),
            advice="Do not use it for questions like these; the base does better.",
            caveats=tuple(caveats),
        )
    more = (
        f" About {_round(needed):,} questions would be enough to tell a change of this size from chance."
        if needed
        else ""
    )
    return Verdict(
        "unclear",
        "No difference that can be relied on",
        f"{moves} on {where}; that is {change}, and the truth may as well be none{interval}.",
        plainly=_share(found),
        advice=f"Keep the base until more is known.{more}",
        caveats=tuple(caveats),
    )


def rank_in_words(ranks: list[int]) -> str:
    """The best rank of a question's right passages.

    >>> rank_in_words([3, 12]), rank_in_words([0])
    ('3', 'not listed')
    """
    known = [rank for rank in ranks if rank > 0]
    return f"{min(known):,}" if known else "not listed"


def _where(count: str, asked: str, learned: int | None) -> str:
    """Which questions these are."""
    if asked != "apart":
        return f"{count} that its fit had not seen"
    if learned is None:
        return count
    return f"{count}, {learned:,} of them learned from" if learned else f"{count} that training had not seen"


def _round(value: int) -> int:
    """To two figures."""
    return int(float(f"{value:.2g}"))


def _interval(low: float | None, high: float | None, *, signs: bool = False) -> str:
    if low is None or high is None:
        return ""
    ends = (signed(low), signed(high)) if signs else (f"{low:.3f}", f"{high:.3f}")
    return f" ({CHANCE} {ends[0]} to {ends[1]})"


def _share(found: tuple[float, float | None] | None) -> str:
    """In how many of a hundred questions a right passage comes up."""
    if found is None:
        return ""
    base, adapted = found
    first = f"{100 * base:.0f}"
    if adapted is None:
        return f"Of 100 questions, {first} find a right passage among the first ten."
    then = f"{100 * adapted:.0f}"
    if first == then:
        return f"Of 100 questions, {first} find a right passage among the first ten, with the adapter as without."
    return f"Of 100 questions, {then} find a right passage among the first ten, instead of {first}."
