"""BERT's two steps one by one, as code of its first days calls them: words, then their pieces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["BasicTokenizer", "WordpieceTokenizer"]


class BasicTokenizer:
    """Cuts texts into words at white space and punctuation.

    Args:
        do_lower_case: lower-case the words.
        never_split: words that stay as they are.
        tokenize_chinese_chars: make every Chinese character a word.
        strip_accents: strip accents; by default when lower-casing.
        do_split_on_punc: cut at punctuation.

    Example:
        >>> BasicTokenizer(never_split=["[MASK]"]).tokenize("Héllo, [MASK] !")
        ['hello', ',', '[MASK]', '!']
    """

    def __init__(
        self,
        do_lower_case: bool = True,
        never_split: Iterable[str] | None = None,
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        do_split_on_punc: bool = True,
    ) -> None:
        from enfold.tokenizers import normalizers, pre_tokenizers

        self.do_lower_case = do_lower_case
        self.never_split = set(never_split or ())
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self.strip_accents = strip_accents
        self.do_split_on_punc = do_split_on_punc
        clean = normalizers.BertNormalizer(True, tokenize_chinese_chars, False, False)
        self._clean = normalizers.Sequence([clean, normalizers.NFC()])
        strip = do_lower_case if strip_accents is None else strip_accents
        self._fold = normalizers.BertNormalizer(False, False, strip, do_lower_case)
        self._cut = pre_tokenizers.BertPreTokenizer()

    def tokenize(self, text: str, never_split: Iterable[str] | None = None) -> list[str]:
        """Return the words of a text.

        Args:
            text: the text.
            never_split: further words that stay as they are.
        """
        whole = self.never_split.union(never_split or ())
        words = []
        for word in self._clean.normalize_str(text).split():
            if word in whole:
                words.append(word)
                continue
            word = self._fold.normalize_str(word)
            parts = [part for part, _ in self._cut.pre_tokenize_str(word)] if self.do_split_on_punc else word.split()
            words += parts
        return words


class WordpieceTokenizer:
    """Cuts words into the longest pieces that a vocabulary has, from the left.

    Args:
        vocab: the pieces; those inside a word begin with "##".
        unk_token: what stands for a word that cannot be put together.
        max_input_chars_per_word: longer words are unknown.

    Example:
        >>> WordpieceTokenizer({"un": 0, "##aff": 1, "##able": 2}, "[UNK]").tokenize("unaffable x")
        ['un', '##aff', '##able', '[UNK]']
    """

    def __init__(self, vocab: Mapping[str, int] | Iterable[str], unk_token: str, max_input_chars_per_word: int = 100):
        from enfold.tokenizers import models

        self.vocab = vocab
        self.unk_token = unk_token
        self.max_input_chars_per_word = max_input_chars_per_word
        pieces = {piece: id for id, piece in enumerate(dict.fromkeys([*vocab, unk_token]))}
        options = {"unk_token": unk_token, "max_input_chars_per_word": max_input_chars_per_word}
        self._model = models.WordPiece(pieces, **options)

    def tokenize(self, text: str) -> list[str]:
        """Return the pieces of the words of a text, which white space sets apart."""
        return [piece.value for word in text.split() for piece in self._model.tokenize(word)]
