"""The command that made a file of results, as that file shows it."""

from __future__ import annotations

import shlex
import sys
from itertools import pairwise
from pathlib import Path

PLACEHOLDERS = {"--data": "FOLDER", "--engine": "PYTHON"}


def command_line() -> str:
    """The running script with its options, one a line; a path of this machine is named by what it is."""
    words = [part for word in sys.argv[1:] for part in (word.split("=", 1) if word.startswith("--") else [word])]
    shown = [PLACEHOLDERS.get(before, portable(word)) for before, word in pairwise(["", *words])]
    line = " ".join([f"python cookbook/benchmarks/{Path(sys.argv[0]).name}", *shown])
    return line.replace(" --", " \\\n    --")


def portable(word: str) -> str:
    """Of ``provider:/a/folder/model`` the model alone."""
    provider, _, name = word.rpartition(":")
    return shlex.quote(f"{provider}:{Path(name).name}" if provider and Path(name).is_absolute() else word)
