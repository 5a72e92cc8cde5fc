"""The linear fit on a Ray cluster: Ray Train starts the ranks, and starts them again where one dies."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.adapters import LinearAdapter
from langchain_embedding_adapter.cluster.connecting import connected
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.engines import RayEngine
from langchain_embedding_adapter.fitting.convex import History
from langchain_embedding_adapter.fitting.on_ranks import fit_on_ranks, open_on_ranks
from langchain_embedding_adapter.fitting.problem import QuestionWeights
from langchain_embedding_adapter.fitting.ranks import TIMEOUT, Ranks
from langchain_embedding_adapter.vectors import PairVectors

logger = logging.getLogger(__name__)

RESTARTS = 3
"""So often the ranks are started again after one has died, or has raised an error."""


def fit_linear_on_ray(
    vectors: PairVectors | str | Path,
    adapter: LinearAdapter,
    config: TrainingConfig,
    engine: RayEngine,
    *,
    question_weights: QuestionWeights | None = None,
    lighten: bool = False,
    scratch: str | Path | None = None,
    restarts: int = RESTARTS,
    timeout: float = TIMEOUT,
) -> tuple[LinearAdapter, History]:
    """Fit a linear map with the workers of a Ray cluster, each a rank of a fit.

    Where a worker dies, or its machine, all start again from the beginning: the fit is the same every time.

    Args:
        vectors: A folder of vectors that every machine can read, as ``save_pair_vectors`` writes it; or the vectors
            themselves, which each machine is then sent whole.
        adapter: The map to hold to.
        config: The settings. ``config.device`` is the engine's affair: GPUs where its workers reserve them.
        engine: The cluster, how many workers, what each reserves.
        question_weights: How much questions count, by id.
        lighten: Whether a sampled fit may take a lighter ridge, where held-out questions gain by it.
        scratch: Where each machine lays down the vectors of a folder as flat files.
        restarts: How often to start again.
        timeout: Seconds that a worker waits for another before it gives up.

    Returns:
        The fitted adapter, and the loss of every evaluation.

    Raises:
        ImportError: If Ray is not installed (the extra ``ray``).
        RuntimeError: If the fit failed more often than that; the cause says in which worker, and why.
    """
    require_extra("ray.train", "ray")
    with connected(engine), tempfile.TemporaryDirectory() as folder:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchConfig, TorchTrainer

        given = {
            "vectors": ray.put(vectors) if isinstance(vectors, PairVectors) else str(vectors),
            "adapter": adapter,
            "config": config,
            "question_weights": question_weights,
            "lighten": lighten,
            "scratch": scratch,
        }
        backend = "nccl" if engine.gpus >= 1 else "gloo"  # nccl refuses ranks that share a GPU
        work: Any = _on_worker  # Ray's annotations do not know yet that a worker returns something
        trainer: Any = TorchTrainer(
            work,
            train_loop_config=given,
            torch_config=TorchConfig(backend=backend, timeout_s=int(timeout)),
            scaling_config=ScalingConfig(
                num_workers=engine.workers,
                use_gpu=engine.gpus > 0,
                resources_per_worker={"CPU": engine.cpus} | ({"GPU": engine.gpus} if engine.gpus else {}),
            ),
            run_config=RunConfig(storage_path=folder, failure_config=FailureConfig(max_failures=restarts)),
        )
        try:
            fitted, history = trainer.fit().return_value
        except TrainingFailedError as error:
            raise RuntimeError(f"the fit on {engine.workers} Ray workers failed: {error}") from error
    return fitted, history


def _on_worker(given: dict[str, Any]) -> tuple[LinearAdapter, History]:
    """What each worker does; Ray Train brings home what the first returns."""
    import ray
    from ray.train.torch import get_device

    ranks, vectors = Ranks.here(str(get_device())), given["vectors"]
    is_folder = isinstance(vectors, str)
    vectors = open_on_ranks(vectors, ranks, scratch=given["scratch"]) if is_folder else ray.get(vectors)
    return fit_on_ranks(
        vectors,
        given["adapter"],
        given["config"],
        ranks,
        question_weights=given["question_weights"],
        lighten=given["lighten"],
    )
