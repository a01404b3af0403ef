"""One dataset for several machines."""

from __future__ import annotations

from typing import Any

from ..dataset import Dataset

__all__ = ["split_dataset_by_node"]


def split_dataset_by_node(dataset: Any, rank: int, world_size: int, strategy: str = "auto") -> Any:
    """Return the rows of a dataset that one of several machines trains on.

    Args:
        dataset: a dataset, whose rows are cut into runs, or a stream, whose shards are shared out; the rows of shards
            that do not suffice for all machines are dealt one by one.
        rank: which machine, from 0.
        world_size: the number of machines.
        strategy: for streams: ``"auto"``, ``"shards"`` (only whole shards) or ``"examples"`` (every row is dealt).

    Raises:
        ValueError: a rank outside of the machines, an unknown strategy or one for a dataset, ``"shards"`` with too few
            of them, or a stream that was split with another strategy before.

    Example:
        >>> from enfold.datasets import Dataset
        >>> split_dataset_by_node(Dataset.from_dict({"a": [0, 1, 2, 3, 4]}), 1, 2)["a"][:]
        [3, 4]
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be 0 to {world_size - 1}, not {rank}")
    if isinstance(dataset, Dataset):
        if strategy != "auto":
            raise ValueError(
                f"strategy={strategy!r} is for streams; a dataset's rows are cut into runs: strategy='auto'"
            )
        return dataset.shard(world_size, rank, contiguous=True)
    return dataset._for_node(rank, world_size, strategy)
