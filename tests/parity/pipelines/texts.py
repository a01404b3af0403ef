"""Calls of the text pipelines that both sides answer: tiny models, texts, arguments.

Imported by our tests and by the peers' Python, so it imports neither library.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

WORDS = (
    "the a my name is wolfgang and i live in berlin paris anna works for acme corp of new york city where do you who "
    "what was born not this text about sports cooking politics example it very good bad . , ? ! s"
).split()
PARTS = ["##s", "##ing", "##er", "##lin", "##gang", "##ris", "ber", "wolf", "pa", "un", *map(chr, range(97, 123))]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *PARTS, *(f"##{chr(code)}" for code in range(97, 123))]
BERT: dict[str, Any] = {
    "vocab_size": len(PIECES),
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "max_position_embeddings": 64,
}
ENTITIES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
LABELS = {"id2label": dict(enumerate(ENTITIES)), "label2id": {name: place for place, name in enumerate(ENTITIES)}}
NLI = ["contradiction", "neutral", "entailment"]
NLI_LABELS = {"id2label": dict(enumerate(NLI)), "label2id": {name: place for place, name in enumerate(NLI)}}
BYTES: dict[str, Any] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}

# name → class of the model, its configuration, which tokenizer it has
MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "tokens": ("BertForTokenClassification", {**BERT, **LABELS}, "wordpiece"),
    "tokens-bytes": ("RobertaForTokenClassification", {**BERT, **BYTES, **LABELS}, "bytes"),
    "question": ("BertForQuestionAnswering", BERT, "wordpiece"),
    "question-bytes": ("RobertaForQuestionAnswering", {**BERT, **BYTES}, "bytes"),
    "mask": ("BertForMaskedLM", BERT, "wordpiece"),
    "mask-bytes": ("RobertaForMaskedLM", {**BERT, **BYTES}, "bytes"),
    "nli": ("BertForSequenceClassification", {**BERT, **NLI_LABELS}, "wordpiece"),
    "nli-unnamed": ("BertForSequenceClassification", {**BERT, "num_labels": 3}, "wordpiece"),
    "many": (
        "BertForSequenceClassification",
        {**BERT, "num_labels": 3, "problem_type": "multi_label_classification"},
        "wordpiece",
    ),
    "number": ("BertForSequenceClassification", {**BERT, "num_labels": 1}, "wordpiece"),
    "states": ("BertModel", BERT, "wordpiece"),
    "write": (
        "GPT2LMHeadModel",
        {
            "n_embd": 24,
            "n_layer": 2,
            "n_head": 3,
            "n_positions": 64,
            "vocab_size": 300,
            "bos_token_id": 2,
            "eos_token_id": 2,
            "pad_token_id": 1,
        },
        "bytes",
    ),
}
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
TEXTS = [
    "My name is Wolfgang and I live in Berlin.",
    "Anna works for Acme Corp. of New York City!",
    "Who?",
    "Wolfgangs name, in Pariser cooking, is not the name of Anna; it was born in Berlin and works in New York.",
    "zyx",
]
STORY = (
    "Wolfgang was born in New York City. Anna works for Acme Corp. in Paris, and Wolfgang lives in Berlin. "
    "This text is about cooking and sports, not about politics; it is a very good example. "
)
ASKED = [
    {"question": "Where do I live?", "context": "My name is Wolfgang and I live in Berlin."},
    {"question": "Who works for Acme?", "context": STORY},
    {"question": "What is this text about?", "context": STORY * 3},
]
CHAT = [{"role": "system", "content": "the name"}, {"role": "user", "content": "Who works?"}]
GREEDY = {"do_sample": False, "max_new_tokens": 6}


class Call(NamedTuple):
    """One call of a pipeline.

    Args:
        task: its name.
        model: a key of MODELS.
        given: positional arguments.
        options: keyword arguments.
        made: arguments of ``pipeline``.
        four: only version 4 knows this.
    """

    task: str
    model: str
    given: list[Any]
    options: dict[str, Any] = {}
    made: dict[str, Any] = {}
    four: bool = False


NER, QA, FILL = "token-classification", "question-answering", "fill-mask"
ZERO, FEATURES = "zero-shot-classification", "feature-extraction"
CLASSES, WRITE = "text-classification", "text-generation"
CUT = "My name is [MASK] and I live in [MASK]."

CALLS: dict[str, Call] = {
    "ner": Call("ner", "tokens", [TEXTS[0]]),
    "ner-list": Call(NER, "tokens", [TEXTS]),
    "ner-one": Call(NER, "tokens", [TEXTS[:1]]),
    **{
        f"ner-{strategy}-{model}": Call(NER, model, [TEXTS], {"aggregation_strategy": strategy})
        for strategy in ("none", "simple", "first", "average", "max")
        for model in ("tokens", "tokens-bytes")
    },
    "ner-all": Call(NER, "tokens", [TEXTS], {"ignore_labels": [], "aggregation_strategy": "simple"}),
    "ner-ignore": Call(NER, "tokens", [TEXTS], {"ignore_labels": ["PER", "O"], "aggregation_strategy": "max"}),
    "ner-grouped": Call(NER, "tokens", [TEXTS], {"grouped_entities": True}, four=True),
    "ner-subwords": Call(NER, "tokens", [TEXTS], {}, {"grouped_entities": True, "ignore_subwords": True}, four=True),
    "ner-stride": Call(NER, "tokens", [[*TEXTS, STORY * 3]], {}, {"aggregation_strategy": "simple", "stride": 3}),
    "ner-stride-bytes": Call(NER, "tokens-bytes", [STORY], {}, {"aggregation_strategy": "first", "stride": 5}),
    "ner-cut": Call(NER, "tokens", [STORY * 3]),
    "ner-split": Call(
        NER,
        "tokens",
        [[text.split() for text in TEXTS]],
        {"is_split_into_words": True, "aggregation_strategy": "simple"},
    ),
    "ner-split-one": Call(NER, "tokens", [TEXTS[0].split()], {"is_split_into_words": True, "delimiter": "--"}),
    "qa": Call(QA, "question", [], ASKED[0]),
    "qa-dict": Call(QA, "question", [ASKED[0]]),
    "qa-list": Call(QA, "question", [ASKED]),
    "qa-bytes": Call(QA, "question-bytes", [ASKED]),
    "qa-lists": Call(QA, "question", [], {"question": ["Who?", "Where?"], "context": STORY}),
    "qa-pairs": Call(QA, "question", [], {"question": ["Who?", "Where?"], "context": [STORY, TEXTS[0]]}),
    "qa-top": Call(QA, "question", [ASKED], {"top_k": 4}),
    "qa-topk": Call(QA, "question", [ASKED[1]], {"topk": 3}),
    "qa-impossible": Call(QA, "question-bytes", [ASKED], {"handle_impossible_answer": True, "top_k": 3}),
    "qa-unaligned": Call(QA, "question", [ASKED], {"align_to_words": False, "top_k": 3}),
    "qa-short": Call(QA, "question", [ASKED], {"max_answer_len": 2, "top_k": 2}),
    "qa-parts": Call(QA, "question", [ASKED], {"max_seq_len": 24, "doc_stride": 7, "top_k": 2}),
    "qa-parts-bytes": Call(QA, "question-bytes", [ASKED], {"max_seq_len": 60, "doc_stride": 20}),
    "fill": Call(FILL, "mask", ["My name is [MASK]."]),
    "fill-list": Call(FILL, "mask", [["My name is [MASK].", "[MASK]", "Who is [MASK], where do you live?"]]),
    "fill-one": Call(FILL, "mask", [["My name is [MASK]."]]),
    "fill-bytes": Call(FILL, "mask-bytes", ["My name is <mask>."], {"top_k": 3}),
    "fill-several": Call(FILL, "mask", [CUT]),
    "fill-mixed": Call(FILL, "mask", [[CUT, "[MASK]"]], {"top_k": 2}),
    "fill-targets": Call(FILL, "mask", ["I live in [MASK]."], {"targets": ["berlin", "paris", "parislin", "acme"]}),
    "fill-target": Call(FILL, "mask", ["I live in [MASK]."], {"targets": "berlin"}),
    "fill-cut": Call(
        FILL, "mask", ["[MASK] " + STORY * 3], {"tokenizer_kwargs": {"truncation": True, "max_length": 20}}
    ),
    "zero": Call(ZERO, "nli", [TEXTS[1]], {"candidate_labels": ["sports", "cooking", "politics"]}),
    "zero-positional": Call(ZERO, "nli", [TEXTS[1], ["sports", "cooking"]]),
    "zero-commas": Call(ZERO, "nli", [TEXTS], {"candidate_labels": "sports, cooking,, politics "}),
    "zero-multi": Call(ZERO, "nli", [TEXTS], {"candidate_labels": ["sports", "cooking"], "multi_label": True}),
    "zero-single": Call(ZERO, "nli", [TEXTS[:1]], {"candidate_labels": "sports"}),
    "zero-template": Call(
        ZERO, "nli", [TEXTS], {"candidate_labels": ["sports", "berlin"], "hypothesis_template": "it is {} ."}
    ),
    "zero-unnamed": Call(ZERO, "nli-unnamed", [TEXTS], {"candidate_labels": ["sports", "berlin"]}),
    "zero-long": Call(ZERO, "nli", [STORY * 3], {"candidate_labels": ["sports", "berlin", "anna"]}),
    "features": Call(FEATURES, "states", [TEXTS[2]]),
    "features-list": Call(FEATURES, "states", [TEXTS[:3]]),
    "features-cut": Call(FEATURES, "states", [[STORY * 3]], {"tokenize_kwargs": {"truncation": True, "max_length": 6}}),
    "classes": Call(CLASSES, "nli", [TEXTS[0]]),
    "classes-list": Call(CLASSES, "nli", [TEXTS]),
    "classes-top": Call(CLASSES, "nli", [TEXTS], {"top_k": 2}),
    "classes-all": Call(CLASSES, "nli", [TEXTS[0]], {"top_k": None}),
    "classes-scores": Call(CLASSES, "nli", [TEXTS], {"return_all_scores": True}, four=True),
    "classes-pair": Call(CLASSES, "nli", [{"text": TEXTS[0], "text_pair": TEXTS[2]}]),
    "classes-pairs": Call(CLASSES, "nli", [[{"text": text, "text_pair": TEXTS[2]} for text in TEXTS]]),
    "classes-sigmoid": Call(CLASSES, "nli", [TEXTS], {"function_to_apply": "sigmoid", "top_k": None}),
    "classes-none": Call(CLASSES, "nli", [TEXTS], {"function_to_apply": "none"}),
    "classes-many": Call(CLASSES, "many", [TEXTS], {"top_k": None}),
    "classes-number": Call(CLASSES, "number", [TEXTS]),
    "classes-cut": Call(CLASSES, "nli", [[STORY * 3, "Who?"]], {"truncation": True, "max_length": 9}),
    "write": Call(WRITE, "write", [TEXTS[0]], GREEDY),
    "write-list": Call(WRITE, "write", [TEXTS[:3]], GREEDY),
    "write-new": Call(WRITE, "write", [TEXTS[:3]], {**GREEDY, "return_full_text": False}),
    "write-ids": Call(WRITE, "write", [TEXTS[0]], {**GREEDY, "return_tensors": True}),
    "write-beams": Call(WRITE, "write", [TEXTS[0]], {**GREEDY, "num_beams": 3, "num_return_sequences": 2}),
    "write-prefix": Call(WRITE, "write", [TEXTS[0]], {**GREEDY, "prefix": "Who? "}),
    "write-hole": Call(WRITE, "write", [TEXTS[3]], {**GREEDY, "handle_long_generation": "hole"}),
    "write-stop": Call(WRITE, "write", [TEXTS[0]], {**GREEDY, "max_new_tokens": 12, "stop_sequence": "er"}),
    "write-chat": Call(WRITE, "write", [CHAT], GREEDY),
    "write-chats": Call(WRITE, "write", [[CHAT, CHAT[1:]]], GREEDY),
    "write-chat-new": Call(WRITE, "write", [CHAT], {**GREEDY, "return_full_text": False}),
    "write-chat-on": Call(WRITE, "write", [[*CHAT, {"role": "assistant", "content": "Anna"}]], GREEDY),
    "write-chat-off": Call(
        WRITE, "write", [[*CHAT, {"role": "assistant", "content": "Anna"}]], {**GREEDY, "continue_final_message": False}
    ),
}


def make(library: Any, folder: Path, models: dict[str, tuple[str, dict[str, Any], str]] | None = None) -> None:
    """Write every model, with weights that are the same everywhere, and its tokenizer."""
    import numpy as np
    import torch

    letters = [chr(code) for code in [*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324)]]
    merges = ["i n", "Ġ i", "e r", "b er", "o r", "Ġ w", "n a", "Ġ n", "Ġn a", "m e", "l i", "c o", "Ġ co"]
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters, *("".join(pair.split()) for pair in merges)]
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys(words))}
    for name, (kind, config, tokenizer) in (models or MODELS).items():
        (folder / name).mkdir(parents=True)
        if tokenizer == "wordpiece":
            (folder / name / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
            saved = library.BertTokenizer(str(folder / name / "vocab.txt"), model_max_length=64)
        else:
            (folder / name / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
            (folder / name / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
            files = (str(folder / name / "vocab.json"), str(folder / name / "merges.txt"))
            saved = library.RobertaTokenizer(*files, model_max_length=62)
            if kind.startswith("GPT2"):
                saved.chat_template = TEMPLATE
            config = {**config, "vocab_size": len(vocabulary)}
        saved.save_pretrained(folder / name)
        made = getattr(library, kind)
        model = made(made.config_class(**config))
        with torch.no_grad():
            for part, weight in model.named_parameters():
                noise = np.random.RandomState(zlib.crc32(part.encode())).randn(*weight.shape).astype("float32")
                norm = part.endswith(("LayerNorm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight"))
                weight.copy_(1 + 0.1 * torch.from_numpy(noise) if norm else 0.25 * torch.from_numpy(noise))
        model.save_pretrained(folder / name)


def answers(
    library: Any,
    folder: Path,
    batch_size: int | None = None,
    four: bool = True,
    calls: dict[str, Call] | None = None,
) -> dict[str, Any]:
    """Return the answer to every call, as JSON holds it."""
    import torch

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value.tolist() if hasattr(value, "tolist") else value

    torch.set_num_threads(1)
    found = {}
    for name, call in (calls or CALLS).items():
        if call.four and not four:
            continue
        made = library.pipeline(call.task, model=str(folder / call.model), device=-1, **call.made)
        options = dict(call.options) if batch_size is None else {**call.options, "batch_size": batch_size}
        found[name] = plain(made(*call.given, **options))
    return found
