"""The house: its door, its floors, its manners."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import langchain_embedding_adapter as package

NAME = package.__name__
ROOT = Path(package.__file__).parent

FLOORS = {
    "_replacing": 0.5,
    "_strict_json": 0,
    "_untrusted": 0.5,
    "_saved_config": 0.6,
    "_version": 0,
    "_extras": 0,
    "_files": 0,
    "_progress": 0,
    "chunks": 1,
    "calibration": 1,
    "config": 0.9,
    "documents": 1,
    "duplicates": 1,
    "filters": 1.1,
    "groups": 1,
    "local": 1,
    "losses": 1,
    "metrics": 1,
    "parsing": 1,
    "phrases": 1,
    "hub": 0.9,
    "storage": 1,
    "stores.base": 1,
    "stores.chroma": 1.1,
    "stores.elasticsearch": 1.1,
    "stores.faiss": 1.1,
    "stores.in_memory": 1.1,
    "stores.lancedb": 1.1,
    "stores.milvus": 1.1,
    "stores.opensearch": 1.15,
    "stores.pgvector": 1.1,
    "stores.pgvectorstore": 1.1,
    "stores.qdrant": 1.1,
    "stores.registry": 1.2,
    "stores.retriever": 1.2,
    "stores.reading": 1.3,
    "stores.twins": 1.3,
    "stores": 1.4,
    "styles": 1,
    "settings": 1.1,
    "run_file": 1.2,
    "review": 1.2,
    "pair_files": 1.3,
    "models": 1.5,
    "pairs": 1.5,
    "tables": 1.5,
    "rows": 1.5,
    "logs": 1.6,
    "datasets_elsewhere": 1.6,
    "adapters.base": 2,
    "adapters.cells": 2,
    "adapters.bounded": 2.1,
    "adapters.linear": 2.1,
    "adapters.low_rank": 2.1,
    "adapters.memory": 2.1,
    "adapters.layered": 2.12,
    "adapters.two_layer": 2.1,
    "adapters.shapes": 2.15,
    "adapters": 2.2,
    "restoring": 2.3,
    "card": 2,
    "coverage": 2,
    "fingerprint": 1.6,
    "language_reference": 2,
    "pretrained": 2.6,
    "routes": 3.1,
    "routing": 3.2,
    "served": 2.5,
    "serving": 2.3,
    "shadow": 2.4,
    "versions": 2.4,
    "watching": 1.2,
    "pseudo": 2,
    "vector_cache": 1.6,
    "vectors": 2,
    "alignment": 2.1,
    "story": 1.6,
    "details": 1.65,
    "intervals": 1,
    "page.data": 1.7,
    "page.texts": 1.7,
    "page.explorer": 1.75,
    "page.words": 1.75,
    "page.charts": 1.75,
    "page.render": 1.8,
    "page": 1.85,
    "report_rows": 2.25,
    "report_story": 2.3,
    "report_page": 2.35,
    "report": 2.4,
    "bridge_report": 2.45,
    "ranking": 2.5,
    "stored_pairs": 2.5,
    "through_store": 2.6,
    "generation.answers": 2,
    "generation.errors": 2,
    "generation.parts": 2,
    "generation.prompts": 2,
    "generation.summary": 2,
    "generation.calls": 2.1,
    "generation.settings": 2.2,
    "generation.chain": 2.3,
    "generation.second_look": 2.3,
    "generation.job": 2.4,
    "generation.pairs": 2.5,
    "generation": 2.6,
    "moving_in": 2.9,
    "embeddings": 3,
    "evaluation": 3,
    "asking": 3.1,
    "comparing": 3.1,
    "teacher": 3.5,
    "fitting.devices": 4,
    "fitting.threads": 4,
    "fitting.lbfgs": 4,
    "fitting.map_space": 4,
    "fitting.problem": 4,
    "fitting.closed_forms": 4.1,
    "fitting.convex": 4.1,
    "fitting.memory": 4.1,
    "fitting.checkpoint": 4.2,
    "fitting.descent": 4.3,
    "fitting": 4.4,
    "folds": 4,
    "holdout": 4,
    "bridging": 4.5,
    "model_change": 4.9,
    "candidates": 4.5,
    "crossvalidation": 4.6,
    "selection": 4.7,
    "caution": 4.8,
    "training": 4.9,
    "unseen": 4.92,
    "thresholds": 4.95,
    "telling": 4.95,
    "result": 4.9,
    "starting": 4.9,
    "trackers.told": 4.95,
    "trackers.protocol": 4.95,
    "trackers.mlflow": 4.96,
    "trackers.tensorboard": 4.96,
    "trackers.trackio": 4.96,
    "trackers.wandb": 4.96,
    "trackers": 4.97,
    "sides": 4.95,
    "langsmith_runs": 4.97,
    "plots.paper": 1.1,
    "plots.gains": 5,
    "plots.training": 5,
    "plots.questions": 5.1,
    "plots.space": 5,
    "plots": 5.2,
    "trainer": 5,
    "demo": 5.5,
    "run_story": 5.4,
    "runs": 5.5,
    "journey": 5.6,
    "cli.completion": 6,
    "cli.examples": 6,
    "cli.flags": 6,
    "cli.errors": 6.2,
    "cli.options": 6,
    "cli.opening": 6.1,
    "cli.ask": 6.2,
    "cli.demo": 6.2,
    "cli.evaluate": 6.2,
    "cli.info": 6.2,
    "cli.compare": 6.2,
    "cli.pairs": 6.2,
    "cli.report": 6.2,
    "cli.run": 6.2,
    "cli.train": 6.2,
    "cli.commands": 6.3,
    "cli.entry": 6.4,
    "cli.__main__": 6.5,
    "cli": 6.5,
}

MODULES = [module.name for module in pkgutil.walk_packages(package.__path__, f"{NAME}.")]


def test_the_door_has_the_expected_names() -> None:
    assert package.__all__ == [
        "AdaptedEmbeddings",
        "AdapterRouter",
        "AdapterTrainer",
        "BaseAdapter",
        "BridgeEvaluation",
        "BridgeReport",
        "BridgeResult",
        "GenerationConfig",
        "LangSmithExperiments",
        "LinearAdapter",
        "LoggedPairs",
        "LowRankAdapter",
        "MLflowTracker",
        "MemoryAdapter",
        "QADataset",
        "QuestionRules",
        "QuestionStyle",
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
        "evaluate_on_langsmith",
        "evaluate_retrieval",
        "generate_pseudo_questions",
        "generate_qa_pairs",
        "load_llama_index_adapter",
        "load_openai_matrix",
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
    ]
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        package.Nothing  # noqa: B018


def test_every_module_has_its_floor() -> None:
    assert {name.removeprefix(f"{NAME}.") for name in MODULES} == FLOORS.keys()


@pytest.mark.parametrize("module", sorted(FLOORS))
def test_imports_run_downward(module: str) -> None:
    path = ROOT / Path(*module.split("."))
    source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
    imported = [
        node.module.removeprefix(NAME).removeprefix(".")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(NAME)
    ]
    upward = [name for name in imported if FLOORS[name] >= FLOORS[module]]
    assert not upward, f"{module} (floor {FLOORS[module]}) imports {upward}"


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(
    "code",
    [
        "import langchain_embedding_adapter",
        "from langchain_embedding_adapter import *",
        "import langchain_embedding_adapter.cli",
        "import tempfile\n"
        "from langchain_core.embeddings import DeterministicFakeEmbedding as Base\n"
        "from langchain_embedding_adapter import *\n"
        "from langchain_embedding_adapter.adapters import ADAPTERS\n"
        "base = Base(size=4)\n"
        "kinds = [LinearAdapter(4, 4), TwoLayerAdapter(4, 8, 4), LowRankAdapter(4, 4, 2), MemoryAdapter(4, 4, 3),\n"
        "         MemoryAdapter(4, 4, 3, cells=2), ADAPTERS['bounded-two-layer'](4, 8, 4),\n"
        "         ADAPTERS['layered-memory'](4, 4, 3, below_size=2)]\n"
        "assert {adapter.kind for adapter in kinds} == ADAPTERS.keys()\n"
        "for adapter in kinds:\n"
        "    with tempfile.TemporaryDirectory() as folder:\n"
        "        AdaptedEmbeddings(base, adapter).save_pretrained(folder)\n"
        "        AdapterRouter(base, {'it': folder}, default='it').embed_query('a')",
    ],
    ids=["package", "every name", "command", "serving"],
)
def test_what_only_training_needs_is_not_imported(code: str) -> None:
    heavy = {"torch", "scipy", "sklearn", "faiss", "chromadb", "wordllama", "langchain", "pandas", "matplotlib"}
    assert run(f"{code}\nimport sys\nprint(sorted({heavy} & sys.modules.keys()))") == "[]"


@pytest.mark.parametrize(
    ("missing", "extra", "code"),
    [
        ("torch", "train", "AdapterTrainer(Base(size=4)).train(data)"),
        ("scipy", "train", "print(evaluate_retrieval(AdaptedEmbeddings(Base(size=4), turned), data))"),
        ("wordllama", "local", "WordLlamaEmbeddings()"),
        ("huggingface_hub", "hub", "AdaptedEmbeddings(Base(size=4), turned).push_to_hub('me/it')"),
        ("matplotlib", "report", "plot_gains({1: 0})"),
        ("langchain", "cli", "from langchain_embedding_adapter.models import *; load_chat_model('openai:gpt-4o-mini')"),
    ],
)
def test_a_missing_extra_names_its_install_line(missing: str, extra: str, code: str) -> None:
    told = run(
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import numpy as np\n"
        "from langchain_core.embeddings import DeterministicFakeEmbedding as Base\n"
        "from langchain_embedding_adapter import *\n"
        "data = QADataset({c: c for c in 'abcdef'}, {c: c * 2 for c in 'abcdef'}, {c: [c] for c in 'abcdef'})\n"
        "turned = LinearAdapter(4, 4); turned.weight = np.roll(turned.weight, 1, 0)\n"
        f"try: {code}\n"
        "except ImportError as error: print(error)"
    )
    assert f"`{missing}` is needed here" in told
    assert f"pip install 'langchain-embedding-adapter[{extra}]'" in told


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} says nothing of itself"
    own = [
        (f"{name}.{key}", value)
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    ]
    methods = [
        (f"{key}.{method}", function)
        for key, value in own
        if inspect.isclass(value)
        for method, function in vars(value).items()
        if inspect.isfunction(function) and not method.startswith("_")
    ]
    silent = [key for key, value in own + methods if not inspect.getdoc(value)]
    assert not silent


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_print_what_they_show(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
