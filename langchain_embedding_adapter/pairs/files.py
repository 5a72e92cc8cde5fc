"""Questions and passages on disk: our JSON, LlamaIndex's JSON, a BEIR folder, the answers of a generation.

Each reader returns, and each writer takes, the plain fields of a ``QADataset`` (queries, corpus, relevant_docs,
documents, grades, styles, parts, pseudo_styles, origin); the dataset itself checks them. Nothing here knows the class,
so that the two can change apart.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from langchain_embedding_adapter._files import read_json, read_jsonl, write_atomically, write_json, write_jsonl
from langchain_embedding_adapter.questions.review import Review

logger = logging.getLogger(__name__)

Fields = dict[str, Any]
Format = Literal["json", "llama_index", "beir"]

JSON_FORMAT = "langchain-embedding-adapter/qa-dataset"
JSON_VERSION = 1


def read_fields(path: str | Path, split: str | None = None) -> Fields:
    """Read a dataset's fields from whatever is at ``path``; the format is recognised.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If what is there is none of the known formats.
    """
    path = Path(path)
    if path.is_dir():
        return _read_beir(path, split)
    if split is not None:
        raise ValueError(f"`split` names a file of a BEIR folder's qrels; {path} is not a folder")
    if path.suffix == ".jsonl":
        return _read_answers(path)
    return _read_json(path)


def write_fields(fields: Fields, path: str | Path, format: Format, split: str = "test") -> None:
    """Write a dataset's fields to ``path`` in one of the formats."""
    path = Path(path)
    if format == "beir":
        _write_beir(fields, path, split)
    elif path.suffix == ".jsonl":
        raise ValueError(f"{path}: .jsonl is for the answers of a generation; name a .json file or a folder")
    elif format == "llama_index":
        shared = {name: fields[name] for name in ("queries", "corpus", "relevant_docs")}
        write_json(path, {**shared, "mode": "text"})
    elif format == "json":
        required = ("queries", "corpus", "relevant_docs")
        kept = {name: value for name, value in fields.items() if value or name in required}
        write_json(path, {"format": JSON_FORMAT, "version": JSON_VERSION, **kept})
    else:
        raise ValueError(f"unknown format {format!r}; expected 'json', 'llama_index' or 'beir'")


def _read_json(path: Path) -> Fields:
    """Our JSON or LlamaIndex's ``EmbeddingQAFinetuneDataset``, which share the three required fields."""
    content = read_json(path)
    required = ("queries", "corpus", "relevant_docs")
    missing = [name for name in required if not isinstance(content, dict) or name not in content]
    if missing:
        raise ValueError(
            f"{path} holds no question–passage pairs: expected a JSON object with 'queries', 'corpus' and "
            f"'relevant_docs', and {', '.join(missing)} is missing"
        )
    version = content.get("version", JSON_VERSION)
    if not isinstance(version, int) or version > JSON_VERSION:
        raise ValueError(f"{path} was written by a newer version of this package; upgrade it to read the file")
    optional = ("documents", "grades", "styles", "parts", "pseudo_styles", "origin")
    return {name: content[name] for name in (*required, *optional) if name in content}


def _read_answers(path: Path) -> Fields:
    """The answers that ``generate_qa_pairs(path=…)`` keeps, one chunk a line, without the questions it turned down."""
    rows = list(read_jsonl(path))
    missing = next((name for row in rows for name in ("chunk", "text", "questions") if name not in row), None)
    if missing:
        raise ValueError(
            f"{path} is not a file of generated answers: a line has no {missing!r}. "
            "BEIR's JSONL files are read as a folder: pass the folder that holds them"
        )
    rejected = path.with_suffix(".rejected.jsonl")
    if rejected.is_file():
        turned_down = {(row.get("chunk"), row.get("question")) for row in read_jsonl(rejected)}
        rows = [
            {**row, "questions": [text for text in row["questions"] if (row["chunk"], text) not in turned_down]}
            for row in rows
        ]
    review = Review(rows, None)
    laid_down = path.with_suffix(".parts.json")
    parts = read_json(laid_down) if laid_down.is_file() else {}
    fields = empty_fields()
    for chunk, row in review.rows.items():
        add_chunk(fields, chunk, row["text"], row.get("document"))
    for chunk in review.rows:
        add_questions(fields, review, chunk, parts.get(chunk))
    return fields


def empty_fields() -> Fields:
    """The fields of a dataset of nothing, to be filled."""
    return {"queries": {}, "corpus": {}, "relevant_docs": {}, "documents": {}, "styles": {}, "parts": {}}


def add_chunk(fields: Fields, chunk: str, text: str, document: str | None) -> None:
    """Enter a chunk into a dataset's fields."""
    fields["corpus"][chunk] = text
    if document is not None:
        fields["documents"][chunk] = document


def add_questions(fields: Fields, review: Review, chunk: str, part: str | None = None) -> None:
    """Enter the questions about a chunk, which are for a part, into a dataset's fields; the chunk's id gives theirs."""
    row = review.rows[chunk]
    answers = [chunk]
    if row.get("also"):
        fields["corpus"].setdefault(row["also"]["chunk"], row["also"]["text"])
        answers.append(row["also"]["chunk"])
    for number, question in enumerate(review.kept[chunk], start=1):
        query = f"{chunk}-q{number}"
        fields["queries"][query] = question
        fields["relevant_docs"][query] = list(answers)
        if row.get("style"):
            fields["styles"][query] = row["style"]
        if part is not None:
            fields["parts"][query] = part


def _read_beir(folder: Path, split: str | None) -> Fields:
    qrels = sorted((folder / "qrels").glob("*.tsv"))
    names = [file.stem for file in qrels]
    if not (folder / "corpus.jsonl").is_file() or not (folder / "queries.jsonl").is_file() or not qrels:
        raise ValueError(f"{folder} is not a BEIR folder: expected corpus.jsonl, queries.jsonl and qrels/<split>.tsv")
    if split is None and len(qrels) > 1:
        raise ValueError(f"{folder} holds the splits {', '.join(names)}; say which one with split=…")
    split = split or names[0]
    if split not in names:
        raise ValueError(f"{folder} has no split {split!r}; it holds {', '.join(names)}")
    grades = _read_qrels(folder / "qrels" / f"{split}.tsv")
    passages = _read_texts(folder / "corpus.jsonl")
    corpus = {key: text for key, text in passages.items() if text}
    if len(corpus) < len(passages):
        logger.info("left out %d blank passages of %s", len(passages) - len(corpus), folder)
    return {
        "queries": {key: text for key, text in _read_texts(folder / "queries.jsonl").items() if key in grades},
        "corpus": corpus,
        "relevant_docs": {query: list(passages) for query, passages in grades.items()},
        "grades": {query: row for query, row in grades.items() if set(row.values()) != {1.0}},
    }


def _read_texts(file: Path) -> dict[str, str]:
    """The texts of a BEIR file by id, a title before its text."""
    texts: dict[str, str] = {}
    for number, row in enumerate(read_jsonl(file), start=1):
        if "_id" not in row:
            raise ValueError(f"{file}, record {number}, has no '_id'")
        texts[str(row["_id"])] = f"{row.get('title') or ''} {row.get('text') or ''}".strip()
    return texts


def _read_qrels(file: Path) -> dict[str, dict[str, float]]:
    """Grades above zero, by question and passage."""
    grades: dict[str, dict[str, float]] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.reader(lines, delimiter="\t"), start=1):
            if not row or (number == 1 and row[-1] == "score"):
                continue
            try:
                query, passage, score = row
                grade = float(score)
            except ValueError:
                raise ValueError(f"{file}, line {number}: expected question, passage and score, got {row}") from None
            if grade > 0:
                grades.setdefault(query, {})[passage] = grade
    return grades


def _write_beir(fields: Fields, folder: Path, split: str) -> None:
    """Write a BEIR folder; the passages and questions of other splits that are there already stay."""
    others = any(file.stem != split for file in (folder / "qrels").glob("*.tsv"))
    for name in ("corpus", "queries"):
        file = folder / f"{name}.jsonl"
        texts = {**(_read_texts(file) if others and file.is_file() else {}), **fields[name]}
        title = {"title": ""} if name == "corpus" else {}
        write_jsonl(file, [{"_id": key, **title, "text": text} for key, text in texts.items()])
    grades: Mapping[str, Mapping[str, float]] = fields["grades"]
    qrels = io.StringIO()
    rows = csv.writer(qrels, delimiter="\t", lineterminator="\n")
    rows.writerow(["query-id", "corpus-id", "score"])
    for query, passages in fields["relevant_docs"].items():
        for passage in passages:
            grade = float(grades.get(query, {}).get(passage, 1))
            rows.writerow([query, passage, int(grade) if grade.is_integer() else grade])
    write_atomically(folder / "qrels" / f"{split}.tsv", qrels.getvalue())
