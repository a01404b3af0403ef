"""Streams: rows that are read when they are asked for, from files that never come to disk.

A stream is a chain of steps (``steps``, ``mixing``, ``shuffling``, ``sharing``) over shards of rows (``shards``,
``files``). Each step gives its rows in pieces, and with each piece the place from which it would give that piece again:
this is all that a state is.
"""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".dataset": ["IterableDataset"],
        ".dataset_dict": ["IterableDatasetDict"],
        ".distributed": ["split_dataset_by_node"],
    },
)
