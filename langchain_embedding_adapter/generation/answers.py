"""What a model has been paid for: one line of JSON an answer, on disk the moment it comes.

A second run reads the file and asks only for what is missing. A line that was cut off is healed, and two processes do
not write to one file.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from langchain_embedding_adapter._files import lock_file

logger = logging.getLogger(__name__)

START = b'{"key": "'
"""How every line begins; half a line that does not is not ours to heal."""


class AnswerFile:
    """Answers by key, in memory and, given a path, in a JSONL file that grows a line an answer.

    It is a context: inside it the file is ours alone.

    Args:
        path: The file; ``None`` keeps the answers in memory only.
        fields: What every answer holds besides its key.

    Attributes:
        answers: Every answer by its key.

    Raises:
        RuntimeError: On entry, if another process writes to the file.
        ValueError: On entry, if the file holds something else.
    """

    def __init__(self, path: str | Path | None, fields: tuple[str, ...]) -> None:
        self.path = None if path is None else Path(path)
        self.answers: dict[str, dict[str, Any]] = {}
        self._fields = fields
        self._file: BinaryIO | None = None

    def __enter__(self) -> AnswerFile:
        if self.path is None:
            return self
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+b")
        try:
            if not lock_file(file):
                raise RuntimeError(
                    f"another process is writing answers to {self.path}; wait for it to end, or name another path"
                )
            file.seek(0)
            self._read(file)
        except BaseException:
            file.close()
            raise
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def append(self, row: Mapping[str, Any]) -> None:
        """Keep an answer: when this returns it is on disk."""
        self.answers[row["key"]] = dict(row)
        if self._file is not None:
            self._file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def _read(self, file: BinaryIO) -> None:
        lines = file.read().split(b"\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                self.answers[row["key"]] = {"key": row["key"], **{name: row[name] for name in self._fields}} | row
            except (ValueError, KeyError, TypeError) as error:
                ours = line[: len(START)] == START[: len(line)]
                if number == len(lines) and isinstance(error, ValueError) and ours:  # a write was cut off here
                    logger.warning("%s ends in half a line; that answer is asked for again", self.path)
                    file.truncate(sum(len(kept) + 1 for kept in lines[:-1]))
                    return
                raise ValueError(
                    f"{self.path}, line {number}, is no generated answer; expected the file that an earlier run with "
                    "this path wrote, or a path where there is none"
                ) from error
        if lines[-1]:  # cut off between an answer and its newline
            file.write(b"\n")
