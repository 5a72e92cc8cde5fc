"""The solvers: a convex problem for linear maps, one readable loop for every other adapter.

Both minimise the same thing on vectors that are at hand: the softmax of the right passages among all passages with
training questions, held to the identity. (A passage without a training question would only ever be a negative, and the
map would learn to push it down.)
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn.functional import normalize

from langchain_embedding_adapter._files import write_atomically
from langchain_embedding_adapter._progress import progress_bar
from langchain_embedding_adapter.adapters import BaseAdapter, LinearAdapter, MemoryAdapter
from langchain_embedding_adapter.adapters.base import passed_through
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.evaluation import unit
from langchain_embedding_adapter.losses import multi_positive_softmax
from langchain_embedding_adapter.vectors import PairVectors

logger = logging.getLogger(__name__)

AnyAdapter = TypeVar("AnyAdapter", bound=BaseAdapter)
History = list[dict[str, float]]
Validate = Callable[[BaseAdapter], float]

BLOCK_ENTRIES = 2**24
"""Most entries of a block of scores, questions × passages, held at a time."""


@dataclass(frozen=True)
class _Problem:
    """Questions, passages and pairs as tensors; every question's weights sum to one."""

    queries: Tensor  # (questions, in), unit
    passages: Tensor  # (passages, out), unit
    rows: Tensor  # (pairs,) question of each pair, ascending
    columns: Tensor  # (pairs,) passage of each pair
    weights: Tensor  # (pairs,)

    @classmethod
    def of(cls, vectors: PairVectors, device: str) -> _Problem:
        vectors = vectors.asked_about()
        counts = [len(found) for found in vectors.relevant]
        weights = [grades / grades.sum() for grades in vectors.grades]
        return cls(
            queries=torch.from_numpy(unit(vectors.queries)).to(device),
            passages=torch.from_numpy(unit(vectors.passages)).to(device),
            rows=torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(device),
            columns=torch.from_numpy(np.concatenate(vectors.relevant).astype(np.int64)).to(device),
            weights=torch.from_numpy(np.concatenate(weights).astype(np.float32)).to(device),
        )

    def take(self, questions: Tensor) -> _Problem:
        """Some of the questions, in the order given."""
        place = torch.full((len(self.queries),), -1, dtype=torch.long, device=self.rows.device)
        place[questions] = torch.arange(len(questions), device=self.rows.device)
        kept = place[self.rows] >= 0
        return _Problem(
            queries=self.queries[questions],
            passages=self.passages,
            rows=place[self.rows][kept],
            columns=self.columns[kept],
            weights=self.weights[kept],
        )

    def blocks(self) -> Iterator[_Problem]:
        """The questions in blocks whose scores stay within ``BLOCK_ENTRIES``."""
        size = max(1, BLOCK_ENTRIES // len(self.passages))
        if size >= len(self.queries):
            yield self
            return
        for block in torch.arange(len(self.queries), device=self.rows.device).split(size):
            yield self.take(block)

    def loss(self, adapted: Tensor, scale: float) -> Tensor:
        """Sum over the questions of their loss; ``adapted`` are their query vectors, ``(questions, out)``."""
        scores = scale * (adapted @ self.passages.T)
        return multi_positive_softmax(scores, self.rows, self.columns, self.weights)


def fit_linear(vectors: PairVectors, adapter: LinearAdapter, config: TrainingConfig) -> tuple[LinearAdapter, History]:
    """Fit a linear map as a convex problem, to its optimum: deterministic, without learning rate or epochs.

    Minimises the mean :func:`~langchain_embedding_adapter.losses.multi_positive_softmax` of the scores ``scale ·
    (W q + b) · d`` plus ``ridge · (‖W − W₀‖² + ‖b − b₀‖²)``, with ``W₀, b₀`` what ``adapter`` holds (the identity, when
    new), by full-batch L-BFGS.

    Returns:
        The fitted adapter, and the loss of every evaluation.
    """
    problem = _Problem.of(vectors, _device(config.device, "cpu"))
    twin, module = adapter.trainable(str(problem.queries.device))
    parameters = list(module.parameters())
    centres = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=config.max_steps,
        max_eval=config.max_steps,
        tolerance_grad=config.tolerance,
        tolerance_change=1e-9,
        history_size=20,
        line_search_fn="strong_wolfe",
    )
    history: History = []

    def objective() -> Tensor:
        optimizer.zero_grad()
        moved = sum(((new - old) ** 2).sum() for new, old in zip(parameters, centres, strict=True))
        total = config.ridge * torch.as_tensor(moved)
        total.backward()
        for block in problem.blocks():
            loss = block.loss(twin.forward(block.queries), config.scale) / len(problem.queries)
            loss.backward()
            total = total.detach() + loss.detach()
        history.append({"step": len(history), "loss": float(total)})
        return total

    optimizer.step(objective)
    steepest = max(float(p.grad.abs().max()) for p in parameters if p.grad is not None)
    logger.info("linear fit: %d evaluations, loss %.4f, gradient %.1e", len(history), history[-1]["loss"], steepest)
    if steepest > 100 * config.tolerance:
        logger.warning("the linear fit stopped after %d evaluations before it converged", len(history))
    return adapter.trained(twin), history


def fit_memory(vectors: PairVectors, adapter: MemoryAdapter, config: TrainingConfig) -> tuple[MemoryAdapter, History]:
    """Fit the linear part as :func:`fit_linear` does, and remember where the training questions live.

    Where there are more questions than the memory holds, a random part of them (``config.seed``) is remembered.

    Returns:
        The fitted adapter, and the history of the linear fit.
    """
    linear = LinearAdapter(adapter.in_features, adapter.out_features)
    linear.weight = adapter.weight
    linear, history = fit_linear(vectors, linear, config)
    rows = np.arange(len(vectors.queries))
    if len(rows) > adapter.size:
        rows = np.sort(np.random.default_rng(config.seed).choice(rows, adapter.size, replace=False))
        logger.info("the memory holds %d of %d questions", adapter.size, len(vectors.queries))
    keys, passages = unit(vectors.queries[rows]), unit(vectors.passages)
    answers = [np.average(passages[vectors.relevant[row]], axis=0, weights=vectors.grades[row]) for row in rows]
    fitted = copy.deepcopy(adapter)
    fitted.weight = linear.weight
    fitted.keys = np.zeros_like(adapter.keys)
    fitted.values = np.zeros_like(adapter.values)
    fitted.keys[: len(rows)] = keys
    fitted.values[: len(rows)] = np.asarray(answers, dtype=np.float32) - passed_through(keys, adapter.out_features)
    return fitted, history


def fit_by_descent(
    vectors: PairVectors,
    adapter: AnyAdapter,
    config: TrainingConfig,
    validate: Validate,
    *,
    checkpoint: str | Path | None = None,
    show_progress: bool | None = None,
) -> tuple[AnyAdapter, History]:
    """Fit any adapter with AdamW: shuffled, seeded, stopped early, the best epoch kept.

    Minimises the mean softmax loss of the cosines plus ``ridge`` times the mean squared displacement of a query (where
    the dimensions agree).

    Args:
        vectors: What to learn from.
        adapter: Where to start; it is left as it is.
        config: The settings.
        validate: The figure that decides (higher is better), of an adapter, on questions that are held out.
        checkpoint: A file that is written after every epoch. Where it exists, training goes on from there, to the same
            weights as if it had never stopped.
        show_progress: A progress bar; by default where standard error is a terminal.

    Returns:
        The adapter of the best epoch and the history: row 0 is the adapter as it came, each further row an epoch.

    Raises:
        ValueError: If the checkpoint is of other data or settings.
        FloatingPointError: If the loss is no longer finite.
    """
    problem = _Problem.of(vectors, _device(config.device, "auto"))
    device = problem.queries.device
    twin, module = adapter.trainable(str(device))
    optimizer = torch.optim.AdamW(module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    state = _Checkpoint(checkpoint, _fingerprint(vectors, adapter, config))
    history, best = state.resume(module, optimizer)
    if not history:
        history, best = [{"epoch": 0, config.metric: validate(adapter)}], adapter.to_arrays()

    with progress_bar(config.epochs, "epochs", "epoch", show_progress) as bar, torch.random.fork_rng():
        bar.update(len(history) - 1)
        while len(history) <= config.epochs and not _exhausted(history, config):
            epoch = len(history)
            torch.manual_seed(config.seed * 1_000_003 + epoch)  # each epoch has its own, so that a resumed one is alike
            module.train()
            total = 0.0
            for questions in torch.randperm(len(problem.queries)).split(config.batch_size):
                batch = problem.take(questions.to(device))
                adapted = normalize(twin.forward(batch.queries), dim=1)
                loss = batch.loss(adapted, config.scale) / len(questions)
                if adapted.shape == batch.queries.shape:
                    loss = loss + config.ridge * ((adapted - batch.queries) ** 2).sum(dim=1).mean()
                optimizer.zero_grad()
                loss.backward()
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
            bar.set_postfix({config.metric: f"{history[-1][config.metric]:.3f}"})
            bar.update()
    found = adapter.trained(twin)
    found.load_arrays(best)
    return found, history


SOLVERS: Mapping[type[BaseAdapter], Callable[[PairVectors, Any, TrainingConfig], tuple[BaseAdapter, History]]] = {
    LinearAdapter: fit_linear,
    MemoryAdapter: fit_memory,
}
"""The kinds that are solved to their optimum; every other one, a subclass of these too, goes through the loop."""


class _Checkpoint:
    """The loop's state in one safetensors file: the weights, the best ones, the optimizer's moments, the history."""

    def __init__(self, path: str | Path | None, fingerprint: str) -> None:
        self.path = Path(path) if path is not None else None
        self.fingerprint = fingerprint

    def write(
        self,
        history: History,
        best: dict[str, Any],
        module: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        if self.path is None:
            return
        tensors = {f"weights/{name}": value.cpu().clone() for name, value in module.state_dict().items()}
        tensors |= {f"best/{name}": torch.from_numpy(array.copy()) for name, array in best.items()}
        for number, parameter in enumerate(module.parameters()):
            for name, value in optimizer.state[parameter].items():
                tensors[f"optimizer/{number}/{name}"] = torch.as_tensor(value).detach().cpu().clone()
        metadata = {"fingerprint": self.fingerprint, "history": json.dumps(history)}
        write_atomically(self.path, save(tensors, metadata=metadata))

    def resume(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[History, dict[str, Any]]:
        """Put the saved state into ``module`` and ``optimizer``; an empty history where nothing was saved."""
        if self.path is None or not self.path.exists():
            return [], {}
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{self.path} is no checkpoint: {error}") from error
        if metadata.get("fingerprint") != self.fingerprint:
            raise ValueError(
                f"{self.path} is a checkpoint of other data, settings or another adapter; name a new file, or delete it"
            )

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        current = dict(module.state_dict())
        with torch.no_grad():
            for name, value in part("weights/").items():
                current[name].copy_(value)
        for number, parameter in enumerate(module.parameters()):
            moments = part(f"optimizer/{number}/")
            optimizer.state[parameter] = {
                name: value if name == "step" else value.to(parameter.device) for name, value in moments.items()
            }
        history: History = json.loads(metadata["history"])
        logger.info("resumed after epoch %d from %s", len(history) - 1, self.path)
        return history, {name: value.numpy() for name, value in part("best/").items()}


def _best_epoch(history: History, config: TrainingConfig) -> int:
    """The first epoch with the best figure."""
    figures = [row[config.metric] for row in history]
    return figures.index(max(figures))


def _exhausted(history: History, config: TrainingConfig) -> bool:
    return len(history) - 1 - _best_epoch(history, config) >= config.patience


def _fingerprint(vectors: PairVectors, adapter: BaseAdapter, config: TrainingConfig) -> str:
    """What a checkpoint belongs to, as a hash: data, start and settings (the number of epochs may change)."""
    digest = hashlib.sha256()
    settings = {name: value for name, value in asdict(config).items() if name not in ("epochs", "patience", "device")}
    digest.update(json.dumps([settings, adapter.kind, adapter.arguments], default=repr).encode())
    for array in (*adapter.to_arrays().values(), vectors.queries, vectors.passages, *vectors.relevant):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _device(wanted: str, automatic: str) -> str:
    """The device to compute on; ``automatic`` says what ``"auto"`` means here: the CPU, or a GPU if there is one."""
    if wanted != "auto":
        return wanted
    if automatic == "auto" and torch.cuda.is_available():
        return "cuda"
    if automatic == "auto" and torch.backends.mps.is_available():
        return "mps"
    return "cpu"
