"""``AdapterTrainer``: the whole journey in one class.

Documents to pairs through the LLM, pairs to vectors through the embeddings, vectors to an adapter through the solvers,
and the adapter against the base on questions held out, before anybody relies on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import Runnable

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.adapters import (
    ADAPTERS,
    BaseAdapter,
    LinearAdapter,
    LowRankAdapter,
    MemoryAdapter,
    TwoLayerAdapter,
)
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.embeddings import AdaptedEmbeddings
from langchain_embedding_adapter.evaluation import DEFAULT_KS, RetrievalReport, evaluate_retrieval
from langchain_embedding_adapter.generation import agenerate_qa_pairs, generate_qa_pairs
from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.pairs import QADataset
from langchain_embedding_adapter.selection import examine, figure, hold_out, improves
from langchain_embedding_adapter.tables import format_p_value
from langchain_embedding_adapter.vectors import PairVectors, VectorCache, embed_dataset

MEMORY_SIZE = 10_000
"""Most questions that ``adapter="memory"`` remembers."""


@dataclass(frozen=True)
class TrainingResult:
    """What training made, and how it was found to do.

    Printed, it is the verdict and the table of the held-out questions.

    Attributes:
        embeddings: The base with the adapter on top: what a retriever takes.
        report: Base against adapted on the questions held out from the fit. Where ``improved`` is false, "adapted" is
            the fitted adapter that was turned down.
        history: A row a step or an epoch; row 0 is the base.
        improved: Whether the adapter beat the base; where not, ``embeddings`` carries the identity.
        config: The settings.
    """

    embeddings: AdaptedEmbeddings
    report: RetrievalReport
    history: list[dict[str, float]]
    improved: bool
    config: TrainingConfig
    _cache: VectorCache = field(repr=False)

    @property
    def adapter(self) -> BaseAdapter:
        """The adapter."""
        return self.embeddings.adapter

    @property
    def verdict(self) -> str:
        """One sentence: by how much the adapter beat the base, or that the base is kept."""
        row = self.report[self.config.metric]
        p_value = format_p_value(row.p_value or 0.0)
        figures = f"{label(row.metric)} {row.base:.3f} → {row.adapted:.3f}"
        asked = f"{len(self.report.query_ids)} held-out questions"
        if self.improved:
            return f"The adapter beats the base on {asked}: {figures} (p {p_value})."
        return f"No gain on {asked} ({figures}): the base is kept."

    def evaluate(self, dataset: QADataset, *, ks: Sequence[int] = DEFAULT_KS) -> RetrievalReport:
        """Base against adapted on questions that training has not seen; no text is embedded a second time."""
        return evaluate_retrieval(self.embeddings, dataset, ks=ks, cache=self._cache)

    def save(self, folder: str | Path) -> None:
        """Write the adapter, as ``embeddings.save_pretrained`` does, with ``report.json`` and ``history.json``."""
        self.embeddings.save_pretrained(
            folder, extra={"report.json": self.report.to_dict(), "history.json": self.history}
        )

    def __str__(self) -> str:
        return f"{self.verdict}\n\n{self.report}"


class AdapterTrainer:
    """Trains an adapter for the query vectors of any LangChain embeddings.

    Args:
        embeddings: The base embeddings, those that the index was built with; they stay as they are.
        llm: Any LangChain chat model, for :meth:`generate_dataset`.
        config: The settings; :class:`TrainingConfig` has the defaults.
        cache: A file in which vectors are kept between runs, or a cache that is open; by default they are kept as
            long as the trainer lives.
        show_progress: Progress bars; by default where standard error is a terminal.

    Example:
        .. code-block:: python

            trainer = AdapterTrainer(OpenAIEmbeddings(), llm=ChatOpenAI(model="gpt-4o-mini"))
            dataset = trainer.generate_dataset(documents, path="pairs.jsonl")
            train, test = dataset.split(test_size=0.2, seed=0)
            result = trainer.train(train)
            print(result.evaluate(test))
            result.embeddings.save_pretrained("handbook-adapter")
    """

    def __init__(
        self,
        embeddings: Embeddings,
        llm: Runnable[Any, Any] | None = None,
        *,
        config: TrainingConfig | None = None,
        cache: str | Path | VectorCache | None = None,
        show_progress: bool | None = None,
    ) -> None:
        if not isinstance(embeddings, Embeddings):
            raise TypeError(f"expected LangChain Embeddings, got {type(embeddings).__name__}")
        self.embeddings = embeddings
        self.llm = llm
        self.config = config or TrainingConfig()
        self.show_progress = show_progress
        self._cache = cache if isinstance(cache, VectorCache) else VectorCache(cache)

    def generate_dataset(
        self, documents: Iterable[Document], *, path: str | Path | None = None, **options: Any
    ) -> QADataset:
        """Let the LLM write questions about each document.

        Args:
            documents: The chunks of the collection.
            path: A ``.jsonl`` file for the answers; where it exists only what is missing is asked for.
            **options: As in :func:`generate_qa_pairs`: ``questions_per_chunk``, ``prompt``, ``chain``,
                ``max_concurrency``, ``config``.

        Raises:
            ValueError: If the trainer has no ``llm`` and no ``chain`` is given, and as :func:`generate_qa_pairs`.
        """
        return generate_qa_pairs(documents, **self._generation(path, options))

    async def agenerate_dataset(
        self, documents: Iterable[Document], *, path: str | Path | None = None, **options: Any
    ) -> QADataset:
        """The asynchronous :meth:`generate_dataset`."""
        return await agenerate_qa_pairs(documents, **self._generation(path, options))

    def train(
        self,
        dataset: QADataset,
        *,
        adapter: BaseAdapter | str | None = None,
        validation: QADataset | None = None,
        config: TrainingConfig | None = None,
        checkpoint: str | Path | None = None,
    ) -> TrainingResult:
        """Train an adapter, and keep it only if it beats the base on questions it has not seen.

        Each distinct text is embedded once. A linear map is fitted as a convex problem and, once accepted, fitted again
        with the held-out questions included; any other adapter is fitted by AdamW with early stopping on them.

        Args:
            dataset: Questions and passages; the corpus should hold whatever the index holds.
            adapter: ``None`` or ``"linear"`` for a linear map, ``"two-layer"``, ``"low-rank"``, ``"memory"``, or an
                adapter to start from (your own ``BaseAdapter`` too), which is left as it is.
            validation: The questions that decide; by default a part of ``dataset`` is held out, by document.
            config: Settings for this call in place of the trainer's.
            checkpoint: For adapters other than linear: a file that is written after every epoch and resumed from.

        Raises:
            ValueError: If there are too few questions to hold some out, or the adapter does not fit the vectors.
            ImportError: If torch is not installed (the extra ``train``).
        """
        require_extra("torch", "train")
        from langchain_embedding_adapter.fitting import SOLVERS, fit_by_descent

        config = config or self.config
        fitted, deciding = (dataset, validation) if validation is not None else hold_out(dataset, config)
        if not len(fitted) or not len(deciding):
            raise ValueError("expected at least one question to train on and one to decide with")
        everything = self._embed(dataset)
        held_out = self._embed(deciding) if validation is not None else everything.take(deciding.queries)
        start = self._start(adapter, everything, len(dataset))
        base = figure(held_out, _identity(start), config)
        solve = SOLVERS.get(type(start))
        if solve is not None:
            if checkpoint is not None:
                raise ValueError("`checkpoint` is for adapters fitted in epochs; a linear map is fitted in seconds")
            candidate, history = solve(everything.take(fitted.queries), start, config)
            history[0][config.metric] = base
            history[-1][config.metric] = figure(held_out, candidate, config)
        else:
            candidate, history = fit_by_descent(
                everything.take(fitted.queries),
                start,
                config,
                lambda trained: figure(held_out, trained, config),
                checkpoint=checkpoint,
                show_progress=self.show_progress,
            )
        report = examine(held_out, candidate, config)
        improved = improves(report, config)
        if not improved:
            candidate = _identity(start)
        elif solve is not None and validation is None:
            candidate, _ = solve(everything, start, config)
        training = {
            "questions": len(dataset),
            "passages": len(dataset.corpus),
            "passages_asked_about": len(dataset.passages_asked_about()),
            "improved": improved,
            "settings": asdict(config),
        }
        return TrainingResult(
            embeddings=AdaptedEmbeddings(
                self.embeddings, candidate, provenance={"report": report.to_dict(), "training": training}
            ),
            report=report,
            history=history,
            improved=improved,
            config=config,
            _cache=self._cache,
        )

    def _generation(self, path: str | Path | None, options: dict[str, Any]) -> dict[str, Any]:
        llm = None if options.get("chain") is not None else self.llm
        if llm is None and options.get("chain") is None:
            raise ValueError("this trainer has no LLM; make it with AdapterTrainer(embeddings, llm=…) or pass chain=…")
        return {"llm": llm, "path": path, "show_progress": self.show_progress, **options}

    def _embed(self, dataset: QADataset) -> PairVectors:
        return embed_dataset(self.embeddings, dataset, cache=self._cache, show_progress=self.show_progress)

    def _start(self, adapter: BaseAdapter | str | None, vectors: PairVectors, size: int) -> BaseAdapter:
        """The adapter to start from, checked against the vectors it will see."""
        in_features, out_features = vectors.queries.shape[1], vectors.passages.shape[1]
        if adapter is None or adapter == LinearAdapter.kind:
            return LinearAdapter(in_features, out_features)
        if adapter == TwoLayerAdapter.kind:
            return TwoLayerAdapter(in_features, in_features, out_features)
        if adapter == MemoryAdapter.kind:
            return MemoryAdapter(in_features, out_features, min(size, MEMORY_SIZE))
        if adapter == LowRankAdapter.kind:
            return LowRankAdapter(in_features, out_features)
        if not isinstance(adapter, BaseAdapter):
            raise ValueError(f"expected an adapter or one of {', '.join(ADAPTERS)}, got {adapter!r}")
        if (adapter.in_features, adapter.out_features) != (in_features, out_features):
            raise ValueError(
                f"the adapter maps {adapter.in_features} to {adapter.out_features} dimensions, and "
                f"{model_name(self.embeddings)} gives queries of {in_features} and passages of {out_features}"
            )
        return adapter


def _identity(adapter: BaseAdapter) -> LinearAdapter:
    return LinearAdapter(adapter.in_features, adapter.out_features)
