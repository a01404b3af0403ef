"""Trainers: what a model's vocabulary is learned with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from enfold import _native
from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.models import Model
from enfold.tokenizers.parity import ParityBpeTrainer
from enfold.tokenizers.trainer import (
    Setting,
    Trainer,
    alphabet,
    number,
    specials,
    style,
    text_or_none,
    whole,
    whole_or_none,
)

__all__ = ["BpeTrainer", "ParityBpeTrainer", "Trainer", "UnigramTrainer", "WordLevelTrainer", "WordPieceTrainer"]


class BpeTrainer(Trainer):
    """Learns the merges of a BPE (Sennrich et al. 2016): the most frequent pair of neighbours first.

    Args:
        vocab_size: how many tokens there will be at most, special tokens and alphabet included.
        min_frequency: how often a pair must occur to be merged.
        show_progress: show how far the training has come.
        progress_format: "indicatif" for a bar, "json" for lines of JSON on standard error, "silent".
        special_tokens: texts or AddedTokens that get the first ids.
        limit_alphabet: how many characters to keep at most, the frequent ones; None for all.
        initial_alphabet: characters to have in the alphabet in any case.
        continuing_subword_prefix: put before every character of a word but the first.
        end_of_word_suffix: put behind the last character of a word.
        max_token_length: make no token longer than this, in characters; None for any length.

    Example:
        >>> from enfold.tokenizers import Tokenizer, models
        >>> tokenizer = Tokenizer(models.BPE())
        >>> tokenizer.train_from_iterator(["low lower lowest"], BpeTrainer(vocab_size=12, show_progress=False))
        >>> tokenizer.encode("low").tokens
        ['low']
    """

    _model = "BPE"
    _order = (
        "min_frequency",
        "vocab_size",
        "show_progress",
        "progress_format",
        "special_tokens",
        "limit_alphabet",
        "initial_alphabet",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "max_token_length",
    )
    vocab_size = Setting(whole)
    min_frequency = Setting(whole)
    show_progress = Setting()
    progress_format = Setting(style)
    special_tokens = Setting(specials)
    limit_alphabet = Setting(whole_or_none)
    initial_alphabet = Setting(alphabet)
    continuing_subword_prefix = Setting(text_or_none)
    end_of_word_suffix = Setting(text_or_none)
    max_token_length = Setting(whole_or_none)

    def __init__(
        self,
        *,
        vocab_size: int = 30000,
        min_frequency: int = 0,
        show_progress: bool = True,
        progress_format: str = "indicatif",
        special_tokens: Sequence[str | AddedToken] = (),
        limit_alphabet: int | None = None,
        initial_alphabet: Sequence[str] = (),
        continuing_subword_prefix: str | None = None,
        end_of_word_suffix: str | None = None,
        max_token_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        values = dict(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            show_progress=show_progress,
            progress_format=progress_format,
            special_tokens=special_tokens,
            limit_alphabet=limit_alphabet,
            initial_alphabet=initial_alphabet,
            continuing_subword_prefix=continuing_subword_prefix,
            end_of_word_suffix=end_of_word_suffix,
            max_token_length=max_token_length,
        )
        self._start(values, kwargs)

    def get_word_count(self) -> int:
        """How many distinct words the last training saw."""
        return self._words

    def _train(self, counter: _native.WordCounter, model: Model) -> Any:
        values, report = self._values, self._report()
        made = _native.train_bpe(
            counter,
            model._core,
            report,
            values["vocab_size"],
            values["min_frequency"],
            self._special_texts(),
            values["limit_alphabet"],
            "".join(values["initial_alphabet"]),
            values["continuing_subword_prefix"],
            values["end_of_word_suffix"],
            values["max_token_length"],
        )
        report.close()
        self._words = counter.size()
        return made


class WordPieceTrainer(BpeTrainer):
    """Learns the tokens of a WordPiece: those of a BPE whose later characters have a prefix.

    Args:
        vocab_size: how many tokens there will be at most, special tokens and alphabet included.
        min_frequency: how often a pair must occur to be merged.
        show_progress: show how far the training has come.
        special_tokens: texts or AddedTokens that get the first ids.
        limit_alphabet: how many characters to keep at most, the frequent ones; None for all.
        initial_alphabet: characters to have in the alphabet in any case.
        continuing_subword_prefix: put before every part of a word but the first.
        end_of_word_suffix: put behind the last character of a word.

    Example:
        >>> from enfold.tokenizers import Tokenizer, models
        >>> tokenizer = Tokenizer(models.WordPiece())
        >>> tokenizer.train_from_iterator(["low lower"], WordPieceTrainer(vocab_size=14, show_progress=False))
        >>> tokenizer.get_vocab_size()
        14
    """

    _model = "WordPiece"

    def __init__(
        self,
        *,
        vocab_size: int = 30000,
        min_frequency: int = 0,
        show_progress: bool = True,
        special_tokens: Sequence[str | AddedToken] = (),
        limit_alphabet: int | None = None,
        initial_alphabet: Sequence[str] = (),
        continuing_subword_prefix: str | None = "##",
        end_of_word_suffix: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            show_progress=show_progress,
            special_tokens=special_tokens,
            limit_alphabet=limit_alphabet,
            initial_alphabet=initial_alphabet,
            continuing_subword_prefix=continuing_subword_prefix,
            end_of_word_suffix=end_of_word_suffix,
            **kwargs,
        )

    def _inner(self) -> str:
        return "WordPieceTrainer(bpe_trainer=BpeTrainer({}))"

    def __getstate__(self) -> bytes:
        spec = {"WordPieceTrainer": {"bpe_trainer": self._spec()}}
        return json.dumps(spec, ensure_ascii=False, separators=(",", ":")).encode()


class WordLevelTrainer(Trainer):
    """Takes the most frequent words as the vocabulary of a WordLevel.

    Args:
        vocab_size: how many tokens there will be at most, special tokens included.
        min_frequency: how often a word must occur.
        show_progress: show how far the training has come.
        special_tokens: texts or AddedTokens that get the first ids.
    """

    _model = "WordLevel"
    _order = ("min_frequency", "vocab_size", "show_progress", "special_tokens")
    vocab_size = Setting(whole)
    min_frequency = Setting(whole)
    show_progress = Setting()
    special_tokens = Setting(specials)

    def __init__(
        self,
        *,
        vocab_size: int = 30000,
        min_frequency: int = 0,
        show_progress: bool = True,
        special_tokens: Sequence[str | AddedToken] = (),
        **kwargs: Any,
    ) -> None:
        values = dict(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            show_progress=show_progress,
            special_tokens=special_tokens,
        )
        self._start(values, kwargs)

    def _train(self, counter: _native.WordCounter, model: Model) -> Any:
        self._words = counter.size()
        values = self._values
        return _native.train_word_level(
            counter, model._core, values["vocab_size"], values["min_frequency"], self._special_texts()
        )


class UnigramTrainer(Trainer):
    """Learns the pieces of a Unigram and their scores (Kudo 2018, arXiv:1804.10959).

    Many pieces to begin with are fitted to the words by expectation maximization, and those that matter least are
    dropped, in turns.

    Args:
        vocab_size: how many tokens there will be at most, special tokens and characters included.
        show_progress: show how far the training has come.
        special_tokens: texts or AddedTokens that get the first ids.
        initial_alphabet: characters to have in any case.
        shrinking_factor: what is left of the pieces after each pruning, 0 to 1.
        unk_token: what stands for unknown characters; None for nothing. It gets id 0 unless it is a special token.
        max_piece_length: the longest piece, in characters.
        n_sub_iterations: steps of expectation maximization between two prunings.
        seed_size: how many pieces there are to begin with.

    Example:
        >>> from enfold.tokenizers import Tokenizer, models
        >>> tokenizer = Tokenizer(models.Unigram())
        >>> trainer = UnigramTrainer(vocab_size=10, unk_token="<unk>", show_progress=False)
        >>> tokenizer.train_from_iterator(["abab", "ab"], trainer)
        >>> tokenizer.token_to_id("<unk>")
        0
    """

    _model = "Unigram"
    _order = (
        "show_progress",
        "vocab_size",
        "n_sub_iterations",
        "shrinking_factor",
        "special_tokens",
        "initial_alphabet",
        "unk_token",
        "max_piece_length",
        "seed_size",
    )
    vocab_size = Setting(whole)
    show_progress = Setting()
    special_tokens = Setting(specials)
    initial_alphabet = Setting(alphabet)
    shrinking_factor = Setting(number)
    unk_token = Setting(text_or_none)
    max_piece_length = Setting(whole)
    n_sub_iterations = Setting(whole)
    seed_size = Setting(whole)

    def __init__(
        self,
        *,
        vocab_size: int = 8000,
        show_progress: bool = True,
        special_tokens: Sequence[str | AddedToken] = (),
        initial_alphabet: Sequence[str] = (),
        shrinking_factor: float = 0.75,
        unk_token: str | None = None,
        max_piece_length: int = 16,
        n_sub_iterations: int = 2,
        seed_size: int = 1_000_000,
        **kwargs: Any,
    ) -> None:
        values = dict(
            vocab_size=vocab_size,
            show_progress=show_progress,
            special_tokens=special_tokens,
            initial_alphabet=initial_alphabet,
            shrinking_factor=shrinking_factor,
            unk_token=unk_token,
            max_piece_length=max_piece_length,
            n_sub_iterations=n_sub_iterations,
            seed_size=seed_size,
        )
        self._start(values, kwargs)

    def _train(self, counter: _native.WordCounter, model: Model) -> Any:
        values, report = self._values, self._report()
        self._words = counter.size()
        made = _native.train_unigram(
            counter,
            model._core,
            report,
            values["vocab_size"],
            values["n_sub_iterations"],
            values["shrinking_factor"],
            self._special_texts(),
            "".join(values["initial_alphabet"]),
            values["unk_token"],
            values["max_piece_length"],
            values["seed_size"],
        )
        report.close()
        return made
