"""Text to model inputs and back: tokenizers of checkpoints, their options, their chat templates. Loads no torch."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".auto": ["AutoTokenizer", "TOKENIZER_MAPPING"],
        ".base": ["PreTrainedTokenizerBase"],
        ".batch": ["BatchEncoding", "CharSpan", "TokenSpan"],
        ".options": ["PaddingStrategy", "TensorType", "TruncationStrategy"],
        ".classes": [
            "BertTokenizer",
            "BertTokenizerFast",
            "DistilBertTokenizer",
            "DistilBertTokenizerFast",
            "GPT2Tokenizer",
            "GPT2TokenizerFast",
            "LlamaTokenizer",
            "LlamaTokenizerFast",
            "PreTrainedTokenizer",
            "PreTrainedTokenizerFast",
            "TokenizersBackend",
        ],
    },
)
