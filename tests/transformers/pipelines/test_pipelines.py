"""Pipelines: shapes of inputs and outputs, batches in any order, tasks of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    pipeline,
)
from enfold.transformers.pipelines import PIPELINE_REGISTRY, KeyDataset, Pipeline
from enfold.transformers.pipelines.base import length_batches

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
TEXTS = ["a", "b c d e f g h a b c", "c d", "h g f e d", "a b", "e"] * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=3,
        initializer_range=0.5,
    )
    BertForSequenceClassification(config).save_pretrained(made)
    BertTokenizer({word: place for place, word in enumerate(WORDS)}).save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def classify(folder: Path) -> Any:
    return pipeline("sentiment-analysis", model=str(folder), device=-1)


@pytest.fixture(scope="module")
def write() -> Any:
    torch.manual_seed(0)
    letters = {letter: place for place, letter in enumerate(["<|endoftext|>", "Ġ", *"abcdefgh"])}
    config = GPT2Config(vocab_size=len(letters), n_embd=16, n_layer=1, n_head=2, n_positions=64, initializer_range=0.5)
    config.bos_token_id = config.eos_token_id = 0
    return pipeline("text-generation", model=GPT2LMHeadModel(config), tokenizer=GPT2Tokenizer(letters, []), device=-1)


def same(one: Any, other: Any) -> bool:
    return one["label"] == other["label"] and abs(one["score"] - other["score"]) < 1e-5


def test_a_list_equals_its_texts_one_by_one(classify: Any) -> None:
    alone = [classify(text)[0] for text in TEXTS]
    for batch_size in (None, 1, 5):
        assert all(map(same, alone, classify(TEXTS, batch_size=batch_size)))


def test_each_kind_of_input_has_its_kind_of_answer(classify: Any) -> None:
    generator = classify(text for text in TEXTS[:3])
    assert not isinstance(generator, list) and len(list(generator)) == 3
    rows = classify(KeyDataset([{"text": text} for text in TEXTS], "text"))
    assert all(map(same, rows, classify(TEXTS)))
    assert classify([]) == []
    assert len(classify("a", top_k=None)) == 3 and len(classify(["a", "b"], top_k=2)[0]) == 2
    assert abs(sum(entry["score"] for entry in classify("a", top_k=None)) - 1) < 1e-5


def test_a_generator_may_wait_for_its_answers(classify: Any) -> None:
    answers: list[Any] = []

    def asking() -> Any:
        for text in TEXTS[:3]:
            yield text
            assert len(answers) > 0

    for answer in classify(asking()):
        answers.append(answer)
    assert len(answers) == 3


def test_pairs_and_texts_may_be_mixed(classify: Any) -> None:
    rows = ["a b", {"text": "a", "text_pair": "b c"}, {"text": "c"}]
    assert all(map(same, classify(rows), [classify(rows[0])[0], classify(rows[1]), classify("c")[0]]))


def test_batches_hold_a_budget_of_padded_tokens() -> None:
    lengths = [7, 1, 9, 3, 3, 30, 2]
    batches = length_batches(lengths, None, budget=20)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= 20 for batch in batches)


def test_greedy_writing_does_not_depend_on_batches(write: Any) -> None:
    how = {"max_new_tokens": 6, "do_sample": False}
    prompts = ["a b c", "h", "d e f g a b"]
    assert write(prompts, **how) == [write(prompt, **how) for prompt in prompts]
    assert write(prompts, max_length=12, do_sample=False) == [write(p, max_length=12, do_sample=False) for p in prompts]


def test_what_is_written_follows_the_prompt(write: Any) -> None:
    full = write("a b", max_new_tokens=5, num_return_sequences=2, do_sample=True)
    assert len(full) == 2 and all(entry["generated_text"].startswith("a b") for entry in full)
    new = write("a b", max_new_tokens=5, do_sample=False, return_full_text=False)[0]["generated_text"]
    assert "a b" + new == write("a b", max_new_tokens=5, do_sample=False)[0]["generated_text"]
    ids = write("a b", max_new_tokens=5, do_sample=False, return_tensors=True)[0]["generated_token_ids"]
    assert write.tokenizer.decode(ids, skip_special_tokens=True) == "a b" + new


def test_a_prompt_too_long_is_cut_where_asked(write: Any) -> None:
    write.tokenizer.model_max_length = 16
    try:
        out = write("a" * 40, max_new_tokens=6, do_sample=False, handle_long_generation="hole", return_tensors=True)
        assert len(out[0]["generated_token_ids"]) <= 16
        with pytest.raises(ValueError, match="20 new tokens"):
            write("a" * 40, max_new_tokens=20, do_sample=False, handle_long_generation="hole")
    finally:
        write.tokenizer.model_max_length = int(1e30)


def test_the_task_follows_from_the_model(folder: Path) -> None:
    assert pipeline(model=str(folder)).task == "text-classification"


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(KeyError, match="did you mean 'text-generation'"):
        pipeline("text-generatoin")


def test_a_saved_pipeline_is_the_same(classify: Any, tmp_path: Path) -> None:
    classify.save_pretrained(str(tmp_path))
    assert all(map(same, pipeline("text-classification", model=str(tmp_path))(TEXTS[:3]), classify(TEXTS[:3])))


def test_an_adapters_folder_is_a_model(folder: Path, tmp_path: Path) -> None:
    from enfold.peft import LoraConfig, get_peft_model
    from enfold.transformers import AutoModelForSequenceClassification

    base = AutoModelForSequenceClassification.from_pretrained(folder)
    adapted = get_peft_model(
        base, LoraConfig(r=2, target_modules=["query"], task_type="SEQ_CLS", init_lora_weights=False)
    )
    adapted.eval()
    adapted.save_pretrained(tmp_path)
    made = pipeline("text-classification", model=str(tmp_path))
    inputs = made.tokenizer("a b", return_tensors="pt")
    with torch.no_grad():
        wanted = adapted(**inputs).logits.softmax(-1).max().item()
    assert abs(made("a b")[0]["score"] - wanted) < 1e-5


def test_a_task_of_ones_own(classify: Any) -> None:
    class Lengths(Pipeline):
        def _sanitize_parameters(self, factor: int = 1, **_: Any) -> Any:
            return {}, {}, {"factor": factor}

        def preprocess(self, text: str) -> Any:
            return self.tokenizer(text, return_tensors="pt")

        def _forward(self, inputs: Any) -> Any:
            return {"length": inputs["input_ids"].shape[1]}

        def postprocess(self, outputs: Any, factor: int = 1) -> int:
            return outputs["length"] * factor

    PIPELINE_REGISTRY.register_pipeline("lengths", pipeline_class=Lengths)
    try:
        made = pipeline("lengths", model=classify.model, tokenizer=classify.tokenizer)
        assert made(["a", "a b"], factor=2) == [6, 8] and made("a") == 3
    finally:
        del PIPELINE_REGISTRY.supported_tasks["lengths"]
