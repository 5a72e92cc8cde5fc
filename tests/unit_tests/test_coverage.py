"""What training covered, and questions unlike it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter import AdaptedEmbeddings, AdapterTrainer, LinearAdapter
from langchain_embedding_adapter.embeddings.coverage import LEAST, Coverage
from tests.small_world import AngleEmbeddings, world

SIZE = 24
NEAR = 6
"""Training questions vary in the first so many dimensions."""


class Told(Embeddings):
    """Embeds a text as the vector that was told for it."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.vectors = vectors

    def embed_query(self, text: str) -> list[float]:
        return self.vectors.get(text, np.ones(SIZE)).tolist()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def questions(count: int, seed: int = 0) -> np.ndarray:
    found = np.zeros((count, SIZE), dtype=np.float32)
    found[:, :NEAR] = np.random.default_rng(seed).standard_normal((count, NEAR))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_questions_like_those_of_training_are_covered_and_others_are_not() -> None:
    coverage = Coverage.of(questions(200))
    assert coverage is not None
    other = np.eye(SIZE, dtype=np.float32)[NEAR:]
    usual, strange = coverage.share(questions(50, seed=1)), coverage.share(other)
    assert usual.min() > 0.9
    assert strange.max() < 0.1
    assert np.mean([coverage.familiarity(float(share)) for share in usual]) == pytest.approx(0.5, abs=0.15)
    assert max(coverage.familiarity(float(share)) for share in strange) == 0


def test_it_is_the_same_every_time_and_survives_being_saved() -> None:
    coverage, again = Coverage.of(questions(3000)), Coverage.of(questions(3000))
    assert coverage is not None
    assert again is not None
    assert np.array_equal(coverage.directions, again.directions)
    loaded = Coverage.from_arrays(coverage.to_arrays(), SIZE)
    assert loaded is not None
    assert loaded.share(questions(9)) == pytest.approx(coverage.share(questions(9)), abs=2e-3)


def test_too_few_questions_tell_nothing() -> None:
    assert Coverage.of(questions(LEAST - 1)) is None
    assert Coverage.from_arrays({}, SIZE) is None


def test_questions_that_are_all_the_same_give_numbers_all_the_same() -> None:
    coverage = Coverage.of(np.ones((20, SIZE), dtype=np.float32))
    assert coverage is not None
    assert np.isfinite(coverage.share(questions(5))).all()


@pytest.mark.parametrize("name", ["mean", "directions", "weights", "usual"])
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    coverage = Coverage.of(questions(20))
    assert coverage is not None
    arrays = coverage.to_arrays()
    missing = {key: array for key, array in arrays.items() if key != f"coverage.{name}"}
    with pytest.raises(ValueError, match="do not fit 24 dimensions"):
        Coverage.from_arrays(missing, SIZE)
    spoilt = arrays | {f"coverage.{name}": np.full_like(arrays[f"coverage.{name}"], np.nan)}
    with pytest.raises(ValueError, match="not finite"):
        Coverage.from_arrays(spoilt, SIZE)


def test_a_question_is_inspected_when_asked(tmp_path: Path) -> None:
    strange = np.eye(SIZE)[-1]
    base = Told({"usual": questions(1, seed=2)[0], "strange": 3 * strange})
    adapter = LinearAdapter(SIZE, SIZE)
    adapter.weight = np.roll(adapter.weight, 1, axis=0)
    adapted = AdaptedEmbeddings(base, adapter, coverage=partial(Coverage.of, questions(200)), name="turn")
    adapted.save_pretrained(tmp_path / "turn")
    for one in (adapted, AdaptedEmbeddings.from_pretrained(tmp_path / "turn", base)):
        usual, found = one.inspect_query("usual"), one.inspect_query("strange")
        assert found.vector == one.embed_query("strange")
        assert found.base_vector == (3 * strange).tolist()
        assert (found.name, found.version, found.shift) == ("turn", one.version, pytest.approx(1))
        assert (found.covered, found.familiarity) == (pytest.approx(0, abs=0.05), 0)
        assert usual.covered is not None
        assert usual.covered > 0.9
    assert AdaptedEmbeddings(base, adapter).inspect_query("usual").covered is None


async def test_training_tells_what_it_covered() -> None:
    result = AdapterTrainer(AngleEmbeddings(), show_progress=False).train(world())
    found = await result.embeddings.ainspect_query("q 30 1")
    assert found.covered is not None
    assert found.familiarity is not None
    assert found == result.embeddings.inspect_query("q 30 1")
