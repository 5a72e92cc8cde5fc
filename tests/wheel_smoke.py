"""Uses the installed wheel with the core dependencies alone: save, load, serve; be told what is missing."""

import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_embedding_adapter import AdaptedEmbeddings, AdapterTrainer, LinearAdapter, QADataset, __version__

assert importlib.util.find_spec("torch") is None, "this is not the bare environment"
base = DeterministicFakeEmbedding(size=16)
adapter = LinearAdapter(16, 16)
adapter.weight = np.roll(adapter.weight, 1, axis=0)
with tempfile.TemporaryDirectory() as folder:
    AdaptedEmbeddings(base, adapter).save_pretrained(Path(folder) / "adapter")
    adapted = AdaptedEmbeddings.from_pretrained(Path(folder) / "adapter", base)
assert np.allclose(adapted.embed_query("a"), np.roll(base.embed_query("a"), 1), atol=1e-6)
assert adapted.embed_documents(["a"]) == base.embed_documents(["a"])

dataset = QADataset({"1": "a", "2": "b"}, {"p": "c", "r": "d"}, {"1": ["p"], "2": ["r"]})
try:
    AdapterTrainer(base).train(dataset)
except ImportError as error:
    assert "pip install 'langchain-embedding-adapter[train]'" in str(error), error
else:
    raise AssertionError("training without torch should have said what to install")
assert not {"torch", "scipy", "typer"} & sys.modules.keys()
print(f"langchain-embedding-adapter {__version__} serves with its core dependencies alone")
