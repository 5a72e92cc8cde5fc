"""Completion in bash, mended: a word like ``local:wordllama`` or ``ndcg@10`` is one word, though bash takes it apart.

Bash splits what is typed at ``:``, ``=`` and ``@``, and replaces only the part behind the last of them. Typer's own
completion takes the parts for words. What a shell completes stands with the options themselves.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import Any

VARIABLE = "_EMBEDDING_ADAPTER_COMPLETE"
BREAKS = ":=@"


def mend_bash_completion() -> None:
    """Teach typer's class for bash to put words together; of no effect unless bash asks for a completion."""
    if "bash" not in os.environ.get(VARIABLE, ""):
        return
    from typer._completion_classes import BashComplete

    def arguments(_: Any) -> tuple[list[str], str]:
        words = put_together(os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"]))
        return [_unquoted(word) for word in words[1:-1]], _unquoted(words[-1])

    def shown(completion: Any, item: Any) -> str:
        return behind_the_break(str(item.value), completion.get_completion_args()[1])

    BashComplete.get_completion_args = arguments  # type: ignore[assignment, method-assign]
    BashComplete.format_completion = shown  # type: ignore[assignment, method-assign]


def put_together(words: Sequence[str], current: int) -> list[str]:
    """The words of a line as they were typed, up to the one that the cursor is at.

    >>> put_together(["embedding-adapter", "train", "--metric", "ndcg", "@", "1"], 5)
    ['embedding-adapter', 'train', '--metric', 'ndcg@1']
    """
    together: list[str] = []
    joins = False
    for word in [*words, ""][: current + 1]:
        breaks = bool(word) and not word.strip(BREAKS)
        if together and (joins or breaks):
            together[-1] += word
        else:
            together.append(word)
        joins = breaks
    return together


def behind_the_break(value: str, typed: str) -> str:
    """What bash has to put in: the part behind the last character of ``typed`` at which it splits words.

    >>> behind_the_break("local:wordllama", "local:w")
    'wordllama'
    """
    typed = typed.partition("=")[2] if typed.startswith("-") and "=" in typed else typed
    kept = max(typed.rfind(mark) for mark in BREAKS) + 1
    return value[kept:] if value.startswith(typed[:kept]) else value


def _unquoted(word: str) -> str:
    try:
        return "".join(shlex.split(word)) if word else word
    except ValueError:  # a quote that is still open
        return word.lstrip("\"'")
