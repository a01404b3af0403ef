"""Random texts that reach every corner of a tokenizer, and what an encoding says in eight bytes; used by both sides."""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from collections.abc import Iterator
from typing import Any

SENTENCES = (
    "The tokenizer reads what people write, and people don't write the way grammars say they should; isn't it so?",
    "We've paid $1,234.56 on 2024-02-29 at 07:05 — that's 12.5% more than I'd planned (or you'd, or they'll admit).",
    "分词器把文字切成小块，再把小块变成数字。今天天气很好，我们去公园散步，然后吃了三碗面条！",
    "トークナイザーは文章を小さな単位に分けます。東京タワーの高さは３３３メートルだそうですが、本当でしょうか？",
    "형태소 분석기는 문장을 작은 조각으로 나눕니다. 서울의 봄은 짧지만 아름답습니다!",
    "يقسم المحلل النص إلى وحدات صغيرة، ثم يحولها إلى أرقام. السَّلامُ عليكم، كيف حالك اليوم؟ ٣٫١٤",
    "टोकनाइज़र वाक्य को छोटे टुकड़ों में बाँटता है। क्या आप हिन्दी बोलते हैं? १२३४५",
    "המחשב קורא את הטקסט מימין לשמאל; שָׁלוֹם עוֹלָם, מה שלומך?",
    "Токенизатор делит текст на кусочки, ёлки-палки! Щука съела 25 карасей и №7 ещё хочет.",
    "Der Übermut der Straße: größer, höher, weiter – „Füße“ heißen auf Griechisch πόδια, ΌΣΟΣ ὀδυσσεύς.",
    "เราแบ่งข้อความออกเป็นหน่วยย่อย สวัสดีครับ วันนี้อากาศดี ๑๒๓",
    "def f(x: int) -> str:\n    return f'{x!r:>10}' if x >= 0xFF else \"\\t\" * x  # TODO(me): what's left?\n",
    "<div class=\"a-b\">&nbsp;{{ item.name|e }}</div>\r\n\tSELECT * FROM t WHERE a<>b AND c LIKE '%x_';",
    "for(int i=0;i<n;++i){a[i]^=b[i]&~c;}//ok\n\n\n    \t  if (!p) { return -1; }",
    "👩‍👩‍👧‍👦 went to 🇩🇪🇫🇷 with 👍🏽👍🏿 and ❤️‍🔥, ☃️☃ 1️⃣2️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 — lol 😂😂😂!!!",
    "∑ᵢ xᵢ² ≤ ½·∫₀^∞ ℯ^{-t} dt ≈ 3.0×10⁸ ㎏·m/s, Ⅷ ﬁne ﬂow ＦＵＬＬ ｗｉｄｔｈ ㍿ ﷺ ℃ Å Å ǆ ŉ ΰ ΐ 𝔘𝔫𝔦𝕔𝟘𝟙",
    "https://example.org/a%20b?q=1&r=ü#frag foo_bar.baz@qux-quux.co.uk C:\\tmp\\x.txt v1.2.3-rc4+build.5",
    "▁▁ Ġ Ċ ## ##a <0x41> <0xE4> <0x0A> </w> <s> </s> <unk> <pad> [CLS] [SEP] [MASK] <|endoftext|> <extra_id_0>",
)
MARKS = "\u0300\u0301\u0308\u0323\u0327\u0489\u05b8\u0651\u093c\u094d\u0e49\u200d\u200c\ufe0f\u20e3\U0001f3fd"
SPACES = " \t\n\r\v\f\x1c\x1f\x85\xa0\u1680\u2000\u2003\u2009\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
ODD = "\x00\x01\x07\x08\x1b\x7f\x80\x9f\xad\u061c\u200e\u202e\u2066\ufff9\ufffc\ufffd\ufffe\uffff\ue000\U000e0001"
RANGES = [(0x20, 0x7E), (0x80, 0x24F), (0x250, 0x6FF), (0x700, 0x1FFF), (0x2000, 0x2FFF), (0x3000, 0x33FF)]
RANGES += [(0x3400, 0x9FFF), (0xA000, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x1FFFF), (0x20000, 0x10FFFF)]


def texts(count: int, seed: int, special: list[str]) -> Iterator[str]:
    """Yield ``count`` texts; ``special`` are strings that the tokenizer treats in a way of its own."""
    draw = random.Random(seed)
    for _ in range(count):
        parts: list[str] = []
        for _ in range(draw.choice((1, 1, 2, 3, 5))):
            parts.append(_part(draw, special))
            if draw.random() < 0.5:
                parts.append(draw.choice((" ", " ", "  ", "\n", draw.choice(SPACES), draw.choice(SPACES) * 3)))
        yield _mutated(draw, "".join(parts))


def _part(draw: random.Random, special: list[str]) -> str:
    kind = draw.random()
    if kind < 0.45:
        sentence = draw.choice(SENTENCES)
        begin = draw.randrange(len(sentence))
        return sentence[begin : begin + draw.choice((3, 8, 20, 60))]
    if kind < 0.55:
        return "".join(draw.choice((" ", "")) + draw.choice(draw.choice(SENTENCES).split()) for _ in range(4))
    if kind < 0.65:
        return "".join(chr(draw.randint(*draw.choice(RANGES))) for _ in range(draw.randint(1, 12)))
    if kind < 0.72:
        return draw.choice("aZé中1 .\n'-_✓が") * draw.choice((2, 3, 7, 16, 33, 100))
    if kind < 0.8:
        return "".join(draw.choice("ab 1.'\n中é") for _ in range(draw.randint(1, 20)))
    if kind < 0.85:
        return "".join(draw.choice(SPACES + ODD + MARKS) for _ in range(draw.randint(1, 5)))
    if kind < 0.93 and special:
        token = draw.choice(special)
        return draw.choice((token, token.lower(), token[:-1], f"a{token}b", f" {token} ", token * 2))
    return str(draw.randint(0, 10 ** draw.randint(1, 20)))


def _mutated(draw: random.Random, text: str) -> str:
    kind = draw.random()
    if kind < 0.1 and text:
        at = draw.randrange(len(text))
        return text[:at] + draw.choice(MARKS + ODD + SPACES) + text[at:]
    if kind < 0.2:
        return draw.choice((str.upper, str.lower, str.title, str.swapcase))(text)
    if kind < 0.3:
        return unicodedata.normalize(draw.choice(("NFC", "NFD", "NFKC", "NFKD")), text)
    if kind < 0.33:
        return text[::-1]
    return text


def special_strings(tokenizer: Any) -> list[str]:
    """Return the added tokens of a tokenizer, a few dozen at most."""
    found = sorted({token.content for token in tokenizer.get_added_tokens_decoder().values()})
    return found[:: max(1, len(found) // 40)]


def digest(encoding: Any) -> str:
    """Return eight bytes, as text, of everything an encoding says about its tokens."""
    said = [encoding.ids, encoding.offsets, encoding.word_ids, encoding.special_tokens_mask, encoding.type_ids]
    return hashlib.blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()


def digests(tokenizer: Any, count: int, seed: int) -> list[str]:
    """Return the digests of ``count`` texts."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    given = list(texts(count, seed, special_strings(tokenizer)))
    return [digest(encoding) for encoding in tokenizer.encode_batch(given)]
