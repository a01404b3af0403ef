"""RoFormer: words as the dictionary of `rjieba` cuts Chinese, then WordPiece."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from enfold.transformers.tokenization.wordpiece import BertTokenizer

__all__ = ["RoFormerTokenizer"]


class Jieba:
    """A pre-tokenizer: words that rjieba finds and the vocabulary has; of others, characters and their neighbours.

    Args:
        vocab: token → id.

    Raises:
        ImportError: rjieba is not installed.
    """

    def __init__(self, vocab: dict[str, int]) -> None:
        from enfold.tokenizers import normalizers

        try:
            import rjieba  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise ImportError("RoFormer cuts Chinese with rjieba: pip install rjieba") from None
        self.vocab = vocab
        self._find = rjieba.tokenize
        self._apart = normalizers.BertNormalizer(False, True, False, False).normalize_str

    def _split(self, index: int, part: Any) -> list[Any]:
        made = []
        for word, begin, end in self._find(str(part), hmm=False):
            if word in self.vocab:
                made.append(part[begin:end])
                continue
            for piece in self._apart(word).split():
                made.append(part[begin : begin + len(piece)])
                begin += len(piece)
        return made

    def pre_tokenize(self, text: Any) -> None:
        """Cut a PreTokenizedString."""
        text.split(self._split)

    def __deepcopy__(self, memo: dict[int, Any]) -> Jieba:
        return self

    def __reduce__(self) -> tuple[Any, tuple[dict[str, int]]]:
        return (Jieba, (self.vocab,))


class RoFormerTokenizer(BertTokenizer):
    """RoFormer's WordPiece: BERT's, after rjieba has found Chinese words.

    Saved folders name BERT's own pre-tokenizer, as in the ecosystem: files cannot name one that is written in Python.

    Args:
        kwargs: as for ``BertTokenizer``.

    Raises:
        ImportError: rjieba is not installed.
    """

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        from enfold.tokenizers.pre_tokenizers import PreTokenizer

        super()._adapt(settings, built)
        normalizer = self._tokenizer.normalizer
        normalizer.handle_chinese_chars = False
        self._tokenizer.normalizer = normalizer
        self._tokenizer.pre_tokenizer = PreTokenizer.custom(Jieba(self._tokenizer.get_vocab()))

    @contextlib.contextmanager
    def _without_jieba(self) -> Iterator[None]:
        from enfold.tokenizers.pre_tokenizers import BertPreTokenizer

        jieba = self._tokenizer.pre_tokenizer
        self._tokenizer.pre_tokenizer = BertPreTokenizer()
        try:
            yield
        finally:
            self._tokenizer.pre_tokenizer = jieba

    def save_pretrained(self, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        """Write the files of ``BertTokenizer.save_pretrained``."""
        with self._without_jieba():
            return super().save_pretrained(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        with self._without_jieba():
            return {**super().__getstate__(), "_tokenizer": copy.deepcopy(self._tokenizer)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from enfold.tokenizers.pre_tokenizers import PreTokenizer

        super().__setstate__(state)
        self._tokenizer.pre_tokenizer = PreTokenizer.custom(Jieba(self._tokenizer.get_vocab()))
