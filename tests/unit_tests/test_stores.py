"""The index as it was, queried adapted: in memory, FAISS, Chroma."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_chroma import Chroma
from langchain_community.vectorstores import FAISS
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_embedding_adapter import AdaptedEmbeddings, AdapterTrainer, TrainingConfig, adapt_store
from tests.small_world import AngleEmbeddings, world

PASSAGES = list(world().corpus.values())
QUESTION, ANSWER = "q 24 2", "p 24 2"


@pytest.fixture(scope="module")
def trained() -> AdaptedEmbeddings:
    return AdapterTrainer(AngleEmbeddings(), config=TrainingConfig(ridge=1e-3)).train(world()).embeddings


def in_memory(base: AngleEmbeddings, folder: Path) -> VectorStore:
    return InMemoryVectorStore.from_texts(PASSAGES, base)


def faiss(base: AngleEmbeddings, folder: Path) -> VectorStore:
    return FAISS.from_texts(PASSAGES, base)


def chroma(base: AngleEmbeddings, folder: Path) -> VectorStore:
    return Chroma.from_texts(PASSAGES, base, collection_name="angles", persist_directory=str(folder / "chroma"))


stores = pytest.mark.parametrize("make", [in_memory, faiss, chroma])


def first(store: VectorStore) -> str:
    return store.as_retriever(search_kwargs={"k": 1}).invoke(QUESTION)[0].page_content


@stores
def test_an_open_store_is_queried_adapted_and_nothing_is_embedded_again(make, base, trained, tmp_path: Path) -> None:
    store = make(base, tmp_path)
    embedded = len(base.documents) + len(trained.embeddings.documents)
    adapted = adapt_store(store, trained)
    assert type(adapted) is type(store)
    assert first(store) != ANSWER
    assert first(adapted) == ANSWER
    assert first(store) != ANSWER  # the store given is untouched
    assert len(base.documents) + len(trained.embeddings.documents) == embedded


@stores
async def test_it_is_queried_asynchronously_too(make, base, trained, tmp_path: Path) -> None:
    adapted = adapt_store(make(base, tmp_path), trained)
    assert (await adapted.asimilarity_search(QUESTION, k=1))[0].page_content == ANSWER


@stores
def test_what_is_added_through_it_is_embedded_by_the_base_and_found_by_both(
    make, base, trained, tmp_path: Path
) -> None:
    store = make(base, tmp_path)
    adapted = adapt_store(store, trained)
    adapted.add_texts(["p 27 2"])
    assert trained.embeddings.documents[-1] == "p 27 2"
    assert adapted.similarity_search("q 27 2", k=1)[0].page_content == "p 27 2"
    assert store.similarity_search(f"q {27 - base.turn} 2", k=1)[0].page_content == "p 27 2"


def test_a_faiss_index_is_loaded_with_the_adapted_embeddings(base, trained, tmp_path: Path) -> None:
    faiss(base, tmp_path).save_local(str(tmp_path / "index"))
    embedded = len(trained.embeddings.documents)
    store = FAISS.load_local(str(tmp_path / "index"), trained, allow_dangerous_deserialization=True)
    assert first(store) == ANSWER
    assert len(trained.embeddings.documents) == embedded


def test_an_existing_chroma_collection_is_opened_with_the_adapted_embeddings(base, trained, tmp_path: Path) -> None:
    chroma(base, tmp_path)
    embedded = len(trained.embeddings.documents)
    store = Chroma(collection_name="angles", embedding_function=trained, persist_directory=str(tmp_path / "chroma"))
    assert first(store) == ANSWER
    assert len(trained.embeddings.documents) == embedded


def test_a_store_that_hides_its_embeddings_is_refused(trained) -> None:
    class Hiding(InMemoryVectorStore):
        def __init__(self) -> None:
            self.secret = AngleEmbeddings()

    with pytest.raises(TypeError, match="Hiding holds its embeddings in none of embedding, embedding_function"):
        adapt_store(Hiding(), trained)
