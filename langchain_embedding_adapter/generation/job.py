"""One generation: what to ask, what has been answered, what is kept of it."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import Runnable

from langchain_embedding_adapter._progress import progress_bar
from langchain_embedding_adapter.chunks import document_of, with_ids
from langchain_embedding_adapter.engines import RayEngine
from langchain_embedding_adapter.generation.account import Bill
from langchain_embedding_adapter.generation.asked import ChunkAsk, ChunkAsker, VerdictAsk, VerdictAsker
from langchain_embedding_adapter.generation.calls import Calls
from langchain_embedding_adapter.generation.chain import make_chain
from langchain_embedding_adapter.generation.chunk_files import read_chunks
from langchain_embedding_adapter.generation.parts import lay_down_parts
from langchain_embedding_adapter.generation.places import Place
from langchain_embedding_adapter.generation.prompts import JUDGE_PROMPT
from langchain_embedding_adapter.generation.second_look import found_again, says_no
from langchain_embedding_adapter.generation.settings import GenerationConfig
from langchain_embedding_adapter.generation.stages import Failure, Stage
from langchain_embedding_adapter.generation.summary import GenerationPlan, GenerationSummary
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.pairs.files import Fields, add_chunk, add_questions, empty_fields
from langchain_embedding_adapter.questions.review import Review

logger = logging.getLogger(__name__)

TOKENS_OF_A_QUESTION = 25
"""Where no answer is at hand to tell."""


class Job:
    """One generation: what to ask, what has been answered, what is kept of it."""

    def __init__(
        self,
        documents: Iterable[Document] | str | Path,
        llm: Runnable[Any, Any] | None,
        path: str | Path | None,
        settings: GenerationConfig,
        engine: RayEngine | None = None,
    ) -> None:
        if (llm is None) == (settings.chain is None):
            raise ValueError("expected either `llm` (any LangChain model) or `chain` (a whole Runnable)")
        if llm is not None and not isinstance(llm, Runnable):
            raise TypeError(f"expected a LangChain model as `llm`, got {type(llm).__name__}")
        self.started = time.monotonic()
        self.settings = settings
        self.place = Place(path, on_ray=engine is not None)
        self.every_chunk = with_ids(read_chunks(documents) if isinstance(documents, (str, Path)) else documents)
        if not self.every_chunk:
            raise ValueError("there is no document to write questions about: expected at least one with text")
        self.asker = ChunkAsker(settings.mix, settings.questions_per_chunk, whole=settings.chain is not None)
        asks = self.asker.of_chunks(self.every_chunk)
        self.asks = [asks[row] for row in _spread(len(asks), settings.limit)]
        self.chain = settings.chain or make_chain(llm, settings)
        self.calls = Calls(settings.call_limits)
        self.answers, self.verdicts = self.place.answers(), self.place.verdicts()
        self.failures: list[Failure] = []
        self.bill: Bill | None = None
        self.parts: dict[str, str] = {}
        self.asked = 0
        self.origin = {
            "how": "written by a language model",
            **({} if llm is None else {"model": _model_of(llm)}),
            "prompt": "" if settings.chain is not None else _template(self.asks[0].wording.prompt),
            "styles": sorted({ask.wording.style.name for ask in self.asks}),
            "questions_per_chunk": settings.questions_per_chunk,
        }

    @contextmanager
    def asking(self, show_progress: bool | None) -> Iterator[Stage]:
        """What has no answer yet, and where the answers go."""
        with self.answers:
            self.place.take_over("answers", self.answers)
            self._lay_down_parts()
            pending = self._pending()
            self.asked = len(pending)
            if len(pending) < len(self.asks):
                known = len(self.asks) - len(pending)
                logger.info("%d of %d chunks are answered in %s", known, len(self.asks), self.place)
            with progress_bar(len(pending), "questions", "chunk", show_progress) as bar:
                yield Stage("answers", self.chain, pending, self.asker, self.answers, self.failures, bar.update)

    @contextmanager
    def judging(self, review: Review, show_progress: bool | None) -> Iterator[Stage]:
        """The questions on which there is no second opinion yet, and where it goes; then those it is against go."""
        if self.settings.judge is None:
            raise ValueError("there is no judge")
        chain = JUDGE_PROMPT | self.settings.judge
        asks = [VerdictAsk(chunk, review.passage(chunk), question) for chunk, question in review.questions]
        with self.verdicts:
            self.place.take_over("judged", self.verdicts)
            pending = [ask for ask in asks if ask.key not in self.verdicts.answers]
            with progress_bar(len(pending), "judging", "question", show_progress) as bar:
                yield Stage("judged", chain, pending, VerdictAsker(), self.verdicts, self.failures, bar.update)
            answers = [self.verdicts.answers.get(ask.key, {}).get("answer", "") for ask in asks]
        if "" in answers:
            logger.warning("%d questions are kept without a second opinion: none came", answers.count(""))
        review.keep_if([not says_no(answer) for answer in answers], "unanswerable")

    def review(self) -> Review:
        """The questions of all answers, by the rules."""
        rows = [self.answers.answers[ask.key] for ask in self.asks if ask.key in self.answers.answers]
        return Review(rows, self.settings.rules)

    def dataset(self, review: Review) -> QADataset:
        """The pairs that are kept, in the order of the documents; what was not, and why, goes beside the answers."""
        within, embeddings = self.settings.found_within, self.settings.embeddings
        if within is not None and embeddings is not None:
            dataset = QADataset(**self._fields(review))
            review.keep_if(found_again(dataset, embeddings, within, self.settings.cache), "not found")
        summary = self._summary(review)
        self.place.write("rejected.jsonl", review.rejected)
        self.place.write("summary.json", summary.to_dict())
        if self.failures:
            self.place.write("failed.jsonl", [failure.to_dict() for failure in self.failures])
        else:
            self.place.take_away("failed.jsonl")
        logger.info("%s", summary)
        self._complain(summary)
        origin = {**self.origin, "chunks": summary.chunks, "turned_down": summary.rejected}
        return QADataset(**self._fields(review), origin=origin)

    def plan(self, prices: tuple[float, float] | None) -> GenerationPlan:
        """What is left to ask."""
        pending = self._pending()
        prompts = [ask.messages() for ask in pending]
        known = [row["answer"] for row in self.answers.answers.values()]
        each = TOKENS_OF_A_QUESTION * self.settings.questions_per_chunk
        if known:
            each = sum(count_tokens_approximately([answer]) for answer in known) // len(known)
        tokens = sum(map(count_tokens_approximately, prompts)), each * len(pending)
        cost = None if prices is None else sum(n * price for n, price in zip(tokens, prices, strict=True)) / 1e6
        first = prompts[0] if prompts else self.asks[0].messages()
        return GenerationPlan(
            chunks=len(self.asks),
            answered=len(self.asks) - len(pending),
            calls=len(pending),
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            cost=cost,
            styles=dict(Counter(ask.wording.style.name for ask in pending)),
            prompt="\n\n".join(f"{message.type}: {message.text}" for message in first),
        )

    def _pending(self) -> list[ChunkAsk]:
        return [ask for ask in self.asks if ask.key not in self.answers.answers]

    def _lay_down_parts(self) -> None:
        """Say which part each chunk is for, if that was ever asked for; it is kept beside the answers."""
        settings = self.settings
        self.parts = self.place.read("parts.json") or {}
        if settings.test_size or settings.validation_size:
            self.parts |= lay_down_parts(
                self.every_chunk, settings.test_size, settings.validation_size, seed=settings.seed, known=self.parts
            )
            self.place.write("parts.json", self.parts)

    def _fields(self, review: Review) -> Fields:
        fields = empty_fields()
        for chunk in self.every_chunk:
            add_chunk(fields, str(chunk.id), chunk.page_content, document_of(chunk))
        for ask in self.asks:
            chunk_id = str(ask.chunk.id)
            if chunk_id in review.rows:
                add_questions(fields, review, chunk_id, self.parts.get(chunk_id))
        return fields

    def _summary(self, review: Review) -> GenerationSummary:
        styles = Counter(str(review.rows[chunk].get("style", "")) for chunk, _ in review.questions)
        bill = self.bill or self.calls.account.bill()
        return GenerationSummary(
            chunks=len(self.asks),
            answered=len(review.rows),
            asked=self.asked,
            questions=len(review.questions),
            rejected=review.reasons,
            without=sum(not kept for kept in review.kept.values()),
            failed=dict(Counter(failure.error for failure in self.failures)),
            calls=bill.calls,
            retries=self.calls.retries if self.bill is None else bill.spent.retries,
            input_tokens=self.calls.tokens["input"] if self.bill is None else bill.spent.input_tokens,
            output_tokens=self.calls.tokens["output"] if self.bill is None else bill.spent.output_tokens,
            seconds=time.monotonic() - self.started,
            styles=dict(styles),
            stopped=bill.stopped,
        )

    def _complain(self, summary: GenerationSummary) -> None:
        """Log what is amiss, and raise what the caller has to act on."""
        fatal = (self.bill or self.calls.account.bill()).fatal
        failures, here = self.failures, self.calls.failures
        kept = f"; {self.place} keeps the {summary.answered} answers" * bool(str(self.place))
        if fatal is not None:
            raise RuntimeError(
                f"stopped after {summary.calls} calls, {summary.stopped}: {fatal}{kept}, and a rerun goes on from there"
            ) from self.calls.fatal
        if failures and not summary.answered:
            raise RuntimeError(f"all {len(failures)} calls of the model failed; the first error: {failures[0]}") from (
                here[0] if here else None
            )
        missing = summary.chunks - summary.answered
        if missing:
            why = f"first error: {failures[0]}" if failures else summary.stopped
            logger.warning(
                "%d of %d chunks got no answer and are left without questions (%s); a rerun with the same path asks "
                "for them again",
                missing,
                summary.chunks,
                why,
            )
        if summary.without:
            logger.warning("of %d answers no question is left", summary.without)
        if not summary.questions and summary.answered:
            answers = self.answers.answers
            example = next(answers[ask.key] for ask in self.asks if ask.key in answers)["answer"]
            reasons = ", ".join(f"{reason}: {count}" for reason, count in summary.rejected.items())
            raise ValueError(
                f"no answer held a usable question ({reasons or 'nothing that reads like one'}); the first answer was: "
                f"{example[:200]!r}"
            )


def _model_of(llm: Any) -> str:
    """The name of the model within what binds it, repeats its calls or has others to fall back on."""
    while (inner := getattr(llm, "bound", None) or getattr(llm, "runnable", None)) is not None:
        llm = inner
    return model_name(llm)


def _template(prompt: Any) -> str:
    """The words of a prompt, its variables in braces; nothing of one that has no words."""
    words = getattr(prompt, "pretty_repr", str)()
    return str(words).strip()


def _spread(count: int, limit: int | None) -> list[int]:
    """All numbers below ``count``, or ``limit`` of them, evenly apart."""
    if limit is None or limit >= count:
        return list(range(count))
    return [int((number + 0.5) * count / limit) for number in range(limit)]
