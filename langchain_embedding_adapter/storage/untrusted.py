"""Files that may come from anyone: read with nothing taken for granted.

Sizes, depths and shapes are looked at before memory is given to them; what is no ordinary file inside the folder is not
opened. Whatever is wrong becomes a ``ValueError`` or ``FileNotFoundError`` that names the file.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.storage.strict_json import parse_json

MAX_JSON = 16 * 2**20
"""Bytes of a configuration, or of the header of a weights file."""
MAX_AXES = 8
MAX_SIZE = 2**48
PAUSE, PATIENCE = 0.01, 20

DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    **{f"{letter}{8 * size}": np.dtype(f"<{letter.lower()}{size}") for letter in "UI" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
"""What a weights file may hold, by the names that safetensors gives them."""

Shapes = dict[str, tuple[int, ...]]
Identity = tuple[int, int, int]


@dataclass(frozen=True)
class Weights:
    """The content of a weights file.

    Attributes:
        arrays: By name.
        sha256: Of the file.
    """

    arrays: dict[str, NDArray[Any]]
    sha256: str


@contextmanager
def open_within(folder: Path, name: str) -> Iterator[IO[bytes]]:
    """Open a file of a folder for reading, if it is an ordinary file that lies there.

    A link is followed within the folder, and from a snapshot in the hub's cache to the files it is made of.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is a device, a pipe, a folder or a link that leads elsewhere, or cannot be read.
    """
    path = folder / name
    try:
        target, home = path.resolve(strict=True), folder.resolve(strict=True)
        homes = [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]
        if target.parent not in homes:
            raise ValueError(f"{path} is a link that leads out of the folder, to {target}; put the file itself there")
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(_opened(target, flags), "rb")  # a pipe is opened without waiting for its writer
    except FileNotFoundError:
        raise FileNotFoundError(f"{folder} is no saved adapter: it holds no {name}") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links, in older versions of Python
        raise ValueError(f"{path} cannot be read as a file: {error}") from error
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path} is no ordinary file; put the adapter's own {name} there")
        yield file


def _opened(target: Path, flags: int) -> int:
    """A descriptor. Windows refuses for a moment while another file is put in this one's place."""
    for _ in range(PATIENCE if os.name == "nt" else 0):
        with suppress(PermissionError):
            return os.open(target, flags)
        time.sleep(PAUSE)
    return os.open(target, flags)


def read_up_to(file: IO[bytes], count: int, path: Path) -> bytes:
    """Read ``count`` bytes, which are known to be there.

    Raises:
        ValueError: If they are not, or cannot be read.
    """
    try:
        data = file.read(count)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if len(data) != count:
        raise ValueError(f"{path} is damaged: it ended early; fetch or save it again")
    return data


def read_json_within(folder: Path, name: str) -> tuple[Any, Identity]:
    """Read a JSON file of a folder, strictly.

    Returns:
        The value, and the file's :func:`identity`.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is too large, or not what ``parse_json`` takes.
    """
    with open_within(folder, name) as file:
        found = os.fstat(file.fileno())
        if found.st_size > MAX_JSON:
            raise ValueError(f"{folder / name} has {found.st_size:,} bytes, and no more than {MAX_JSON:,} are read")
        data = read_up_to(file, found.st_size, folder / name)
    return parse_json(data, str(folder / name)), identity(found)


def identity(found: os.stat_result) -> Identity:
    """What tells a file from one of the same name and content that takes its place."""
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_weights_within(
    folder: Path, name: str, *, size: int | None = None, expect: Callable[[Shapes], None] | None = None
) -> Weights:
    """Read a safetensors file of a folder; its header is checked before room is made for its arrays.

    Args:
        folder: Where it lies.
        name: Of the file.
        size: How many bytes it must have, if that is known.
        expect: Called with the shapes, before the arrays are read; to refuse them it raises ``ValueError``.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged or refused.
    """
    path = folder / name
    with open_within(folder, name) as file:
        found = os.fstat(file.fileno()).st_size
        if size is not None and size != found:
            raise ValueError(f"{path} has {found:,} bytes and config.json tells of {size:,}: {NOT_AS_SAVED}")
        prefix = read_up_to(file, 8, path)
        length = int.from_bytes(prefix, "little")
        if length > min(found - 8, MAX_JSON):
            raise ValueError(f"{path} is damaged: its header would have {length:,} bytes; fetch or save it again")
        header = read_up_to(file, length, path)
        entries = _entries(header, path, found - 8 - length)
        if expect is not None:
            expect({key: shape for key, (_, shape, _) in entries.items()})
        data = bytearray(found - 8 - length)
        if file.readinto(data) != len(data) or file.read(1):  # type: ignore[attr-defined]
            raise ValueError(f"{path} is damaged: its length changed while it was read; load it again")
    digest = hashlib.sha256(prefix + header)
    digest.update(data)
    arrays = {
        key: np.ndarray(shape, dtype, buffer=data, offset=offset) if math.prod(shape) else np.zeros(shape, dtype)
        for key, (dtype, shape, offset) in entries.items()
    }
    return Weights(arrays, digest.hexdigest())


NOT_AS_SAVED = "it is not as it was saved; fetch or save the adapter again"

_Entry = tuple[np.dtype[Any], tuple[int, ...], int]


def _entries(header: bytes, path: Path, room: int) -> dict[str, _Entry]:
    """Data type, shape and place of each array; together they fill the ``room`` behind the header exactly."""
    try:
        table = parse_json(header, "its header")
        if not isinstance(table, dict):
            raise ValueError("its header is no JSON object")
        table.pop("__metadata__", None)
        entries = {key: _entry(key, value) for key, value in table.items()}
        end = 0
        for key, (dtype, shape, offset) in sorted(
            entries.items(), key=lambda item: (item[1][2], math.prod(item[1][1]))
        ):
            if offset != end:
                raise ValueError(f"{key!r:.80} begins at byte {offset}, and what is before it ends at {end}")
            end += math.prod(shape) * dtype.itemsize
        if end != room:
            raise ValueError(f"its arrays take {end:,} bytes and {room:,} are there")
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; fetch or save it again") from error
    return entries


def _entry(key: str, value: Any) -> _Entry:
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the entry of {key!r:.80} has not the fields `dtype`, `shape` and `data_offsets`")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{key!r:.80} is of type {dtype!r:.80}, which is none of {', '.join(DTYPES)}")
    if not _are_sizes(shape) or len(shape) > MAX_AXES or math.prod(size or 1 for size in shape) >= MAX_SIZE:
        raise ValueError(f"{key!r:.80} has the shape {shape!r:.80}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"{key!r:.80} lies at {offsets!r:.80}")
    if offsets[1] - offsets[0] != math.prod(shape) * DTYPES[dtype].itemsize:
        raise ValueError(f"{key!r:.80} lies at {offsets!r:.80}, which does not fit {dtype} of shape {shape!r:.80}")
    return DTYPES[dtype], tuple(shape), offsets[0]


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < MAX_SIZE for value in values)
