"""Tokenizers over the C++ core: the surface of `tokenizers`."""

from enfold.lazy import face

__version__ = "0.23.3"

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".tokenizer": ["Tokenizer", "TokenizerError"],
        ".added": ["AddedToken"],
        ".training": ["TrainingError"],
        ".component": ["Regex"],
        ".strings": ["NormalizedString", "PreTokenizedString", "Token"],
        ".implementations": [
            "BertWordPieceTokenizer",
            "ByteLevelBPETokenizer",
            "CharBPETokenizer",
            "SentencePieceBPETokenizer",
            "SentencePieceUnigramTokenizer",
        ],
        ".encoding": [
            "Encoding",
            "TokenColumn",
            "TextInputSequence",
            "PreTokenizedInputSequence",
            "TextEncodeInput",
            "PreTokenizedEncodeInput",
            "InputSequence",
            "EncodeInput",
            "OffsetReferential",
            "OffsetType",
            "SplitDelimiterBehavior",
            "Offsets",
        ],
    },
)
