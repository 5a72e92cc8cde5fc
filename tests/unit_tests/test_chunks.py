"""Documents get stable ids, and each is kept once."""

from __future__ import annotations

import logging

import pytest
from langchain_core.documents import Document

from langchain_embedding_adapter.chunks import document_of, text_id, with_ids


def test_an_id_depends_on_the_text_alone() -> None:
    first, again = with_ids([Document("Mars is red.", metadata={"page": 1})]), with_ids([Document("Mars is red.")])
    assert first[0].id == again[0].id == text_id("Mars is red.")
    assert text_id("Mars is red.") != text_id("Mars is red")


def test_the_document_itself_stays_as_it_was() -> None:
    document = Document("Mars is red.", metadata={"source": "mars.md"})
    (chunk,) = with_ids([document])
    assert document.id is None
    assert (chunk.page_content, chunk.metadata) == ("Mars is red.", {"source": "mars.md"})


def test_an_own_id_is_kept_and_so_is_the_order() -> None:
    chunks = with_ids(Document(text, id=key) for key, text in [("z", "one"), (None, "two"), ("a", "one")])
    assert [chunk.id for chunk in chunks] == ["z", text_id("two"), "a"]


def test_blank_and_repeated_documents_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        chunks = with_ids([Document("one"), Document(" \n"), Document("one"), Document(""), Document("one")])
    assert [chunk.page_content for chunk in chunks] == ["one"]
    assert "2 blank and 2 repeated" in caplog.text


def test_one_id_for_two_texts_is_refused() -> None:
    with pytest.raises(ValueError, match="share the id 'a'"):
        with_ids([Document("one", id="a"), Document("two", id="a")])


@pytest.mark.parametrize("documents", ["plain text", [{"page_content": "a"}], Document("a single one")])
def test_only_documents_are_taken(documents: object) -> None:
    with pytest.raises(TypeError, match="expected LangChain Documents"):
        with_ids(documents)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metadata", "document"),
    [
        ({"source": "a.pdf"}, "a.pdf"),
        ({"document_id": 7, "source": "a.pdf"}, "7"),
        ({"document_id": None, "source": "a.pdf"}, "a.pdf"),
        ({"title": "A"}, None),
    ],
)
def test_metadata_names_the_document(metadata: dict[str, object], document: str | None) -> None:
    assert document_of(Document("text", metadata=metadata)) == document
