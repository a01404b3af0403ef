"""Models: from one word to tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from enfold import _native
from enfold._native import Token
from enfold.errors import nearest
from enfold.tokenizers.component import _changes
from enfold.tokenizers.spelling import renamed
from enfold.tokenizers.tokenizer import as_id

if TYPE_CHECKING:
    from enfold.tokenizers.trainers import Trainer

__all__ = ["BPE", "Model", "Token", "Unigram", "WordLevel", "WordPiece"]


class _ModelOption:
    """An option of a model. Setting it makes the model anew: its tables depend on it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Model | None, owner: type) -> Any:
        return self if instance is None else json.loads(instance._core.to_json(True))[self.name]

    def __set__(self, instance: Model, value: Any) -> None:
        spec = json.loads(instance._core.to_json())
        spec[self.name] = value
        instance._core = _native.Model.from_json(json.dumps(spec))
        _changes[0] += 1


def _write(path: str, text: str) -> str:
    """Write a file under a temporary name, then rename it."""
    with open(path + ".tmp", "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.replace(path + ".tmp", path)
    return path


def _join(folder: str, prefix: str | None, name: str) -> str:
    return os.path.join(folder, f"{prefix}-{name}" if prefix else name)


class Model:
    """The base of all models; holds the native model that does the work."""

    _type: ClassVar[str] = ""
    _core: _native.Model

    @classmethod
    def _wrap(cls, core: _native.Model) -> Model:
        kind = json.loads(core.to_json(True))["type"]
        made = Model.__new__({sub._type: sub for sub in Model.__subclasses__()}[kind])
        made._core = core
        return made

    def _make(self, **spec: Any) -> None:
        self._core = _native.Model.from_json(json.dumps({"type": self._type, **spec}))

    def token_to_id(self, token: str) -> int | None:
        """The id of a token, or None."""
        return self._core.token_to_id(token)

    def id_to_token(self, id: int) -> str | None:
        """The token of an id, or None."""
        return self._core.id_to_token(as_id(id))

    def tokenize(self, sequence: str) -> list[Token]:
        """Return the tokens of one word.

        Raises:
            RuntimeError: the word needs an unknown-token that the vocabulary lacks.
        """
        return [Token(*token) for token in self._core.tokenize(sequence)]

    @renamed(name="prefix")
    def save(self, folder: str, prefix: str | None = None) -> list[str]:
        """Write the model's own files into an existing folder.

        Args:
            folder: the folder.
            prefix: put before the files' names, with a hyphen; ``name`` is its older name.

        Returns:
            The paths of the files.
        """
        raise TypeError(f"{type(self).__name__} cannot be saved")

    def get_trainer(self) -> Trainer:
        """Return a trainer for this kind of model, with its defaults."""
        from enfold.tokenizers import trainers

        return getattr(trainers, f"{self._type}Trainer" if self._type != "BPE" else "BpeTrainer")()

    def _vocab(self) -> dict[str, int]:
        return self._core.get_vocab()

    def __getstate__(self) -> bytes:
        return self._core.to_json().encode()

    def __setstate__(self, state: bytes) -> None:
        self._core = _native.Model.from_json(state.decode())

    def __repr__(self) -> str:
        spec = json.loads(self._core.to_json())
        return f"{spec.pop('type')}({', '.join(f'{key}={_shown(value)}' for key, value in spec.items())})"

    __str__ = __repr__


class _Cached:
    """What a model has whose words the tokenizers remember that use it."""

    _core: _native.Model

    def _clear_cache(self) -> None:
        """Forget all words. Threads that are encoding forget theirs when they are done."""
        self._core.clear_cache()

    def _resize_cache(self, capacity: int) -> None:
        """Remember at most so many words a thread, 0 for none; what was remembered is forgotten."""
        self._core.resize_cache(capacity)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        shown = ", ".join(f"{_shown(key)}:{item}" for key, item in list(value.items())[:5])
        return f"{{{shown}, ...}}" if len(value) > 5 else f"{{{shown}}}"
    if isinstance(value, list):
        pairs = ", ".join("(" + ", ".join(map(_shown, pair)) + ")" for pair in value[:5])
        return f"[{pairs}, ...]" if len(value) > 5 else f"[{pairs}]"
    return repr(value)


def _options(model: type, given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    unknown = given.keys() - defaults.keys()
    if unknown:
        name = sorted(unknown)[0]
        raise TypeError(f"{model.__name__} has no option {name!r}{nearest(name, defaults)}")
    return {**defaults, **given}


def _vocab_json(path: str) -> dict[str, int]:
    with open(path, encoding="utf-8") as file:
        vocab = json.load(file)
    if not isinstance(vocab, dict):
        raise ValueError(f"{path} does not hold a vocabulary: expected an object of tokens and ids")
    return vocab


class BPE(_Cached, Model):
    """Byte-pair encoding (Sennrich et al. 2016).

    Args:
        vocab: token → id, or the path of a vocab.json.
        merges: pairs of tokens in the order of their rank, or the path of a merges.txt.
        dropout: the probability, 0 to 1, of leaving a merge out; None for never.
        unk_token: what stands for unknown characters; None drops them.
        continuing_subword_prefix: put before every character of a word but the first.
        end_of_word_suffix: put behind the last character of a word.
        fuse_unk: one unknown-token for a run of unknown characters.
        byte_fallback: write unknown characters as ``<0xNN>`` tokens.
        ignore_merges: take words that are in the vocabulary as they are.
        cache_capacity: how many words a thread remembers at most, 0 for none; None for half a million.

    Raises:
        ValueError: a merge names a token that is not in the vocabulary.

    Example:
        >>> [t.value for t in BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]).tokenize("abb")]
        ['ab', 'b']
    """

    _type = "BPE"
    dropout = _ModelOption()
    unk_token = _ModelOption()
    continuing_subword_prefix = _ModelOption()
    end_of_word_suffix = _ModelOption()
    fuse_unk = _ModelOption()
    byte_fallback = _ModelOption()
    ignore_merges = _ModelOption()

    def __init__(
        self,
        vocab: Mapping[str, int] | str | None = None,
        merges: Iterable[tuple[str, str]] | str | None = None,
        **kwargs: Any,
    ) -> None:
        if (vocab is None) != (merges is None):
            raise ValueError("`vocab` and `merges` must be both specified")
        options = _options(
            BPE,
            kwargs,
            {
                "cache_capacity": None,
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
            },
        )
        capacity = options.pop("cache_capacity")
        if options["dropout"] is not None and not 0.0 <= options["dropout"] <= 1.0:
            raise ValueError("The `dropout` must be between 0 and 1, inclusive")
        if isinstance(vocab, str) and isinstance(merges, str):
            vocab, merges = self.read_file(vocab, merges)
        if isinstance(vocab, str) or isinstance(merges, str):
            raise TypeError("`vocab` and `merges` must be both from memory or both filenames")
        self._make(**options, vocab=dict(vocab or {}), merges=[list(pair) for pair in merges or []])
        if capacity is not None:
            self._resize_cache(capacity)

    @staticmethod
    def read_file(vocab: str, merges: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
        """Read a vocab.json and a merges.txt.

        Returns:
            What BPE(vocab, merges) takes.
        """
        pairs = []
        with open(merges, encoding="utf-8") as file:
            for number, line in enumerate(file.read().split("\n"), 1):
                if not line or line.startswith("#version"):
                    continue
                pair = line.rstrip("\r").split(" ")
                if len(pair) != 2:
                    raise ValueError(f"{merges}, line {number}: expected two tokens with a blank between them")
                pairs.append((pair[0], pair[1]))
        return _vocab_json(vocab), pairs

    @classmethod
    def from_file(cls, vocab: str, merges: str, **kwargs: Any) -> BPE:
        """Make a model from a vocab.json and a merges.txt; options as for BPE."""
        return cls(*cls.read_file(vocab, merges), **kwargs)

    @renamed(name="prefix")
    def save(self, folder: str, prefix: str | None = None) -> list[str]:
        """Write vocab.json and merges.txt."""
        vocab = json.dumps(self._vocab(), ensure_ascii=False, separators=(",", ":"))
        merges = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in self._core.merges())
        return [_write(_join(folder, prefix, "vocab.json"), vocab), _write(_join(folder, prefix, "merges.txt"), merges)]


class WordPiece(Model):
    """Greedy longest match first, as in BERT.

    Args:
        vocab: token → id, or the path of a vocab.txt.
        unk_token: what stands for a word that cannot be put together.
        continuing_subword_prefix: put before every part of a word but the first.
        max_input_chars_per_word: words longer than this are unknown.

    Example:
        >>> [t.value for t in WordPiece({"[UNK]": 0, "hel": 1, "##lo": 2}).tokenize("hello")]
        ['hel', '##lo']
    """

    _type = "WordPiece"
    unk_token = _ModelOption()
    continuing_subword_prefix = _ModelOption()
    max_input_chars_per_word = _ModelOption()

    def __init__(self, vocab: Mapping[str, int] | str | None = None, **kwargs: Any) -> None:
        defaults = {"unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
        options = _options(WordPiece, kwargs, defaults)
        if isinstance(vocab, str):
            vocab = self.read_file(vocab)
        self._make(**options, vocab=dict(vocab or {}))

    @staticmethod
    def read_file(vocab: str) -> dict[str, int]:
        """Read a vocab.txt: one token a line, its id the line's number."""
        with open(vocab, encoding="utf-8", newline="") as file:
            lines = file.read().split("\n")
        if lines and not lines[-1]:
            lines.pop()
        return {line.rstrip(): number for number, line in enumerate(lines)}

    @classmethod
    def from_file(cls, vocab: str, **kwargs: Any) -> WordPiece:
        """Make a model from a vocab.txt; options as for WordPiece."""
        return cls(cls.read_file(vocab), **kwargs)

    @renamed(name="prefix")
    def save(self, folder: str, prefix: str | None = None) -> list[str]:
        """Write vocab.txt."""
        text = "".join(f"{token}\n" for token in self._vocab())
        return [_write(_join(folder, prefix, "vocab.txt"), text)]


class WordLevel(Model):
    """One token a word.

    Args:
        vocab: token → id, or the path of a vocab.json.
        unk_token: what stands for words that are not in it.
    """

    _type = "WordLevel"
    unk_token = _ModelOption()

    def __init__(self, vocab: Mapping[str, int] | str | None = None, unk_token: str | None = None) -> None:
        if isinstance(vocab, str):
            vocab = self.read_file(vocab)
        self._make(vocab=dict(vocab or {}), unk_token="<unk>" if unk_token is None else unk_token)

    @staticmethod
    def read_file(vocab: str) -> dict[str, int]:
        """Read a vocab.json."""
        return _vocab_json(vocab)

    @classmethod
    def from_file(cls, vocab: str, unk_token: str | None = None) -> WordLevel:
        """Make a model from a vocab.json."""
        return cls(cls.read_file(vocab), unk_token)

    @renamed(name="prefix")
    def save(self, folder: str, prefix: str | None = None) -> list[str]:
        """Write vocab.json."""
        vocab = json.dumps(self._vocab(), ensure_ascii=False, separators=(",", ":"))
        return [_write(_join(folder, prefix, "vocab.json"), vocab)]


class Unigram(_Cached, Model):
    """Of all ways to cut a word into pieces, the one with the highest sum of scores (Kudo 2018, arXiv:1804.10959).

    Args:
        vocab: (piece, score) pairs in the order of their ids; scores are log probabilities. None: ``<unk>`` alone.
        unk_id: the id of the unknown piece; None: unknown characters are an error.
        byte_fallback: write unknown characters as ``<0xNN>`` pieces.
        alpha: above 0, ways are drawn at random instead of taking the best: the lower, the more evenly. Of the
            ``nbest_size`` best each has the weight exp(alpha × score).
        nbest_size: draw from this many best ways only; None: from all.

    Raises:
        ValueError: unk_id is not the index of a piece.

    Example:
        >>> model = Unigram([("<unk>", 0.0), ("a", -2.0), ("b", -2.0), ("ab", -3.0)], unk_id=0)
        >>> [t.value for t in model.tokenize("abb")]
        ['ab', 'b']
    """

    _type = "Unigram"

    def __init__(
        self,
        vocab: Sequence[tuple[str, float]] | None = None,
        unk_id: int | None = None,
        byte_fallback: bool | None = None,
        alpha: float | None = None,
        nbest_size: int | None = None,
    ) -> None:
        if vocab is None:
            if unk_id is not None:
                raise ValueError("`vocab` and `unk_id` must be both specified")
            vocab, unk_id = [("<unk>", 0.0)], 0
        pieces = [(piece, float(score)) for piece, score in vocab]
        core = _native.Model.unigram(pieces, unk_id, bool(byte_fallback))
        self._core = core if alpha is None and nbest_size is None else core.with_sampling(alpha, nbest_size)

    @property
    def unk_id(self) -> int | None:
        """The id of the unknown piece."""
        return json.loads(self._core.to_json(True))["unk_id"]

    @property
    def byte_fallback(self) -> bool:
        """Whether unknown characters become ``<0xNN>`` pieces."""
        return json.loads(self._core.to_json(True))["byte_fallback"]

    @property
    def alpha(self) -> float | None:
        """The weight of scores when ways are drawn at random; None or 0 for the best way."""
        return self._core.sampling()[0]

    @alpha.setter
    def alpha(self, alpha: float | None) -> None:
        self._core = self._core.with_sampling(alpha, self.nbest_size)
        _changes[0] += 1

    @property
    def nbest_size(self) -> int | None:
        """How many of the best ways are drawn from; None for all ways."""
        return self._core.sampling()[1]

    @nbest_size.setter
    def nbest_size(self, nbest_size: int | None) -> None:
        self._core = self._core.with_sampling(self.alpha, nbest_size)
        _changes[0] += 1

    @renamed(name="prefix")
    def save(self, folder: str, prefix: str | None = None) -> list[str]:
        """Write unigram.json."""
        text = json.dumps(json.loads(self._core.to_json()), ensure_ascii=False, indent=2)
        return [_write(_join(folder, prefix, "unigram.json"), text)]

    def __repr__(self) -> str:
        pieces = self._core.pieces()
        shown = [f'("{piece}", {_decimal(score)})' for piece, score in pieces[:99]] + ["..."] * (len(pieces) > 99)
        return f"Unigram(unk_id={self.unk_id}, vocab=[{', '.join(shown)}], byte_fallback={self.byte_fallback})"

    __str__ = __repr__


def _decimal(value: float) -> str:
    """A number without an exponent, and without a fraction that is zero."""
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0")
