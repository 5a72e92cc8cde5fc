"""Files to chunks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_embedding_adapter.documents import load_documents, split_documents


def pdf(pages: list[str]) -> bytes:
    """A minimal PDF with a line of text on each page."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for text in pages:
        stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] "
            f"/Contents {len(objects)} 0 R /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 "
            "/BaseFont /Helvetica >> >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return body + f"{end}startxref\n{len(body)}\n%%EOF".encode()


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("Mars: 687 days.", encoding="utf-8")
    (tmp_path / "deep" / "b.md").write_text("# Venus\n\nIt turns backwards — slowly.", encoding="utf-8")
    (tmp_path / "c.pdf").write_bytes(pdf(["Jupiter has storms", "Saturn has rings"]))
    rows = [{"text": "Neptune", "id": 7, "source": "atlas"}, {"page_content": "Pluto", "metadata": {"source": "old"}}]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    return tmp_path


def test_a_folder_is_searched_for_every_kind(shelf: Path) -> None:
    found = {document.page_content.strip(): document.metadata["source"] for document in load_documents([shelf])}
    assert found == {
        "Mars: 687 days.": str(shelf / "a.txt"),
        "# Venus\n\nIt turns backwards — slowly.": str(shelf / "deep" / "b.md"),
        "Jupiter has storms": str(shelf / "c.pdf"),
        "Saturn has rings": str(shelf / "c.pdf"),
        "Neptune": "atlas",
        "Pluto": "old",
    }


def test_an_id_in_a_row_is_kept(shelf: Path) -> None:
    assert [document.id for document in load_documents([shelf / "d.jsonl"])] == ["7", None]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("nothing.txt", None, FileNotFoundError, "there is no file or folder"),
        ("data.csv", "a,b", ValueError, r"is of no known kind; expected .txt, .md, .pdf, .jsonl"),
        ("blank.txt", " \n", ValueError, "found no text in"),
        ("rows.jsonl", '{"title": "x"}\n', ValueError, "record 1, has no text; expected one of text"),
        ("rows.jsonl", "{\n", ValueError, "line 1, is not valid JSON"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content, error, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=message):
        load_documents([tmp_path / name])


def test_chunks_are_no_longer_than_asked_and_keep_their_source() -> None:
    text = "\n\n".join(f"Paragraph {n} with a few words in it." for n in range(30))
    chunks = split_documents([Document(text, metadata={"source": "a.txt"})], chunk_size=100)
    assert len(chunks) > 5
    assert max(len(chunk.page_content) for chunk in chunks) <= 100
    assert {chunk.metadata["source"] for chunk in chunks} == {"a.txt"}


def test_markdown_is_cut_at_headings() -> None:
    text = "# One\n\n" + "first words " * 4 + "\n\n# Two\n\n" + "second words " * 4
    chunks = split_documents([Document(text, metadata={"source": "a.md"})], chunk_size=70)
    assert [chunk.page_content.splitlines()[0] for chunk in chunks] == ["# One", "# Two"]
    plain = split_documents([Document(text, metadata={"source": "a.txt"})], chunk_size=70)
    assert [chunk.page_content.splitlines()[0] for chunk in plain] != ["# One", "# Two"]
