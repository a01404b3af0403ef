"""BERT's tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from enfold.tokenizers import decoders
from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.implementations.base_tokenizer import BaseTokenizer, mark_special
from enfold.tokenizers.models import WordPiece
from enfold.tokenizers.normalizers import BertNormalizer
from enfold.tokenizers.pre_tokenizers import BertPreTokenizer
from enfold.tokenizers.processors import BertProcessing
from enfold.tokenizers.tokenizer import Tokenizer

__all__ = ["BertWordPieceTokenizer"]

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class BertWordPieceTokenizer(BaseTokenizer):
    """BERT's tokenizer (Devlin et al. 2018): clean-up, cutting at punctuation, WordPiece, ``[CLS] … [SEP]``.

    Args:
        vocab: token → id, or the path of a vocab.txt; None for an empty one, to be trained.
        unk_token, sep_token, cls_token, pad_token, mask_token: the special tokens.
        clean_text: drop control characters, make all white space a blank.
        handle_chinese_chars: put blanks around ideographs.
        strip_accents: drop combining marks; None does what ``lowercase`` says.
        lowercase: make lower case.
        wordpieces_prefix: what marks a token that continues a word.

    Raises:
        TypeError: the vocabulary lacks the sep_token or the cls_token.

    Example:
        >>> vocab = {"[UNK]": 0, "[SEP]": 1, "[CLS]": 2, "hey": 3}
        >>> BertWordPieceTokenizer(vocab).encode("Hey").tokens
        ['[CLS]', 'hey', '[SEP]']
    """

    def __init__(
        self,
        vocab: str | dict[str, int] | None = None,
        unk_token: str | AddedToken = "[UNK]",
        sep_token: str | AddedToken = "[SEP]",
        cls_token: str | AddedToken = "[CLS]",
        pad_token: str | AddedToken = "[PAD]",
        mask_token: str | AddedToken = "[MASK]",
        clean_text: bool = True,
        handle_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        lowercase: bool = True,
        wordpieces_prefix: str = "##",
    ) -> None:
        tokenizer = Tokenizer(WordPiece(vocab, unk_token=str(unk_token)))
        mark_special(tokenizer, unk_token, sep_token, cls_token, pad_token, mask_token)
        tokenizer.normalizer = BertNormalizer(clean_text, handle_chinese_chars, strip_accents, lowercase)
        tokenizer.pre_tokenizer = BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece(prefix=wordpieces_prefix)
        if vocab is not None:
            ends = []
            for name, token in (("sep_token", str(sep_token)), ("cls_token", str(cls_token))):
                number = tokenizer.token_to_id(token)
                if number is None:
                    raise TypeError(f"{name} not found in the vocabulary")
                ends.append((token, number))
            tokenizer.post_processor = BertProcessing(*ends)
        parameters = {
            "model": "BertWordPiece",
            "unk_token": unk_token,
            "sep_token": sep_token,
            "cls_token": cls_token,
            "pad_token": pad_token,
            "mask_token": mask_token,
            "clean_text": clean_text,
            "handle_chinese_chars": handle_chinese_chars,
            "strip_accents": strip_accents,
            "lowercase": lowercase,
            "wordpieces_prefix": wordpieces_prefix,
        }
        super().__init__(tokenizer, parameters)

    @staticmethod
    def from_file(vocab: str, **kwargs: Any) -> BertWordPieceTokenizer:
        """Make one from a vocab.txt; options as for the class."""
        return BertWordPieceTokenizer(WordPiece.read_file(vocab), **kwargs)

    def train(
        self,
        files: str | list[str],
        vocab_size: int = 30000,
        min_frequency: int = 2,
        limit_alphabet: int = 1000,
        initial_alphabet: Sequence[str] = (),
        special_tokens: Sequence[str | AddedToken] = _SPECIAL,
        show_progress: bool = True,
        wordpieces_prefix: str = "##",
    ) -> None:
        """Train the model on files of text.

        Args:
            files: their paths.
            vocab_size: how many tokens to end with.
            min_frequency: how often a pair must occur to be merged.
            limit_alphabet: how many characters to keep.
            initial_alphabet: characters to keep in any case.
            special_tokens: put first into the vocabulary.
            show_progress: show a bar.
            wordpieces_prefix: what marks a token that continues a word.
        """
        options = (vocab_size, min_frequency, limit_alphabet, initial_alphabet, special_tokens, show_progress)
        self._train(files, _trainer(*options, wordpieces_prefix), files=True)

    def train_from_iterator(
        self,
        iterator: Iterable[Any],
        vocab_size: int = 30000,
        min_frequency: int = 2,
        limit_alphabet: int = 1000,
        initial_alphabet: Sequence[str] = (),
        special_tokens: Sequence[str | AddedToken] = _SPECIAL,
        show_progress: bool = True,
        wordpieces_prefix: str = "##",
        length: int | None = None,
    ) -> None:
        """Train the model on texts, or lists of them; ``length`` of them, for the bar. The rest as for train."""
        options = (vocab_size, min_frequency, limit_alphabet, initial_alphabet, special_tokens, show_progress)
        self._train(iterator, _trainer(*options, wordpieces_prefix), length=length)


def _trainer(
    vocab_size: int,
    min_frequency: int,
    limit_alphabet: int,
    initial_alphabet: Sequence[str],
    special_tokens: Sequence[str | AddedToken],
    show_progress: bool,
    prefix: str,
) -> Any:
    from enfold.tokenizers.trainers import WordPieceTrainer

    return WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        limit_alphabet=limit_alphabet,
        initial_alphabet=list(initial_alphabet),
        special_tokens=list(special_tokens),
        show_progress=show_progress,
        continuing_subword_prefix=prefix,
    )
