"""Tokenizer: the whole pipeline, from text to ids and back."""

from __future__ import annotations

import hashlib
import json
import operator
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from enfold import _native
from enfold.errors import EnfoldError
from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.background import Background
from enfold.tokenizers.component import CustomComponentError
from enfold.tokenizers.encoding import Encoding, TokenColumn
from enfold.tokenizers.lengths import Lengths, padding_spec, shown_padding, shown_truncation, truncation_spec

if TYPE_CHECKING:
    from enfold.tokenizers.models import Model
    from enfold.tokenizers.trainers import Trainer

__all__ = ["Tokenizer", "TokenizerError"]


def as_id(value: int) -> int:
    """An id: any whole number that 32 bits hold, of numpy, too.

    Raises:
        TypeError: it is no whole number.
        OverflowError: it is negative, or 2^32 and more.
    """
    number = operator.index(value)
    if not 0 <= number < 1 << 32:
        raise OverflowError(f"an id must be between 0 and 2^32 - 1, not {number}")
    return number


class TokenizerError(EnfoldError, ValueError):
    """A tokenizer.json that cannot be read."""


class Tokenizer(Lengths, Background):
    """A pipeline of normalizer, pre-tokenizer, model, post-processor and decoder.

    Args:
        model: the model; everything else is set through the attributes.

    Example:
        >>> from enfold.tokenizers.models import WordLevel
        >>> from enfold.tokenizers.pre_tokenizers import Whitespace
        >>> tokenizer = Tokenizer(WordLevel({"hello": 0, "world": 1, "?": 2}, unk_token="?"))
        >>> tokenizer.pre_tokenizer = Whitespace()
        >>> tokenizer.encode("hello there world").ids
        [0, 2, 1]
    """

    def __init__(self, model: Model) -> None:
        self._start()
        self.model = model

    # Reading and writing

    @staticmethod
    def from_str(json: str) -> Tokenizer:
        """Make a tokenizer from the text of a tokenizer.json.

        Raises:
            TokenizerError: the text is not one, or names something unknown.
        """
        return Tokenizer.from_buffer(json.encode())

    @staticmethod
    def from_buffer(buffer: bytes) -> Tokenizer:
        """Make a tokenizer from the bytes of a tokenizer.json."""
        if isinstance(buffer, str):
            raise TypeError("from_buffer takes bytes, not str; see from_str")
        made = Tokenizer.__new__(Tokenizer)
        made._start()
        made._load(bytes(buffer))
        return made

    def _load(self, buffer: bytes) -> None:
        try:
            self._take_specs(self._core.load(buffer))
        except (ValueError, RuntimeError) as error:
            raise TokenizerError(f"cannot read this tokenizer.json: {error}") from None

    @staticmethod
    def from_file(path: str | os.PathLike[str]) -> Tokenizer:
        """Make a tokenizer from a tokenizer.json.

        Raises:
            FileNotFoundError: there is no such file.
            TokenizerError: it cannot be read.
        """
        with open(path, "rb") as file:
            return Tokenizer.from_buffer(file.read())

    @staticmethod
    def from_pretrained(identifier: str, revision: str = "main", token: str | None = None) -> Tokenizer:
        """Make a tokenizer from a repository of the Hub, or a local folder, that has a tokenizer.json.

        Args:
            identifier: the repository's id, or a folder.
            revision: a branch, tag or commit.
            token: who asks, for private repositories.
        """
        from enfold.hub.fetch import find_file

        path = find_file(identifier, "tokenizer.json", revision=revision, token=token)
        return Tokenizer.from_file(str(path))

    def to_str(self, pretty: bool = False) -> str:
        """Return the text of the tokenizer.json.

        Args:
            pretty: one item a line, indented by two blanks.

        Raises:
            CustomComponentError: a component is written in Python.
        """
        head = {
            "version": "1.0",
            "truncation": truncation_spec(self.truncation),
            "padding": padding_spec(self.padding),
            "added_tokens": [
                {
                    "id": id,
                    "content": token.content,
                    "single_word": token.single_word,
                    "lstrip": token.lstrip,
                    "rstrip": token.rstrip,
                    "normalized": token.normalized,
                    "special": token.special,
                }
                for id, token in self.get_added_tokens_decoder().items()
            ],
        }
        text = json.dumps(head, ensure_ascii=False, separators=(",", ":"))[:-1]
        for name, spec in self._component_specs():
            text += f',"{name}":{spec}'
        core = self._core.model
        text += f',"model":{"null" if core is None else core.to_json()}}}'
        return _native.indent_json(text) if pretty else text

    def save(self, path: str | os.PathLike[str], pretty: bool = True) -> None:
        """Write the tokenizer.json.

        Args:
            path: the file; it is written under another name first.
            pretty: one item a line.
        """
        path = os.fspath(path)
        with open(path + ".tmp", "w", encoding="utf-8", newline="") as file:
            file.write(self.to_str(pretty))
        os.replace(path + ".tmp", path)

    def __getstate__(self) -> bytes:
        try:
            return self.to_str().encode()
        except CustomComponentError as error:
            raise CustomComponentError(f"Error while attempting to pickle Tokenizer: {error}") from None

    def __setstate__(self, state: bytes) -> None:
        self._start()
        self._load(state)

    def __copy__(self) -> Tokenizer:
        made = Tokenizer.__new__(Tokenizer)
        made._start_as(self)
        return made

    def __deepcopy__(self, _memo: dict[int, Any]) -> Tokenizer:
        # The core's parts are never changed in place, only replaced: both may have them.
        return self.__copy__()

    def __getnewargs__(self) -> tuple[()]:
        return ()

    def __fingerprint__(self) -> str:
        """A hash of everything that encoding depends on."""
        extra = str(self.encode_special_tokens)
        return hashlib.sha256((self.to_str() + extra).encode()).hexdigest()[:32]

    def __repr__(self) -> str:
        added = ", ".join(
            f'{{"id":{id}, "content":{json.dumps(token.content, ensure_ascii=False)}, "single_word":'
            f'{token.single_word}, "lstrip":{token.lstrip}, "rstrip":{token.rstrip}, "normalized":'
            f'{token.normalized}, "special":{token.special}}}'
            for id, token in list(self.get_added_tokens_decoder().items())[:5]
        )
        added += ", ..." if len(self._core.added()) > 5 else ""
        return (
            f'Tokenizer(version="1.0", truncation={shown_truncation(self.truncation)}, '
            f"padding={shown_padding(self.padding)}, added_tokens=[{added}], "
            f"normalizer={self.normalizer}, pre_tokenizer={self.pre_tokenizer}, post_processor={self.post_processor}, "
            f"decoder={self.decoder}, model={self.model})"
        )

    # The vocabulary

    def get_vocab(self, with_added_tokens: bool = True) -> dict[str, int]:
        """Return all tokens and their ids.

        Args:
            with_added_tokens: those that were added, too.
        """
        core = self._core.model
        vocab = {} if core is None else core.get_vocab()
        if with_added_tokens:
            vocab.update({token.content: id for id, token in self.get_added_tokens_decoder().items()})
        return vocab

    def get_vocab_size(self, with_added_tokens: bool = True) -> int:
        """How many tokens there are."""
        return self._core.vocab_size(with_added_tokens)

    def get_added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The added tokens by id."""
        return {id: AddedToken(*token) for id, token in self._core.added().items()}

    def add_tokens(self, tokens: Sequence[str | AddedToken]) -> int:
        """Add tokens that are found in the text before the model sees it.

        Args:
            tokens: texts, or AddedTokens.

        Returns:
            How many were new.
        """
        return self._add(tokens, special=False)

    def add_special_tokens(self, tokens: Sequence[str | AddedToken]) -> int:
        """Add tokens that ``decode(skip_special_tokens=True)`` leaves out; arguments as for add_tokens."""
        return self._add(tokens, special=True)

    def _add(self, tokens: Sequence[str | AddedToken], special: bool) -> int:
        if isinstance(tokens, str):
            raise TypeError("tokens must be a list of str or AddedToken, not one str")
        made = []
        for token in tokens:
            if isinstance(token, str):
                token = AddedToken(token, special=special)
            elif not isinstance(token, AddedToken):
                raise TypeError("Input must be a List[Union[str, AddedToken]]")
            elif special:
                token.special = True
            made.append(token._tuple())
        self._sync()
        return self._core.add_tokens(made)

    def token_to_id(self, token: str) -> int | None:
        """The id of a token, or None."""
        return self._core.token_to_id(token)

    def id_to_token(self, id: int) -> str | None:
        """The token of an id, or None."""
        return self._core.id_to_token(as_id(id))

    def num_special_tokens_to_add(self, is_pair: bool) -> int:
        """How many tokens are put around a single sequence, or a pair."""
        return self._sync().num_special_tokens(is_pair)

    # Encoding

    def encode(
        self,
        sequence: Any,
        pair: Any = None,
        is_pretokenized: bool = False,
        add_special_tokens: bool = True,
    ) -> Encoding:
        """Encode one sequence, or a pair.

        Args:
            sequence: a text; with is_pretokenized a list of words.
            pair: a second sequence, of the same kind.
            is_pretokenized: the sequences are cut into words already.
            add_special_tokens: put the model's special tokens around.

        Raises:
            TypeError: the input is not of these kinds.
        """
        return self._sync().encode(sequence, pair, is_pretokenized, add_special_tokens)

    def encode_batch(
        self, input: Iterable[Any], is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> list[Encoding]:
        """Encode many inputs, on all threads.

        Args:
            input: sequences, or pairs of them in tuples.
            is_pretokenized: the sequences are cut into words already.
            add_special_tokens: put the model's special tokens around.
        """
        if isinstance(input, str):
            raise TypeError("encode_batch takes a list of inputs, not one str; see encode")
        return self._sync().encode_batch(input, is_pretokenized, add_special_tokens)

    def encode_batch_fast(
        self, input: Iterable[Any], is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> list[Encoding]:
        """As encode_batch; offsets need not be right there, here they are."""
        return self.encode_batch(input, is_pretokenized, add_special_tokens)

    def encode_arrow(
        self,
        column: Any,
        pair: Any = None,
        *,
        add_special_tokens: bool = True,
        max_length: int | None = None,
        fields: Sequence[str] = ("input_ids", "token_type_ids", "attention_mask"),
    ) -> dict[str, TokenColumn]:
        """Encode a column of texts into flat buffers, without a Python object per token.

        Args:
            column: a list of texts, or any object with ``__arrow_c_array__`` or ``__arrow_c_stream__`` of strings.
            pair: a second column of the same length.
            add_special_tokens: put the model's special tokens around.
            max_length: cut rows to this many tokens, the longer sequence first; None cuts nothing. The settings of
                enable_truncation and enable_padding are not looked at.
            fields: of input_ids, token_type_ids, attention_mask, special_tokens_mask.

        Returns:
            Field → TokenColumn, one row a text.

        Raises:
            ValueError: a row is null, the columns differ in length, or a field is unknown.
            TypeError: a row is not a string.

        Example:
            >>> from enfold.tokenizers.models import WordLevel
            >>> Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="b")).encode_arrow(["a", "?"])["input_ids"].tolist()
            [[0], [1]]
        """
        return self._sync().encode_arrow(column, pair, add_special_tokens, max_length, list(fields))

    def count_tokens(self, column: Any, *, add_special_tokens: bool = True) -> memoryview:
        """Count the tokens of a column of texts without keeping their ids.

        Args:
            column: as in encode_arrow.
            add_special_tokens: count the model's special tokens too.

        Returns:
            A memoryview of int32, one number a text.

        Raises:
            ValueError: a row is null.
            TypeError: a row is not a string.

        Example:
            >>> from enfold.tokenizers.models import WordLevel
            >>> list(Tokenizer(WordLevel({"a": 0}, unk_token="a")).count_tokens(["a", ""]))
            [1, 0]
        """
        return self._sync().count_tokens(column, add_special_tokens).values

    def post_process(
        self, encoding: Encoding, pair: Encoding | None = None, add_special_tokens: bool = True
    ) -> Encoding:
        """Truncate, put special tokens around, and pad."""
        return self._sync().post_process(encoding, pair, add_special_tokens)

    # Decoding

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of ids.

        Args:
            ids: the ids, as a sequence of ints or an array of integers (NumPy, torch, memoryview) of one dimension;
                unknown ones are passed over.
            skip_special_tokens: leave special tokens out.

        Raises:
            OverflowError: an id is negative, or 2^32 or more.
            TypeError: something else than integers.
        """
        return self._sync().decode(ids, skip_special_tokens)

    def decode_batch(self, sequences: Sequence[Sequence[int]], skip_special_tokens: bool = True) -> list[str]:
        """As decode, for many sequences on all threads.

        Args:
            sequences: a list of what decode takes, a TokenColumn, any Arrow column of lists of integers, or an array of
                two dimensions; of the last three no Python number is made.
            skip_special_tokens: leave special tokens out.
        """
        return self._sync().decode_batch(sequences, skip_special_tokens)

    # Training

    def train(self, files: Iterable[str | os.PathLike[str]], trainer: Trainer | None = None) -> None:
        """Learn a new vocabulary for the model from text files.

        Args:
            files: paths of UTF-8 files; each line, with its line break, is a text.
            trainer: a trainer for this kind of model; None for the model's own, with its defaults.

        Raises:
            FileNotFoundError: there is no such file.
            TrainingError: a file is not UTF-8, or the trainer is for another kind of model. The tokenizer is then as it
                was, as it is after Ctrl-C.
        """
        from enfold.tokenizers.training import feed_files, finish

        trainer = self._trainer(trainer)
        counter = self._sync().word_counter()
        feed_files(counter, files, quiet=not trainer._values["show_progress"])
        finish(self, trainer, counter)

    def train_from_iterator(self, iterator: Any, trainer: Trainer | None = None, length: int | None = None) -> None:
        """Learn a new vocabulary for the model from texts.

        Args:
            iterator: gives texts, lists of texts, or Arrow columns of texts; or is such a column itself.
            trainer: a trainer for this kind of model; None for the model's own, with its defaults.
            length: how many items there are, for the progress bar.

        Raises:
            TypeError: an item is something else.
            TrainingError: the trainer is for another kind of model.

        Example:
            >>> from enfold.tokenizers.models import WordLevel
            >>> from enfold.tokenizers.pre_tokenizers import Whitespace
            >>> from enfold.tokenizers.trainers import WordLevelTrainer
            >>> tokenizer = Tokenizer(WordLevel(unk_token="?"))
            >>> tokenizer.pre_tokenizer = Whitespace()
            >>> tokenizer.train_from_iterator(["b a b"], WordLevelTrainer(special_tokens=["?"], show_progress=False))
            >>> tokenizer.get_vocab()
            {'?': 0, 'b': 1, 'a': 2}
        """
        from enfold.tokenizers.training import feed_iterator, finish

        trainer = self._trainer(trainer)
        counter = self._sync().word_counter()
        feed_iterator(counter, iterator, length, quiet=not trainer._values["show_progress"])
        finish(self, trainer, counter)

    def _trainer(self, trainer: Trainer | None) -> Trainer:
        from enfold.tokenizers.trainers import Trainer
        from enfold.tokenizers.training import TrainingError

        if trainer is None:
            return self.model.get_trainer()
        if not isinstance(trainer, Trainer):
            raise TypeError(f"trainer must be a Trainer or None, not {type(trainer).__name__}")
        if trainer._model != self.model._type:
            raise TrainingError(
                f"{type(trainer).__name__} can only train a {trainer._model}, and this tokenizer's model is a "
                f"{self.model._type}: use {type(self.model.get_trainer()).__name__}"
            )
        return trainer
