"""BatchEncoding: what calling a tokenizer returns, a dictionary that also knows where its tokens came from."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable
from typing import Any, NamedTuple

from enfold.transformers.tokenization.tensors import is_column, is_tensor, to_tensor

__all__ = ["BatchEncoding", "CharSpan", "TokenSpan"]


class CharSpan(NamedTuple):
    """Characters ``start`` to ``end`` (not included) of the text."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens ``start`` to ``end`` (not included) of the sequence."""

    start: int
    end: int


class BatchEncoding(UserDict):  # type: ignore[type-arg]
    """Model inputs by name, readable as items and as attributes.

    Args:
        data: name → list, list of lists, token column or tensor.
        encoding: the tokenizer's own results, one a row, or a function that makes them when they are first needed.
        tensor_type: turn the values into tensors of this library at once ("pt", "np", "tf", "jax").
        prepend_batch_axis: add a leading axis of one to the tensors.
        n_sequences: how many texts a row holds.

    Example:
        >>> batch = BatchEncoding({"input_ids": [[1, 2], [3, 4]]})
        >>> batch.input_ids is batch["input_ids"]
        True
        >>> batch.convert_to_tensors("np")["input_ids"].shape
        (2, 2)
    """

    def __init__(
        self,
        data: dict[str, Any] | None = None,
        encoding: Any = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
    ) -> None:
        super().__init__(data)
        self._encodings: list[Any] | None = None
        self._make_encodings: Callable[[], list[Any]] | None = None
        if callable(encoding):
            self._make_encodings = encoding
        elif encoding is not None:
            self._encodings = list(encoding) if isinstance(encoding, list | tuple) else [encoding]
        self._n_sequences = n_sequences
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    # --- a dictionary

    def __getitem__(self, item: Any) -> Any:
        """Return a value by name, a row's encoding by number, or all values sliced."""
        if isinstance(item, str):
            return self.data[item]
        if isinstance(item, slice):
            return {key: value[item] for key, value in self.data.items()}
        if self.encodings is None:
            raise KeyError("rows are available by number only from a fast tokenizer's own result")
        return self.encodings[item]

    def __getattr__(self, item: str) -> Any:
        if item.startswith("_") or item == "data":
            raise AttributeError(item)
        try:
            return self.data[item]
        except KeyError:
            raise AttributeError(f"this encoding has no {item!r}; it has {', '.join(self.data) or 'nothing'}") from None

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "encodings": self._encodings, "n_sequences": self._n_sequences}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.data = state["data"]
        self._encodings = state["encodings"]
        self._make_encodings = None
        self._n_sequences = state.get("n_sequences")

    # --- where tokens came from

    @property
    def encodings(self) -> list[Any] | None:
        """One encoding a row, with tokens, offsets and words; None when the values came from elsewhere."""
        if self._encodings is None and self._make_encodings is not None:
            self._encodings, self._make_encodings = self._make_encodings(), None
        return self._encodings

    @property
    def is_fast(self) -> bool:
        """Whether words and offsets of tokens can be asked for."""
        return self._encodings is not None or self._make_encodings is not None

    @property
    def n_sequences(self) -> int | None:
        """How many texts a row holds: 1, 2, or None when unknown."""
        if self._n_sequences is None and self.encodings:
            self._n_sequences = self.encodings[0].n_sequences
        return self._n_sequences

    def _row(self, index: int) -> Any:
        if self.encodings is None:
            raise ValueError("tokens, words and offsets are known only to the result of calling a tokenizer")
        return self.encodings[index]

    def _place(self, row_or_index: int, index: int | None) -> tuple[Any, int]:
        row, place = (0, row_or_index) if index is None else (row_or_index, index)
        encoding = self._row(row)
        return encoding, place + len(encoding) if place < 0 else place

    def tokens(self, batch_index: int = 0) -> list[str]:
        """Return the tokens of a row."""
        return self._row(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """Return for each token of a row the number of its word; None for special tokens."""
        return self._row(batch_index).word_ids

    words = word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """Return for each token of a row 0 or 1, the text it is from; None for special tokens."""
        return self._row(batch_index).sequence_ids

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """Return the text that a token is from: ``(token)`` of the only row, or ``(row, token)``."""
        encoding, place = self._place(batch_or_token_index, token_index)
        return encoding.token_to_sequence(place)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """Return the number of the word that a token is part of."""
        encoding, place = self._place(batch_or_token_index, token_index)
        return encoding.token_to_word(place)

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """Return the tokens of a word, or None when the word has none."""
        row, word = (0, batch_or_word_index) if word_index is None else (batch_or_word_index, word_index)
        span = self._row(row).word_to_tokens(word, sequence_index)
        return None if span is None else TokenSpan(*span)

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """Return the characters that a token covers in its text, or None for special tokens."""
        encoding, place = self._place(batch_or_token_index, token_index)
        span = encoding.token_to_chars(place)
        return None if span is None else CharSpan(*span)

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """Return the token that covers a character, or None where there is none."""
        row, place = (0, batch_or_char_index) if char_index is None else (batch_or_char_index, char_index)
        return self._row(row).char_to_token(place, sequence_index)

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan:
        """Return the characters that a word covers."""
        row, word = (0, batch_or_word_index) if word_index is None else (batch_or_word_index, word_index)
        return CharSpan(*self._row(row).word_to_chars(word, sequence_index))

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """Return the number of the word that covers a character, or None."""
        row, place = (0, batch_or_char_index) if char_index is None else (batch_or_char_index, char_index)
        return self._row(row).char_to_word(place, sequence_index)

    # --- tensors

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> BatchEncoding:
        """Turn every value into a tensor, in place, and return self.

        Args:
            tensor_type: "pt", "np", "tf" or "jax"; None leaves the values as they are.
            prepend_batch_axis: add a leading axis of one.

        Raises:
            ValueError: rows of unequal length; the message names the value and what to do.
            MissingExtra: the library is not installed.
        """
        if tensor_type is None:
            return self
        kind = str(getattr(tensor_type, "value", tensor_type))
        for key, value in list(self.data.items()):
            if value is None or (
                is_tensor(value) and not prepend_batch_axis and kind == "pt" and hasattr(value, "requires_grad")
            ):
                continue
            try:
                self.data[key] = to_tensor(value, kind, prepend_batch_axis)
            except ImportError:
                raise
            except Exception as error:
                if key == "overflowing_tokens":
                    raise ValueError("tokens that overflow differ in number and cannot become a tensor") from error
                if kind not in ("pt", "np", "tf", "jax"):
                    raise
                raise ValueError(
                    f"{key!r} cannot become a tensor: its rows must be numbers of equal length. Pass padding=True and "
                    "truncation=True to make them so, or leave out return_tensors"
                ) from error
        return self

    def to(self, device: Any, *, non_blocking: bool = False) -> BatchEncoding:
        """Move every tensor to a torch device, in place, and return self.

        Args:
            device: a ``torch.device``, its name, or the number of an accelerator.
            non_blocking: do not wait for the copy.
        """
        for key, value in self.data.items():
            if hasattr(value, "to") and not is_column(value):
                self.data[key] = value.to(device, non_blocking=non_blocking)
        return self
