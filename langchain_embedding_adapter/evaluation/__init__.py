"""Base against adapted: rankings counted, exactly and through a store."""

from langchain_embedding_adapter.evaluation.evaluate import evaluate_retrieval

__all__ = ["evaluate_retrieval"]
