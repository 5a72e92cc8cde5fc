"""A dataset is checked when it is made, and split so that nothing both teaches and examines."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_embedding_adapter import QADataset
from tests.small_world import world

FIELDS: dict[str, Any] = {
    "queries": {"q1": "How long is a year on Mars?", "q2": "Which way does Venus turn?"},
    "corpus": {"p1": "A Mars year lasts 687 days.", "p2": "Venus turns backwards.", "p3": "Pluto is small."},
    "relevant_docs": {"q1": ["p1"], "q2": ["p2", "p3"]},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relevant_docs": {"q1": ["p1"], "q2": ["p9"]}}, r"not in `corpus`: 'p9'"),
        ({"queries": {"q1": " \n", "q2": "?"}}, r"blank or missing text in `queries`: 'q1'; leave"),
        ({"queries": {"q1": None, "q2": "?"}}, r"blank or missing text in `queries`: 'q1'"),
        ({"corpus": {**FIELDS["corpus"], "p4": ""}}, r"blank or missing text in `corpus`: 'p4'"),
        ({"relevant_docs": {"q1": ["p1"]}}, r"without a passage in `relevant_docs`: 'q2'"),
        ({"relevant_docs": {"q1": ["p1"], "q2": []}}, r"without a passage in `relevant_docs`: 'q2'"),
        ({"relevant_docs": {**FIELDS["relevant_docs"], "q9": ["p1"]}}, r"questions that are not in `queries`: 'q9'"),
        ({"relevant_docs": {"q1": ["p1"], "q2": "p2"}}, r"takes a list of passage ids, got one string for 'q2'"),
        ({"grades": {"q1": {"p1": 0}}}, r"above 0 and belong to pairs.*'q1 → p1'"),
        ({"grades": {"q1": {"p1": -1.0}}}, r"'q1 → p1'"),
        ({"grades": {"q1": {"p1": float("nan")}}}, r"'q1 → p1'"),
        ({"grades": {"q1": {"p2": 1.0}}}, r"'q1 → p2'"),
        ({"grades": {"q9": {"p1": 1.0}}}, r"'q9 → p1'"),
        ({"queries": dict.fromkeys("abcde", "")}, r"'a', 'b', 'c' and 2 more"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QADataset(**{**FIELDS, **change})


def test_sizes_and_grades() -> None:
    dataset = QADataset(**FIELDS, documents={"p1": "mars.md"}, grades={"q2": {"p2": 3.0}})
    assert len(dataset) == 2
    assert dataset.passages_asked_about() == {"p1", "p2", "p3"}
    assert [dataset.grade("q2", passage) for passage in ("p1", "p2", "p3")] == [0, 3, 1]
    assert (dataset.document("p1"), dataset.document("p2")) == ("mars.md", "p2")


@pytest.mark.parametrize(
    ("queries", "passages", "printed"),
    [(1, 1, "1 question about 1 of 1 passage"), (2, 3, "2 questions about 1 of 3 passages")],
)
def test_printed(queries: int, passages: int, printed: str) -> None:
    ids = [f"q{n}" for n in range(queries)]
    corpus = {f"p{n}": "text" for n in range(passages)}
    assert str(QADataset(dict.fromkeys(ids, "?"), corpus, {key: ["p0"] for key in ids})) == printed


def test_a_subset_keeps_the_order_the_corpus_and_what_belongs() -> None:
    dataset = QADataset(
        {**FIELDS["queries"], "q3": "?"},
        FIELDS["corpus"],
        {**FIELDS["relevant_docs"], "q3": ["p3"]},
        documents={"p1": "mars.md"},
        grades={"q1": {"p1": 2.0}, "q2": {"p2": 3.0}},
    )
    part = dataset.subset({"q3", "q2"})
    assert list(part.queries) == ["q2", "q3"]
    assert part.relevant_docs == {"q2": ["p2", "p3"], "q3": ["p3"]}
    assert part.grades == {"q2": {"p2": 3.0}}
    assert (part.corpus, part.documents) == (dataset.corpus, dataset.documents)
    with pytest.raises(KeyError, match="not questions of this dataset: 'q9'"):
        dataset.subset(["q1", "q9"])


def mixed() -> QADataset:
    """Sixty documents of two passages; some share a text, some a question."""
    corpus, documents, queries, relevant = {}, {}, {}, {}
    for number in range(60):
        for half in "ab":
            passage = f"p{number}{half}"
            corpus[passage] = "boilerplate" if passage in ("p3a", "p30b", "p59a") else f"passage {passage}"
            documents[passage] = f"document {number}"
            queries[f"q{number}{half}"] = f"question {number}{half}"
            relevant[f"q{number}{half}"] = [passage]
    relevant["q10a"] += ["p20a", "p40b"]
    return QADataset(queries, corpus, relevant, documents)


def seen(part: QADataset) -> dict[str, set[str]]:
    """What a part shows of questions, passages, documents and texts."""
    passages = part.passages_asked_about()
    return {
        "questions": set(part.queries),
        "passages": passages,
        "documents": {part.document(passage) for passage in passages},
        "texts": {part.corpus[passage] for passage in passages},
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("validation_size", [0, 0.25])
@pytest.mark.parametrize("by", ["document", "passage"])
def test_no_part_knows_what_another_part_holds(by: Any, validation_size: float, seed: int) -> None:
    dataset = mixed()
    parts = dataset.split(0.2, validation_size, seed=seed, by=by)
    assert len(parts) == (3 if validation_size else 2)
    for number, one in enumerate(parts):
        for other in parts[number + 1 :]:
            for kind in {"questions", "passages", "texts"} | ({"documents"} if by == "document" else set()):
                assert not seen(one)[kind] & seen(other)[kind], kind
    assert sorted(query for part in parts for query in part.queries) == sorted(dataset.queries)
    assert all(part.relevant_docs[query] == dataset.relevant_docs[query] for part in parts for query in part.queries)
    assert all(part.corpus == dataset.corpus and part.documents == dataset.documents for part in parts)


@pytest.mark.parametrize(
    ("sizes", "shares"), [((0.2,), (0.8, 0.2)), ((0.5,), (0.5, 0.5)), ((0.2, 0.3), (0.5, 0.3, 0.2))]
)
def test_shares_are_met_as_nearly_as_documents_allow(sizes: tuple[float, ...], shares: tuple[float, ...]) -> None:
    parts = mixed().split(*sizes)
    assert [len(part) / 120 for part in parts] == pytest.approx(shares, abs=0.05)


def test_a_seed_decides_and_another_decides_otherwise() -> None:
    dataset = world()
    tests = [tuple(dataset.split(seed=seed)[1].queries) for seed in (0, 0, 1, 2)]
    assert tests[0] == tests[1]
    assert len(set(tests)) == 3


def test_by_passage_one_document_can_be_split() -> None:
    single = QADataset(
        {f"q{n}": "?" for n in range(10)},
        {f"p{n}": f"text {n}" for n in range(10)},
        {f"q{n}": [f"p{n}"] for n in range(10)},
        {f"p{n}": "the book" for n in range(10)},
    )
    assert [len(part) for part in single.split(0.3, by="passage")] == [7, 3]
    with pytest.raises(ValueError, match=r"about 1 document that shares no question.*split with by='passage'"):
        single.split(0.3)


def test_each_part_has_something_even_where_documents_are_few_and_uneven() -> None:
    owner = {f"q{n}": "p0" if n < 8 else f"p{n - 7}" for n in range(10)}  # 8, 1 and 1 questions
    dataset = QADataset(
        dict.fromkeys(owner, "?"),
        {f"p{n}": f"text {n}" for n in range(3)},
        {query: [passage] for query, passage in owner.items()},
    )
    for seed in range(6):
        assert all(len(part) > 0 for part in dataset.split(0.3, 0.3, seed=seed))


@pytest.mark.parametrize(
    "sizes", [(0.0,), (1.0,), (-0.2,), (0.5, 0.5), (0.2, -0.1), (0.0, 0.2)], ids=lambda sizes: "+".join(map(str, sizes))
)
def test_shares_that_leave_nothing_are_refused(sizes: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected test_size above 0"):
        mixed().split(*sizes)


def test_fewer_separate_documents_than_parts() -> None:
    two = QADataset({"q1": "?", "q2": "?"}, {"p1": "one", "p2": "two"}, {"q1": ["p1"], "q2": ["p2"]})
    assert [len(part) for part in two.split(0.5)] == [1, 1]
    with pytest.raises(ValueError, match="cannot split into 3 parts: the 2 questions are about 2 documents"):
        two.split(0.3, 0.3)
    joined = QADataset(two.queries, two.corpus, {"q1": ["p1", "p2"], "q2": ["p2"]})
    with pytest.raises(ValueError, match=r"about 1 passage that shares no question with another$"):
        joined.split(0.5, by="passage")


def test_split_by_something_else() -> None:
    with pytest.raises(ValueError, match="got 'sentence'"):
        mixed().split(by="sentence")  # type: ignore[arg-type]


def test_a_part_that_was_not_laid_down() -> None:
    with pytest.raises(ValueError, match=r"no part 'test'; its parts are none: split it with"):
        mixed().part("test")
    with pytest.raises(ValueError, match="`parts` names questions that are not in `queries`"):
        QADataset({"q": "why?"}, {"p": "so"}, {"q": ["p"]}, parts={"r": "test"})
