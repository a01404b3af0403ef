"""Tokenizers of documents: every token gets the box of its word on the page. LayoutLMv2, v3, LayoutXLM, UDOP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from enfold.transformers.tokenization.batch import BatchEncoding
from enfold.transformers.tokenization.byte_level import RobertaTokenizer
from enfold.transformers.tokenization.unigram import SentencePieceTokenizer, XLMRobertaTokenizer
from enfold.transformers.tokenization.wordpiece import BertTokenizer

__all__ = ["LayoutLMv2Tokenizer", "LayoutLMv3Tokenizer", "LayoutXLMTokenizer", "UdopTokenizer"]


class Boxes:
    """Calls with the words of a page and their boxes, for tokenizers.

    Args:
        cls_token_box: the box (left, top, right, bottom; 0 to 1000) of the classification token.
        sep_token_box: that of separators.
        pad_token_box: that of padding, and of the words of a question.
        pad_token_label: the label of tokens that have none, -100 by default.
        only_label_first_subword: give a word's label to its first token only.
        kwargs: as for the family without boxes.
    """

    cls_token_box: Sequence[int] = (0, 0, 0, 0)
    sep_token_box: Sequence[int] = (1000, 1000, 1000, 1000)
    pad_token_box: Sequence[int] = (0, 0, 0, 0)
    pad_token_label: int = -100
    only_label_first_subword: bool = True
    # the values that a call returns beside those of the family's other tokenizers, and what fills them up
    padded_fields: ClassVar[dict[str, Any]] = {"bbox": [0, 0, 0, 0], "labels": -100}

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)  # type: ignore[misc]
        for name in ("cls_token_box", "sep_token_box", "pad_token_box"):
            setattr(self, name, list(settings.get(name, getattr(self, name))))
        self.pad_token_label = settings.get("pad_token_label", self.pad_token_label)
        self.only_label_first_subword = settings.get("only_label_first_subword", self.only_label_first_subword)
        fields = {"bbox": self.pad_token_box, "labels": self.pad_token_label}
        self.padded_fields = fields  # type: ignore[misc]

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        boxes: Any = None,
        word_labels: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        return_tensors: Any = None,
        return_overflowing_tokens: bool = False,
        **options: Any,
    ) -> BatchEncoding:
        """Turn the words of pages, or questions about them, into model inputs.

        Args:
            text: the words of a page, or of several; with ``text_pair`` a question, or one for each page.
            text_pair: the words of the page, or pages, that the questions are about.
            boxes: a box (left, top, right, bottom; 0 to 1000) for every word.
            word_labels: a label for every word.
            text_target: target texts, without boxes; their ids are returned as ``labels``.
            text_pair_target: the second text of each target pair.
            return_tensors: "pt", "np", "tf" or "jax"; lists by default.
            return_overflowing_tokens: return what is cut off as further rows.
            options: as for every tokenizer.

        Returns:
            A BatchEncoding with ``bbox`` [batch, tokens, 4] and, for word_labels, ``labels`` [batch, tokens].

        Raises:
            ValueError: boxes are missing, or words, boxes, labels and questions differ in number.
        """
        call = super().__call__  # type: ignore[misc]
        target = None
        if text_target is not None:
            target = call(text_target, text_pair_target, return_tensors=return_tensors, **options)
            if text is None:
                return target
        questions, pages, batched = _pages(text, text_pair)
        rows = _counted(pages, boxes, batched, "boxes")
        labels = None if word_labels is None else _counted(pages, word_labels, batched, "labels")
        first = [[*question.split()] if isinstance(question, str) else list(question) for question in questions or ()]
        sequences = (first, pages) if questions is not None else (pages, None)
        made = call(
            *sequences, is_split_into_words=True, return_overflowing_tokens=return_overflowing_tokens, **options
        )
        data = dict(made)
        samples = data.get("overflow_to_sample_mapping", range(len(pages)))
        asks = questions is not None
        places = list(zip(samples, made.encodings, strict=True))
        data["bbox"] = [self._boxes(encoding, rows[sample], asks) for sample, encoding in places]
        if labels is not None:
            data["labels"] = [self._labels(encoding, labels[sample]) for sample, encoding in places]
        if not batched and return_tensors is None and not return_overflowing_tokens:
            data = {key: value if key == "length" else value[0] for key, value in data.items()}
        if target is not None:
            data["labels"] = target["input_ids"]
        return BatchEncoding(data, made.encodings, tensor_type=return_tensors)

    def _boxes(self: Any, encoding: Any, boxes: Sequence[Any], asks: bool) -> list[list[int]]:
        special = {self.pad_token_id: self.pad_token_box, self.sep_token_id: self.sep_token_box}
        special[self.cls_token_id] = self.cls_token_box
        made = []
        for id, sequence, word in zip(encoding.ids, encoding.sequence_ids, encoding.word_ids, strict=True):
            if word is None:
                made.append(special.get(id, self.sep_token_box))
            else:
                made.append(self.pad_token_box if asks and sequence == 0 else list(boxes[word]))
        return made

    def _labels(self: Any, encoding: Any, labels: Sequence[int]) -> list[int]:
        made, before = [], None
        for word, (begin, _) in zip(encoding.word_ids, encoding.offsets, strict=True):
            shown = word is not None and (not self.only_label_first_subword or self._begins(word, before, begin))
            made.append(labels[word] if shown else self.pad_token_label)
            before = word
        return made

    def _begins(self, word: int, before: int | None, begin: int) -> bool:
        """Whether a token that begins at a character of its word is the word's first; ``before`` is the word before."""
        return word != before


def _pages(text: Any, pair: Any) -> tuple[list[Any] | None, list[Any], bool]:
    """Return the questions or None, the words of every page, and whether there are several."""
    words = text if pair is None else pair
    if not isinstance(words, list | tuple):
        raise ValueError("the words of a page are a list of str, and those of several pages a list of such lists")
    batched = isinstance(text, list | tuple) if pair is not None else bool(words) and isinstance(words[0], list | tuple)
    if not batched:
        return None if pair is None else [text], [list(words)], False
    if pair is not None and len(text) != len(pair):
        raise ValueError(f"{len(text)} questions for {len(pair)} pages: each page needs one")
    return None if pair is None else list(text), [list(page) for page in words], True


def _counted(pages: list[Any], given: Any, batched: bool, name: str) -> list[Any]:
    """Return what is given for the words of every page; there must be as much as there are words."""
    if given is None:
        raise ValueError(f"give {name}=, one for every word")
    rows = list(given) if batched else [given]
    if len(rows) != len(pages):
        raise ValueError(f"{len(pages)} pages, but {name} for {len(rows)}")
    wrong = next((at for at, row in enumerate(rows) if len(row) != len(pages[at])), None)
    if wrong is not None:
        raise ValueError(f"page {wrong} has {len(pages[wrong])} words, but {len(rows[wrong])} {name}")
    return rows


class LayoutLMv2Tokenizer(Boxes, BertTokenizer):  # type: ignore[misc]
    """LayoutLMv2's WordPiece, which is BERT's, with boxes; arguments as for ``Boxes`` and ``BertTokenizer``.

    Example:
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "total", "##s"]
        >>> inputs = LayoutLMv2Tokenizer(words)(["totals"], boxes=[[1, 2, 3, 4]])
        >>> inputs["bbox"]
        [[0, 0, 0, 0], [1, 2, 3, 4], [1, 2, 3, 4], [1000, 1000, 1000, 1000]]
    """

    model_input_names = ["input_ids", "attention_mask", "token_type_ids"]

    def __init__(self, *args: Any, model_max_length: int | None = 512, **kwargs: Any) -> None:
        super().__init__(*args, model_max_length=model_max_length, **kwargs)


class LayoutLMv3Tokenizer(Boxes, RobertaTokenizer):  # type: ignore[misc]
    """LayoutLMv3's byte-level BPE, which is RoBERTa's, with boxes; every word has a space before it."""

    model_input_names = ["input_ids", "attention_mask", "bbox"]
    sep_token_box = (0, 0, 0, 0)

    def __init__(self, *args: Any, add_prefix_space: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, add_prefix_space=add_prefix_space, **kwargs)


class LayoutXLMTokenizer(Boxes, XLMRobertaTokenizer):  # type: ignore[misc]
    """LayoutXLM's Unigram, which is XLM-RoBERTa's, with boxes."""

    def _begins(self, word: int, before: int | None, begin: int) -> bool:
        # a lone mark of the word's beginning, and the piece behind it
        return begin == 0


class UdopTokenizer(Boxes, SentencePieceTokenizer):  # type: ignore[misc]
    """UDOP's Unigram, which is T5's with further special tokens, with boxes; targets are texts without."""

    default_tokens = {"eos_token": "</s>", "sep_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    single = "$A:0 {eos}:0"
    pair = "$A:0 {eos}:0 $B:0 {eos}:0"
