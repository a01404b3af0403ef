"""PreTrainedTokenizer: tokenizers written in Python, by this package and by its users."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from enfold.tokenizers import AddedToken
from enfold.transformers.tokenization.base import PreTrainedTokenizerBase
from enfold.transformers.tokenization.batch import BatchEncoding
from enfold.transformers.tokenization.calls import Asked, shape_inputs

__all__ = ["PreTrainedTokenizer", "PythonBackend"]


class PythonCore:
    """What stands in for a core tokenizer: the vocabulary of the owner, its added tokens, and texts cut at these.

    Args:
        owner: the tokenizer; its ``get_vocab``, ``_convert_token_to_id`` and ``_convert_id_to_token`` are asked.
    """

    decoder = None
    post_processor = None

    def __init__(self, owner: PreTrainedTokenizer) -> None:
        self._owner = owner
        self._added: dict[int, AddedToken] = {}
        self._ids: dict[str, int] = {}
        self._pattern: re.Pattern[str] | None = None

    def no_truncation(self) -> None:
        """Nothing to do: truncation is settled for each call."""

    no_padding = no_truncation

    def get_added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Return id → added token."""
        return dict(self._added)

    def get_vocab(self, with_added_tokens: bool = True) -> dict[str, int]:
        """Return token → id."""
        vocab = dict(self._owner.get_vocab())
        return {**vocab, **self._ids} if with_added_tokens else vocab

    def get_vocab_size(self, with_added_tokens: bool = True) -> int:
        """Return how many tokens there are."""
        return len(self.get_vocab()) if with_added_tokens else self._owner.vocab_size

    def place(self, token: AddedToken, id: int) -> None:
        """Add a token under an id."""
        self._added[id] = token
        self._ids[token.content] = id
        self._pattern = None

    def remove(self, id: int) -> None:
        """Forget an added token."""
        self._ids.pop(self._added.pop(id).content, None)
        self._pattern = None

    def add_tokens(self, tokens: Sequence[str | AddedToken], special: bool = False) -> int:
        """Add tokens and return how many were new."""
        vocab = self.get_vocab()
        count = 0
        for given in tokens:
            token = AddedToken(given, special=special) if isinstance(given, str) else given
            if special:
                token.special = True
            if not token.content or token.content in self._ids:
                continue
            id = vocab.get(token.content)
            if id is None:
                id = len(vocab)
                while id in self._added:
                    id += 1
                vocab[token.content] = id
                count += 1
            self.place(token, id)
        return count

    def add_special_tokens(self, tokens: Sequence[str | AddedToken]) -> int:
        """Add tokens as special and return how many were new."""
        return self.add_tokens(tokens, special=True)

    def token_to_id(self, token: str) -> int | None:
        """Return the id of a token, or None."""
        found = self._ids.get(token)
        return self._owner._convert_token_to_id(token) if found is None else found

    def id_to_token(self, id: int) -> str | None:
        """Return the token of an id, or None."""
        found = self._added.get(id)
        return self._owner._convert_id_to_token(id) if found is None else found.content

    def split(self, text: str) -> list[tuple[str, bool]]:
        """Return the parts of a text and whether each is an added token: the longest at the leftmost place wins."""
        if self._pattern is None:
            longest = sorted(self._ids, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest)) or r"(?!)")
        parts: list[tuple[str, bool]] = []
        at = 0
        for match in self._pattern.finditer(text):
            token = self._added[self._ids[match.group()]]
            begin, end = match.span()
            if token.single_word and (text[begin - 1 : begin].strip() or text[end : end + 1].strip()):
                continue
            before, after = text[at:begin], text[end:]
            parts += [(before.rstrip() if token.lstrip else before, False), (token.content, True)]
            at = end + len(after) - len(after.lstrip()) if token.rstrip else end
        return [part for part in [*parts, (text[at:], False)] if part[0]]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        """Return the text of ids."""
        owner = self._owner
        return owner.convert_tokens_to_string(owner.convert_ids_to_tokens(ids, skip_special_tokens=skip_special_tokens))

    def decode_batch(self, rows: Sequence[Sequence[int]], skip_special_tokens: bool = False) -> list[str]:
        """Return the texts of rows of ids."""
        return [self.decode(row, skip_special_tokens) for row in rows]

    def num_special_tokens_to_add(self, pair: bool) -> int:
        """Return how many special tokens surround a text or a pair."""
        return len(self._owner.build_inputs_with_special_tokens([], [] if pair else None))

    def __fingerprint__(self) -> str:
        import hashlib

        state = [sorted(self.get_vocab().items()), [str(token.__getstate__()) for token in self._added.values()]]
        return hashlib.sha256(repr(state).encode()).hexdigest()[:32]


class _OwnVocabulary:
    """``tokenizer.vocab`` where a class does not set one: all tokens."""

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else owner.get_vocab()


class PreTrainedTokenizer(PreTrainedTokenizerBase):
    """A tokenizer written in Python.

    A subclass has ``vocab_size``, ``get_vocab``, ``_tokenize``, ``_convert_token_to_id``, ``_convert_id_to_token``,
    and, where the defaults do not do, ``convert_tokens_to_string``, ``build_inputs_with_special_tokens``,
    ``prepare_for_tokenization`` and ``save_vocabulary``. It prepares its vocabulary before it calls
    ``super().__init__``. Added tokens, padding, truncation, templates and files are the base's.

    Args:
        kwargs: as for every tokenizer.

    Example:
        >>> class Letters(PreTrainedTokenizer):
        ...     vocab_size = 26
        ...     def get_vocab(self): return {chr(97 + id): id for id in range(26)}
        ...     def _tokenize(self, text): return list(text)
        ...     def _convert_token_to_id(self, token): return self.get_vocab().get(token)
        ...     def _convert_id_to_token(self, id): return chr(97 + id)
        >>> Letters(pad_token="<pad>")(["cab", "a"], padding=True)["input_ids"]
        [[2, 0, 1], [0, 26, 26]]
    """

    needed_files: ClassVar[tuple[str, ...]] = ()
    decoder: Any = None
    vocab: Any = _OwnVocabulary()

    def _build(self, *args: Any, **settings: Any) -> Any:
        return PythonCore(self)

    @property
    def is_fast(self) -> bool:
        """False: it is written in Python, and knows no offsets."""
        return False

    # --- what a subclass has

    @property
    def vocab_size(self) -> int:
        """Tokens of the model's own vocabulary, without added ones."""
        raise NotImplementedError(f"{type(self).__name__} needs vocab_size")

    def get_vocab(self) -> dict[str, int]:
        """Return token → id."""
        raise NotImplementedError(f"{type(self).__name__} needs get_vocab")

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        raise NotImplementedError(f"{type(self).__name__} needs _tokenize")

    def _convert_token_to_id(self, token: str) -> int | None:
        raise NotImplementedError(f"{type(self).__name__} needs _convert_token_to_id")

    def _convert_id_to_token(self, index: int) -> str | None:
        raise NotImplementedError(f"{type(self).__name__} needs _convert_id_to_token")

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text that tokens stand for."""
        return " ".join(tokens)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the ids of a text, or of a pair, with special tokens around; none by default."""
        return [*token_ids_0, *(token_ids_1 or [])]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the token types of ``build_inputs_with_special_tokens``: 0, and 1 from the second text on."""
        first = len(self.build_inputs_with_special_tokens(token_ids_0))
        both = (
            len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1)) if token_ids_1 is not None else first
        )
        return [0] * min(first, both) + [1] * (both - first)

    def prepare_for_tokenization(
        self, text: str, is_split_into_words: bool = False, **kwargs: Any
    ) -> tuple[str, dict[str, Any]]:
        """Return the text as it is to be cut into tokens, and the arguments that are left."""
        return text, kwargs

    # --- calls

    def tokenize(
        self,
        text: str,
        pair: str | None = None,
        add_special_tokens: bool = False,
        split_special_tokens: bool | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Return the tokens of a text; added tokens stay whole."""
        text, kwargs = self.prepare_for_tokenization(text, **kwargs)
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        parts = [(text, False)] if split else self._tokenizer.split(text)
        return [token for part, added in parts for token in ([part] if added else self._tokenize(part))]

    def _encode(self, text: Any, pair: Any, asked: Asked) -> BatchEncoding:
        if asked.offsets:
            raise NotImplementedError(f"{type(self).__name__} is written in Python and knows no offsets")
        first, second, batched = shape_inputs(text, pair, asked.words)

        extra: dict[str, Any] = {"is_split_into_words": True} if asked.words else {}

        def ids(row: Any) -> list[int]:
            parts = [
                self.tokenize(part, split_special_tokens=asked.split_special, **extra)
                for part in (row if asked.words else [row])
            ]
            return self.convert_tokens_to_ids([token for part in parts for token in part])

        rows = []
        for place, row in enumerate(first):
            rows.append(
                self.prepare_for_model(
                    ids(row),
                    None if second is None else ids(second[place]),
                    add_special_tokens=asked.add_special_tokens,
                    truncation=asked.options.truncation if asked.options.truncates else False,
                    max_length=asked.options.max_length,
                    stride=asked.options.stride,
                    return_token_type_ids=asked.types,
                    return_attention_mask=asked.mask,
                    return_overflowing_tokens=asked.overflow,
                    return_special_tokens_mask=asked.special_mask,
                    verbose=False,
                )
            )
        data = {key: [row[key] for row in rows] for key in (rows[0] if rows else ("input_ids",))}
        if asked.overflow and asked.tensors:
            for name in ("overflowing_tokens", "num_truncated_tokens"):
                data.pop(name, None)
        if asked.verbose and not asked.options.truncates:
            self._warn_length(data["input_ids"])
        if asked.options.padding != "do_not_pad" and rows:
            data = dict(
                self.pad(
                    data,
                    padding=asked.options.padding,
                    max_length=asked.options.max_length,
                    pad_to_multiple_of=asked.options.multiple,
                    padding_side=asked.options.padding_side,
                    return_attention_mask=asked.mask,
                )
            )
        if asked.length:
            data["length"] = [len(row) for row in data["input_ids"]]
        if not batched and asked.tensors is None:
            data = {key: value[0] for key, value in data.items()}
        return BatchEncoding(data, tensor_type=asked.tensors)

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write the vocabulary files and return their paths; none by default."""
        return ()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._tokenizer._owner = self


PythonBackend = PreTrainedTokenizer
