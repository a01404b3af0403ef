"""Where every tokenizer class lives: data, no code."""

from __future__ import annotations

__all__ = ["CLASSES", "face_table", "homes"]

# module → its classes; a class that has two names in the ecosystem ("BertTokenizer" and "BertTokenizerFast") is listed
# by the first
CLASSES: dict[str, tuple[str, ...]] = {
    "fast": ("PreTrainedTokenizerFast", "TokenizersBackend"),
    "wordpiece": (
        "BertTokenizer",
        "ConvBertTokenizer",
        "DPRContextEncoderTokenizer",
        "DPRQuestionEncoderTokenizer",
        "DPRReaderTokenizer",
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
    ),
    "byte_level": (
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
    ),
    "unigram": (
        "AlbertTokenizer",
        "BarthezTokenizer",
        "BertGenerationTokenizer",
        "BigBirdTokenizer",
        "CamembertTokenizer",
        "DebertaV2Tokenizer",
        "FNetTokenizer",
        "MT5Tokenizer",
        "PegasusTokenizer",
        "ReformerTokenizer",
        "RemBertTokenizer",
        "SiglipTokenizer",
        "T5Tokenizer",
        "VideoPrismTokenizer",
        "XGLMTokenizer",
        "XLMRobertaTokenizer",
        "XLNetTokenizer",
    ),
    "llama": ("CodeLlamaTokenizer", "GemmaTokenizer", "LlamaTokenizer", "Siglip2Tokenizer"),
    "translation": ("MBart50Tokenizer", "MBartTokenizer", "NllbTokenizer", "PLBartTokenizer", "SeamlessM4TTokenizer"),
    "two_files": ("M2M100Tokenizer", "MarianTokenizer", "SpeechT5Tokenizer"),
    "characters": ("ByT5Tokenizer", "CanineTokenizer", "MgpstrTokenizer", "PerceiverTokenizer"),
    "basic": ("BasicTokenizer", "WordpieceTokenizer"),
    "boxes": ("LayoutLMv2Tokenizer", "LayoutLMv3Tokenizer", "LayoutXLMTokenizer", "UdopTokenizer"),
    "continued": ("BlenderbotSmallTokenizer", "CTRLTokenizer"),
    "roformer": ("RoFormerTokenizer",),
    "esm": ("EsmTokenizer",),
    "ctc": ("ParakeetTokenizer", "Wav2Vec2CTCTokenizer", "Wav2Vec2CTCTokenizerOutput"),
    "tools": ("get_json_schema",),
    "python": ("PreTrainedTokenizer", "PythonBackend"),
    "whisper": ("WhisperTokenizer",),
}


def face_table() -> dict[str, list[str]]:
    """Return the table of a lazy face: module → names, with the "Fast" names as further names of the same classes.

    Example:
        >>> "BertTokenizerFast=BertTokenizer" in face_table()["wordpiece"]
        True
    """
    table = {}
    for module, names in CLASSES.items():
        fast = [f"{name}Fast={name}" for name in names if name.endswith("Tokenizer") and module not in SLOW_ONLY]
        table[module] = [*names, *fast]
    return table


# modules whose classes have no "Fast" name: they are written in Python
SLOW_ONLY: tuple[str, ...] = ("basic", "characters", "continued", "ctc", "esm", "python", "two_files")


def homes() -> dict[str, str]:
    """Return class name → module, for every name that a class has."""
    return {entry.split("=")[0]: module for module, entries in face_table().items() for entry in entries}
