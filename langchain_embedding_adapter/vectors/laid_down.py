"""The parts of a folder of vectors laid down as flat files, once for each state of the folder, checked on the way."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter._files import read_json, write_json
from langchain_embedding_adapter.vectors.arrow_ids import ArrowIds, IdsFile
from langchain_embedding_adapter.vectors.parts import batches, floats_in, list_parts, strings_in

LAYOUT = "layout.json"
BUILDING = "building-"
VERSION = 1
"""Of the flat files; another lays everything down anew."""


def laid_down(files: Any, root: str, scratch: Path | None) -> tuple[Path, dict[str, Any]]:
    """The flat files of a folder's tables, made unless they are there.

    Args:
        files: The ``fsspec`` file system.
        root: The folder there.
        scratch: Where they go; by default the user's cache.

    Returns:
        Where they are, and how many rows and dimensions each table has.
    """
    parts = {name: list_parts(files, f"{root}/{name}") for name in ("questions", "passages", "pairs")}
    if files.isdir(f"{root}/opinions"):
        parts["opinions"] = list_parts(files, f"{root}/opinions")
    state = [VERSION, *((path, files.ukey(path)) for paths in parts.values() for path in paths)]
    home = (scratch or _cache_folder()) / _digest(files.unstrip_protocol(root))
    place = home / _digest(state)
    if not (place / LAYOUT).is_file():
        home.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=BUILDING, dir=home))
        try:
            write_json(building / LAYOUT, _lay_down(files, parts, building))
            _put(building, place)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        for old in home.iterdir():  # a folder that has changed leaves nothing behind
            if old != place and not old.name.startswith(BUILDING):
                shutil.rmtree(old, ignore_errors=True)
    return place, read_json(place / LAYOUT)


def _lay_down(files: Any, parts: dict[str, list[str]], place: Path) -> dict[str, Any]:
    layout: dict[str, Any] = {}
    for table in ("questions", "passages"):
        layout[table] = _lay_vectors(files, parts[table], place / table)
    ids = ArrowIds.mapped(place / "questions"), ArrowIds.mapped(place / "passages")
    for table, figure in (("pairs", "grade"), ("opinions", "score")):
        if table in parts:
            layout[table] = _lay_pairs(files, parts[table], place / table, ids, figure)
    return layout


def _lay_vectors(files: Any, parts: list[str], place: Path) -> list[int]:
    """Ids and vectors of a table's parts, one after the other; how many there are, and of how many dimensions."""
    rows, dimensions = 0, None
    with place.with_suffix(".vectors").open("wb") as out, closing(IdsFile(place)) as names:
        for part in parts:
            for batch in batches(files, part, ("id", "vector")):
                ids, vectors = strings_in(batch.column("id"), f"{part}, id"), floats_in(batch.column("vector"), part)
                if not len(ids):
                    continue
                dimensions = vectors.shape[1] if dimensions is None else dimensions
                if vectors.shape[1] != dimensions or not dimensions:
                    raise ValueError(f"{part}: expected vectors of {dimensions or 'some'} dimensions, as in the rows "
                                     f"before; got {vectors.shape[1]}")  # fmt: skip
                finite = np.isfinite(vectors).all(axis=1)
                if not finite.all():
                    wrong = ids[int(np.argmin(finite))].as_py()
                    raise ValueError(f"{part}: the vector of {wrong!r} holds values that are not finite")
                names.write(ids)
                out.write(np.ascontiguousarray(vectors).data)
                rows += len(ids)
    if dimensions is None:
        raise ValueError(f"there is no row in {Path(parts[0]).parent}")
    twice = ArrowIds.mapped(place).first_twice()
    if twice is not None:
        raise ValueError(f"{Path(parts[0]).parent}: the id {twice!r} stands there twice; ids must be unique")
    return [rows, dimensions]


def _lay_pairs(files: Any, parts: list[str], place: Path, ids: tuple[ArrowIds, ArrowIds], figure: str) -> int:
    """Pairs by rows, question by question and in the order they came; how many there are, each once."""
    names = place.with_name(f"{place.name}-questions"), place.with_name(f"{place.name}-passages")
    with ExitStack() as stack:
        columns = [stack.enter_context(closing(IdsFile(name))) for name in names]
        figures = stack.enter_context(place.with_suffix(".unsorted").open("wb"))
        for part in parts:
            for batch in batches(files, part, ("question", "passage"), (figure,)):
                for column, out in zip(("question", "passage"), columns, strict=True):
                    out.write(strings_in(batch.column(column), f"{part}, {column}"))
                figures.write(_figures(batch, figure, part).tobytes())
    questions, passages = (
        _rows(of, ArrowIds.mapped(name), kind, place)
        for of, name, kind in zip(ids, names, ("questions", "passages"), strict=True)
    )
    # A pair that stands there twice counts once, with its first grade.
    _, first = np.unique(questions * len(ids[1]) + passages, return_index=True)
    first.sort()
    order = first[np.argsort(questions[first], kind="stable")]
    counts = np.bincount(questions[order], minlength=len(ids[0]))
    if figure == "grade" and not counts.all():
        without = ids[0][int(np.argmin(counts))]
        raise ValueError(
            f"{int((counts == 0).sum())} of {len(ids[0])} questions have no passage in {place.name}, {without!r} for "
            "one; leave them out"
        )
    np.concatenate([[0], np.cumsum(counts)]).astype(np.int64).tofile(place.with_suffix(".offsets"))
    passages[order].astype(np.intp).tofile(place.with_suffix(".rows"))
    np.fromfile(place.with_suffix(".unsorted"), dtype=np.float64)[order].tofile(place.with_suffix(".figures"))
    for name in (*names, place):
        for file in place.parent.glob(f"{name.name}.*"):
            if file.suffix in (".ends", ".text", ".unsorted"):
                file.unlink()
    return len(order)


def _figures(batch: Any, figure: str, part: str) -> NDArray[np.float64]:
    """Grades, which must be above 0, or scores, which must be finite; 1 where there is no such column."""
    if figure not in batch.schema.names:
        return np.ones(len(batch))
    found: NDArray[np.float64] = (
        batch.column(figure).cast(require_extra("pyarrow", "arrow").float64()).to_numpy(zero_copy_only=False)
    )
    wrong = ~np.isfinite(found) | ((found <= 0) & (figure == "grade"))
    if wrong.any():
        raise ValueError(f"{part}: expected each {figure} to be a number{' above 0' * (figure == 'grade')}, got "
                         f"{found[wrong][0]}")  # fmt: skip
    return found


def _rows(ids: ArrowIds, named: ArrowIds, kind: str, place: Path) -> NDArray[np.int64]:
    rows = ids.rows_of(named.array)
    if len(rows) and rows.min() < 0:
        stranger = named[int(np.argmin(rows))]
        raise ValueError(
            f"{place.name} are about {int((rows < 0).sum())} {kind} that are not in {kind}/: {stranger!r} for one"
        )
    return rows


def _put(building: Path, place: Path) -> None:
    """Move what was made to where it is looked for; another process may have been quicker, with the same."""
    try:
        building.rename(place)
    except OSError:
        if not (place / LAYOUT).is_file():
            raise


def _cache_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(cache) if cache else Path.home() / ".cache") / "langchain-embedding-adapter" / "vectors"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:20]
