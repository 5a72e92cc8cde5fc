"""What every adapter is: a map of query vectors with one ``forward`` for training and for serving.

``BaseAdapter`` is the class to subclass with one's own ``torch.nn.Module``; ``ArrayAdapter`` is the base of the
built-in kinds, whose parameters are NumPy arrays and whose ``forward`` uses only operators that arrays and tensors
share, so that they serve without torch and are trained by differentiating the very code that serves.
"""

from __future__ import annotations

import copy
import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
AnyAdapter = TypeVar("AnyAdapter", bound="BaseAdapter")


class BaseAdapter(ABC):
    """A map from query vectors ``(n, in_features)`` to vectors in the passages' space ``(n, out_features)``.

    To bring your own network, subclass it: make the modules in ``__init__`` (``in_features`` and ``out_features``
    first, every further argument something JSON can hold: the constructor's arguments are what a saved adapter
    records), and write ``forward``, from tensor to tensor. Start it as the identity where you can: a network
    that ends in zeros beside a residual does.

    Example:
        >>> import torch
        >>> class GatedAdapter(BaseAdapter):
        ...     def __init__(self, in_features, out_features):
        ...         super().__init__(in_features, out_features)
        ...         self.gate = torch.nn.Linear(in_features, 1)
        ...         self.shift = torch.nn.Linear(in_features, out_features)
        ...         torch.nn.init.zeros_(self.shift.weight)
        ...         torch.nn.init.zeros_(self.shift.bias)
        ...     def forward(self, queries):
        ...         return queries + torch.sigmoid(self.gate(queries)) * self.shift(queries)
        >>> adapter = GatedAdapter(4, 4)
        >>> adapter.adapt(np.ones((2, 4), np.float32)).shape
        (2, 4)
    """

    kind: ClassVar[str]
    """The name a saved adapter is recognised by; the class's own name unless it sets another."""

    arguments: dict[str, Any]
    """The constructor's arguments, as they were given."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" not in cls.__dict__:
            cls.kind = cls.__name__

    def __new__(cls, *args: Any, **kwargs: Any) -> BaseAdapter:
        """Remember the arguments, so that no subclass has to write down how it is made again."""
        adapter = super().__new__(cls)
        arguments: dict[str, Any] = {}
        if args or kwargs:  # copy and pickle make the object without them, and bring its attributes themselves
            bound = inspect.signature(cls.__init__).bind(adapter, *args, **kwargs)
            bound.apply_defaults()
            arguments = dict(list(bound.arguments.items())[1:])
        object.__setattr__(adapter, "arguments", arguments)  # torch.nn.Module's own __setattr__ is not ready yet
        return adapter

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive whole number, got {value!r}")
        self.in_features = in_features
        self.out_features = out_features

    @abstractmethod
    def forward(self, queries: Any) -> Any:
        """Map query vectors of unit length, ``(n, in_features)``, to ``(n, out_features)``, of any length."""

    def adapt(self, queries: Floats) -> Floats:
        """Map query vectors, arrays in and out, ready to serve (no gradients, no dropout).

        Args:
            queries: ``(n, in_features)``, of any length.

        Returns:
            ``(n, out_features)``, each of the length (norm) that its query vector has: scores keep their scale under
            cosine, dot product and L2 alike.

        Raises:
            ValueError: If the vectors have another number of dimensions than the adapter takes.
        """
        if queries.ndim != 2 or queries.shape[1] != self.in_features:
            raise ValueError(
                f"the adapter takes query vectors of {self.in_features} dimensions, (n, {self.in_features}), "
                f"and got an array of shape {queries.shape}"
            )
        lengths = _lengths(queries)
        adapted = self._forward_arrays(_divided(queries.astype(np.float32, copy=False), lengths))
        scaled: Floats = _divided(adapted, _lengths(adapted)) * lengths
        return scaled

    def _forward_arrays(self, queries: Floats) -> Floats:
        """:meth:`forward` for arrays. Modules are put, and stay, in evaluation mode: threads may serve side by side."""
        require_extra("torch", "train")
        import torch

        self.module().eval()
        with torch.inference_mode():
            adapted: Floats = self.forward(torch.from_numpy(queries)).numpy()
        return adapted

    def module(self) -> torch.nn.Module:
        """What torch trains: the adapter itself if it is a module, else one that holds the modules set on it.

        Raises:
            TypeError: If the adapter holds no ``torch.nn.Module``.
        """
        require_extra("torch", "train")
        import torch

        if isinstance(self, torch.nn.Module):
            return self
        children = {name: value for name, value in vars(self).items() if isinstance(value, torch.nn.Module)}
        if not children:
            raise TypeError(f"{type(self).__name__} has nothing to train: set a torch.nn.Module on it in __init__")
        return torch.nn.ModuleDict(children)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything learned, by name, as a saved adapter holds it."""
        return {name: value.detach().cpu().numpy() for name, value in self.module().state_dict().items()}

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what :meth:`to_arrays` gave.

        Raises:
            ValueError: If a name is missing or too many, or a shape is not the adapter's.
        """
        own = self.to_arrays()
        _check_arrays(type(self).__name__, {name: array.shape for name, array in own.items()}, arrays)
        require_extra("torch", "train")
        import torch

        self.module().load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})

    def trainable(self: AnyAdapter, device: str = "cpu") -> tuple[AnyAdapter, torch.nn.Module]:
        """A copy whose ``forward`` takes tensors on ``device``, and the module that holds that copy's parameters."""
        twin = copy.deepcopy(self)
        return twin, twin.module().to(device).train()

    def trained(self: AnyAdapter, twin: AnyAdapter) -> AnyAdapter:
        """A copy of this adapter, ready to serve, with what ``twin`` (from :meth:`trainable`) has learned."""
        adapter = copy.deepcopy(self)
        adapter.load_arrays(twin.to_arrays())
        return adapter


class ArrayAdapter(BaseAdapter):
    """An adapter whose parameters are NumPy arrays: attributes of the names in ``parameters``.

    ``forward`` reads them from ``self`` and uses only what arrays and tensors share (``@``, ``+``, ``.T``, ``.clip``).
    """

    parameter_names: ClassVar[tuple[str, ...]]
    """Attributes that are learned and saved; one that is ``None`` is absent."""

    dtypes: ClassVar[Mapping[str, str]] = {}
    """Of those among them that are no ``float32``."""

    def _forward_arrays(self, queries: Floats) -> Floats:
        adapted: Floats = self.forward(queries)
        return adapted

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything learned, by name."""
        found = {name: getattr(self, name) for name in self.parameter_names}
        return {name: _as_array(value) for name, value in found.items() if value is not None}

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what :meth:`to_arrays` gave; see :meth:`BaseAdapter.load_arrays`."""
        shapes = {name: array.shape for name, array in self.to_arrays().items()}
        _check_arrays(type(self).__name__, shapes, arrays)
        for name, array in arrays.items():
            setattr(self, name, np.array(array, dtype=self.dtypes.get(name, "float32")))

    def module(self) -> torch.nn.Module:
        """The parameters of a twin made by :meth:`trainable`, as torch sees them."""
        require_extra("torch", "train")
        import torch

        found = [getattr(self, name) for name in self.parameter_names]
        return torch.nn.ParameterList([value for value in found if isinstance(value, torch.nn.Parameter)])

    def trainable(self: AnyAdapter, device: str = "cpu") -> tuple[AnyAdapter, torch.nn.Module]:
        """A copy whose arrays are torch parameters, so that the same ``forward`` can be differentiated."""
        require_extra("torch", "train")
        import torch

        twin = copy.copy(self)
        for name, array in self.to_arrays().items():
            setattr(twin, name, torch.nn.Parameter(torch.from_numpy(array.copy()).to(device)))
        return twin, twin.module()


def _lengths(rows: Floats) -> Any:
    """The length of each row, ``(n, 1)``; of a single one a number, which is several times faster to come by."""
    if len(rows) == 1:
        return np.sqrt(rows[0].dot(rows[0]))
    return np.linalg.norm(rows, axis=1, keepdims=True)


def _divided(rows: Floats, lengths: Any) -> Floats:
    """Rows of length one; rows of zeros stay."""
    divided: Floats = rows / (np.where(lengths > 0, lengths, 1) if len(rows) != 1 else lengths or 1)
    return divided


def identity_matrix(out_features: int, in_features: int) -> Floats:
    """The matrix that passes vectors through: ones on the diagonal, also where it is not square."""
    return np.eye(out_features, in_features, dtype=np.float32)


def passed_through(queries: Any, out_features: int) -> Any:
    """The queries themselves, cut or padded with zeros to ``(n, out_features)``; arrays and tensors alike."""
    in_features = queries.shape[1]
    if in_features == out_features:
        return queries
    if in_features > out_features:
        return queries[:, :out_features]
    matrix = identity_matrix(out_features, in_features)
    return queries @ (matrix if isinstance(queries, np.ndarray) else queries.new_tensor(matrix)).T


def _as_array(value: Any) -> NDArray[Any]:
    """An array, also of a torch parameter."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        array: NDArray[Any] = value.detach().cpu().numpy().copy()
        return array
    return np.asarray(value)


def _check_arrays(name: str, shapes: dict[str, tuple[int, ...]], arrays: dict[str, NDArray[Any]]) -> None:
    found = {key: array.shape for key, array in arrays.items()}
    if found != shapes:
        raise ValueError(f"the arrays do not fit {name}: expected {shapes}, got {found}")
    bad = [key for key, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise ValueError(f"the arrays of {name} hold values that are not finite: {', '.join(bad)}")
