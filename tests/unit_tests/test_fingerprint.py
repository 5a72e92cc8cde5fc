"""A model is known by its answers."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings, FakeEmbeddings

from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter
from langchain_embedding_adapter.embeddings.fingerprint import PROBES, check_base, record_base

SIZE = 64


class Service(Embeddings):
    """A model behind a name, that may answer with noise or be exchanged."""

    def __init__(self, seed: int = 0, noise: float = 0.0, model: str = "text-1", size: int = SIZE) -> None:
        self.model, self.seed, self.noise, self.size = model, seed, noise, size
        self.asked: list[str] = []
        self.random = np.random.default_rng(99)

    def embed_query(self, text: str) -> list[float]:
        self.asked.append(text)
        found = np.random.default_rng([self.seed, *text.encode()]).standard_normal(self.size)
        found /= np.linalg.norm(found)
        return (found + self.noise * self.random.standard_normal(self.size) / np.sqrt(self.size)).tolist()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    AdaptedEmbeddings(Service(), LinearAdapter(SIZE, SIZE)).save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize("size", [2, 8, 384, 3072])
def test_the_same_model_is_known_and_another_is_not(size: int) -> None:
    recorded = record_base(Service(size=size))
    assert check_base(recorded, Service(size=size)).same
    others = [check_base(recorded, Service(seed, size=size)).same for seed in range(1, 30)]
    assert sum(map(bool, others)) <= (3 if size == 2 else 0)  # two dimensions leave a probe one coordinate


def test_noise_of_floats_and_services_passes_and_drift_does_not() -> None:
    for seed in range(30):
        recorded = record_base(Service(seed, size=1536))
        assert check_base(recorded, Service(seed, noise=0.02, size=1536)).same  # a cosine of about .9998
        rounded = Service(seed, size=1536)
        rounded.embed_query = lambda text, seed=seed: (  # type: ignore[method-assign]
            np.array(Service(seed, size=1536).embed_query(text), dtype=np.float16).tolist()
        )
        assert check_base(recorded, rounded).same
        assert not check_base(recorded, Service(seed, noise=0.3, size=1536)).same  # about .96


def test_what_is_recorded() -> None:
    base = Service()
    recorded = record_base(base)
    assert (recorded["class"], recorded["model"], recorded["dimensions"]) == ("Service", "Service:text-1", SIZE)
    assert [probe["text"] for probe in recorded["probes"]] == list(PROBES)
    assert len(base.asked) == len(PROBES) + 1


def test_the_prefix_of_questions_is_recorded_and_told() -> None:
    base = Service()
    base.query_instruction = "query: "  # type: ignore[attr-defined]
    recorded = record_base(base)
    assert recorded["query_prefix"] == "query: "
    told = str(check_base(recorded, Service(seed=1)))
    assert "questions were prefixed with 'query: ', and now with None" in told


def test_a_model_that_cannot_be_recorded_costs_no_fit(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    class Broken(Service):
        def embed_query(self, text: str) -> list[float]:
            raise TimeoutError("no answer")

    with caplog.at_level(logging.WARNING):
        AdaptedEmbeddings(Broken(), LinearAdapter(SIZE, SIZE)).save_pretrained(tmp_path)
    assert "no fingerprint of Broken:text-1 is kept: it could not embed a probe: TimeoutError" in caplog.text
    caplog.clear()
    assert AdaptedEmbeddings.from_pretrained(tmp_path, Service()).adapter.in_features == SIZE
    assert "trained on Broken:text-1, and this is Service:text-1; no answers of it were recorded" in caplog.text


def test_a_model_that_never_answers_twice_the_same_has_no_fingerprint(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert "probes" not in record_base(FakeEmbeddings(size=SIZE))
    assert "it embeds the same text differently" in caplog.text


def test_loading_on_another_model_is_refused_unless_told_otherwise(saved: Path) -> None:
    another = DeterministicFakeEmbedding(size=SIZE)
    expected = (
        "does not belong to these embeddings: trained on Service:text-1, and DeterministicFakeEmbedding answers 1 of 1 "
        r"probes with other vectors. Use the model it was trained on, train again, or, .* verify=False"
    )
    with pytest.raises(ValueError, match=expected):
        AdaptedEmbeddings.from_pretrained(saved, another)
    assert AdaptedEmbeddings.from_pretrained(saved, another, verify=False).embeddings is another


def test_a_model_exchanged_behind_its_name_is_refused(saved: Path) -> None:
    with pytest.raises(ValueError, match="the model behind the name, or a setting, has changed"):
        AdaptedEmbeddings.from_pretrained(saved, Service(seed=1))


def test_the_same_model_by_another_class_is_taken(saved: Path) -> None:
    class Cached(Service):
        pass

    assert AdaptedEmbeddings.from_pretrained(saved, Cached()).adapter.in_features == SIZE


def test_one_question_is_asked_at_load_and_none_without_verification(saved: Path) -> None:
    base = Service()
    AdaptedEmbeddings.from_pretrained(saved, base)
    assert base.asked == [PROBES[0]]
    AdaptedEmbeddings.from_pretrained(saved, base, verify=False)
    assert base.asked == [PROBES[0]]


def test_what_was_verified_is_not_asked_again_when_it_is_saved_again(saved: Path, tmp_path: Path) -> None:
    base = Service()
    adapted = AdaptedEmbeddings.from_pretrained(saved, base)
    base.asked.clear()
    adapted.save_pretrained(tmp_path / "again")
    assert base.asked == []
    unverified = AdaptedEmbeddings.from_pretrained(saved, Service(seed=1), verify=False)
    unverified.save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match="does not belong"):
        AdaptedEmbeddings.from_pretrained(tmp_path / "other", Service())


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"model": 3},
        {"model": "a", "dimensions": "many"},
        {"model": "a", "probes": [{"text": "b"}]},
        {"model": "a", "probes": [{"text": "b", "digest": "c", "coordinates": [True]}]},
        {"model": "a", "probes": "none"},
    ],
)
def test_a_record_that_is_none_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        check_base(record, Service())


def test_coordinates_that_are_not_there_match_nothing() -> None:
    recorded = record_base(Service())
    recorded["probes"][0]["coordinates"] = [10**30]
    assert check_base(recorded, Service()).matches == (False, True, True)
