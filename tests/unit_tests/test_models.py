"""Names of models, models from names, and the one that is embedded."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from langchain_embedding_adapter.local import WordLlamaEmbeddings
from langchain_embedding_adapter.models import load_chat_model, load_embeddings, model_name, vectors_name


def named(**attributes: object) -> Embeddings:
    kind = type("NamedEmbeddings", (DeterministicFakeEmbedding,), {})
    embeddings = kind(size=4)
    for name, value in attributes.items():
        object.__setattr__(embeddings, name, value)
    return embeddings  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({}, "NamedEmbeddings"),
        ({"model": "small"}, "NamedEmbeddings:small"),
        ({"model": "small", "deployment": "mine"}, "NamedEmbeddings:small"),
        ({"model": object(), "model_name": "all-MiniLM"}, "NamedEmbeddings:all-MiniLM"),
        ({"model": "", "model_id": "titan"}, "NamedEmbeddings:titan"),
    ],
)
def test_the_name_of_embeddings(attributes: dict[str, object], name: str) -> None:
    assert model_name(named(**attributes)) == name


def test_the_name_of_openai_embeddings() -> None:
    openai = pytest.importorskip("langchain_openai")
    embeddings = openai.OpenAIEmbeddings(model="text-embedding-3-small", api_key="none")
    assert model_name(embeddings) == "OpenAIEmbeddings:text-embedding-3-small"


def test_what_decides_the_vectors_tells_kept_ones_apart() -> None:
    openai = pytest.importorskip("langchain_openai")
    options = {"api_key": "none", "azure_endpoint": "https://x", "api_version": "1"}
    names = [
        vectors_name(openai.AzureOpenAIEmbeddings(azure_deployment=name, **options)) for name in ("one", "another")
    ]
    assert names[0] != names[1]
    whole = openai.OpenAIEmbeddings(model="m", api_key="none")
    assert vectors_name(whole) == model_name(whole)
    assert vectors_name(openai.OpenAIEmbeddings(model="m", dimensions=256, api_key="none")) != vectors_name(whole)


@pytest.mark.parametrize("load", [load_embeddings, load_chat_model])
def test_a_model_without_provider(load: object) -> None:
    with pytest.raises(ValueError, match=r"expected a model as provider:model, .* for instance; got 'gpt'"):
        load("gpt")  # type: ignore[operator]


@pytest.mark.parametrize("load", [load_embeddings, load_chat_model])
def test_an_unknown_provider(load: object) -> None:
    pytest.importorskip("langchain")
    with pytest.raises(ValueError, match="nobody"):
        load("nobody:model")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("load", "model", "module"),
    [
        (load_embeddings, "openai:text-embedding-3-small", "langchain.embeddings"),
        (load_chat_model, "openai:gpt-4o-mini", "langchain.chat_models"),
    ],
)
def test_without_langchain_the_install_line_is_named(
    load: object, model: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'langchain-embedding-adapter\[cli\]'"):
        load(model)  # type: ignore[operator]


def test_models_of_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain")
    pytest.importorskip("langchain_openai")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert model_name(load_embeddings("openai:text-embedding-3-large")) == "OpenAIEmbeddings:text-embedding-3-large"
    assert load_chat_model("openai:gpt-4o-mini").model_name == "gpt-4o-mini"  # type: ignore[attr-defined]


def test_an_unknown_local_model() -> None:
    with pytest.raises(ValueError, match="unknown local model 'local:bert'; expected local:wordllama"):
        load_embeddings("local:bert")


def test_without_wordllama_the_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(ImportError, match=r"`wordllama` is needed.*adapter\[local\]"):
        load_embeddings("local:wordllama")


@pytest.fixture(scope="module")
def embeddings() -> Embeddings:
    return load_embeddings("local:wordllama")


class TestWordLlama:
    def test_its_name(self, embeddings: Embeddings) -> None:
        assert isinstance(embeddings, WordLlamaEmbeddings)
        assert model_name(embeddings) == "WordLlamaEmbeddings:wordllama-256"

    def test_unit_vectors_of_256_dimensions(self, embeddings: Embeddings) -> None:
        vectors = embeddings.embed_documents(["Mars", "A Mars year lasts 687 days.", "火星"])
        assert [len(vector) for vector in vectors] == [256] * 3
        assert [sum(x * x for x in vector) for vector in vectors] == pytest.approx([1] * 3, abs=1e-5)

    def test_an_empty_text_gives_zeros(self, embeddings: Embeddings) -> None:
        assert embeddings.embed_documents(["", "Mars"])[0] == [0.0] * 256
        assert embeddings.embed_documents([]) == []

    def test_a_query_is_embedded_as_a_document_is(self, embeddings: Embeddings) -> None:
        texts = ["Mars", "How long is a year on Mars?", "a much longer text, " * 40]
        assert [embeddings.embed_query(text) for text in texts] == [
            pytest.approx(vector, abs=1e-6) for vector in embeddings.embed_documents(texts)
        ]

    def test_what_means_the_same_lies_nearer(self, embeddings: Embeddings) -> None:
        query = embeddings.embed_query("How long is a year on Mars?")
        near, far = embeddings.embed_documents(["A Martian year lasts 687 days.", "Bread rises with yeast."])
        assert np.dot(query, near) > np.dot(query, far)

    def test_loading_leaves_the_program_s_logging_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in [name for name in sys.modules if name.partition(".")[0] == "wordllama"]:
            monkeypatch.delitem(sys.modules, module)
        root = logging.getLogger()
        before = root.handlers[:], root.level
        WordLlamaEmbeddings()
        assert (root.handlers, root.level) == before
