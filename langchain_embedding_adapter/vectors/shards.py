"""Vectors and pairs as a folder of Parquet parts, here or in a bucket: written, and opened without being loaded.

``about.json`` says what they are, and comes last; ``questions/`` and ``passages/`` hold an ``id`` and a ``vector`` a
row, ``pairs/`` a ``question``, a ``passage`` and, if not 1, a ``grade``. Opening lays the parts down as flat files,
once, and maps these: in memory is a batch of rows while it reads, and what is looked at afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.vectors.arrow_ids import ArrowIds
from langchain_embedding_adapter.vectors.laid_down import laid_down
from langchain_embedding_adapter.vectors.pair_vectors import Floats, PairVectors
from langchain_embedding_adapter.vectors.parts import SUFFIXES, write_part, write_vectors
from langchain_embedding_adapter.vectors.ragged import Ragged

FORMAT = 1
ABOUT = "about.json"
METRICS = ("cosine", "dot", "l2")
ROWS_PER_PART = 65_536
PLAN = "plan.json"
"""In a table's folder: which texts its parts were embedded from, and by what."""


def save_pair_vectors(
    vectors: PairVectors,
    folder: str | Path,
    *,
    rows_per_part: int = ROWS_PER_PART,
    query_model: str | None = None,
    passage_model: str | None = None,
) -> None:
    """Write vectors and pairs as Parquet parts, for :func:`open_pair_vectors` on this machine or another.

    Args:
        vectors: What to write; arrays that are mapped are read a part at a time.
        folder: A folder on this machine, or any that ``fsspec`` knows (``s3://…``, ``gs://…``). What it held of this
            kind is replaced.
        rows_per_part: Most rows of a part.
        query_model: What embedded the questions, for the record.
        passage_model: What embedded the passages, likewise.

    Raises:
        ValueError: If ``rows_per_part`` is below 1.
        ImportError: If pyarrow or fsspec is not installed (the extra ``arrow``).
    """
    if rows_per_part < 1:
        raise ValueError(f"rows_per_part must be at least 1, got {rows_per_part}")
    files, root = file_system(folder)
    forget_about(files, root)
    for table, named, rows in (
        ("questions", vectors.query_ids, vectors.queries),
        ("passages", vectors.passage_ids, vectors.passages),
    ):
        ids = ArrowIds.of(named)
        out = Parts(files, f"{root}/{table}")
        for at in range(0, len(rows), rows_per_part):
            out.write_vectors(ids[at : at + rows_per_part], rows[at : at + rows_per_part])
    save_pairs(vectors, files, root, rows_per_part)
    write_about(
        files, root, vectors.metric, (vectors.queries.shape[1], vectors.passages.shape[1]), (query_model, passage_model)
    )


def save_pairs(vectors: PairVectors, files: Any, root: str, rows_per_part: int = ROWS_PER_PART) -> None:
    """Write which passages answer which questions, and what a teacher thinks of some."""
    query_ids, passage_ids = ArrowIds.of(vectors.query_ids), ArrowIds.of(vectors.passage_ids)
    for table, name, places, figures in (
        ("pairs", "grade", vectors.relevant, vectors.grades),
        ("opinions", "score", vectors.listed, vectors.opinions),
    ):
        out = Parts(files, f"{root}/{table}")
        asked = places.rows
        for at in range(0, len(asked), rows_per_part):
            some = slice(at, at + rows_per_part)
            one, other = query_ids.take(asked[some]), passage_ids.take(places.flat[some])
            out.write({"question": one.array, "passage": other.array, name: figures.flat[some]})


def open_pair_vectors(folder: str | Path, *, scratch: str | Path | None = None) -> PairVectors:
    """Open a folder of vectors and pairs; they stay on disk, and are mapped.

    The parts are laid down as flat files in ``scratch`` first, unless they lie there from the time before: as much
    again on the disk as the vectors take. Parts are Parquet, or Arrow IPC (``.arrow``, ``.feather``), by whoever wrote
    them.

    Args:
        folder: What :func:`save_pair_vectors`, :func:`embed_dataset` or a pipeline of your own has written.
        scratch: Where the flat files go: a folder on a fast disk of this machine; by default one in the user's cache.

    Returns:
        ``queries`` and ``passages`` as ``numpy.memmap``; ids as a sequence that makes a string of each it is asked for.

    Raises:
        FileNotFoundError: If there is no such folder, or it lacks a table.
        ValueError: If what it holds does not fit together: vectors of different lengths, of other dimensions than
            ``about.json`` says, with values that are no floats or not finite; an id that stands twice, a pair about one
            that is nowhere, a question without a passage.
        ImportError: If pyarrow or fsspec is not installed (the extra ``arrow``).
    """
    files, root = file_system(folder)
    about = read_about(files, root)
    place, layout = laid_down(files, root, None if scratch is None else Path(scratch))
    found = [layout["questions"][1], layout["passages"][1]]
    if about.get("dimensions", found) != found:
        raise ValueError(
            f"{folder}: {ABOUT} says that questions and passages have {about['dimensions']} dimensions, and they have "
            f"{found}"
        )

    def mapped(name: str, kind: type[Any], shape: Sequence[int]) -> Any:
        if not np.prod(shape):
            return np.zeros(shape, dtype=kind)
        return np.memmap(place / name, dtype=kind, mode="r", shape=tuple(shape))

    def ragged(name: str) -> tuple[Ragged[np.intp], Ragged[np.float64]]:
        if name not in layout:
            return Ragged.empty(0, np.intp), Ragged.empty(0, np.float64)
        offsets = mapped(f"{name}.offsets", np.int64, [layout["questions"][0] + 1])
        rows = mapped(f"{name}.rows", np.intp, [layout[name]])
        return Ragged(rows, offsets), Ragged(mapped(f"{name}.figures", np.float64, [layout[name]]), offsets)

    relevant, grades = ragged("pairs")
    listed, opinions = ragged("opinions")
    return PairVectors(
        ArrowIds.mapped(place / "questions"),
        ArrowIds.mapped(place / "passages"),
        mapped("questions.vectors", np.float32, layout["questions"]),
        mapped("passages.vectors", np.float32, layout["passages"]),
        relevant,
        grades,
        listed,
        opinions,
        about["metric"],
        str(folder),
    )


def file_system(folder: str | Path) -> tuple[Any, str]:
    """The ``fsspec`` file system of a folder, and the folder's path there."""
    require_extra("pyarrow.parquet", "arrow")
    files, root = require_extra("fsspec.core", "arrow").url_to_fs(str(folder))
    return files, root.rstrip("/")


def forget_about(files: Any, root: str) -> None:
    """From here until :func:`write_about` it is no folder of vectors."""
    if files.exists(f"{root}/{ABOUT}"):
        files.rm(f"{root}/{ABOUT}")


def write_about(
    files: Any, root: str, metric: str, dimensions: tuple[int, int], models: tuple[str | None, str | None]
) -> None:
    """Say what the folder holds, once all of it is there."""
    about = {
        "format": FORMAT,
        "metric": metric,
        "query_model": models[0],
        "passage_model": models[1],
        "dimensions": list(dimensions),
    }
    files.makedirs(root, exist_ok=True)
    files.pipe_file(f"{root}/{ABOUT}", json.dumps(about, indent=1).encode())


def read_about(files: Any, root: str) -> dict[str, Any]:
    """What a folder says of itself.

    Raises:
        FileNotFoundError: If it says nothing.
        ValueError: If that is nothing we know.
    """
    try:
        about = json.loads(files.cat_file(f"{root}/{ABOUT}"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{root} is no folder of vectors, or was not written to its end: there is no {ABOUT}. Beside tables of "
            f'your own, questions/, passages/ and pairs/, put {{"format": {FORMAT}, "metric": "cosine"}}'
        ) from None
    except ValueError as error:
        raise ValueError(f"{root}/{ABOUT} is not valid JSON: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError(f'{root}/{ABOUT}: expected {{"format": {FORMAT}, …}}, got {about!r:.80}')
    if about.setdefault("metric", METRICS[0]) not in METRICS:
        raise ValueError(f"{root}/{ABOUT}: expected a metric of {', '.join(METRICS)}, got {about['metric']!r}")
    return about


class Parts:
    """The parts of a table, written one after the other in place of those that were there.

    Args:
        files: The ``fsspec`` file system.
        folder: The table's folder there.
    """

    def __init__(self, files: Any, folder: str) -> None:
        self._files, self._folder, self._count = files, folder, 0
        for path in files.ls(folder, detail=False) if files.isdir(folder) else []:
            if path.endswith((*SUFFIXES, PLAN)):
                files.rm(path)

    def write(self, columns: dict[str, Any]) -> None:
        """A part of these columns."""
        with self._next() as out:
            write_part(out, columns)

    def write_vectors(self, ids: ArrowIds, vectors: Floats) -> None:
        """A part of ids and vectors, ``(ids, dimensions)``."""
        with self._next() as out:
            write_vectors(out, ids.array, vectors)

    def _next(self) -> Any:
        self._files.makedirs(self._folder, exist_ok=True)
        path = f"{self._folder}/{part_name(self._count)}.parquet"
        self._count += 1
        return self._files.open(path, "wb")


def part_name(number: int) -> str:
    """Names that sort as their numbers do."""
    return f"part-{number:07d}"
