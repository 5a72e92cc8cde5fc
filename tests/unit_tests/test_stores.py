"""An index opened with adapted embeddings in the base's place, and a store that does not show where it holds them."""

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


def first(store: VectorStore) -> str:
    return store.as_retriever(search_kwargs={"k": 1}).invoke(QUESTION)[0].page_content


def test_a_faiss_index_is_loaded_with_the_adapted_embeddings(base, trained, tmp_path: Path) -> None:
    FAISS.from_texts(PASSAGES, base).save_local(str(tmp_path / "index"))
    embedded = len(trained.embeddings.documents)
    store = FAISS.load_local(str(tmp_path / "index"), trained, allow_dangerous_deserialization=True)
    assert first(store) == ANSWER
    assert len(trained.embeddings.documents) == embedded


def test_an_existing_chroma_collection_is_opened_with_the_adapted_embeddings(base, trained, tmp_path: Path) -> None:
    folder = str(tmp_path / "chroma")
    Chroma.from_texts(PASSAGES, base, collection_name="angles", persist_directory=folder)
    embedded = len(trained.embeddings.documents)
    store = Chroma(collection_name="angles", embedding_function=trained, persist_directory=folder)
    assert first(store) == ANSWER
    assert len(trained.embeddings.documents) == embedded


def test_a_store_that_hides_its_embeddings_is_refused(trained) -> None:
    class Hiding(InMemoryVectorStore):
        def __init__(self) -> None:
            self.secret = AngleEmbeddings()

    with pytest.raises(TypeError, match="Hiding holds its embeddings in none of embedding; open the collection anew"):
        adapt_store(Hiding(), trained)
