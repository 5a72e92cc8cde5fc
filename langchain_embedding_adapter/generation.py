"""Chunks to question–passage pairs through an LLM chain.

``prompt | model | parser``, each part replaceable, run over the chunks with bounded concurrency. With a ``path`` every
answer is on disk the moment it comes, and a second run asks only for what is missing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import BasePromptTemplate, ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableParallel

from langchain_embedding_adapter._files import write_atomically
from langchain_embedding_adapter._progress import progress_bar
from langchain_embedding_adapter.chunks import document_of, with_ids
from langchain_embedding_adapter.pair_files import Fields, add_answer
from langchain_embedding_adapter.pairs import QADataset
from langchain_embedding_adapter.parsing import QuestionParser, questions_in

logger = logging.getLogger(__name__)

DEFAULT_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            "You write the questions that people put to a search over a collection of documents. "
            "You answer with the questions alone, one a line.",
        ),
        (
            "human",
            "Passage:\n\n{passage}\n\n"
            "Write {questions_per_chunk} different questions that this passage answers. Ask as somebody would who has "
            "the problem and has not read the passage: in their own everyday words, in the passage's language, "
            "specific enough that no other passage answers as well. Do not mention the passage.",
        ),
    ]
)
"""The prompt that is used unless another is given; its variables are ``passage`` and ``questions_per_chunk``."""


def generate_qa_pairs(
    documents: Iterable[Document],
    llm: Runnable[Any, Any] | None = None,
    *,
    questions_per_chunk: int = 2,
    prompt: BasePromptTemplate[Any] | str | None = None,
    chain: Runnable[dict[str, Any], Any] | None = None,
    max_concurrency: int = 16,
    path: str | Path | None = None,
    config: RunnableConfig | None = None,
    show_progress: bool | None = None,
) -> QADataset:
    """Let an LLM write questions about each document.

    Args:
        documents: The chunks of a collection, as LangChain ``Document`` objects. ``metadata["source"]`` (or
            ``"document_id"``) says which document a chunk was cut from; splits keep a document together.
        llm: Any LangChain chat model or LLM, also one bound, with retries or with fallbacks.
        questions_per_chunk: How many questions to ask for; further ones in an answer are left out.
        prompt: In place of :data:`DEFAULT_PROMPT`: a prompt template, or its text, with the variables ``{passage}`` and
            ``{questions_per_chunk}``.
        chain: In place of ``llm`` and ``prompt``: a whole Runnable that takes ``{"passage": …,
            "questions_per_chunk": …}`` and returns text, a message, a list of questions, or an object with a list
            ``questions`` (structured output, say).
        max_concurrency: How many chunks are asked about at the same time.
        path: A ``.jsonl`` file for the answers, one line a chunk, written as they come. Where it exists, only chunks
            that it has no answer for (same text, prompt and number of questions) are asked about.
        config: Passed to the chain: callbacks, tags, metadata, tracing.
        show_progress: A progress bar; by default where standard error is a terminal.

    Returns:
        The questions, with every document as a passage, those without a usable question too.

    Raises:
        ValueError: If neither or both of ``llm`` and ``chain`` are given, the prompt lacks ``{passage}``, there is no
            document, or no answer held a question.
        RuntimeError: If every call failed; the first error is its cause. Where some succeed, the failures are
            logged, and a rerun with the same ``path`` asks for them again.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> llm = FakeListChatModel(responses=["1. How long is a year on Mars?"])
        >>> dataset = generate_qa_pairs([Document("A Mars year lasts 687 days.")], llm)
        >>> list(dataset.queries.values())
        ['How long is a year on Mars?']
    """
    job = _Job(documents, llm, questions_per_chunk, prompt, chain, path)
    with job, progress_bar(len(job.pending), "questions", "chunk", show_progress) as bar:
        # Each call is given its own place in the batch; results arrive in the order in which they are finished.
        answers = job.chain.batch_as_completed(job.inputs, _with_limit(config, max_concurrency), return_exceptions=True)
        for position, answer in answers if job.inputs else ():
            job.record(position, answer)
            bar.update()
    return job.dataset()


async def agenerate_qa_pairs(
    documents: Iterable[Document],
    llm: Runnable[Any, Any] | None = None,
    *,
    questions_per_chunk: int = 2,
    prompt: BasePromptTemplate[Any] | str | None = None,
    chain: Runnable[dict[str, Any], Any] | None = None,
    max_concurrency: int = 16,
    path: str | Path | None = None,
    config: RunnableConfig | None = None,
    show_progress: bool | None = None,
) -> QADataset:
    """The asynchronous :func:`generate_qa_pairs`: same arguments, result and errors, through ``ainvoke``."""
    job = _Job(documents, llm, questions_per_chunk, prompt, chain, path)
    with job, progress_bar(len(job.pending), "questions", "chunk", show_progress) as bar:
        if job.inputs:
            limited = _with_limit(config, max_concurrency)
            async for position, answer in job.chain.abatch_as_completed(job.inputs, limited, return_exceptions=True):
                job.record(position, answer)
                bar.update()
    return job.dataset()


class _Job:
    """One generation: what to ask, what has been answered, what failed."""

    def __init__(
        self,
        documents: Iterable[Document],
        llm: Runnable[Any, Any] | None,
        questions_per_chunk: int,
        prompt: BasePromptTemplate[Any] | str | None,
        chain: Runnable[dict[str, Any], Any] | None,
        path: str | Path | None,
    ) -> None:
        if questions_per_chunk < 1:
            raise ValueError(f"questions_per_chunk must be at least 1, got {questions_per_chunk}")
        self.chunks = with_ids(documents)
        if not self.chunks:
            raise ValueError("there is no document to write questions about: expected at least one with text")
        self.questions_per_chunk = questions_per_chunk
        self.chain, wording = _chain(llm, prompt, chain)
        self.keys = [_key(chunk, wording, questions_per_chunk) for chunk in self.chunks]
        self.log = _AnswerLog(path)
        self.pending = [row for row, key in enumerate(self.keys) if key not in self.log.answers]
        self.inputs = [
            {"passage": self.chunks[row].page_content, "questions_per_chunk": questions_per_chunk}
            for row in self.pending
        ]
        self.failures: list[Exception] = []
        if len(self.pending) < len(self.chunks):
            logger.info(
                "%d of %d chunks are answered in %s", len(self.chunks) - len(self.pending), len(self.chunks), path
            )

    def __enter__(self) -> _Job:
        self.log.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.log.close()

    def record(self, position: int, answer: dict[str, Any] | Exception) -> None:
        """Keep the answer to the input at ``position``, or the error in its place."""
        if isinstance(answer, Exception):
            self.failures.append(answer)
            return
        row = self.pending[position]
        chunk = self.chunks[row]
        self.log.append(
            {
                "key": self.keys[row],
                "chunk": chunk.id,
                "document": document_of(chunk),
                "text": chunk.page_content,
                "questions": answer["questions"][: self.questions_per_chunk],
                "answer": answer["answer"],
            }
        )

    def dataset(self) -> QADataset:
        """The pairs of all answers, in the order of the documents."""
        if self.failures and len(self.failures) == len(self.chunks):
            raise RuntimeError(
                f"all {len(self.failures)} calls of the model failed; the first error: {self.failures[0]!r}"
            ) from self.failures[0]
        if self.failures:
            logger.warning(
                "%d of %d chunks got no answer and are left without questions (first error: %r); "
                "a rerun with the same path asks for them again",
                len(self.failures),
                len(self.chunks),
                self.failures[0],
            )
        fields: Fields = {"queries": {}, "corpus": {}, "relevant_docs": {}, "documents": {}}
        silent = 0
        for key, chunk in zip(self.keys, self.chunks, strict=True):
            answered = self.log.answers.get(key)
            questions = answered["questions"] if answered else []
            silent += answered is not None and not questions
            add_answer(fields, str(chunk.id), chunk.page_content, document_of(chunk), questions)
        if silent:
            logger.warning("%d answers held no question", silent)
        if not fields["queries"]:
            example = next(self.log.answers[key] for key in self.keys if key in self.log.answers)["answer"]
            raise ValueError(f"no answer held a question; the first one was: {example[:200]!r}")
        return QADataset(**fields)


_ROW = ("key", "chunk", "document", "text", "questions", "answer")
_ROW_START = b'{"key": "'


class _AnswerLog:
    """The answers so far, in memory and, given a path, in a JSONL file that grows a line an answer."""

    def __init__(self, path: str | Path | None) -> None:
        self.path = Path(path) if path is not None else None
        self.answers: dict[str, dict[str, Any]] = {}
        self._file: Any = None
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def _read(self, path: Path) -> None:
        lines = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                self.answers[row["key"]] = {name: row[name] for name in _ROW}
            except (ValueError, KeyError, TypeError) as error:
                ours = line[: len(_ROW_START)] == _ROW_START[: len(line)]
                if number == len(lines) and isinstance(error, ValueError) and ours:  # a write was cut off here
                    logger.warning("%s ends in half a line; that answer is asked for again", path)
                    write_atomically(path, b"".join(kept + b"\n" for kept in lines[:-1]))
                    return
                raise ValueError(
                    f"{path}, line {number}, is no generated answer; expected the file that an earlier "
                    "generate_qa_pairs(path=…) wrote, or a path where there is none"
                ) from error

    def open(self) -> None:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"", b"\n")
            self._file = self.path.open("a", encoding="utf-8")
            if not whole:  # a write was cut off between an answer and its newline
                self._file.write("\n")

    def append(self, row: dict[str, Any]) -> None:
        self.answers[row["key"]] = row
        if self._file is not None:
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _chain(
    llm: Runnable[Any, Any] | None,
    prompt: BasePromptTemplate[Any] | str | None,
    chain: Runnable[dict[str, Any], Any] | None,
) -> tuple[Runnable[dict[str, Any], dict[str, Any]], str]:
    """The chain from a passage to ``{"answer": text, "questions": list}``, and the wording its answers depend on."""
    if (llm is None) == (chain is None):
        raise ValueError("expected either `llm` (any LangChain model) or `chain` (a whole Runnable)")
    if chain is not None:
        if prompt is not None:
            raise ValueError("`prompt` goes with `llm`; a whole `chain` brings its own")
        read: Runnable[Any, dict[str, Any]] = RunnableLambda(
            lambda output: {"answer": _text(output), "questions": questions_in(output)}
        )
        return chain | read, "chain"
    template: BasePromptTemplate[Any] = DEFAULT_PROMPT
    if prompt is not None:
        template = ChatPromptTemplate.from_template(prompt) if isinstance(prompt, str) else prompt
    variables = set(template.input_variables)
    if "passage" not in variables or variables - {"passage", "questions_per_chunk"}:
        raise ValueError(
            "expected a prompt with the variables {passage} and {questions_per_chunk}, "
            f"got {', '.join(sorted(variables)) or 'none'}"
        )
    if not isinstance(llm, Runnable):
        raise TypeError(f"expected a LangChain model as `llm`, got {type(llm).__name__}")
    both = RunnableParallel(answer=StrOutputParser(), questions=QuestionParser())
    placeholders = {variable: f"{{{variable}}}" for variable in variables}
    return template | llm | both, template.format_prompt(**placeholders).to_string()


def _key(chunk: Document, wording: str, questions_per_chunk: int) -> str:
    """What an answer depends on, as a hash: the text, the prompt and the number of questions."""
    content = json.dumps([chunk.id, chunk.page_content, wording, questions_per_chunk])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _text(output: Any) -> str:
    """A chain's output as text, for the record."""
    text = getattr(output, "text", output)
    return text if isinstance(text, str) else repr(output)


def _with_limit(config: RunnableConfig | None, max_concurrency: int) -> RunnableConfig:
    if max_concurrency < 1:
        raise ValueError(f"max_concurrency must be at least 1, got {max_concurrency}")
    return RunnableConfig(**{"max_concurrency": max_concurrency, **(config or {})})
