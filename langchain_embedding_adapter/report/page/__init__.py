"""The page of a report: one HTML file that asks for nothing from elsewhere and lets anybody judge an adapter.

:class:`Page` says what is shown, :func:`render` makes the file of it.
"""

from langchain_embedding_adapter.report.page.data import Page
from langchain_embedding_adapter.report.page.render import render

__all__ = ["Page", "render"]
