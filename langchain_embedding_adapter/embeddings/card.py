"""The card: the README of a saved adapter, written from its configuration so that it says what the folder holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.tables import aligned, comparison

_TEMPLATE = """\
---
library_name: langchain-embedding-adapter
tags: [langchain, embeddings, retrieval, query-adapter]
---

# {name}

A {kind} adapter ({in_features} → {out_features} dimensions) for the query vectors of `{base_model}`. {documents}

```python
from langchain_embedding_adapter import AdaptedEmbeddings

adapted = AdaptedEmbeddings.from_pretrained("{name}", embeddings)  # embeddings: {base_model}
```
"""
_SAME = "Documents are not adapted: an index built with the base model stays as it is."
_OTHER = "Documents are not adapted: the index is that of `{model}`, and stays as it is."
MOST_ROWS = 12
"""Of the log."""


def write_card(config: Mapping[str, Any], name: str) -> str:
    """The card of the adapter that ``config`` (the content of its ``config.json``) describes, in Markdown."""
    entry = config["adapter"]
    base = config.get("fingerprint", {})
    other = base.get("document_model")
    start = _TEMPLATE.format(
        name=name,
        base_model=config["base_model"],
        documents=_SAME if other is None else _OTHER.format(model=other),
        **{key: entry[key] for key in ("kind", "in_features", "out_features")},
    )
    sections = {
        "Base model": _base(config, base),
        "Base against adapted": _report(config.get("report")),
        "Data": _data(config.get("training")),
        "Training": _training(config.get("training")),
        "Log": _log(config.get("log")),
        "Limits": _limits(config),
    }
    return start + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items() if text)


def _base(config: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    rows = {
        "model": f"`{config['base_model']}`",
        "dimensions": base.get("dimensions"),
        "put before a question": base.get("query_prefix"),
        "index built with": base.get("document_model"),
        "answers recorded to know it again": len(base.get("probes", ())) or None,
    }
    return _items(rows)


def _report(report: Mapping[str, Any] | None) -> str:
    if not report:
        return ""
    return (
        f"On {report['questions']} held-out questions over {report['passages']} passages, ranked exactly. The "
        "p-value is a two-sided paired randomisation test's; better, same and worse count questions.\n\n"
        f"{comparison(report['metrics'])}"
    )


def _data(training: Mapping[str, Any] | None) -> str:
    """Where the questions are from, and with what prompt they were written, if they were."""
    if not training:
        return ""
    told = dict(training.get("data", {}))
    prompt = told.pop("prompt", None)
    counts = {name: training.get(name) for name in ("questions", "passages", "passages_asked_about")}
    text = _items(counts | {"origin": told.pop("how", None) or "not told"} | told)
    return f"{text}\n\nThe prompt:\n\n```text\n{prompt.replace('```', '~~~')}\n```" if prompt else text


def _training(training: Mapping[str, Any] | None) -> str:
    in_data = {"data", "questions", "passages", "passages_asked_about"}
    return _items({name: value for name, value in (training or {}).items() if name not in in_data})


def _log(log: Mapping[str, Any] | None) -> str:
    """What was tried, and how the fit of the winner went."""
    parts = []
    candidates: Sequence[Mapping[str, Any]] = (log or {}).get("candidates", [])
    if candidates:
        futures = [name for name in candidates[0] if name != "candidate"]

        def total(row: Mapping[str, Any]) -> float:
            return -sum(float(row[future]["gain"]) for future in futures)

        rows = [
            [
                str(row["candidate"]),
                *(f"{100 * row[name]['gain']:+.1f} ± {100 * row[name]['standard_error']:.1f}" for name in futures),
            ]
            for row in sorted(candidates, key=total)[:MOST_ROWS]
        ]
        table = aligned(["candidate", *(f"gain × 100, {name}" for name in futures)], rows)
        parts.append(f"The best of {len(candidates)} candidates, on questions that their fit had not seen:\n\n{table}")
    history: Sequence[Mapping[str, float]] = (log or {}).get("history", [])
    columns = list(dict.fromkeys(name for row in history for name in row))
    if len(columns) > 1:
        shown = history if len(history) <= MOST_ROWS else [*history[: MOST_ROWS - 1], history[-1]]
        rows = [[_figure(row.get(name)) for name in columns] for row in shown]
        table = aligned([label(name) if "@" in name else name for name in columns], rows)
        parts.append(f"The fit of the winner, first rows of {len(history)} and the last:\n\n{table}")
    return "\n\n".join(parts)


def _limits(config: Mapping[str, Any]) -> str:
    lines = [
        f"It belongs to `{config['base_model']}`. On top of another model it is noise, and loading refuses it there.",
        "What it gained, it gained on questions like those above. Of others nothing is known; "
        "`adapted.inspect_query(text)` tells how much of a question lies in directions that training covered.",
    ]
    if config["adapter"]["kind"].endswith("memory"):
        lines.append(
            "It holds the vectors of training questions. Who may not read the questions should not have the file."
        )
    if not config.get("report"):
        lines.append("No question that the fit had not seen has been asked of it: the gain is unverified.")
    else:
        lines.append(
            "Measure it on questions of your own before you rely on it: `evaluate_retrieval(adapted, dataset)`."
        )
    return "\n".join(f"- {line}" for line in lines)


def _items(rows: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name.replace('_', ' ')}: {_value(value)}" for name, value in rows.items() if _told(value))


def _told(value: Any) -> bool:
    return value is not None and value not in ({}, [])


def _value(value: Any) -> str:
    """A setting, or several, as the card prints them."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {setting}" for name, setting in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
