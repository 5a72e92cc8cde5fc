"""Files written whole or not at all, and files that one process at a time may write to.

Everything the package saves goes through here: a reader, or a crash in the middle, sees the old file or the new one.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any


def write_atomically(path: str | Path, data: str | bytes) -> None:
    """Write ``data`` to ``path`` through a temporary file beside it, making parent folders as needed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = data.encode("utf-8") if isinstance(data, str) else data
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp gives 0600, which others sharing a folder cannot read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as readable JSON, atomically."""
    write_atomically(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_jsonl(path: str | Path, rows: list[dict[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    write_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: str | Path) -> Any:
    """Read one JSON value.

    Raises:
        ValueError: If the file holds no valid JSON; the message names the file.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """Read one JSON object a line; blank lines are passed over.

    Raises:
        ValueError: If a line is not a JSON object; the message names the file and the line.
    """
    with Path(path).open("rb") as file:
        yield from jsonl_rows(file, path)


def jsonl_rows(lines: Iterable[bytes], name: str | Path) -> Iterator[dict[str, Any]]:
    """The same of a file that is open, wherever it lies, by this name."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{name}, line {number}, is not valid JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"{name}, line {number}: expected a JSON object, got {type(row).__name__}")
        yield row


def lock_file(file: IO[bytes]) -> bool:
    """Claim an open file until it is closed, or its process ends; ``False`` if another has it.

    The claim binds those who ask for it, not readers.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        import msvcrt

        file.seek(2**40)  # a byte beyond any content: the lock would keep readers from it
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
