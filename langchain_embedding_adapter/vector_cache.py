"""Where vectors are kept, so that no text is embedded twice: an SQLite database, in memory or in a file."""

from __future__ import annotations

import copy
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from langchain_embedding_adapter.models import vectors_name

Floats = NDArray[np.float32]


class VectorCache:
    """Vectors by model, role and text, in an SQLite database: in memory, or in a file that later runs read again.

    Args:
        path: The file; ``None`` keeps the vectors in memory.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._name = b""
        try:
            self._database = sqlite3.connect(":memory:" if path is None else str(path), check_same_thread=False)
            with self._database:
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"
                )
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} cannot be used as a vector cache: {error}; name a new file") from error

    def lookup(self, keys: Iterable[bytes]) -> dict[bytes, Floats]:
        """The vectors that are known, by key."""
        found: dict[bytes, Floats] = {}
        with closing(self._database.cursor()) as cursor:
            for key in keys:
                row = cursor.execute("SELECT vector FROM vectors WHERE key = ?", (self._name + key,)).fetchone()
                if row is not None:
                    found[key] = np.frombuffer(row[0], dtype="<f4")
        return found

    def store(self, vectors: dict[bytes, Floats]) -> None:
        """Keep these vectors; they are on disk when this returns."""
        rows = (
            (self._name + key, np.ascontiguousarray(vector, dtype="<f4").tobytes()) for key, vector in vectors.items()
        )
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def beside(self, name: str) -> VectorCache:
        """The same database with entries of their own for ``name``: another model that goes by the same name, say."""
        other = copy.copy(self)
        other._name = name.encode()
        return other

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def cache_of(other: Embeddings, cache: VectorCache, embeddings: Embeddings) -> VectorCache:
    """Where to keep vectors of a model used beside ``embeddings``: apart from its own where both go by one name."""
    if other is embeddings or vectors_name(other) != vectors_name(embeddings):
        return cache
    return cache.beside("the index's own model")
