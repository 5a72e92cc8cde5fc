"""What a worker does with a shard of texts: embeds those that no shard before has, keeps each batch, writes the part.

A table of texts becomes a table of vectors, a shard at a time. The driver lays the shards' texts down first; a text
that stood before, in the same shard or another, is told as where it stood, and its vector is taken from there.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.rate_limiters import BaseRateLimiter
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.cluster.shards import ShardFolder
from langchain_embedding_adapter.vectors.pair_vectors import Floats
from langchain_embedding_adapter.vectors.parts import vectors_at, write_vectors
from langchain_embedding_adapter.vectors.patience import PatientModel
from langchain_embedding_adapter.vectors.shards import file_system

BATCH = {"query": 32, "document": 256}
"""Texts that are kept together, by role: what is asked for again where a worker dies in the middle."""

TEXTS, HALF, FAILED = "texts", "half", "failed"


class TableFolder:
    """A table's folder and what stands in it while it is made; it can be pickled.

    Args:
        path: The folder.

    Attributes:
        parts: The parts, and the journals of those that are not whole.
        texts: What each shard has to embed.
        half: Vectors of shards some of whose texts stand in other shards.
        failed: Texts that the model will not take, by shard, with the reason.
    """

    def __init__(self, path: str | Path) -> None:
        here = "://" not in str(path)
        self.parts = ShardFolder(Path(path).absolute() if here else path, ".parquet")  # a worker works elsewhere
        self.texts = self.parts.within(TEXTS, ".jsonl")
        self.half = self.parts.within(HALF, ".npy")
        self.failed = self.parts.within(FAILED, ".jsonl")

    def write_part(self, shard: str, rows: list[dict[str, Any]], vectors: Floats) -> None:
        """A shard's part, whole."""
        arrow = require_extra("pyarrow", "arrow")
        out = arrow.BufferOutputStream()
        write_vectors(out, arrow.array([row["id"] for row in rows], arrow.large_string()), vectors)
        self.parts.put(f"{shard}.parquet", out.getvalue().to_pybytes())

    def vectors_of(self, shard: str, rows: NDArray[np.integer[Any]]) -> Floats:
        """The vectors in these rows of a shard, whole or half."""
        if self.parts.done(shard):
            files, root = file_system(self.parts.path)
            return vectors_at(files, f"{root}/{shard}.parquet", rows)
        found: Floats = np.load(io.BytesIO(self.half.get(f"{shard}.npy")))[rows]
        return found


@dataclass
class EmbedShard:
    """Embeds a shard.

    Attributes:
        folder: Of the table.
        model: The embeddings.
        role: ``"query"`` or ``"document"``.
        limiter: Asked before each call.
    """

    folder: TableFolder
    model: Embeddings
    role: str
    limiter: BaseRateLimiter | None = None

    def __call__(self, shard: str) -> dict[str, Any]:
        """Go on with a shard from what is kept of it; say how it went."""
        told: dict[str, Any] = {"asked": 0, "calls": 0, "failed": 0, "reason": None, "stopped": None}
        if self.folder.parts.done(shard) or self.folder.half.done(shard):
            return told
        rows = self.folder.texts.read(shard)
        known = _from_journal(self.folder, shard)
        missing = [place for place, row in enumerate(rows) if "text" in row and place not in known]
        model = PatientModel(self.model, self.role, self.limiter)
        failed = []
        for at in range(0, len(missing), BATCH[self.role]):
            places = missing[at : at + BATCH[self.role]]
            found = dict(zip(places, model.embed([rows[place]["text"] for place in places]), strict=True))
            fresh = {place: vector for place, vector in found.items() if isinstance(vector, np.ndarray)}
            failed += [rows[place] | {"reason": why} for place, why in found.items() if isinstance(why, str)]
            told["asked"] += len(fresh)
            known |= fresh
            last = at + len(places) == len(missing)
            if fresh and not (last and not failed and model.stopped is None):  # what is whole is a part, at once
                self.folder.parts.journal(shard).put(f"{min(fresh):09d}.npz", _to_bytes(fresh))
            if model.stopped is not None:
                break
        told |= {"calls": model.calls, "stopped": model.stopped, "failed": len(failed)}
        if failed:
            self.folder.failed.write(shard, failed)
            told["reason"] = failed[0]["reason"]
        elif model.stopped is None:
            self._finish(shard, rows, known)
        return told

    def _finish(self, shard: str, rows: list[dict[str, Any]], known: Mapping[int, Floats]) -> None:
        lengths = {len(vector) for vector in known.values()}
        if len(lengths) > 1:
            raise ValueError(f"the model gave vectors of different lengths: {sorted(lengths)}")
        vectors = np.zeros((len(rows), *lengths) if lengths else (len(rows), 0), dtype=np.float32)
        for place, vector in known.items():
            vectors[place] = vector
        for place, row in enumerate(rows):
            if row.get("shard") == shard:
                vectors[place] = vectors[row["row"]]
        if any(row.get("shard", shard) != shard for row in rows):
            out = io.BytesIO()
            np.save(out, vectors)
            self.folder.half.put(f"{shard}.npy", out.getvalue())
        else:
            self.folder.write_part(shard, rows, vectors)
        self.folder.parts.journal(shard).clear()
        self.folder.failed.remove(shard)


@dataclass
class JoinShard:
    """Makes a half shard whole, once every shard is embedded: with the vectors of texts that stand in others.

    Attributes:
        folder: Of the table.
    """

    folder: TableFolder

    def __call__(self, shard: str) -> dict[str, Any]:
        """Write the shard's part."""
        if not self.folder.parts.done(shard):
            rows = self.folder.texts.read(shard)
            vectors: Floats = np.load(io.BytesIO(self.folder.half.get(f"{shard}.npy")))
            elsewhere: dict[str, list[int]] = {}
            for place, row in enumerate(rows):
                if row.get("shard", shard) != shard:
                    elsewhere.setdefault(row["shard"], []).append(place)
            for other, places in elsewhere.items():
                found = self.folder.vectors_of(other, np.array([rows[place]["row"] for place in places]))
                if not vectors.shape[1]:  # no text of this shard is its own
                    vectors = np.zeros((len(rows), found.shape[1]), dtype=np.float32)
                vectors[places] = found
            self.folder.write_part(shard, rows, vectors)
        return {}


def _from_journal(folder: TableFolder, shard: str) -> dict[int, Floats]:
    known: dict[int, Floats] = {}
    for part in folder.parts.journal(shard).parts().values():
        with np.load(io.BytesIO(part)) as kept:
            known |= dict(zip(kept["places"].tolist(), kept["vectors"], strict=True))
    return known


def _to_bytes(vectors: Mapping[int, Floats]) -> bytes:
    out = io.BytesIO()
    np.savez(out, places=np.fromiter(vectors, dtype=np.int64), vectors=np.stack(list(vectors.values())))
    return out.getvalue()
