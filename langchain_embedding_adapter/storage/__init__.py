"""A saved adapter: a folder here or on the hub, written whole, read with nothing taken for granted."""

from langchain_embedding_adapter.storage.folder import load_folder, save_folder

__all__ = ["load_folder", "save_folder"]
