"""SentencePiece's byte-pair encoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from enfold.tokenizers import decoders, pre_tokenizers
from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.implementations.base_tokenizer import BaseTokenizer, mark_special
from enfold.tokenizers.models import BPE
from enfold.tokenizers.normalizers import NFKC
from enfold.tokenizers.tokenizer import Tokenizer

__all__ = ["SentencePieceBPETokenizer"]


class SentencePieceBPETokenizer(BaseTokenizer):
    """Byte-pair encoding of characters, blanks among them (Kudo and Richardson 2018).

    Args:
        vocab: token → id, or the path of a vocab.json; None for an empty one, to be trained.
        merges: pairs of tokens in the order of their rank, or the path of a merges.txt.
        unk_token: what stands for unknown characters.
        replacement: what is written for a blank.
        add_prefix_space: put a blank before the text.
        dropout: the probability, 0 to 1, of leaving a merge out; None for never.
        fuse_unk: one unknown-token for a run of unknown characters.
    """

    def __init__(
        self,
        vocab: str | dict[str, int] | None = None,
        merges: str | list[tuple[str, str]] | None = None,
        unk_token: str | AddedToken = "<unk>",
        replacement: str = "▁",
        add_prefix_space: bool = True,
        dropout: float | None = None,
        fuse_unk: bool | None = False,
    ) -> None:
        if vocab is None or merges is None:
            vocab = merges = None
        model = BPE(vocab, merges, dropout=dropout, unk_token=str(unk_token), fuse_unk=bool(fuse_unk))
        tokenizer = Tokenizer(model)
        mark_special(tokenizer, unk_token)
        tokenizer.normalizer = NFKC()
        scheme = "always" if add_prefix_space else "never"
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=replacement, prepend_scheme=scheme)
        tokenizer.decoder = decoders.Metaspace(replacement=replacement, prepend_scheme=scheme)
        parameters = {
            "model": "SentencePieceBPE",
            "unk_token": unk_token,
            "replacement": replacement,
            "add_prefix_space": add_prefix_space,
            "dropout": dropout,
        }
        super().__init__(tokenizer, parameters)

    @staticmethod
    def from_file(vocab_filename: str, merges_filename: str, **kwargs: Any) -> SentencePieceBPETokenizer:
        """Make one from a vocab.json and a merges.txt; options as for the class."""
        return SentencePieceBPETokenizer(*BPE.read_file(vocab_filename, merges_filename), **kwargs)

    def train(
        self,
        files: str | list[str],
        vocab_size: int = 30000,
        min_frequency: int = 2,
        special_tokens: Sequence[str | AddedToken] = ("<unk>",),
        limit_alphabet: int = 1000,
        initial_alphabet: Sequence[str] = (),
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
            show_progress: show a bar.
        """
        options = (vocab_size, min_frequency, special_tokens, limit_alphabet, initial_alphabet, show_progress)
        self._train(files, _trainer(*options), files=True)

    def train_from_iterator(
        self,
        iterator: Iterable[Any],
        vocab_size: int = 30000,
        min_frequency: int = 2,
        special_tokens: Sequence[str | AddedToken] = ("<unk>",),
        limit_alphabet: int = 1000,
        initial_alphabet: Sequence[str] = (),
        show_progress: bool = True,
        length: int | None = None,
    ) -> None:
        """Train the model on texts, or lists of them; ``length`` of them, for the bar. The rest as for train."""
        options = (vocab_size, min_frequency, special_tokens, limit_alphabet, initial_alphabet, show_progress)
        self._train(iterator, _trainer(*options), length=length)


def _trainer(
    vocab_size: int,
    min_frequency: int,
    special_tokens: Sequence[str | AddedToken],
    limit_alphabet: int,
    initial_alphabet: Sequence[str],
    show_progress: bool,
) -> Any:
    from enfold.tokenizers.trainers import BpeTrainer

    return BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(special_tokens),
        limit_alphabet=limit_alphabet,
        initial_alphabet=list(initial_alphabet),
        show_progress=show_progress,
    )
