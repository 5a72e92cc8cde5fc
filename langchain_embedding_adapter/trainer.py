"""``AdapterTrainer``: the whole journey in one class.

Documents to pairs through the LLM, pairs to vectors through the embeddings, vectors to an adapter through the solvers,
and the adapter against the base on questions held out, before anybody relies on it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import Runnable
from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.adapters import BaseAdapter, LinearAdapter, MemoryAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.embeddings.coverage import Coverage
from langchain_embedding_adapter.engines import Engine, as_ray
from langchain_embedding_adapter.evaluation.stored_pairs import align, as_stored, embed_questions
from langchain_embedding_adapter.generation import agenerate_qa_pairs, generate_qa_pairs
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.result import TrainingResult
from langchain_embedding_adapter.selection.candidates import Future
from langchain_embedding_adapter.selection.starting import family_of, starting_adapter
from langchain_embedding_adapter.stores import StoredVectors
from langchain_embedding_adapter.teacher import Consultation, Teacher, TeacherCheck
from langchain_embedding_adapter.trackers.protocol import Following, Tracker
from langchain_embedding_adapter.trackers.told import settings_of
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import PairVectors, embed_dataset, remember_documents

if TYPE_CHECKING:
    from langchain_embedding_adapter.selection.training import Task, Trained

logger = logging.getLogger(__name__)


class AdapterTrainer:
    """Trains an adapter for the query vectors of any LangChain embeddings.

    Args:
        embeddings: The base embeddings, those that the index was built with; they stay as they are.
        document_embeddings: The embeddings that the index was built with, where these are others
            (:func:`bridge_models`): passages are embedded by them, questions by ``embeddings``.
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
        document_embeddings: Embeddings | None = None,
        config: TrainingConfig | None = None,
        cache: str | Path | VectorCache | None = None,
        show_progress: bool | None = None,
    ) -> None:
        for given in (embeddings, embeddings if document_embeddings is None else document_embeddings):
            if not isinstance(given, Embeddings):
                raise TypeError(f"expected LangChain Embeddings, got {type(given).__name__}")
        self.embeddings = embeddings
        self.document_embeddings = document_embeddings
        self.llm = llm
        self.config = config or TrainingConfig()
        self.show_progress = show_progress
        self._cache = cache if isinstance(cache, VectorCache) else VectorCache(cache)

    def generate_dataset(
        self,
        documents: Iterable[Document] | str | Path | None = None,
        *,
        store: VectorStore | StoredVectors | None = None,
        path: str | Path | None = None,
        **options: Any,
    ) -> QADataset:
        """Let the LLM write questions about each document.

        Args:
            documents: The chunks of the collection, or where they lie.
            store: In their place, a vector store that holds them: the dataset's passages have the store's ids, and no
                document is embedded.
            path: A ``.jsonl`` file for the answers; where it exists only what is missing is asked for. With
                ``engine="ray"`` also a folder of any file system that the workers reach.
            **options: As in :func:`generate_qa_pairs`: ``config``, ``engine`` and everything of
                :class:`GenerationConfig`. For ``found_within``, the trainer's embeddings look.

        Raises:
            ValueError: If the trainer has no ``llm`` and no ``chain`` is given, if neither or both of ``documents`` and
                ``store`` are, and as :func:`generate_qa_pairs`.
        """
        documents = self._documents(documents, store, options)
        return generate_qa_pairs(documents, **self._generation(path, options))

    async def agenerate_dataset(
        self,
        documents: Iterable[Document] | str | Path | None = None,
        *,
        store: VectorStore | StoredVectors | None = None,
        path: str | Path | None = None,
        **options: Any,
    ) -> QADataset:
        """The asynchronous :meth:`generate_dataset`."""
        documents = self._documents(documents, store, options)
        return await agenerate_qa_pairs(documents, **self._generation(path, options))

    def train(
        self,
        dataset: QADataset | PairVectors,
        *,
        adapter: BaseAdapter | str | None = None,
        expect: Future = "both",
        validation: QADataset | PairVectors | None = None,
        teacher: Teacher | None = None,
        weights: Mapping[str, float] | None = None,
        config: TrainingConfig | None = None,
        memory: str | int | None = None,
        engine: Engine = "local",
        checkpoint: str | Path | None = None,
        store: VectorStore | StoredVectors | None = None,
        calibrate: bool = False,
        callbacks: Sequence[Tracker] = (),
    ) -> TrainingResult:
        """Train an adapter, and keep it only if it beats the base on questions it has not seen.

        Each distinct text is embedded once. By default many candidates, linear maps with and without a memory, are
        cross-validated, one is chosen (:mod:`~langchain_embedding_adapter.selection.rule` says how) and fitted to all
        questions.

        Args:
            dataset: Questions and passages; the corpus should hold whatever the index holds. Pseudo-questions
                (:func:`generate_pseudo_questions`) train a linear map that is taken with caution; real questions beside
                them are what it is checked on. Or the vectors themselves, in memory or mapped from files
                (:func:`open_pair_vectors`): nothing is embedded, and there may be more than memory holds.
            adapter: What to choose among: ``None`` for linear maps with and without a memory, ``"linear"`` or
                ``"memory"`` for one of these, ``"auto"`` for low-rank and two-layer adapters too. Or what to train in
                epochs: ``"two-layer"``, ``"low-rank"``, or your own ``BaseAdapter``. Or an adapter that was trained
                before: a linear or memory one is the centre that the fit is held to, and what it remembers is
                kept; any other goes on from where it is. An adapter given is left as it is.
            expect: What tomorrow's questions will be about: ``"new passages"``, the ``"same passages"`` as the
                training questions, or ``"both"``. Of no effect where pseudo-questions, ``validation`` or held-out
                questions decide.
            validation: The questions that decide, in place of cross-validation or a part held out by document.
            teacher: Who scores (question, passage): a LangChain cross-encoder, a reranker (a document compressor) or a
                function of a list of pairs. Its opinion of each question's nearest passages is learned from, if it
                ranks those of known questions no worse than the base, and if that helps. Each pair is asked about
                once; the cache of vectors keeps the scores under the name of the teacher's class or function and
                model.
            weights: How much questions count in the fit, by id; 1 where one is not named.
            config: Settings for this call in place of the trainer's.
            memory: How much the fit may hold, as ``"4GB"``: ``config.memory``.
            engine: Who fits the chosen linear map to all questions: this process, or the workers of a Ray cluster
                (``"ray"``, :class:`RayEngine`). Candidates are examined here, on a sample.
            checkpoint: For adapters trained in epochs: a file that is written after each one and resumed from.
            store: A vector store that holds the passages, embedded by the base: its vectors are read back
                (:func:`read_store`), and no document is embedded. The dataset's passages are the store's by id or,
                where the dataset has their texts, by text; its ``corpus`` may be empty. Of millions, give what was read
                back to a file, or a sample with the passages that the questions are about.
            calibrate: Whether to fit a map from adapted scores to the base's, so that thresholds keep their meaning:
                :func:`adapt_store` applies it to relevance scores.
            callbacks: Who is told of the settings, of each epoch as it happens and of the result: experiment trackers
                (:class:`WandbTracker` and the like) or any :class:`Tracker`. One that fails is left out.

        Raises:
            ValueError: If there are too few questions to hold some out, the adapter does not fit the vectors, or the
                store holds none of the passages.
            TypeError: If the teacher cannot score, or a callback is no tracker.
            ImportError: If torch or scipy is not installed (the extra ``train``).
        """
        require_extra("torch", "train")
        require_extra("scipy", "train")
        from langchain_embedding_adapter.provenance import provenance_of
        from langchain_embedding_adapter.selection.thresholds import calibrate as fit_calibration
        from langchain_embedding_adapter.selection.training import Task, by_cross_validation, in_epochs, with_caution
        from langchain_embedding_adapter.selection.unseen import examined_by_distance
        from langchain_embedding_adapter.telling import with_details

        config = config or self.config
        if memory is not None:
            config = replace(config, memory=memory)
        if not len(dataset) or (validation is not None and not len(validation)):
            raise ValueError("expected at least one question to train on and one to decide with")
        if expect not in get_args(Future):
            raise ValueError(f"expected expect= one of {', '.join(get_args(Future))}, got {expect!r}")
        cluster = as_ray(engine)
        pairs = self._checked(dataset, weights or {})
        if teacher is not None and (pairs is None or isinstance(validation, PairVectors)):
            raise ValueError("`teacher` reads texts, and vectors have none: give datasets")
        if pairs is None and store is not None:
            raise ValueError("`store` has the vectors of a dataset's passages, and vectors bring their own")
        if self.document_embeddings is not None and (teacher is not None or calibrate):
            raise ValueError("`teacher` and `calibrate` start from the base's own scores, and a bridged index has none")
        given = {
            "adapter": adapter,
            "validation": validation is not None,
            "teacher": teacher is not None,
            "weights": bool(weights),
            "store": store is not None,
            "calibrate": calibrate,
            "document_embeddings": self.document_embeddings is not None,
        }
        stored = None if store is None else as_stored(store)
        pairs, vectors = self._embed(dataset, stored)
        bridged = self.document_embeddings is not None
        start = starting_adapter(adapter, vectors, self.embeddings, bridged=bridged)
        chosen = type(start) in (LinearAdapter, MemoryAdapter)
        if not chosen and engine != "local":
            raise ValueError("`engine` is for linear maps and memories; other adapters are trained in this process")
        if chosen and checkpoint is not None:
            raise ValueError("`checkpoint` is for adapters fitted in epochs; a linear map is fitted in seconds")
        if (
            pairs is not None
            and pairs.pseudo_styles
            and (type(start) is not LinearAdapter or adapter in (MemoryAdapter.kind, "auto"))
        ):
            raise ValueError(f"pseudo-questions train a linear map, with adapter=None or 'linear'; got {adapter!r}")
        check = None
        judges, deciding = (None, None) if validation is None else self._embed(validation, stored)
        if deciding is not None:
            _check_alike(vectors, deciding)
        if teacher is not None and pairs is not None:
            vectors, check = self._consult(teacher, (pairs, vectors), (judges, deciding), config)
        task = Task(pairs, vectors, start, config, deciding, weights, self.show_progress, cluster)
        with Following(callbacks, lambda: settings_of(task, self.embeddings, adapter, expect)) as following:
            if task.pseudo_styles:
                trained = with_caution(task)
            elif chosen:
                family = family_of(adapter, bridged=bridged)
                further = partial(starting_adapter, vectors=vectors, embeddings=self.embeddings, bridged=bridged)
                trained = by_cross_validation(
                    task, family=family, expect=expect, further=further if adapter == "auto" else None
                )
            else:
                trained = in_epochs(task, checkpoint=checkpoint, follow=following.log)
            if stored is not None and stored.metric == "l2" and not stored.normalised:
                trained = examined_by_distance(task, trained, expect)
            if calibrate and stored is not None and stored.metric != "cosine" and not stored.normalised:
                logger.warning("the scores are not calibrated: those of vectors of different lengths are no cosines")
                calibrate = False
            calibration = fit_calibration(task, trained, expect) if calibrate and trained.improved else None
            provenance = provenance_of(task, trained, expect, check, calibration)
            result = self._result(task, trained, check, provenance)
            result = with_details(result, task, trained, expect, judges, given)
            following.finish(result)
        return result

    def _consult(
        self,
        teacher: Teacher,
        learning: tuple[QADataset, PairVectors],
        deciding: tuple[QADataset | None, PairVectors | None],
        config: TrainingConfig,
    ) -> tuple[PairVectors, TeacherCheck]:
        """Check the teacher on the deciding questions, or on real ones to learn from, and learn its opinion."""
        consultation = Consultation(teacher, self._cache, self.show_progress)
        dataset, vectors = learning
        real = [query for query in dataset.queries if query not in dataset.pseudo_styles]
        known: tuple[QADataset, PairVectors] = dataset, vectors.take(real) if real else vectors
        if deciding[0] is not None and deciding[1] is not None:
            known = deciding[0], deciding[1]
        check = consultation.check(*known, config)
        return (consultation.teach(dataset, vectors, config) if check.used else vectors), check

    def _result(
        self, task: Task, trained: Trained, check: TeacherCheck | None, provenance: Mapping[str, Any]
    ) -> TrainingResult:
        return TrainingResult(
            embeddings=AdaptedEmbeddings(
                self.embeddings,
                trained.adapter,
                document_embeddings=self.document_embeddings,
                provenance=dict(provenance),
                coverage=partial(Coverage.of, task.vectors.queries, task.config.seed),
            ),
            report=trained.report,
            history=trained.history,
            improved=trained.improved,
            config=task.config,
            selection=trained.selection,
            teacher=check,
            _cache=self._cache,
        )

    def _documents(
        self,
        documents: Iterable[Document] | str | Path | None,
        store: VectorStore | StoredVectors | None,
        options: dict[str, Any],
    ) -> Iterable[Document] | str | Path:
        """What to ask about. A store's vectors are remembered for the search that ``found_within`` asks for."""
        if store is None:
            if documents is None:
                raise ValueError("expected documents, or the store that holds them: store=…")
            return documents
        if documents is not None:
            raise ValueError("expected either documents or store=…, got both")
        stored = as_stored(store)
        if not stored.texts:
            raise ValueError("the store was read without texts, and questions are written about them")
        searched = options.get("found_within") is not None and "embeddings" not in options
        if searched and self.document_embeddings is None:
            remember_documents(self._cache, self.embeddings, stored.texts, stored.vectors)
        return stored.documents

    def _generation(self, path: str | Path | None, options: dict[str, Any]) -> dict[str, Any]:
        llm = None if options.get("chain") is not None else self.llm
        if llm is None and options.get("chain") is None:
            raise ValueError("this trainer has no LLM; make it with AdapterTrainer(embeddings, llm=…) or pass chain=…")
        if options.get("found_within") is not None:
            options = {"embeddings": self.embeddings, "cache": self._cache, **options}
        return {"llm": llm, "path": path, "show_progress": self.show_progress, **options}

    @staticmethod
    def _checked(dataset: QADataset | PairVectors, weights: Mapping[str, float]) -> QADataset | None:
        """The dataset, if it is one; ``weights`` name questions of it."""
        pairs = dataset if isinstance(dataset, QADataset) else None
        known = dataset.queries if isinstance(dataset, QADataset) else set(dataset.query_ids) if weights else set()
        unknown = weights.keys() - known
        if unknown:
            raise ValueError(f"`weights` names questions that are not in the dataset: {sorted(unknown)[:3]}")
        if pairs is not None and "test" in pairs.parts.values():
            logger.warning("the dataset holds its test questions; train on dataset.part('train')")
        return pairs

    def _embed(
        self, dataset: QADataset | PairVectors, stored: StoredVectors | None
    ) -> tuple[QADataset | None, PairVectors]:
        """The dataset, by the store's ids if there is a store, and its vectors; or the vectors that were given."""
        if isinstance(dataset, PairVectors):
            return None, dataset
        options: dict[str, Any] = {"cache": self._cache, "show_progress": self.show_progress}
        if stored is None:
            options["document_embeddings"] = self.document_embeddings
            return dataset, embed_dataset(self.embeddings, dataset, **options)
        dataset = align(dataset, stored)
        return dataset, embed_questions(self.embeddings, dataset, stored, **options)


def _check_alike(vectors: PairVectors, deciding: PairVectors) -> None:
    """See that the questions that decide are compared as those to learn from are.

    Raises:
        ValueError: If their vectors have other dimensions, or another metric compares them.
    """
    one, other = ((part.queries.shape[1], part.passages.shape[1], part.metric) for part in (vectors, deciding))
    if one != other:
        raise ValueError(
            f"`validation` has questions of {other[0]} and passages of {other[1]} dimensions, compared by {other[2]}; "
            f"expected {one[0]}, {one[1]} and {one[2]}, as the training questions have"
        )
