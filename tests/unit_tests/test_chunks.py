"""Documents get stable ids."""

from __future__ import annotations

import logging

import pytest
from langchain_core.documents import Document

from langchain_embedding_adapter.chunks import document_of, text_id, with_ids


def test_an_id_depends_on_the_text_alone_unless_there_is_one() -> None:
    first, second = with_ids([Document("same", metadata={"source": "a"}), Document("own", id="mine")])
    assert first.id == text_id("same") == with_ids([Document("same")])[0].id
    assert second.id == "mine"


def test_the_callers_documents_are_left_alone() -> None:
    document = Document("text")
    with_ids([document])
    assert document.id is None


def test_blank_and_repeated_documents_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert len(with_ids([Document("a"), Document(" \n"), Document("a"), Document("b")])) == 2
    assert "left out 1 blank and 1 repeated documents" in caplog.text


def test_what_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(ValueError, match="two documents with different text share the id 'x'"):
        with_ids([Document("a", id="x"), Document("b", id="x")])
    with pytest.raises(TypeError, match="expected LangChain Documents, got str"):
        with_ids(["plain text"])


@pytest.mark.parametrize(
    ("metadata", "document"),
    [
        ({}, None),
        ({"source": "a.pdf"}, "a.pdf"),
        ({"source": "a.pdf", "document_id": 7}, "7"),
        ({"source": None}, None),
    ],
)
def test_the_document_of_a_chunk(metadata: dict, document: str | None) -> None:
    assert document_of(Document("text", metadata=metadata)) == document


def test_odd_characters_have_an_id_too() -> None:
    assert len(text_id("lone surrogate \ud800")) == 16
