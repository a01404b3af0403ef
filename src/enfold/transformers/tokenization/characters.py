"""Tokenizers without a vocabulary to learn: ByT5's bytes and CANINE's characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.tokenizers import AddedToken
from enfold.transformers.tokenization.python import PreTrainedTokenizer

__all__ = ["ByT5Tokenizer", "CanineTokenizer"]


def _bare(content: str) -> AddedToken:
    return AddedToken(content, lstrip=True, rstrip=True, special=True)


class ByT5Tokenizer(PreTrainedTokenizer):
    """ByT5's tokenizer (Xue et al. 2021, arXiv:2105.13626): a token for each byte of UTF-8, the end token after texts.

    Args:
        extra_ids: how many ``<extra_id_N>`` sentinels there are.
        kwargs: as for every tokenizer.

    Raises:
        ValueError: ``additional_special_tokens`` name other sentinels than ``extra_ids`` counts.

    Example:
        >>> tokenizer = ByT5Tokenizer()
        >>> tokenizer("né")["input_ids"]
        [113, 198, 172, 1]
        >>> tokenizer.decode([113, 198, 172])
        'né'
    """

    vocab_files_names = {}
    default_tokens = {"eos_token": _bare("</s>"), "unk_token": _bare("<unk>"), "pad_token": _bare("<pad>")}
    offset = 3

    def __init__(self, extra_ids: int = 125, **kwargs: Any) -> None:
        given = kwargs.pop("additional_special_tokens", None) or kwargs.pop("extra_special_tokens", None) or []
        sentinels = {str(token) for token in given if "extra_id" in str(token)}
        if not given:
            given = [f"<extra_id_{number}>" for number in range(extra_ids)]
        elif extra_ids and len(sentinels) != extra_ids:
            raise ValueError(f"extra_ids is {extra_ids}, but additional_special_tokens name {len(sentinels)} sentinels")
        super().__init__(extra_ids=extra_ids, additional_special_tokens=given, **kwargs)

    def _build(self, *args: Any, **settings: Any) -> Any:
        core = super()._build(*args, **settings)
        for id, role in enumerate(("pad_token", "eos_token", "unk_token")):
            token = settings[role]
            core.place(token if isinstance(token, AddedToken) else _bare(str(token)), id)
        return core

    @property
    def vocab_size(self) -> int:
        """The bytes."""
        return 256

    def get_vocab(self) -> dict[str, int]:
        """Return token → id, where a token is the character of a byte's number."""
        core = self.__dict__.get("_tokenizer")
        bytes_ = {chr(byte): byte + self.offset for byte in range(256)}
        return {**bytes_, **(core._ids if core is not None else {})}

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        return list(text.encode("utf-8", "surrogatepass").decode("latin-1"))

    def _convert_token_to_id(self, token: str) -> int | None:
        return ord(token) + self.offset if len(token) == 1 and ord(token) < 256 else None

    def _convert_id_to_token(self, index: int) -> str | None:
        return chr(index - self.offset) if self.offset <= index < self.offset + 256 else None

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text of bytes; what is no UTF-8 is left out."""
        added = self._tokenizer._ids
        parts = [token.encode() if token in added or len(token) > 1 else bytes([ord(token)]) for token in tokens]
        return b"".join(parts).decode("utf-8", errors="ignore")

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the ids of a text, or of a pair, with the end token after each that does not end so already."""
        return [id for row in (token_ids_0, token_ids_1) if row is not None for id in self._ended(row)]

    def _ended(self, ids: list[int]) -> list[int]:
        return ids if ids and ids[-1] == self.eos_token_id else [*ids, self.eos_token_id]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return zeros: the model has no token types."""
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))


# CANINE's special tokens are code points for private use
_CLS, _SEP, _BOS, _MASK, _PAD, _RESERVED = 0xE000, 0xE001, 0xE002, 0xE003, 0, 0xE004
_SHOWN = {_CLS: "[CLS]", _SEP: "[SEP]", _BOS: "[BOS]", _MASK: "[MASK]", _PAD: "[PAD]", _RESERVED: "[RESERVED]"}


class CanineTokenizer(PreTrainedTokenizer):
    """CANINE's tokenizer (Clark et al. 2021, arXiv:2103.06874): a token for each character, its id the code point.

    Args:
        kwargs: as for every tokenizer; the model's longest input is 2048 characters.

    Example:
        >>> CanineTokenizer()("né")["input_ids"]
        [57344, 110, 233, 57345]
    """

    vocab_files_names = {}
    model_input_names = ["input_ids", "attention_mask", "token_type_ids"]
    default_tokens = {
        "bos_token": chr(_CLS),
        "eos_token": chr(_SEP),
        "sep_token": chr(_SEP),
        "cls_token": chr(_CLS),
        "pad_token": chr(_PAD),
        "mask_token": AddedToken(chr(_MASK), lstrip=True, special=True),
    }

    def __init__(self, model_max_length: int | None = 2048, **kwargs: Any) -> None:
        super().__init__(model_max_length=model_max_length, **kwargs)

    def _build(self, *args: Any, **settings: Any) -> Any:
        core = super()._build(*args, **settings)
        for role in self.default_tokens:
            token = settings[role]
            if token is not None and len(str(token)) == 1:
                made = token if isinstance(token, AddedToken) else AddedToken(str(token), special=True)
                core.place(made, ord(str(token)))
        return core

    @property
    def vocab_size(self) -> int:
        """All code points."""
        return 0x110000

    def get_vocab(self) -> dict[str, int]:
        """Return character → code point, for every one of them."""
        core = self.__dict__.get("_tokenizer")
        return {**{chr(id): id for id in range(self.vocab_size)}, **(core._ids if core is not None else {})}

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int | None:
        return ord(token) if len(token) == 1 else None

    def _convert_id_to_token(self, index: int) -> str | None:
        return _SHOWN.get(index) or (chr(index) if 0 <= index < self.vocab_size else None)

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text of characters."""
        return "".join(tokens)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the ids of a text, or of a pair: ``[CLS] A [SEP]``, ``[CLS] A [SEP] B [SEP]``."""
        second = [] if token_ids_1 is None else [*token_ids_1, self.sep_token_id]
        return [self.cls_token_id, *token_ids_0, self.sep_token_id, *second]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return 0 for the first text and 1 for the second."""
        second = [] if token_ids_1 is None else [1] * (len(token_ids_1) + 1)
        return [0] * (len(token_ids_0) + 2) + second
