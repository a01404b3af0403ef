"""Trainings with many options on many kinds of text; run by our side and by the peer's alike."""

from __future__ import annotations

import json
import random
from typing import Any

WORDS = (
    "the of and to in hello world tokenizer running unbelievable it's I'll we've they're naïve café résumé straße "
    "Привет мир русский 中文分词 日本語テキスト 한국어 문장 العربية हिन्दी 😀 👩‍👩‍👧 🇩🇪 ① x² 1234567890 3.14 foo_bar "
    "def return self.value self.values lambda x: (a, b) == != [i] {k: v} ## #x <s> </s> ▁ \t  \n"
).split(" ")


def texts() -> dict[str, list[str]]:
    """Corpora by name."""
    draw = random.Random(5)
    mixed = [" ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 12))) + "\n" for _ in range(150)]
    english = (
        "The quick brown fox jumps over the lazy dog. It was the best of times, it was the worst of times; "
        "he said that she'd have to go, wouldn't she? Numbers like 1984 and 2001 are years.\n"
    ).split(". ") * 3
    chinese = [
        "机器学习是人工智能的一个分支。深度学习是机器学习的一个分支。",
        "自然语言处理，分词，词表。",
        "中文，中文！",
    ]
    code = ["def add(a, b):\n    return a + b\n\n\nclass Foo(Bar):\n    def __init__(self):\n        self.x = 1\n"] * 2
    return {
        "mixed": mixed,
        "english": english,
        "chinese": chinese,
        "code": code,
        "ties": ["".join(draw.choice("abc ") for _ in range(60)) for _ in range(40)],
        "two letters": ["".join(draw.choice("ab") for _ in range(25)) for _ in range(60)],
        "runs": ["aaaaaaaa aaa aaaa bbbbbb aabb abab ababab", "aaaaaaaaaaaaaaaaaaaaa"],
        "few": ["", " ", "a", "\x00a\x00b"],
    }


def pre_tokenizers(lib: Any) -> dict[str, Any]:
    pre = lib.pre_tokenizers
    return {
        "none": None,
        "whitespace": pre.Whitespace(),
        "whitespace split": pre.WhitespaceSplit(),
        "byte level": pre.ByteLevel(add_prefix_space=False),
        "byte level, prefix": pre.ByteLevel(add_prefix_space=True),
        "metaspace": pre.Metaspace(),
        "metaspace, never": pre.Metaspace(prepend_scheme="never"),
        "metaspace, whole": pre.Metaspace(split=False),
        "bert": pre.BertPreTokenizer(),
        "sequence": pre.Sequence([pre.WhitespaceSplit(), pre.Punctuation(), pre.Digits(individual_digits=True)]),
    }


def tokenizer(lib: Any, model: Any, pre_tokenizer: Any, normalizer: Any = None) -> Any:
    made = lib.Tokenizer(model)
    if pre_tokenizer is not None:
        made.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        made.normalizer = normalizer
    return made


BPE_OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"vocab_size": 300},
    "all": {"vocab_size": 100_000},
    "frequent": {"vocab_size": 400, "min_frequency": 3},
    "special": {"vocab_size": 200, "special_tokens": ["<s>", "</s>", "a", "<s>"]},
    "alphabet": {"vocab_size": 150, "initial_alphabet": ["z", "é", "Q", "zz"]},
    "small": {"vocab_size": 3},
    "short": {"vocab_size": 500, "max_token_length": 4},
    "tiny": {"vocab_size": 500, "max_token_length": 1},
    "three": {"vocab_size": 500, "max_token_length": 3},
}


def bpe(lib: Any) -> dict[str, Any]:
    """The tokenizer.json after every training."""
    made = {}
    for name, corpus in texts().items():
        for kind, pre_tokenizer in pre_tokenizers(lib).items():
            for option, values in BPE_OPTIONS.items():
                if kind != "whitespace" and kind != "none" and option not in ("all", "short", "special"):
                    continue
                trained = tokenizer(lib, lib.models.BPE(unk_token="<unk>"), pre_tokenizer)
                trained.train_from_iterator(corpus, lib.trainers.BpeTrainer(show_progress=False, **values))
                made[f"{name}, {kind}, {option}"] = trained.to_str()
    return made


def wordpiece(lib: Any, starts: dict[str, list[str]] | None) -> dict[str, Any]:
    """WordPiece and BPE with prefix or suffix. ``starts``: the first tokens of every training, in their order."""
    made: dict[str, Any] = {"starts": {}, "trained": {}}
    corpora = texts()
    for name in ("mixed", "english", "chinese", "code", "ties", "two letters", "runs"):
        for kind in ("whitespace", "bert", "none"):
            for option, values in {
                "wordpiece": {},
                "wordpiece, suffix": {"end_of_word_suffix": "</w>"},
                "bpe, prefix": {"continuing_subword_prefix": "##"},
                "bpe, suffix": {"end_of_word_suffix": "</w>"},
                "bpe, both": {"continuing_subword_prefix": "@@", "end_of_word_suffix": "</w>", "max_token_length": 6},
            }.items():
                key = f"{name}, {kind}, {option}"
                words = option.startswith("wordpiece")

                def train(specials: list[str], size: int, words: bool = words, values: dict[str, Any] = values) -> Any:
                    model = lib.models.WordPiece(unk_token="[UNK]") if words else lib.models.BPE()
                    trainer = lib.trainers.WordPieceTrainer if words else lib.trainers.BpeTrainer
                    trained = tokenizer(lib, model, pre_tokenizers(lib)[kind])  # noqa: B023
                    trained.train_from_iterator(
                        corpora[name],  # noqa: B023
                        trainer(show_progress=False, vocab_size=size, special_tokens=specials, **values),
                    )
                    return trained

                if starts is None:
                    # A vocabulary that is full at once: nothing but the first tokens.
                    model = json.loads(train(["[UNK]"], 1).to_str())["model"]
                    start = sorted(model["vocab"], key=model["vocab"].__getitem__)
                    made["starts"][key] = start
                else:
                    start = starts[key]
                for size in (len(start) + 40, 5000):
                    made["trained"][f"{key}, {size}"] = json.loads(train(start, size).to_str())["model"]
    return made


def others(lib: Any) -> dict[str, Any]:
    """WordLevel, options of models, added tokens, files' kinds of input."""
    made: dict[str, Any] = {}
    for name, corpus in texts().items():
        for option, values in {
            "plain": {},
            "few": {"vocab_size": 5, "special_tokens": ["[UNK]", "the"]},
            "frequent": {"min_frequency": 2},
        }.items():
            trained = tokenizer(lib, lib.models.WordLevel(unk_token="[UNK]"), lib.pre_tokenizers.Whitespace())
            trained.train_from_iterator(corpus, lib.trainers.WordLevelTrainer(show_progress=False, **values))
            made[f"word level, {name}, {option}"] = [trained.get_vocab(), trained.to_str() if name != "few" else ""]
    corpus = texts()["english"]
    model = lib.models.BPE(dropout=0.5, unk_token="u", fuse_unk=True, byte_fallback=True, end_of_word_suffix="x")
    trained = tokenizer(lib, model, lib.pre_tokenizers.Whitespace(), lib.normalizers.Lowercase())
    trained.add_tokens(["old", "the"])
    trained.add_special_tokens(["sp"])
    special = ["<s>", lib.AddedToken("</s>", lstrip=True), lib.AddedToken("best", normalized=True)]
    trained.train_from_iterator(
        corpus, lib.trainers.BpeTrainer(show_progress=False, special_tokens=special, vocab_size=60)
    )
    made["options"] = [
        trained.to_str(),
        model.unk_token,
        model.end_of_word_suffix,
        trained.encode("the times").tokens != [],
    ]
    trained.train_from_iterator(
        [corpus, corpus[:2]], lib.trainers.BpeTrainer(show_progress=False, special_tokens=["n"])
    )
    made["again"] = trained.to_str()
    bert = tokenizer(
        lib, lib.models.BPE(), lib.pre_tokenizers.BertPreTokenizer(), lib.normalizers.BertNormalizer(strip_accents=True)
    )
    bert.train_from_iterator(texts()["mixed"], lib.trainers.BpeTrainer(show_progress=False, vocab_size=500))
    made["bert normalizer"] = bert.to_str()
    nfkc = tokenizer(
        lib,
        lib.models.BPE(),
        lib.pre_tokenizers.WhitespaceSplit(),
        lib.normalizers.Sequence([lib.normalizers.NFKC(), lib.normalizers.Lowercase(), lib.normalizers.Strip()]),
    )
    nfkc.train_from_iterator(texts()["mixed"], lib.trainers.BpeTrainer(show_progress=False, vocab_size=500))
    made["nfkc"] = nfkc.to_str()
    made["shown"] = [
        repr(trainer)
        for trainer in (
            lib.trainers.BpeTrainer(),
            lib.trainers.BpeTrainer(
                special_tokens=["a", lib.AddedToken('"b', rstrip=True)], limit_alphabet=3, initial_alphabet=["é"],
                continuing_subword_prefix="##", max_token_length=7, progress_format="json",
            ),
            lib.trainers.WordPieceTrainer(vocab_size=7),
            lib.trainers.WordLevelTrainer(min_frequency=3),
        )
    ]  # fmt: skip
    return made


def file(lib: Any, path: str) -> list[str]:
    """Training from a file, whose lines keep their ends."""
    made = []
    for pre_tokenizer in (None, lib.pre_tokenizers.ByteLevel(), lib.pre_tokenizers.Whitespace()):
        trained = tokenizer(lib, lib.models.BPE(), pre_tokenizer)
        trained.train([path], lib.trainers.BpeTrainer(show_progress=False, vocab_size=900))
        made.append(trained.to_str())
    return made


def unigram(lib: Any) -> dict[str, Any]:
    """Unigram trainings, with and without pruning."""
    made = {}
    for name, corpus in texts().items():
        for kind in ("whitespace", "metaspace", "none"):
            for option, values in {
                "plain": {},
                "seeds": {"n_sub_iterations": 0},
                "short": {"max_piece_length": 3, "n_sub_iterations": 1},
                "few": {"seed_size": 40},
                "special": {"special_tokens": ["<pad>", "<unk>"], "unk_token": "<unk>", "initial_alphabet": ["Z"]},
                "unk": {"unk_token": "[UNK]"},
                "pruned": {"vocab_size": 200},
                "pruned seeds": {"vocab_size": 180, "n_sub_iterations": 0, "shrinking_factor": 0.9},
            }.items():
                trained = tokenizer(lib, lib.models.Unigram(), pre_tokenizers(lib)[kind])
                trained.train_from_iterator(
                    corpus, lib.trainers.UnigramTrainer(show_progress=False, **{"vocab_size": 50_000, **values})
                )
                model = json.loads(trained.to_str())["model"]
                made[f"{name}, {kind}, {option}"] = [model["unk_id"], model["vocab"]]
    return made


def languages() -> dict[str, list[str]]:
    """Texts that say the same, and more of some than of others."""
    draw = random.Random(9)
    said = {
        "english": "the red house stands near the old river and the new bridge leads over it every morning",
        "german": "das rote Haus steht am alten Fluss und die neue Brücke führt jeden Morgen darüber hinweg",
        "greek": "το κόκκινο σπίτι στέκεται κοντά στο παλιό ποτάμι και η νέα γέφυρα το περνά κάθε πρωί",
        "hindi": "लाल घर पुरानी नदी के पास खड़ा है और नया पुल हर सुबह उसके ऊपर से जाता है",
    }
    made = {}
    for share, (name, text) in zip((60, 25, 12, 4), said.items(), strict=True):
        words = text.split()
        made[name] = [" ".join(draw.choice(words) for _ in range(9)) for _ in range(share)]
    return made


def parity(lib: Any) -> dict[str, Any]:
    """Trainings of one BPE for several languages."""
    texts = languages()
    train = list(texts.values())
    dev = [lines[:4] for lines in texts.values()]
    runs: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "own lengths": ({}, {}),
        "dev": ({}, {"dev_iterators": dev}),
        "ratio": ({}, {"ratio": [1.0, 1.1, 1.9, 2.6]}),
        "ratio of the trainer": ({"ratio": [2.0, 1.0, 1.0, 1.0]}, {}),
        "dev outranks ratio": ({}, {"dev_iterators": dev, "ratio": [9.0, 1.0, 1.0, 1.0]}),
        "global first": ({"global_merges": 30}, {"dev_iterators": dev}),
        "only global": ({"global_merges": 500}, {}),
        "window": ({"variant": "window", "window_size": 10, "alpha": 1.2}, {}),
        "window, dev": ({"variant": "window", "window_size": 7, "alpha": 2.0}, {"dev_iterators": dev}),
        "window, ratio": ({"variant": "window", "window_size": 4, "alpha": 1.0}, {"ratio": [4.0, 1.0, 1.0, 1.0]}),
        "frequent pairs": ({"min_frequency": 9}, {"dev_iterators": dev}),
        "characters count": ({"total_symbols": True}, {"dev_iterators": dev}),
        "short tokens": ({"max_token_length": 4}, {"dev_iterators": dev}),
        "all merges": ({"num_merges": 5000}, {"dev_iterators": dev}),
        "special tokens": ({"special_tokens": ["<s>", "the"], "initial_alphabet": ["é", "x"]}, {}),
    }
    made: dict[str, Any] = {}
    for before in ("none", "whitespace", "byte level"):
        for name, (options, arguments) in runs.items():
            trained = tokenizer(lib, lib.models.BPE(), pre_tokenizers(lib)[before])
            trainer = lib.trainers.ParityBpeTrainer(**{"num_merges": 120, "show_progress": False, **options})
            trainer.train_from_iterator(trained, [list(lines) for lines in train], **arguments)
            made[f"{before}, {name}"] = json.loads(trained.to_str())
    # Where there is a prefix or a suffix, the peer numbers characters at random.
    for name, options in {
        "suffix": {"end_of_word_suffix": "</w>"},
        "prefix": {"continuing_subword_prefix": "##"},
    }.items():
        trained = tokenizer(lib, lib.models.BPE(), pre_tokenizers(lib)["whitespace"])
        trainer = lib.trainers.ParityBpeTrainer(num_merges=200, show_progress=False, **options)
        trainer.train_from_iterator(trained, train, dev_iterators=dev)
        model = json.loads(trained.to_str())["model"]
        made[name] = [model["merges"], sorted(model["vocab"])]
    return made
