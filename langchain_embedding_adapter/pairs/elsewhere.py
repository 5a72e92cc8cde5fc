"""Pairs that others keep: LangSmith datasets, Hugging Face datasets of pairs or triplets, BEIR's three tables.

What is on disk as a BEIR folder or LlamaIndex's JSON is read by ``QADataset.load``; this is for what comes as Python
objects. The same question, in whatever case and spacing, becomes one; the same text becomes one passage.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_embedding_adapter.chunks import text_id
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.pairs.rows import (
    Corpus,
    Rows,
    few,
    listed,
    number,
    passages_of,
    plain,
    read_rows,
    same_question,
)

if TYPE_CHECKING:
    from langsmith import Client

logger = logging.getLogger(__name__)

QUESTIONS = ("question", "query", "anchor", "input")
PASSAGE_IDS = ("passage_ids", "document_ids", "doc_ids", "chunk_ids", "passage_id", "document_id", "doc_id")
CONTEXTS = ("reference_contexts", "contexts", "context", "passages", "passage", "documents")
PASSAGES = ("passage", "positive", "pos", "context", "document", "answer")
NEGATIVES = ("negative", "neg")


def pairs_from_langsmith(
    dataset_name: str,
    corpus: Corpus | None = None,
    *,
    client: Client | None = None,
    question: str | None = None,
    passage_ids: str | None = None,
    passages: str | None = None,
    **options: Any,
) -> QADataset:
    """Read the examples of a LangSmith dataset, over the network.

    An example's inputs hold the question. Its outputs hold the ids of the passages that answer it, or else their texts
    (reference contexts), which are looked up in the corpus and enter it where it lacks them.

    Args:
        dataset_name: The dataset's name.
        corpus: Passage id to its text, or LangChain ``Document`` objects; needed where examples hold ids, and good
            where they hold texts: it should hold whatever the index holds.
        client: A ``langsmith.Client``; by default one that reads its key from the environment.
        question: The question's key in the inputs; by default the first of ``question``, ``query`` … that is there.
        passage_ids: The ids' key in the outputs; by default the first of ``passage_ids``, ``document_ids`` …
        passages: The texts' key in the outputs; by default the first of ``reference_contexts``, ``contexts`` … A text
            may be a string, a ``Document``, or a dict with ``page_content`` or ``text``.
        **options: Passed to ``Client.list_examples``: ``splits``, ``as_of``, ``filter`` and so on.

    Raises:
        ValueError: If no example holds a question and a passage of the corpus.
    """
    if client is None:
        from langsmith import Client

        client = Client()
    pairs = _Pairs(corpus)
    keys: dict[str, None] = {}
    for example in client.list_examples(dataset_name=dataset_name, **options):
        inputs, outputs = example.inputs or {}, example.outputs or {}
        keys.update(dict.fromkeys([*(f"inputs.{key}" for key in inputs), *(f"outputs.{key}" for key in outputs)]))
        place = f"example {example.id}"
        text = plain(_first(inputs, question, QUESTIONS))
        ids = _listed(_first(outputs, passage_ids, PASSAGE_IDS))
        found = [pairs.known(str(key)) for key in ids]
        if not ids:
            found = [pairs.passage(text) for text in _texts(_first(outputs, passages, CONTEXTS), place)]
        pairs.add(text, [key for key in found if key is not None], place)
    return pairs.dataset(f"the LangSmith dataset {dataset_name!r}", keys)


def pairs_from_huggingface(
    dataset: Rows,
    *,
    question: str | None = None,
    passage: str | None = None,
    negatives: str | Sequence[str] | None = None,
) -> QADataset:
    """Read pairs or triplets of texts, as sentence-transformers trains on them.

    Args:
        dataset: One split of a ``datasets.Dataset`` (streamed or not), or anything that
            :func:`~langchain_embedding_adapter.pairs.logs.pairs_from_logs` reads: mappings, a DataFrame, a file.
        question: The column of the question; by default the first of ``question``, ``query``, ``anchor`` … there is.
        passage: The column of the passage, or of a list of them; by default ``passage``, ``positive``, ``context`` …
        negatives: The columns of passages that do not answer: they enter the corpus without a question. By default
            ``negative``, ``neg`` and what begins with ``negative_`` or ``neg_``.

    Raises:
        ValueError: If a column is missing or cannot be guessed, or no row holds a pair.
        TypeError: If ``dataset`` is a dict of splits.

    Example:
        >>> rows = [{"anchor": "Mars year?", "positive": "687 days.", "negative": "Venus turns backwards."}]
        >>> print(pairs_from_huggingface(rows))
        1 question about 1 of 2 passages
    """
    if isinstance(dataset, Mapping):
        raise TypeError(
            f"expected one split, got a dict of {few(dataset)}; pass dataset[{next(iter(dataset), 'train')!r}]"
        )
    rows = read_rows(dataset)
    first = next(rows, None)
    if first is None:
        raise ValueError("the dataset is empty: expected rows with a question and a passage")
    columns = list(first[1])
    question = _column("question", question, QUESTIONS, columns)
    passage = _column("passage", passage, PASSAGES, columns)
    if negatives is None:
        negatives = [name for name in columns if name.partition("_")[0] in NEGATIVES]
    negatives = [_column("negatives", name, (), columns) for name in _listed(negatives)]
    pairs = _Pairs(None)
    for place, row in chain([first], rows):
        answers = [pairs.passage(text) for text in _texts(row.get(passage), place)]
        for name in negatives:
            for text in _texts(row.get(name), place):
                pairs.passage(text)
        pairs.add(plain(row.get(question)), answers, place)
    return pairs.dataset("the dataset", columns)


def pairs_from_beir(corpus: Rows, queries: Rows, qrels: Rows) -> QADataset:
    """Put together the three tables of a BEIR or MTEB collection (a folder of them is read by ``QADataset.load``).

    Args:
        corpus: Rows of ``_id`` (or ``id``), ``title``, which may be missing, and ``text``; blank ones are left out.
        queries: Rows of ``_id`` (or ``id``) and ``text``; only those that qrels name are kept.
        qrels: Rows of ``query-id``, ``corpus-id`` and ``score``; 0 or less is no answer.

    Raises:
        ValueError: If a row lacks an id, a score is not a number, or qrels name what is not there.

    Example:
        >>> dataset = pairs_from_beir(
        ...     [{"_id": "p1", "title": "Mars", "text": "Its year lasts 687 days."}],
        ...     [{"_id": "q1", "text": "How long is a year on Mars?"}],
        ...     [{"query-id": "q1", "corpus-id": "p1", "score": 1}],
        ... )
        >>> dataset.corpus
        {'p1': 'Mars Its year lasts 687 days.'}
    """
    grades: dict[str, dict[str, float]] = {}
    for place, row in read_rows(qrels):
        query, passage = _id(row, ("query-id", "query_id"), place), _id(row, ("corpus-id", "corpus_id"), place)
        grade = number(row.get("score"), 1.0, place, "score")
        if grade > 0:
            grades.setdefault(query, {})[passage] = grade
    passages = _texts_by_id(corpus)
    blank = sum(not text for text in passages.values())
    if blank:
        logger.warning("left out %d blank passages", blank)
    return QADataset(
        queries={key: text for key, text in _texts_by_id(queries).items() if key in grades},
        corpus={key: text for key, text in passages.items() if text},
        relevant_docs={query: list(row) for query, row in grades.items()},
        grades={query: row for query, row in grades.items() if set(row.values()) != {1.0}},
        origin={"how": "from a dataset in BEIR's form"},
    )


class _Pairs:
    """Pairs of texts, gathered one by one."""

    def __init__(self, corpus: Corpus | None) -> None:
        self.corpus, self.documents = passages_of(corpus) if corpus is not None else ({}, {})
        self.by_text = {text.strip(): key for key, text in self.corpus.items()}
        self.queries: dict[str, str] = {}
        self.relevant: dict[str, dict[str, None]] = {}
        self.unknown: dict[str, None] = {}
        self.skipped: Counter[str] = Counter()

    def known(self, key: str) -> str | None:
        """An id, if it is one of the corpus; one that is not is counted."""
        if key in self.corpus:
            return key
        self.unknown[key] = None
        self.skipped["mentions of passages that are not in the corpus"] += 1
        return None

    def passage(self, text: str) -> str:
        """The id of a text, which enters the corpus if it is new."""
        key = self.by_text.setdefault(text, text_id(text))
        self.corpus.setdefault(key, text)
        return key

    def add(self, question: Any, passages: Iterable[str], place: str) -> None:
        """Enter a question and the passages that answer it."""
        if question is not None and not isinstance(question, str):
            raise ValueError(f"{place}: expected the question as text, got {type(question).__name__}")
        passages = list(passages)
        if question is None or not passages:
            self.skipped["rows without a question" if question is None else "rows without a passage"] += 1
            return
        query = text_id(same_question(question))
        self.queries.setdefault(query, question)
        self.relevant.setdefault(query, {}).update(dict.fromkeys(passages))

    def dataset(self, source: str, columns: Iterable[str]) -> QADataset:
        """The pairs; ``source`` and its ``columns`` are named if there are none."""
        named = f" (such as {few(self.unknown)})" if self.unknown else ""
        if not self.queries:
            raise ValueError(
                f"{source} gave no pair; left out: {listed(self.skipped) or 'nothing, it is empty'}{named}. "
                f"It has {few(columns, 20) or 'no columns'}: say which hold the question and its passages, and pass "
                "the corpus that ids belong to"
            )
        if self.skipped:
            logger.warning("left out of %s: %s%s", source, listed(self.skipped), named)
        return QADataset(
            queries=self.queries,
            corpus=self.corpus,
            relevant_docs={query: list(passages) for query, passages in self.relevant.items()},
            documents=self.documents,
            origin={"how": f"from {source}"},
        )


def _first(row: Mapping[str, Any], name: str | None, usual: Iterable[str]) -> Any:
    """The value under ``name``, or under the first usual name that is there."""
    return next((row[key] for key in ([name] if name is not None else usual) if row.get(key) is not None), None)


def _column(role: str, name: str | None, usual: Sequence[str], columns: Sequence[str]) -> str:
    """The column named, or the first usual one that is there."""
    found = [column for column in ([name] if name is not None else usual) if column in columns]
    if not found:
        expected = f"a column {name!r}" if name is not None else f"one of the columns {few(usual, 20)}"
        raise ValueError(f"expected {expected} as {role}, got {few(columns, 20)}; name it with {role}=…")
    return found[0]


def _listed(value: Any) -> list[Any]:
    """A value as a list: itself if it is one, empty if it is missing."""
    value = plain(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    return [] if value is None else [value]


def _texts(value: Any, place: str) -> list[str]:
    """The passages of a cell: texts, ``Document`` objects or dicts of them, one or many; blank ones are left out."""
    texts = []
    for item in _listed(value):
        content = item.page_content if isinstance(item, Document) else item
        if isinstance(item, Mapping):
            content = item.get("page_content") or item.get("text")
        if content is not None and not isinstance(content, str):
            raise ValueError(f"{place}: expected a passage as text, got {type(content).__name__}")
        if content and content.strip():
            texts.append(content.strip())
    return texts


def _texts_by_id(rows: Rows) -> dict[str, str]:
    """The texts of a BEIR table by id, a title before its text."""
    texts: dict[str, str] = {}
    for place, row in read_rows(rows):
        text = f"{row.get('title') or ''} {row.get('text') or ''}".strip()
        texts[_id(row, ("_id", "id"), place)] = text
    return texts


def _id(row: Mapping[str, Any], names: Sequence[str], place: str) -> str:
    value = plain(_first(row, None, names))
    if value is None:
        raise ValueError(f"{place}: expected an id as {names[0]!r}, got the columns {few(row, 20)}")
    return str(value)
