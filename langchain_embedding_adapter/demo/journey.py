"""The demo: the whole journey on real text and real questions, without a key, a network or a GPU.

Python's language reference is embedded, an adapter is trained on questions about it, examined on questions it has not
seen (on topics it has seen and on topics it has not), saved, and put into a FAISS retriever over the index as it was.
"""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.demo.language_reference import LanguageReference, load_language_reference
from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.result import TrainingResult
from langchain_embedding_adapter.tables import aligned, format_p_value, side_by_side, start_of
from langchain_embedding_adapter.trainer import AdapterTrainer

UNSEEN_SHARE = 0.2
"""Share of the questions whose topics are kept wholly for the test."""

SEEN_SHARE = 0.2
"""Share of the remaining questions that the test asks, too: on topics that training saw, passages that it did not."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo did and found. Printed, it is what ``make demo`` shows.

    Attributes:
        folder: Where the adapter and the index are.
        reference: The collection.
        trained_on: How many questions training saw.
        training: The result of training.
        report: Base against adapted on all test questions.
        seen: The same on questions about topics that training saw.
        unseen: The same on questions about topics that it did not.
        example: The test question that moved up most, with the retriever's first passages, base beside adapted.
        page: The report page of the test; ``None`` where jinja2 is not installed.
        seconds: How long it all took.
    """

    folder: Path
    reference: LanguageReference
    trained_on: int
    training: TrainingResult
    report: RetrievalReport
    seen: RetrievalReport
    unseen: RetrievalReport
    example: Example
    page: Path | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Counts, reports and seconds, as JSON can hold them."""
        return {
            "python": platform.python_version(),
            "passages": len(self.reference.chunks),
            "questions": len(self.reference.dataset),
            "left_out": self.reference.left_out,
            "trained_on": self.trained_on,
            "improved": self.training.improved,
            "verdict": self.training.verdict,
            "test": self.report.to_dict(),
            "seen_topics": self.seen.to_dict(),
            "unseen_topics": self.unseen.to_dict(),
            "adapter": str(self.folder / "adapter"),
            "page": None if self.page is None else str(self.page),
            "seconds": round(self.seconds, 1),
        }

    def __str__(self) -> str:
        left_out = f" ({self.reference.left_out} left out: this version lacks their passage)"
        parts = [
            f"Python {platform.python_version()}'s language reference: {len(self.reference.chunks)} passages, "
            f"{len(self.reference.dataset)} questions{left_out if self.reference.left_out else ''}; "
            f"{model_name(self.training.embeddings.embeddings)}; trained on {self.trained_on} questions.",
            self.training.verdict,
            f"Test, {self.report}",
            aligned(
                ["test questions on", "questions", "nDCG@10 base", "adapted", "gain", "p"],
                [_row("topics seen in training", self.seen), _row("topics never seen", self.unseen)],
            ),
            str(self.example),
            f"Saved in {self.folder}/adapter; the FAISS index in {self.folder}/index was built with the base and not "
            f"touched. {self.seconds:.0f} seconds.",
            *([] if self.page is None else [f"Every question with what it finds, in a browser: {self.page}"]),
        ]
        return "\n\n".join(parts)


@dataclass(frozen=True)
class Example:
    """One question and what the retriever finds first: pairs of a passage's start and whether it answers."""

    question: str
    base: list[tuple[str, bool]]
    adapted: list[tuple[str, bool]]

    def __str__(self) -> str:
        def cell(hit: tuple[str, bool]) -> str:
            return f"{'✔' if hit[1] else ' '} {hit[0]}"

        table = side_by_side([cell(hit) for hit in self.base], [cell(hit) for hit in self.adapted])
        return f'The test question that moved up most, "{self.question}", in the retriever (✔ answers it):\n\n{table}'


def run_demo(
    folder: str | Path, embeddings: Embeddings, *, llm: BaseChatModel | None = None, show_progress: bool | None = None
) -> DemoResult:
    """Run the whole journey and leave its adapter and index in ``folder``.

    Args:
        folder: Where the adapter (``adapter``), the FAISS index (``index``) and the report page (``report.html``) go,
            and the answers of an LLM.
        embeddings: The base embeddings.
        llm: Write the training questions with this model instead of taking ours; the test questions stay ours.
        show_progress: Progress bars; by default where standard error is a terminal.
    """
    require_extra("faiss", "faiss")
    started = time.perf_counter()
    folder = Path(folder)
    reference = load_language_reference()
    train, seen, unseen = split_questions(reference.dataset)
    trainer = AdapterTrainer(embeddings, llm, show_progress=show_progress)
    if llm is not None:
        hidden = {unseen.document(passage) for passage in unseen.passages_asked_about()}
        asked = seen.passages_asked_about()
        chunks = [c for c in reference.chunks if c.metadata["source"] not in hidden and c.id not in asked]
        written = trainer.generate_dataset(chunks, path=folder / "answers.jsonl")
        train = QADataset(written.queries, reference.dataset.corpus, written.relevant_docs, reference.dataset.documents)
    training = trainer.train(train)
    training.save(folder / "adapter")
    report = training.evaluate(reference.dataset.subset([*seen.queries, *unseen.queries]))
    example = _search(folder, reference, training, report)
    page = folder / "report.html" if find_spec("jinja2") is not None else None
    if page is not None:
        report.save(page)
    return DemoResult(
        folder=folder,
        reference=reference,
        trained_on=len(train),
        training=training,
        report=report,
        seen=report.subset(seen.queries),
        unseen=report.subset(unseen.queries),
        example=example,
        page=page,
        seconds=time.perf_counter() - started,
    )


def split_questions(dataset: QADataset) -> tuple[QADataset, QADataset, QADataset]:
    """Questions to train on, to test with on topics seen in training (other passages), and on topics never seen."""
    rest, unseen = dataset.split(UNSEEN_SHARE, seed=0)
    train, seen = rest.split(SEEN_SHARE, seed=0, by="passage")
    return train, seen, unseen


def _search(
    folder: Path, reference: LanguageReference, training: TrainingResult, report: RetrievalReport, k: int = 3
) -> Example:
    """Build a FAISS index with the base, load it with the adapted embeddings, and ask both one question."""
    from langchain_community.vectorstores import FAISS

    base = training.embeddings.embeddings
    FAISS.from_documents(reference.chunks, base).save_local(str(folder / "index"))

    def found(embeddings: Embeddings) -> list[tuple[str, bool]]:
        # The index was written a moment ago by the line above, so its pickle is our own.
        index = FAISS.load_local(str(folder / "index"), embeddings, allow_dangerous_deserialization=True)
        hits = index.as_retriever(search_kwargs={"k": k}).invoke(reference.dataset.queries[query])
        return [(start_of(hit.page_content), hit.id in reference.dataset.relevant_docs[query]) for hit in hits]

    adapted_scores = report.adapted_scores or report.base_scores
    moved = adapted_scores["ndcg@10"] - report.base_scores["ndcg@10"]
    query = report.query_ids[int(moved.argmax())]
    adapted = AdaptedEmbeddings.from_pretrained(folder / "adapter", base)
    return Example(reference.dataset.queries[query], found(base), found(adapted))


def _row(name: str, report: RetrievalReport) -> list[str]:
    row = report["ndcg@10"]
    return [
        name,
        str(len(report.query_ids)),
        f"{row.base:.3f}",
        f"{row.adapted:.3f}",
        f"{row.gain:+.3f}",
        format_p_value(row.p_value if row.p_value is not None else 1.0),
    ]
