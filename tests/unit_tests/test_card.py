"""The card tells what somebody who finds the adapter has to know."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel

from langchain_embedding_adapter import (
    AdaptedEmbeddings,
    AdapterTrainer,
    LinearAdapter,
    MemoryAdapter,
    QADataset,
    generate_pseudo_questions,
    generate_qa_pairs,
)
from tests.small_world import DIMENSIONS, AngleEmbeddings, AngleWriter, world


def card_of(folder: Path) -> dict[str, str]:
    """The card's sections by title."""
    _, *sections = (folder / "README.md").read_text().split("\n## ")
    return dict(section.split("\n\n", 1) for section in sections)


@pytest.fixture
def generated() -> QADataset:
    reference = world()
    documents = [
        Document(text, id=key, metadata={"source": reference.documents[key]}) for key, text in reference.corpus.items()
    ]
    return generate_qa_pairs(documents, AngleWriter().with_retry(), questions_per_chunk=1)


def test_it_tells_use_base_data_prompt_report_log_and_limits(generated: QADataset, tmp_path: Path) -> None:
    result = AdapterTrainer(AngleEmbeddings(), show_progress=False).train(generated)
    result.save(tmp_path / "turn")
    card = card_of(tmp_path / "turn")
    assert list(card) == ["Base model", "Base against adapted", "Data", "Training", "Log", "Limits"]
    assert "- model: `AngleEmbeddings`\n- dimensions: 8\n" in card["Base model"]
    assert str(result.report).split("\n\n")[1] in card["Base against adapted"]
    assert "- origin: written by a language model\n- model: AngleWriter\n- styles: natural\n" in card["Data"]
    assert f"- digest: {generated.digest}\n" in card["Data"]
    assert "The prompt:" in card["Data"]
    assert "Write {questions_per_chunk} different questions that this passage answers." in card["Data"]
    assert f"- chosen: {result.selection.chosen}\n" in card["Training"]
    assert str(result.selection.chosen) in card["Log"]
    assert "| step | nDCG@10 |" in card["Log"]
    assert "On top of another model it is noise, and loading refuses it there." in card["Limits"]


def test_it_says_what_is_not_known(tmp_path: Path) -> None:
    AdaptedEmbeddings(AngleEmbeddings(), LinearAdapter(DIMENSIONS, DIMENSIONS)).save_pretrained(tmp_path / "plain")
    card = card_of(tmp_path / "plain")
    assert list(card) == ["Base model", "Limits"]
    assert "the gain is unverified" in card["Limits"]


def test_a_memory_tells_that_it_holds_questions(tmp_path: Path) -> None:
    memory = MemoryAdapter(DIMENSIONS, DIMENSIONS, size=2)
    AdaptedEmbeddings(AngleEmbeddings(), memory).save_pretrained(tmp_path / "memory")
    assert "It holds the vectors of training questions." in card_of(tmp_path / "memory")["Limits"]


def test_an_index_of_another_model_is_named(tmp_path: Path) -> None:
    adapted = AdaptedEmbeddings(
        AngleEmbeddings(), LinearAdapter(DIMENSIONS, DIMENSIONS), document_embeddings=AngleEmbeddings(turn=0)
    )
    adapted.save_pretrained(tmp_path / "bridge")
    assert "- index built with: AngleEmbeddings" in card_of(tmp_path / "bridge")["Base model"]
    assert "the index is that of `AngleEmbeddings`" in (tmp_path / "bridge" / "README.md").read_text()


def test_where_questions_are_from_survives_files_and_splits(generated: QADataset, tmp_path: Path) -> None:
    assert generated.origin["turned_down"] == {}
    generated.save(tmp_path / "pairs.json")
    loaded = QADataset.load(tmp_path / "pairs.json")
    assert loaded.origin == generated.origin
    train, test = loaded.split(test_size=0.2, seed=0)
    assert train.origin == generated.origin
    assert train.digest != test.digest != loaded.digest == generated.digest
    with pytest.raises(ValueError, match="expected `origin` to be an object"):
        QADataset({"q": "a"}, {"p": "b"}, {"q": ["p"]}, origin="somewhere")  # type: ignore[arg-type]


def test_pseudo_questions_say_that_nobody_asked_them() -> None:
    documents = [Document("A year on Mars lasts six hundred and eighty seven days, which is long.")]
    assert "nobody asked them" in generate_pseudo_questions(documents).origin["how"]


def test_a_bound_model_is_named_by_what_it_binds() -> None:
    llm = FakeListChatModel(responses=["1. How long is a year on Mars?"])
    documents = [Document("A Mars year lasts 687 days.")]
    wrapped = llm.bind(stop=["x"]).with_fallbacks([llm])
    assert generate_qa_pairs(documents, wrapped).origin["model"] == "FakeListChatModel"
