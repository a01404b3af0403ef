"""Ready-made tokenizers: a model with the normalizer, pre-tokenizer, post-processor and decoder that belong to it."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".base_tokenizer": ["BaseTokenizer"],
        ".bert_wordpiece": ["BertWordPieceTokenizer"],
        ".byte_level_bpe": ["ByteLevelBPETokenizer"],
        ".char_level_bpe": ["CharBPETokenizer"],
        ".sentencepiece_bpe": ["SentencePieceBPETokenizer"],
        ".sentencepiece_unigram": ["SentencePieceUnigramTokenizer"],
    },
)
