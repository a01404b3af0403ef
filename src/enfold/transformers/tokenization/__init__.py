"""Text to model inputs and back: tokenizers of checkpoints, their options, their chat templates. Loads no torch."""

from enfold.lazy import face
from enfold.transformers.tokenization.names import face_table

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".auto": ["AutoTokenizer", "TOKENIZER_MAPPING"],
        ".base": ["PreTrainedTokenizerBase"],
        ".batch": ["BatchEncoding", "CharSpan", "TokenSpan"],
        ".special": ["AddedToken", "SpecialTokensMixin=Vocabulary"],
        ".options": ["PaddingStrategy", "TensorType", "TruncationStrategy"],
        **{f".{module}": names for module, names in face_table().items()},
    },
)
