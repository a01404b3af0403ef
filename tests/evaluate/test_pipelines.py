"""Evaluators over our own pipelines, from a folder with a model to the scores, for every task that has a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.datasets import ClassLabel, Dataset, Features, List, Value
from enfold.evaluate import EvaluationError, evaluator, load
from enfold.transformers import pipeline
from tiny_models import WORDS, folder

TEXTS = ["the cat sat on a mat", "a dog sat", "the dog sat on the mat", "a cat"]
SMALL = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def bert(path: Path, maker: str, **options: Any) -> str:
    import enfold.transformers as transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(**SMALL, intermediate_size=16, max_position_embeddings=32, **options)
    return folder(path, getattr(transformers, maker).from_config(config))


def t5(path: Path) -> str:
    import enfold.transformers as transformers

    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0,
        eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return folder(path, transformers.AutoModelForSeq2SeqLM.from_config(config))


def test_texts_are_classified_by_a_model_in_a_folder(tmp_path: Path) -> None:
    name = bert(
        tmp_path, "AutoModelForSequenceClassification", id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1}
    )
    data = Dataset.from_dict({"text": TEXTS, "label": [0, 1, 1, 0]})
    answers = [answer["label"] for answer in pipeline("text-classification", model=name)(TEXTS)]
    expected = sum((answer == "yes") == label for answer, label in zip(answers, [0, 1, 1, 0], strict=True)) / 4
    judge = evaluator("text-classification")
    for model in (name, pipeline("text-classification", model=name)):
        found = judge.compute(model, data, label_mapping={"no": 0, "yes": 1})
        assert found["accuracy"] == expected
        assert {"total_time_in_seconds", "samples_per_second", "latency_in_seconds"} < set(found)
    with pytest.raises(EvaluationError, match="the pipeline runs on cpu"):
        judge.compute(pipeline("text-classification", model=name, device="cpu"), data, device="cuda:0")


def test_texts_go_on_and_their_words_are_counted(tmp_path: Path) -> None:
    from enfold.transformers import AutoModelForCausalLM, GPT2Config

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(WORDS), n_positions=32, n_embd=16, n_layer=1, n_head=2, eos_token_id=2)
    name = folder(tmp_path, AutoModelForCausalLM.from_config(config))
    options = {"max_new_tokens": 4, "do_sample": False}
    found = evaluator("text-generation").compute(name, Dataset.from_dict({"text": TEXTS}), generation_kwargs=options)
    texts = [answers[0]["generated_text"] for answers in pipeline("text-generation", model=name)(TEXTS, **options)]
    expected = load("word_count").compute(data=texts)
    assert {key: found[key] for key in expected} == expected


def test_words_are_tagged(tmp_path: Path) -> None:
    names = ["O", "B-X", "I-X"]
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    name = bert(tmp_path, "AutoModelForTokenClassification", **labels)
    words = [text.split() for text in TEXTS]
    tags = [[place % 3 for place in range(len(row))] for row in words]
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=names))})
    data = Dataset.from_dict({"tokens": words, "ner_tags": tags}, features=features)
    pipe = pipeline("token-classification", model=name)
    said = [[answer["entity"] for answer in answers] for answers in pipe(TEXTS, ignore_labels=[])]
    expected = load("seqeval").compute(said, [[names[tag] for tag in row] for row in tags])
    found = evaluator("token-classification").compute(name, data)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("unanswerable", [False, True])
def test_questions_are_answered(tmp_path: Path, unanswerable: bool) -> None:
    name = bert(tmp_path, "AutoModelForQuestionAnswering")
    answers = [{"text": ["mat"], "answer_start": [17]}, {"text": ["dog"], "answer_start": [2]}]
    if unanswerable:
        answers[1] = {"text": [], "answer_start": []}
    rows = {"id": ["1", "2"], "question": ["the mat", "a dog"], "context": TEXTS[:2], "answers": answers}
    features = Features({
        "id": Value("string"), "question": Value("string"), "context": Value("string"),
        "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
    })  # fmt: skip
    metric = "squad_v2" if unanswerable else "squad"
    found = evaluator("question-answering").compute(name, Dataset.from_dict(rows, features=features), metric=metric)
    pipe = pipeline("question-answering", model=name)
    options = {"handle_impossible_answer": unanswerable}
    said = pipe(question=rows["question"], context=rows["context"], **options)
    made = [{"id": id, "prediction_text": answer["answer"]} for id, answer in zip(rows["id"], said, strict=True)]
    if unanswerable:
        made = [{**one, "no_answer_probability": answer["score"]} for one, answer in zip(made, said, strict=True)]
    expected = load(metric).compute(
        made, [{"id": id, "answers": answer} for id, answer in zip(rows["id"], answers, strict=True)]
    )
    assert {key: found[key] for key in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("task", "key", "metric"),
    [
        ("text2text-generation", "generated_text", "bleu"),
        ("summarization", "summary_text", "rouge"),
        ("translation", "translation_text", "bleu"),
    ],
)
def test_texts_become_texts(tmp_path: Path, task: str, key: str, metric: str) -> None:
    name = t5(tmp_path)
    options = {"max_new_tokens": 6, "do_sample": False}
    pipe = pipeline(task, model=name)
    said = [answer[key] for answer in pipe(TEXTS, truncation=True, **options)]
    data = Dataset.from_dict({"text": TEXTS, "label": TEXTS})
    expected = load(metric, seed=1).compute(said, TEXTS)
    found = evaluator(task).compute(pipe, data, metric=load(metric, seed=1), generation_kwargs=options)
    assert {name: found[name] for name in expected} == expected
