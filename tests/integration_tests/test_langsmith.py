"""The real LangSmith client against a stand-in of its server: one dataset, two experiments, the metrics of a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from langchain_core.vectorstores import InMemoryVectorStore
from langsmith import Client

from langchain_embedding_adapter import (
    AdaptedEmbeddings,
    AdapterTrainer,
    QADataset,
    TrainingConfig,
    evaluate_on_langsmith,
    evaluate_retrieval,
)
from tests.langsmith_server import LangSmithServer
from tests.small_world import AngleEmbeddings, turned_back

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture
def server() -> Iterator[LangSmithServer]:
    with LangSmithServer() as server:
        yield server


@pytest.fixture
def client(server: LangSmithServer) -> Client:
    return Client(api_url=server.url, api_key="a key")


def few(dataset: QADataset, count: int = 6) -> QADataset:
    return dataset.subset(list(dataset.queries)[:count])


def means(server: LangSmithServer, experiment: str) -> dict[str, float]:
    """The mean of every score of an experiment."""
    (session,) = [key for key, each in server.sessions.items() if each["name"] == experiment]
    scores: dict[str, list[float]] = {}
    for each in server.feedback:
        if each["session_id"] == session:
            scores.setdefault(each["key"], []).append(each["score"])
    return {key: sum(found) / len(found) for key, found in scores.items()}


def test_base_and_adapted_are_two_experiments_with_the_reports_figures(
    server: LangSmithServer, client: Client, dataset: QADataset, base: AngleEmbeddings
) -> None:
    asked, adapted = few(dataset), turned_back(base)
    found = evaluate_on_langsmith(adapted, asked, "angles", experiment="spring", metadata={"team": "q"}, client=client)
    client.flush()
    assert found.questions == len(asked)
    assert found.base.startswith("spring-base-")
    assert found.adapted.startswith("spring-adapted-")
    report = evaluate_retrieval(adapted, asked)
    for name, scores in ((found.base, report.base_scores), (found.adapted, report.adapted_scores or {})):
        expected = {metric: float(each.mean()) for metric, each in scores.items()}
        assert means(server, name) == pytest.approx(expected, abs=1e-4)  # the client rounds
    assert means(server, found.adapted)["ndcg@5"] > 0.99 > 0.5 > means(server, found.base)["ndcg@5"]
    assert [each["inputs"]["question"] for each in server.examples] == list(asked.queries.values())
    assert [each["outputs"]["passage_ids"] for each in server.examples] == list(asked.relevant_docs.values())
    told = [session["extra"]["metadata"] for session in server.sessions.values()]
    assert [(each["side"], each["team"], each["embeddings"]) for each in told] == [
        ("base", "q", "AngleEmbeddings"),
        ("adapted", "q", "AngleEmbeddings"),
    ]
    assert {session["reference_dataset_id"] for session in server.sessions.values()} == {
        server.datasets["angles"]["id"]
    }


def test_questions_that_are_there_are_not_made_again(
    server: LangSmithServer, client: Client, dataset: QADataset, base: AngleEmbeddings
) -> None:
    adapted = turned_back(base)
    evaluate_on_langsmith(adapted, few(dataset, 3), "angles", client=client)
    found = evaluate_on_langsmith(adapted, few(dataset, 5), "angles", client=client)
    assert found.questions == 5
    assert len(server.datasets) == 1
    assert [each["metadata"]["query_id"] for each in server.examples] == list(few(dataset, 5).queries)


def test_a_result_or_a_store_embeds_nothing_twice(client: Client, dataset: QADataset, base: AngleEmbeddings) -> None:
    config = TrainingConfig(linear_grid=((40, 1e-3),), closed_forms=())
    result = AdapterTrainer(base, config=config).train(dataset)
    known = len(base.documents), len(base.queries)
    evaluate_on_langsmith(result, few(dataset), "of a result", client=client)
    assert (len(base.documents), len(base.queries)) == known
    store = InMemoryVectorStore.from_texts(list(dataset.corpus.values()), base, ids=list(dataset.corpus))
    known = len(base.documents), len(base.queries)
    empty = replace(few(dataset), corpus={}, documents={})
    evaluate_on_langsmith(AdaptedEmbeddings(base, result.adapter), empty, "of a store", store=store, client=client)
    assert (len(base.documents), len(base.queries)) == (known[0], known[1] + 6)


def test_no_question_is_refused(client: Client, base: AngleEmbeddings) -> None:
    with pytest.raises(ValueError, match="no question to evaluate with"):
        evaluate_on_langsmith(turned_back(base), QADataset({}, {"p": "p 0 0"}, {}), "none", client=client)
