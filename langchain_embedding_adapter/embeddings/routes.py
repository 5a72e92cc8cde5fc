"""What serves under one name: an adapter, perhaps another for a share of the questions, perhaps a shadow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.embeddings.shadow import Shadow


@dataclass(frozen=True)
class Route:
    """What serves under one name; to change it is to put another in its place.

    Attributes:
        adapted: What serves; ``None`` for the base itself.
        candidate: What is being rolled out.
        share: The share of questions that the candidate answers, from 0 to 1.
        shadow: What tells how another adapter would have answered.
    """

    adapted: AdaptedEmbeddings | None
    candidate: AdaptedEmbeddings | None = None
    share: float = 0.0
    shadow: Shadow | None = None

    def serving(self, text: str) -> AdaptedEmbeddings | None:
        """What answers this question: always the same for the same question and share."""
        if self.candidate is not None and place_of(text) < self.share:
            return self.candidate
        return self.adapted


def place_of(text: str) -> float:
    """Where a question stands between 0 and 1: anywhere, and always at the same place.

    >>> place_of("How long is a year on Mars?") == place_of("How long is a year on Mars?")
    True
    """
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
