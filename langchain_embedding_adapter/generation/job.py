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
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import Runnable

from langchain_embedding_adapter._files import read_json, write_json, write_jsonl
from langchain_embedding_adapter._progress import progress_bar
from langchain_embedding_adapter.chunks import document_of, with_ids
from langchain_embedding_adapter.generation.answers import AnswerFile
from langchain_embedding_adapter.generation.calls import Calls, OnAnswer
from langchain_embedding_adapter.generation.chain import digest, key_of, make_chain, read_answer, text_of
from langchain_embedding_adapter.generation.parts import lay_down_parts
from langchain_embedding_adapter.generation.prompts import JUDGE_PROMPT
from langchain_embedding_adapter.generation.second_look import found_again, says_no
from langchain_embedding_adapter.generation.settings import GenerationConfig
from langchain_embedding_adapter.generation.summary import GenerationPlan, GenerationSummary
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.pairs.files import Fields, add_chunk, add_questions, empty_fields
from langchain_embedding_adapter.questions.review import Review

logger = logging.getLogger(__name__)

FIELDS = ("chunk", "document", "text", "questions", "answer")
"""What every kept answer holds."""
TOKENS_OF_A_QUESTION = 25
"""Where no answer is at hand to tell."""


class Job:
    """One generation: what to ask, what has been answered, what is kept of it."""

    def __init__(
        self,
        documents: Iterable[Document],
        llm: Runnable[Any, Any] | None,
        path: str | Path | None,
        settings: GenerationConfig,
    ) -> None:
        if (llm is None) == (settings.chain is None):
            raise ValueError("expected either `llm` (any LangChain model) or `chain` (a whole Runnable)")
        if llm is not None and not isinstance(llm, Runnable):
            raise TypeError(f"expected a LangChain model as `llm`, got {type(llm).__name__}")
        self.started = time.monotonic()
        self.settings = settings
        self.every_chunk = with_ids(documents)
        if not self.every_chunk:
            raise ValueError("there is no document to write questions about: expected at least one with text")
        wordings = settings.mix.wordings(self.every_chunk)
        asked = _spread(len(self.every_chunk), settings.limit)
        self.chunks = [self.every_chunk[row] for row in asked]
        self.wordings = [wordings[row] for row in asked]
        self.keys = [
            key_of(chunk, wording, settings) for chunk, wording in zip(self.chunks, self.wordings, strict=True)
        ]
        self.chain = settings.chain or make_chain(llm, settings)
        self.calls = Calls(settings.call_limits)
        self.path = None if path is None else Path(path)
        self.answers = AnswerFile(path, FIELDS)
        self.verdicts = AnswerFile(None if self.path is None else self.path.with_suffix(".judged.jsonl"), ("answer",))
        self.parts: dict[str, str] = {}
        self.asked = 0
        self.origin = {
            "how": "written by a language model",
            **({} if llm is None else {"model": _model_of(llm)}),
            "prompt": "" if settings.chain is not None else _template(self.wordings[0].prompt),
            "styles": sorted({wording.style.name for wording in self.wordings}),
            "questions_per_chunk": settings.questions_per_chunk,
        }

    @contextmanager
    def asking(self, show_progress: bool | None) -> Iterator[tuple[list[Any], OnAnswer]]:
        """The inputs that have no answer yet, and where their answers go."""
        with self.answers:
            self._lay_down_parts()
            pending = [row for row, key in enumerate(self.keys) if key not in self.answers.answers]
            self.asked = len(pending)
            if len(pending) < len(self.chunks):
                known = len(self.chunks) - len(pending)
                logger.info("%d of %d chunks are answered in %s", known, len(self.chunks), self.path)
            with progress_bar(len(pending), "questions", "chunk", show_progress) as bar:

                def keep(position: int, output: Any) -> None:
                    self.answers.append(self._row(pending[position], output))
                    bar.update()

                yield [self._input(row) for row in pending], keep

    @contextmanager
    def judging(self, review: Review, show_progress: bool | None) -> Iterator[tuple[list[Any], OnAnswer]]:
        """The questions on which there is no second opinion yet, and where it goes; then those it is against go."""
        questions = review.questions
        keys = [digest("judge", review.passage(chunk), question) for chunk, question in questions]
        with self.verdicts:
            pending = [row for row, key in enumerate(keys) if key not in self.verdicts.answers]
            with progress_bar(len(pending), "judging", "question", show_progress) as bar:

                def keep(position: int, output: Any) -> None:
                    self.verdicts.append({"key": keys[pending[position]], "answer": text_of(output)})
                    bar.update()

                inputs = [
                    {"passage": review.passage(questions[row][0]), "question": questions[row][1]} for row in pending
                ]
                yield inputs, keep
            answers = [self.verdicts.answers.get(key, {}).get("answer", "") for key in keys]
        if "" in answers:
            logger.warning("%d questions are kept without a second opinion: none came", answers.count(""))
        review.keep_if([not says_no(answer) for answer in answers], "unanswerable")

    @property
    def judge(self) -> Runnable[Any, Any]:
        """The chain of the second opinion."""
        if self.settings.judge is None:
            raise ValueError("there is no judge")
        return JUDGE_PROMPT | self.settings.judge

    def review(self) -> Review:
        """The questions of all answers, by the rules."""
        rows = [self.answers.answers[key] for key in self.keys if key in self.answers.answers]
        return Review(rows, self.settings.rules)

    def dataset(self, review: Review) -> QADataset:
        """The pairs that are kept, in the order of the documents; what was not, and why, goes beside the answers."""
        within, embeddings = self.settings.found_within, self.settings.embeddings
        if within is not None and embeddings is not None:
            dataset = QADataset(**self._fields(review))
            review.keep_if(found_again(dataset, embeddings, within, self.settings.cache), "not found")
        summary = self._summary(review)
        if self.path is not None:
            write_jsonl(self.path.with_suffix(".rejected.jsonl"), review.rejected)
            write_json(self.path.with_suffix(".summary.json"), summary.to_dict())
        logger.info("%s", summary)
        self._complain(summary)
        origin = {**self.origin, "chunks": summary.chunks, "turned_down": summary.rejected}
        return QADataset(**self._fields(review), origin=origin)

    def plan(self, prices: tuple[float, float] | None) -> GenerationPlan:
        """What is left to ask."""
        pending = [row for row, key in enumerate(self.keys) if key not in self.answers.answers]
        prompts = [self._messages(row) for row in pending]
        known = [row["answer"] for row in self.answers.answers.values()]
        each = TOKENS_OF_A_QUESTION * self.settings.questions_per_chunk
        if known:
            each = sum(count_tokens_approximately([answer]) for answer in known) // len(known)
        tokens = sum(map(count_tokens_approximately, prompts)), each * len(pending)
        cost = None if prices is None else sum(n * price for n, price in zip(tokens, prices, strict=True)) / 1e6
        first = prompts[0] if prompts else self._messages(0)
        return GenerationPlan(
            chunks=len(self.chunks),
            answered=len(self.chunks) - len(pending),
            calls=len(pending),
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            cost=cost,
            styles=dict(Counter(self.wordings[row].style.name for row in pending)),
            prompt="\n\n".join(f"{message.type}: {message.text}" for message in first),
        )

    def _lay_down_parts(self) -> None:
        """Say which part each chunk is for, if that was ever asked for; it is kept beside the answers."""
        settings = self.settings
        file = None if self.path is None else self.path.with_suffix(".parts.json")
        self.parts = read_json(file) if file is not None and file.is_file() else {}
        if settings.test_size or settings.validation_size:
            self.parts |= lay_down_parts(
                self.every_chunk, settings.test_size, settings.validation_size, seed=settings.seed, known=self.parts
            )
            if file is not None:
                write_json(file, self.parts)

    def _input(self, row: int) -> Any:
        if self.settings.chain is None:
            return self.wordings[row]
        return {
            "passage": self.chunks[row].page_content,
            "questions_per_chunk": self.settings.questions_per_chunk,
        }

    def _messages(self, row: int) -> list[BaseMessage]:
        if self.settings.chain is not None:
            return [HumanMessage(self.chunks[row].page_content)]
        wording = self.wordings[row]
        return wording.prompt.format_prompt(**wording.variables).to_messages()

    def _row(self, row: int, output: Any) -> dict[str, Any]:
        """What is kept of an answer."""
        chunk, wording = self.chunks[row], self.wordings[row]
        found: dict[str, Any] = {
            "key": self.keys[row],
            "chunk": chunk.id,
            "document": document_of(chunk),
            "text": chunk.page_content,
            "style": wording.style.name,
            "form": wording.style.form,
            "wanted": self.settings.questions_per_chunk,
        }
        if wording.also is not None:
            found["also"] = {"chunk": wording.also.id, "text": wording.also.page_content}
        return found | read_answer(output)

    def _fields(self, review: Review) -> Fields:
        fields = empty_fields()
        for chunk in self.every_chunk:
            add_chunk(fields, str(chunk.id), chunk.page_content, document_of(chunk))
        for chunk in self.chunks:
            if chunk.id in review.rows:
                add_questions(fields, review, str(chunk.id), self.parts.get(str(chunk.id)))
        return fields

    def _summary(self, review: Review) -> GenerationSummary:
        failed = Counter(type(error).__name__ for error in self.calls.failures)
        styles = Counter(str(review.rows[chunk].get("style", "")) for chunk, _ in review.questions)
        return GenerationSummary(
            chunks=len(self.chunks),
            answered=len(review.rows),
            asked=self.asked,
            questions=len(review.questions),
            rejected=review.reasons,
            without=sum(not kept for kept in review.kept.values()),
            failed=dict(failed),
            calls=self.calls.calls,
            retries=self.calls.retries,
            input_tokens=self.calls.tokens["input"],
            output_tokens=self.calls.tokens["output"],
            seconds=time.monotonic() - self.started,
            styles=dict(styles),
            stopped=self.calls.stopped,
        )

    def _complain(self, summary: GenerationSummary) -> None:
        """Log what is amiss, and raise what the caller has to act on."""
        failures, kept = self.calls.failures, f"; {self.path} keeps the {summary.answered} answers" * bool(self.path)
        if self.calls.fatal is not None:
            raise RuntimeError(
                f"stopped after {self.calls.calls} calls, {self.calls.stopped}: {self.calls.fatal!r}{kept}, and a "
                "rerun goes on from there"
            ) from self.calls.fatal
        if failures and not summary.answered:
            raise RuntimeError(
                f"all {len(failures)} calls of the model failed; the first error: {failures[0]!r}"
            ) from failures[0]
        missing = summary.chunks - summary.answered
        if missing:
            why = f"first error: {failures[0]!r}" if failures else self.calls.stopped
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
            example = next(self.answers.answers[key] for key in self.keys if key in self.answers.answers)["answer"]
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
