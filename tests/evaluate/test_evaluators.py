"""Evaluators: columns, labels and words on their way from a data set through a pipeline into a metric."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold.datasets import ClassLabel, Dataset, Features, List, Value
from enfold.evaluate import EvaluationSuite, SubTask, evaluator, load
from enfold.evaluate.errors import EvaluationError, OptionError
from enfold.evaluate.evaluators import get_supported_tasks


def pipe(task: str, answer: Callable[..., Any]) -> Callable[..., Any]:
    answer.task = task  # type: ignore[attr-defined]
    return answer


def sentiment(texts: list[dict[str, str]], **options: Any) -> list[dict[str, Any]]:
    assert options == {"truncation": True}
    return [{"label": "POS" if "good" in text["text"] else "NEG", "score": 0.9} for text in texts]


REVIEWS = {"text": ["good", "good too", "bad", "dull", "a good one"], "label": [1, 1, 0, 1, 0]}


def test_texts_are_classified_and_judged() -> None:
    found = evaluator("sentiment-analysis").compute(
        pipe("text-classification", sentiment), Dataset.from_dict(REVIEWS), label_mapping={"NEG": 0, "POS": 1}
    )
    assert found["accuracy"] == 3 / 5
    assert found["samples_per_second"] == pytest.approx(5 / found["total_time_in_seconds"])
    assert found["latency_in_seconds"] == pytest.approx(found["total_time_in_seconds"] / 5)


def test_pairs_reach_the_pipeline_together() -> None:
    def entails(pairs: list[dict[str, str]], **options: Any) -> list[dict[str, Any]]:
        return [{"label": int(pair["text_pair"] in pair["text"])} for pair in pairs]

    data = Dataset.from_dict({"a": ["one two", "three"], "b": ["two", "four"], "label": [1, 1]})
    found = evaluator("text-classification").compute(
        pipe("text-classification", entails), data, input_column="a", second_input_column="b"
    )
    assert found["accuracy"] == 0.5


def test_bootstrap_gives_intervals_around_the_score() -> None:
    pytest.importorskip("scipy")
    data = Dataset.from_dict({name: values * 6 for name, values in REVIEWS.items()})
    found = evaluator("text-classification").compute(
        pipe("text-classification", sentiment),
        data,
        metric="accuracy",
        label_mapping={"NEG": 0, "POS": 1},
        strategy="bootstrap",
        n_resamples=99,
        random_state=0,
    )["accuracy"]
    low, high = found["confidence_interval"]
    assert low < found["score"] == 3 / 5 < high
    assert found["standard_error"] > 0


def test_the_best_label_of_a_picture_counts() -> None:
    def look(pictures: list[Any], **options: Any) -> list[list[dict[str, Any]]]:
        return [[{"label": "cat", "score": score}, {"label": "dog", "score": 0.5}] for score in pictures]

    data = Dataset.from_dict({"image": [0.9, 0.1, 0.6], "label": [0, 1, 1]})
    found = evaluator("image-classification").compute(
        pipe("image-classification", look),
        data,
        metric=load("accuracy"),
        label_mapping={"cat": 0, "dog": 1},
    )
    assert found["accuracy"] == 2 / 3


def test_a_word_gets_the_label_of_its_first_token() -> None:
    judge = evaluator("token-classification")
    assert judge.words_to_offsets(["New", "York", "is"], " ") == [(0, 2), (4, 7), (9, 10)]  # type: ignore[attr-defined]
    answers = [
        [
            {"start": 0, "entity": "B-LOC"},
            {"start": 4, "entity": "I-LOC"},
            {"start": 6, "entity": "O"},
        ]
    ]
    assert judge.predictions_processor(answers, [["New", "York", "is"]], " ") == {  # type: ignore[arg-type]
        "predictions": [["B-LOC", "I-LOC", "O"]]
    }


def test_tags_are_named_for_the_metric() -> None:
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=["O", "B-PER"]))})
    data = Dataset.from_dict({"tokens": [["Ann", "ran"]], "ner_tags": [[1, 0]]}, features=features)
    references, inputs = evaluator("token-classification").prepare_data(data, "tokens", "ner_tags", " ")  # type: ignore[call-arg]
    assert references == {"references": [["B-PER", "O"]]}
    assert inputs == ["Ann ran"]
    bare = Dataset.from_dict({"tokens": [["Ann"]], "ner_tags": [[1]]})
    with pytest.raises(EvaluationError, match="ClassLabel"):
        evaluator("token-classification").prepare_data(bare, "tokens", "ner_tags")


def test_questions_without_answers_are_noticed() -> None:
    seen: dict[str, Any] = {}

    def answer(question: list[str], context: list[str], **options: Any) -> list[dict[str, Any]]:
        seen.update(options)
        return [{"answer": text.split()[0], "score": 0.5} for text in context]

    rows = {
        "id": ["a", "b"],
        "question": ["who?", "what?"],
        "context": ["Ann ran", "nothing here"],
        "answers": [{"text": ["Ann"], "answer_start": [0]}, {"text": [], "answer_start": []}],
    }
    judge = evaluator("question-answering")
    references, inputs = judge.prepare_data(Dataset.from_dict(rows), "question", "context", "id", "answers")  # type: ignore[call-arg]
    assert references["references"][0] == {"id": "a", "answers": {"text": ["Ann"], "answer_start": [0]}}
    settings = judge._completed(judge._settings({}), Dataset.from_dict(rows))
    assert settings["squad_v2_format"] is True
    outputs, _ = judge.call_pipeline(pipe("question-answering", answer), inputs, **judge._pipeline_options(settings))
    assert seen == {"handle_impossible_answer": True}
    made = judge._predictions(outputs, Dataset.from_dict(rows), settings)
    assert made["predictions"][1] == {"prediction_text": "nothing", "id": "b", "no_answer_probability": 0.5}


def test_summaries_are_compared_with_references() -> None:
    def summarize(texts: list[str], **options: Any) -> list[dict[str, str]]:
        assert options == {"truncation": True, "max_length": 3}
        return [{"summary_text": text.split(".")[0]} for text in texts]

    data = Dataset.from_dict({"text": ["a cat sat. it slept."], "label": ["a cat sat"]})
    found = evaluator("summarization").compute(
        pipe("summarization", summarize), data, generation_kwargs={"max_length": 3}
    )
    assert found["rouge1"] == 1.0
    translated = pipe("translation_en_to_de", lambda texts, **options: [{"translation_text": "a b c d"} for _ in texts])
    data = Dataset.from_dict({"text": ["x"], "label": ["a b c d"]})
    assert evaluator("translation").compute(translated, data)["bleu"] == 1.0


def test_what_does_not_fit_is_named() -> None:
    data, judge = Dataset.from_dict(REVIEWS), evaluator("text-classification")
    model = pipe("text-classification", sentiment)
    with pytest.raises(EvaluationError, match=r"input_column='txt' is no column.*did you mean 'text'"):
        judge.compute(model, data, input_column="txt")
    with pytest.raises(OptionError, match=r"no option 'label_maping'; did you mean 'label_mapping'"):
        judge.compute(model, data, label_maping={})
    with pytest.raises(EvaluationError, match="label_mapping does not have"):
        judge.compute(model, data, label_mapping={"POS": 1})
    with pytest.raises(EvaluationError, match="a pipeline for summarization"):
        judge.compute(pipe("summarization", lambda texts: texts), data)
    with pytest.raises(EvaluationError, match="strategy"):
        judge.compute(model, data, strategy="bootstap")
    with pytest.raises(EvaluationError, match="is a data set"):
        judge.compute(model, REVIEWS)
    with pytest.raises(KeyError, match="did you mean 'summarization'"):
        evaluator("summarisation")
    assert len(get_supported_tasks()) == 10


SUITE = """
from enfold.datasets import Dataset
from enfold.evaluate import EvaluationSuite, SubTask

class Suite(EvaluationSuite):
    def __init__(self, name):
        super().__init__(name)
        data = Dataset.from_dict({"text": ["GOOD", "bad"], "label": [1, 0]})
        self.suite = [
            SubTask(
                "text-classification",
                data,
                data_preprocessor=lambda row: {"text": row["text"].lower()},
                args_for_task={"metric": "accuracy", "label_mapping": {"NEG": 0, "POS": 1}},
            )
        ]
"""


def test_a_suite_runs_all_its_tasks(tmp_path: Path) -> None:
    path = tmp_path / "reviews.py"
    path.write_text(SUITE)
    suite = EvaluationSuite.load(str(path))
    assert repr(suite) == "EvaluationSuite name: \"reviews\", Tasks: ['Dataset'])"
    (found,) = suite.run(pipe("text-classification", sentiment))
    assert found["accuracy"] == 1.0
    assert "lambda" in found["data_preprocessor"]
    with pytest.raises(EvaluationError, match="no tasks"):
        EvaluationSuite("empty").run(None)
    with pytest.raises(EvaluationError, match="needs data"):
        SubTask("text-classification")


def test_results_are_written_into_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from enfold.evaluate import push_to_hub
    from enfold.hub import HfApi, ModelCard
    from enfold.hubserver import EmbeddedHub

    with EmbeddedHub(tmp_path / "hub") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        owner = HfApi().whoami()["name"]
        HfApi().create_repo(f"{owner}/model")
        said = dict(task_type="text-classification", dataset_type="imdb", dataset_name="IMDb", metric_type="accuracy")
        push_to_hub(f"{owner}/model", metric_name="Accuracy", metric_value=0.5, dataset_split="test", **said)
        card = ModelCard.load(f"{owner}/model")
        result = card.data.eval_results[0]
        assert (result.dataset_name, result.dataset_split, result.metric_value) == ("IMDb", "test", 0.5)
        with pytest.raises(Exception, match="overwrite"):
            push_to_hub(f"{owner}/model", metric_name="Accuracy", metric_value=0.6, dataset_split="test", **said)
        with pytest.raises(EvaluationError, match="no model"):
            push_to_hub(f"{owner}/other", metric_name="Accuracy", metric_value=0.6, **said)
