"""Trainers: what a model's vocabulary is learned with."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from enfold import _native
from enfold.progress import Progress
from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.models import Model

__all__ = ["BpeTrainer", "Trainer", "UnigramTrainer", "WordLevelTrainer", "WordPieceTrainer"]

# How progress is shown, and the name of that in files.
_FORMATS = {"indicatif": "Indicatif", "json": "JsonLines", "silent": "Silent"}


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    number = value.__index__()
    if number < 0:
        raise OverflowError(f"{name} must not be negative, and is {number}")
    return number


def _whole_or_none(name: str, value: Any) -> int | None:
    return None if value is None else _whole(name, value)


def _text_or_none(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be str or None, not {type(value).__name__}")
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    return float(value)


def _specials(name: str, value: Any) -> list[AddedToken]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name} must be a list of str or AddedToken, not {type(value).__name__}")
    made = []
    for token in value:
        if isinstance(token, AddedToken):
            content, single_word, lstrip, rstrip, _, _ = token._tuple()
            normalized = token._normalized if token._normalized is not None else False
            made.append(AddedToken(content, single_word, lstrip, rstrip, normalized, special=True))
        elif isinstance(token, str):
            made.append(AddedToken(token, special=True))
        else:
            raise TypeError("special_tokens must be a List[Union[str, AddedToken]]")
    return made


def _alphabet(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list of characters, not one str")
    # Of longer strings the first character counts.
    return list(dict.fromkeys(text[0] for text in value if text))


def _format(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be str, not {type(value).__name__}")
    return value if value in _FORMATS else "indicatif"


def _same(name: str, value: Any) -> Any:
    return value


class _Setting:
    """A setting of a trainer; what is set goes through a check."""

    def __init__(self, check: Callable[[str, Any], Any] = _same) -> None:
        self.check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Trainer | None, owner: type) -> Any:
        return self if instance is None else instance._values[self.name]

    def __set__(self, instance: Trainer, value: Any) -> None:
        instance._values[self.name] = self.check(self.name, value)


class Trainer:
    """The base of all trainers; each trains one kind of model."""

    # The settings in the order in which they are shown, and the names that are settings for files alone.
    _order: ClassVar[tuple[str, ...]] = ()
    _model: ClassVar[str] = ""
    _values: dict[str, Any]
    _words = 0

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Trainer:
            raise TypeError("cannot create 'Trainer' instances")
        return super().__new__(cls)

    def _start(self, values: dict[str, Any], unknown: dict[str, Any]) -> None:
        for name in unknown:
            print(f"Ignored unknown kwargs option {name}", file=sys.stderr)
        self._values = {}
        for name, value in values.items():
            setattr(self, name, value)

    def _spec(self) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name in self._order:
            value = self._values[name]
            if name == "special_tokens":
                value = [
                    dict(
                        zip(
                            ("content", "single_word", "lstrip", "rstrip", "normalized", "special"),
                            token._tuple(),
                            strict=True,
                        )
                    )
                    for token in value
                ]
            elif name == "progress_format":
                value = _FORMATS[value]
            made[name] = value
        return {**made, "words": {}}

    def __getstate__(self) -> bytes:
        return json.dumps({type(self).__name__: self._spec()}, ensure_ascii=False, separators=(",", ":")).encode()

    def __setstate__(self, state: bytes) -> None:
        spec = json.loads(state)[type(self).__name__]
        spec = spec.get("bpe_trainer", spec)
        self._values = {}
        for name in self._order:
            value = spec[name]
            if name == "special_tokens":
                value = [AddedToken(**token) for token in value]
            elif name == "progress_format":
                value = {shown: style for style, shown in _FORMATS.items()}[value]
            self._values[name] = value

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={_shown(name, value)}" for name, value in self._spec().items())
        return f"{type(self).__name__}({self._inner().format(fields)})"

    def _inner(self) -> str:
        return f"{type(self).__name__}({{}})"

    __str__ = __repr__

    def _train(self, counter: _native.WordCounter, model: Model) -> Any:
        """Return the core of a model with the options of the given one and a vocabulary for the counted words."""
        raise TypeError(f"{type(self).__name__} trains no model")

    def _report(self) -> _Report:
        return _Report(self._values.get("progress_format", "indicatif"), self._values["show_progress"])

    def _special_texts(self) -> list[str]:
        return [token.content for token in self._values["special_tokens"]]


class _Report:
    """Shows how far training has come: a bar, or a line of JSON on standard error."""

    def __init__(self, style: str, shown: bool) -> None:
        self.json = shown and style == "json"
        self.quiet = not shown or style != "indicatif"
        self.stage = ""
        self.bar: Progress | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self.json:
            print(json.dumps({"stage": stage, "current": done, "total": total}, separators=(",", ":")), file=sys.stderr)
            return
        if self.quiet:
            return
        if self.bar is None or stage != self.stage:
            self.close()
            self.stage, self.bar = stage, Progress(total, stage)
        self.bar.total = total
        self.bar.advance(done - self.bar.done)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def _shown(name: str, value: Any) -> str:
    if name == "special_tokens":
        return (
            "["
            + ", ".join(f"AddedToken({', '.join(f'{k}={_shown(k, v)}' for k, v in t.items())})" for t in value)
            + "]"
        )
    if name == "progress_format":
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(_shown("", item) for item in value) + "]"
    return repr(value)


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
    vocab_size = _Setting(_whole)
    min_frequency = _Setting(_whole)
    show_progress = _Setting()
    progress_format = _Setting(_format)
    special_tokens = _Setting(_specials)
    limit_alphabet = _Setting(_whole_or_none)
    initial_alphabet = _Setting(_alphabet)
    continuing_subword_prefix = _Setting(_text_or_none)
    end_of_word_suffix = _Setting(_text_or_none)
    max_token_length = _Setting(_whole_or_none)

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
    vocab_size = _Setting(_whole)
    min_frequency = _Setting(_whole)
    show_progress = _Setting()
    special_tokens = _Setting(_specials)

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
    vocab_size = _Setting(_whole)
    show_progress = _Setting()
    special_tokens = _Setting(_specials)
    initial_alphabet = _Setting(_alphabet)
    shrinking_factor = _Setting(_number)
    unk_token = _Setting(_text_or_none)
    max_piece_length = _Setting(_whole)
    n_sub_iterations = _Setting(_whole)
    seed_size = _Setting(_whole)

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
