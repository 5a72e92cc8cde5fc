"""Shapes of an SVG picture, drawn for light pages and for dark ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

LIGHT = {"ink": "#24292f", "faint": "#6e7781", "line": "#c9d1d9", "box": "#f6f8fa", "hit": "#0b7285", "miss": "#c2410c"}
DARK = {"ink": "#e6edf3", "faint": "#9aa4af", "line": "#444c56", "box": "#22272e", "hit": "#4cc3d9", "miss": "#ff9f68"}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"

Palette = dict[str, str]
Draw = Callable[[Palette], str]


def write(folder: Path, name: str, size: tuple[int, int], title: str, draw: Draw) -> None:
    """Write ``name-light.svg`` and ``name-dark.svg``."""
    width, height = size
    for mode, palette in (("light", LIGHT), ("dark", DARK)):
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" font-family="{FONT}"><title>{escape(title)}</title>{draw(palette)}</svg>\n'
        )
        (folder / f"{name}-{mode}.svg").write_text(svg, encoding="utf-8")


def text(
    x: float, y: float, said: str, colour: str, *, size: float = 13, anchor: str = "start", bold: bool = False
) -> str:
    """A line of text."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{colour}" text-anchor="{anchor}"{weight}>'
        f"{escape(said)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dashes: str = "") -> str:
    """A straight line."""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"{dashed}/>'


def rectangle(x: float, y: float, width: float, height: float, p: Palette, *, strong: bool = False) -> str:
    """A box; a strong one has a border that is seen."""
    border = f'stroke="{p["hit"] if strong else p["line"]}" stroke-width="{2 if strong else 1}"'
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{p["box"]}" {border}/>'


def box(
    x: float, y: float, size: tuple[float, float], lines: Sequence[str], p: Palette, *, strong: bool = False
) -> str:
    """A box with a name and what is said of it."""
    width, height = size
    top = y + height / 2 - 8.5 * (len(lines) - 1) + 4.5
    said = [
        text(x + width / 2, top + 17 * row, content, p["faint" if row else "ink"], anchor="middle", bold=not row)
        for row, content in enumerate(lines)
    ]
    return rectangle(x, y, width, height, p, strong=strong) + "".join(said)


def arrow(x1: float, y1: float, x2: float, y2: float, p: Palette) -> str:
    """An arrow from the first point to the second."""
    turn = math.atan2(y2 - y1, x2 - x1)
    sides = [(x2 - 8 * math.cos(turn + side), y2 - 8 * math.sin(turn + side)) for side in (-0.4, 0.4)]
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(x2, y2), *sides])
    shaft = line(x1, y1, x2 - 6 * math.cos(turn), y2 - 6 * math.sin(turn), p["faint"], width=1.4)
    return f'{shaft}<polygon points="{head}" fill="{p["faint"]}"/>'


def dot(x: float, y: float, radius: float, p: Palette, colour: str, *, hollow: bool = False) -> str:
    """A dot, or a ring."""
    look = f'fill="none" stroke="{p[colour]}" stroke-width="2"' if hollow else f'fill="{p[colour]}"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" {look}/>'
