"""Which texts of a table stand in which shard, and where each was seen first: read twice, and never held whole."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.vectors.shard_work import TableFolder
from langchain_embedding_adapter.vectors.shards import part_name
from langchain_embedding_adapter.vectors.texts import TextSource

DIGEST = 16
"""Bytes that tell a text from all others."""


@dataclass(frozen=True)
class Plan:
    """The shards of a table.

    Attributes:
        size: Rows of a shard; the last may have fewer.
        shards: A digest of each shard's ids and texts.
        first: ``(rows,)``, the first row that has the same text.
    """

    size: int
    shards: tuple[str, ...]
    first: NDArray[np.int64]

    @property
    def names(self) -> list[str]:
        """The shards, by name."""
        return [part_name(number) for number in range(len(self.shards))]

    @property
    def own(self) -> NDArray[np.bool_]:
        """``(rows,)``, whether the text stands there for the first time."""
        return np.asarray(self.first == np.arange(len(self.first)))

    @property
    def leaning(self) -> list[str]:
        """The shards that have a text of another."""
        far = self.first // self.size != np.arange(len(self.first)) // self.size
        return [part_name(number) for number in np.unique(np.flatnonzero(far) // self.size).tolist()]

    def lay_down(self, source: TextSource, folder: TableFolder, wanted: Collection[str]) -> int:
        """Write what each of the wanted shards has to embed; how many texts that is."""
        wanted, texts = set(wanted), 0
        for number, rows in enumerate(self._in_shards(source)):
            if part_name(number) in wanted:
                texts += sum("text" in row for row in rows)
                folder.texts.write(part_name(number), rows)
        return texts

    def _in_shards(self, source: TextSource) -> Iterator[list[dict[str, Any]]]:
        rows: list[dict[str, Any]] = []
        at = 0
        for ids, texts in source():
            for key, text in zip(ids, texts, strict=True):
                first = int(self.first[at])
                there = {"shard": part_name(first // self.size), "row": first % self.size}
                rows.append({"id": key, **({"text": text} if first == at else there)})
                at += 1
                if len(rows) == self.size:
                    yield rows
                    rows = []
        if rows:
            yield rows


def plan_of(source: TextSource, size: int) -> Plan:
    """Read a table's texts and say which stand in which shard.

    Raises:
        ValueError: If there is none, or one is blank.
    """
    digests = bytearray()
    shards: list[str] = []
    ahead, rows = hashlib.sha256(), 0
    for ids, texts in source():
        for key, text in zip(ids, texts, strict=True):
            if not text.strip():
                raise ValueError(f"the text of {key!r} is blank; leave it out")
            digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()
            digests += digest
            ahead.update(f"{len(key)} {key}".encode("utf-8", "surrogatepass") + digest)
            rows += 1
            if rows % size == 0:
                shards.append(ahead.hexdigest()[:16])
                ahead = hashlib.sha256()
    if rows % size:
        shards.append(ahead.hexdigest()[:16])
    if not rows:
        raise ValueError("there is no text to embed")
    return Plan(size, tuple(shards), _first_of(np.frombuffer(digests, dtype=np.uint64).reshape(rows, -1)))


def _first_of(digests: NDArray[np.uint64]) -> NDArray[np.int64]:
    """``(rows,)``: for each of the digests, ``(rows, 2)``, the first row that has the same one."""
    order = np.lexsort(digests.T)  # stable: of equal ones the first row comes first
    ordered = digests[order]
    new = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[new][np.cumsum(new) - 1]
    return first
