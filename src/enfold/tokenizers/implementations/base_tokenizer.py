"""BaseTokenizer: what the ready-made tokenizers share, a tokenizer and the settings it was made with."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.encoding import Encoding
from enfold.tokenizers.tokenizer import Tokenizer

if TYPE_CHECKING:
    from enfold.tokenizers.normalizers import Normalizer

__all__ = ["BaseTokenizer", "chain", "mark_special"]


def mark_special(tokenizer: Tokenizer, *tokens: str | AddedToken) -> None:
    """Add as special tokens those of ``tokens`` that the vocabulary has."""
    for token in map(str, tokens):
        if tokenizer.token_to_id(token) is not None:
            tokenizer.add_special_tokens([token])


def chain(*normalizers: Normalizer | None) -> Normalizer | None:
    """One normalizer that runs those given, None among them left out; None for none."""
    from enfold.tokenizers.normalizers import Sequence

    given = [normalizer for normalizer in normalizers if normalizer is not None]
    return Sequence(given) if len(given) > 1 else given[0] if given else None


class _Part:
    """A part of the tokenizer inside."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: BaseTokenizer | None, owner: type) -> Any:
        return self if instance is None else getattr(instance._tokenizer, self.name)

    def __set__(self, instance: BaseTokenizer, value: Any) -> None:
        setattr(instance._tokenizer, self.name, value)


class BaseTokenizer:
    """A tokenizer and the settings it was made with.

    Args:
        tokenizer: does the work.
        parameters: the settings, shown by repr.
    """

    def __init__(self, tokenizer: Tokenizer, parameters: dict[str, Any] | None = None) -> None:
        self._tokenizer = tokenizer
        self._parameters = {} if parameters is None else parameters

    model = _Part()
    normalizer = _Part()
    pre_tokenizer = _Part()
    post_processor = _Part()
    decoder = _Part()

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self._parameters.items())
        return f"Tokenizer(vocabulary_size={self._tokenizer.get_vocab_size()}, {settings})"

    def _train(
        self,
        texts: Any,
        trainer: Any,
        *,
        files: bool = False,
        length: int | None = None,
    ) -> None:
        tokenizer: Any = self._tokenizer
        if files:
            tokenizer.train([texts] if isinstance(texts, str | os.PathLike) else texts, trainer=trainer)
        else:
            tokenizer.train_from_iterator(texts, trainer=trainer, length=length)

    # The vocabulary

    def num_special_tokens_to_add(self, is_pair: bool) -> int:
        """How many tokens are put around a single sequence, or a pair."""
        return self._tokenizer.num_special_tokens_to_add(is_pair)

    def get_vocab(self, with_added_tokens: bool = True) -> dict[str, int]:
        """Return all tokens and their ids."""
        return self._tokenizer.get_vocab(with_added_tokens=with_added_tokens)

    def get_added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The added tokens by id."""
        return self._tokenizer.get_added_tokens_decoder()

    def get_vocab_size(self, with_added_tokens: bool = True) -> int:
        """How many tokens there are."""
        return self._tokenizer.get_vocab_size(with_added_tokens=with_added_tokens)

    def add_tokens(self, tokens: list[str | AddedToken]) -> int:
        """Add tokens; return how many were new."""
        return self._tokenizer.add_tokens(tokens)

    def add_special_tokens(self, special_tokens: list[str | AddedToken]) -> int:
        """Add special tokens; return how many were new."""
        return self._tokenizer.add_special_tokens(special_tokens)

    def token_to_id(self, token: str) -> int | None:
        """The id of a token, or None."""
        return self._tokenizer.token_to_id(token)

    def id_to_token(self, id: int) -> str | None:
        """The token of an id, or None."""
        return self._tokenizer.id_to_token(id)

    # Truncation and padding

    def enable_padding(
        self,
        direction: str | None = "right",
        pad_to_multiple_of: int | None = None,
        pad_id: int | None = 0,
        pad_type_id: int | None = 0,
        pad_token: str | None = "[PAD]",
        length: int | None = None,
    ) -> None:
        """Fill encodings up from now on; see Tokenizer.enable_padding."""
        given: dict[str, Any] = {
            "direction": direction,
            "pad_to_multiple_of": pad_to_multiple_of,
            "pad_id": pad_id,
            "pad_type_id": pad_type_id,
            "pad_token": pad_token,
            "length": length,
        }
        self._tokenizer.enable_padding(**{name: value for name, value in given.items() if value is not None})

    def no_padding(self) -> None:
        """Fill nothing from now on."""
        self._tokenizer.no_padding()

    @property
    def padding(self) -> dict[str, Any] | None:
        """The settings of enable_padding, or None."""
        return self._tokenizer.padding

    def enable_truncation(
        self, max_length: int, stride: int | None = 0, strategy: str | None = "longest_first"
    ) -> None:
        """Cut encodings from now on; see Tokenizer.enable_truncation."""
        self._tokenizer.enable_truncation(max_length, stride=stride or 0, strategy=strategy or "longest_first")

    def no_truncation(self) -> None:
        """Cut nothing from now on."""
        self._tokenizer.no_truncation()

    @property
    def truncation(self) -> dict[str, Any] | None:
        """The settings of enable_truncation, or None."""
        return self._tokenizer.truncation

    # Encoding and decoding

    def normalize(self, sequence: str) -> str:
        """Return a text normalized; as it is where there is no normalizer."""
        normalizer = self._tokenizer.normalizer
        return sequence if normalizer is None else normalizer.normalize_str(sequence)

    def encode(
        self, sequence: Any, pair: Any = None, is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> Encoding:
        """Encode one sequence, or a pair; see Tokenizer.encode."""
        _given(sequence, "encode: `sequence` can't be `None`")
        return self._tokenizer.encode(sequence, pair, is_pretokenized, add_special_tokens)

    def encode_batch(
        self, inputs: Iterable[Any], is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> list[Encoding]:
        """Encode many inputs; see Tokenizer.encode_batch."""
        _given(inputs, "encode_batch: `inputs` can't be `None`")
        return self._tokenizer.encode_batch(inputs, is_pretokenized, add_special_tokens)

    async def async_encode_batch(
        self, inputs: Iterable[Any], is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> list[Encoding]:
        """As encode_batch, without blocking the event loop."""
        _given(inputs, "async_encode_batch: `inputs` can't be `None`")
        return await self._tokenizer.async_encode_batch(inputs, is_pretokenized, add_special_tokens)

    async def async_encode_batch_fast(
        self, inputs: Iterable[Any], is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> list[Encoding]:
        """As Tokenizer.encode_batch_fast, without blocking the event loop."""
        _given(inputs, "async_encode_batch_fast: `inputs` can't be `None`")
        return await self._tokenizer.async_encode_batch_fast(inputs, is_pretokenized, add_special_tokens)

    def decode(self, ids: Sequence[int], skip_special_tokens: bool | None = True) -> str:
        """Return the text of ids; see Tokenizer.decode."""
        _given(ids, "None input is not valid. Should be a list of integers.")
        return self._tokenizer.decode(ids, skip_special_tokens=bool(skip_special_tokens))

    def decode_batch(self, sequences: Sequence[Sequence[int]], skip_special_tokens: bool | None = True) -> list[str]:
        """Return the texts of many sequences of ids."""
        _given(sequences, "None input is not valid. Should be list of list of integers.")
        return self._tokenizer.decode_batch(sequences, skip_special_tokens=bool(skip_special_tokens))

    async def async_decode_batch(
        self, sequences: Sequence[Sequence[int]], skip_special_tokens: bool = True
    ) -> list[str]:
        """As decode_batch, without blocking the event loop."""
        _given(sequences, "async_decode_batch: `sequences` can't be `None`")
        return await self._tokenizer.async_decode_batch(sequences, skip_special_tokens)

    def post_process(
        self, encoding: Encoding, pair: Encoding | None = None, add_special_tokens: bool = True
    ) -> Encoding:
        """Truncate, put special tokens around, and pad."""
        return self._tokenizer.post_process(encoding, pair, add_special_tokens)

    # Writing

    def save_model(self, directory: str, prefix: str | None = None) -> list[str]:
        """Write the model's own files into a folder; return their paths."""
        return self._tokenizer.model.save(directory, prefix=prefix)

    def save(self, path: str | os.PathLike[str], pretty: bool = True) -> None:
        """Write the tokenizer.json."""
        self._tokenizer.save(path, pretty)

    def to_str(self, pretty: bool = False) -> str:
        """Return the text of the tokenizer.json."""
        return self._tokenizer.to_str(pretty)


def _given(value: Any, message: str) -> None:
    if value is None:
        raise ValueError(message)
