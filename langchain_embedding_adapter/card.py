"""The card: the README of a saved adapter, written from its configuration so that it says what the folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_embedding_adapter.tables import comparison

_TEMPLATE = """\
---
library_name: langchain-embedding-adapter
tags: [langchain, embeddings, retrieval, query-adapter]
---

# {name}

A {kind} adapter ({in_features} → {out_features} dimensions) for the query vectors of `{base_model}`. Documents are not
adapted: an index built with the base model stays as it is.

```python
from langchain_embedding_adapter import AdaptedEmbeddings

adapted = AdaptedEmbeddings.from_pretrained("{name}", embeddings)  # embeddings: {base_model}
```
"""


def write_card(config: Mapping[str, Any], name: str) -> str:
    """The card of the adapter that ``config`` (the content of its ``config.json``) describes, in Markdown."""
    parts = [_TEMPLATE.format(name=name, base_model=config["base_model"], **_adapter(config))]
    report = config.get("report")
    if report:
        parts.append(
            "\n## Base against adapted\n\n"
            f"On {report['questions']} held-out questions over {report['passages']} passages, ranked exactly. The "
            "p-value is a two-sided paired randomisation test's; better, same and worse count questions.\n\n"
            f"{comparison(report['metrics'])}\n"
        )
    training = config.get("training")
    if training:
        lines = "\n".join(f"- {key.replace('_', ' ')}: {_value(value)}" for key, value in training.items())
        parts.append(f"\n## Training\n\n{lines}\n")
    return "".join(parts)


def _adapter(config: Mapping[str, Any]) -> dict[str, Any]:
    entry = config["adapter"]
    return {key: entry[key] for key in ("kind", "in_features", "out_features")}


def _value(value: Any) -> str:
    """A setting, or several, as the card prints them."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {setting}" for name, setting in value.items())
    return str(value)
