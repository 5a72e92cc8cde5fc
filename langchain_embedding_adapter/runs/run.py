"""A run: the journey as a folder of stage files, so that it can be stopped, looked at and gone on with.

``chunks.jsonl`` → ``answers.jsonl`` → ``pairs.json`` → ``split.json`` → ``adapter/`` → ``report.json``. A stage whose
file exists is kept; ``run.json`` records what each was made with, and other settings than those are refused.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import Runnable, RunnablePassthrough

from langchain_embedding_adapter._files import read_json, read_jsonl, write_json, write_jsonl
from langchain_embedding_adapter.chunks import with_ids
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.documents import load_documents, split_documents
from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.engines import Engine
from langchain_embedding_adapter.evaluation.asking import SideBySide, answers_by_text, passages_of
from langchain_embedding_adapter.evaluation.evaluate import evaluate_retrieval
from langchain_embedding_adapter.generation import GenerationPlan, generate_qa_pairs, plan_qa_pairs
from langchain_embedding_adapter.generation.pseudo import generate_pseudo_questions
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.pairs.logs import pairs_from_logs
from langchain_embedding_adapter.report.details import Details
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.runs.story import story_of_run
from langchain_embedding_adapter.selection.candidates import Future
from langchain_embedding_adapter.trainer import AdapterTrainer
from langchain_embedding_adapter.vector_cache import VectorCache

logger = logging.getLogger(__name__)

TABLES = (".csv", ".tsv", ".jsonl")
"""Files of questions and the ids of passages that answer them."""


class Run:
    """A run's folder and its stages.

    Args:
        folder: The folder; made when the first stage is written.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.chunks_file = self.folder / "chunks.jsonl"
        self.answers_file = self.folder / "answers.jsonl"
        self.pairs_file = self.folder / "pairs.json"
        self.split_file = self.folder / "split.json"
        self.adapter_folder = self.folder / "adapter"
        self.report_file = self.folder / "report.json"
        self.page_file = self.folder / "report.html"
        self._settings_file = self.folder / "run.json"

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """What each stage was made with."""
        return read_json(self._settings_file) if self._settings_file.exists() else {}

    @cached_property
    def cache(self) -> VectorCache:
        """The vectors of this run, kept in its folder."""
        return VectorCache(self.folder / "vectors.sqlite")

    @property
    def dataset(self) -> QADataset:
        """The pairs.

        Raises:
            FileNotFoundError: If the run has none yet.
        """
        if not self.pairs_file.is_file():
            raise FileNotFoundError(f"{self.folder} has no pairs yet; make them with `embedding-adapter pairs`")
        return QADataset.load(self.pairs_file)

    @property
    def pairs_digest(self) -> str:
        """What tells the pairs of a training apart from others."""
        return hashlib.sha256(self.pairs_file.read_bytes()).hexdigest()[:16]

    @property
    def test(self) -> QADataset:
        """The questions that were kept from training.

        Raises:
            FileNotFoundError: If the run has not been trained yet.
        """
        if not self.split_file.is_file():
            raise FileNotFoundError(f"{self.folder} has no adapter yet; train one with `embedding-adapter train`")
        return self.dataset.subset(read_json(self.split_file)["test"])

    def questions(self, source: str | Path) -> QADataset:
        """Questions from a file: pairs, or a table (CSV, TSV, JSONL) of ``question`` and ``passage_id``.

        The ids of a table are those of this run's passages, as ``chunks.jsonl`` and ``ask --ids`` have them.
        """
        if Path(source).suffix.lower() in TABLES:
            return pairs_from_logs(source, self.dataset.corpus).dataset
        return QADataset.load(source)

    def make_pairs(
        self,
        sources: Sequence[str | Path],
        load_llm: Callable[[], Runnable[Any, Any]] | None,
        *,
        settings: Mapping[str, Any],
        engine: Engine = "local",
        force: bool = False,
        show_progress: bool | None = None,
        **second_look: Any,
    ) -> QADataset:
        """Documents to chunks to pairs.

        Args:
            sources: Files and folders of documents.
            load_llm: Makes the chat model; called only if there is something to ask. ``None`` for pseudo-questions, cut
                from the passages.
            settings: ``llm`` (its name, for the record, or ``None``), ``chunk_size``, ``chunk_overlap``, and whatever
                of :class:`~langchain_embedding_adapter.GenerationConfig` JSON can hold.
            engine: Who calls the chat model, as :func:`~langchain_embedding_adapter.generate_qa_pairs` takes it. On a
                cluster, the run's folder lies where all of its machines reach it.
            force: Make the stage anew; answers that still fit are not asked for again.
            show_progress: A progress bar; by default where standard error is a terminal.
            **second_look: ``found_within``, ``embeddings`` and ``judge``, as there.
        """
        made_with = {"sources": [str(source) for source in sources], **settings}
        for name in ("max_concurrency", "max_calls", "max_tokens"):  # they change nothing in an answer
            made_with.pop(name, None)
        judge = second_look.get("judge")
        made_with |= {"found_within": second_look.get("found_within"), "judge": judge and model_name(judge)}
        if self._kept("pairs", self.pairs_file, made_with, force or self._unfinished):
            return self.dataset
        chunks, generation = self._chunks(sources, settings)
        write_jsonl(
            self.chunks_file, [{"id": c.id, "text": c.page_content, "metadata": _plain(c.metadata)} for c in chunks]
        )
        if load_llm is None:
            self._forget_generation()
            dataset = generate_pseudo_questions(chunks)
        else:
            dataset = generate_qa_pairs(
                chunks,
                load_llm(),
                path=self.answers_file,
                engine=engine,
                show_progress=show_progress,
                cache=self.cache if second_look.get("found_within") else None,
                **generation,
                **second_look,
            )
        dataset.save(self.pairs_file)
        self._record("pairs", made_with)
        return dataset

    def plan_pairs(
        self, sources: Sequence[str | Path], prices: tuple[float, float] | None, settings: Mapping[str, Any]
    ) -> GenerationPlan:
        """What :meth:`make_pairs` would ask for, and cost at these prices of a million tokens in and out."""
        chunks, generation = self._chunks(sources, settings)
        return plan_qa_pairs(
            chunks,
            RunnablePassthrough(),
            path=self.answers_file if self.answers_file.is_file() else None,
            prices=prices,
            **generation,
        )

    def cut(self, sources: Sequence[str | Path], settings: Mapping[str, Any]) -> list[Document]:
        """The chunks that :meth:`make_pairs` would ask about."""
        return self._chunks(sources, settings)[0]

    @property
    def summary(self) -> dict[str, Any]:
        """What the last generation came to; nothing for pairs from elsewhere."""
        file = self.answers_file.with_suffix(".summary.json")
        return read_json(file) if file.is_file() else {}

    @property
    def _unfinished(self) -> bool:
        """Whether a generation ended before every chunk had its answer."""
        return bool(self.summary) and self.summary["answered"] < self.summary["chunks"]

    def _chunks(
        self, sources: Sequence[str | Path], settings: Mapping[str, Any]
    ) -> tuple[list[Document], dict[str, Any]]:
        """The chunks of the documents, and the settings of generation."""
        generation = dict(settings)
        generation.pop("llm")
        sizes = {name: generation.pop(name) for name in ("chunk_size", "chunk_overlap")}
        return with_ids(split_documents(load_documents(sources, without=self.folder), **sizes)), generation

    def take_pairs(self, source: str | Path, *, force: bool = False) -> QADataset:
        """Take over pairs from a file or BEIR folder instead of generating them."""
        made_with = {"from": str(source)}
        if not self._kept("pairs", self.pairs_file, made_with, force):
            self._forget_generation()
            QADataset.load(source).save(self.pairs_file)
            self._record("pairs", made_with)
        return self.dataset

    def train(
        self,
        load_embeddings: Callable[[], Embeddings],
        *,
        embeddings: str,
        adapter: str,
        expect: Future = "both",
        test_size: float,
        validation: str | Path | None = None,
        config: TrainingConfig,
        force: bool = False,
        engine: Engine = "local",
        show_progress: bool | None = None,
    ) -> tuple[bool, str]:
        """Split the pairs by document (by passage if there is only one), train on the one part, save the adapter.

        Args:
            load_embeddings: Makes the base embeddings; called only if there is something to train.
            embeddings: Their name, for the record.
            adapter: What to choose among or to train, as :meth:`AdapterTrainer.train` takes it; ``"default"`` for its
                default.
            expect: What tomorrow's questions will be about.
            test_size: Share of the questions that is kept for the test, unless the pairs have their parts;
                pseudo-questions are no test, and none is kept.
            validation: A file or folder of the pairs that decide; without one, the pairs' validation part, if any.
            config: The settings of training.
            force: Train anew.
            engine: Who fits the chosen linear map to all questions.
            show_progress: Progress bars; by default where standard error is a terminal.

        Returns:
            Whether the adapter beat the base, and the verdict in words.
        """
        dataset = self.dataset
        made_with = {
            "pairs": self.pairs_digest,
            "embeddings": embeddings,
            "adapter": adapter,
            "expect": expect,
            "test_size": test_size,
            "validation": None if validation is None else str(validation),
            "metric": config.metric,
            "seed": config.seed,
        }
        verdict_file = self.folder / "verdict.json"
        if not self._kept("train", verdict_file, made_with, force):
            train, test = self._split(dataset, test_size, config.seed)
            trainer = AdapterTrainer(load_embeddings(), config=config, show_progress=show_progress, cache=self.cache)
            result = trainer.train(
                dataset.subset(train),
                adapter=None if adapter == "default" else adapter,
                expect=expect,
                validation=self._validation(validation),
                engine=engine,
            )
            verdict_file.unlink(missing_ok=True)  # from here to the end a stop leaves a stage that is made anew
            write_json(self.split_file, {"train": list(train), "test": list(test)})
            result.save(self.adapter_folder)
            self.report_file.unlink(missing_ok=True)
            self.page_file.unlink(missing_ok=True)
            self._record("train", made_with)
            write_json(verdict_file, {"improved": result.improved, "verdict": result.verdict})
        kept = read_json(verdict_file)
        return kept["improved"], kept["verdict"]

    def adapted(self, base: Embeddings) -> AdaptedEmbeddings:
        """The run's adapter on top of its base.

        Raises:
            FileNotFoundError: If the run has not been trained yet.
        """
        if not self.adapter_folder.is_dir():
            raise FileNotFoundError(f"{self.folder} has no adapter yet; train one with `embedding-adapter train`")
        return AdaptedEmbeddings.from_pretrained(self.adapter_folder, base)

    def evaluate(
        self, base: Embeddings, *, engine: Engine = "local", show_progress: bool | None = None
    ) -> RetrievalReport:
        """Base against adapted on the questions kept from training; written to ``report.json`` and ``report.md``.

        The page, ``report.html``, is written too where jinja2 is installed.

        Raises:
            ValueError: If none was kept, as these are pseudo-questions.
        """
        if not len(self.test):
            raise ValueError(
                f"{self.folder} was trained on pseudo-questions, which are no test: a gain on them is no gain; examine "
                f"{self.adapter_folder} with real ones (`embedding-adapter evaluate {self.folder} --pairs FILE`)"
            )
        report = self._examined(base, self.test, show_progress, engine)
        report.save(self.report_file)
        report.save(self.report_file.with_suffix(".md"))
        if find_spec("jinja2") is not None:
            report.save(self.page_file)
        return report

    def write_page(
        self, base: Embeddings, path: str | Path | None = None, *, show_progress: bool | None = None
    ) -> Path:
        """Write the page that tells whether to use the adapter, of the questions kept from training.

        Where none was kept, as these are pseudo-questions, it shows what these find, and says that nothing is known.

        Args:
            base: The base embeddings.
            path: Where to; by default ``report.html`` in the run.
            show_progress: Progress bars; by default where standard error is a terminal.

        Raises:
            FileNotFoundError: If the run has not been trained yet.
            ValueError: If the path does not end in ``.html``.
            ImportError: If jinja2 is not installed (the extra ``report``).
        """
        page = self.page_file if path is None else Path(path)
        if page.suffix not in (".html", ".htm"):
            raise ValueError(f"expected a path that ends in .html, got {page}")
        self._examined(base, self.test if len(self.test) else self.dataset, show_progress).save(page)
        return page

    def _examined(
        self, base: Embeddings, questions: QADataset, show_progress: bool | None, engine: Engine = "local"
    ) -> RetrievalReport:
        """Base against adapted, and what the page tells besides."""
        report = evaluate_retrieval(
            self.adapted(base), questions, cache=self.cache, engine=engine, show_progress=show_progress
        )
        story = story_of_run(self.folder, self.dataset, self.settings)
        return replace(report, details=replace(report.details or Details(), story=story))

    def side_by_side(self, base: Embeddings) -> SideBySide:
        """The run's passages, to be asked with the base and with the adapter; each is embedded once."""
        dataset = self.dataset
        passages = passages_of(dataset.corpus, base, self.cache)
        return SideBySide(self.adapted(base), passages, answers_by_text(dataset))

    def chunks(self) -> list[Document]:
        """The chunks that the pairs were written about."""
        rows = read_jsonl(self.chunks_file)
        return [Document(row["text"], id=row["id"], metadata=row["metadata"]) for row in rows]

    def _validation(self, validation: str | Path | None) -> QADataset | None:
        """The pairs that decide, if any do."""
        if validation is not None:
            return self.questions(validation)
        return self.dataset.part("validation") if "validation" in self.dataset.parts.values() else None

    def _forget_generation(self) -> None:
        """What a chat model's generation came to; its answers stay."""
        for name in ("summary.json", "rejected.jsonl"):
            self.answers_file.with_suffix(f".{name}").unlink(missing_ok=True)

    def _split(self, dataset: QADataset, test_size: float, seed: int) -> tuple[Collection[str], Collection[str]]:
        """The ids of the questions to learn from and of those kept for the test."""
        if dataset.pseudo_styles:
            return dataset.queries, ()
        if dataset.parts:
            dataset, laid_down = dataset.part("train"), dataset
            if "test" in laid_down.parts.values():
                logger.info("the pairs say which of them are for the test; the share asked for is of no effect")
                return dataset.queries, laid_down.part("test").queries
        if not 0 < test_size < 1:
            raise ValueError(f"test_size must lie between 0 and 1, got {test_size!r}")
        try:
            train, test = dataset.split(test_size, seed=seed)
        except ValueError:
            logger.info("all questions are about one document: the test asks about other passages of it")
            train, test = dataset.split(test_size, seed=seed, by="passage")
        return train.queries, test.queries

    def _kept(self, stage: str, file: Path, settings: Mapping[str, Any], force: bool) -> bool:
        """Whether a stage is there and stays.

        Raises:
            ValueError: If it is there and was made with other settings.
        """
        if force or not file.exists():
            return False
        before = self.settings.get(stage, {})
        differing = [name for name in settings if before.get(name) != settings[name]]
        if differing:
            changes = ", ".join(f"{name} {before.get(name)!r} → {settings[name]!r}" for name in differing)
            raise ValueError(
                f"the stage `{stage}` of {self.folder} was made with other settings ({changes}); "
                "make it anew with --force (answers and vectors are kept), or name another run"
            )
        logger.info("kept: %s", file)
        return True

    def _record(self, stage: str, settings: Mapping[str, Any]) -> None:
        write_json(self._settings_file, {**self.settings, stage: dict(settings)})


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata that JSON can hold."""
    return {key: value for key, value in metadata.items() if isinstance(value, (str, int, float, bool, type(None)))}
