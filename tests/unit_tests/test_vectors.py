"""Every distinct text is embedded once, in its role, and never again with a cache."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter import QADataset
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import PairVectors, embed_dataset
from tests.small_world import AngleEmbeddings

TWICE = QADataset(
    queries={"a": "q 10 0", "b": "q 20 0", "again": "q 10 0"},
    corpus={"p": "p 10 0", "r": "p 20 0", "copy": "p 10 0", "unasked": "p 50 0"},
    relevant_docs={"a": ["p"], "b": ["r", "p", "r"], "again": ["copy"]},
    grades={"b": {"r": 2.0}},
)


def test_each_distinct_text_is_embedded_once_and_in_its_role(base: AngleEmbeddings) -> None:
    vectors = embed_dataset(base, TWICE)
    assert sorted(base.queries) == ["q 10 0", "q 20 0"]
    assert sorted(base.documents) == ["p 10 0", "p 20 0", "p 50 0"]
    assert (vectors.queries[0] == vectors.queries[2]).all()
    assert vectors.queries[1] == pytest.approx(base._vector("q 20 0"), abs=1e-6)
    assert vectors.passages[3] == pytest.approx(base._vector("p 50 0"), abs=1e-6)
    assert vectors.queries.dtype == np.float32


def test_pairs_become_rows_and_grades(base: AngleEmbeddings) -> None:
    vectors = embed_dataset(base, TWICE)
    assert [found.tolist() for found in vectors.relevant] == [[0], [1, 0], [2]]
    assert [grades.tolist() for grades in vectors.grades] == [[1], [2, 1], [1]]


def test_only_passages_with_questions(base: AngleEmbeddings) -> None:
    asked = embed_dataset(base, TWICE).asked_about()
    assert asked.passage_ids == ("p", "r", "copy")
    assert [found.tolist() for found in asked.relevant] == [[0], [1, 0], [2]]


def test_some_of_the_questions(base: AngleEmbeddings) -> None:
    vectors = embed_dataset(base, TWICE)
    taken = vectors.take(["again", "b"])
    assert taken.query_ids == ("again", "b")
    assert (taken.queries == vectors.queries[[2, 1]]).all()
    assert [found.tolist() for found in taken.relevant] == [[2], [1, 0]]
    with pytest.raises(KeyError):
        vectors.take(["nobody"])


@pytest.mark.parametrize("where", ["memory", "file"])
def test_a_cache_spares_what_it_knows(base: AngleEmbeddings, where: str, tmp_path: Path) -> None:
    path = None if where == "memory" else tmp_path / "deep" / "vectors.sqlite"
    cache = VectorCache(path)
    first = embed_dataset(base, TWICE, cache=cache)
    if path is not None:
        cache.close()
        cache = VectorCache(path)
    base.queries.clear()
    base.documents.clear()
    more = QADataset({**TWICE.queries, "new": "q 33 0"}, TWICE.corpus, {**TWICE.relevant_docs, "new": ["p"]})
    again = embed_dataset(base, more, cache=cache)
    assert (base.queries, base.documents) == (["q 33 0"], [])
    assert (again.queries[:3] == first.queries).all()
    assert (again.passages == first.passages).all()


def test_a_question_and_a_passage_of_the_same_text_are_two_vectors(base: AngleEmbeddings) -> None:
    dataset = QADataset({"q": "p 10 0"}, {"p": "p 10 0"}, {"q": ["p"]})
    embed_dataset(base, dataset)
    assert base.queries == base.documents == ["p 10 0"]


def test_two_models_share_a_cache_and_no_vector(tmp_path: Path) -> None:
    class Named(AngleEmbeddings):
        def __init__(self, model: str, turn: float) -> None:
            super().__init__(turn)
            self.model = model

    cache = VectorCache(tmp_path / "vectors.sqlite")
    one = embed_dataset(Named("one", 10), TWICE, cache=cache)
    two = embed_dataset(Named("two", 80), TWICE, cache=cache)
    assert not np.allclose(one.queries, two.queries)


def test_what_is_no_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("something else, long enough to be no database " * 40)
    with pytest.raises(ValueError, match="cannot be used as a vector cache"):
        VectorCache(tmp_path / "notes.txt")


def test_what_was_embedded_before_an_error_is_kept(base: AngleEmbeddings) -> None:
    cache = VectorCache()

    class Failing(AngleEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise ConnectionError("the service is away")

    failing = Failing()
    with pytest.raises(ConnectionError):
        embed_dataset(failing, TWICE, cache=cache)
    working = type("Failing", (AngleEmbeddings,), {})()
    embed_dataset(working, TWICE, cache=cache)
    assert working.queries == []


class Counting(AngleEmbeddings):
    """Notes how many calls are under way at once."""

    def __init__(self) -> None:
        super().__init__()
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def embed_query(self, text: str) -> list[float]:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.002)
        with self.lock:
            self.now -= 1
        return self._vector(text)


class Client(Counting):
    """Like the client of a service: it has an asynchronous method of its own."""

    async def aembed_query(self, text: str) -> list[float]:
        return self._vector(text)


@pytest.mark.parametrize(("embeddings", "several"), [(Counting(), False), (Client(), True)], ids=["local", "service"])
def test_only_services_are_asked_several_questions_at_once(embeddings: Counting, several: bool) -> None:
    queries = {f"q{angle}": f"q {angle} 0" for angle in range(40)}
    vectors = embed_dataset(embeddings, QADataset(queries, {"p": "p 1 0"}, {query: ["p"] for query in queries}))
    assert (embeddings.most > 1) is several
    assert vectors.queries[7] == pytest.approx(embeddings._vector("q 7 0"), abs=1e-6)


class Broken(Embeddings):
    """Gives whatever it is told to."""

    def __init__(self, documents: list[list[float]]) -> None:
        self.given = documents

    def embed_query(self, text: str) -> list[float]:
        return [1.0, 0.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1.0, 0.0]], "Broken gave 1 vectors for 2 texts"),
        ([[1.0, 0.0], [1.0]], r"Broken gave vectors of different lengths: \[1, 2\]"),
        ([[1.0, 0.0], [float("nan"), 0.0]], "not finite for 'second'"),
    ],
)
def test_what_a_model_must_not_give_is_refused(given: list[list[float]], message: str) -> None:
    dataset = QADataset({"q": "?"}, {"p": "first", "r": "second"}, {"q": ["p"]})
    with pytest.raises(ValueError, match=message):
        embed_dataset(Broken(given), dataset)


@pytest.mark.parametrize(
    ("queries", "passages", "message"),
    [
        (np.ones((2, 3)), np.ones((4, 3)), r"one vector for each of 3 questions, got an array \(2, 3\)"),
        (np.ones((3, 3)), np.ones(4), r"one vector for each of 4 passages, got an array \(4,\)"),
        (np.full((3, 3), np.inf), np.ones((4, 3)), "vectors of the questions hold values that are not finite"),
    ],
)
def test_arrays_at_hand_must_fit_the_dataset(queries: np.ndarray, passages: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PairVectors.from_arrays(TWICE, queries, passages)
