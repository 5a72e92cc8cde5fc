"""Pseudo-questions teach with caution: half the strength, unverified, or as real questions say."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langchain_embedding_adapter import AdapterTrainer, QADataset, TrainingConfig, TwoLayerAdapter, evaluate_retrieval
from langchain_embedding_adapter.fitting import sampled
from langchain_embedding_adapter.selection import caution
from langchain_embedding_adapter.selection.candidates import BASE
from langchain_embedding_adapter.selection.caution import CAUTIOUS, FULL, WEAK, trusted
from tests.small_world import AngleEmbeddings, world

CONFIG = TrainingConfig(ridge=1e-3)


def pseudo(dataset: QADataset) -> QADataset:
    """The small world's questions, as if they had been cut in two ways."""
    styles = {query: ("sentence", "terms")[number % 2] for number, query in enumerate(dataset.queries)}
    return replace(dataset, pseudo_styles=styles)


def real(turned: float, count: int = 20) -> QADataset:
    """Questions of the small world that ask elsewhere than the training questions do, by so many degrees."""
    source = world(step=18)
    queries = {
        query: f"q {float(text.split()[1]) + turned} {text.split()[2]}" for query, text in source.queries.items()
    }
    chosen = random.Random(0).sample(list(queries), count)
    return QADataset(queries, source.corpus, source.relevant_docs).subset(chosen)


def strength(result) -> float:
    return 0.0 if result.selection.chosen == BASE else result.selection.chosen.map.strength


def test_half_the_strength_is_taken_where_nobody_has_asked(base: AngleEmbeddings, dataset: QADataset) -> None:
    result = AdapterTrainer(base, config=CONFIG).train(pseudo(dataset))
    assert result.improved
    assert strength(result) == CAUTIOUS
    assert result.selection.chosen.memory is None
    assert "unverified: no real question was seen" in result.verdict


def test_no_gain_is_reported_where_nobody_has_asked(base, dataset: QADataset, tmp_path: Path) -> None:
    result = AdapterTrainer(base, config=CONFIG).train(pseudo(dataset))
    assert result.report.adapted_scores is None
    result.save(tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["report"] is None
    assert config["training"]["pseudo_questions"] == len(dataset)
    card = (tmp_path / "run" / "README.md").read_text()
    assert "unverified" in card
    assert "Base against adapted" not in card


def test_what_one_style_teaches_has_to_help_the_other(base: AngleEmbeddings, dataset: QADataset) -> None:
    answers = list(dataset.relevant_docs.values())
    random.Random(0).shuffle(answers)
    dealt = QADataset(dataset.queries, dataset.corpus, dict(zip(dataset.queries, answers, strict=True)))
    result = AdapterTrainer(base, config=CONFIG).train(pseudo(dealt))
    assert not result.improved
    assert result.selection.chosen == BASE
    assert "did not help the others, and the base is kept" in result.verdict


@pytest.mark.parametrize(("turned", "expected"), [(0, FULL), (-50, 0.0), (-120, 0.0)], ids=["alike", "easy", "other"])
def test_real_questions_say_how_far_to_trust_it(base, dataset, turned: float, expected: float) -> None:
    validation = real(turned)
    result = AdapterTrainer(base, config=CONFIG).train(pseudo(dataset), validation=validation)
    assert strength(result) == expected
    assert result.report.query_ids == tuple(validation.queries)
    assert "20 real questions" in result.verdict


@pytest.mark.parametrize(
    ("half", "further", "real", "expected"),
    [
        ([0.1, 0.0, 0.1, 0.0], [0.0, 0.1, 0.0, -0.1], True, CAUTIOUS),
        ([0.1, 0.0, 0.1, 0.0], [0.1, 0.2, 0.1, 0.2], True, FULL),
        ([0.1, 0.0, 0.1, 0.0], [0.1, 0.2, 0.1, 0.2], False, CAUTIOUS),
        ([0.3, 0.0, -0.4, 0.0], [0.1, 0.1, 0.1, 0.1], True, WEAK),
        ([-0.1, -0.2, -0.1, -0.2], [0.1, 0.1, 0.1, 0.1], True, 0.0),
        ([0.3, 0.0, -0.4, 0.0], [0.1, 0.1, 0.1, 0.1], False, 0.0),
        ([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], True, CAUTIOUS),
    ],
    ids=["for it", "for more", "nobody for more", "a little against", "against", "nobody against", "undecided"],
)
def test_how_far_to_trust(half: list[float], further: list[float], real: bool, expected: float) -> None:
    gains = {CAUTIOUS: np.array(half), FULL: np.array(half) + np.array(further)}
    assert trusted(gains, real=real) == expected


def test_real_questions_beside_pseudo_ones_are_the_check(base: AngleEmbeddings, dataset: QADataset) -> None:
    mixed = pseudo(dataset)
    unlabelled = list(mixed.pseudo_styles)[::5]
    mixed = replace(mixed, pseudo_styles={q: s for q, s in mixed.pseudo_styles.items() if q not in unlabelled})
    result = AdapterTrainer(base, config=CONFIG).train(mixed)
    assert result.report.query_ids == tuple(unlabelled)
    assert f"{len(unlabelled)} real questions" in result.verdict


@pytest.mark.parametrize("adapter", ["memory", "auto", "two-layer", TwoLayerAdapter(8, 8, 8)])
def test_pseudo_questions_train_linear_maps_only(base, dataset: QADataset, adapter) -> None:
    with pytest.raises(ValueError, match="pseudo-questions train a linear map"):
        AdapterTrainer(base).train(pseudo(dataset), adapter=adapter)


def test_pseudo_questions_decide_on_no_lighter_ridge(base, dataset: QADataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that is too large for the memory asks held-out questions; a gain on pseudo-questions is no gain."""
    asked = []

    def lightest(problem, order, size, point, *_):
        asked.append(problem.config.ridge)
        return problem.config.ridge, point

    monkeypatch.setattr(sampled, "lightest_ridge", lightest)
    config = replace(CONFIG, memory_grid=(), closed_forms=())
    result = AdapterTrainer(base, config=config).train(pseudo(dataset), memory="1kB")
    assert "ridge" in result.history[-1]
    assert not asked
    AdapterTrainer(base, config=config).train(dataset, memory="1kB")
    assert asked


def test_many_pseudo_questions_are_checked_on_a_part(base, dataset: QADataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    examined = caution.cross_validate
    monkeypatch.setattr(caution, "LARGEST", 30)
    monkeypatch.setattr(
        caution,
        "cross_validate",
        lambda folds, *given, **more: seen.append(folds) or examined(folds, *given, **more),
    )
    trainer = AdapterTrainer(base, config=replace(CONFIG, exact_entries=100))
    result = trainer.train(pseudo(dataset), validation=real(10))
    ((fold,),) = seen[0].values()
    assert (len(fold.fitted), len(fold.examined)) == (30, 20)
    assert result.improved


def test_evaluating_on_pseudo_questions_is_no_gain_and_says_so(base, dataset: QADataset, caplog) -> None:
    evaluate_retrieval(base, pseudo(dataset))
    assert "a gain on them is no gain" in caplog.text


def test_styles_are_saved_loaded_and_split(dataset: QADataset, tmp_path: Path) -> None:
    source = pseudo(dataset)
    source.save(tmp_path / "pairs.json")
    assert QADataset.load(tmp_path / "pairs.json") == source
    train, test = source.split(0.3)
    assert train.pseudo_styles | test.pseudo_styles == source.pseudo_styles
    assert train.pseudo_styles.keys() == train.queries.keys()
    with pytest.raises(ValueError, match="`pseudo_styles` names questions that are not in `queries`: 'nobody'"):
        replace(dataset, pseudo_styles={"nobody": "terms"})
