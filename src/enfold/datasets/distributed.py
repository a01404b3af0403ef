"""One dataset for several machines, under the ecosystem's name."""

from .streaming.distributed import split_dataset_by_node

__all__ = ["split_dataset_by_node"]
