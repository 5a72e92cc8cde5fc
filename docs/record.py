"""Records the command at work for the README: ``python docs/record.py`` writes ``docs/images/command.svg``.

The commands run in a terminal of their own, on Python's language reference with the embedded model. What they write,
and when, becomes an animated SVG; waiting is cut to a second. It needs the dependency group ``docs`` (termtosvg-ng).
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from langchain_embedding_adapter.demo.language_reference import load_language_reference

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "command.svg"
COLUMNS, ROWS = 100, 31
PROMPT = "\x1b[32m$\x1b[0m "
SCENES = (
    ("embedding-adapter run reference --pairs questions.json", 5.0),
    ('embedding-adapter ask reference "make my container usable in for loops" -k 4', 6.0),
)
"""What is typed, and for how many seconds its result stays."""
KEY, MOST = 0.045, 1.0
"""Seconds from one key to the next, and the most that nothing happens."""
LARGEST = 150_000
"""Bytes of the picture."""

Event = tuple[float, str]


def main() -> None:
    """Record, and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        load_language_reference().dataset.save(Path(folder) / "questions.json")
        cast = Path(folder) / "session.cast"
        cast.write_text(as_cast(session(Path(folder))), encoding="utf-8")
        made = Path(folder) / "command.svg"
        render = ["render", str(cast), str(made), "--template", "window_frame", "--min-frame-duration", "60"]
        subprocess.run([sys.executable, "-m", "termtosvg", *render, "--loop-delay", "1500"], check=True)  # noqa: S603
        picture = re.sub(r">\s+<", "><", made.read_text(encoding="utf-8"))
    if len(picture.encode()) > LARGEST:
        sys.exit(f"the picture has {len(picture.encode()):,} bytes, and {LARGEST:,} are allowed")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture, encoding="utf-8")


def session(folder: Path) -> list[Event]:
    """What appears on the screen, and when."""
    events: list[Event] = []
    now = 0.5
    for line, rest in SCENES:
        events.append((now, PROMPT))
        now += 0.6
        for key in line:
            events.append((now, key))
            now += KEY
        now += 0.4
        events.append((now, "\r\n"))
        for pause, text in written(line, folder):
            now += min(pause, MOST)
            events.append((now, text))
        now += rest
    events.append((now, ""))
    return events


def written(line: str, folder: Path) -> list[Event]:
    """What a command writes to a terminal, each part with the seconds since the one before."""
    terminal, its_end = pty.openpty()
    there = Path(sys.executable).parent
    size = {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **size, "PATH": f"{there}{os.pathsep}{os.environ['PATH']}"}
    words = shlex.split(line)
    parts: list[Event] = []
    with subprocess.Popen(  # noqa: S603
        words, stdin=its_end, stdout=its_end, stderr=its_end, cwd=folder, env=environment
    ) as process:
        os.close(its_end)
        before = time.monotonic()
        with contextlib.suppress(OSError):  # how a terminal says that nobody is left to write to it
            while select.select([terminal], [], [])[0] and (part := os.read(terminal, 65536)):
                now = time.monotonic()
                parts.append((now - before, part.decode("utf-8", errors="replace")))
                before = now
        os.close(terminal)
        if process.wait():
            sys.exit(f"{line} ended with {process.returncode}: {''.join(text for _, text in parts)}")
    return parts


def as_cast(events: list[Event]) -> str:
    """An asciicast, version 2."""
    lines = [json.dumps({"version": 2, "width": COLUMNS, "height": ROWS})]
    lines += [json.dumps([round(when, 3), "o", text]) for when, text in events]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
