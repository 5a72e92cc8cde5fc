"""One part of the questions held out: what decides for adapters that are trained in epochs.

Whole documents are kept from the fit; the adapter is used only if it answers the questions about them better than the
base does.
"""

from __future__ import annotations

import logging

from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.evaluation.ranking import DEFAULT_KS, compare, retrieval_scores
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.vectors import PairVectors

logger = logging.getLogger(__name__)


def hold_out(dataset: QADataset, config: TrainingConfig) -> tuple[QADataset, QADataset]:
    """Split off the questions that decide: by document, or by passage where they are all about one document.

    Raises:
        ValueError: If they are all about one passage.
    """
    try:
        fitted, held_out = dataset.split(config.validation_size, seed=config.seed)
    except ValueError:
        logger.info("all questions are about one document: holding out passages of it")
        fitted, held_out = dataset.split(config.validation_size, seed=config.seed, by="passage")
    return fitted, held_out


def examine(held_out: PairVectors, adapter: BaseAdapter, config: TrainingConfig) -> RetrievalReport:
    """Base against adapted on the held-out questions, over every passage; the metric that decides is among the rows."""
    return compare(held_out, adapter.adapt, sorted({*DEFAULT_KS, config.cutoff}))


def figure(held_out: PairVectors, adapter: BaseAdapter, config: TrainingConfig) -> float:
    """The mean of the metric that decides, for one adapter."""
    scores = retrieval_scores(held_out, adapter.adapt(held_out.queries), [config.cutoff])
    return float(scores[config.metric].mean())


def improves(report: RetrievalReport, config: TrainingConfig) -> bool:
    """Whether the adapter beats the base by the metric that decides."""
    gain = report[config.metric].gain
    return gain is not None and gain > 0
