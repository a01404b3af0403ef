"""What a program can do with texts, custom components and ready-made tokenizers; run by ours and by the peer."""

from __future__ import annotations

import importlib
import inspect
import random
from collections.abc import Callable
from typing import Any

MODULES = ("", "models", "normalizers", "pre_tokenizers", "processors", "decoders", "trainers", "implementations")
TEXTS = ["", "a", "Héllo wörld", "  ｆｕｌｌ ﬁne  ", "ǆ ß İstanbul", "日本 e\u0301x", "aXXa X", "a\tb\nc", "👍🏽 x"]


def surface(package: str) -> dict[str, list[str]]:
    """Every class and function, and the members of every class."""
    found: dict[str, list[str]] = {}
    for name in MODULES:
        module = importlib.import_module(f"{package}.{name}" if name else package)
        for key in dir(module):
            value = getattr(module, key)
            if key.startswith("_") or not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            members = [member for member in dir(value) if not member.startswith("_")] if inspect.isclass(value) else []
            found[f"{name}.{key}"] = members
    return found


def said(call: Callable[[], Any]) -> Any:
    """What a call returns; for an error, only that there is one."""
    try:
        value = call()
    except Exception:
        return "error"
    return value if isinstance(value, int | str | bool | list | type(None)) else repr(value)


def _operations(tokenizers: Any) -> list[tuple[str, Callable[[Any], Any]]]:
    regex = tokenizers.Regex
    return [
        *[
            (name, lambda text, name=name: getattr(text, name)())
            for name in ("nfc", "nfd", "nfkc", "nfkd", "lowercase", "uppercase", "strip", "lstrip", "rstrip", "clear")
        ],
        ("prepend", lambda text: text.prepend("éx")),
        ("append", lambda text: text.append("xé")),
        ("map", lambda text: text.map(lambda char: "é" if char == "X" else char)),
        ("filter", lambda text: text.filter(lambda char: char not in "aé ")),
        ("replace", lambda text: text.replace("X", "long")),
        ("replace regex", lambda text: text.replace(regex("X+"), "")),
    ]


def strings(tokenizers: Any) -> dict[str, Any]:
    """NormalizedString: chains of operations, slices, splits, and the offsets they lead to."""
    made: dict[str, Any] = {}
    random.seed(5)
    operations = _operations(tokenizers)
    for number in range(300):
        given = random.choice(TEXTS[1:])
        chain = random.choices(operations, k=random.randint(1, 4))
        text = tokenizers.PreTokenizedString(given)

        def run(part: Any, chain: Any = chain) -> None:
            for _, operation in chain:
                operation(part)

        text.split(lambda i, part: part.split(" ", "merged_with_next"))
        text.normalize(run)
        splits = text.get_splits()
        text.tokenize(lambda word: [tokenizers.Token(1, "x", (at, at + 1)) for at in range(len(word.encode()))])
        key = f"{number}: {given!r} {[name for name, _ in chain]}"
        made[key] = [
            repr([split[:2] for split in splits]),
            [
                repr([split[:2] for split in text.get_splits(one, two)])
                for one in ("original", "normalized")
                for two in ("char", "byte")
            ],
            repr(text.to_encoding().offsets),
        ]
        whole = tokenizers.NormalizedString(given)
        run(whole)
        made[key].append(repr(whole))
        for index in (0, 2, -1, -3, (1, 3), (0, 0), (3, 1), slice(1, None), slice(None, -2), slice(2, 2), 50):
            made[key].append(said(lambda index=index, whole=whole: repr(whole[index])))
        for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
            made[key].append(said(lambda behavior=behavior, whole=whole: repr(whole.split("X", behavior))))
            made[key].append(
                said(lambda behavior=behavior, whole=whole: repr(whole.split(tokenizers.Regex("[aX]+"), behavior)))
            )
            for pattern in ("", "X*", r"\\b", "(?=a)", "a|$"):
                made[key].append(
                    said(lambda b=behavior, p=pattern, whole=whole: repr(whole.split(tokenizers.Regex(p), b)))
                )
    return made


class Shout:
    def normalize(self, text: Any) -> None:
        text.nfkd()
        text.uppercase()


class Commas:
    def pre_tokenize(self, text: Any) -> None:
        text.split(lambda i, part: part.split(",", "removed"))
        text.normalize(lambda part: part.lstrip())


class Dashes:
    def decode_chain(self, tokens: list[str]) -> list[str]:
        return ["-".join(tokens)]


class Given:
    def __init__(self, tokenizers: Any) -> None:
        self.token = tokenizers.Token

    def pre_tokenize(self, text: Any) -> None:
        text.split(lambda i, part: part.split(" ", "removed"))
        text.tokenize(lambda word: [self.token(7, word, (0, 1)), self.token(8, "q", (0, len(word.encode())))])


def custom(tokenizers: Any) -> dict[str, Any]:
    """Custom components, alone and in a tokenizer."""
    made: dict[str, Any] = {}
    normalizers, pre_tokenizers, decoders = tokenizers.normalizers, tokenizers.pre_tokenizers, tokenizers.decoders
    shout = normalizers.Normalizer.custom(Shout())
    commas = pre_tokenizers.PreTokenizer.custom(Commas())
    vocab = {"[UNK]": 0, "A": 1, "HELLO": 2, "FINE": 3}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.add_tokens(["+"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), shout])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([commas, pre_tokenizers.WhitespaceSplit()])
    tokenizer.decoder = decoders.Decoder.custom(Dashes())
    texts = ["", "a, hello", "ﬁne,héllo + a", "日本,ﬁne ﬁne", "a+a,+"]
    for text in texts:
        encoding = tokenizer.encode(text)
        made[text] = [encoding.ids, encoding.tokens, repr(encoding.offsets), encoding.word_ids]
        made[f"{text} alone"] = [shout.normalize_str(text), repr(commas.pre_tokenize_str(text))]
    made["batch"] = [encoding.ids for encoding in tokenizer.encode_batch(texts * 20)]
    made["decode"] = tokenizer.decode([1, 2])
    for name in ("to_str", "__getstate__"):
        made[name] = said(getattr(tokenizer, name))
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(Given(tokenizers))
    encoding = tokenizer.encode("hé + wörld a")
    made["given"] = [encoding.ids, encoding.tokens, repr(encoding.offsets), encoding.word_ids]
    return made


def ready_made(tokenizers: Any) -> dict[str, Any]:
    """The implementations: their files, their repr, what they encode."""
    vocab = {
        token: id for id, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hey", "##y", "h", "."])
    }
    chars = {token: id for id, token in enumerate(["<unk>", "h", "e", "y", "he", "hey", "y</w>", "▁", "Ġ", "▁he"])}
    merges = [("h", "e"), ("he", "y"), ("▁", "he")]
    made: dict[str, Any] = {}
    options: list[tuple[str, Any]] = [
        ("bert", tokenizers.BertWordPieceTokenizer(vocab)),
        ("bert options", tokenizers.BertWordPieceTokenizer(vocab, lowercase=False, strip_accents=True)),
        ("bert empty", tokenizers.BertWordPieceTokenizer()),
        ("bytes", tokenizers.ByteLevelBPETokenizer(chars, merges)),
        (
            "bytes options",
            tokenizers.ByteLevelBPETokenizer(
                chars, merges, add_prefix_space=True, lowercase=True, unicode_normalizer="nfkc", trim_offsets=True
            ),
        ),
        ("chars", tokenizers.CharBPETokenizer({**chars}, merges)),
        (
            "chars options",
            tokenizers.CharBPETokenizer(
                chars, merges, lowercase=True, unicode_normalizer="nfd", split_on_whitespace_only=True, suffix=""
            ),
        ),
        ("sentencepiece", tokenizers.SentencePieceBPETokenizer(chars, merges)),
        (
            "sentencepiece options",
            tokenizers.SentencePieceBPETokenizer(chars, merges, add_prefix_space=False, fuse_unk=True),
        ),
        ("unigram", tokenizers.SentencePieceUnigramTokenizer([("<unk>", 0.0), ("▁", -1.0), ("hey", -2.5)])),
    ]
    for name, tokenizer in options:
        made[name] = [
            said(tokenizer.to_str),
            repr(tokenizer),
            tokenizer.get_vocab_size(),
            tokenizer.normalize("Hé  y") if name != "bytes" else "",
        ]
        for text in ("hey", "Hey. héy  hey", ""):
            if name != "bert empty":
                made[name].append(said(lambda text=text, tokenizer=tokenizer: tokenizer.encode(text).tokens))
    return made


def odd_inputs(tokenizers: Any) -> dict[str, Any]:
    """Inputs of other kinds, ids out of range, settings that make no sense: the result, or that there is an error."""
    import numpy

    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made: dict[str, Any] = {}
    made["nul"] = said(lambda: core.encode("a \0 b").ids)
    for name, value in {"surrogate": "a\ud800", "bytes": b"a", "int": 3, "None": None, "list": ["a", "b"]}.items():
        made[name] = said(lambda value=value: core.encode(value).ids)
        made[f"batch {name}"] = said(lambda value=value: [one.ids for one in core.encode_batch([value])])
        made[f"words {name}"] = said(lambda value=value: core.encode([value], is_pretokenized=True).ids)
    pairs = [["a", "b"], (["a"], ["b"]), [["a"], ["b"]], ("a", "b"), ("a", "b", "a")]
    made["word pairs"] = [one.type_ids for one in core.encode_batch(pairs, is_pretokenized=True)]
    for kind in ("U", "O"):
        array = numpy.array(["a b", "b"]).astype(kind)
        made[f"array {kind}"] = [one.ids for one in core.encode_batch(array)]
        made[f"element {kind}"] = core.encode(array[0]).ids
        made[f"rows {kind}"] = [one.type_ids for one in core.encode_batch(numpy.array([["a", "b"]]).astype(kind))]
    made["words O"] = core.encode(numpy.array(["a", "b"], dtype=object), is_pretokenized=True).ids
    for number in (-1, 2**32, 2**31, 2**64, True, numpy.int64(1), numpy.int32(1), 1.0, "1", None):
        made[f"id {number!r}"] = said(lambda number=number: core.id_to_token(number))
        made[f"model id {number!r}"] = said(lambda number=number: core.model.id_to_token(number))
        made[f"decode one {number!r}"] = said(lambda number=number: core.decode([number]))
        made[f"decode batch {number!r}"] = said(lambda number=number: core.decode_batch([[0], [number]]))
        made[f"stream {number!r}"] = said(lambda number=number: tokenizers.decoders.DecodeStream().step(core, number))
        made[f"stream of {number!r}"] = said(
            lambda number=number: tokenizers.decoders.DecodeStream([number]).step(core, 0)
        )
    for ids in ((0, 1), numpy.array([0, 1]), [True], [numpy.int32(1)], 0, None, "ab", [[0]], [2**31], [1.0]):
        made[f"decode {ids!r}"] = said(lambda ids=ids: core.decode(ids))
    made["added"] = said(lambda: core.add_tokens(["x", tokenizers.AddedToken("y"), "x", ""]))
    made["added text"] = said(lambda: core.add_tokens("xy"))
    made["added int"] = said(lambda: core.add_tokens([3]))
    made["AddedToken"] = repr(
        [tokenizers.AddedToken(), tokenizers.AddedToken(None), tokenizers.AddedToken("a", lstrip=True)]
    )
    for name in ("max_length", "stride"):
        made[f"negative {name}"] = said(lambda name=name: core.enable_truncation(**{"max_length": 3, name: -1}))
    made["negative pad"] = said(lambda: core.enable_padding(pad_id=-1))
    made["direction"] = said(lambda: core.enable_truncation(3, direction="up"))
    core.enable_truncation(3, stride=1)
    core.enable_padding(length=5)
    made["repr"] = repr(core)
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder", "model"):
        made[f"set {name}"] = said(lambda name=name: setattr(core, name, 3))
    made["wrong part"] = said(lambda: setattr(core, "post_processor", tokenizers.normalizers.NFC()))
    return made


def files(tokenizers: Any) -> dict[str, Any]:
    """Files that are broken in one place: whether they load, and what they encode."""
    import json

    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    base = core.to_str()
    token = {
        "id": 3,
        "content": "x",
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    changes: dict[str, dict[str, Any]] = {
        "same": {},
        "version": {"version": "2.0"},
        "version number": {"version": 1.0},
        "added text": {"added_tokens": "x"},
        "added null": {"added_tokens": None},
        "added without id": {"added_tokens": [{"content": "x"}]},
        "added twice": {"added_tokens": [token, token]},
        "added elsewhere": {"added_tokens": [{**token, "id": 400}]},
        "no model": {"model": None},
        "unknown model": {"model": {"type": "Foo"}},
        "no type": {"model": {"vocab": {"a": 0, "b": 1, "[UNK]": 2}, "unk_token": "[UNK]"}},
        "same ids": {"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 0, "[UNK]": 1}, "unk_token": "[UNK]"}},
        "gaps": {"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 5, "[UNK]": 1}, "unk_token": "[UNK]"}},
        "no vocab": {"model": {"type": "WordLevel", "unk_token": "[UNK]"}},
        "unknown missing": {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}},
        "sequence of none": {"normalizer": {"type": "Sequence"}},
        "sequence of a number": {"normalizer": {"type": "Sequence", "normalizers": 3}},
        "normalizer text": {"normalizer": "NFC"},
        "normalizer unknown": {"normalizer": {"type": "Foo"}},
        "custom": {"normalizer": {"type": "Custom", "handle": 0}},
        "truncation text": {"truncation": {"max_length": "x"}},
        "truncation half": {"truncation": {"max_length": 2}},
        "truncation negative": {
            "truncation": {"max_length": -2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
        },
        "padding half": {"padding": {"strategy": "BatchLongest"}},
    }
    ids: dict[str, Any] = {"half": 0.5, "negative": -1, "text": "0", "too large": 2**33}
    for name, id in ids.items():
        changes[f"id {name}"] = {"model": {"type": "WordLevel", "vocab": {"a": id, "[UNK]": 1}, "unk_token": "[UNK]"}}
    made: dict[str, Any] = {}
    for name, change in changes.items():
        text = json.dumps({**json.loads(base), **change})
        made[name] = said(lambda text=text: tokenizers.Tokenizer.from_str(text).encode("a zz b").ids)
    nested = base.replace(
        '"normalizer":null', '"normalizer":' + '{"type":"Sequence","normalizers":[' * 3000 + "]}" * 3000
    )
    for name, text in {
        "nested": nested,
        "brackets": "[" * 100_000,
        "cut": base[:200],
        "empty": "",
        "huge": base.replace(":2}", ":1e999}"),
    }.items():
        made[name] = said(lambda text=text: tokenizers.Tokenizer.from_str(text).encode("a").ids)
    vocab = '"vocab":{"a":0,"b":1,"[UNK]":2}'
    for number, twice in enumerate(['{"a":5,"a":0,"b":1,"[UNK]":2}', '{"a":0,"a":5,"b":1,"[UNK]":2}']):

        def twice_there(text: str = base.replace(vocab, f'"vocab":{twice}')) -> list[Any]:
            read = tokenizers.Tokenizer.from_str(text)
            return [read.encode("a b").ids, read.get_vocab_size(), read.to_str(), read.id_to_token(0), read.decode([5])]

        made[f"same token {number}"] = said(twice_there)
    for number, scores in enumerate([(-1.0, -0.5), (-0.5, -1.5)]):

        def twice_a_piece(scores: tuple[float, float] = scores) -> list[Any]:
            pieces = [("<unk>", 0.0), ("a", scores[0]), ("b", -1.0), ("a", scores[1])]
            read = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, 0, False))
            return [read.encode("aab").ids, read.get_vocab_size(), len(read.get_vocab()), read.decode([1, 3])]

        made[f"same piece {number}"] = said(twice_a_piece)
    return made


def everything(package: str) -> dict[str, Any]:
    """All of it, for the package of a name."""
    tokenizers = importlib.import_module(package)
    for name in MODULES[1:]:
        importlib.import_module(f"{package}.{name}")
    return {
        "surface": surface(package),
        "strings": strings(tokenizers),
        "custom": custom(tokenizers),
        "ready made": ready_made(tokenizers),
        "odd inputs": odd_inputs(tokenizers),
        "files": files(tokenizers),
    }
