"""BERT's family: words at spaces and punctuation, then WordPiece."""

from __future__ import annotations

from typing import Any, NamedTuple

from enfold.tokenizers import Tokenizer
from enfold.transformers.tokenization.fast import PreTrainedTokenizerFast, mask
from enfold.transformers.tokenization.vocabularies import read_vocabulary

__all__ = [
    "BertTokenizer",
    "ConvBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DPRReaderTokenizer",
    "DPRSpanPrediction",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "FunnelTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MPNetTokenizer",
    "MobileBertTokenizer",
    "RealmTokenizer",
    "RetriBertTokenizer",
    "SplinterTokenizer",
    "SqueezeBertTokenizer",
]

# arguments of the tokenizers → options of the normalizer
_NORMALIZER = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


class BertTokenizer(PreTrainedTokenizerFast):
    """BERT's WordPiece.

    Args:
        vocab: vocab.txt, or token → id, or a list of tokens.
        do_lower_case: lower-case the text (and, unless told otherwise, strip its accents).
        tokenize_chinese_chars: put spaces around Chinese characters.
        strip_accents: strip accents; by default when lower-casing.
        kwargs: as for every tokenizer.

    Example:
        >>> tokenizer = BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "##s"])
        >>> tokenizer("Hellos").tokens()
        ['[CLS]', 'hello', '##s', '[SEP]']
    """

    vocab_files_names = {"vocab_file": "vocab.txt", "tokenizer_file": "tokenizer.json"}
    needed_files = ("vocab_file",)
    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    default_tokens = {
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    single = "{cls}:0 $A:0 {sep}:0"
    pair = "{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1"

    def _build(self, vocab: Any = None, *_: Any, **settings: Any) -> Tokenizer:
        from enfold.tokenizers import decoders, models, normalizers, pre_tokenizers

        vocab = vocab if vocab is not None else settings.get("vocab_file") or settings.get("vocab")
        if vocab is None:
            names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
            vocab = list(dict.fromkeys(str(settings[name]) for name in names))
        core = Tokenizer(models.WordPiece(read_vocabulary(vocab), unk_token=str(settings["unk_token"])))
        core.normalizer = normalizers.BertNormalizer(
            clean_text=settings.get("clean_text", True),
            handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
            strip_accents=settings.get("strip_accents"),
            lowercase=settings.get("do_lower_case", True),
        )
        core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        core.decoder = decoders.WordPiece(prefix=settings.get("wordpieces_prefix", "##"))
        return core

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        self.do_lower_case = settings.get("do_lower_case", True)
        normalizer = self._tokenizer.normalizer
        if built or type(normalizer).__name__ != "BertNormalizer":
            return
        wanted = {ours: settings[theirs] for theirs, ours in _NORMALIZER.items() if theirs in settings}
        if any(getattr(normalizer, name) != value for name, value in wanted.items()):
            for name, value in wanted.items():
                setattr(normalizer, name, value)
            self._tokenizer.normalizer = normalizer


class DistilBertTokenizer(BertTokenizer):
    """DistilBERT's WordPiece: BERT's, for a model without token types."""

    model_input_names = ["input_ids", "attention_mask"]


class ElectraTokenizer(BertTokenizer):
    """ELECTRA's WordPiece, which is BERT's."""


class MobileBertTokenizer(BertTokenizer):
    """MobileBERT's WordPiece, which is BERT's."""


class SqueezeBertTokenizer(BertTokenizer):
    """SqueezeBERT's WordPiece, which is BERT's."""


class ConvBertTokenizer(BertTokenizer):
    """ConvBERT's WordPiece, which is BERT's."""


class LayoutLMTokenizer(BertTokenizer):
    """LayoutLM's WordPiece, which is BERT's; boxes are the caller's."""


class LxmertTokenizer(BertTokenizer):
    """LXMERT's WordPiece, which is BERT's."""


class RealmTokenizer(BertTokenizer):
    """REALM's WordPiece, which is BERT's."""


class RetriBertTokenizer(DistilBertTokenizer):
    """RetriBERT's WordPiece: BERT's, for a model without token types."""


class DPRQuestionEncoderTokenizer(BertTokenizer):
    """DPR's WordPiece for questions, which is BERT's."""


class DPRContextEncoderTokenizer(BertTokenizer):
    """DPR's WordPiece for passages, which is BERT's."""


class DPRSpanPrediction(NamedTuple):
    """A span that answers a question: scores, the passage, the first and the last token in it, the text."""

    span_score: Any
    relevance_score: Any
    doc_id: int
    start_index: int
    end_index: int
    text: str


class DPRReaderTokenizer(DistilBertTokenizer):
    """DPR's WordPiece for the reader: a question with passages, ``[CLS] question [SEP] title [SEP] text``."""

    def __call__(  # type: ignore[override]
        self, questions: Any, titles: Any = None, texts: Any = None, **kwargs: Any
    ) -> Any:
        """Encode questions with passages.

        Args:
            questions: a question for all passages, or one for each.
            titles: the passages' titles.
            texts: the passages' texts; with titles or texts alone, these are second texts as for every tokenizer.
            kwargs: ``padding``, ``truncation`` (of the whole, at ``max_length``), ``max_length``, ``return_tensors``,
                ``return_attention_mask``; without titles and texts, all that tokenizers take.

        Returns:
            A BatchEncoding, one row a passage.

        Raises:
            ValueError: not as many titles as texts.
        """
        if titles is None or texts is None:
            return super().__call__(questions, titles if texts is None else texts, **kwargs)
        titles, texts = ([given] if isinstance(given, str) else given for given in (titles, texts))
        if len(titles) != len(texts):
            raise ValueError(f"there are {len(titles)} titles for {len(texts)} texts")
        asked = [questions] * len(titles) if isinstance(questions, str) else questions
        heads = super().__call__(asked, titles)["input_ids"]
        tails = super().__call__(texts, add_special_tokens=False)["input_ids"]
        limit = kwargs.get("max_length") if kwargs.get("truncation") else None
        data = {"input_ids": [[*head, *tail][:limit] for head, tail in zip(heads, tails, strict=True)]}
        if kwargs.get("return_attention_mask") is not False:
            data["attention_mask"] = [[int(id != self.pad_token_id) for id in row] for row in data["input_ids"]]
        shape: dict[str, Any] = {name: kwargs.get(name) for name in ("max_length", "return_tensors")}
        return self.pad(data, padding=kwargs.get("padding", False), **shape)

    def decode_best_spans(
        self,
        reader_input: Any,
        reader_output: Any,
        num_spans: int = 16,
        max_answer_length: int = 64,
        num_spans_per_passage: int = 4,
    ) -> list[DPRSpanPrediction]:
        """Return the best answers, from the most relevant passage on.

        Args:
            reader_input: what calling the tokenizer gave.
            reader_output: start logits [passages, tokens], end logits [passages, tokens], relevance logits [passages].
            num_spans: how many in all.
            max_answer_length: tokens of an answer, at most.
            num_spans_per_passage: how many of a passage, none inside another.
        """
        starts, ends, relevance = reader_output[:3]
        found: list[DPRSpanPrediction] = []
        for passage in sorted(range(len(relevance)), key=relevance.__getitem__, reverse=True):
            ids = [int(id) for id in reader_input["input_ids"][passage]]
            offset = ids.index(self.sep_token_id, 2) + 1  # what comes first is never part of an answer
            stop = ids.index(self.pad_token_id) if ids[-1] == self.pad_token_id else len(ids)
            spans = _best_spans(
                starts[passage][offset:stop], ends[passage][offset:stop], max_answer_length, num_spans_per_passage
            )
            for begin, end in spans:
                begin, end = begin + offset, end + offset
                score = starts[passage][begin] + ends[passage][end]
                text = self.decode(ids[begin : end + 1])
                found.append(DPRSpanPrediction(score, relevance[passage], passage, begin, end, text))
            if len(found) >= num_spans:
                break
        return found[:num_spans]


def _best_spans(starts: Any, ends: Any, longest: int, count: int) -> list[tuple[int, int]]:
    """Return the (first, last) tokens of the best spans, of which none lies in another."""
    scored = [
        (start + end, (begin, begin + more))
        for begin, start in enumerate(starts)
        for more, end in enumerate(ends[begin : begin + longest])
    ]
    chosen: list[tuple[int, int]] = []
    for _, (begin, end) in sorted(scored, key=lambda item: item[0], reverse=True):
        if any((begin <= a and b <= end) or (a <= begin and end <= b) for a, b in chosen):
            continue
        chosen.append((begin, end))
        if len(chosen) == count:
            break
    return chosen


class FunnelTokenizer(BertTokenizer):
    """Funnel Transformer's WordPiece: BERT's with other special tokens, and a token type of its own for the first."""

    default_tokens = {
        "unk_token": "<unk>",
        "sep_token": "<sep>",
        "pad_token": "<pad>",
        "cls_token": "<cls>",
        "mask_token": "<mask>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    single = "{cls}:2 $A:0 {sep}:0"
    pair = "{cls}:2 $A:0 {sep}:0 $B:1 {sep}:1"


class MPNetTokenizer(DistilBertTokenizer):
    """MPNet's WordPiece: BERT's with RoBERTa's special tokens around."""

    default_tokens = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "cls_token": "<s>",
        "unk_token": "[UNK]",
        "pad_token": "<pad>",
        "mask_token": mask("<mask>"),
    }
    pair = "{cls}:0 $A:0 {sep}:0 {sep}:0 $B:1 {sep}:1"


class SplinterTokenizer(BertTokenizer):
    """Splinter's WordPiece: BERT's, with a question token between a question and its passage.

    Args:
        question_token: the token whose place the answer's start and end are predicted from.
        kwargs: as for ``BertTokenizer``.
    """

    default_tokens = {**BertTokenizer.default_tokens, "question_token": "[QUESTION]"}

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        if built:
            between = "{question}:0 .:0 {sep}:0"
            right = f"{{cls}}:0 $A:0 {between} $B:1 {{sep}}:1"
            left = f"{{cls}}:0 $A:0 {{sep}}:0 $B:1 {between.replace(':0', ':1')}"
            self._surround(self.single, right if self.padding_side == "right" else left)
