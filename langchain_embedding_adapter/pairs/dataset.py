"""Questions, passages, and which answers which.

``QADataset`` is what training learns from and evaluation asks: the shape that BEIR and LlamaIndex share, checked when
it is made, saved and loaded in either's format, and split so that no passage both teaches and examines.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from langchain_embedding_adapter.pairs.duplicates import near_duplicates
from langchain_embedding_adapter.pairs.files import Fields, Format, read_fields, write_fields
from langchain_embedding_adapter.pairs.groups import Groups


@dataclass(frozen=True)
class QADataset:
    """Questions, passages, and which passages answer which question.

    Args:
        queries: Question id to its text.
        corpus: Passage id to its text. It may hold passages that no question is about; retrieval ranks them too. It may
            be empty where a vector store holds the passages: ``relevant_docs`` then name the store's ids.
        relevant_docs: Question id to the ids of the passages that answer it, at least one.
        documents: Passage id to the document it was cut from. A passage without an entry is a document of its own.
        grades: Question id to passage id to how well the passage answers (above 0). What has no entry counts 1.
        styles: Question id to the way it asks, for questions that were generated.
        parts: Question id to ``"train"``, ``"validation"`` or ``"test"``, where that was laid down beforehand.
        pseudo_styles: Question id to how it was cut from its passage, for questions that nobody asked
            (:func:`~langchain_embedding_adapter.generate_pseudo_questions`); empty for real ones.
        origin: How the questions came about, as JSON can hold it: the model and the prompt that wrote them, the log or
            the dataset they are from. An adapter's card tells it.

    Raises:
        ValueError: If an id is in no corpus, a question or passage is blank, or a question has no passage.

    Example:
        >>> dataset = QADataset(
        ...     queries={"q1": "How long is a year on Mars?"},
        ...     corpus={"p1": "A Mars year lasts 687 days.", "p2": "Venus turns backwards."},
        ...     relevant_docs={"q1": ["p1"]},
        ... )
        >>> print(dataset)
        1 question about 1 of 2 passages
    """

    queries: dict[str, str]
    corpus: dict[str, str]
    relevant_docs: dict[str, list[str]]
    documents: dict[str, str] = field(default_factory=dict)
    grades: dict[str, dict[str, float]] = field(default_factory=dict)
    styles: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    pseudo_styles: dict[str, str] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        _check(self)

    def __len__(self) -> int:
        """How many questions there are."""
        return len(self.queries)

    def __str__(self) -> str:
        asked = len(self.passages_asked_about())
        known = "passages of a store"
        if self.corpus:
            known = f"of {len(self.corpus)} passage{'s' * (len(self.corpus) != 1)}"
        return f"{len(self)} question{'s' * (len(self) != 1)} about {asked} {known}"

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that tell these questions and their pairs from others."""
        content = json.dumps([self.queries, self.relevant_docs, self.grades], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def grade(self, query: str, passage: str) -> float:
        """How well a passage answers a question: its grade, 1 where none is given, 0 where it does not answer."""
        if passage not in self.relevant_docs[query]:
            return 0.0
        return self.grades.get(query, {}).get(passage, 1.0)

    def document(self, passage: str) -> str:
        """The document a passage was cut from; the passage itself where none is recorded."""
        return self.documents.get(passage, passage)

    def passages_asked_about(self) -> set[str]:
        """Ids of the passages that answer at least one question."""
        return {passage for passages in self.relevant_docs.values() for passage in passages}

    def subset(self, queries: Collection[str]) -> QADataset:
        """The dataset with these questions only, in the order they have here; the whole corpus stays.

        Raises:
            KeyError: If an id is not a question of this dataset.
        """
        wanted = set(queries)
        unknown = wanted - self.queries.keys()
        if unknown:
            raise KeyError(f"not questions of this dataset: {_some(unknown)}")
        kept = [query for query in self.queries if query in wanted]
        return QADataset(
            queries={query: self.queries[query] for query in kept},
            corpus=self.corpus,
            relevant_docs={query: self.relevant_docs[query] for query in kept},
            documents=self.documents,
            grades={query: self.grades[query] for query in kept if query in self.grades},
            styles={query: self.styles[query] for query in kept if query in self.styles},
            parts={query: self.parts[query] for query in kept if query in self.parts},
            pseudo_styles={query: self.pseudo_styles[query] for query in kept if query in self.pseudo_styles},
            origin=self.origin,
        )

    def part(self, name: str) -> QADataset:
        """The questions of a part that was laid down beforehand (``generate_qa_pairs(…, test_size=…)``).

        Raises:
            ValueError: If no question is of that part.
        """
        kept = [query for query, part in self.parts.items() if part == name]
        if not kept:
            parts = ", ".join(sorted(set(self.parts.values()))) or "none: split it with `.split()`"
            raise ValueError(f"the dataset has no part {name!r}; its parts are {parts}")
        return self.subset(kept)

    def split(
        self,
        test_size: float = 0.2,
        validation_size: float = 0.0,
        *,
        seed: int = 0,
        by: Literal["document", "passage"] = "document",
    ) -> tuple[QADataset, ...]:
        """Split the questions so that no document, and no passage, both teaches and examines.

        Documents that share a question, or passages of nearly the same text, stay together. Every part keeps the
        whole corpus: a test ranks the passages that an index would hold. Shares are met as nearly as whole documents
        allow.

        Args:
            test_size: Share of the questions for the test part.
            validation_size: Share for a validation part; 0 for none.
            seed: Which documents fall where.
            by: ``"passage"`` keeps only passages whole, for a collection cut from a single document.

        Returns:
            ``(train, test)``, or ``(train, validation, test)`` with a validation part.

        Raises:
            ValueError: If the shares leave nothing to train on, or there are fewer separate documents than parts.
        """
        sizes = [size for size in (test_size, validation_size) if size > 0]
        if not sizes or min(test_size, validation_size) < 0 or test_size == 0 or sum(sizes) >= 1:
            raise ValueError(
                "expected test_size above 0, validation_size 0 or above, and their sum below 1; "
                f"got {test_size} and {validation_size}"
            )
        groups = self._groups(by)
        if len(groups) <= len(sizes):
            hint = "; split with by='passage' to keep only passages apart" if by == "document" else ""
            raise ValueError(
                f"cannot split into {len(sizes) + 1} parts: the {len(self)} questions are about {len(groups)} "
                f"{by}{'s' * (len(groups) != 1)} that share{'s' * (len(groups) == 1)} no question with another{hint}"
            )
        random.Random(seed).shuffle(groups)  # noqa: S311 a shuffle, no secret
        parts = [_take(groups, size * len(self), leave=len(sizes) - done) for done, size in enumerate(sizes)]
        parts.append([query for group in groups for query in group])
        return tuple(self.subset(part) for part in reversed(parts))

    def save(self, path: str | Path, *, format: Format | None = None, split: str = "test") -> None:
        """Write the dataset, atomically.

        Args:
            path: A file, or a folder for BEIR.
            format: ``"json"`` (ours: documents, grades, styles and parts are kept), ``"llama_index"`` (the JSON of its
                ``EmbeddingQAFinetuneDataset``) or ``"beir"`` (a folder). By default a path without a suffix is a BEIR
                folder, any other our JSON.
            split: Name of the qrels file of a BEIR folder.
        """
        fields: Fields = {
            "queries": self.queries,
            "corpus": self.corpus,
            "relevant_docs": self.relevant_docs,
            "documents": self.documents,
            "grades": self.grades,
            "styles": self.styles,
            "parts": self.parts,
            "pseudo_styles": self.pseudo_styles,
            "origin": self.origin,
        }
        write_fields(fields, path, format or ("json" if Path(path).suffix else "beir"), split)

    @classmethod
    def load(cls, path: str | Path, *, split: str | None = None) -> QADataset:
        """Read a dataset; the format is recognised.

        Args:
            path: Our JSON, LlamaIndex's JSON, a BEIR folder, or the ``.jsonl`` file of a generation.
            split: Which qrels file of a BEIR folder; needed where there are several.

        Raises:
            FileNotFoundError: If there is nothing at ``path``.
            ValueError: If the content is none of these formats, or does not pass the dataset's checks.
        """
        fields = read_fields(path, split)
        try:
            return cls(**fields)
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: {error}") from error

    def _groups(self, by: Literal["document", "passage"]) -> list[list[str]]:
        """Questions that must stay together: the connected components of questions, documents and like texts."""
        if by not in ("document", "passage"):
            raise ValueError(f"expected by='document' or by='passage', got {by!r}")
        joined = Groups()
        for query, passages in self.relevant_docs.items():
            for passage in passages:
                unit = self.document(passage) if by == "document" else passage
                joined.join(f"unit {unit}", f"query {query}")
                joined.join(f"passage {passage}", f"query {query}")
        asked = sorted(self.passages_asked_about() & self.corpus.keys())
        for one, other in near_duplicates([self.corpus[passage] for passage in asked]):
            joined.join(f"passage {asked[one]}", f"passage {asked[other]}")
        groups: dict[str, list[str]] = {}
        for query in self.queries:
            groups.setdefault(joined.of(f"query {query}"), []).append(query)
        return list(groups.values())


def _take(groups: list[list[str]], target: float, leave: int) -> list[str]:
    """Move groups out of ``groups`` until about ``target`` questions are taken; at least one goes, ``leave`` stay."""
    taken: list[str] = []
    rest: list[list[str]] = []
    for position, group in enumerate(groups):
        nearer = len(taken) + len(group) / 2 <= target  # with it the share is met better than without
        if nearer and len(rest) + len(groups) - position > leave:
            taken += group
        else:
            rest.append(group)
    if not taken:
        taken = min(rest, key=len)
        rest.remove(taken)
    groups[:] = rest
    return taken


def _check(dataset: QADataset) -> None:
    """Raise a ``ValueError`` that names what is wrong with the fields of a dataset, if anything is."""
    for name in ("queries", "corpus"):
        texts = getattr(dataset, name)
        blank = [key for key, text in texts.items() if not isinstance(text, str) or not text.strip()]
        if blank:
            raise ValueError(f"blank or missing text in `{name}`: {_some(blank)}; leave these entries out")
    without = [query for query in dataset.queries if not dataset.relevant_docs.get(query)]
    if without:
        raise ValueError(f"questions without a passage in `relevant_docs`: {_some(without)}")
    as_text = [query for query, passages in dataset.relevant_docs.items() if isinstance(passages, str)]
    if as_text:
        raise ValueError(f"`relevant_docs` takes a list of passage ids, got one string for {_some(as_text)}")
    unknown = dataset.relevant_docs.keys() - dataset.queries.keys()
    if unknown:
        raise ValueError(f"`relevant_docs` names questions that are not in `queries`: {_some(unknown)}")
    strangers = dataset.passages_asked_about() - dataset.corpus.keys()
    if strangers and dataset.corpus:
        raise ValueError(f"`relevant_docs` names passages that are not in `corpus`: {_some(strangers)}")
    graded = [
        f"{query} → {passage}"
        for query, grades in dataset.grades.items()
        for passage, grade in grades.items()
        if passage not in dataset.relevant_docs.get(query, ()) or not grade > 0
    ]
    if graded:
        raise ValueError(f"`grades` must be above 0 and belong to pairs of `relevant_docs`: {_some(graded)}")
    if not isinstance(dataset.origin, dict):
        raise ValueError(
            f"expected `origin` to be an object that tells whence the pairs are, got {dataset.origin!r:.80}"
        )
    for name in ("styles", "parts", "pseudo_styles"):
        strangers = getattr(dataset, name).keys() - dataset.queries.keys()
        if strangers:
            raise ValueError(f"`{name}` names questions that are not in `queries`: {_some(strangers)}")


def _some(ids: Iterable[str]) -> str:
    """The first few ids, and how many more."""
    ids = sorted(map(str, ids))
    shown = ", ".join(repr(key) for key in ids[:3])
    return shown if len(ids) <= 3 else f"{shown} and {len(ids) - 3} more"
