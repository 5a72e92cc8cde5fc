"""The embedded default: WordLlama's 256-dimensional static embeddings, whose weights come inside its wheel.

No key, no network, no torch, hundreds of passages a second on one core. It is what the demo, the tests and the
notebooks embed with; anything else that implements LangChain's ``Embeddings`` takes its place.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter._extras import require_extra


class WordLlamaEmbeddings(Embeddings):
    """LangChain embeddings of WordLlama's default model: 256 dimensions, unit length.

    Raises:
        ImportError: If ``wordllama`` is not installed (the extra ``local``).

    Example:
        >>> vector = WordLlamaEmbeddings().embed_query("How long is a year on Mars?")
        >>> len(vector)
        256
    """

    model = "wordllama-256"

    def __init__(self) -> None:
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        package = require_extra("wordllama", "local")
        root.handlers[:], root.level = handlers, level  # importing it calls logging.basicConfig for the whole program
        weights = Path(str(package.__file__)).parent
        self._model: Any = package.WordLlama.load(cache_dir=weights, disable_download=True)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed passages: one unit vector of 256 dimensions each (zeros for a text without a known token)."""
        if not texts:
            return []
        vectors = np.nan_to_num(np.asarray(self._model.embed(texts, norm=False), dtype=np.float32))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: list[list[float]] = (vectors / np.where(norms > 0, norms, 1)).tolist()
        return unit

    def embed_query(self, text: str) -> list[float]:
        """Embed a question: a unit vector of 256 dimensions."""
        return self.embed_documents([text])[0]
