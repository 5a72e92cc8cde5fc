"""Pictures for notebooks and papers: what training and evaluation found, drawn with matplotlib.

Each function takes what they gave and returns a matplotlib ``Axes``, a new one or the one given. Nothing else of
matplotlib is changed: no style, no backend. Colours differ in lightness, lines in their marks, so that all of it can
be told apart in grey.
"""

from langchain_embedding_adapter.plots.gains import Gain, plot_gains, plot_metrics
from langchain_embedding_adapter.plots.questions import plot_changes
from langchain_embedding_adapter.plots.space import plot_map
from langchain_embedding_adapter.plots.training import plot_history, plot_selection

__all__ = ["Gain", "plot_changes", "plot_gains", "plot_history", "plot_map", "plot_metrics", "plot_selection"]
