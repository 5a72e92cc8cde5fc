"""Texts embedded into a folder of Parquet parts, in this process or on Ray: a rerun goes on from wherever it stopped.

Each distinct text of a table is embedded once, whatever shards it stands in. What a rerun finds done, by the texts and
the model that it was done with, it leaves.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_embedding_adapter._progress import progress_bar
from langchain_embedding_adapter.cluster.shards import JOURNALS
from langchain_embedding_adapter.engines import Engine, as_ray
from langchain_embedding_adapter.models import vectors_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.vectors.on_ray import Force, in_this_process, work_force
from langchain_embedding_adapter.vectors.pair_vectors import PairVectors
from langchain_embedding_adapter.vectors.parts import batches, dimensions_of, list_parts
from langchain_embedding_adapter.vectors.plan import Plan, plan_of
from langchain_embedding_adapter.vectors.shard_work import FAILED, HALF, TEXTS, EmbedShard, JoinShard, TableFolder
from langchain_embedding_adapter.vectors.shards import (
    METRICS,
    PLAN,
    Parts,
    file_system,
    forget_about,
    open_pair_vectors,
    save_pairs,
    write_about,
)
from langchain_embedding_adapter.vectors.texts import TextSource, texts_in, texts_of

logger = logging.getLogger(__name__)

LOCAL_SHARD = 4096
"""Texts of a shard where this process does the work."""
FEW = 16
"""So many shards are sooner put together here than handed out."""
NAMED = {"query": "questions", "document": "passages"}
"""What progress calls the texts, by role."""

Role = Literal["query", "document"]


@dataclass(frozen=True)
class EmbeddingSummary:
    """How the texts of a table became vectors.

    Attributes:
        texts: Rows of the table.
        distinct: How many different texts they hold.
        embedded: Texts that the model embedded this time; the others were there from before.
        calls: Calls of the model this time, on Ray those that came to an end.
        dimensions: Of the vectors.
        seconds: How long it took.
    """

    texts: int
    distinct: int
    embedded: int
    calls: int
    dimensions: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.texts:,} texts, {self.distinct:,} of them distinct, as vectors of {self.dimensions} dimensions: "
            f"{self.embedded:,} embedded in {self.calls:,} calls and {self.seconds:.0f} s"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def embed_texts(
    source: str | Path,
    embeddings: Embeddings,
    path: str | Path,
    *,
    role: Role = "document",
    engine: Engine = "local",
    rate_limiter: BaseRateLimiter | None = None,
    show_progress: bool | None = None,
) -> EmbeddingSummary:
    """Embed a folder of texts into a folder of vectors, each distinct text once.

    Args:
        source: A folder of Parquet, Arrow or JSONL parts with the columns ``id`` and ``text``, or one such file; here
            or wherever ``fsspec`` reaches.
        embeddings: What embeds them.
        path: Where the vectors go, in the order of the texts: a folder that every worker can write to. A rerun with the
            same goes on from what is there.
        role: ``"document"`` for passages, ``"query"`` for questions.
        engine: Who does the work: ``"local"``, ``"ray"``, or a ``RayEngine`` with settings of its own.
        rate_limiter: One of LangChain's, asked before each call; on Ray each worker gets its share of an
            ``InMemoryRateLimiter``.
        show_progress: A progress bar; by default where standard error is a terminal.

    Raises:
        FileNotFoundError: If there are no texts.
        ValueError: If a text is blank, or ``path`` holds vectors of another model.
        RuntimeError: If texts could not be embedded: ``path``/failed holds them with the reasons, and what could be is
            kept; or if another process embeds into the same folder of this machine.
    """
    if role not in NAMED:
        raise ValueError(f"expected role 'document' or 'query', got {role!r}")
    with work_force(engine) as force:
        work = _Table(path, embeddings, role, engine, rate_limiter)
        return work.embed(texts_in(source), force, show_progress)


def embed_into(
    path: str | Path,
    embeddings: Embeddings,
    dataset: QADataset | str | Path,
    *,
    document_embeddings: Embeddings | None = None,
    engine: Engine = "local",
    rate_limiter: BaseRateLimiter | None = None,
    show_progress: bool | None = None,
) -> PairVectors:
    """Embed questions and passages into a folder, and open it; see :func:`embed_dataset`."""
    files, root = file_system(path)
    documents = embeddings if document_embeddings is None else document_embeddings
    passages, questions = (
        (texts_of(dataset.corpus), texts_of(dataset.queries))
        if isinstance(dataset, QADataset)
        else (texts_in(f"{dataset}/passages"), texts_in(f"{dataset}/questions"))
    )
    tables = (
        _Table(f"{path}/questions", embeddings, "query", engine, rate_limiter),
        _Table(f"{path}/passages", documents, "document", engine, rate_limiter),
    )
    for table in tables:
        table.before()  # of another model: it is refused, and the folder stays as it is
    forget_about(files, root)
    with work_force(engine) as force:
        shapes = [
            table.embed(source, force, show_progress)
            for table, source in zip(tables, (questions, passages), strict=True)
        ]
    if isinstance(dataset, QADataset):
        nothing = [np.zeros((len(texts), 0), np.float32) for texts in (dataset.queries, dataset.corpus)]
        save_pairs(PairVectors.from_arrays(dataset, *nothing), files, root)
    else:
        _copy_pairs(f"{dataset}/pairs", files, root)
    dimensions = shapes[0].dimensions, shapes[1].dimensions
    write_about(files, root, METRICS[0], dimensions, (vectors_name(embeddings), vectors_name(documents)))
    return open_pair_vectors(path)


class _Table:
    """A table of texts on its way to vectors."""

    def __init__(
        self, path: str | Path, model: Embeddings, role: str, engine: Engine, limiter: BaseRateLimiter | None
    ) -> None:
        chosen = as_ray(engine)
        self.folder, self.model, self.role, self.limiter = TableFolder(path), model, role, limiter
        self.size = LOCAL_SHARD if chosen is None else chosen.shard_size

    def embed(self, source: TextSource, force: Force, show_progress: bool | None) -> EmbeddingSummary:
        """Embed what is not done yet, with the folder to itself."""
        with self.folder.parts.claimed():
            return self._embed(source, force, show_progress)

    def _embed(self, source: TextSource, force: Force, show_progress: bool | None) -> EmbeddingSummary:
        started = time.monotonic()
        plan = self._agree_on(source)
        done = set(self.folder.parts.names())
        pending = [name for name in plan.names if name not in done]
        texts = plan.lay_down(source, self.folder, pending)
        sums: Counter[str] = Counter()
        reason = None
        work = EmbedShard(self.folder, self.model, self.role, self.limiter)
        with (
            progress_bar(texts, f"embed {NAMED[self.role]}", "text", show_progress) as bar,
            closing(force(pending, work)) as told,
        ):
            for _, shard in told:
                sums.update({name: shard[name] for name in ("asked", "calls", "failed")})
                bar.update(shard["asked"])
                reason = reason or shard["reason"]
                if shard["stopped"] is not None:
                    raise RuntimeError(
                        f"stopped: {shard['stopped']}; {self.folder.parts} keeps the vectors so far, and a rerun goes "
                        "on from there"
                    )
        if sums["failed"]:
            raise RuntimeError(
                f"{sums['failed']} of {texts} texts could not be embedded ({reason} for one); {self.folder.failed} "
                f"holds them with the reasons, {self.folder.parts} the vectors of all others: mend or leave out these "
                "texts, and a rerun goes on from there"
            )
        leaning = sorted(set(plan.leaning) & set(pending))
        join = in_this_process if len(leaning) <= FEW else force
        for _ in join(leaning, JoinShard(self.folder)):
            pass
        if set(pending) - set(self.folder.parts.names()):
            raise RuntimeError(
                f"the workers wrote where this process does not see it: {self.folder.parts} has to be a folder that "
                "every machine of the cluster reaches, on a disk that they share or at s3://… or gs://…"
            )
        for passing in (TEXTS, HALF, FAILED, JOURNALS):
            self.folder.parts.drop(passing)
        files, root = file_system(self.folder.parts.path)
        return EmbeddingSummary(
            texts=len(plan.first),
            distinct=int(plan.own.sum()),
            embedded=sums["asked"],
            calls=sums["calls"],
            dimensions=dimensions_of(files, list_parts(files, root)[0]),
            seconds=time.monotonic() - started,
        )

    def _agree_on(self, source: TextSource) -> Plan:
        """What is to be done; of what is there, everything that belongs to other texts is taken away."""
        before = self.before()
        plan = plan_of(source, before["shard_size"] if before else self.size)
        known = dict(zip(plan.names, before["shards"], strict=False)) if before else {}
        kept = {shard for shard, digest in zip(plan.names, plan.shards, strict=True) if known.get(shard) == digest}
        stale = set(self.folder.parts.names()) - kept
        if stale:
            logger.info("%s: %d shards have other texts than before", self.folder.parts, len(stale))
        for shard in stale:
            self.folder.parts.remove(shard)
        for shard in set(self.folder.parts.unfinished()) - kept:
            self.folder.parts.journal(shard).clear()
        if len(kept) < len(known) or len(known) < len(plan.names):  # where a text stands first may have changed
            self.folder.parts.drop(HALF)
        content = {"model": vectors_name(self.model), "role": self.role, "shard_size": plan.size, "shards": plan.shards}
        self.folder.parts.put(PLAN, json.dumps(content, indent=1).encode())
        return plan

    def before(self) -> dict[str, Any] | None:
        """What was done here before, if anything was.

        Raises:
            ValueError: If that was another model, or the same in another role.
        """
        if not self.folder.parts.holds(PLAN):
            return None
        found: dict[str, Any] = json.loads(self.folder.parts.get(PLAN))
        name = vectors_name(self.model)
        if (found["model"], found["role"]) != (name, self.role):
            raise ValueError(
                f"{self.folder.parts} holds vectors of {found['model']} ({found['role']}), and {name} ({self.role}) "
                "is to embed; name another folder"
            )
        return found


def _copy_pairs(source: str, files: Any, root: str) -> None:
    """Pairs are no texts: they are written as they are."""
    theirs, folder = file_system(source)
    out = Parts(files, f"{root}/pairs")
    for part in list_parts(theirs, folder):
        for batch in batches(theirs, part, ("question", "passage"), ("grade",)):
            out.write({name: batch.column(name) for name in batch.schema.names})
