"""Better retrieval without touching the index: adapters for the query vectors of any LangChain embeddings.

The names below are the package's door; each is imported when it is first used, so that serving an adapter does not wait
for what only training needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from langchain_embedding_adapter._version import __version__

if TYPE_CHECKING:
    from langchain_embedding_adapter.adapters import (
        BaseAdapter,
        LinearAdapter,
        LowRankAdapter,
        MemoryAdapter,
        TwoLayerAdapter,
        register_adapter,
    )
    from langchain_embedding_adapter.bridging.model_change import BridgeResult, bridge_models
    from langchain_embedding_adapter.bridging.report import BridgeEvaluation, BridgeReport
    from langchain_embedding_adapter.calibration import ScoreCalibration
    from langchain_embedding_adapter.config import TrainingConfig
    from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
    from langchain_embedding_adapter.embeddings.moving_in import load_llama_index_adapter, load_openai_matrix
    from langchain_embedding_adapter.embeddings.routing import AdapterRouter
    from langchain_embedding_adapter.engines import RayEngine
    from langchain_embedding_adapter.evaluation.evaluate import evaluate_retrieval
    from langchain_embedding_adapter.evaluation.through_store import StoreReport
    from langchain_embedding_adapter.generation import (
        GenerationConfig,
        agenerate_qa_pairs,
        generate_qa_pairs,
        plan_qa_pairs,
    )
    from langchain_embedding_adapter.generation.pseudo import generate_pseudo_questions
    from langchain_embedding_adapter.local import WordLlamaEmbeddings
    from langchain_embedding_adapter.pairs.dataset import QADataset
    from langchain_embedding_adapter.pairs.elsewhere import (
        pairs_from_beir,
        pairs_from_huggingface,
        pairs_from_langsmith,
    )
    from langchain_embedding_adapter.pairs.logs import LoggedPairs, pairs_from_logs
    from langchain_embedding_adapter.plots import (
        plot_changes,
        plot_gains,
        plot_history,
        plot_map,
        plot_metrics,
        plot_selection,
    )
    from langchain_embedding_adapter.questions.filters import QuestionRules
    from langchain_embedding_adapter.questions.styles import QuestionStyle
    from langchain_embedding_adapter.report.retrieval import RetrievalReport
    from langchain_embedding_adapter.result import TrainingResult
    from langchain_embedding_adapter.stores import (
        StoredPage,
        StoredVectors,
        StoreReader,
        adapt_store,
        read_store,
        register_store,
    )
    from langchain_embedding_adapter.trackers import (
        MLflowTracker,
        TensorBoardTracker,
        Tracker,
        TrackioTracker,
        WandbTracker,
    )
    from langchain_embedding_adapter.trackers.langsmith import LangSmithExperiments, evaluate_on_langsmith
    from langchain_embedding_adapter.trainer import AdapterTrainer
    from langchain_embedding_adapter.vectors import (
        EmbeddingSummary,
        PairVectors,
        embed_dataset,
        embed_texts,
        open_pair_vectors,
        save_pair_vectors,
    )

_HOMES = {
    "AdaptedEmbeddings": "embeddings.adapted",
    "AdapterRouter": "embeddings.routing",
    "AdapterTrainer": "trainer",
    "BaseAdapter": "adapters",
    "BridgeEvaluation": "bridging.report",
    "BridgeReport": "bridging.report",
    "BridgeResult": "bridging.model_change",
    "EmbeddingSummary": "vectors",
    "GenerationConfig": "generation",
    "LangSmithExperiments": "trackers.langsmith",
    "LinearAdapter": "adapters",
    "LoggedPairs": "pairs.logs",
    "LowRankAdapter": "adapters",
    "MLflowTracker": "trackers",
    "MemoryAdapter": "adapters",
    "PairVectors": "vectors",
    "QADataset": "pairs.dataset",
    "QuestionRules": "questions.filters",
    "QuestionStyle": "questions.styles",
    "RayEngine": "engines",
    "RetrievalReport": "report.retrieval",
    "ScoreCalibration": "calibration",
    "StoreReader": "stores",
    "StoreReport": "evaluation.through_store",
    "StoredPage": "stores",
    "StoredVectors": "stores",
    "TensorBoardTracker": "trackers",
    "Tracker": "trackers",
    "TrackioTracker": "trackers",
    "TrainingConfig": "config",
    "TrainingResult": "result",
    "TwoLayerAdapter": "adapters",
    "WandbTracker": "trackers",
    "WordLlamaEmbeddings": "local",
    "adapt_store": "stores",
    "agenerate_qa_pairs": "generation",
    "bridge_models": "bridging.model_change",
    "embed_dataset": "vectors",
    "embed_texts": "vectors",
    "evaluate_on_langsmith": "trackers.langsmith",
    "evaluate_retrieval": "evaluation.evaluate",
    "generate_pseudo_questions": "generation.pseudo",
    "generate_qa_pairs": "generation",
    "load_llama_index_adapter": "embeddings.moving_in",
    "load_openai_matrix": "embeddings.moving_in",
    "open_pair_vectors": "vectors",
    "pairs_from_beir": "pairs.elsewhere",
    "pairs_from_huggingface": "pairs.elsewhere",
    "pairs_from_langsmith": "pairs.elsewhere",
    "pairs_from_logs": "pairs.logs",
    "plan_qa_pairs": "generation",
    "plot_changes": "plots",
    "plot_gains": "plots",
    "plot_history": "plots",
    "plot_map": "plots",
    "plot_metrics": "plots",
    "plot_selection": "plots",
    "read_store": "stores",
    "register_adapter": "adapters",
    "register_store": "stores",
    "save_pair_vectors": "vectors",
}

__all__ = [
    "AdaptedEmbeddings",
    "AdapterRouter",
    "AdapterTrainer",
    "BaseAdapter",
    "BridgeEvaluation",
    "BridgeReport",
    "BridgeResult",
    "EmbeddingSummary",
    "GenerationConfig",
    "LangSmithExperiments",
    "LinearAdapter",
    "LoggedPairs",
    "LowRankAdapter",
    "MLflowTracker",
    "MemoryAdapter",
    "PairVectors",
    "QADataset",
    "QuestionRules",
    "QuestionStyle",
    "RayEngine",
    "RetrievalReport",
    "ScoreCalibration",
    "StoreReader",
    "StoreReport",
    "StoredPage",
    "StoredVectors",
    "TensorBoardTracker",
    "Tracker",
    "TrackioTracker",
    "TrainingConfig",
    "TrainingResult",
    "TwoLayerAdapter",
    "WandbTracker",
    "WordLlamaEmbeddings",
    "__version__",
    "adapt_store",
    "agenerate_qa_pairs",
    "bridge_models",
    "embed_dataset",
    "embed_texts",
    "evaluate_on_langsmith",
    "evaluate_retrieval",
    "generate_pseudo_questions",
    "generate_qa_pairs",
    "load_llama_index_adapter",
    "load_openai_matrix",
    "open_pair_vectors",
    "pairs_from_beir",
    "pairs_from_huggingface",
    "pairs_from_langsmith",
    "pairs_from_logs",
    "plan_qa_pairs",
    "plot_changes",
    "plot_gains",
    "plot_history",
    "plot_map",
    "plot_metrics",
    "plot_selection",
    "read_store",
    "register_adapter",
    "register_store",
    "save_pair_vectors",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in, when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
