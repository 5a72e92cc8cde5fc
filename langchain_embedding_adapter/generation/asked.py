"""What a model is asked, one thing at a time: about a chunk, or whether a passage answers a question.

Each can be written as a row of JSON and read again elsewhere, to the same prompt under the same key: the wording of a
chunk depends on the seed, its id and the chunk after it, and on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_embedding_adapter.chunks import document_of
from langchain_embedding_adapter.generation.chain import digest, filled, read_answer, text_of
from langchain_embedding_adapter.generation.prompts import PromptMix, Wording, neighbour_of

Row = dict[str, Any]


class Ask(Protocol):
    """One thing that a model is asked."""

    @property
    def key(self) -> str:
        """What the answer depends on."""

    @property
    def input(self) -> Any:
        """What the chain takes."""

    def answer(self, output: Any) -> Row:
        """What is kept of an answer."""

    def as_row(self) -> Row:
        """This as JSON can hold it."""

    def about(self) -> Row:
        """Which it was, for the record."""


class Asker(Protocol):
    """What makes the things to ask from their rows; it can be pickled."""

    def from_row(self, row: Row) -> Ask:
        """The inverse of :meth:`Ask.as_row`."""


@dataclass(frozen=True)
class ChunkAsk:
    """Questions about a chunk.

    Attributes:
        key: What the answer depends on: the chunk and the filled-in prompt.
        chunk: The chunk.
        wording: What it is asked with.
        wanted: How many questions.
        whole: Whether a whole chain is asked, which has its own prompt.
        neighbour: The chunk after it, if that may have a say in the wording.
    """

    key: str
    chunk: Document
    wording: Wording
    wanted: int
    whole: bool
    neighbour: Document | None = None

    @property
    def input(self) -> Any:
        """What the chain takes."""
        if self.whole:
            return {"passage": self.chunk.page_content, "questions_per_chunk": self.wanted}
        return self.wording

    def messages(self) -> list[BaseMessage]:
        """The prompt, as far as it is known."""
        return [HumanMessage(self.chunk.page_content)] if self.whole else filled(self.wording).to_messages()

    def answer(self, output: Any) -> Row:
        """What is kept of an answer."""
        style = self.wording.style
        found: Row = {
            "key": self.key,
            "chunk": self.chunk.id,
            "document": document_of(self.chunk),
            "text": self.chunk.page_content,
            "style": style.name,
            "form": style.form,
            "wanted": self.wanted,
        }
        if self.wording.also is not None:
            found["also"] = {"chunk": self.wording.also.id, "text": self.wording.also.page_content}
        return found | read_answer(output)

    def as_row(self) -> Row:
        """This as JSON can hold it."""
        neighbour = self.neighbour
        return {
            "key": self.key,
            "chunk": self.chunk.id,
            "document": document_of(self.chunk),
            "text": self.chunk.page_content,
            "next": None if neighbour is None else {"chunk": neighbour.id, "text": neighbour.page_content},
        }

    def about(self) -> Row:
        """Which it was, for the record."""
        return {"chunk": self.chunk.id}


class ChunkAsker:
    """Makes what is asked about chunks.

    Args:
        mix: Chooses the wordings.
        wanted: How many questions are asked for.
        whole: Whether a whole chain is asked.
    """

    def __init__(self, mix: PromptMix, wanted: int, *, whole: bool) -> None:
        self._mix, self._wanted, self._whole = mix, wanted, whole
        self._joins = any(style.joins for style in mix.styles)

    def of_chunks(self, chunks: list[Document]) -> list[ChunkAsk]:
        """What is asked about each chunk, chunks in the order of their documents."""
        return [self._of(chunk, neighbour_of(chunks, row)) for row, chunk in enumerate(chunks)]

    def from_row(self, row: Row) -> ChunkAsk:
        """The inverse of :meth:`ChunkAsk.as_row`.

        Raises:
            ValueError: If the prompt comes out as another.
        """
        following = row["next"]
        metadata = {} if row["document"] is None else {"document_id": row["document"]}
        ask = self._of(
            Document(row["text"], id=row["chunk"], metadata=metadata),
            None if following is None else Document(following["text"], id=following["chunk"]),
        )
        if ask.key != row["key"]:
            raise ValueError(
                f"the prompt about chunk {row['chunk']!r} comes out as another here than where the run began; expected "
                "the same versions of Python, LangChain and this package on all machines"
            )
        return ask

    def _of(self, chunk: Document, neighbour: Document | None) -> ChunkAsk:
        wording = self._mix.wording(chunk, neighbour)
        if self._whole:
            key = digest("chain", chunk.id, chunk.page_content, self._wanted)
        else:
            key = digest(chunk.id, filled(wording).to_string())
        return ChunkAsk(key, chunk, wording, self._wanted, self._whole, neighbour if self._joins else None)


@dataclass(frozen=True)
class VerdictAsk:
    """Whether a passage answers a question about a chunk.

    Attributes:
        chunk: The chunk's id.
        passage: The passage.
        question: The question.
    """

    chunk: str
    passage: str
    question: str

    @property
    def key(self) -> str:
        """What the verdict depends on."""
        return digest("judge", self.passage, self.question)

    @property
    def input(self) -> Any:
        """What the judge's chain takes."""
        return {"passage": self.passage, "question": self.question}

    def answer(self, output: Any) -> Row:
        """What is kept of a verdict."""
        return {"key": self.key, "answer": text_of(output)}

    def as_row(self) -> Row:
        """This as JSON can hold it."""
        return {"chunk": self.chunk, "passage": self.passage, "question": self.question}

    def about(self) -> Row:
        """Which it was, for the record."""
        return {"chunk": self.chunk, "question": self.question}


class VerdictAsker:
    """Makes what a judge is asked."""

    def from_row(self, row: Row) -> VerdictAsk:
        """The inverse of :meth:`VerdictAsk.as_row`."""
        return VerdictAsk(**row)
