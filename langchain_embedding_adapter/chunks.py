"""Documents with stable ids.

The start of the journey: LangChain ``Document`` objects come in, and each leaves with an id that depends on its text
alone (or on the id it already had), so that a second run recognises what the first one paid for.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.documents import Document

logger = logging.getLogger(__name__)


def text_id(text: str) -> str:
    """A stable id for a text: the first 16 hexadecimal digits of its SHA-256.

    >>> text_id("A Mars year lasts 687 days.")
    '8c307ac756ac2bb0'
    """
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()[:16]


def document_of(chunk: Document) -> str | None:
    """The document a chunk was cut from: ``metadata["document_id"]`` or ``metadata["source"]``, if either is there."""
    return document_of_metadata(chunk.metadata)


def document_of_metadata(metadata: Mapping[str, Any]) -> str | None:
    """The same of a chunk's metadata alone."""
    for key in ("document_id", "source"):
        if metadata.get(key) is not None:
            return str(metadata[key])
    return None


def with_ids(documents: Iterable[Document]) -> list[Document]:
    """Give every document an id, and keep each id once.

    A document's own ``id`` is kept; one without gets :func:`text_id` of its text. Blank documents and repetitions of
    the same id and text are left out, and their number is logged.

    Raises:
        TypeError: If an element is not a LangChain ``Document``.
        ValueError: If two documents share an id and differ in text.
    """
    chunks: dict[str, Document] = {}
    blank = repeated = 0
    for document in documents:
        if not isinstance(document, Document):
            raise TypeError(
                f"expected LangChain Documents, got {type(document).__name__}; "
                "wrap plain text as Document(page_content=text)"
            )
        if not document.page_content.strip():
            blank += 1
            continue
        chunk_id = document.id or text_id(document.page_content)
        known = chunks.get(chunk_id)
        if known is None:
            chunks[chunk_id] = document.model_copy(update={"id": chunk_id})
        elif known.page_content == document.page_content:
            repeated += 1
        else:
            raise ValueError(f"two documents with different text share the id {chunk_id!r}; ids must be unique")
    if blank or repeated:
        logger.info("left out %d blank and %d repeated documents", blank, repeated)
    return list(chunks.values())
