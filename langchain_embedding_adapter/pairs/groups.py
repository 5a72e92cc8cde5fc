"""What must stay on one side of a split: chains of documents, passages and questions that are linked.

Disjoint sets with path halving (Tarjan and van Leeuwen, *Worst-case analysis of set union algorithms*, 1984); scipy's
``DisjointSet`` does the same and comes with training only.
"""

from __future__ import annotations


class Groups:
    """Groups of names, joined one link at a time; a name that was not seen before is a group of its own.

    >>> groups = Groups()
    >>> groups.join("a", "b")
    >>> groups.join("b", "c")
    >>> groups.of("a") == groups.of("c"), groups.of("a") == groups.of("d")
    (True, False)
    """

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def join(self, one: str, other: str) -> None:
        """Make the groups of two names one."""
        self._parent[self.of(one)] = self.of(other)

    def of(self, name: str) -> str:
        """The name that stands for the group of ``name``."""
        parent = self._parent
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name
