"""What a question finds, base beside adapted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from langchain_community.vectorstores import FAISS

from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter
from langchain_embedding_adapter.evaluation.asking import (
    Hit,
    SideBySide,
    answers_by_text,
    faiss_folder,
    moves,
    passages_of,
)
from langchain_embedding_adapter.stores import StoredVectors
from tests.small_world import DIMENSIONS, AngleEmbeddings, turned_back, world


@pytest.fixture
def side_by_side(base: AngleEmbeddings) -> SideBySide:
    dataset = world()
    return SideBySide(turned_back(base), passages_of(dataset.corpus, base), answers_by_text(dataset))


def test_the_adapter_finds_what_the_base_did_not(side_by_side: SideBySide) -> None:
    found = side_by_side.ask("q 24 2", 3)
    assert [hit.text for hit in found.base] == ["p 72 2", "p 84 2", "p 60 2"]
    assert found.adapted[0].text == "p 24 2"
    assert {hit.text for hit in found.adapted[1:]} == {"p 36 2", "p 12 2"}
    assert [hit.answers for hit in found.adapted] == [True, False, False]
    assert found.adapted[0].score == pytest.approx(1.0, abs=1e-5)
    assert found.to_dict()["adapted"][0]["passage"] == "p2-24"


def test_a_question_of_nobody_has_no_right_answer(side_by_side: SideBySide) -> None:
    found = side_by_side.ask("q 25 2", 2)
    assert {hit.answers for hit in (*found.base, *found.adapted)} == {None}
    assert "✔" not in found.shown(100)


def test_wide_terminals_have_both_sides_narrow_ones_one_below_the_other(side_by_side: SideBySide) -> None:
    found = side_by_side.ask("q 24 2", 3)
    wide, narrow = found.shown(100), found.shown(40)
    assert wide.splitlines()[0].split() == ["|", "rank", "|", "base", "|", "adapted", "|"]
    assert "✔ 1.000 p 24 2" in wide
    assert len(wide.splitlines()) == 5
    assert narrow.splitlines()[0] == "base"
    assert narrow.splitlines()[5] == " 1  new ✔ 1.000 p 24 2"
    assert max(map(len, narrow.splitlines())) <= 40
    assert max(map(len, wide.splitlines())) <= 100


def test_marks_tell_where_a_passage_went_and_came_from() -> None:
    before = [Hit(rank, name, 0.0, "") for rank, name in enumerate("abcd", start=1)]
    after = [Hit(rank, name, 0.0, "") for rank, name in enumerate("bxac", start=1)]
    assert moves(before, after, gone="gone") == ["↓2", "↑1", "↓1", "gone"]
    assert moves(after, before, gone="new") == ["↑1", "new", "↓2", "↓1"]


def test_a_store_that_compares_by_distance_is_searched_by_distance(base: AngleEmbeddings) -> None:
    vectors = np.zeros((2, DIMENSIONS), dtype=np.float32)
    vectors[0, 0], vectors[1, 1] = 1, 9  # the second lies in the question's direction, and farther away
    passages = StoredVectors(("near", "far"), ("near", "far"), ({}, {}), vectors, "l2", normalised=False, total=2)
    found = SideBySide(AdaptedEmbeddings(base, LinearAdapter(DIMENSIONS, DIMENSIONS)), passages).ask("q 40 0", 2)
    assert [hit.passage for hit in found.base] == ["near", "far"]
    assert [round(hit.score, 3) for hit in found.base] == [1.414, 8.0]


def test_passages_of_another_model_are_refused(base: AngleEmbeddings) -> None:
    passages = StoredVectors(("a",), ("a",), ({},), np.ones((1, 3), np.float32), "cosine", normalised=False, total=1)
    with pytest.raises(ValueError, match="the passages have 3: they were embedded with another model"):
        SideBySide(turned_back(base), passages).ask("q 40 0", 1)


def test_a_faiss_folder_is_searched_as_it_is(base: AngleEmbeddings, tmp_path: Path) -> None:
    dataset = world(step=60)
    store = FAISS.from_texts(list(dataset.corpus.values()), base, ids=list(dataset.corpus))
    store.save_local(str(tmp_path / "index"))
    base.documents.clear()
    found = SideBySide(turned_back(base), faiss_folder(tmp_path / "index", base)).ask("q 60 1", 1)
    assert found.adapted[0].text == "p 60 1"
    assert base.documents == []
    with pytest.raises(FileNotFoundError, match=r"holds no FAISS index: expected the files index.faiss and index.pkl"):
        faiss_folder(tmp_path, base)


@pytest.mark.parametrize("width", [40, 100])
def test_of_another_models_index_only_the_adapted_side_is_known(base: AngleEmbeddings, width: int) -> None:
    narrow = AdaptedEmbeddings(base, LinearAdapter(DIMENSIONS, 4))
    passages = StoredVectors(("a", "b"), ("one", "two"), ({}, {}), np.eye(2, 4, dtype=np.float32), "cosine", True, 2)
    found = SideBySide(narrow, passages).ask("q 0 0", 2)
    assert found.base == ()
    shown = found.shown(width).splitlines()
    assert shown[0].split() == ["|", "rank", "|", "adapted", "|"]
    assert len(shown) == 4
