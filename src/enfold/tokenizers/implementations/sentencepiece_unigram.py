# mypy: disable-error-code="attr-defined"
"""SentencePiece's unigram language model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from enfold.tokenizers import decoders, models, normalizers, pre_tokenizers
from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.component import Regex
from enfold.tokenizers.implementations.base_tokenizer import BaseTokenizer
from enfold.tokenizers.tokenizer import Tokenizer

__all__ = ["SentencePieceUnigramTokenizer"]


class SentencePieceUnigramTokenizer(BaseTokenizer):
    """The unigram language model over characters, blanks among them (Kudo 2018).

    Args:
        vocab: (piece, log probability) in the order of their ids; None for an empty one, to be trained.
        replacement: what is written for a blank.
        add_prefix_space: put a blank before the text.
    """

    def __init__(
        self,
        vocab: list[tuple[str, float]] | None = None,
        replacement: str = "▁",
        add_prefix_space: bool = True,
    ) -> None:
        tokenizer = Tokenizer(models.Unigram(vocab))
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
        )
        scheme = "always" if add_prefix_space else "never"
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=replacement, prepend_scheme=scheme)
        tokenizer.decoder = decoders.Metaspace(replacement=replacement, prepend_scheme=scheme)
        parameters = {
            "model": "SentencePieceUnigram",
            "replacement": replacement,
            "add_prefix_space": add_prefix_space,
        }
        super().__init__(tokenizer, parameters)

    def train(
        self,
        files: str | list[str],
        vocab_size: int = 8000,
        show_progress: bool = True,
        special_tokens: Sequence[str | AddedToken] | None = None,
        initial_alphabet: Sequence[str] | None = None,
        unk_token: str | None = None,
    ) -> None:
        """Train the model on files of text.

        Args:
            files: their paths.
            vocab_size: how many pieces to end with.
            show_progress: show a bar.
            special_tokens: put first into the vocabulary.
            initial_alphabet: characters to keep in any case.
            unk_token: what stands for unknown characters.
        """
        options = (vocab_size, show_progress, special_tokens, initial_alphabet, unk_token)
        self._train(files, _trainer(*options), files=True)

    def train_from_iterator(
        self,
        iterator: Iterable[Any],
        vocab_size: int = 8000,
        show_progress: bool = True,
        special_tokens: Sequence[str | AddedToken] | None = None,
        initial_alphabet: Sequence[str] | None = None,
        unk_token: str | None = None,
        length: int | None = None,
    ) -> None:
        """Train the model on texts, or lists of them; ``length`` of them, for the bar. The rest as for train."""
        options = (vocab_size, show_progress, special_tokens, initial_alphabet, unk_token)
        self._train(iterator, _trainer(*options), length=length)

    @staticmethod
    def from_spm(filename: str | os.PathLike[str]) -> SentencePieceUnigramTokenizer:
        """Make one of a SentencePiece ``.model`` file of the unigram kind.

        The result has the pipeline of the ecosystem's class of this name, which knows neither the file's options nor
        its special pieces; ``enfold.tokenizers.sentencepiece.from_sentencepiece`` does.

        Args:
            filename: the path of the file.

        Raises:
            BadModel: it is no such file, or one of another algorithm.
        """
        from enfold.tokenizers.sentencepiece import BadModel, read_model

        model = read_model(filename)
        if model.algorithm != "unigram":
            raise BadModel(f"{os.fspath(filename)!r} holds a model of the kind {model.algorithm!r}, not unigram")
        vocab = [(piece.text, piece.score) for piece in model.pieces]
        made = SentencePieceUnigramTokenizer.__new__(SentencePieceUnigramTokenizer)
        tokenizer = Tokenizer(models.Unigram(vocab, model.unk_id, model.byte_fallback))
        steps: list[normalizers.Normalizer] = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
        tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
        tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
        BaseTokenizer.__init__(made, tokenizer, {"model": "SentencePieceUnigram"})
        return made


def _trainer(
    vocab_size: int,
    show_progress: bool,
    special_tokens: Sequence[str | AddedToken] | None,
    initial_alphabet: Sequence[str] | None,
    unk_token: str | None,
) -> Any:
    from enfold.tokenizers.trainers import UnigramTrainer

    return UnigramTrainer(
        vocab_size=vocab_size,
        show_progress=show_progress,
        special_tokens=list(special_tokens or ()),
        initial_alphabet=list(initial_alphabet or ()),
        unk_token=unk_token,
    )
