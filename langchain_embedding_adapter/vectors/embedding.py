"""Texts to vectors, each distinct one once.

Between the texts and the fitting: every distinct text goes to the embedding model exactly once, questions through
``embed_query`` and passages through ``embed_documents`` (models with different prefixes or input types for the two
would give other vectors the other way round), and is kept, in memory or in a file, for whoever asks again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.rate_limiters import BaseRateLimiter
from numpy.typing import NDArray

from langchain_embedding_adapter._progress import progress_bar
from langchain_embedding_adapter.engines import Engine, as_ray
from langchain_embedding_adapter.models import vectors_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.vector_cache import VectorCache, cache_of
from langchain_embedding_adapter.vectors.pair_vectors import Floats, PairVectors
from langchain_embedding_adapter.vectors.patience import QUERY_CONCURRENCY
from langchain_embedding_adapter.vectors.to_folder import NAMED, embed_into

logger = logging.getLogger(__name__)

DOCUMENT_BATCH = 256
NO_TEXTS = "the dataset holds no texts of its passages; name the vector store that does: store=…"


def embed_dataset(
    embeddings: Embeddings,
    dataset: QADataset | str | Path,
    *,
    document_embeddings: Embeddings | None = None,
    cache: VectorCache | None = None,
    engine: Engine = "local",
    path: str | Path | None = None,
    rate_limiter: BaseRateLimiter | None = None,
    show_progress: bool | None = None,
) -> PairVectors:
    """Embed a dataset's questions and passages, each distinct text once.

    With a ``path`` the vectors go there, a batch at a time: a rerun goes on from what is there, on any engine.

    Args:
        embeddings: The base embeddings. A client of a service (one with its own ``aembed_query``) gets several
            questions at a time, a local model one after the other.
        dataset: What to embed. With a ``path`` also the folder of one that is too large to hold: ``questions/`` and
            ``passages/`` with the columns ``id`` and ``text``, Parquet or JSONL, and ``pairs/`` with ``question``,
            ``passage`` and, if not 1, ``grade``, Parquet.
        document_embeddings: What passages are embedded by, where the index was built with another model.
        cache: Where vectors are looked up first and kept as they come; a passing one if not given.
        engine: Who does the work: ``"local"``, ``"ray"``, or a ``RayEngine`` with settings of its own. On Ray the
            embeddings travel to the workers, each of which opens a client of its own.
        path: A folder for the vectors, which are then mapped (:func:`open_pair_vectors`) and not held in memory; any
            that ``fsspec`` knows, and on Ray one that every worker can write to.
        rate_limiter: One of LangChain's, asked before each call of a model; on Ray each worker gets its share of an
            ``InMemoryRateLimiter``. It goes with a ``path``.
        show_progress: Progress bars; by default where standard error is a terminal.

    Raises:
        ValueError: If the dataset has no texts of its passages, or the model returns a wrong number of vectors, vectors
            of different lengths or values that are not finite; if ``path`` holds vectors of another model.
        RuntimeError: With a ``path``, if texts could not be embedded: they are in ``failed/`` there with the reasons,
            and what could be embedded is kept.
    """
    if path is not None:
        if cache is not None:
            raise ValueError("`cache` is for vectors in memory; a folder at `path` keeps its own")
        if isinstance(dataset, QADataset) and not dataset.corpus:
            raise ValueError(NO_TEXTS)
        options: dict[str, Any] = {"engine": engine, "rate_limiter": rate_limiter, "show_progress": show_progress}
        return embed_into(path, embeddings, dataset, document_embeddings=document_embeddings, **options)
    if not isinstance(dataset, QADataset) or as_ray(engine) is not None or rate_limiter is not None:
        raise ValueError("Ray, folders of texts and a rate limiter need a folder for the vectors: path=…")
    if not dataset.corpus:
        raise ValueError(NO_TEXTS)
    cache = cache or VectorCache()
    queries = embed_queries(embeddings, list(dataset.queries.values()), cache=cache, show_progress=show_progress)
    documents = embeddings if document_embeddings is None else document_embeddings
    by: dict[str, Any] = {"cache": cache_of(documents, cache, embeddings), "show_progress": show_progress}
    passages = embed_passages(documents, list(dataset.corpus.values()), **by)
    return PairVectors.from_arrays(dataset, queries, passages)


def embed_queries(
    embeddings: Embeddings,
    texts: Sequence[str],
    *,
    cache: VectorCache | None = None,
    show_progress: bool | None = None,
) -> Floats:
    """``embed_query`` of every text, each distinct one once: ``(texts, dimensions)``; see :func:`embed_dataset`."""
    return _embed(
        list(texts),
        "query",
        lambda part: embed_each_query(embeddings, part),
        QUERY_CONCURRENCY * 4,
        vectors_name(embeddings),
        cache or VectorCache(),
        show_progress,
    )


def embed_passages(
    embeddings: Embeddings,
    texts: Sequence[str],
    *,
    cache: VectorCache | None = None,
    show_progress: bool | None = None,
) -> Floats:
    """``embed_documents`` of every text, each distinct one once: ``(texts, dimensions)``; see :func:`embed_dataset`."""
    return _embed(
        list(texts),
        "document",
        embeddings.embed_documents,
        DOCUMENT_BATCH,
        vectors_name(embeddings),
        cache or VectorCache(),
        show_progress,
    )


def remember_documents(
    cache: VectorCache, embeddings: Embeddings, texts: Sequence[str], vectors: NDArray[np.floating[Any]]
) -> None:
    """Keep vectors of documents that are known already, as if ``embeddings`` had just been asked for them."""
    name = vectors_name(embeddings)
    cache.store({_key(name, "document", text): vector for text, vector in zip(texts, vectors, strict=True)})


def embed_each_query(embeddings: Embeddings, texts: Sequence[str]) -> list[list[float]]:
    """``embed_query`` for each text, in order; several at a time where the embeddings are a client of a service."""
    if len(texts) > 1 and type(embeddings).aembed_query is not Embeddings.aembed_query:
        with ThreadPoolExecutor(max_workers=min(QUERY_CONCURRENCY, len(texts))) as pool:
            return list(pool.map(embeddings.embed_query, texts))
    return [embeddings.embed_query(text) for text in texts]


def _embed(
    texts: list[str],
    role: str,
    embed: Callable[[list[str]], list[list[float]]],
    batch: int,
    model: str,
    cache: VectorCache,
    show_progress: bool | None,
) -> Floats:
    """Vectors of ``texts``, ``(texts, dimensions)``, from the cache where it has them."""
    keys = [_key(model, role, text) for text in texts]
    known = cache.lookup(set(keys))
    missing = [(key, text) for key, text in dict(zip(keys, texts, strict=True)).items() if key not in known]
    with progress_bar(len(missing), f"embed {NAMED[role]}", "text", show_progress) as bar:
        for start in range(0, len(missing), batch):
            part = missing[start : start + batch]
            vectors = np.asarray(_checked(embed([text for _, text in part]), len(part), model), dtype=np.float32)
            if not np.isfinite(vectors).all():
                row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
                raise ValueError(f"{model} gave a vector with values that are not finite for {part[row][1][:80]!r}")
            fresh = {key: vector for (key, _), vector in zip(part, vectors, strict=True)}
            cache.store(fresh)
            known.update(fresh)
            bar.update(len(part))
    lengths = {len(vector) for vector in known.values()}
    if len(lengths) > 1:
        raise ValueError(f"{model} gave vectors of different lengths: {sorted(lengths)}; is the cache another model's?")
    return np.stack([known[key] for key in keys]) if keys else np.zeros((0, 0), dtype=np.float32)


def _key(model: str, role: str, text: str) -> bytes:
    return hashlib.sha256("\0".join((model, role, text)).encode("utf-8", "surrogatepass")).digest()


def _checked(vectors: list[list[float]], expected: int, model: str) -> list[list[float]]:
    if len(vectors) != expected:
        raise ValueError(f"{model} gave {len(vectors)} vectors for {expected} texts")
    if len({len(vector) for vector in vectors}) > 1:
        raise ValueError(f"{model} gave vectors of different lengths: {sorted({len(vector) for vector in vectors})}")
    return vectors
