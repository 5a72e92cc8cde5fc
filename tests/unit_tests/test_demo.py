"""The demo's collection and its journey."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import BaseMessage

from langchain_embedding_adapter import AdaptedEmbeddings, QADataset, WordLlamaEmbeddings
from langchain_embedding_adapter.demo import language_reference as module
from langchain_embedding_adapter.demo.journey import DemoResult, run_demo, split_questions
from langchain_embedding_adapter.demo.language_reference import LanguageReference, load_language_reference
from langchain_embedding_adapter.metrics import label


@pytest.fixture(scope="module")
def reference() -> LanguageReference:
    return load_language_reference()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(tmp_path_factory.mktemp("demo"), WordLlamaEmbeddings())


def rows() -> list[dict[str, str]]:
    text = (files("langchain_embedding_adapter.demo") / "language_reference_questions.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_there_are_enough_questions_of_every_style() -> None:
    styles = Counter(row["style"] for row in rows())
    assert sum(styles.values()) >= 400
    assert styles.keys() == {"how-to", "symptom", "terse", "difference", "why"}
    assert min(styles.values()) >= 40
    assert len({row["question"].lower() for row in rows()}) == len(rows())


def test_nearly_every_question_finds_its_passage(reference: LanguageReference) -> None:
    assert len(reference.dataset) + reference.left_out == len(rows())
    assert reference.left_out < 0.1 * len(rows())
    assert max(map(len, reference.dataset.relevant_docs.values())) <= 2


def test_no_passage_repeats_another(reference: LanguageReference) -> None:
    texts = [chunk.page_content for chunk in reference.chunks]
    assert len(set(texts)) == len(texts)
    assert max(map(len, texts)) <= module.CHUNK_SIZE


def test_questions_that_another_python_cannot_answer_are_left_out_and_counted(
    reference: LanguageReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = {name: text for name, text in module.topics.items() if name != "debugger"}
    monkeypatch.setattr(module, "topics", fewer)
    without = load_language_reference()
    missing = sum(query.startswith("debugger-") for query in reference.dataset.queries)
    assert missing > 10
    assert without.left_out == reference.left_out + missing


def test_marks_of_other_versions_do_not_hide_an_anchor(reference, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = {name: text.replace('"', "`") for name, text in module.topics.items()}
    monkeypatch.setattr(module, "topics", marked)
    assert load_language_reference().left_out == reference.left_out


def test_some_topics_are_wholly_for_the_test(reference: LanguageReference) -> None:
    train, seen, unseen = split_questions(reference.dataset)

    def topics(part: QADataset) -> set[str]:
        return {part.document(passage) for passage in part.passages_asked_about()}

    assert not topics(unseen) & (topics(train) | topics(seen))
    assert not train.passages_asked_about() & seen.passages_asked_about()
    assert len(train) + len(seen) + len(unseen) == len(reference.dataset)
    assert min(len(seen), len(unseen)) > 50


def test_the_demo_says_what_it_found(result: DemoResult) -> None:
    shown = str(result)
    assert "| nDCG@10     |" in shown
    assert "| topics never seen       |" in shown
    assert result.training.verdict in shown
    assert f"{result.report['ndcg@10'].gain:+.3f}" in shown
    assert json.loads(json.dumps(result.to_dict()))["passages"] == len(result.reference.chunks)


def test_the_readme_shows_this_report(result: DemoResult) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = readme[readme.index("(`make demo`") : readme.index("Then query the index")]
    rows = re.findall(r"^\| (\S.*?@\d+) +\| ([\d.]+) \| +([\d.]+) \|", shown, re.MULTILINE)
    assert len(rows) >= 3
    for name, base, adapted in rows:  # other versions of Python have another reference, nearly the same
        found = next(row for row in result.report.rows if label(row.metric) == name)
        assert (float(base), float(adapted)) == pytest.approx((found.base, found.adapted), abs=0.03)


def test_its_test_questions_are_untouched_by_training(result: DemoResult) -> None:
    train, seen, unseen = split_questions(result.reference.dataset)
    assert set(result.report.query_ids) == {*seen.queries, *unseen.queries}
    assert result.trained_on == len(train)
    assert set(result.training.report.query_ids) <= train.queries.keys()


def test_its_retriever_shows_what_the_adapter_finds(result: DemoResult) -> None:
    assert any(answers for _, answers in result.example.adapted)
    assert len(result.example.base) == len(result.example.adapted) == 3
    loaded = AdaptedEmbeddings.from_pretrained(result.folder / "adapter", WordLlamaEmbeddings())
    assert len(loaded.embed_query("how do I slice a list")) == 256
    assert (result.folder / "index" / "index.faiss").is_file()


class Asker(SimpleChatModel):
    """Asks about the first words of each passage."""

    seen: list[str] = []

    def _call(self, messages: list[BaseMessage], *_: object, **__: object) -> str:
        passage = str(messages[-1].content).split("Passage:\n\n")[1]
        self.seen.append(passage)
        return f"1. what about {' '.join(passage.split()[:8])}?"

    @property
    def _llm_type(self) -> str:
        return "asker"


def test_an_llm_may_write_the_training_questions_and_never_sees_what_the_test_asks(
    reference: LanguageReference, tmp_path: Path
) -> None:
    llm = Asker(seen=[])
    result = run_demo(tmp_path, WordLlamaEmbeddings(), llm=llm)
    _, seen, unseen = split_questions(reference.dataset)
    corpus = reference.dataset.corpus
    hidden = {corpus[passage] for part in (seen, unseen) for passage in part.passages_asked_about()}
    assert llm.seen
    assert not any(text in prompt for prompt in llm.seen for text in hidden)
    assert set(result.report.query_ids) == {*seen.queries, *unseen.queries}


def test_an_interpreter_without_the_reference_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    monkeypatch.delitem(sys.modules, module.__name__)
    with pytest.raises(ImportError, match="Python's language reference"):
        __import__(module.__name__)
    assert isinstance(module, ModuleType)
