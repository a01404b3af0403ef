"""Small tokenizers of our own making."""

from __future__ import annotations

from enfold.tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

WORDS = "hello world how are you the cat sat on mat token izer ##s ##ing ##er un ##able run ##n".split()
WORDS += "! ? , . ' a b c ##c é".split()


def bert() -> Tokenizer:
    vocab = {token: id for id, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    return tokenizer


def byte_level(add_prefix_space: bool = False) -> Tokenizer:
    merges = [
        ("h", "e"),
        ("l", "l"),
        ("he", "ll"),
        ("hell", "o"),
        ("Ġ", "w"),
        ("o", "r"),
        ("Ġ", "t"),
        ("Ġt", "he"),
        ("Ã", "©"),
    ]
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *[left + right for left, right in merges]]
    tokenizer = Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def sentencepiece() -> Tokenizer:
    merges = [
        ("▁", "t"),
        ("h", "e"),
        ("▁t", "he"),
        ("▁", "a"),
        ("l", "l"),
        ("he", "ll"),
        ("hell", "o"),
        ("▁", "hello"),
        ("▁", "▁"),
    ]
    tokens = ["<unk>", "<s>", *[f"<0x{byte:02X}>" for byte in range(256)], *"▁abcdefghilmnoprstuvwy.,"]
    tokens += [left + right for left, right in merges]
    model = models.BPE(
        {token: id for id, token in enumerate(tokens)}, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A $B:1", [("<s>", 1)])
    tokenizer.add_special_tokens(["<unk>", "<s>"])
    return tokenizer


ALL = {"bert": bert, "byte_level": byte_level, "sentencepiece": sentencepiece}
