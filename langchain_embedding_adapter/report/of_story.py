"""From the story of a training to what a page tells of it: the choice, the data, how to use and how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.page.data import Candidate, Choice, Facts
from langchain_embedding_adapter.report.page.texts import block, clean
from langchain_embedding_adapter.report.story import TrainingStory

LISTED = 14
"""Candidates that are told by name."""
SAMPLES = 5


def choice_of(story: TrainingStory) -> Choice | None:
    """How the adapter was chosen; ``None`` where nothing is known of it."""
    if not story.candidates:
        return Choice(clean(story.verdict, 600), label(story.metric), (), (), 0, 0)
    futures = tuple(name for name in story.candidates[0] if name != "candidate")
    found = [
        Candidate(
            name=clean(row["candidate"], 120),
            figures=tuple((100 * row[name]["gain"], 100 * row[name]["standard_error"]) for name in futures),
            chosen=row["candidate"] == story.chosen,
            base=row["candidate"] == "base",
        )
        for row in story.candidates
    ]
    ranked = sorted(found, key=lambda one: (not one.chosen, -sum(gain for gain, _ in one.figures)))
    listed = ranked[:LISTED]
    listed += [one for one in ranked[LISTED:] if one.base]
    return Choice(
        reason=clean(story.verdict, 600),
        metric=label(story.metric),
        futures=futures,
        candidates=tuple(listed),
        tried=len(found) + len(story.given_up),
        given_up=len(story.given_up),
    )


def facts_of(dataset: QADataset | None, story: TrainingStory | None) -> Facts:
    """What the data was."""
    origin: Mapping[str, Any] = story.origin if story is not None else dataset.origin if dataset is not None else {}
    generation = story.generation if story is not None else {}
    counts: list[tuple[str, str]] = []
    if story is not None:
        counts += [(f"{name.replace('_', ' ')}, training", f"{value:,}") for name, value in story.counts.items()]
        if story.pseudo_questions:
            counts.append(("questions that nobody asked", f"{story.pseudo_questions:,}"))
    if dataset is not None:
        counts.append(("questions, this page", f"{len(dataset):,}"))
        counts.append(("passages, this page", f"{len(dataset.corpus):,}"))
        if dataset.documents:
            counts.append(("documents, this page", f"{len(set(dataset.documents.values())):,}"))
    counts += [
        (name.replace("_", " "), clean(_told(value), 300))
        for name, value in origin.items()
        if name not in ("prompt", "turned_down") and value not in (None, {}, [], "")
    ]
    if generation:
        for name in ("calls", "retries", "input_tokens", "output_tokens"):
            if name in generation:
                counts.append((f"{name.replace('_', ' ')} of the model", f"{generation[name]:,}"))
    if story is not None and story.digest:
        counts.append(("digest of the pairs", clean(story.digest, 80)))
    rejected = generation.get("rejected") or origin.get("turned_down") or {}
    kept = []
    if dataset is not None and dataset.corpus and len(dataset):
        queries = list(dataset.queries)
        for query in queries[:: max(1, len(queries) // SAMPLES)][:SAMPLES]:
            passage = dataset.relevant_docs[query][0]
            kept.append((clean(dataset.queries[query], 200), clean(dataset.corpus.get(passage, passage), 240)))
    return Facts(
        counts=tuple(counts),
        rejected=tuple((clean(reason, 120), int(count)) for reason, count in rejected.items()),
        kept_samples=tuple(kept),
        rejected_samples=tuple(
            (clean(row.get("question", ""), 200), clean(row.get("reason", ""), 120))
            for row in (story.rejected if story is not None else ())
        )[:SAMPLES],
        prompt=block(origin.get("prompt") or ""),
    )


def use_of(story: TrainingStory | None) -> str:
    """Three lines that use the adapter; nothing where none is worth it."""
    if story is None or not (story.improved or story.retrained):
        return ""
    saved = "" if story.folder else '; result.save("my-adapter") writes it'
    return (
        "from langchain_embedding_adapter import AdaptedEmbeddings, adapt_store\n"
        f"adapted = AdaptedEmbeddings.from_pretrained({(story.folder or 'my-adapter')!r}, embeddings)"
        f"  # embeddings: {clean(story.base_model or 'the base', 80)}{saved}\n"
        "retriever = adapt_store(store, adapted).as_retriever()  # store: the index, as it is"
    )


def repeat_of(story: TrainingStory | None) -> str:
    """Lines that do it again: the commands of a run, or code."""
    if story is None:
        return ""
    if story.commands:
        return "\n".join(clean(line, 1_000) for line in story.commands)
    settings = ", ".join(f"{name}={value!r}" for name, value in _changed(story.settings).items())
    adapter = f", adapter={story.asked_for!r}" if story.asked_for else ""
    expect = f", expect={story.expect!r}" if story.expect not in (None, "both") else ""
    given = f"  # given besides: {', '.join(clean(name, 40) for name in story.given)}" if story.given else ""
    digest = f"  # its digest: {clean(story.digest, 80)}" if story.digest else ""
    return (
        'dataset = QADataset.load("pairs.json")' + digest + "\n"
        f"trainer = AdapterTrainer(embeddings{f', config=TrainingConfig({settings})' if settings else ''})\n"
        f"result = trainer.train(dataset{adapter}{expect}){given}\n"
        'result.report.save("report.html")'
    )


def settings_of(story: TrainingStory | None) -> tuple[tuple[str, str], ...]:
    """Every setting of training."""
    return () if story is None else tuple((name, clean(_told(value), 300)) for name, value in story.settings.items())


def _changed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not the defaults."""
    from dataclasses import asdict

    from langchain_embedding_adapter.config import TrainingConfig

    defaults = asdict(TrainingConfig())
    return {
        name: value for name, value in settings.items() if name in defaults and _plain(value) != _plain(defaults[name])
    }


def _plain(value: Any) -> Any:
    """Lists and tuples alike: JSON knows only the one."""
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_told(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(f"({_told(one)})" if isinstance(one, (list, tuple)) else _told(one) for one in value)
    return "none" if value is None else str(value)
