"""Questions, passages and which answers which: the dataset, its files, and where pairs come from."""

from langchain_embedding_adapter.pairs.dataset import QADataset

__all__ = ["QADataset"]
