"""Retrieval quality as a report, and as a page that anybody can judge an adapter by."""

from langchain_embedding_adapter.report.retrieval import RetrievalReport

__all__ = ["RetrievalReport"]
