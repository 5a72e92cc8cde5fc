"""``python -m langchain_embedding_adapter.cli``."""

from __future__ import annotations

from langchain_embedding_adapter.cli.entry import main

if __name__ == "__main__":
    main()
