"""Tokenizers without a vocabulary to learn: bytes of ByT5 and Perceiver, characters of CANINE and MGP-STR."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, ClassVar

from enfold.tokenizers import AddedToken
from enfold.transformers.tokenization.python import PreTrainedTokenizer
from enfold.transformers.tokenization.vocabularies import read_vocabulary

__all__ = ["ByT5Tokenizer", "CanineTokenizer", "MgpstrTokenizer", "PerceiverTokenizer"]


def _bare(content: str) -> AddedToken:
    return AddedToken(content, lstrip=True, rstrip=True, special=True)


class _Bytes(PreTrainedTokenizer):
    """A token for each byte of UTF-8, after the special tokens of some roles."""

    vocab_files_names = {}
    roles: ClassVar[tuple[str, ...]] = ()  # by id
    errors: ClassVar[str] = "ignore"  # what becomes of bytes that are no UTF-8

    @property
    def offset(self) -> int:
        """The id of byte 0."""
        return len(self.roles)

    def _role(self, content: str) -> AddedToken:
        return AddedToken(content, special=True)

    def _build(self, *args: Any, **settings: Any) -> Any:
        core = super()._build(*args, **settings)
        for id, role in enumerate(self.roles):
            token = settings[role]
            core.place(token if isinstance(token, AddedToken) else self._role(str(token)), id)
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
        """Return the text of bytes."""
        added = self._tokenizer._ids
        parts = [token.encode() if token in added or len(token) > 1 else bytes([ord(token)]) for token in tokens]
        return b"".join(parts).decode("utf-8", errors=self.errors)


class ByT5Tokenizer(_Bytes):
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

    default_tokens = {"eos_token": _bare("</s>"), "unk_token": _bare("<unk>"), "pad_token": _bare("<pad>")}
    roles = ("pad_token", "eos_token", "unk_token")

    def __init__(self, extra_ids: int = 125, **kwargs: Any) -> None:
        given = kwargs.pop("additional_special_tokens", None) or kwargs.pop("extra_special_tokens", None) or []
        sentinels = {str(token) for token in given if "extra_id" in str(token)}
        if not given:
            given = [f"<extra_id_{number}>" for number in range(extra_ids)]
        elif extra_ids and len(sentinels) != extra_ids:
            raise ValueError(f"extra_ids is {extra_ids}, but additional_special_tokens name {len(sentinels)} sentinels")
        super().__init__(extra_ids=extra_ids, additional_special_tokens=given, **kwargs)

    def _role(self, content: str) -> AddedToken:
        return _bare(content)

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


class PerceiverTokenizer(_Bytes):
    """Perceiver's tokenizer: a token for each byte of UTF-8, BERT's special tokens around.

    Args:
        kwargs: as for every tokenizer; the model's longest input is 2048 bytes.

    Example:
        >>> PerceiverTokenizer()("né")["input_ids"]
        [4, 116, 201, 175, 5]
    """

    default_tokens = {
        "pad_token": "[PAD]",
        "bos_token": "[BOS]",
        "eos_token": "[EOS]",
        "mask_token": "[MASK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
    }
    roles = tuple(default_tokens)
    errors = "replace"

    def __init__(self, model_max_length: int | None = 2048, **kwargs: Any) -> None:
        super().__init__(model_max_length=model_max_length, **kwargs)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the ids of a text, or of a pair: ``[CLS] A [SEP]``, ``[CLS] A [SEP] B [SEP]``."""
        second = [] if token_ids_1 is None else [*token_ids_1, self.sep_token_id]
        return [self.cls_token_id, *token_ids_0, self.sep_token_id, *second]


class MgpstrTokenizer(PreTrainedTokenizer):
    """The tokenizer of MGP-STR, which reads words off pictures: a token a character.

    Args:
        vocab_file: vocab.json, character → id.
        kwargs: as for every tokenizer.
    """

    vocab_files_names = {"vocab_file": "vocab.json"}
    needed_files = ("vocab_file",)
    default_tokens = {"unk_token": "[GO]", "bos_token": "[GO]", "eos_token": "[s]", "pad_token": "[GO]"}

    def __init__(self, vocab_file: str, **kwargs: Any) -> None:
        self._ids = read_vocabulary(vocab_file)
        self._characters = {id: character for character, id in self._ids.items()}
        super().__init__(**kwargs)

    @property
    def vocab_size(self) -> int:
        """Tokens of vocab.json."""
        return len(self._ids)

    def get_vocab(self) -> dict[str, int]:
        """Return token → id."""
        return dict(self._ids)

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int | None:
        return self._ids.get(token, self._ids.get(self.unk_token))

    def _convert_id_to_token(self, index: int) -> str | None:
        return self._characters.get(index)

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write vocab.json and return its path."""
        path = os.path.join(save_directory, f"{filename_prefix}-vocab.json" if filename_prefix else "vocab.json")
        with open(path + ".part", "w", encoding="utf-8") as file:
            file.write(json.dumps(self._ids, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        os.replace(path + ".part", path)
        return (path,)


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
