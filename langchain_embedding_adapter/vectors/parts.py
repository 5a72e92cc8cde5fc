"""Tables in parts, Parquet or Arrow, on any file system: read a batch at a time, however large the parts are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.vectors.pair_vectors import Floats

SUFFIXES = (".parquet", ".arrow", ".feather")
BATCH = 4096
"""Rows at a time."""
BUFFER = 2**20
"""Bytes of a column that are read ahead."""
GROUP_BYTES = 2**22
"""Bytes of the vectors of a row group."""


def list_parts(files: Any, folder: str, suffixes: Sequence[str] = SUFFIXES) -> list[str]:
    """The parts of a table in a folder of an ``fsspec`` file system, by name.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = files.ls(folder, detail=False) if files.isdir(folder) else []
    names = sorted(path for path in found if PurePosixPath(path).suffix in suffixes and _seen(path))
    if not names:
        raise FileNotFoundError(f"there are no parts in {folder}: expected files that end in {', '.join(suffixes)}")
    return names


def batches(files: Any, path: str, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Any]:
    """The rows of a part as Arrow's record batches of these columns, and of those optional ones that it has.

    Raises:
        ValueError: If it lacks a column.
    """
    if PurePosixPath(path).suffix == ".parquet":
        yield from _of_parquet(files, path, columns, optional)
    else:
        yield from _of_arrow(files, path, columns, optional)


def floats_in(column: Any, where: str) -> Floats:
    """The vectors of a column, ``(rows, dimensions)``.

    Args:
        column: Lists of floats, of fixed size or not.
        where: Which column of what, for errors.

    Raises:
        ValueError: If it holds anything but lists of floats, all as long.
    """
    arrow = require_extra("pyarrow", "arrow")
    kind = column.type
    of_lists = arrow.types.is_fixed_size_list(kind) or arrow.types.is_list(kind) or arrow.types.is_large_list(kind)
    if not of_lists or not arrow.types.is_floating(kind.value_type):
        raise ValueError(f"{where}: expected lists of floats, got {kind}")
    values = column.flatten()
    if column.null_count or values.null_count:
        raise ValueError(f"{where}: a vector, or a value of one, is missing")
    lengths = np.unique(column.value_lengths().to_numpy()) if len(column) else np.array([0])
    if len(lengths) > 1:
        raise ValueError(f"{where}: expected vectors of one length, got {lengths.tolist()}")
    flat: Floats = values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return flat.reshape(len(column), int(lengths[0]))


def strings_in(column: Any, where: str) -> Any:
    """The ids of a column as an Arrow array of large strings; whole numbers are written out.

    Raises:
        ValueError: If one is missing, or they are something else.
    """
    arrow = require_extra("pyarrow", "arrow")
    kind = column.type
    if arrow.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    textual = arrow.types.is_string(kind) or arrow.types.is_large_string(kind) or arrow.types.is_string_view(kind)
    if not textual and not arrow.types.is_integer(kind):
        raise ValueError(f"{where}: expected strings, got {kind}")
    if column.null_count:
        raise ValueError(f"{where}: an id is missing")
    return column.cast(arrow.large_string())


def write_part(out: Any, columns: dict[str, Any], rows: int | None = None) -> None:
    """A part of these columns, with so many ``rows`` in a group, to a path or a file that is open for bytes."""
    arrow, parquet = require_extra("pyarrow", "arrow"), require_extra("pyarrow.parquet", "arrow")
    parquet.write_table(arrow.table(columns), out, row_group_size=rows, compression="none", use_dictionary=False)


def write_vectors(out: Any, ids: Any, vectors: Floats) -> None:
    """A part of ids, an Arrow array, and vectors, ``(ids, dimensions)``; see :func:`write_part`."""
    arrow = require_extra("pyarrow", "arrow")
    flat = np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1)
    lists = arrow.FixedSizeListArray.from_arrays(arrow.array(flat), vectors.shape[1])
    write_part(out, {"id": ids, "vector": lists}, max(1, GROUP_BYTES // (4 * vectors.shape[1])))


def vectors_at(files: Any, path: str, rows: NDArray[np.integer[Any]]) -> Floats:
    """The vectors in these rows of a Parquet part, ``(rows, dimensions)``; other groups of rows are not read."""
    parquet = require_extra("pyarrow.parquet", "arrow")
    with files.open(path, "rb") as source, parquet.ParquetFile(source, pre_buffer=False) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        groups = np.searchsorted(ends, rows, side="right")
        found = np.zeros((len(rows), 0), dtype=np.float32)
        for group in np.unique(groups).tolist():
            column = file.read_row_group(group, columns=["vector"], use_threads=False).column("vector")
            vectors = floats_in(column.combine_chunks(), path)
            if not found.shape[1]:
                found = np.zeros((len(rows), vectors.shape[1]), dtype=np.float32)
            found[groups == group] = vectors[rows[groups == group] - (ends[group] - sizes[group])]
    return found


def dimensions_of(files: Any, path: str) -> int:
    """How many dimensions the vectors of a part have."""
    first = next(batches(files, path, ("vector",)))
    return int(floats_in(first.column("vector"), path).shape[1])


def _of_parquet(files: Any, path: str, columns: Sequence[str], optional: Sequence[str]) -> Iterator[Any]:
    parquet = require_extra("pyarrow.parquet", "arrow")
    with files.open(path, "rb") as source, parquet.ParquetFile(source, buffer_size=BUFFER, pre_buffer=False) as file:
        wanted = _wanted(file.schema_arrow.names, columns, optional, path)
        for group in range(file.num_row_groups):
            yield from file.iter_batches(BATCH, row_groups=[group], columns=wanted, use_threads=False)


def _of_arrow(files: Any, path: str, columns: Sequence[str], optional: Sequence[str]) -> Iterator[Any]:
    """A file or a stream; both are found under these suffixes."""
    arrow = require_extra("pyarrow", "arrow")
    local = "file" in ([files.protocol] if isinstance(files.protocol, str) else files.protocol)
    with arrow.memory_map(path) if local else files.open(path, "rb") as source:
        try:
            file = arrow.ipc.open_file(source)
            found: Iterator[Any] = (file.get_batch(number) for number in range(file.num_record_batches))
        except arrow.ArrowInvalid:
            source.seek(0)
            file = arrow.ipc.open_stream(source)
            found = iter(file)
        wanted = _wanted(file.schema.names, columns, optional, path)
        for batch in found:
            for at in range(0, len(batch), BATCH):
                yield batch.select(wanted).slice(at, BATCH)


def _wanted(names: Sequence[str], columns: Sequence[str], optional: Sequence[str], path: str) -> list[str]:
    missing = [name for name in columns if name not in names]
    if missing:
        raise ValueError(f"{path}: expected the columns {', '.join(columns)}, got {', '.join(names)}")
    return [*columns, *(name for name in optional if name in names)]


def _seen(path: str) -> bool:
    """Whether a file is a part: Spark and others hide what is none behind an underscore or a dot."""
    return not PurePosixPath(path).name.startswith(("_", "."))
