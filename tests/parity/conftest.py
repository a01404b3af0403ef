"""What several parity tests share: folders of small vocabulary files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import real_vocabularies

# SentencePiece models, trained by the peer on this text
CORPUS = (
    "Hello world, it is 2,024 and the lower newest widest thing. A second text for the lower part, don't you see? "
    "héllo wörld naïve café 東京 tower. The quick brown fox jumps over the lazy dog. abc123 numbers 10, 20 and 9, too. "
    "Machine translation of spoken language is hard; summaries are short, questions are long."
)
TRAIN = """
import json, sys, sentencepiece
text, folder = json.loads(sys.argv[1]), sys.argv[2]
for name, options in json.loads(sys.argv[3]).items():
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_prefix=folder + '/' + name,
        hard_vocab_limit=False, minloglevel=2, **options)
print(json.dumps(True))
"""
PLAIN = {"vocab_size": 160, "model_type": "unigram", "character_coverage": 1.0}
T5 = {**PLAIN, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
ALBERT = {**PLAIN, "pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": "[CLS],[SEP],[MASK]"}
BYTES = {**PLAIN, "vocab_size": 420, "model_type": "bpe", "byte_fallback": True, "split_digits": True}
MODELS = {
    "fairseq": PLAIN,
    "t5": T5,
    "albert": ALBERT,
    "xlnet": {
        **PLAIN,
        "unk_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "control_symbols": "<cls>,<sep>,<pad>,<mask>,<eod>,<eop>",
    },
    "deberta": {**PLAIN, "pad_id": 0, "unk_id": 3, "bos_id": -1, "eos_id": -1, "control_symbols": "[CLS],[SEP]"}
    | {"pad_piece": "[PAD]", "unk_piece": "[UNK]"},
    "big_bird": {**PLAIN, "unk_id": 0, "bos_id": 2, "eos_id": 1, "control_symbols": "[CLS],[SEP],[MASK],<pad>"},
    "reformer": {**PLAIN, "unk_id": 0, "bos_id": 1, "eos_id": 2, "model_type": "bpe", "vocab_size": 140},
    "letters": {**PLAIN, "model_type": "char", "pad_id": 1, "bos_id": 0, "eos_id": 2, "unk_id": 3},
    "llama": BYTES,
    "seamless": {**PLAIN, "model_type": "bpe"},
    "gemma": {**BYTES, "pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "add_dummy_prefix": False}
    | {"bos_piece": "<bos>", "eos_piece": "<eos>"},
}
# what a family calls its model file
FILES = {
    "fairseq": "sentencepiece.bpe.model",
    "seamless": "sentencepiece.bpe.model",
    "t5": "spiece.model",
    "albert": "spiece.model",
    "albert-rembert": "sentencepiece.model",
    "xlnet": "spiece.model",
    "deberta": "spm.model",
    "big_bird": "spiece.model",
    "reformer": "spiece.model",
    "llama": "tokenizer.model",
    "gemma": "tokenizer.model",
    "letters": "spm_char.model",
}


def _endings(special: list[str], tail: str) -> tuple[dict[str, int], list[str]]:
    letters = [chr(code) for code in range(33, 127)]
    merges = [
        "l o",
        "w e",
        "t h",
        "th e</w>",
        "lo w",
        "e r</w>",
        "low er</w>",
        "n e",
        "ne we",
        "s t</w>",
        "newe st</w>",
    ]
    pieces = letters + [letter + tail for letter in letters] + [merge.replace(" ", "") for merge in merges]
    return {piece: id for id, piece in enumerate(dict.fromkeys([*special, *pieces]))}, merges


@pytest.fixture(scope="session")
def folders(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for every kind of vocabulary files, without any tokenizer.json."""
    root = tmp_path_factory.mktemp("families")

    def put(name: str, **files: str) -> None:
        (root / name).mkdir()
        for file, text in files.items():
            (root / name / file.replace("__", ".")).write_text(text, encoding="utf-8")

    words = (real_vocabularies.folder("bert") / "vocab.txt").read_text(encoding="utf-8").splitlines()
    put("wordpiece", vocab__txt="\n".join(words) + "\n")
    funnel = ["<unk>", "<sep>", "<pad>", "<cls>", "<mask>", "<s>", "</s>"]
    put("wordpiece-funnel", vocab__txt="\n".join([*funnel, *words[104:6000]]) + "\n")
    mpnet = ["<s>", "<pad>", "</s>", "[UNK]"]
    put("wordpiece-mpnet", vocab__txt="\n".join([*mpnet, *words[104:6000], "<mask>"]) + "\n")
    put("wordpiece-splinter", vocab__txt="\n".join([*words, "[QUESTION]"]) + "\n")
    merges = (real_vocabularies.folder("gpt2") / "merges.txt").read_text(encoding="utf-8").splitlines()[1:1500]
    real = json.loads((real_vocabularies.folder("gpt2") / "vocab.json").read_text(encoding="utf-8"))
    bytes_ = sorted((token for token in real if len(token) == 1), key=real.__getitem__)
    learnt = [*bytes_, *(merge.replace(" ", "") for merge in merges)]

    def put_bytes(name: str, first: list[str], last: list[str]) -> None:
        vocab = {token: id for id, token in enumerate([*first, *learnt, *last])}
        put(name, vocab__json=json.dumps(vocab), merges__txt="#version: 0.2\n" + "\n".join(merges) + "\n")

    put_bytes("bytes", [], ["<|endoftext|>"])
    put_bytes("bytes-roberta", ["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"])
    put_bytes("bytes-deberta", [], ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"])
    special = ["<unk>", "<s>", "</s>", "<pad>", "<UNK>", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", "<PAD>"]
    pairs = [merge.split(" ") for merge in merges]
    whole = real_vocabularies.byte_level({t: i for i, t in enumerate([*special, *learnt])}, pairs, special)
    acids = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
    put("letters-esm", vocab__txt="\n".join(acids))
    put("bytes-file", tokenizer__json=json.dumps(whole))
    whole = real_vocabularies.byte_level({t: i for i, t in enumerate([*special, *learnt])}, pairs, special, True)
    first = {"SpecialToken": {"id": "<BOS_TOKEN>", "type_id": 0}}
    texts = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    whole["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [first, texts[0]],
        "pair": [first, texts[0], {"SpecialToken": {"id": "<BOS_TOKEN>", "type_id": 1}}, texts[1]],
        "special_tokens": {"<BOS_TOKEN>": {"id": "<BOS_TOKEN>", "ids": [5], "tokens": ["<BOS_TOKEN>"]}},
    }
    put("bytes-cohere", tokenizer__json=json.dumps(whole))
    from enfold.transformers.tokenization.whisper import LANGUAGES

    tail = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    names = ["endoftext", "startoftranscript", *LANGUAGES, *tail]
    put_bytes("bytes-whisper", [], [f"<|{name}|>" for name in names])
    for name, special in {
        "endings-clip": ["<|startoftext|>", "<|endoftext|>"],
        "endings-gpt": ["<unk>"],
        "endings-herbert": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    }.items():
        vocab, pairs = _endings(special, "</w>")
        put(name, vocab__json=json.dumps(vocab), merges__txt="#version: 0.2\n" + "\n".join(pairs) + "\n")
    # "@@" stands where a word goes on, and nothing where it ends
    for name, special in {
        "endings-ctrl": ["<unk>"],
        "endings-small": ["__null__", "__start__", "__end__", "__unk__", "__newln__"],
    }.items():
        ended, pairs = _endings([], "</w>")
        tokens = [token.removesuffix("</w>") if token.endswith("</w>") else token + "@@" for token in ended]
        vocab = {token: id for id, token in enumerate(dict.fromkeys([*special, *tokens]))}
        put(name, vocab__json=json.dumps(vocab), merges__txt="#version: 0.2\n" + "\n".join(pairs) + "\n")
    peer(TRAIN, [CORPUS] * 20, root, MODELS)
    pieces = [line.split("\t")[0] for line in (root / "fairseq.vocab").read_text(encoding="utf-8").splitlines()]
    ids = {token: id for id, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces[3:140]])}
    put("m2m100", vocab__json=json.dumps(ids))
    put(
        "marian",
        vocab__json=json.dumps(
            {"</s>": 0, "<unk>": 1, ">>fra<<": 2} | {p: i + 3 for i, p in enumerate(pieces[3:])} | {"<pad>": 200}
        ),
    )
    for name in ("m2m100/sentencepiece.bpe.model", "marian/source.spm", "marian/target.spm"):
        (root / name).write_bytes((root / "fairseq.model").read_bytes())
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ", "<long>"]
    put("ctc", vocab__json=json.dumps({token: id for id, token in enumerate(letters)}))
    for name, file in FILES.items():
        (root / name).mkdir()
        model = (root / f"{name.split('-')[0]}.model").read_bytes()
        (root / name / file).write_bytes(model)
    return root
