"""Texts from anywhere, made fit for a page: bounded, on one line, nothing in them that a browser trips over."""

from __future__ import annotations

import json
import re
from typing import Any

_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Control signs and halves of signs: no file in UTF-8 and no browser takes them."""
_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def clean(text: object, width: int = 400) -> str:
    r"""On one line, at most ``width`` characters, with a sign in place of each that is unfit.

    >>> clean("A Mars\x00 year\nlasts 687 days.", 14)
    'A Mars\ufffd year…'
    """
    line = " ".join(_UNFIT.sub("\N{REPLACEMENT CHARACTER}", str(text)[: 4 * width]).split())
    return cut(line, width)


def cut(line: str, width: int) -> str:
    """The start of a text, with a sign that there is more."""
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def block(text: object, width: int = 20_000) -> str:
    """Like :func:`clean`, with its lines as they are."""
    found = _UNFIT.sub("\N{REPLACEMENT CHARACTER}", str(text))
    return found if len(found) <= width else found[: width - 1] + "…"


def signed(value: float, digits: int = 3) -> str:
    """With its sign, a proper minus, and one more digit where it would look like nothing.

    >>> signed(-0.25, 2), signed(-0.0004)
    ('−0.25', '−0.0004')
    """
    if 0 < abs(value) < 0.5 * 10.0**-digits:
        digits += 1
    found = f"{value:+.{digits}f}"
    return found.lstrip("+-") if not float(found) else found.replace("-", "\N{MINUS SIGN}")


def script_json(value: Any) -> str:
    r"""JSON that stands in a ``<script>`` element and cannot end it, whatever the texts in it say.

    >>> script_json({"text": "</script>"})
    '{"text":"\\u003c/script\\u003e"}'
    """
    found = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign, escaped in _SCRIPT.items():
        found = found.replace(sign, escaped)
    return found
