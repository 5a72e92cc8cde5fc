"""``AdaptedEmbeddings`` as LangChain's ``Embeddings``, saved and loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from langchain_embedding_adapter import AdaptedEmbeddings, BaseAdapter, LinearAdapter
from tests.small_world import DIMENSIONS, AngleEmbeddings


def turned(features: int = DIMENSIONS) -> LinearAdapter:
    adapter = LinearAdapter(features, features)
    adapter.weight = np.roll(adapter.weight, 1, axis=0)
    return adapter


class StandardBase(AdaptedEmbeddings):
    """Adapted embeddings that the standard suites can make from plain arguments."""

    def __init__(self, size: int) -> None:
        super().__init__(DeterministicFakeEmbedding(size=size), turned(size))


class TestStandardUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return StandardBase

    @property
    def embedding_model_params(self) -> dict[str, int]:
        return {"size": 12}


class TestStandardIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return StandardBase

    @property
    def embedding_model_params(self) -> dict[str, int]:
        return {"size": 12}


class NativeAsync(AngleEmbeddings):
    """Has asynchronous methods of its own, and notes that they were used."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited: list[str] = []

    async def aembed_query(self, text: str) -> list[float]:
        self.awaited.append(text)
        return self._vector(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.awaited += texts
        return [self._vector(text) for text in texts]


@pytest.fixture
def adapted(base: AngleEmbeddings) -> AdaptedEmbeddings:
    return AdaptedEmbeddings(base, turned())


def test_questions_are_adapted(base: AngleEmbeddings, adapted: AdaptedEmbeddings) -> None:
    assert adapted.embed_query("q 10 0") == pytest.approx(np.roll(base._vector("q 10 0"), 1).tolist(), abs=1e-6)
    assert all(type(value) is float for value in adapted.embed_query("q 10 0"))


def test_documents_pass_through_the_bases_own_batch(base: AngleEmbeddings, adapted: AdaptedEmbeddings) -> None:
    texts = [f"p {angle} 0" for angle in range(300)]
    assert adapted.embed_documents(texts) == [base._vector(text) for text in texts]
    assert base.document_calls == 1


def test_many_questions_are_adapted_as_each_would_be(adapted: AdaptedEmbeddings) -> None:
    texts = ["q 10 0", "q 20 1", "q 10 0"]
    assert np.array(adapted.embed_queries(texts)) == pytest.approx(
        np.array([adapted.embed_query(text) for text in texts]), abs=1e-7
    )
    assert adapted.embed_queries([]) == []


async def test_the_bases_own_asynchronous_methods_are_used() -> None:
    base = NativeAsync()
    adapted = AdaptedEmbeddings(base, turned())
    assert await adapted.aembed_query("q 1 0") == adapted.embed_query("q 1 0")
    assert await adapted.aembed_queries(["q 2 0", "q 3 0"]) == adapted.embed_queries(["q 2 0", "q 3 0"])
    assert await adapted.aembed_documents(["p 4 0"]) == [base._vector("p 4 0")]
    assert sorted(base.awaited) == ["p 4 0", "q 1 0", "q 2 0", "q 3 0"]
    assert await adapted.aembed_queries([]) == []


def test_an_adapted_query_is_as_long_as_the_bases() -> None:
    base = DeterministicFakeEmbedding(size=12)
    adapter = turned(12)
    adapter.weight = 7 * adapter.weight
    plain = np.linalg.norm(base.embed_query("a"))
    assert np.linalg.norm(AdaptedEmbeddings(base, adapter).embed_query("a")) == pytest.approx(plain, rel=1e-5)


def test_it_says_what_it_is(adapted: AdaptedEmbeddings) -> None:
    assert repr(adapted) == "AdaptedEmbeddings(AngleEmbeddings, linear 8 → 8)"


def test_wrong_parts_are_refused(base: AngleEmbeddings) -> None:
    with pytest.raises(TypeError, match="expected LangChain Embeddings, got str"):
        AdaptedEmbeddings("openai", turned())
    with pytest.raises(TypeError, match=r"expected an adapter \(a BaseAdapter\), got ndarray"):
        AdaptedEmbeddings(base, np.eye(8))


def test_a_query_of_other_dimensions_is_refused_in_words() -> None:
    adapted = AdaptedEmbeddings(DeterministicFakeEmbedding(size=5), turned())
    with pytest.raises(ValueError, match="takes query vectors of 8 dimensions and DeterministicFakeEmbedding gives 5"):
        adapted.embed_query("a")


def test_a_folder_holds_config_weights_and_card(adapted: AdaptedEmbeddings, tmp_path: Path) -> None:
    adapted.save_pretrained(tmp_path / "my-adapter")
    assert sorted(file.name for file in (tmp_path / "my-adapter").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    config = json.loads((tmp_path / "my-adapter" / "config.json").read_text())
    assert config["adapter"] == {
        "kind": "linear",
        "in_features": 8,
        "out_features": 8,
        "arguments": {"in_features": 8, "out_features": 8, "bias": False},
    }
    assert config["base_model"] == "AngleEmbeddings"
    card = (tmp_path / "my-adapter" / "README.md").read_text()
    assert 'AdaptedEmbeddings.from_pretrained("my-adapter", embeddings)' in card


def test_another_model_is_refused_at_load(adapted: AdaptedEmbeddings, tmp_path: Path) -> None:
    adapted.save_pretrained(tmp_path)
    expected = r"takes query vectors of 8 dimensions \(it was trained on AngleEmbeddings\) and Determ.* gives 5; use"
    with pytest.raises(ValueError, match=expected):
        AdaptedEmbeddings.from_pretrained(tmp_path, DeterministicFakeEmbedding(size=5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"kind": "quantum"},
            r"of kind .quantum., which is none of .* memory, layered-memory, quantised-memory",
        ),
        ({"in_features": 9}, r"contradicts itself: in_features and out_features are \(9, 8\)"),
        ({"arguments": {"in_features": 9, "out_features": 8}}, "contradicts itself"),
        ({"arguments": {"in_features": 8, "out_features": 8, "size": 3}}, "does not fit LinearAdapter"),
        ({"arguments": {"in_features": -8, "out_features": 8}}, "does not fit LinearAdapter"),
        ({"arguments": None}, "does not describe an adapter"),
        ({"kind": "low-rank", "arguments": {"in_features": 8, "out_features": 8, "rank": 2}}, "do not fit LowRank"),
    ],
)
def test_a_config_that_was_changed_is_refused_at_load(
    base: AngleEmbeddings, adapted: AdaptedEmbeddings, tmp_path: Path, change: dict, message: str
) -> None:
    adapted.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["adapter"] |= change
    del config["sha256"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        AdaptedEmbeddings.from_pretrained(tmp_path, base)


def test_a_users_class_is_passed_and_must_be_the_right_one(
    base: AngleEmbeddings, adapted: AdaptedEmbeddings, tmp_path: Path
) -> None:
    class Mine(LinearAdapter):
        kind = "mine"

    AdaptedEmbeddings(base, Mine(8, 8)).save_pretrained(tmp_path / "mine")
    assert isinstance(AdaptedEmbeddings.from_pretrained(tmp_path / "mine", base, adapter_class=Mine).adapter, Mine)
    with pytest.raises(ValueError, match=r"kind 'mine', which is none of .* pass it: from_pretrained"):
        AdaptedEmbeddings.from_pretrained(tmp_path / "mine", base)
    adapted.save_pretrained(tmp_path / "linear")
    with pytest.raises(ValueError, match="of kind 'linear', and Mine is of kind 'mine'"):
        AdaptedEmbeddings.from_pretrained(tmp_path / "linear", base, adapter_class=Mine)


def test_arguments_that_json_cannot_hold_are_refused_and_nothing_is_written(base, tmp_path: Path) -> None:
    class Mine(LinearAdapter):
        def __init__(self, in_features: int, out_features: int, thing: object) -> None:
            super().__init__(in_features, out_features)

    with pytest.raises(TypeError, match="not JSON serializable"):
        AdaptedEmbeddings(base, Mine(8, 8, object())).save_pretrained(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_the_hub_is_written_to_and_read_from(base, adapted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from langchain_embedding_adapter.embeddings import adapted as embeddings
    from langchain_embedding_adapter.storage import folder as storage

    def push_folder(folder: Path, hub_id: str, **options: bool) -> str:
        shutil.copytree(folder, tmp_path / hub_id)
        return f"https://hub/{hub_id}/commit/1?private={options['private']}"

    monkeypatch.setattr(embeddings, "push_folder", push_folder)
    monkeypatch.setattr(storage, "download_folder", lambda hub_id, files, **options: tmp_path / hub_id)
    assert adapted.push_to_hub("me/turned", private=True) == "https://hub/me/turned/commit/1?private=True"
    loaded = AdaptedEmbeddings.from_pretrained("me/turned", base)
    assert loaded.embed_query("q 1 0") == adapted.embed_query("q 1 0")


def test_nothing_to_load_says_so(base: AngleEmbeddings, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        AdaptedEmbeddings.from_pretrained(tmp_path / "nothing", base)


def test_the_adapter_is_any_base_adapter(adapted: AdaptedEmbeddings) -> None:
    assert isinstance(adapted.adapter, BaseAdapter)
