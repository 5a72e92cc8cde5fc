"""Which part each chunk is for, laid down before a question is written: training, validation or test.

Whole documents go to a part, with those that nearly repeat them. What was laid down once stays, so that a collection
can grow and be asked about again without a test document ever teaching.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from langchain_core.documents import Document

from langchain_embedding_adapter.chunks import document_of
from langchain_embedding_adapter.pairs.duplicates import near_duplicates
from langchain_embedding_adapter.pairs.groups import Groups


def lay_down_parts(
    chunks: Sequence[Document],
    test_size: float,
    validation_size: float,
    *,
    seed: int = 0,
    known: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Give each chunk its part.

    Args:
        chunks: Chunks with ids.
        test_size: Share of the chunks for the test, met as nearly as whole documents allow.
        validation_size: Share for a validation part; 0 for none.
        seed: Which documents fall where.
        known: Parts that were laid down before, by chunk.

    Returns:
        ``"train"``, ``"validation"`` or ``"test"``, by chunk.

    Raises:
        ValueError: If the shares leave nothing to train on, or there are fewer separate documents than parts.
    """
    if min(test_size, validation_size) < 0 or not 0 < test_size + validation_size < 1:
        raise ValueError(
            f"expected shares of 0 or more that together are between 0 and 1, got test_size={test_size} and "
            f"validation_size={validation_size}"
        )
    shares = {"train": 1 - test_size - validation_size, "validation": validation_size, "test": test_size}
    shares = {part: share for part, share in shares.items() if share > 0}
    groups = _groups(chunks)
    parts: dict[str, str] = {}
    for members in groups:
        before = next((known[chunk] for chunk in members if chunk in known), None)
        if before is not None:
            parts |= dict.fromkeys(members, before)
    new = [members for members in groups if members[0] not in parts]
    missing = [part for part in shares if part not in parts.values()]
    if len(new) < len(missing):
        raise ValueError(
            f"cannot lay down {len(shares)} parts over {len(groups)} documents that do not repeat one another; "
            "generate without parts, and split the dataset with `.split(by='passage')`"
        )
    counts = Counter(parts.values())
    for number, members in enumerate(sorted(new, key=lambda members: _draw(seed, min(members)))):
        wanting = missing if len(new) - number == len(missing) else list(shares)
        part = max(wanting, key=lambda part: shares[part] * len(chunks) - counts[part])
        missing = [other for other in missing if other != part]
        counts[part] += len(members)
        parts |= dict.fromkeys(members, part)
    return parts


def _groups(chunks: Sequence[Document]) -> list[list[str]]:
    """Chunks, by id, that stay together: of one document, or of documents with nearly the same text."""
    groups = Groups()
    ids = [str(chunk.id) for chunk in chunks]
    for key, chunk in zip(ids, chunks, strict=True):
        document = document_of(chunk)
        if document is not None:
            groups.join(f"chunk {key}", f"document {document}")
    for one, other in near_duplicates([chunk.page_content for chunk in chunks]):
        groups.join(f"chunk {ids[one]}", f"chunk {ids[other]}")
    found: dict[str, list[str]] = {}
    for key in ids:
        found.setdefault(groups.of(f"chunk {key}"), []).append(key)
    return list(found.values())


def _draw(seed: int, name: str) -> str:
    """A place in the order that depends on nothing but the seed and the name."""
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
