"""Texts and recordings for the tokenizer parity test; imported by our side and by the peer's alike."""

from __future__ import annotations

import random
from typing import Any

WORDS = (
    "the of and to in hello world Tokenizer running unbelievable it's I'll we've they're DON'T 'S don’t naïve café "
    "résumé Ünïcödé straße İstanbul ΑΒΓΔ ὀδυσσεύς Привет мир русский 中文分词 日本語テキスト 한국어 문장 العربية مرحبا "
    "हिन्दी नमस्ते ไทย สวัสดี 😀 👩‍👩‍👧 🇩🇪 \u00a0 \u2028 \u3000 ﬁ ① ½ ₂ x² 1234567890 3.14 100,000 foo_bar foo@bar.com "
    "https://x.y/z?q=1 <s> </s> <unk> [MASK] [CLS]x <|endoftext|> a\u0301 e\u0301\u0323 q\u0307\u0323 \u0301 \u200d "
    "\ufeff \x00 \x07 \x7f \x85 \ufffd ▁ ▁▁ Ġ \t \n \r\n \n\n ' 's '' `` -- ... ?! #$% (a) {b} [c] \\ / ~ ^ | ꙮ 𝔘𝔫𝔦 𐍈 "
    "㍿ ﷺ Å Å ΐ ǆ ŉ ΰ"
).split(" ")
WORDS += [" ", "  ", "   ", "\n", " \n ", "\t\t"]
BLOCKS = [(32, 126), (0, 0x2FF), (0x300, 0x36F), (0x370, 0x1FFF), (0x2000, 0x33FF), (0x3400, 0xD7FF), (0xE000, 0xFFFF)]
BLOCKS += [(0x10000, 0x1FFFF), (0x20000, 0x10FFFF)]


def texts(count: int, seed: int = 0) -> list[str]:
    """Sentences in many scripts, random code points, and short alphabets that hit every rule."""
    draw = random.Random(seed)
    made = ["", " ", "  ", "\n", "a", " a", "a "]
    for _ in range(count):
        kind = draw.random()
        if kind < 0.6:
            gaps = [" ", " ", " ", "", "\n", "  "]
            made.append("".join(draw.choice(WORDS) + draw.choice(gaps) for _ in range(draw.randint(1, 25))))
        elif kind < 0.8:
            made.append("".join(chr(draw.randint(*draw.choice(BLOCKS))) for _ in range(draw.randint(1, 40))))
        else:
            made.append("".join(draw.choice("abc ABC'sd  t.,!?123\n\té中☃️") for _ in range(draw.randint(1, 60))))
    return made


def record(encoding: Any) -> list[Any]:
    """Everything that an encoding says."""
    return [
        encoding.ids,
        [list(span) for span in encoding.offsets],
        encoding.word_ids,
        encoding.special_tokens_mask,
        encoding.type_ids,
        encoding.attention_mask,
        encoding.tokens,
        encoding.sequence_ids,
        encoding.n_sequences,
        [record(part) for part in encoding.overflowing],
    ]


def vocabulary(tokenizer: Any, count: int) -> dict[str, Any]:
    """What a tokenizer with a real vocabulary makes of the texts."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    given = texts(count)
    encodings = tokenizer.encode_batch(given)
    return {
        "single": [record(encoding) for encoding in encodings],
        "decoded": [tokenizer.decode(encoding.ids) for encoding in encodings],
        "decoded whole": [tokenizer.decode(encoding.ids, skip_special_tokens=False) for encoding in encodings],
        "pairs": [record(e) for e in tokenizer.encode_batch(list(zip(given[:200], given[200:400], strict=True)))],
        "words": [record(tokenizer.encode(text.split(" "), is_pretokenized=True)) for text in given[:200]],
        "cut": [cut(tokenizer, index, given) for index in range(200)],
    }


def cut(tokenizer: Any, index: int, given: list[str]) -> Any:
    """One encoding under random truncation and padding; False where that is an error."""
    draw = random.Random(index)
    pair = given[index + 60][:40] if draw.random() < 0.4 else None
    length, direction = draw.randint(0, 12), draw.choice(["left", "right"])
    strategy = draw.choice(["longest_first", "longest_first", "only_first", "only_second"])
    stride = draw.choice([0, 0, 1, 2]) if length > 8 and pair is None else 0
    tokenizer.enable_truncation(length, stride=stride, direction=direction, strategy=strategy)
    tokenizer.no_padding()
    if draw.random() < 0.3:
        tokenizer.enable_padding(
            direction=draw.choice(["left", "right"]),
            length=draw.choice([None, 7, 20]),
            pad_to_multiple_of=draw.choice([None, 8]),
            pad_id=3,
            pad_token="<p>",
            pad_type_id=1,
        )
    try:
        return record(tokenizer.encode(given[index + 40][:60], pair))
    except Exception as error:
        assert "Truncation error" in str(error), error
        return False


def code_points(library: Any) -> dict[str, Any]:
    """Every scalar value between letters, a thousand to a text, normalized and cut by BERT's components."""
    bert, split = library.normalizers.BertNormalizer(), library.pre_tokenizers.BertPreTokenizer()
    scalars = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    given = ["a" + "b|a".join(scalars[at : at + 1000]) + "b" for at in range(0, len(scalars), 1000)]
    return {
        "normalized": [bert.normalize_str(text) for text in given],
        "cut": [[word for word, _ in split.pre_tokenize_str(text)] for text in given],
    }


def components(library: Any) -> dict[str, Any]:
    """What every component makes of texts on its own. ``library`` is the tokenizers package."""
    norm, pre, dec, proc = library.normalizers, library.pre_tokenizers, library.decoders, library.processors
    gpt2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    cl100k = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+"
    )
    normalizers = [
        norm.NFC(),
        norm.NFD(),
        norm.NFKC(),
        norm.NFKD(),
        norm.Lowercase(),
        norm.StripAccents(),
        norm.Strip(),
        norm.Strip(left=False),
        norm.Prepend("▁"),
        norm.Replace(" ", "▁"),
        norm.Replace("ab", "é"),
        norm.Replace("a", ""),
        norm.ByteLevel(),
        norm.BertNormalizer(),
        norm.BertNormalizer(lowercase=False),
        norm.BertNormalizer(strip_accents=False, clean_text=False),
        norm.Sequence([norm.NFD(), norm.StripAccents(), norm.Lowercase(), norm.Replace("a", "bb")]),
    ]
    behaviors = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    pre_tokenizers = [
        pre.ByteLevel(),
        pre.ByteLevel(add_prefix_space=False),
        pre.ByteLevel(use_regex=False),
        pre.BertPreTokenizer(),
        pre.Whitespace(),
        pre.WhitespaceSplit(),
        pre.Digits(),
        pre.Digits(individual_digits=True),
        pre.CharDelimiterSplit("a"),
        pre.FixedLength(3),
        *[
            pre.Metaspace(prepend_scheme=scheme, split=cut)
            for scheme in ("always", "first", "never")
            for cut in (True, False)
        ],
        *[pre.Punctuation(behavior) for behavior in behaviors],
        *[pre.Split("a", behavior, invert) for behavior in behaviors for invert in (False, True)],
        *[
            pre.Split(library.Regex(p), "isolated")
            for p in (gpt2, cl100k % "{1,3}", cl100k % "", r"\s+", r"\p{L}", r"\p{N}")
        ],
        pre.Split(library.Regex(r"\s"), "removed"),
        pre.Split(library.Regex(r"\s+"), "removed"),
        pre.Sequence([pre.WhitespaceSplit(), pre.Punctuation(), pre.Digits(True)]),
        pre.Sequence([pre.Split(library.Regex(cl100k % "{1,3}"), "isolated"), pre.ByteLevel(False, use_regex=False)]),
    ]
    decoders = [
        dec.ByteLevel(),
        dec.WordPiece(),
        dec.WordPiece("▁", False),
        dec.Metaspace(),
        dec.Metaspace(prepend_scheme="never"),
        dec.BPEDecoder("d"),
        dec.CTC(),
        dec.ByteFallback(),
        dec.Fuse(),
        dec.Strip("a", 2, 0),
        dec.Strip("b", 0, 2),
        dec.Replace("ab", "x"),
        dec.Sequence([dec.Replace("▁", " "), dec.ByteFallback(), dec.Fuse(), dec.Strip(" ", 1, 0)]),
    ]
    processors = [
        proc.ByteLevel(),
        proc.BertProcessing(("[SEP]", 2), ("[CLS]", 1)),
        proc.RobertaProcessing(("</s>", 2), ("<s>", 1)),
        proc.RobertaProcessing(("</s>", 2), ("<s>", 1), trim_offsets=False),
        proc.TemplateProcessing("<s> $A </s>", "<s> $A:3 </s>:1 $B:2 </s>", [("<s>", 1), ("</s>", 2)]),
        proc.TemplateProcessing("$0 <e>", "$B $A", [{"id": "<e>", "ids": [4, 5], "tokens": ["e1", "e2"]}]),
        proc.Sequence([proc.ByteLevel(), proc.TemplateProcessing("<s> $A", "<s> $A $B:1", [("<s>", 1)])]),
    ]
    given = texts(150, seed=5)
    pieces = ["<0xE4>", "<0xB8>", "<0xAD>", "<0xFF>", "##a", "▁b", "ab", "a", " .", "Ġ", "é", "<pad>", "|", "d", "n't"]
    draw = random.Random(3)
    tokens = [[draw.choice(pieces) for _ in range(draw.randint(0, 8))] for _ in range(150)]
    made: dict[str, Any] = {}
    for normalizer in normalizers:
        made[f"normalize {normalizer}"] = [normalizer.normalize_str(text) for text in given]
    for index, pre_tokenizer in enumerate(pre_tokenizers):
        words = [pre_tokenizer.pre_tokenize_str(text) for text in given]
        made[f"cut {index} {str(pre_tokenizer)[:40]}"] = [[[word, list(span)] for word, span in row] for row in words]
    for decoder in decoders:
        made[f"decode {decoder}"] = [decoder.decode(row) for row in tokens]
    for processor in processors:
        for special in (True, False):
            made[f"process {processor} {special}"] = process(library, processor, special, given[:60])
    made |= pipelines(library, normalizers, given[:100])
    return made


def process(library: Any, processor: Any, special: bool, given: list[str]) -> list[Any]:
    """Encodings of one and two sequences, with overflowing parts, under a post-processor."""
    vocab = {token: index for index, token in enumerate(sorted(library.pre_tokenizers.ByteLevel.alphabet()), 10)}
    tokenizer = library.Tokenizer(library.models.BPE(vocab, []))
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel()
    tokenizer.post_processor = processor
    made = [record(tokenizer.encode(text, add_special_tokens=special)) for text in given]
    made += [record(tokenizer.encode(text[:9], text[:7], add_special_tokens=special)) for text in given]
    tokenizer.enable_truncation(8)
    made += [record(tokenizer.encode(text[:20], add_special_tokens=special)) for text in given]
    made += [record(tokenizer.encode(text[:9], "ab", add_special_tokens=special)) for text in given]
    return [*made, processor.num_special_tokens_to_add(False), processor.num_special_tokens_to_add(True)]


def pipelines(library: Any, normalizers: list[Any], given: list[str]) -> dict[str, Any]:
    """Whole tokenizers of odd build: every normalizer's offsets, added tokens of every kind, unknown characters."""
    models, token = library.models, library.AddedToken
    letters = {char: index for index, char in enumerate("[]abcdefgihjklmnoprstuvxyz ▁.,'12é中", 3)}
    vocab = {"<unk>": 0, "ab": 1, "abc": 2, **letters}
    merges = [("a", "b"), ("ab", "c")]
    made: dict[str, Any] = {}
    for index, normalizer in enumerate(normalizers):
        options = [{}, {"unk_token": "<unk>"}, {"unk_token": "<unk>", "fuse_unk": True}, {"ignore_merges": True}][
            index % 4
        ]
        tokenizer = library.Tokenizer(models.BPE(vocab, merges, **options))
        tokenizer.normalizer = normalizer
        if index % 3 == 0:
            tokenizer.pre_tokenizer = library.pre_tokenizers.Whitespace()
        tokenizer.add_tokens([token("hello", single_word=True), token("A", normalized=True), token("b c", lstrip=True)])
        tokenizer.add_special_tokens([token("the", rstrip=True, lstrip=True), "é", token("world", normalized=True)])
        made[f"pipeline {normalizer}"] = [record(tokenizer.encode(text)) for text in given]
        tokenizer.encode_special_tokens = True
        made[f"pipeline plain {normalizer}"] = [tokenizer.encode(text).ids for text in given]
        made[f"file {normalizer}"] = tokenizer.to_str()
        made[f"pretty {normalizer}"] = tokenizer.to_str(pretty=True)
        added = {id: repr(item) for id, item in tokenizer.get_added_tokens_decoder().items()}
        made[f"vocabulary {normalizer}"] = [
            sorted(tokenizer.get_vocab().items()),
            tokenizer.get_vocab_size(),
            sorted(added.items()),
        ]
    words = {"[UNK]": 0, "a": 1, "##b": 2, "ab": 3, "##c": 4, "the": 5, "##1": 6, "中": 7, "é": 8, ".": 9}
    for model in (
        models.WordPiece(words, unk_token="[UNK]"),
        models.WordPiece(words, unk_token="[UNK]", max_input_chars_per_word=3),
        models.WordLevel(words, unk_token="[UNK]"),
        models.BPE({**vocab, "##b": 90, "##c": 91}, [("a", "##b")], continuing_subword_prefix="##", unk_token="<unk>"),
        models.BPE({**vocab, "b</w>": 90, "ab</w>": 91}, [("a", "b</w>")], end_of_word_suffix="</w>"),
        models.BPE({**vocab, **{f"<0x{b:02X}>": 100 + b for b in range(256)}}, merges, byte_fallback=True),
        models.BPE(
            {**vocab, **{f"<0x{b:02X}>": 100 + b for b in range(200)}}, merges, byte_fallback=True, unk_token="<unk>"
        ),
    ):
        tokenizer = library.Tokenizer(model)
        tokenizer.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
        made[f"model {model}"] = [record(tokenizer.encode(text)) for text in given]
        made[f"saved {model}"] = tokenizer.to_str()
    return made
