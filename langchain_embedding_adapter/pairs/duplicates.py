"""Texts that are nearly the same: a page that was copied, an edition with another date.

MinHash with banding (Broder, *On the resemblance and containment of documents*, 1997): time grows with the texts, not
with their pairs.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

BANDS, ROWS = 24, 4
"""Signatures of so many bands of so many numbers; texts that agree in a whole band are compared."""
ALIKE = 0.8
"""Texts are nearly the same when about so large a share of their shingles is."""
SHINGLE = 4
"""Words that stand side by side; signs of a script without spaces count as words."""

_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+")
_PRIME = np.uint64(2**31 - 1)
_FACTORS, _SHIFTS = (
    np.random.default_rng(seed).integers(1, 2**31 - 1, (BANDS * ROWS, 1)).astype(np.uint64) for seed in (0, 1)
)


def near_duplicates(texts: Sequence[str]) -> Iterable[tuple[int, int]]:
    """Pairs of texts, by number, that are nearly the same; they link each group, and need not be all pairs of it.

    >>> year = "A Mars year lasts 687 days, which is nearly twice as long as a year on Earth does."
    >>> list(near_duplicates([year, "Titan has lakes of methane and a thick air.", year.replace("687", "about 687")]))
    []
    >>> list(near_duplicates([year, "Titan has lakes of methane and a thick air.", year.upper()]))
    [(0, 2)]
    """
    signatures = np.stack([_signature(text) for text in texts]) if texts else np.zeros((0, BANDS * ROWS), np.uint64)
    linked: set[tuple[int, int]] = set()
    for band in np.split(signatures, BANDS, axis=1):
        first: dict[bytes, int] = {}
        for number, part in enumerate(band):
            other = first.setdefault(part.tobytes(), number)
            new = other != number and (other, number) not in linked
            if new and (signatures[other] == signatures[number]).mean() >= ALIKE:
                linked.add((other, number))
                yield other, number


def _signature(text: str) -> NDArray[np.uint64]:
    """``(BANDS · ROWS,)``, the least of so many hashes over the shingles."""
    words = _WORD.findall(text.casefold())
    shingles = {" ".join(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1))}
    numbers = np.array([zlib.crc32(shingle.encode(errors="surrogatepass")) for shingle in shingles], dtype=np.uint64)
    hashes = (_FACTORS * (numbers % _PRIME) + _SHIFTS) % _PRIME
    found: NDArray[np.uint64] = hashes.min(axis=1)
    return found
