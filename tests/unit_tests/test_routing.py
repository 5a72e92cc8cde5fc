"""Several adapters behind one object."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_embedding_adapter import AdaptedEmbeddings, AdapterRouter, LinearAdapter, adapt_store
from langchain_embedding_adapter.embeddings.shadow import WAITING, ShadowAnswer
from tests.small_world import shifted

SIZE = 16
BASE = DeterministicFakeEmbedding(size=SIZE)


def places(text: str, answer: list[float]) -> int:
    """By how many places the base's vector was moved to become this answer."""
    known = np.array(BASE.embed_query(text))
    return next(place for place in range(SIZE) if np.allclose(np.roll(known, place), answer, atol=1e-5))


@pytest.fixture
def router() -> AdapterRouter:
    return AdapterRouter(BASE, {"en": shifted(1), "de": shifted(2)}, default="en")


class Traces(BaseCallbackHandler):
    """Keeps the metadata of every retriever's run."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, Any]] = []

    def on_retriever_start(self, *_: Any, metadata: dict[str, Any] | None = None, **__: Any) -> None:
        self.metadata.append(metadata or {})


def test_the_default_serves_where_none_is_named(router: AdapterRouter) -> None:
    assert places("a", router.embed_query("a")) == 1
    assert places("a", AdapterRouter(BASE, {"en": shifted(1)}).embed_query("a")) == 0
    assert repr(router) == "AdapterRouter(DeterministicFakeEmbedding, base, en, de; default en)"


def test_documents_are_never_adapted(router: AdapterRouter) -> None:
    with router.using("de"):
        assert router.embed_documents(["a"]) == BASE.embed_documents(["a"])
        assert asyncio.run(router.aembed_documents(["a"])) == BASE.embed_documents(["a"])


def test_an_adapter_is_chosen_by_name_in_this_thread_only(router: AdapterRouter) -> None:
    with router.using("de"), ThreadPoolExecutor(1) as pool:
        assert places("a", router.embed_query("a")) == 2
        assert places("a", pool.submit(router.embed_query, "a").result()) == 1
        with router.using("base"):
            assert router.embed_query("a") == BASE.embed_query("a")
    assert places("a", router.embed_query("a")) == 1


async def test_tasks_do_not_choose_for_each_other(router: AdapterRouter) -> None:
    async def ask(name: str) -> int:
        with router.using(name):
            await asyncio.sleep(0.001)
            return places("a", await router.aembed_query("a"))

    assert await asyncio.gather(*map(ask, ["en", "de", "base"] * 20)) == [1, 2, 0] * 20


def test_a_question_may_choose_and_is_asked_once() -> None:
    asked: list[str] = []

    def language(text: str) -> str | None:
        asked.append(text)
        return "de" if "ß" in text else None

    by_language = AdapterRouter(BASE, {"en": shifted(1), "de": shifted(2)}, choose=language)
    answers = by_language.embed_queries(["Wie groß?", "How large?"])
    assert [places("Wie groß?", answers[0]), places("How large?", answers[1])] == [2, 0]
    asked.clear()
    store = adapt_store(InMemoryVectorStore.from_texts(["x"], BASE), by_language)
    traces = Traces()
    store.as_retriever().invoke("Wie groß?", {"callbacks": [traces]})
    assert (asked, traces.metadata[0]["embedding_adapter"]) == (["Wie groß?"], "de")


def test_a_chain_chooses_by_its_configuration(router: AdapterRouter) -> None:
    store = adapt_store(InMemoryVectorStore.from_texts(["x", "y"], BASE), router)
    traces = Traces()
    chain = {"docs": store.as_retriever(), "question": RunnablePassthrough()} | RunnableLambda(
        lambda found: found["docs"]
    )
    for name in ("de", "en", None):
        chosen = {"configurable": {"adapter": name}} if name else {}
        assert len(chain.invoke("x", {"callbacks": [traces], **chosen})) == 2
    assert [found["embedding_adapter"] for found in traces.metadata] == ["de", "en", "en"]
    assert router["de"].statistics.queries == 1
    assert router["en"].statistics.queries == 2


async def test_a_bare_retriever_chooses_by_its_configuration_too(router: AdapterRouter) -> None:
    retriever = adapt_store(InMemoryVectorStore.from_texts(["x"], BASE), router).as_retriever(search_kwargs={"k": 1})
    traces = Traces()
    config: Any = {"configurable": {"adapter": "de"}, "callbacks": [traces], "metadata": {"tenant": "acme"}}
    assert retriever.invoke("x", config) == await retriever.ainvoke("x", config)
    assert router["de"].statistics.queries == 2
    for found in traces.metadata:
        assert (found["embedding_adapter"], found["embedding_adapter_version"], found["tenant"]) == (
            "de",
            router["de"].version,
            "acme",
        )
    with router.using("base"):
        retriever.invoke("x", {"callbacks": [traces]})
    assert traces.metadata[-1]["embedding_adapter"] == "base"


def test_a_retriever_of_one_adapter_tells_its_version_as_it_is_by_then() -> None:
    adapted = AdaptedEmbeddings(BASE, shifted(1), name="handbook")
    twin = adapt_store(InMemoryVectorStore.from_texts(["x"], BASE), adapted)
    retriever = twin.as_retriever(search_type="mmr", search_kwargs={"k": 1}, tags=["mine"])
    traces = Traces()
    retriever.invoke("x", {"callbacks": [traces]})
    adapted.swap(shifted(2), version="2")
    retriever.invoke("x", {"callbacks": [traces]})
    first, second = (found["embedding_adapter_version"] for found in traces.metadata)
    assert (second, first != second, traces.metadata[0]["embedding_adapter"]) == ("2", True, "handbook")
    assert "mine" in (retriever.tags or [])


def test_a_twins_twin_is_its_own(router: AdapterRouter) -> None:
    store = InMemoryVectorStore.from_texts(["x"], BASE)
    one, two = AdaptedEmbeddings(BASE, shifted(1)), AdaptedEmbeddings(BASE, shifted(2))
    adapt_store(adapt_store(store, one), two).as_retriever().invoke("x")
    assert (one.statistics.queries, two.statistics.queries) == (0, 1)


def test_names_that_are_not_known(router: AdapterRouter) -> None:
    with (
        pytest.raises(ValueError, match="there is no adapter 'fr'; those that there are: base, en, de"),
        router.using("fr"),
    ):
        pass
    with pytest.raises(ValueError, match="there is no adapter 'fr'"):
        AdapterRouter(BASE, {}, default="fr")
    lenient = AdapterRouter(BASE, {"en": shifted(1)}, default="en", strict=False)
    with lenient.using("fr"):
        assert places("a", lenient.embed_query("a")) == 1
    with pytest.raises(ValueError, match="'base' is the base itself"):
        router["base"]
    with pytest.raises(ValueError, match="'base' names the base itself"):
        router.add("base", shifted(1))


def test_adapters_come_and_go(router: AdapterRouter, tmp_path: Path) -> None:
    AdaptedEmbeddings(BASE, shifted(3), version="7").save_pretrained(tmp_path / "fr")
    router.add("fr", tmp_path / "fr")
    with router.using("fr"):
        assert places("a", router.embed_query("a")) == 3
    assert {name: [one.version for one in held] for name, held in router.versions.items()}["fr"] == ["7"]
    router.remove("fr")
    assert router.names == ("base", "en", "de")
    with pytest.raises(ValueError, match="'en' serves where no other is named, and stays"):
        router.remove("en")
    with pytest.raises(ValueError, match="expected an adapter to 16 dimensions, as the others, got 8"):
        router.add("small", LinearAdapter(SIZE, 8))
    with pytest.raises(ValueError, match="of its own; expected this"):
        router.add("other", AdaptedEmbeddings(DeterministicFakeEmbedding(size=SIZE), shifted(1)))


def test_a_share_of_the_questions_goes_to_the_candidate_and_always_the_same_ones(router: AdapterRouter) -> None:
    texts = [f"question {number}" for number in range(400)]

    def served() -> list[int]:
        return [places(text, router.embed_query(text)) for text in texts]

    router.roll_out("en", shifted(5), share=0.25)
    first = served()
    assert Counter(first)[5] == pytest.approx(100, abs=30)
    assert served() == first
    assert set(router.versions) == {"en", "de", "en (candidate)"}
    router.roll_out("en", shifted(5), share=0.5)
    wider = served()
    assert all(after == 5 for before, after in zip(first, wider, strict=True) if before == 5)
    router.withdraw("en")
    assert set(served()) == {1}
    router.roll_out("en", shifted(6))
    router.promote("en")
    assert set(served()) == {6}
    router["en"].roll_back()
    assert set(served()) == {1}
    with pytest.raises(ValueError, match="nothing is being rolled out as 'en'"):
        router.promote("en")
    with pytest.raises(ValueError, match="expected a share from 0 to 1, got 25"):
        router.roll_out("en", shifted(5), share=25)
    with pytest.raises(ValueError, match="expected a candidate to 16 dimensions, got 8"):
        router.roll_out("en", LinearAdapter(SIZE, 8))


def test_the_trace_of_a_question_tells_the_candidate_that_served_it(router: AdapterRouter) -> None:
    router.roll_out("en", AdaptedEmbeddings(BASE, shifted(5), version="candidate"), share=1)
    assert router.metadata_for("a")["embedding_adapter_version"] == "candidate"


def test_the_shadow_tells_what_it_would_have_answered_and_is_not_in_the_way(router: AdapterRouter) -> None:
    told: list[ShadowAnswer] = []
    store = InMemoryVectorStore.from_texts(["x", "y", "z"], BASE)
    shadow = router.shadow("en", shifted(7), told.append, store=store, k=2)
    assert shadow is not None
    answer = router.embed_query("x")
    assert places("x", answer) == 1
    assert shadow.flush()
    (found,) = told
    assert (found.question, found.vector, places("x", found.shadow_vector)) == ("x", answer, 7)
    assert found.served == ("en", router["en"].version)
    assert found.cosine == pytest.approx(np.corrcoef(answer, found.shadow_vector)[0, 1], abs=0.3)
    assert [len(found.documents), len(found.shadow_documents)] == [2, 2]
    assert found.shared in (0.0, 0.5, 1.0)
    assert "it would have found" in str(found)
    router.shadow("en", None)
    router.embed_query("x")
    assert len(told) == 1


def test_the_shadow_watches_the_base_too_and_logs_by_default(
    router: AdapterRouter, caplog: pytest.LogCaptureFixture
) -> None:
    shadow = router.shadow("base", shifted(7))
    assert shadow is not None
    with router.using("base"), caplog.at_level(logging.INFO):
        assert router.embed_query("x") == BASE.embed_query("x")
        assert shadow.flush()
    assert "'x': base  answered" in caplog.text
    assert "is at a cosine of" in caplog.text


def test_a_shadow_that_fails_or_cannot_keep_up_harms_nobody(
    router: AdapterRouter, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(answer: ShadowAnswer) -> None:
        raise RuntimeError("the log is full")

    shadow = router.shadow("en", shifted(7), fail)
    assert shadow is not None
    assert places("x", router.embed_query("x")) == 1
    assert shadow.flush()
    assert (shadow.failed, "the shadow failed at 'x'" in caplog.text) == (1, True)
    held = threading.Event()
    slow = router.shadow("en", shifted(7), lambda answer: held.wait())
    assert slow is not None
    for _ in range(WAITING + 50):
        router.embed_query("x")
    assert slow.left_out >= 49
    held.set()


def test_a_shadow_without_an_owner_ends(router: AdapterRouter) -> None:
    shadow = router.shadow("en", shifted(7))
    assert shadow is not None
    thread = shadow._thread
    router.shadow("en", None)
    thread.join(5)
    assert not thread.is_alive()


def test_names_are_chosen_and_adapters_exchanged_under_threads(router: AdapterRouter) -> None:
    done = threading.Event()

    def ask(worker: int) -> int:
        name, expected = [("en", {1, 4}), ("de", {2, 5, 6}), ("base", {0})][worker % 3]
        asked = 0
        while not done.is_set() or asked < 20:
            with router.using(name):
                assert places(f"{worker}", router.embed_query(f"{worker}")) in expected
            asked += 1
        return asked

    with ThreadPoolExecutor(24) as pool:
        askers = [pool.submit(ask, worker) for worker in range(24)]
        try:
            for number in range(60):
                router["en"].swap(shifted(4 if number % 2 else 1))
                router.roll_out("de", shifted(5 + number % 2), share=number % 5 / 4)
                if number % 3 == 0:
                    router.withdraw("de")
                router.add("more", shifted(number % SIZE))
        finally:
            done.set()
        assert min(asker.result() for asker in askers) >= 20
