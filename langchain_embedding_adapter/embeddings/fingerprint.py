"""Which model an adapter was trained on, told by what the model answers and not only by what it is called.

On top of another model an adapter gives vectors that look right and find the wrong passages, and a provider may change
a model behind its name. So a saved adapter keeps hashes of a few probe vectors, rounded so that the noise of floats and
of a service passes, and the model it is loaded on is asked the same.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from langchain_embedding_adapter.models import model_name, query_prefix

logger = logging.getLogger(__name__)

PROBES = (
    "How many dimensions has this vector?",
    "quarterly revenue by region",
    "Die Lieferung ist beschädigt angekommen.",
)
COORDINATES = 32
"""So many coordinates of a probe are hashed at most: another model puts all of them in the same cells about never."""
CELL = 0.5
"""Width of a cell that a coordinate is rounded to, over the root mean square of a unit vector's coordinates."""


@dataclass(frozen=True)
class BaseCheck:
    """A model beside the one that an adapter was trained on.

    Attributes:
        expected: The model that was recorded: class and name.
        found: The model that was asked.
        expected_dimensions: Of the recorded model's query vectors; ``None`` where an old folder does not say.
        dimensions: Of the vectors that came; 0 where none was asked for.
        expected_prefix: What the recorded model put before a question, where its class says so.
        prefix: What this one does.
        matches: For each probe that was asked whether the answer is the recorded one; empty where none was recorded.
    """

    expected: str
    found: str
    expected_dimensions: int | None
    dimensions: int
    expected_prefix: str | None
    prefix: str | None
    matches: tuple[bool, ...]

    @property
    def same(self) -> bool | None:
        """Whether it is the same model; ``None`` where nothing was recorded that could tell."""
        if self.expected_dimensions not in (None, self.dimensions):
            return False
        return all(self.matches) if self.matches else None

    def __str__(self) -> str:
        if self.same is None:
            named = "and the names agree" if self.expected == self.found else f"and this is {self.found}"
            return f"trained on {self.expected}, {named}; no answers of it were recorded that could be compared"
        if self.same:
            return f"{self.found} answers {len(self.matches)} of {len(self.matches)} probes as {self.expected} did"
        if self.expected_dimensions not in (None, self.dimensions):
            return (
                f"trained on {self.expected} with {self.expected_dimensions} dimensions, "
                f"and {self.found} gives {self.dimensions}"
            )
        told = f"trained on {self.expected}, and {self.found} answers {self.matches.count(False)} of "
        told += f"{len(self.matches)} probes with other vectors"
        if self.expected_prefix != self.prefix:
            return told + f": questions were prefixed with {self.expected_prefix!r}, and now with {self.prefix!r}"
        return told + (": the model behind the name, or a setting, has changed" if self.expected == self.found else "")


def record_base(embeddings: Embeddings) -> dict[str, Any]:
    """What identifies the model: class, name, dimensions, query prefix and a fingerprint.

    Four questions are embedded. Where the model cannot, or does not answer the same question the same way twice, there
    is no fingerprint, and a warning says why.

    Returns:
        As JSON can hold it, for :func:`check_base`.
    """
    told: dict[str, Any] = {
        "class": type(embeddings).__name__,
        "model": model_name(embeddings),
        "query_prefix": query_prefix(embeddings),
    }
    try:
        vectors = [embeddings.embed_query(text) for text in (*PROBES, PROBES[0])]
    except Exception as error:  # whatever a client raises: a finished fit is not lost for want of a fingerprint
        logger.warning("no fingerprint of %s is kept: it could not embed a probe: %r", model_name(embeddings), error)
        return told
    told["dimensions"] = len(vectors[0])
    probes = [{"text": text, **_probe(vector)} for text, vector in zip(PROBES, vectors, strict=False)]
    if _digest(vectors[-1], probes[0]["coordinates"]) != probes[0]["digest"]:
        logger.warning("no fingerprint of %s is kept: it embeds the same text differently", model_name(embeddings))
        return told
    return told | {"probes": probes}


def check_base(recorded: Mapping[str, Any], embeddings: Embeddings, *, most: int | None = None) -> BaseCheck:
    """Set a model beside the recorded one.

    Args:
        recorded: What :func:`record_base` gave; an old folder's may lack all but ``model``.
        embeddings: The model to check.
        most: Ask no more than so many of the recorded probes; all by default. One is asked at least.

    Raises:
        ValueError: If the record is none.
    """
    name, dimensions, probes = (recorded.get(key) for key in ("model", "dimensions", "probes"))
    probes = [] if probes is None else probes
    if not (isinstance(name, str) and isinstance(probes, list) and all(map(_is_probe, probes))):
        raise ValueError("expected a record of the base model with `model` and `probes`; config.json is damaged")
    if not (dimensions is None or (isinstance(dimensions, int) and dimensions > 0)):
        raise ValueError(f"expected the base model's dimensions to be a positive number, got {dimensions!r}")
    asked = probes[:most]
    vectors = [embeddings.embed_query(probe["text"]) for probe in asked or [{"text": PROBES[0]}]]
    return BaseCheck(
        expected=name,
        found=model_name(embeddings),
        expected_dimensions=dimensions,
        dimensions=len(vectors[0]),
        expected_prefix=recorded.get("query_prefix"),
        prefix=query_prefix(embeddings),
        matches=tuple(
            _digest(vector, probe["coordinates"]) == probe["digest"]
            for vector, probe in zip(vectors, asked, strict=False)
        ),
    )


def _is_probe(probe: Any) -> bool:
    return (
        isinstance(probe, dict)
        and isinstance(probe.get("text"), str)
        and isinstance(probe.get("digest"), str)
        and isinstance(probe.get("coordinates"), list)
        and all(type(place) is int and place >= 0 for place in probe["coordinates"])
    )


def _probe(vector: Sequence[float]) -> dict[str, Any]:
    """The coordinates that lie deepest within their cells, and the hash of these cells.

    Noise of a quarter of a cell's width on each, which is far more than floats and services make, changes nothing.
    """
    depth = np.abs(_in_cells(vector) % 1 - 0.5)
    count = min(COORDINATES, (len(depth) + 1) // 2)
    coordinates = sorted(np.argsort(depth, kind="stable")[:count].tolist())
    return {"coordinates": coordinates, "digest": _digest(vector, coordinates)}


def _digest(vector: Sequence[float], coordinates: list[int]) -> str:
    places = _in_cells(vector)
    if not coordinates or max(coordinates) >= len(places):
        return ""
    cells = np.floor(places[coordinates]).astype(np.int64)
    return hashlib.sha256(",".join(map(str, cells.tolist())).encode()).hexdigest()[:16]


def _in_cells(vector: Sequence[float]) -> NDArray[np.float64]:
    """The coordinates of the vector of unit length, in widths of a cell."""
    values = np.nan_to_num(np.asarray(vector, dtype=np.float64))
    length = float(np.linalg.norm(values)) or 1.0
    cells: NDArray[np.float64] = values / length * np.sqrt(len(values)) / CELL
    return cells
