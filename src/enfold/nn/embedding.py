"""Learned positions; and growing and shrinking the token rows of embeddings and of the layers that predict tokens."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError

__all__ = ["PositionError", "Positions", "resize_embedding", "resize_linear"]


class PositionError(EnfoldError, IndexError):
    """A text is longer than a model's table of positions."""


class Positions(nn.Embedding):
    """Learned positions, a row for each place of a text.

    Example:
        >>> Positions(4, 2)(torch.tensor([4]))
        Traceback (most recent call last):
            ...
        enfold.nn.embedding.PositionError: a text reaches position 4 and the model's last is 3: cut it, with …
    """

    @property
    def first(self) -> int:
        """The row of a text's first place: the one after the row that stands for padding, where there is one."""
        return 0 if self.padding_idx is None else self.padding_idx + 1

    @property
    def room(self) -> int:
        """How many tokens of a text have a place."""
        return self.num_embeddings - self.first

    def forward(self, places: Tensor) -> Tensor:
        """Return (…, D) for places (…).

        Raises:
            PositionError: there is no such place; on accelerators, their own error comes, and later.
        """
        try:
            return super().forward(places)
        except IndexError:
            raise PositionError(
                f"a text reaches position {int(places.max()) - self.first} and the model's last is {self.room - 1}: "
                "cut it, with truncation=True and max_length=… for the tokenizer"
            ) from None


def resize_embedding(old: nn.Embedding, rows: int, *, mean_resizing: bool = True, std: float = 0.02) -> nn.Embedding:
    """Return an embedding with ``rows`` rows that begins with those of ``old``.

    Args:
        old: the embedding (V, D).
        rows: the new number of rows.
        mean_resizing: draw new rows around the mean of the old ones, so that they begin as likely as an average token
            (Hewitt, 2021, "Initializing New Word Embeddings for Pretrained Language Models"); else around zero.
        std: spread of new rows when ``mean_resizing`` is off.
    """
    new = copy.deepcopy(old, {id(old.weight): old.weight})  # of the same kind: some scale what they return
    new.num_embeddings = rows
    new.weight = nn.Parameter(_resize_rows(old.weight.data, rows, mean_resizing, std), old.weight.requires_grad)
    if old.padding_idx is not None and old.padding_idx >= rows:
        new.padding_idx = None
    return new


def resize_linear(old: nn.Linear, rows: int, *, mean_resizing: bool = True, std: float = 0.02) -> nn.Linear:
    """Return a linear layer with ``rows`` outputs that begins with those of ``old``; see ``resize_embedding``."""
    new = nn.Linear(old.in_features, rows, bias=old.bias is not None, device="meta", dtype=old.weight.dtype)
    new.weight = nn.Parameter(_resize_rows(old.weight.data, rows, mean_resizing, std), old.weight.requires_grad)
    if old.bias is not None:
        new.bias = nn.Parameter(_resize_rows(old.bias.data, rows, False, 0.0), old.bias.requires_grad)
    return new.train(old.training)


def _resize_rows(old: Tensor, rows: int, around_mean: bool, std: float) -> Tensor:
    kept = min(rows, old.shape[0])
    new = old.new_empty(rows, *old.shape[1:])
    new[:kept] = old[:kept]
    if rows > kept:
        extra = torch.randn(rows - kept, *old.shape[1:], device=old.device) * std
        if around_mean:
            wide = old.float()
            mean = wide.mean(0)
            spread = (wide - mean).square().mean(0).sqrt()
            # The covariance shrunk a thousandfold, taken per column: new rows stay close to the mean.
            extra = mean + torch.randn(rows - kept, *old.shape[1:], device=old.device) * spread * 1e-3**0.5
        new[kept:] = extra.to(old.dtype)
    return new
