"""Several files of a folder replaced as one: a crash at any moment leaves all the old ones in effect, or all the new.

One file decides. What it needs is laid aside under a name of its own before, and moved into its place after; what
decides is moved in one step. That holds on every system and disk where a file can be renamed onto another.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from langchain_embedding_adapter._files import lock_file

logger = logging.getLogger(__name__)

ASIDE = ".saving-"
"""How the names of what is not in its place yet begin."""
LOCK = f"{ASIDE}lock"
WAIT = 300.0
"""Seconds to wait for another who saves to the same folder."""
PASSING = (FileNotFoundError, PermissionError) if os.name == "nt" else (FileNotFoundError,)
"""What opening the lock may meet while somebody else removes it, or the folder that they made in vain."""
PAUSE, PATIENCE = 0.01, 200


@contextlib.contextmanager
def only_saver(folder: Path) -> Iterator[None]:
    """Make the folder, and be the only one who saves to it until the block ends, or the process.

    Raises:
        TimeoutError: If somebody else has been at it for ``WAIT`` seconds.
    """
    made = not folder.exists()
    try:
        with _claimed(folder) as file:
            try:
                yield
            finally:
                if os.name == "nt":  # an open file cannot be removed there
                    file.close()
                with contextlib.suppress(OSError):  # somebody who waits has it open, and takes it away later
                    (folder / LOCK).unlink()
    finally:
        if made:
            with contextlib.suppress(OSError):  # it is not empty, as it should be
                folder.rmdir()


def replace_files(
    folder: Path,
    *,
    first: tuple[str, bytes, str],
    decisive: tuple[str, bytes],
    others: Mapping[str, bytes],
    keep: str | None,
    remove: Sequence[str],
) -> None:
    """Replace files; the caller is the :func:`only_saver`.

    Args:
        folder: Where they are.
        first: The file that ``decisive`` needs: its name, its content, and where it is looked for besides.
        decisive: The file that decides: its name and content.
        others: Further files, which may come late.
        keep: Where the file that the present ``decisive`` needs may still lie, after a crash.
        remove: Files that go.
    """
    name, content, aside = first
    written = {other: f"{ASIDE}{other}" for other in (decisive[0], *others)}
    _sweep(folder, keep)
    try:
        _write(folder / f"{ASIDE}{name}", content)
        os.replace(folder / f"{ASIDE}{name}", folder / aside)
        for other, data in {decisive[0]: decisive[1], **others}.items():
            _write(folder / written[other], data)
        _sync(folder)
        _move(folder / written[decisive[0]], folder / decisive[0])
        keep = aside
        _sync(folder)
        _move(folder / aside, folder / name)
        for other in others:
            _move(folder / written[other], folder / other)
        for other in remove:
            (folder / other).unlink(missing_ok=True)
        _sync(folder)
        keep = None
    finally:
        _sweep(folder, keep)


def unlike(folder: Path, prefix: str) -> bool:
    """Whether the folder holds anything whose name does not begin like that."""
    return any(not path.name.startswith(prefix) for path in folder.iterdir())


def _claimed(folder: Path) -> IO[bytes]:
    """The folder's lock, open and locked: the very file that is there, not one that was removed since."""
    end = time.monotonic() + WAIT
    flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(*PASSING):
            file = os.fdopen(os.open(folder / LOCK, flags, 0o666), "r+b", buffering=0)
            if _locked(file, folder):
                return file
            file.close()
        if time.monotonic() > end:
            raise TimeoutError(f"another process has been saving to {folder} for {WAIT:.0f} seconds; is it stuck?")
        time.sleep(PAUSE)


def _locked(file: IO[bytes], folder: Path) -> bool:
    try:
        if not lock_file(file):
            return False
    except OSError as error:
        logger.warning("%s is on a disk without locks (%s): do not save to it from two places at once", folder, error)
        return True
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(folder / LOCK))
    except FileNotFoundError:
        return False


def _write(path: Path, data: bytes) -> None:
    """Write a file, down to the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _move(path: Path, target: Path) -> None:
    """Put a file in another's place, in one step. Windows has to wait for readers."""
    for _ in range(PATIENCE if os.name == "nt" else 0):
        with contextlib.suppress(PermissionError):
            os.replace(path, target)
            return
        time.sleep(PAUSE)
    os.replace(path, target)


def _sync(folder: Path) -> None:
    """Bring the folder's own entries down to the disk, where a folder can be opened (not on Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: Path, keep: str | None) -> None:
    """Remove what lies aside, but for the lock and ``keep``."""
    for path in folder.iterdir():
        if path.name.startswith(ASIDE) and path.name not in (LOCK, keep) and (path.is_symlink() or not path.is_dir()):
            path.unlink(missing_ok=True)
