"""Questions through a chain: every part replaceable, answers kept as they come, nothing asked twice."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.runnables import RunnableLambda

from langchain_embedding_adapter import (
    QADataset,
    QuestionRules,
    agenerate_qa_pairs,
    generate_qa_pairs,
    plan_qa_pairs,
    verdicts,
)
from langchain_embedding_adapter.generation import DEFAULT_PROMPT
from langchain_embedding_adapter.generation.answers import AnswerFile

LOCK = threading.Lock()
DOCUMENTS = [Document(f"fact {n}", metadata={"source": f"book {n // 3}"}) for n in range(9)]


class Writer(SimpleChatModel):
    """Asks two questions about the fact in the prompt; slower for the first ones, so that they finish last."""

    prompts: list[str] = []
    fail: set[str] = set()
    answer: str = "Sure:\n1. what is {fact}?\n2. why {fact}?\n3. who {fact}?"
    delay: float = 0.0
    load: dict[str, int] = {"now": 0, "most": 0}

    def _call(self, messages: list[BaseMessage], *_: Any, **__: Any) -> str:
        prompt = str(messages[-1].content)
        fact = next(word for word in prompt.replace("\n", " ").split("fact ")[1].split())
        with LOCK:
            self.prompts.append(prompt)
            self.load["now"] += 1
            self.load["most"] = max(self.load["most"], self.load["now"])
        time.sleep(self.delay * (10 - int(fact)))
        with LOCK:
            self.load["now"] -= 1
        if fact in self.fail:
            raise ConnectionError(f"no answer about {fact}")
        return self.answer.format(fact=f"fact {fact}")

    @property
    def _llm_type(self) -> str:
        return "writer"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "FIRST_WAIT", 0.0)


@pytest.fixture
def llm() -> Writer:
    return Writer(prompts=[], load={"now": 0, "most": 0})


def texts(dataset: QADataset) -> list[str]:
    return list(dataset.queries.values())


EXPECTED = [f"{word} fact {n}?" for n in range(9) for word in ("what is", "why")]


def test_pairs_are_in_the_order_of_the_documents_whoever_finishes_first(llm: Writer) -> None:
    llm.delay = 0.002
    dataset = generate_qa_pairs(DOCUMENTS, llm)
    assert texts(dataset) == EXPECTED
    assert list(dataset.corpus.values()) == [document.page_content for document in DOCUMENTS]
    assert set(dataset.documents.values()) == {"book 0", "book 1", "book 2"}


async def test_the_asynchronous_way_gives_the_same(llm: Writer) -> None:
    assert await agenerate_qa_pairs(DOCUMENTS, llm) == generate_qa_pairs(DOCUMENTS, llm)


async def test_the_synchronous_way_works_inside_a_running_loop(llm: Writer) -> None:
    assert texts(generate_qa_pairs(DOCUMENTS, llm)) == EXPECTED


@pytest.mark.parametrize("limit", [1, 3])
async def test_no_more_calls_at_a_time_than_allowed(llm: Writer, limit: int) -> None:
    llm.delay = 0.001
    generate_qa_pairs(DOCUMENTS, llm, max_concurrency=limit)
    assert llm.load["most"] == limit
    await agenerate_qa_pairs(DOCUMENTS, llm, max_concurrency=limit)
    assert llm.load["most"] == limit


def test_the_prompt_carries_passage_and_number(llm: Writer) -> None:
    generate_qa_pairs(DOCUMENTS[:1], llm, questions_per_chunk=1)
    assert "fact 0" in llm.prompts[0]
    assert "Write 1 different questions" in llm.prompts[0]


@pytest.mark.parametrize(
    "prompt",
    [
        "Ask about: {passage}",
        PromptTemplate.from_template("Ask about: {passage}"),
        ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "Ask about: {passage}")]),
    ],
    ids=["text", "template", "chat template"],
)
def test_another_prompt(llm: Writer, prompt: Any) -> None:
    assert texts(generate_qa_pairs(DOCUMENTS, llm, prompt=prompt)) == EXPECTED
    assert "Ask about: fact 0" in llm.prompts


@pytest.mark.parametrize("prompt", ["Ask something", "{passage} in {language}"])
def test_a_prompt_with_other_variables_is_refused(llm: Writer, prompt: str) -> None:
    with pytest.raises(ValueError, match=r"a prompt with the variables \{passage\}, .*; got"):
        generate_qa_pairs(DOCUMENTS, llm, prompt=prompt)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda llm: llm.with_retry(stop_after_attempt=2),
        lambda llm: llm.bind(stop=["\n\n"]),
        lambda llm: llm.with_fallbacks([llm]),
        lambda llm: llm.with_config(tags=["cheap"]),
    ],
    ids=["retry", "bound", "fallbacks", "config"],
)
def test_a_model_in_a_wrapper(llm: Writer, wrap: Any) -> None:
    assert texts(generate_qa_pairs(DOCUMENTS, wrap(llm))) == EXPECTED


@pytest.mark.parametrize(
    "output",
    [
        ["what is it?", "why so?"],
        {"questions": ["what is it?", "why so?"]},
        "1. what is it?\n2. why so?",
        AIMessage("- what is it?\n- why so?"),
    ],
    ids=lambda output: type(output).__name__,
)
def test_a_whole_chain(output: Any) -> None:
    seen: list[dict[str, Any]] = []
    chain = RunnableLambda(lambda given: (seen.append(given), output)[1])
    dataset = generate_qa_pairs(DOCUMENTS[:1], chain=chain, rules=None)
    assert texts(dataset) == ["what is it?", "why so?"]
    assert seen == [{"passage": "fact 0", "questions_per_chunk": 2}]


def test_callbacks_and_tags_reach_the_model(llm: Writer) -> None:
    class Recorder(BaseCallbackHandler):
        def __init__(self) -> None:
            self.tags: list[list[str] | None] = []

        def on_chat_model_start(self, *_: Any, tags: list[str] | None = None, **__: Any) -> None:
            self.tags.append(tags)

    recorder = Recorder()
    generate_qa_pairs(DOCUMENTS, llm, config={"callbacks": [recorder], "tags": ["nightly"]})
    assert len(recorder.tags) == len(DOCUMENTS)
    assert all("nightly" in (tags or []) for tags in recorder.tags)


def test_a_second_run_asks_nothing(llm: Writer, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "pairs.jsonl"
    first = generate_qa_pairs(DOCUMENTS, llm, path=path)
    llm.prompts.clear()
    assert generate_qa_pairs(DOCUMENTS, llm, path=path) == first
    assert llm.prompts == []
    assert QADataset.load(path).queries.keys() == first.queries.keys()


def test_only_what_changed_is_asked_again(llm: Writer, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    generate_qa_pairs(DOCUMENTS[:5], llm, path=path)
    llm.prompts.clear()
    generate_qa_pairs(DOCUMENTS, llm, path=path)
    assert len(llm.prompts) == 4
    for change in ({"prompt": "Ask of {passage}"}, {"questions_per_chunk": 1}):
        llm.prompts.clear()
        generate_qa_pairs(DOCUMENTS, llm, path=path, **change)
        assert len(llm.prompts) == 9


def test_answers_are_on_disk_as_they_come(llm: Writer, tmp_path: Path) -> None:
    path, asked = tmp_path / "pairs.jsonl", []

    def answer(given: object) -> list[str]:
        asked.append(given)
        assert len(path.read_text().splitlines()) == len(asked) - 1
        return ["what is it?"]

    generate_qa_pairs(DOCUMENTS, chain=RunnableLambda(answer), path=path, max_concurrency=1)
    assert len(asked) == len(DOCUMENTS)


def test_half_a_line_is_healed(llm: Writer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "pairs.jsonl"
    whole = generate_qa_pairs(DOCUMENTS, llm, path=path, max_concurrency=1)
    path.write_bytes(path.read_bytes()[:-20])
    llm.prompts.clear()
    assert generate_qa_pairs(DOCUMENTS, llm, path=path) == whole
    assert len(llm.prompts) == 1
    assert "fact 8" in llm.prompts[0]
    assert "half a line" in caplog.text
    assert all(json.loads(line) for line in path.read_text().splitlines())


@pytest.mark.parametrize("content", ["notes\nmore notes\n", '{"question": "mine"}\n', "[1]\n"])
def test_a_file_of_something_else_is_left_alone(llm: Writer, tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"notes.txt, line 1, is no generated answer"):
        generate_qa_pairs(DOCUMENTS, llm, path=path)
    assert path.read_text() == content
    assert llm.prompts == []


def test_a_failed_call_loses_nothing_else(llm: Writer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "pairs.jsonl"
    llm.fail = {"2", "7"}
    dataset = generate_qa_pairs(DOCUMENTS, llm, path=path)
    assert len(dataset) == 14
    assert len(dataset.corpus) == 9
    assert "2 of 9 chunks got no answer" in caplog.text
    llm.fail = set()
    llm.prompts.clear()
    assert texts(generate_qa_pairs(DOCUMENTS, llm, path=path)) == EXPECTED
    assert len(llm.prompts) == 2


def test_when_every_call_fails_the_first_error_is_the_cause(llm: Writer) -> None:
    llm.fail = {str(n) for n in range(9)}
    with pytest.raises(
        RuntimeError, match="all 9 calls of the model failed; the first error: ConnectionError"
    ) as caught:
        generate_qa_pairs(DOCUMENTS, llm)
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_answers_without_a_question_are_counted_and_kept(llm: Writer, tmp_path: Path, caplog) -> None:
    llm.answer = "Here are your questions:"
    with pytest.raises(ValueError, match=r"no answer held a usable question .*the first answer was: 'Here are your"):
        generate_qa_pairs(DOCUMENTS, llm, path=tmp_path / "pairs.jsonl")
    assert "of 9 answers no question is left" in caplog.text
    assert len((tmp_path / "pairs.jsonl").read_text().splitlines()) == 9


def test_the_same_text_is_asked_about_once(llm: Writer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    generate_qa_pairs([*DOCUMENTS, *DOCUMENTS, Document(" ")], llm)
    assert len(llm.prompts) == 9


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "expected either `llm`"),
        ({"llm": Writer(), "chain": RunnableLambda(str)}, ValueError, "expected either `llm`"),
        ({"chain": RunnableLambda(str), "prompt": "{passage}"}, ValueError, "`prompt` goes with `llm`"),
        (
            {"chain": RunnableLambda(str), "styles": ["terse"], "difficulty": "hard"},
            ValueError,
            "`styles`, `difficulty`",
        ),
        ({"llm": "gpt-4o"}, TypeError, "expected a LangChain model as `llm`, got str"),
        ({"llm": Writer(), "questions_per_chunk": 0}, ValueError, "questions_per_chunk must be at least 1"),
        ({"llm": Writer(), "max_concurrency": 0}, ValueError, "max_concurrency must be at least 1"),
        ({"llm": Writer(), "documents": []}, ValueError, "no document to write questions about"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        generate_qa_pairs(**{"documents": DOCUMENTS, **arguments})


def test_the_default_prompt_has_the_variables_that_are_documented() -> None:
    assert set(DEFAULT_PROMPT.input_variables) == {"passage", "questions_per_chunk", "instructions"}


def test_two_do_not_write_to_one_file(llm: Writer, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    with AnswerFile(path, ()), pytest.raises(RuntimeError, match=r"another process is writing .*pairs.jsonl"):
        generate_qa_pairs(DOCUMENTS, llm, path=path)
    assert llm.prompts == []
    assert len(generate_qa_pairs(DOCUMENTS, llm, path=path)) == 18


def test_what_is_turned_down_is_kept_with_its_reason(llm: Writer, tmp_path: Path) -> None:
    llm.answer = (
        "1. What is {fact}?\n2. I hope this helps!\n3. What does the passage say about {fact}?\n4. Why so {fact}?"
    )
    path = tmp_path / "pairs.jsonl"
    dataset = generate_qa_pairs(DOCUMENTS[:2], llm, path=path)
    assert texts(dataset) == ["What is fact 0?", "Why so fact 0?", "What is fact 1?", "Why so fact 1?"]
    rejected = [json.loads(line) for line in (tmp_path / "pairs.rejected.jsonl").read_text().splitlines()]
    assert [row["reason"] for row in rejected] == 2 * ["not a question", "mentions the passage"]
    summary = json.loads((tmp_path / "pairs.summary.json").read_text())
    assert summary["rejected"] == {"not a question": 2, "mentions the passage": 2}
    assert (summary["questions"], summary["answered"], summary["calls"], summary["styles"]) == (4, 2, 2, {"natural": 4})
    assert QADataset.load(path).queries == dataset.queries


def test_other_rules_cost_no_other_calls(llm: Writer, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    generate_qa_pairs(DOCUMENTS, llm, path=path)
    llm.prompts.clear()
    short = generate_qa_pairs(DOCUMENTS, llm, path=path, rules=QuestionRules(min_words=4))
    assert texts(short) == [f"what is fact {n}?" for n in range(9)]
    assert texts(generate_qa_pairs(DOCUMENTS, llm, path=path, rules=None)) == EXPECTED
    assert llm.prompts == []


def test_the_style_is_recorded_with_every_question(llm: Writer, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    dataset = generate_qa_pairs(DOCUMENTS, llm, path=path, styles=["natural", "terse"])
    assert dataset.styles.keys() == dataset.queries.keys()
    assert set(dataset.styles.values()) == {"natural", "terse"}
    assert QADataset.load(path).styles == dataset.styles
    dataset.save(tmp_path / "pairs.json")
    assert QADataset.load(tmp_path / "pairs.json") == dataset
    assert dataset.subset(list(dataset.queries)[:3]).styles.keys() == set(list(dataset.queries)[:3])


def test_a_question_over_two_chunks_is_answered_by_both(llm: Writer, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    dataset = generate_qa_pairs(DOCUMENTS, llm, path=path, styles=["multi-hop"])
    ids = {text: passage for passage, text in dataset.corpus.items()}
    answers = {text: dataset.relevant_docs[query] for query, text in dataset.queries.items()}
    assert answers["what is fact 0?"] == [ids["fact 0"], ids["fact 1"]]
    assert answers["what is fact 2?"] == [ids["fact 2"]]  # the last one of its book
    assert QADataset.load(path).relevant_docs == dataset.relevant_docs


def test_a_preview_asks_about_some_chunks_spread_over_all(llm: Writer, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    dataset = generate_qa_pairs(DOCUMENTS, llm, path=path, limit=3)
    assert [word for word in texts(dataset) if "what" in word] == [f"what is fact {n}?" for n in (1, 4, 7)]
    assert len(dataset.corpus) == 9
    llm.prompts.clear()
    assert texts(generate_qa_pairs(DOCUMENTS, llm, path=path)) == EXPECTED
    assert len(llm.prompts) == 6


async def test_a_second_opinion_is_asked_for_once_and_counts(llm: Writer, tmp_path: Path) -> None:
    asked: list[str] = []

    def opinion(prompt: Any) -> str:
        asked.append(prompt.to_string())
        return "No, it does not." if "why fact" in asked[-1] else "Yes."

    settings: dict[str, Any] = {"path": tmp_path / "pairs.jsonl", "judge": RunnableLambda(opinion)}
    dataset = generate_qa_pairs(DOCUMENTS, llm, **settings)
    assert texts(dataset) == [f"what is fact {n}?" for n in range(9)]
    assert len(asked) == 18
    assert "Question: what is fact 0?" in "".join(asked)
    assert await agenerate_qa_pairs(DOCUMENTS, llm, **settings) == dataset
    assert len(asked) == 18
    summary = json.loads((tmp_path / "pairs.summary.json").read_text())
    assert summary["rejected"] == {"unanswerable": 9}


def test_questions_that_the_base_does_not_find_again_are_turned_down(llm: Writer, tmp_path: Path) -> None:
    class Facts(Embeddings):
        """Knows a fact by its number, and no question that asks why."""

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[float(text[-1] == str(n)) for n in range(9)] + [0.0] for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return [0.0] * 9 + [1.0] if "why" in text else self.embed_documents([text.rstrip("?")])[0]

    found = generate_qa_pairs(DOCUMENTS, llm, found_within=1, embeddings=Facts())
    assert [text for text in texts(found) if "what" in text] == [f"what is fact {n}?" for n in range(9)]


def test_structured_output_is_asked_for_where_the_model_has_it() -> None:
    class Structured(Writer):
        profile: dict[str, Any] = {"structured_output": True}

        def with_structured_output(self, schema: Any, *, include_raw: bool = False, **_: Any) -> Any:
            assert include_raw
            assert schema["properties"]["questions"]["type"] == "array"
            parsed = {"questions": ["What is so structured?", "Why is it so?"]}
            broken = {"raw": AIMessage("1. What is plain?"), "parsed": None, "parsing_error": ValueError("odd")}
            whole = {"raw": AIMessage('{"questions": []}'), "parsed": parsed, "parsing_error": None}
            return RunnableLambda(lambda prompt: broken if "fact 1" in prompt.to_string() else whole)

    expected = ["What is so structured?", "Why is it so?", "What is plain?"]
    assert texts(generate_qa_pairs(DOCUMENTS[:2], Structured())) == expected
    assert texts(generate_qa_pairs(DOCUMENTS[:1], Structured(), structured=False)) == EXPECTED[:2]
    with pytest.raises(TypeError, match="structured output takes a chat model"):
        generate_qa_pairs(DOCUMENTS, RunnableLambda(str), structured=True)


def test_a_plan_asks_nothing_and_tells_what_is_left(llm: Writer, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    whole = plan_qa_pairs(DOCUMENTS, llm, path=path, prices=(1e6, 2e6))
    assert (whole.chunks, whole.answered, whole.calls) == (9, 0, 9)
    assert whole.output_tokens == 9 * 50
    assert whole.cost == whole.input_tokens + 2 * whole.output_tokens
    assert "human: Passage:\n\nfact 0" in str(whole)
    assert llm.prompts == []
    generate_qa_pairs(DOCUMENTS[:4], llm, path=path)
    rest = plan_qa_pairs(DOCUMENTS, llm, path=path)
    assert (rest.answered, rest.calls, rest.cost) == (4, 5, None)
    assert rest.output_tokens < whole.output_tokens
    assert plan_qa_pairs(DOCUMENTS[:4], llm, path=path).calls == 0


def test_a_wrong_key_ends_the_run_and_keeps_what_was_paid_for(llm: Writer, tmp_path: Path) -> None:
    class UnauthorizedError(Exception):
        status_code = 401

    def answer(given: dict[str, Any]) -> list[str]:
        if given["passage"] > "fact 4":
            raise UnauthorizedError("no such key")
        return [f"what is {given['passage']}?"]

    path = tmp_path / "pairs.jsonl"
    with pytest.raises(RuntimeError, match=r"stopped after 6 calls, .*no such key.*keeps the 5 answers") as caught:
        generate_qa_pairs(DOCUMENTS, chain=RunnableLambda(answer), path=path, max_concurrency=1)
    assert isinstance(caught.value.__cause__, UnauthorizedError)
    assert len(path.read_text().splitlines()) == 5


def test_a_spent_budget_leaves_a_dataset_and_a_warning(llm: Writer, caplog: pytest.LogCaptureFixture) -> None:
    assert len(generate_qa_pairs(DOCUMENTS, llm, max_calls=4)) == 8
    assert "5 of 9 chunks got no answer" in caplog.text
    assert "the budget of 4 calls is spent" in caplog.text


def test_parts_are_laid_down_by_document_before_anything_is_asked(llm: Writer, tmp_path: Path) -> None:
    books = [Document(f"fact {n % 10} on page {n}", metadata={"source": f"book {n // 3:02}"}) for n in range(60)]
    first = generate_qa_pairs(books[:45], llm, path=tmp_path / "a.jsonl", test_size=0.2, validation_size=0.2)
    sides = {first.document(first.relevant_docs[query][0]): part for query, part in first.parts.items()}
    assert sorted(sides.values()).count("train") == 9
    assert len({(first.document(first.relevant_docs[q][0]), part) for q, part in first.parts.items()}) == 15
    assert [len(first.part(name)) for name in ("train", "validation", "test")] == [54, 18, 18]
    grown = generate_qa_pairs(books, llm, path=tmp_path / "a.jsonl", test_size=0.2, validation_size=0.2, seed=1)
    assert first.parts.items() <= grown.parts.items()
    assert [len(grown.part(name)) for name in ("train", "validation", "test")] == [72, 24, 24]
    assert generate_qa_pairs(books, llm, path=tmp_path / "a.jsonl").parts == grown.parts
    assert QADataset.load(tmp_path / "a.jsonl").parts == grown.parts
    grown.save(tmp_path / "a.json")
    assert QADataset.load(tmp_path / "a.json").part("test") == grown.part("test")


def test_what_nearly_repeats_another_document_is_on_its_side(llm: Writer) -> None:
    pages = [f"fact {n} " + " ".join(f"word{n}x{place}" for place in range(60)) for n in range(10)]
    books = [Document(page, id=f"book {n}") for n, page in enumerate(pages)]
    again = [Document(page + " Second edition.", id=f"again {n}") for n, page in enumerate(pages)]
    dataset = generate_qa_pairs(books + again, llm, test_size=0.3)
    side = {passages[0]: dataset.parts[query] for query, passages in dataset.relevant_docs.items()}
    assert all(side[f"book {n}"] == side[f"again {n}"] for n in range(10))
    assert list(side.values()).count("test") == 6


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"test_size": 1.0}, "together are between 0 and 1"),
        ({"test_size": -0.1, "validation_size": 0.2}, "shares of 0 or more"),
        ({"test_size": 0.2, "validation_size": 0.2}, "cannot lay down 3 parts over 2 documents"),
    ],
)
def test_parts_that_cannot_be_laid_down(llm: Writer, sizes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate_qa_pairs(DOCUMENTS[:6], llm, **sizes)
    assert llm.prompts == []
