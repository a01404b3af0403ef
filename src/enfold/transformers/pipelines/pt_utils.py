"""One column, or two, of a data set as input of a pipeline."""

from __future__ import annotations

from typing import Any

__all__ = ["KeyDataset", "KeyPairDataset"]


class KeyDataset:
    """The values under one key of a data set's rows.

    Args:
        dataset: rows by number, each a dictionary.
        key: the name to read.

    Example:
        >>> KeyDataset([{"text": "a"}, {"text": "b"}], "text")[1]
        'b'
    """

    def __init__(self, dataset: Any, key: str) -> None:
        self.dataset = dataset
        self.key = key

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index][self.key]


class KeyPairDataset:
    """Two values of each row, as {"text", "text_pair"}.

    Args:
        dataset: rows by number, each a dictionary.
        key1: the name of the first text.
        key2: the name of the second text.
    """

    def __init__(self, dataset: Any, key1: str, key2: str) -> None:
        self.dataset = dataset
        self.key1 = key1
        self.key2 = key2

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.dataset[index]
        return {"text": row[self.key1], "text_pair": row[self.key2]}
