"""BatchFeature: what feature extractors, image processors and processors return."""

from __future__ import annotations

from collections import UserDict
from typing import Any

from enfold.transformers.tokenization.tensors import is_tensor, to_tensor

__all__ = ["BatchFeature"]


class BatchFeature(UserDict):  # type: ignore[type-arg]
    """Model inputs by name, readable as items and as attributes.

    Args:
        data: name → list of arrays, nested lists, or tensor.
        tensor_type: turn the values into tensors of this library at once ("pt", "np", "tf", "jax").

    Example:
        >>> batch = BatchFeature({"input_values": [[0.5, 1.0], [0.0, 2.0]]}, tensor_type="np")
        >>> batch.input_values.shape, list(batch)
        ((2, 2), ['input_values'])
    """

    def __init__(self, data: dict[str, Any] | None = None, tensor_type: Any = None, **_: Any) -> None:
        super().__init__(data)
        self.convert_to_tensors(tensor_type)

    def __getattr__(self, item: str) -> Any:
        if item.startswith("_") or item == "data":
            raise AttributeError(item)
        try:
            return self.data[item]
        except KeyError:
            raise AttributeError(f"these features have no {item!r}; they have {', '.join(self.data)}") from None

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, str):
            return self.data[item]
        raise KeyError(f"features are read by name, not by {item!r}; there are {', '.join(self.data)}")

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.data = state["data"]

    def convert_to_tensors(self, tensor_type: Any = None, **_: Any) -> BatchFeature:
        """Turn every value into a tensor, in place, and return self.

        Args:
            tensor_type: "pt", "np", "tf" or "jax"; None leaves the values as they are.

        Raises:
            ValueError: rows of unequal shapes; the message names the value.
        """
        if tensor_type is None:
            return self
        kind = str(getattr(tensor_type, "value", tensor_type))
        for key, value in list(self.data.items()):
            if value is None or (kind == "pt" and is_tensor(value) and hasattr(value, "requires_grad")):
                continue
            try:
                self.data[key] = to_tensor(value, kind)
            except ImportError:
                raise
            except Exception as error:
                if kind not in ("pt", "np", "tf", "jax"):
                    raise
                raise ValueError(
                    f"{key!r} cannot become a tensor: its rows have unequal shapes. Pad or resize them to one shape, "
                    "or leave out return_tensors"
                ) from error
        return self

    def to(self, *args: Any, **kwargs: Any) -> BatchFeature:
        """Move every tensor to a torch device, and floating-point ones to a type, in place, and return self.

        Args:
            args: a device, a ``torch.dtype``, or both.
            kwargs: ``device``, ``dtype``, ``non_blocking``.
        """
        import torch

        kinds = [value for value in (*args, kwargs.pop("dtype", None)) if isinstance(value, torch.dtype)]
        places = [value for value in (*args, kwargs.pop("device", None)) if not isinstance(value, torch.dtype)]
        for key, value in self.data.items():
            if isinstance(value, torch.Tensor):
                for place in (place for place in places if place is not None):
                    value = value.to(place, **kwargs)
                self.data[key] = value.to(kinds[0]) if kinds and value.is_floating_point() else value
        return self
