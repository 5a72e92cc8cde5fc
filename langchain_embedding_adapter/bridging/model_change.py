"""Another model for the questions than the one that built the index: a new one or a cheaper one, the index as it was.

``bridge_models`` learns the map from the new model's query space into the index's; ``BridgeResult`` is what a retriever
takes, and what says how much of the old model's quality is kept.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.bridging.report import BridgeEvaluation, BridgeReport
from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.evaluation.evaluate import evaluate_retrieval
from langchain_embedding_adapter.evaluation.stored_pairs import as_stored
from langchain_embedding_adapter.generation.pseudo import STYLES, generate_pseudo_questions
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.stores import StoredVectors
from langchain_embedding_adapter.vector_cache import VectorCache, cache_of
from langchain_embedding_adapter.vectors import Floats, embed_passages, embed_queries

logger = logging.getLogger(__name__)

MOST_TEXTS = 10_000
QUESTIONS = 4_000


@dataclass(frozen=True)
class BridgeResult:
    """A bridge from one model's questions to another's index, and how it was found to do.

    Attributes:
        embeddings: What a retriever takes: questions by the new model through the adapter, documents by the old one.
        report: What was tried, on pseudo-questions that were left out.
    """

    embeddings: AdaptedEmbeddings
    report: BridgeReport
    _cache: VectorCache = field(repr=False)

    @property
    def adapter(self) -> BaseAdapter:
        """The adapter: ``AdapterTrainer(new, document_embeddings=old).train(dataset, adapter=…)`` refines it."""
        return self.embeddings.adapter

    def evaluate(self, dataset: QADataset, **options: Any) -> BridgeEvaluation:
        """The old model's own queries against the bridged new model's, on real questions.

        Args:
            dataset: The questions.
            **options: As in :func:`evaluate_retrieval`: ``ks``, ``store``, ``stored``, ``search_kwargs``.

        Raises:
            ValueError: If the old model is not at hand: there is nothing to compare with.
        """
        return BridgeEvaluation(evaluate_retrieval(self.embeddings, dataset, cache=self._cache, **options))

    def save(self, folder: str | Path) -> None:
        """Write the adapter, as ``embeddings.save_pretrained`` does, with the report as ``bridge.json``."""
        self.embeddings.save_pretrained(folder, extra={"bridge.json": self.report.to_dict()})

    def __str__(self) -> str:
        return str(self.report)


def bridge_models(
    new: Embeddings,
    old: Embeddings | None = None,
    *,
    store: VectorStore | StoredVectors | None = None,
    texts: Iterable[str] | None = None,
    dataset: QADataset | None = None,
    most_texts: int = MOST_TEXTS,
    questions: int = QUESTIONS,
    memory: bool = True,
    cache: str | Path | VectorCache | None = None,
    seed: int = 0,
    show_progress: bool | None = None,
) -> BridgeResult:
    """Query an index with another model than the one that built it. The index is left as it is.

    Texts of the index teach: the new model embeds them and pseudo-questions cut from them
    (:func:`generate_pseudo_questions`), the index has the old model's vectors. Each distinct text is embedded once by
    each model, and none whose vector is stored. No label, no LLM and, with a ``store``, no old model is needed: it may
    be gone. What was trained is a linear map and, where that did better, a memory of the texts beside it: the new
    model's own vectors of ``most_texts`` passages, a product with each of which a query costs.

    Args:
        new: What questions are embedded by from now on.
        old: What built the index: to embed texts that no ``store`` holds, to compare with, to add documents later.
        store: The index, or what was read back from it (:func:`read_store`).
        texts: What teaches; by default what the ``store`` holds, or else the passages of the ``dataset``. Without a
            ``store`` they are taken for the whole index.
        dataset: A collection whose passages teach; its questions do not (they refine the bridge in
            :class:`AdapterTrainer`, and examine it in :meth:`BridgeResult.evaluate`).
        most_texts: So many of them at most, drawn at random.
        questions: So many pseudo-questions at most.
        memory: Whether to try a memory.
        cache: A file in which vectors are kept between runs, or a cache that is open.
        seed: Of what is drawn.
        show_progress: Progress bars; by default where standard error is a terminal.

    Raises:
        ValueError: If there is no text, too few of them, or one whose old vector cannot be had.
        ImportError: If torch is not installed (the extra ``train``).

    Example:
        .. code-block:: python

            bridge = bridge_models(new, old, store=index)
            print(bridge)  # what was tried, and what was taken
            retriever = adapt_store(index, bridge.embeddings).as_retriever()
    """
    require_extra("torch", "train")
    from langchain_embedding_adapter.bridging.fit import BridgeVectors, Examination, fit_bridge

    for given in (new, old or new):
        if not isinstance(given, Embeddings):
            raise TypeError(f"expected LangChain Embeddings, got {type(given).__name__}")
    cache = cache if isinstance(cache, VectorCache) else VectorCache(cache)
    options: dict[str, Any] = {"show_progress": show_progress}
    own = options | {"cache": cache}
    theirs = options | {"cache": cache if old is None else cache_of(old, cache, new)}
    stored = None if store is None else as_stored(store)
    taught, coverage = _texts(stored, texts, dataset, most_texts, seed)
    old_vectors = _old_vectors(taught, stored, old, theirs)
    new_vectors = embed_passages(new, taught, **own)
    asked, about = _cut(taught, questions, seed)
    vectors = BridgeVectors(new_vectors, old_vectors, embed_queries(new, asked, **own), about)
    examination = Examination.draw(vectors, seed)
    native = None
    if old is not None:
        examining = np.concatenate([examination.covered, examination.uncovered])
        native = embed_queries(old, [asked[row] for row in examining], **theirs)
    adapter, report = fit_bridge(
        vectors, coverage=coverage, memory=memory, examination=examination, native_queries=native
    )
    provenance: dict[str, Any] = {
        "bridge": {
            "from": model_name(new),
            "to": None if old is None else model_name(old),
            "chosen": report.chosen,
            "texts": report.texts,
            "share_kept_of_pseudo_questions": report.share_kept,
        }
    }
    adapted = AdaptedEmbeddings(
        new,
        adapter,
        document_embeddings=old,
        document_model="a model that is not at hand" if old is None else None,
        provenance=provenance,
    )
    return BridgeResult(adapted, report, cache)


def _texts(
    stored: StoredVectors | None, texts: Iterable[str] | None, dataset: QADataset | None, most: int, seed: int
) -> tuple[list[str], float]:
    """The distinct texts that teach, and the part of the index that they are."""
    if isinstance(texts, str):
        raise TypeError("expected texts as a list of texts, got one text")
    if texts is None and stored is None and dataset is None:
        raise ValueError("expected texts to learn from: store=…, texts=… or dataset=…")
    if texts is None and stored is not None and not stored.texts:
        raise ValueError("the store was read without texts, and the new model has to embed them; read it with texts")
    if most < 1:
        raise ValueError(f"most_texts must be at least 1, got {most}")
    if texts is not None:
        known = list(texts)
    elif stored is not None:
        known = list(stored.texts)
    else:
        known = list(dataset.corpus.values()) if dataset is not None else []
    known = [text for text in dict.fromkeys(known) if text.strip()]
    if not known:
        raise ValueError("there is no text to learn from: all are blank, or there is none")
    total = max(len(known), 0 if stored is None else stored.total)
    if len(known) > most:
        known = random.Random(seed).sample(known, most)  # noqa: S311 a choice, no secret
    return known, len(known) / total


def _old_vectors(
    texts: Sequence[str], stored: StoredVectors | None, old: Embeddings | None, options: dict[str, Any]
) -> Floats:
    """``(texts, out)``: what the index has of each, or else what the old model gives."""
    wanted = set(texts)
    rows = () if stored is None else zip(stored.texts, stored.vectors, strict=True)
    known = {text: vector for text, vector in rows if text in wanted}
    missing = [text for text in texts if text not in known]
    if missing and old is None:
        raise ValueError(
            f"{len(missing)} of {len(texts)} texts have no stored vector ({missing[0][:40]!r} …), and without the old "
            "model there is none to be had: name the store that holds them, store=…, or give the model"
        )
    if missing and old is not None:
        known |= dict(zip(missing, embed_passages(old, missing, **options), strict=True))
    widths = sorted({len(vector) for vector in known.values()})
    if len(widths) > 1:
        raise ValueError(f"the store and the old model give vectors of {widths} dimensions: did it build the index?")
    if stored is not None and not stored.normalised and stored.metric != "cosine":
        logger.warning("the store compares vectors of different lengths; the bridge is learned from their directions")
    return np.stack([known[text] for text in texts]).astype(np.float32, copy=False)


def _cut(texts: Sequence[str], most: int, seed: int) -> tuple[list[str], NDArray[np.intp]]:
    """Pseudo-questions, and the text that each was cut from."""
    per_style = max(1, -(-most // (len(texts) * len(STYLES))))
    documents = [Document(text, id=str(row)) for row, text in enumerate(texts)]
    cut = generate_pseudo_questions(documents, per_style=per_style, most_passages=None, seed=seed)
    pairs = {text: int(cut.relevant_docs[query][0]) for query, text in cut.queries.items()}
    asked = list(pairs)
    if len(asked) > most:
        asked = random.Random(seed).sample(asked, most)  # noqa: S311 a choice, no secret
    return asked, np.array([pairs[text] for text in asked], dtype=np.intp)
