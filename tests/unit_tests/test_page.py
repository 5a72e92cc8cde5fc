"""The report page: honest words, inert texts, nothing from elsewhere, the same file every time."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import pickle
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_embedding_adapter import (
    AdaptedEmbeddings,
    AdapterTrainer,
    QADataset,
    RetrievalReport,
    TrainingConfig,
    TrainingResult,
    evaluate_retrieval,
)
from langchain_embedding_adapter.evaluation import ranking
from langchain_embedding_adapter.evaluation.ranking import compare
from langchain_embedding_adapter.report.details import NOTHING, Found
from langchain_embedding_adapter.report.intervals import bootstrap_intervals
from langchain_embedding_adapter.report.of_report import page_of
from langchain_embedding_adapter.report.page.explorer import _hits, _Numbers
from langchain_embedding_adapter.report.page.words import verdict
from langchain_embedding_adapter.report.rows import SEEN, UNSEEN, row_of
from langchain_embedding_adapter.report.story import TrainingStory
from langchain_embedding_adapter.runs.run import Run
from langchain_embedding_adapter.vectors import PairVectors
from tests.small_world import AngleEmbeddings, turned_back, world

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)> & <b>bold</b> {{ 7 * 7 }}',
    "\u202eright to left\u202c שלום 🦜",
    "a null\x00 byte and half \ud83d a sign \u2028 a line",
]


class Page(HTMLParser):
    """What a browser would see: elements, what they point at, the text of those that hold one."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.meta: dict[str, str] = {}
        self.texts: dict[str, list[str]] = {}
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.inside = tag
        for name, value in attributes:
            if name in ("src", "href", "action", "srcset"):
                self.links.append(value or "")
            elif name == "id":
                self.ids.append(value or "")
            elif name.startswith("on") or name == "style":
                self.handlers.append(name)
        found = dict(attributes)
        if tag == "meta":
            self.meta[found.get("http-equiv") or found.get("name") or ""] = found.get("content") or ""

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.inside, []).append(data)

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    @property
    def words(self) -> str:
        return " ".join(" ".join(text for found in self.texts.values() for text in found).split())

    @property
    def explorer(self) -> dict:
        return next(json.loads(text) for text in self.texts["script"] if text.startswith('{"total"'))


@pytest.fixture(scope="module")
def parts() -> tuple[QADataset, QADataset]:
    train, test = world().split(0.3, seed=0)
    return train, test


@pytest.fixture(scope="module")
def result(parts: tuple[QADataset, QADataset]) -> TrainingResult:
    return AdapterTrainer(AngleEmbeddings(), show_progress=False).train(parts[0])


@pytest.fixture(scope="module")
def tested(result: TrainingResult, parts: tuple[QADataset, QADataset]) -> RetrievalReport:
    return result.evaluate(parts[1])


def test_the_page_of_a_test_is_complete(tested: RetrievalReport, tmp_path: Path) -> None:
    tested.save(tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    sections = {"verdict", "figures", "seen", "where", "questions", "shift", "choice", "data", "use", "repeat"}
    assert sections <= set(page.ids)
    assert "Better with the adapter" in page.words
    assert f"on {len(tested.query_ids)} questions that training had not seen" in page.words
    assert "AdaptedEmbeddings.from_pretrained" in page.words
    assert len(page.explorer["questions"]) == len(tested.query_ids)
    assert len(page.ids) == len(set(page.ids))


def test_the_page_of_a_training_is_complete(result: TrainingResult) -> None:
    page = Page(result.report.to_html())
    assert {"verdict", "figures", "seen", "questions", "choice", "data", "use", "repeat"} <= set(page.ids)
    assert "its fit had not seen" in page.words
    assert "a test on questions kept apart is stricter" in page.words
    assert len(page.explorer["questions"]) == len(result.report.query_ids)


def test_nothing_is_asked_of_anybody_else(tested: RetrievalReport) -> None:
    page = Page(tested.to_html())
    assert all(link.startswith("#") or link == "data:," for link in page.links)
    assert not page.handlers
    policy = page.meta["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for text in (page.texts["style"][0], page.texts["script"][-1]):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert "http:" not in page.texts["style"][0]


def test_the_same_report_gives_the_same_page(tested: RetrievalReport) -> None:
    assert tested.to_html() == tested.to_html()
    assert copy.deepcopy(tested).to_html() == tested.to_html()
    assert pickle.dumps(tested)


def test_hostile_texts_are_inert(tmp_path: Path) -> None:
    texts = {f"q{number}": text for number, text in enumerate(HOSTILE)}
    dataset = QADataset(
        queries=texts,
        corpus={f"p{number}": text for number, text in enumerate(HOSTILE)},
        relevant_docs={f"q{number}": [f"p{number}"] for number in range(len(HOSTILE))},
        documents={f"p{number}": text for number, text in enumerate(HOSTILE)},
        styles=dict(texts),
        origin={"how": HOSTILE[0], "prompt": HOSTILE[0], "turned_down": {HOSTILE[1]: 2}},
    )
    vectors = np.eye(4, dtype=np.float32)
    report = compare(PairVectors.from_arrays(dataset, vectors, vectors), lambda queries: queries[:, ::-1])
    assert report.details is not None
    story = TrainingStory(HOSTILE[0], True, "ndcg@10", base_model=HOSTILE[1], rejected=({"question": HOSTILE[0]},))
    replace(report, details=replace(report.details, dataset=dataset, story=story)).save(tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not {"img", "b"} & set(page.tags)
    assert page.tags.count("script") == 2
    assert not page.handlers
    assert [question[0] for question in page.explorer["questions"]][:2] == HOSTILE[:2]
    assert page.explorer["questions"][3][0] == "a null\ufffd byte and half \ufffd a sign a line"
    assert "{{ 7 * 7 }}" in page.words


def test_the_explorer_has_ranks_scores_and_right_passages(base: AngleEmbeddings) -> None:
    # The base ranks passages by nearness to the question's angle plus 50°; turned back, each finds its own first.
    dataset = QADataset(
        queries={"a": "q 0 0", "b": "q 60 0", "c": "q 200 0"},
        corpus={"p0": "p 0 0", "p60": "p 60 0", "p120": "p 120 0", "p200": "p 200 0"},
        relevant_docs={"a": ["p0"], "b": ["p60"], "c": ["p200", "p120"]},
    )
    explorer = Page(evaluate_retrieval(turned_back(base), dataset).to_html()).explorer
    text, change, right, base_ranks, adapted_ranks, base_hits, adapted_hits, *_ = explorer["questions"][0]
    passages = [passage for passage, _ in explorer["passages"]]
    assert (text, base_ranks, adapted_ranks) == ("q 0 0", [2], [1])
    assert change == round(1000 * (1 - 1 / np.log2(3)))
    assert [passages[number] for number in right] == ["p 0 0"]
    assert [passages[number] for number in base_hits[::2]] == ["p 60 0", "p 0 0", "p 120 0", "p 200 0"]
    assert passages[adapted_hits[0]] == "p 0 0"
    assert base_hits[1] == round(1000 * np.cos(np.radians(10)))
    assert explorer["questions"][2][3:5] == [[1, 3], [1, 2]]


def test_the_lists_of_a_training_are_those_that_were_judged(result: TrainingResult) -> None:
    _agree(result.report)


def test_also_where_a_question_has_passages_in_several_folds(parts: tuple[QADataset, QADataset]) -> None:
    data = parts[0]
    relevant = {  # every third question is about the passage on the other side too
        query: [*found, _across(found[0])] if number % 3 == 0 else found
        for number, (query, found) in enumerate(data.relevant_docs.items())
    }
    train = QADataset(data.queries, data.corpus, relevant, data.documents)
    trained = AdapterTrainer(AngleEmbeddings(), show_progress=False).train(train)
    assert trained.report.details is not None
    assert any(len(set(right)) > 1 for right in relevant.values())
    _agree(trained.report)


def test_and_with_questions_about_the_same_passages(parts: tuple[QADataset, QADataset]) -> None:
    trained = AdapterTrainer(AngleEmbeddings(), show_progress=False).train(parts[0], expect="same passages")
    _agree(trained.report)


def _across(passage: str) -> str:
    plane, angle = passage[1:].split("-")
    return f"p{plane}-{(int(angle) + 96) % 360}"


def _agree(report: RetrievalReport) -> None:
    """The reciprocal ranks of a report's lists are its own."""
    assert report.details is not None
    assert report.adapted_scores is not None
    lists = report.details.found()
    assert lists is not None
    assert lists.adapted is not None
    assert lists.query_ids == report.query_ids
    for side, scores in ((lists.base, report.base_scores), (lists.adapted, report.adapted_scores)):
        best = np.array([min(ranks) for ranks in side.ranks])
        np.testing.assert_allclose(np.where(best <= 10, 1 / best, 0), scores["mrr@10"])
        for row, (ranks, right) in enumerate(zip(side.ranks, lists.right, strict=True)):
            listed = side.passages[row].tolist()
            assert all(listed[rank - 1] == passage for rank, passage in zip(ranks, right, strict=True) if rank <= 10)


def test_of_very_many_vectors_only_the_rankings_are_kept(
    base: AngleEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = world()
    whole = evaluate_retrieval(turned_back(base), dataset)
    monkeypatch.setattr(ranking, "KEPT", 0)
    report = evaluate_retrieval(turned_back(base), dataset)
    assert report.details is not None
    assert whole.details is not None
    assert not callable(report.details.lists)
    known, short = whole.details.found(), report.details.found()
    assert known is not None
    assert short is not None
    np.testing.assert_array_equal(short.base.passages, known.base.passages)
    np.testing.assert_allclose(short.base.scores, known.base.scores)
    assert all(
        few[0] == (all_of[0] if all_of[0] <= 10 else 0)
        for few, all_of in zip(short.base.ranks, known.base.ranks, strict=True)
    )


def test_an_evaluation_looks_nothing_up_until_it_is_asked(tested: RetrievalReport, monkeypatch) -> None:
    assert tested.details is not None
    assert callable(tested.details.lists)
    assert tested.subset(tested.query_ids[:12]).to_html().count("12 questions that training had not seen") == 1


def test_seen_and_unseen_passages_are_told_apart(result: TrainingResult, parts: tuple[QADataset, QADataset]) -> None:
    train, test = parts
    both = QADataset(
        {**train.queries, **test.queries},
        train.corpus,
        {**train.relevant_docs, **test.relevant_docs},
        train.documents,
    )
    page = page_of(result.evaluate(both))
    assert f"{len(train)} of them learned from" in page.verdict.sentence
    assert any("looks better than it is" in caveat for caveat in page.verdict.caveats)
    assert page.seen is not None
    assert [(row.name, row.questions) for row in page.seen.rows] == [
        ("passages seen in training", len(train)),
        ("documents never seen", len(test)),
    ]


def test_whatever_decided_its_questions_can_be_looked_at() -> None:
    train, test = world().split(0.3, seed=0)
    trainer = AdapterTrainer(AngleEmbeddings(), show_progress=False, config=TrainingConfig(epochs=1))
    for trained in (trainer.train(train, validation=test), trainer.train(train, adapter="low-rank")):
        page = page_of(trained.report)
        assert page.explorer is not None
        assert len(page.explorer["questions"]) == len(trained.report.query_ids)
        assert any("decided" in caveat for caveat in page.verdict.caveats)
        _agree(trained.report)

    assert page.seen is not None  # they were held out by whole documents
    assert [row.name for row in page.seen.rows] == [UNSEEN]


def test_a_retraining_without_a_further_gain_is_no_kept_base() -> None:
    train, test = world().split(0.3, seed=0)
    trainer = AdapterTrainer(AngleEmbeddings(), show_progress=False)
    again = trainer.train(train, adapter=turned_back(AngleEmbeddings()).adapter)
    assert not again.improved
    assert page_of(again.report).verdict.headline == "Keep the adapter from before"
    page = page_of(again.evaluate(test))
    assert page.verdict.outcome == "ship"
    assert page.tally is not None
    assert "from_pretrained" in page.use


def test_what_was_asked_for_is_in_what_repeats_it() -> None:
    train, test = world().split(0.3, seed=0)
    trainer = AdapterTrainer(AngleEmbeddings(), show_progress=False, config=TrainingConfig(epochs=1))
    trained = trainer.train(train, adapter="low-rank", validation=test)
    repeat = page_of(trained.report).repeat
    assert "trainer.train(dataset, adapter='low-rank')  # given besides: validation" in repeat
    details = trained.report.details
    foreign = replace(details, story=replace(details.story, digest="x\nimport os"))
    assert "\nimport os" not in page_of(replace(trained.report, details=foreign)).repeat


def test_passages_by_other_ids_are_not_called_unseen() -> None:
    dataset, base = world(), AngleEmbeddings()
    store = InMemoryVectorStore(base)
    store.add_texts(list(dataset.corpus.values()), ids=[f"other-{key}" for key in dataset.corpus])
    trained = AdapterTrainer(base, show_progress=False).train(dataset)
    assert page_of(trained.evaluate(dataset, store=store)).seen is None


def test_a_hit_that_is_not_known_keeps_its_place() -> None:
    found = Found(np.array([[NOTHING, 4, NOTHING]]), np.array([[0.9, 0.8, 0.7]], np.float32), ((2,),))
    assert _hits(found, 0, _Numbers()) == [-1, 0, 0, 800]


def test_where_nobody_asked_nothing_is_claimed(parts: tuple[QADataset, QADataset]) -> None:
    ways = ("sentence", "keywords", "terms")
    styles = {query: ways[number % 3] for number, query in enumerate(parts[0].queries)}
    pseudo = replace(parts[0], pseudo_styles=styles)
    trained = AdapterTrainer(AngleEmbeddings(), show_progress=False).train(pseudo)
    page = page_of(trained.report)
    assert page.verdict.outcome in ("unverified", "kept")
    assert not page.metrics
    assert page.tally is None
    assert page.explorer is not None
    assert {question[1] for question in page.explorer["questions"]} == {None}
    again = page_of(evaluate_retrieval(turned_back(AngleEmbeddings()), pseudo))
    assert again.verdict.outcome == "unverified"


def test_the_base_alone_is_called_so(base: AngleEmbeddings) -> None:
    page = page_of(evaluate_retrieval(base, world()))
    assert page.verdict.outcome == "base"
    assert page.metrics[0].adapted is None
    html = Page(evaluate_retrieval(base, world()).to_html())
    assert "no adapter was compared" in html.words
    assert "use" not in html.ids


def test_a_stores_own_search_is_shown_beside_an_exact_one(base: AngleEmbeddings) -> None:
    dataset = world()
    store = InMemoryVectorStore(base)
    store.add_texts(list(dataset.corpus.values()), ids=list(dataset.corpus))
    report = evaluate_retrieval(turned_back(base), dataset, store=store)
    page = Page(report.to_html())
    assert "An exact search, for comparison" in page.words
    assert len(page.explorer["questions"]) == len(dataset)
    assert page.explorer["questions"][0][4] == [1]


def test_an_adapter_that_is_trained_again_is_the_base(parts: tuple[QADataset, QADataset]) -> None:
    trainer = AdapterTrainer(AngleEmbeddings(), show_progress=False)
    before = turned_back(AngleEmbeddings(turn=23)).adapter
    again = trainer.train(parts[0], adapter=before)
    assert "with the adapter that training started from" in page_of(again.report).base_model
    assert page_of(again.evaluate(parts[1])).base_model == "AngleEmbeddings"
    _agree(again.report)


def test_a_report_of_scores_alone_has_a_page() -> None:
    scores = {"ndcg@10": np.linspace(0, 1, 40)}
    page = Page(RetrievalReport(tuple(map(str, range(40))), 90, scores, scores).to_html())
    assert {"verdict", "figures", "data"} <= set(page.ids)
    assert "explorer" not in page.ids


@pytest.mark.parametrize(
    ("gains", "improved", "outcome", "words"),
    [
        (np.linspace(0, 0.4, 60), True, "ship", "95% interval +0."),
        (np.linspace(-0.4, 0, 60), True, "worse", "95% interval \N{MINUS SIGN}0."),
        (np.tile([-0.3, 0.31], 30), True, "unclear", "may as well be none"),
        (np.full(5, 0.4), True, "unclear", "too few"),
        (np.zeros(60), False, "kept", "the base is kept"),
    ],
)
def test_the_verdict_says_no_more_than_is_known(gains: np.ndarray, improved: bool, outcome: str, words: str) -> None:
    base = np.full(len(gains), 0.5)
    found = verdict(row_of("nDCG@10", base, base + gains), found=(0.5, 0.6), improved=improved)
    assert found.outcome == outcome
    assert words in f"{found.headline} {found.sentence}"


def test_intervals_are_scipys_percentile_bootstrap() -> None:
    from scipy.stats import bootstrap

    values = np.random.default_rng(1).normal(0.1, 0.3, (80, 1))
    ours = bootstrap_intervals(values)[:, 0]
    theirs = bootstrap((values[:, 0],), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    np.testing.assert_allclose(ours, [theirs.low, theirs.high], atol=0.005)
    np.testing.assert_array_equal(bootstrap_intervals(values)[:, 0], ours)
    assert np.isnan(bootstrap_intervals(values[:5])).all()


def test_a_page_of_a_thousand_questions_is_below_two_megabytes() -> None:
    random = np.random.default_rng(0)
    words = np.array([f"wörd{number}" for number in range(3_000)])

    long = " ".join(words[random.integers(len(words), size=20_000)])

    def text(length: int) -> str:
        start = int(random.integers(len(long) - 2_000))
        return long[start : start + 8 * length]

    corpus = {f"p{number}": text(90) for number in range(5_000)}
    queries = {f"q{number}": text(14) for number in range(1_000)}
    relevant = {query: [f"p{number}"] for number, query in enumerate(queries)}
    documents = {passage: f"document {number // 20}" for number, passage in enumerate(corpus)}
    dataset = QADataset(queries, corpus, relevant, documents)
    vectors = PairVectors.from_arrays(
        dataset, *(random.normal(size=(len(part), 16)).astype(np.float32) for part in (queries, corpus))
    )
    report = compare(vectors, lambda found: found[:, ::-1])
    assert report.details is not None
    html = replace(report, details=replace(report.details, dataset=dataset)).to_html()
    assert len(html.encode()) < 2_000_000
    explorer = Page(html).explorer
    assert len(explorer["questions"]) == 1_000
    assert min(len(passage) for passage, _ in explorer["passages"]) >= 100


def test_the_story_is_saved_without_a_text(
    result: TrainingResult, parts: tuple[QADataset, QADataset], tmp_path: Path
) -> None:
    result.save(tmp_path / "adapter")
    told = (tmp_path / "adapter" / "story.json").read_text(encoding="utf-8")
    assert not any(json.dumps(text) in told for text in [*parts[0].queries.values(), *parts[0].corpus.values()])
    story = TrainingStory.from_dict(json.loads(told) | {"of a later version": 1})
    assert result.report.details is not None
    known = result.report.details.story
    assert known is not None
    assert json.loads(json.dumps(story.to_dict())) == json.loads(json.dumps(known.to_dict()))
    with pytest.raises(ValueError, match="expected the story of a training"):
        TrainingStory.from_dict({"verdict": "?"})


def test_a_run_writes_its_page(tmp_path: Path) -> None:
    world().save(tmp_path / "pairs.json")
    run = Run(tmp_path / "run")
    run.take_pairs(tmp_path / "pairs.json")
    with pytest.raises(FileNotFoundError, match="no adapter yet"):
        run.write_page(AngleEmbeddings())
    made = {"embeddings": "local:angles", "adapter": "default", "test_size": 0.3, "config": TrainingConfig()}
    run.train(AngleEmbeddings, show_progress=False, **made)  # type: ignore[arg-type]
    (run.folder / "answers.summary.json").write_text('{"rejected": {"names its source": 1200}, "calls": 77}')
    (run.folder / "answers.rejected.jsonl").write_text(
        '{"question": "what says the text?", "reason": "names its source"}'
    )
    page = Page(run.write_page(AngleEmbeddings()).read_text(encoding="utf-8"))
    for told in ("names its source", "1,200", "what says the text?", "calls of the model"):
        assert told in page.words
    assert "Better with the adapter" in page.words
    assert "embedding-adapter train" in page.words
    assert "--test-size 0.3" in page.words
    assert str(run.adapter_folder) in page.words
    assert "documents never seen" in page.words
    assert "questions that training had not seen" in page.words
    (run.adapter_folder / "story.json").unlink()
    assert "Better with the adapter" in Page(run.write_page(AngleEmbeddings()).read_text(encoding="utf-8")).words
    with pytest.raises(ValueError, match=r"ends in .html"):
        run.write_page(AngleEmbeddings(), tmp_path / "page.pdf")


def test_the_page_says_where_the_gain_is_not() -> None:
    base, gains = np.full(80, 0.5), np.repeat([0.3, -0.1], 40) + np.tile([0.01, -0.01], 40)
    whole = row_of("nDCG@10", base, base + gains)
    parts = [
        row_of(name, base[part], (base + gains)[part]) for name, part in ((SEEN, slice(40)), (UNSEEN, slice(40, 80)))
    ]
    found = verdict(whole, found=None, improved=True, parts=parts)
    assert found.outcome == "ship"
    (caveat,) = found.caveats
    assert caveat.startswith("It depends on what training had seen: on documents never seen \N{MINUS SIGN}0.100 (95%")


def test_what_is_not_known_of_the_questions_is_said(result: TrainingResult) -> None:
    assert result.report.details is not None
    untold = replace(result.report, details=replace(result.report.details, lists=None))
    assert "What each question found is not known here" in Page(untold.to_html()).words


def test_a_missing_jinja_names_the_extra(tested: RetrievalReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"langchain-embedding-adapter\[report\]"):
        tested.to_html()


def test_the_adapted_embeddings_are_named(base: AngleEmbeddings) -> None:
    adapted = turned_back(base)
    assert isinstance(adapted, AdaptedEmbeddings)
    page = page_of(evaluate_retrieval(adapted, world()))
    assert (page.base_model, page.adapter) == ("AngleEmbeddings", "linear, 8 → 8 dimensions")
    assert "had not seen" not in page.verdict.sentence  # nobody knows here what training has seen
