"""The loop's state in a file, so that a training that was stopped goes on to the same weights."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from langchain_embedding_adapter._files import write_atomically
from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.convex import History
from langchain_embedding_adapter.fitting.problem import QuestionWeights
from langchain_embedding_adapter.vectors import PairVectors

logger = logging.getLogger(__name__)


class Checkpoint:
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
        """Keep the state after an epoch, if there is a file to keep it in."""
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


def fingerprint(
    vectors: PairVectors, adapter: BaseAdapter, config: TrainingConfig, question_weights: QuestionWeights | None = None
) -> str:
    """What a checkpoint belongs to, as a hash: data, start and settings."""
    digest = hashlib.sha256()
    settings = {name: value for name, value in asdict(config).items() if name not in ("patience", "device")}
    digest.update(
        json.dumps([settings, adapter.kind, adapter.arguments, dict(question_weights or {})], default=repr).encode()
    )
    for array in (
        *adapter.to_arrays().values(),
        vectors.queries,
        vectors.passages,
        *(part for rows in (vectors.relevant, vectors.grades) for part in (rows.offsets, rows.flat)),
        *(part for rows in (vectors.listed, vectors.opinions) for part in (rows.offsets, rows.flat)),
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
