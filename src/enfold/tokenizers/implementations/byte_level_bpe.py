"""GPT-2's tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from enfold.tokenizers import decoders, pre_tokenizers, processors
from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.implementations.base_tokenizer import BaseTokenizer, chain
from enfold.tokenizers.models import BPE
from enfold.tokenizers.normalizers import Lowercase, unicode_normalizer_from_str
from enfold.tokenizers.tokenizer import Tokenizer

__all__ = ["ByteLevelBPETokenizer"]


class ByteLevelBPETokenizer(BaseTokenizer):
    """GPT-2's tokenizer (Radford et al. 2019): byte-pair encoding of bytes.

    Args:
        vocab: token → id, or the path of a vocab.json; None for an empty one, to be trained.
        merges: pairs of tokens in the order of their rank, or the path of a merges.txt.
        add_prefix_space: put a blank before a text that does not begin with one.
        lowercase: make lower case.
        dropout: the probability, 0 to 1, of leaving a merge out; None for never.
        unicode_normalizer: nfc, nfd, nfkc or nfkd; None for none.
        continuing_subword_prefix: put before every part of a word but the first.
        end_of_word_suffix: put behind the last part of a word.
        trim_offsets: leave white space out of offsets.
    """

    def __init__(
        self,
        vocab: str | dict[str, int] | None = None,
        merges: str | list[tuple[str, str]] | None = None,
        add_prefix_space: bool = False,
        lowercase: bool = False,
        dropout: float | None = None,
        unicode_normalizer: str | None = None,
        continuing_subword_prefix: str | None = None,
        end_of_word_suffix: str | None = None,
        trim_offsets: bool = False,
    ) -> None:
        if vocab is None or merges is None:
            model = BPE()
        else:
            model = BPE(
                vocab,
                merges,
                dropout=dropout,
                continuing_subword_prefix=continuing_subword_prefix or "",
                end_of_word_suffix=end_of_word_suffix or "",
            )
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = chain(
            unicode_normalizer_from_str(unicode_normalizer) if unicode_normalizer else None,
            Lowercase() if lowercase else None,
        )
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
        parameters = {
            "model": "ByteLevelBPE",
            "add_prefix_space": add_prefix_space,
            "lowercase": lowercase,
            "dropout": dropout,
            "unicode_normalizer": unicode_normalizer,
            "continuing_subword_prefix": continuing_subword_prefix,
            "end_of_word_suffix": end_of_word_suffix,
            "trim_offsets": trim_offsets,
        }
        super().__init__(tokenizer, parameters)

    @staticmethod
    def from_file(vocab_filename: str, merges_filename: str, **kwargs: Any) -> ByteLevelBPETokenizer:
        """Make one from a vocab.json and a merges.txt; options as for the class."""
        return ByteLevelBPETokenizer(*BPE.read_file(vocab_filename, merges_filename), **kwargs)

    def train(
        self,
        files: str | list[str],
        vocab_size: int = 30000,
        min_frequency: int = 2,
        show_progress: bool = True,
        special_tokens: Sequence[str | AddedToken] = (),
    ) -> None:
        """Train the model on files of text.

        Args:
            files: their paths.
            vocab_size: how many tokens to end with.
            min_frequency: how often a pair must occur to be merged.
            show_progress: show a bar.
            special_tokens: put first into the vocabulary.
        """
        self._train(files, _trainer(vocab_size, min_frequency, show_progress, special_tokens), files=True)

    def train_from_iterator(
        self,
        iterator: Iterable[Any],
        vocab_size: int = 30000,
        min_frequency: int = 2,
        show_progress: bool = True,
        special_tokens: Sequence[str | AddedToken] = (),
        length: int | None = None,
    ) -> None:
        """Train the model on texts, or lists of them; ``length`` of them, for the bar. The rest as for train."""
        self._train(iterator, _trainer(vocab_size, min_frequency, show_progress, special_tokens), length=length)


def _trainer(vocab_size: int, min_frequency: int, show_progress: bool, special_tokens: Sequence[Any]) -> Any:
    from enfold.tokenizers.trainers import BpeTrainer

    return BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=show_progress,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
