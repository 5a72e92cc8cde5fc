"""Query time: embeddings that adapt, and all that keeps them serving."""

from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings

__all__ = ["AdaptedEmbeddings"]
