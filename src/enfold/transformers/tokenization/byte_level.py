"""GPT-2's family: BPE over bytes; and the older BPE over characters with word endings."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.tokenizers import Tokenizer
from enfold.transformers.tokenization.fast import PreTrainedTokenizerFast, mask
from enfold.transformers.tokenization.vocabularies import read_merges, read_vocabulary

__all__ = [
    "BartTokenizer",
    "BlenderbotTokenizer",
    "BloomTokenizer",
    "CLIPTokenizer",
    "CodeGenTokenizer",
    "CohereTokenizer",
    "DebertaTokenizer",
    "GPT2Tokenizer",
    "GPTNeoXTokenizer",
    "HerbertTokenizer",
    "LEDTokenizer",
    "LongformerTokenizer",
    "MvpTokenizer",
    "OpenAIGPTTokenizer",
    "Qwen2Tokenizer",
    "Qwen3_5Tokenizer",
    "RobertaTokenizer",
]

_END = "<|endoftext|>"
_BART = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
}
# the word patterns of Qwen2 and CLIP, as their tokenizer.json files have them
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
# as Qwen2's, but marks belong to their letters
_QWEN3_5 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class _BPETokenizer(PreTrainedTokenizerFast):
    """What is built from vocab.json and merges.txt."""

    vocab_files_names = {"vocab_file": "vocab.json", "merges_file": "merges.txt", "tokenizer_file": "tokenizer.json"}
    needed_files = ("vocab_file", "merges_file")
    suffix: ClassVar[str] = ""
    model_unk: ClassVar[bool] = False

    def _build(self, vocab: Any = None, merges: Any = None, *_: Any, **settings: Any) -> Tokenizer:
        from enfold.tokenizers import models

        vocab = vocab if vocab is not None else settings.get("vocab_file") or settings.get("vocab") or {}
        merges = merges if merges is not None else settings.get("merges_file") or settings.get("merges") or []
        core = Tokenizer(
            models.BPE(
                read_vocabulary(vocab),
                read_merges(merges),
                dropout=None,
                continuing_subword_prefix="",
                end_of_word_suffix=self.suffix,
                fuse_unk=False,
                unk_token=str(settings["unk_token"]) if self.model_unk else None,
            )
        )
        self._complete(core, settings)
        return core

    def _complete(self, core: Tokenizer, settings: dict[str, Any]) -> None:
        """Set what comes before and after the model."""
        from enfold.tokenizers import decoders, pre_tokenizers, processors

        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=bool(settings.get("add_prefix_space", False)))
        core.decoder = decoders.ByteLevel()
        core.post_processor = processors.ByteLevel(trim_offsets=False)

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        self.add_prefix_space = bool(settings.get("add_prefix_space", False))
        self.errors = settings.get("errors", "replace")


class GPT2Tokenizer(_BPETokenizer):
    """GPT-2's byte-level BPE.

    Args:
        vocab: vocab.json, or token → id.
        merges: merges.txt, or a list of pairs.
        add_prefix_space: treat the first word like every other, with a space before it.
        kwargs: as for every tokenizer.

    Example:
        >>> GPT2Tokenizer({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}, [("a", "b")])("abba")["input_ids"]
        [2, 1, 0]
    """

    default_tokens = {"unk_token": _END, "bos_token": _END, "eos_token": _END}


class CodeGenTokenizer(GPT2Tokenizer):
    """CodeGen's byte-level BPE: GPT-2's, with text cut at patterns when decoding.

    Args:
        return_token_type_ids: whether calls return token types.
        kwargs: as for ``GPT2Tokenizer``.
    """

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        if settings.get("return_token_type_ids") and "token_type_ids" not in self.model_input_names:
            self.model_input_names.append("token_type_ids")

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        truncate_before_pattern: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the text of ids, cut before the first place that one of ``truncate_before_pattern`` matches."""
        import re

        text = super().decode(token_ids, skip_special_tokens, clean_up_tokenization_spaces, **kwargs)
        for pattern in ("^print", "^def") if truncate_before_pattern else ():
            # a second function or a second call of print at the top level is where an answer has gone on too long
            found = list(re.finditer(pattern, text, re.MULTILINE))
            if len(found) > 1:
                text = text[: found[1].start()]
        places = [re.compile(each, re.MULTILINE).search(text) for each in truncate_before_pattern or ()]
        return text[: min((place.start() for place in places if place), default=len(text))]


class GPTNeoXTokenizer(GPT2Tokenizer):
    """GPT-NeoX's byte-level BPE: GPT-2's over composed characters.

    Args:
        add_bos_token: begin every text with the beginning token.
        add_eos_token: end every text with the end token.
        kwargs: as for ``GPT2Tokenizer``.
    """

    def _complete(self, core: Tokenizer, settings: dict[str, Any]) -> None:
        from enfold.tokenizers import normalizers

        super()._complete(core, settings)
        core.normalizer = normalizers.NFC()


class BloomTokenizer(_BPETokenizer):
    """BLOOM's byte-level BPE, which is everything in its tokenizer.json."""

    default_tokens = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


class CohereTokenizer(_BPETokenizer):
    """Cohere's byte-level BPE, digit by digit, with its three kinds of chat templates."""

    default_tokens = {"unk_token": "<UNK>", "bos_token": "<BOS_TOKEN>", "eos_token": "<|END_OF_TURN_TOKEN|>"}
    padding_side = "left"
    default_add_bos = True

    def _complete(self, core: Tokenizer, settings: dict[str, Any]) -> None:
        from enfold.tokenizers import normalizers, pre_tokenizers

        super()._complete(core, settings)
        core.normalizer = normalizers.NFC()
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), core.pre_tokenizer]
        )

    def apply_tool_use_template(self, conversation: Any, tools: Any, **kwargs: Any) -> Any:
        """Apply the template "tool_use" to a conversation and the tools that the model may call."""
        return self.apply_chat_template(conversation, chat_template="tool_use", tools=tools, **kwargs)

    def apply_grounded_generation_template(
        self, conversation: Any, documents: Any, citation_mode: str = "accurate", **kwargs: Any
    ) -> Any:
        """Apply the template "rag" to a conversation and the documents that the answer cites."""
        return self.apply_chat_template(
            conversation, chat_template="rag", documents=documents, citation_mode=citation_mode, **kwargs
        )


class Qwen2Tokenizer(_BPETokenizer):
    """Qwen's byte-level BPE over composed characters, digit by digit."""

    default_tokens = {"unk_token": _END, "eos_token": _END, "pad_token": _END}
    words: ClassVar[str] = _QWEN2

    def _complete(self, core: Tokenizer, settings: dict[str, Any]) -> None:
        from enfold.tokenizers import Regex, normalizers, pre_tokenizers

        super()._complete(core, settings)
        core.normalizer = normalizers.NFC()
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(self.words), behavior="isolated", invert=False),
                pre_tokenizers.ByteLevel(
                    add_prefix_space=bool(settings.get("add_prefix_space", False)), use_regex=False
                ),
            ]
        )


class Qwen3_5Tokenizer(Qwen2Tokenizer):
    """Qwen 3.5's byte-level BPE: Qwen2's, with marks in the words of their letters."""

    words = _QWEN3_5


class RobertaTokenizer(_BPETokenizer):
    """RoBERTa's byte-level BPE: GPT-2's with ``<s> A </s>`` and ``<s> A </s></s> B </s>`` around.

    Args:
        trim_offsets: leave white space out of offsets.
        kwargs: as for ``GPT2Tokenizer``.
    """

    default_tokens = {**_BART, "mask_token": mask("<mask>")}

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        if built:
            from enfold.tokenizers import processors

            self._tokenizer.post_processor = processors.RobertaProcessing(
                (self.sep_token, self.sep_token_id),
                (self.cls_token, self.cls_token_id),
                trim_offsets=bool(settings.get("trim_offsets", True)),
                add_prefix_space=self.add_prefix_space,
            )
        elif "trim_offsets" in settings:
            step = self._tokenizer.post_processor
            if getattr(step, "trim_offsets", settings["trim_offsets"]) != settings["trim_offsets"]:
                step.trim_offsets = settings["trim_offsets"]
                self._tokenizer.post_processor = step


class BartTokenizer(RobertaTokenizer):
    """BART's byte-level BPE, which is RoBERTa's."""


class LongformerTokenizer(RobertaTokenizer):
    """Longformer's byte-level BPE, which is RoBERTa's."""


class MvpTokenizer(RobertaTokenizer):
    """MVP's byte-level BPE, which is RoBERTa's."""


class LEDTokenizer(RobertaTokenizer):
    """LED's byte-level BPE, which is RoBERTa's; ``pad`` also pads the global attention mask."""

    padded_fields: ClassVar[dict[str, int]] = {"global_attention_mask": -1}


class BlenderbotTokenizer(RobertaTokenizer):
    """Blenderbot's byte-level BPE: RoBERTa's, with the end token alone after every text."""

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        if built:
            self._surround("$A:0 {eos}:0", "$A:0 {eos}:0 $B:0")


class DebertaTokenizer(_BPETokenizer):
    """DeBERTa's byte-level BPE: GPT-2's with BERT's special tokens around."""

    model_input_names = ["input_ids", "attention_mask", "token_type_ids"]
    default_tokens = {
        "bos_token": "[CLS]",
        "eos_token": "[SEP]",
        "sep_token": "[SEP]",
        "cls_token": "[CLS]",
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "mask_token": "[MASK]",
    }
    single = "{cls}:0 $A:0 {sep}:0"
    pair = "{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1"


class CLIPTokenizer(_BPETokenizer):
    """CLIP's BPE: lower case, single digits, words that end in ``</w>``."""

    suffix = "</w>"
    model_unk = True
    default_tokens = {
        "unk_token": _END,
        "bos_token": "<|startoftext|>",
        "eos_token": _END,
        "pad_token": _END,
    }

    def _complete(self, core: Tokenizer, settings: dict[str, Any]) -> None:
        from enfold.tokenizers import Regex, normalizers, pre_tokenizers

        super()._complete(core, settings)
        core.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_CLIP), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        if built:
            from enfold.tokenizers import processors

            self._tokenizer.post_processor = processors.RobertaProcessing(
                (self.eos_token, self.eos_token_id),
                (self.bos_token, self.bos_token_id),
                trim_offsets=False,
                add_prefix_space=False,
            )

    def _after_decoding(self, text: str) -> str:
        return text.replace(self.suffix, " ").strip()


class OpenAIGPTTokenizer(_BPETokenizer):
    """The first GPT's BPE: BERT's words in lower case, which end in ``</w>``."""

    suffix = "</w>"
    model_unk = True
    default_tokens = {"unk_token": "<unk>"}

    def _complete(self, core: Tokenizer, settings: dict[str, Any]) -> None:
        from enfold.tokenizers import decoders, normalizers, pre_tokenizers

        core.normalizer = normalizers.BertNormalizer(lowercase=True)
        core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        core.decoder = decoders.BPEDecoder(suffix=self.suffix)


class HerbertTokenizer(_BPETokenizer):
    """HerBERT's BPE: BERT's words with their case and accents, which end in ``</w>``."""

    suffix = "</w>"
    model_unk = True
    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    default_tokens = {
        "cls_token": "<s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
        "sep_token": "</s>",
    }
    single = "{cls}:0 $A:0 {sep}:0"
    pair = "{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1"

    def _complete(self, core: Tokenizer, settings: dict[str, Any]) -> None:
        from enfold.tokenizers import decoders, normalizers, pre_tokenizers

        core.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
        core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        core.decoder = decoders.BPEDecoder(suffix=self.suffix)
