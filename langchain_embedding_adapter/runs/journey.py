"""The whole journey of a run, from documents to what to do next: which stages are there, what the others will cost.

Each stage is one of :class:`~langchain_embedding_adapter.runs.run.Run`'s own and stays where it exists, so that the
journey can be stopped anywhere and gone on with. What was said at an earlier time need not be said again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from langchain_embedding_adapter._files import read_json
from langchain_embedding_adapter.generation import GenerationPlan
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.runs.plan import Arrival, Plan
from langchain_embedding_adapter.runs.run import Run
from langchain_embedding_adapter.runs.settings import LOCAL, EngineSettings, PairsSettings, TrainSettings

logger = logging.getLogger(__name__)

CHARACTERS_PER_TOKEN = 4
PSEUDO_QUESTIONS = 5
"""About so many are cut from a chunk."""


class Journey:
    """A run and what it is told: on this command line or in its file, and what it was told before.

    Args:
        run: The run.
        documents: Files and folders to read.
        pairs: What of :class:`PairsSettings` is given.
        train: What of :class:`TrainSettings` is given.
        engine: What of :class:`EngineSettings` is given.

    Raises:
        ValueError: If two things are given that exclude each other.
    """

    def __init__(
        self,
        run: Run,
        documents: Sequence[str | Path],
        pairs: Mapping[str, Any],
        train: Mapping[str, Any],
        engine: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.run = run
        self.documents = tuple(documents)
        self.engine = EngineSettings(**engine).chosen()
        self.pairs = PairsSettings(**_asker_before(run, pairs), **pairs)
        before = run.settings.get("train", {})
        names = {each.name for each in fields(TrainSettings)}
        said_before = {name: value for name, value in before.items() if name in names and name != "pairs"}
        self.train = TrainSettings(**{"embeddings": LOCAL} | said_before | dict(train))
        if self.pairs.pseudo and self.pairs.llm is not None:
            raise ValueError("expected either a chat model (llm) or pseudo-questions (pseudo), got both")
        if self.documents and self.train.pairs is not None:
            raise ValueError("expected either documents or pairs that are at hand, got both")

    @property
    def missing(self) -> str | None:
        """What has to be said before the journey can begin; ``None`` if nothing is missing."""
        there = self.run.pairs_file.is_file()
        if self.train.pairs is not None or (there and not self.documents):
            return None
        if not self.documents:
            return f"name the documents (files, or folders of them): embedding-adapter run {self.run.folder} DOCUMENTS"
        if self.pairs.llm is None and not self.pairs.pseudo:
            return (
                "say who asks the questions: --llm provider:model (openai:gpt-4o-mini, say), --pseudo (no model: cut "
                "from the passages), or --pairs FILE in place of documents"
            )
        return None

    def plan(self) -> Plan:
        """What is there, what would be done and what it would cost; nothing is asked or embedded."""
        generation, made, questions, passages = self._planned_pairs()
        name, verdict, report = self.train.embeddings, self.run.folder / "verdict.json", self.run.report_file
        trained = made and verdict.is_file()
        per = CHARACTERS_PER_TOKEN
        tokens = 0 if trained else sum(map(len, passages)) // per + questions * 15
        prices = self.pairs.prices
        costs = [] if generation is None or prices is None or generation.cost is None else [generation.cost]
        if self.train.price_embeddings is not None:
            costs.append(tokens * self.train.price_embeddings / 1e6)
        embedding = f"embed {len(passages):,} passages and about {questions:,} questions with {name} "
        embedding += f"(about {tokens:,} tokens), choose and fit"
        return Plan(
            stages=(
                ("pairs", made, self._pairs_in_words(generation, questions, passages)),
                ("train", trained, "" if trained else embedding),
                ("evaluate", trained and report.is_file(), "ask the test questions, base and adapted"),
                ("report page", trained and self.run.page_file.is_file(), str(self.run.page_file)),
            ),
            generation=generation,
            embedded_tokens=tokens,
            cost=sum(costs) if costs else None,
        )

    def go(
        self,
        load_embeddings: Callable[[str], Embeddings],
        load_chat_model: Callable[[str], BaseChatModel],
        *,
        force: bool = False,
    ) -> Arrival:
        """Make whatever is not there yet.

        Args:
            load_embeddings: Makes embeddings of a name; called only where there is something to embed.
            load_chat_model: Makes a chat model of a name, likewise.
            force: Make every stage anew; answers and vectors are kept.

        Raises:
            ValueError: If a stage that is there was made with other settings.
        """
        logger.info("1/4 pairs")
        pairs = self._make_pairs(load_embeddings, load_chat_model, force)
        logger.info("2/4 train")
        improved, verdict = self._train(load_embeddings, force)
        logger.info("3/4 evaluate")
        there = self.run.page_file.is_file()
        report = self._evaluate(load_embeddings)
        logger.info("4/4 report page")
        if there:
            logger.info("kept: %s", self.run.page_file)
        page = self._page(load_embeddings)
        return Arrival(
            run=self.run.folder,
            pairs=pairs,
            improved=improved,
            verdict=verdict,
            report=report,
            page=page,
            next=self._next(improved, page),
        )

    def _make_pairs(
        self,
        load_embeddings: Callable[[str], Embeddings],
        load_chat_model: Callable[[str], BaseChatModel],
        force: bool,
    ) -> QADataset:
        run, settings = self.run, self.pairs
        if self.train.pairs is not None:
            return run.take_pairs(self.train.pairs, force=force)
        if run.pairs_file.is_file() and not self.documents:
            logger.info("kept: %s", run.pairs_file)
            return run.dataset
        llm, judge, within = settings.llm, settings.judge, settings.found_within
        return run.make_pairs(
            self.documents,
            None if llm is None else lambda: load_chat_model(llm),
            settings=settings.generation(),
            engine=self.engine,
            force=force,
            found_within=within,
            embeddings=None if within is None else load_embeddings(str(self.train.embeddings)),
            judge=None if judge is None else load_chat_model(judge),
        )

    def _train(self, load_embeddings: Callable[[str], Embeddings], force: bool) -> tuple[bool, str]:
        settings, name = self.train, str(self.train.embeddings)
        trained_on = self.run.settings.get("train", {}).get("pairs")
        if trained_on is not None and trained_on != self.run.pairs_digest:
            logger.info("the pairs have changed since the training: it is done anew")
            force = True
        return self.run.train(
            lambda: load_embeddings(name),
            embeddings=name,
            force=force,
            engine="local" if settings.adapter in ("two-layer", "low-rank") else self.engine,  # these train here
            **settings.stage(),
        )

    def _evaluate(self, load_embeddings: Callable[[str], Embeddings]) -> tuple[str, Mapping[str, Any]] | None:
        file = self.run.report_file
        if not len(self.run.test):
            logger.info("there is no question to test with: pseudo-questions are no test")
            return None
        if file.is_file() and file.with_suffix(".md").is_file():
            logger.info("kept: %s", file)
        else:
            self.run.evaluate(load_embeddings(str(self.train.embeddings)), engine=self.engine)
        return file.with_suffix(".md").read_text(encoding="utf-8"), read_json(file)

    def _page(self, load_embeddings: Callable[[str], Embeddings]) -> Path | None:
        if self.run.page_file.is_file():
            return self.run.page_file
        if find_spec("jinja2") is None:
            logger.info("no page: it needs jinja2 (pip install 'langchain-embedding-adapter[report]')")
            return None
        return self.run.write_page(load_embeddings(str(self.train.embeddings)))

    def _next(self, improved: bool, page: Path | None) -> tuple[tuple[str, str], ...]:
        folder = self.run.folder
        steps = [(f'embedding-adapter ask {folder} "…"', "what a question finds, base beside adapted")]
        if page is not None:
            steps.insert(0, (f"open {page}", "is it worth shipping? the report page"))
        if not len(self.run.test):
            if improved:
                examine = f"embedding-adapter evaluate {folder} --pairs real.csv"
                steps.append((examine, "a test with real questions (question,passage_id; ask --ids shows the ids)"))
            if self.train.validation is None:
                again = f"embedding-adapter run {folder} --validation real.csv --force"
                steps.append((again, "let real questions decide, even twenty (question,passage_id)"))
        if improved:
            loaded = f'AdaptedEmbeddings.from_pretrained("{folder}/adapter", embeddings)'
            steps.append((loaded, "in Python, what your retriever takes"))
        elif len(self.run.test):
            steps.append((f"embedding-adapter run {folder} …", "the base is kept: try more questions, or real ones"))
        return tuple(steps)

    def _planned_pairs(self) -> tuple[GenerationPlan | None, bool, int, Sequence[str]]:
        """What would be asked, whether the pairs are there, about how many questions, and the passages."""
        run, settings = self.run, self.pairs
        if self.train.pairs is not None or (run.pairs_file.is_file() and not self.documents):
            taken = self.train.pairs if self.train.pairs is not None else run.pairs_file
            dataset = QADataset.load(taken)
            return None, run.pairs_file.is_file(), len(dataset), list(dataset.corpus.values())
        chunks = run.cut(self.documents, settings.generation())
        passages = [chunk.page_content for chunk in chunks]
        if settings.pseudo:
            return None, run.pairs_file.is_file(), PSEUDO_QUESTIONS * len(chunks), passages
        plan = run.plan_pairs(self.documents, settings.prices, settings.generation())
        made = run.pairs_file.is_file() and not plan.calls
        return plan, made, plan.chunks * settings.questions_per_chunk, passages

    def _pairs_in_words(self, plan: GenerationPlan | None, questions: int, passages: Sequence[str]) -> str:
        if plan is not None:
            return (
                f"{plan.calls:,} calls to {self.pairs.llm} for {plan.chunks:,} chunks ({plan.answered:,} answered "
                f"already): about {plan.input_tokens:,} tokens in, {plan.output_tokens:,} out"
            )
        if self.documents:
            return f"cut about {questions:,} pseudo-questions from {len(passages):,} chunks"
        return f"{questions:,} questions about {len(passages):,} passages, at hand"


def _asker_before(run: Run, given: Mapping[str, Any]) -> dict[str, Any]:
    """Who wrote the run's questions, where nobody is named now."""
    before = run.settings.get("pairs", {})
    if "llm" in given or "pseudo" in given or "sources" not in before:
        return {}
    return {"pseudo": True} if before.get("llm") is None else {"llm": before["llm"]}
