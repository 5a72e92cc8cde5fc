"""The file: Jinja2 fills the template, every text escaped, style and script in place, their hashes in the policy."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from langchain_embedding_adapter.report.page.data import Page, Row, Status
from langchain_embedding_adapter.report.page.texts import script_json, signed

STATUS: dict[Status | None, tuple[str, str]] = {
    "better": ("▲", "better"),
    "worse": ("▼", "worse"),
    "unclear": ("≈", "no clear change"),
    "few": ("…", "too few to tell"),
    None: ("", ""),
}
"""A sign and words for what an interval says of a gain."""


def render(page: Page) -> str:
    """The page as one HTML file; the same page gives the same file.

    Style and script are in it, and its policy lets a browser run nothing else and ask nobody for anything.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from langchain_embedding_adapter.report.page.charts import CHARTS, history_chart

    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"signed": signed, "figure": figure, "reach": reach}
    style, script = (_asset(name) for name in ("page.css", "page.js"))
    history, history_name = history_chart(page.history)
    found: str = environment.get_template("page.html").render(
        page=page,
        charts=CHARTS,
        status=STATUS,
        style=Markup(style),  # noqa: S704 our own files
        script=Markup(script),  # noqa: S704
        data=None if page.explorer is None else Markup(script_json(page.explorer)),  # noqa: S704 escaped there
        style_hash=_hash(style),
        script_hash=_hash(script),
        history=history,
        history_name=history_name,
        compared=any(row.adapted is not None for row in page.metrics),
    )
    return found


def reach(row: Row) -> str:
    """The interval of a row's gain in words; nothing where there are too few questions."""
    if row.gain is None or row.gain.low is None or row.gain.high is None:
        return ""
    return f"{signed(row.gain.low)} to {signed(row.gain.high)}"


def figure(value: float) -> str:
    """As tables print it."""
    return f"{value:.3f}"


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
