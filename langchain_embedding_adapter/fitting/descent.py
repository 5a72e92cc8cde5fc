"""One readable loop for every adapter that has no optimum to solve for."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch.nn.functional import normalize

from langchain_embedding_adapter._progress import progress_bar
from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.checkpoint import Checkpoint, fingerprint
from langchain_embedding_adapter.fitting.convex import History
from langchain_embedding_adapter.fitting.devices import pick_device
from langchain_embedding_adapter.fitting.problem import Problem, QuestionWeights
from langchain_embedding_adapter.vectors import PairVectors

AnyAdapter = TypeVar("AnyAdapter", bound=BaseAdapter)
Validate = Callable[[BaseAdapter], float]
Follow = Callable[[dict[str, float]], None]


def fit_by_descent(
    vectors: PairVectors,
    adapter: AnyAdapter,
    config: TrainingConfig,
    validate: Validate,
    *,
    question_weights: QuestionWeights | None = None,
    checkpoint: str | Path | None = None,
    show_progress: bool | None = None,
    follow: Follow | None = None,
) -> tuple[AnyAdapter, History]:
    """Fit any adapter with AdamW: shuffled, seeded, stopped early, the best epoch kept.

    The learning rate falls along a cosine, and the gradient is kept short. Minimises the mean loss of the cosines plus
    ``ridge`` times the mean squared displacement of a query (where the dimensions agree).

    Args:
        vectors: What to learn from.
        adapter: Where to start; it is left as it is.
        config: The settings.
        validate: The figure that decides (higher is better), of an adapter, on questions that are held out.
        question_weights: How much questions count, by id.
        checkpoint: A file that is written after every epoch. Where it exists, training goes on from there, to the same
            weights as if it had never stopped.
        show_progress: A progress bar; by default where standard error is a terminal.
        follow: Is told every row of the history as it comes.

    Returns:
        The adapter of the best epoch and the history: row 0 is the adapter as it came, each further row an epoch.

    Raises:
        ValueError: If the checkpoint is of other data or settings.
        FloatingPointError: If the loss is no longer finite.
    """
    problem = Problem.of(vectors, config, device=pick_device(config.device, "auto"), question_weights=question_weights)
    device = problem.queries.device
    twin, module = adapter.trainable(str(device))
    optimizer = torch.optim.AdamW(module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    state = Checkpoint(checkpoint, fingerprint(vectors, adapter, config, question_weights))
    history, best = state.resume(module, optimizer)
    if not history:
        history, best = [{"epoch": 0, config.metric: validate(adapter)}], adapter.to_arrays()
    follow = follow or _nobody
    for row in history:
        follow(row)

    with progress_bar(config.epochs, "epochs", "epoch", show_progress) as bar, torch.random.fork_rng():
        bar.update(len(history) - 1)
        while len(history) <= config.epochs and not _exhausted(history, config):
            epoch = len(history)
            torch.manual_seed(config.seed * 1_000_003 + epoch)  # each epoch has its own, so that a resumed one is alike
            module.train()
            total = 0.0
            batches = torch.randperm(len(problem.queries)).split(config.batch_size)
            for number, questions in enumerate(batches):
                batch = problem.take(questions.to(device))
                adapted = normalize(twin.forward(batch.queries), dim=1)
                loss = batch.loss(config.scale * (adapted @ batch.passages.T), config) / len(questions)
                if adapted.shape == batch.queries.shape:
                    loss = loss + config.ridge * ((adapted - batch.queries) ** 2).sum(dim=1).mean()
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(module.parameters(), config.max_gradient_norm)
                progress = (epoch - 1 + number / len(batches)) / config.epochs
                for group in optimizer.param_groups:
                    group["lr"] = config.learning_rate * (1 + math.cos(math.pi * progress)) / 2
                optimizer.step()
                total += float(loss.detach()) * len(questions)
            if not np.isfinite(total):
                raise FloatingPointError(f"the loss is no longer finite in epoch {epoch}; lower the learning_rate")
            module.eval()
            candidate = adapter.trained(twin)
            history.append({"epoch": epoch, "loss": total / len(problem.queries), config.metric: validate(candidate)})
            if _best_epoch(history, config) == epoch:
                best = candidate.to_arrays()
            state.write(history, best, module, optimizer)
            follow(history[-1])
            bar.set_postfix({config.metric: f"{history[-1][config.metric]:.3f}"})
            bar.update()
    found = adapter.trained(twin)
    found.load_arrays(best)
    return found, history


def _nobody(_: dict[str, float]) -> None:
    """Who follows where nobody does."""


def _best_epoch(history: History, config: TrainingConfig) -> int:
    """The first epoch with the best figure."""
    figures = [row[config.metric] for row in history]
    return figures.index(max(figures))


def _exhausted(history: History, config: TrainingConfig) -> bool:
    return len(history) - 1 - _best_epoch(history, config) >= config.patience
