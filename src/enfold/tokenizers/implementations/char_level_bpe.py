"""The original byte-pair encoding, of characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from enfold.tokenizers import decoders, pre_tokenizers
from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.implementations.base_tokenizer import BaseTokenizer, chain, mark_special
from enfold.tokenizers.models import BPE
from enfold.tokenizers.normalizers import BertNormalizer, Lowercase, unicode_normalizer_from_str
from enfold.tokenizers.tokenizer import Tokenizer

__all__ = ["CharBPETokenizer"]


class CharBPETokenizer(BaseTokenizer):
    """Byte-pair encoding of characters (Sennrich et al. 2016).

    Args:
        vocab: token → id, or the path of a vocab.json; None for an empty one, to be trained.
        merges: pairs of tokens in the order of their rank, or the path of a merges.txt.
        unk_token: what stands for unknown characters.
        suffix: put behind the last part of a word.
        dropout: the probability, 0 to 1, of leaving a merge out; None for never.
        lowercase: make lower case.
        unicode_normalizer: nfc, nfd, nfkc or nfkd; None for none.
        bert_normalizer: clean up as BERT does.
        split_on_whitespace_only: cut at white space only, not at punctuation.
    """

    def __init__(
        self,
        vocab: str | dict[str, int] | None = None,
        merges: str | list[tuple[str, str]] | None = None,
        unk_token: str | AddedToken = "<unk>",
        suffix: str = "</w>",
        dropout: float | None = None,
        lowercase: bool = False,
        unicode_normalizer: str | None = None,
        bert_normalizer: bool = True,
        split_on_whitespace_only: bool = False,
    ) -> None:
        if vocab is None or merges is None:
            vocab = merges = None
        model = BPE(vocab, merges, unk_token=str(unk_token), dropout=dropout, end_of_word_suffix=suffix)
        tokenizer = Tokenizer(model)
        mark_special(tokenizer, unk_token)
        tokenizer.normalizer = chain(
            unicode_normalizer_from_str(unicode_normalizer) if unicode_normalizer else None,
            BertNormalizer(lowercase=False) if bert_normalizer else None,
            Lowercase() if lowercase else None,
        )
        blanks = split_on_whitespace_only
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit() if blanks else pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.BPEDecoder(suffix=suffix)
        parameters = {
            "model": "BPE",
            "unk_token": unk_token,
            "suffix": suffix,
            "dropout": dropout,
            "lowercase": lowercase,
            "unicode_normalizer": unicode_normalizer,
            "bert_normalizer": bert_normalizer,
            "split_on_whitespace_only": split_on_whitespace_only,
        }
        super().__init__(tokenizer, parameters)

    @staticmethod
    def from_file(vocab_filename: str, merges_filename: str, **kwargs: Any) -> CharBPETokenizer:
        """Make one from a vocab.json and a merges.txt; options as for the class."""
        return CharBPETokenizer(*BPE.read_file(vocab_filename, merges_filename), **kwargs)

    def train(
        self,
        files: str | list[str],
        vocab_size: int = 30000,
        min_frequency: int = 2,
        special_tokens: Sequence[str | AddedToken] = ("<unk>",),
        limit_alphabet: int = 1000,
        initial_alphabet: Sequence[str] = (),
        suffix: str | None = "</w>",
        show_progress: bool = True,
    ) -> None:
        """Train the model on files of text.

        Args:
            files: their paths.
            vocab_size: how many tokens to end with.
            min_frequency: how often a pair must occur to be merged.
            special_tokens: put first into the vocabulary.
            limit_alphabet: how many characters to keep.
            initial_alphabet: characters to keep in any case.
            suffix: put behind the last part of a word.
            show_progress: show a bar.
        """
        options = (vocab_size, min_frequency, special_tokens, limit_alphabet, initial_alphabet, suffix, show_progress)
        self._train(files, _trainer(*options), files=True)

    def train_from_iterator(
        self,
        iterator: Iterable[Any],
        vocab_size: int = 30000,
        min_frequency: int = 2,
        special_tokens: Sequence[str | AddedToken] = ("<unk>",),
        limit_alphabet: int = 1000,
        initial_alphabet: Sequence[str] = (),
        suffix: str | None = "</w>",
        show_progress: bool = True,
        length: int | None = None,
    ) -> None:
        """Train the model on texts, or lists of them; ``length`` of them, for the bar. The rest as for train."""
        options = (vocab_size, min_frequency, special_tokens, limit_alphabet, initial_alphabet, suffix, show_progress)
        self._train(iterator, _trainer(*options), length=length)


def _trainer(
    vocab_size: int,
    min_frequency: int,
    special_tokens: Sequence[str | AddedToken],
    limit_alphabet: int,
    initial_alphabet: Sequence[str],
    suffix: str | None,
    show_progress: bool,
) -> Any:
    from enfold.tokenizers.trainers import BpeTrainer

    return BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(special_tokens),
        limit_alphabet=limit_alphabet,
        initial_alphabet=list(initial_alphabet),
        end_of_word_suffix=suffix,
        show_progress=show_progress,
    )
