"""Training one BPE for several languages so that each is cut equally well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from enfold import _native
from enfold.errors import nearest
from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.trainer import Report, Setting, alphabet, number, specials, text_or_none, whole, whole_or_none

if TYPE_CHECKING:
    from enfold.tokenizers.tokenizer import Tokenizer

__all__ = ["ParityBpeTrainer"]

_VARIANTS = ("base", "window")


class ParityBpeTrainer:
    """Learns the merges of a BPE for several languages: each time those of the language that is cut worst.

    A plain BPE gives most of its merges to the language with the most text. Here the next pair is the most frequent one
    of the language that needs most tokens: for texts that say the same in every language (``dev_iterators``); else
    compared with its ``ratio``; else for all its own texts.

    Args:
        num_merges: how many merges to learn.
        variant: "base", or "window" for a limit to how many of the last merges one language may get.
        min_frequency: how often a pair must occur in its language to be merged.
        ratio: how well each language is to be compressed, compared with the others; any positive unit.
        global_merges: how many merges to learn first as a plain BPE of all texts would.
        window_size: how many of the last merges the limit of "window" looks at.
        alpha: that limit, in equal shares: of n languages one gets alpha / n of those merges at most.
        total_symbols: num_merges is the size of the vocabulary: special tokens and characters count, too.
        special_tokens: texts or AddedTokens that get the first ids.
        show_progress: show how far the training has come.
        limit_alphabet: how many characters to keep at most, the frequent ones; None for all.
        initial_alphabet: characters to have in the alphabet in any case.
        continuing_subword_prefix: put before every character of a word but the first.
        end_of_word_suffix: put behind the last character of a word.
        max_token_length: make no token longer than this, in characters; None for any length.

    Raises:
        ValueError: no such variant.

    Example:
        >>> from enfold.tokenizers import Tokenizer, models, pre_tokenizers
        >>> tokenizer = Tokenizer(models.BPE())
        >>> tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        >>> trainer = ParityBpeTrainer(num_merges=2, show_progress=False)
        >>> trainer.train_from_iterator(tokenizer, [["low low"], ["neu"]], dev_iterators=[["low"], ["neu neu"]])
        >>> tokenizer.encode("neu").tokens
        ['neu']

    Source: Foroutan et al. 2025, arXiv:2508.04796.
    """

    num_merges = Setting(whole)
    min_frequency = Setting(whole)
    global_merges = Setting(whole)
    window_size = Setting(whole)
    alpha = Setting(number)
    total_symbols = Setting()
    special_tokens = Setting(specials)
    show_progress = Setting()
    limit_alphabet = Setting(whole_or_none)
    initial_alphabet = Setting(alphabet)
    continuing_subword_prefix = Setting(text_or_none)
    end_of_word_suffix = Setting(text_or_none)
    max_token_length = Setting(whole_or_none)

    def __init__(
        self,
        num_merges: int = 32000,
        variant: str = "base",
        min_frequency: int = 0,
        ratio: Sequence[float] | None = None,
        global_merges: int = 0,
        window_size: int = 100,
        alpha: float = 2.0,
        total_symbols: bool = False,
        special_tokens: Sequence[str | AddedToken] | None = None,
        show_progress: bool = True,
        limit_alphabet: int | None = None,
        initial_alphabet: Sequence[str] | None = None,
        continuing_subword_prefix: str | None = None,
        end_of_word_suffix: str | None = None,
        max_token_length: int | None = None,
    ) -> None:
        if variant not in _VARIANTS:
            raise ValueError(f"Unknown variant {variant!r}: use 'base' or 'window'{nearest(variant, _VARIANTS)}")
        self._values: dict[str, Any] = {}
        self._variant = variant
        self._ratio = None if ratio is None else [number("ratio", value) for value in ratio]
        self.num_merges = num_merges
        self.min_frequency = min_frequency
        self.global_merges = global_merges
        self.window_size = window_size
        self.alpha = alpha
        self.total_symbols = total_symbols
        self.special_tokens = list(special_tokens or [])
        self.show_progress = show_progress
        self.limit_alphabet = limit_alphabet
        self.initial_alphabet = initial_alphabet or []
        self.continuing_subword_prefix = continuing_subword_prefix
        self.end_of_word_suffix = end_of_word_suffix
        self.max_token_length = max_token_length

    @property
    def variant(self) -> str:
        """ "base" or "window"."""
        return self._variant

    def train_from_iterator(
        self,
        tokenizer: Tokenizer,
        train_iterators: Sequence[Any],
        dev_iterators: Sequence[Any] | None = None,
        ratio: Sequence[float] | None = None,
    ) -> None:
        """Give the tokenizer's BPE a vocabulary learned from the texts of several languages.

        Args:
            tokenizer: its normalizer and pre-tokenizer cut the texts into words. Nothing of it changes unless all
                went well.
            train_iterators: for each language what ``Tokenizer.train_from_iterator`` takes: texts, lists of texts, or
                Arrow columns of texts.
            dev_iterators: texts that say the same in every language, as above; they outrank any ratio.
            ratio: how well each language is to be compressed, compared with the others; None for the trainer's own.

        Raises:
            ValueError: the languages, dev_iterators and ratio differ in number, or a value makes no sense.
            TypeError: an item is not a text.
        """
        from enfold.tokenizers.training import TrainingError, feed_iterator, install

        if tokenizer.model._type != "BPE":
            raise TrainingError(
                f"ParityBpeTrainer can only train a BPE, and this tokenizer's model is a {tokenizer.model._type}"
            )
        if not train_iterators:
            raise ValueError("train_iterators must not be empty")
        if dev_iterators is not None and len(dev_iterators) != len(train_iterators):
            raise ValueError(
                f"dev_iterators length ({len(dev_iterators)}) must match train_iterators length "
                f"({len(train_iterators)})"
            )
        quiet = not self._values["show_progress"]

        def counted(iterator: Any) -> _native.WordCounter:
            counter = tokenizer._sync().word_counter()
            feed_iterator(counter, iterator, None, quiet)
            return counter

        languages = [counted(iterator) for iterator in train_iterators]
        dev = [counted(iterator) for iterator in dev_iterators or []]
        install(tokenizer, lambda: self._train(languages, dev, tokenizer.model._core, ratio), self.special_tokens)

    def _train(self, languages: list[Any], dev: list[Any], core: Any, ratio: Sequence[float] | None) -> Any:
        values, report = self._values, Report("indicatif", self._values["show_progress"])
        chosen = self._ratio if ratio is None else [number("ratio", value) for value in ratio]
        made = _native.train_parity(
            languages,
            dev,
            core,
            report,
            values["num_merges"],
            values["global_merges"],
            self._variant == "window",
            values["window_size"],
            values["alpha"],
            chosen or [],
            bool(values["total_symbols"]),
            values["min_frequency"],
            [token.content for token in values["special_tokens"]],
            values["limit_alphabet"],
            "".join(values["initial_alphabet"]),
            values["continuing_subword_prefix"],
            values["end_of_word_suffix"],
            values["max_token_length"],
        )
        report.close()
        return made

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[()], dict[str, Any]]:
        return (ParityBpeTrainer, (), dict(self.__dict__))

    def __repr__(self) -> str:
        shown = ("min_frequency", "global_merges", "window_size", "alpha", "total_symbols")
        rest = ", ".join(f"{name}={_shown(self._values[name])}" for name in shown)
        return f'ParityBpeTrainer(num_merges={self.num_merges}, variant="{self._variant}", {rest})'

    __str__ = __repr__


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
