"""What pseudo-questions teach, measured on real ones: no label and no LLM in training.

    python cookbook/benchmarks/no_labels.py [--data FOLDER] [--embeddings local:wordllama …] [--teacher PROVIDER:MODEL]

The collections are those of FOLDER (``NAME.json``, see stored.py) and the demo's questions about Python's language
reference. Of each, only the passages are used to train; every real question examines. The columns:

- *weak*, *half*, *full*: the map at ¼, ½ and the whole of its strength, whatever selection would say;
- *unverified*: ``train(generate_pseudo_questions(passages))``, which sees no real question;
- *20 checked*: the same with twenty real questions as ``validation``, examined on the others: the mean over draws, and
  the worst draw;
- *taught*: unverified, with the model of ``--teacher`` as the teacher (its cosine is the score).

``--write`` puts the table into NO_LABELS.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from command import command_line
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from stored import DATA

from langchain_embedding_adapter import (
    AdapterTrainer,
    LinearAdapter,
    QADataset,
    TrainingConfig,
    generate_pseudo_questions,
)
from langchain_embedding_adapter.demo.language_reference import load_language_reference
from langchain_embedding_adapter.evaluation.ranking import compare
from langchain_embedding_adapter.fitting import fit_linear
from langchain_embedding_adapter.models import load_embeddings
from langchain_embedding_adapter.tables import aligned
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import PairVectors, embed_dataset, unit

METRIC = "ndcg@10"
CHECKED = 20


def collections(folder: Path) -> Iterator[tuple[str, QADataset]]:
    """The demo's questions, and whatever the folder holds."""
    yield "Python's language reference", load_language_reference().dataset
    for file in sorted(folder.glob("*.json")):
        yield file.stem, QADataset.load(file)


def gain(vectors: PairVectors, adapter: Any) -> float:
    """In points of nDCG@10."""
    return 100 * float(compare(vectors, adapter.adapt, [10])[METRIC].gain or 0.0)


def at_strength(adapter: LinearAdapter, strength: float) -> LinearAdapter:
    """The map, gone only a part of the way."""
    identity = np.eye(adapter.in_features, dtype=np.float32)
    weaker = LinearAdapter(adapter.in_features, adapter.out_features)
    weaker.weight = identity + np.float32(strength) * (adapter.weight - identity)
    return weaker


def measure(real: QADataset, embeddings: Embeddings, teacher: Embeddings | None, draws: int) -> dict[str, Any]:
    """The row of one collection and one model."""
    cache = VectorCache()
    started = time.perf_counter()
    pseudo = generate_pseudo_questions([Document(text, id=key) for key, text in real.corpus.items()])
    examined = embed_dataset(embeddings, real, cache=cache, show_progress=False)
    trainer = AdapterTrainer(embeddings, cache=cache, show_progress=False)
    unverified = trainer.train(pseudo)
    seconds = time.perf_counter() - started
    vectors = embed_dataset(embeddings, pseudo, cache=cache, show_progress=False)
    width = vectors.queries.shape[1]
    fitted, _ = fit_linear(vectors, LinearAdapter(width, width), TrainingConfig())
    checked = []
    for draw in range(draws):
        twenty = random.Random(draw).sample(list(real.queries), CHECKED)  # noqa: S311 a choice, no secret
        result = trainer.train(pseudo, validation=real.subset(twenty))
        others = examined.take([query for query in real.queries if query not in set(twenty)])
        checked.append(gain(others, result.adapter))
    row = {
        "passages": len(real.corpus),
        "pseudo": len(pseudo),
        "real": len(real),
        "base": 100 * compare(examined, None, [10])[METRIC].base,
        "weak": gain(examined, at_strength(fitted, 0.25)),
        "half": gain(examined, at_strength(fitted, 0.5)),
        "full": gain(examined, fitted),
        "unverified": gain(examined, unverified.adapter),
        "20 checked": float(np.mean(checked)),
        "worst draw": min(checked),
        "s": seconds,
    }
    if teacher is not None:
        taught = trainer.train(pseudo, teacher=cosine_of(teacher, pseudo))
        row["taught"] = gain(examined, taught.adapter)
        row["teacher used"] = bool(taught.teacher and taught.teacher.used)
    return row


def cosine_of(embeddings: Embeddings, dataset: QADataset) -> Any:
    """Another embedding model as a teacher: all texts are embedded beforehand."""
    vectors = embed_dataset(embeddings, dataset, show_progress=False)
    queries = dict(zip(dataset.queries.values(), unit(vectors.queries), strict=True))
    passages = dict(zip(dataset.corpus.values(), unit(vectors.passages), strict=True))

    def teacher(pairs: list[tuple[str, str]]) -> list[float]:
        return [float(queries[question] @ passages[passage]) for question, passage in pairs]

    return teacher


def show(rows: list[dict[str, Any]]) -> str:
    """The table, gains in points of nDCG@10."""
    signed = ("weak", "half", "full", "unverified", "20 checked", "worst draw", "taught")
    names = [name for name in rows[0] if name != "teacher used"]

    def cell(name: str, value: Any) -> str:
        if name in signed:
            return f"{value:+.1f}"
        return f"{value:.1f}" if isinstance(value, float) else str(value)

    return aligned(names, [[cell(name, row[name]) for name in names] for row in rows])


HEAD = """# No labels, no LLM

nDCG@10 × 100 gained over the base on real questions, by maps that pseudo-questions taught. The head of the script says
what the columns are. Made by

```bash
{command}
```

{table}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the collections")
    parser.add_argument("--embeddings", nargs="+", default=["local:wordllama"], help="models, as provider:model")
    parser.add_argument("--teacher", help="a model whose cosine teaches, as provider:model")
    parser.add_argument("--draws", type=int, default=10, help="how often twenty real questions are drawn")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--write", action="store_true", help="write NO_LABELS.md beside this file")
    arguments = parser.parse_args()
    teacher = load_embeddings(arguments.teacher) if arguments.teacher else None
    rows = []
    for model in arguments.embeddings:
        embeddings = load_embeddings(model)
        for name, real in collections(arguments.data):
            own = None if model == arguments.teacher else teacher
            row = {"collection": name, "model": Path(model.partition(":")[2]).name}
            row |= measure(real, embeddings, own, arguments.draws)
            rows.append({"taught": float("nan")} | row if teacher is not None else row)
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows) if arguments.json else show(rows))
    if arguments.write:
        text = HEAD.format(command=command_line(), table=show(rows))
        (Path(__file__).parent / "NO_LABELS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
