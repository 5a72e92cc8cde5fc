"""The house: its door, its floors, its manners."""

from __future__ import annotations

import ast
import doctest
import graphlib
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

FLOORS = (
    {
        "_extras",
        "_files",
        "_progress",
        "_version",
        "chunks",
        "config",
        "engines",
        "losses",
        "metrics",
        "questions",
        "verdicts",
    },
    {"adapters", "calibration", "cluster", "documents", "local", "pairs", "storage", "tables"},
    {"models", "report", "stores"},
    {"vector_cache"},
    {"vectors"},
    {"embeddings", "fitting", "generation"},
    {"evaluation"},
    {"bridging", "selection", "teacher"},
    {"result"},
    {"provenance", "telling", "trackers"},
    {"plots", "trainer"},
    {"demo", "runs"},
    {"cli"},
)
"""The rooms of the house, modules and packages, from the ground up: a room imports from lower floors only."""

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
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        package.Nothing  # noqa: B018


ROOMS = sorted(set().union(*FLOORS))


def imported_by(module: str) -> set[str]:
    """The package's own modules that a module imports, anywhere in it."""
    path = ROOT.joinpath(*module.split("."))
    source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
    return {
        node.module.removeprefix(f"{NAME}.")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{NAME}.")
    }


def modules_of(room: str) -> set[str]:
    found = {name.removeprefix(f"{NAME}.") for name in MODULES}
    return {module for module in found if module.split(".")[0] == room}


def test_every_room_has_its_floor() -> None:
    assert {name.split(".")[1] for name in MODULES} == set(ROOMS)
    assert sum(map(len, FLOORS)) == len(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_downward(room: str) -> None:
    floor = next(number for number, rooms in enumerate(FLOORS) if room in rooms)
    below = set().union(*FLOORS[:floor])
    for module in modules_of(room):
        upward = {name for name in imported_by(module) if name.split(".")[0] not in below | {room}}
        assert not upward, f"{module} (floor {floor + 1}) imports {upward}"


@pytest.mark.parametrize("room", ROOMS)
def test_no_circle_within_a_room(room: str) -> None:
    graphlib.TopologicalSorter({module: imported_by(module) for module in modules_of(room)}).prepare()


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
        "         ADAPTERS['layered-memory'](4, 4, 3, below_size=2), ADAPTERS['quantised-memory'](4, 4, 3, 2)]\n"
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
    heavy |= {"ray", "pyarrow"}
    assert run(f"{code}\nimport sys\nprint(sorted({heavy} & sys.modules.keys()))") == "[]"


@pytest.mark.parametrize(
    ("missing", "extra", "code"),
    [
        ("torch", "train", "AdapterTrainer(Base(size=4)).train(data)"),
        ("scipy", "train", "print(evaluate_retrieval(AdaptedEmbeddings(Base(size=4), turned), data))"),
        ("wordllama", "local", "WordLlamaEmbeddings()"),
        ("huggingface_hub", "hub", "AdaptedEmbeddings(Base(size=4), turned).push_to_hub('me/it')"),
        ("matplotlib", "report", "plot_gains({1: 0})"),
        ("pyarrow", "arrow", "open_pair_vectors('vectors')"),
        ("ray", "ray", "embed_dataset(Base(size=4), data, engine='ray', path='vectors')"),
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
