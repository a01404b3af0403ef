"""Evaluators of tasks whose answers are labels or spans of the input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.evaluators.base import Evaluator, _mapped, logger

__all__ = [
    "AudioClassificationEvaluator",
    "ImageClassificationEvaluator",
    "QuestionAnsweringEvaluator",
    "TextClassificationEvaluator",
    "TokenClassificationEvaluator",
]


class TextClassificationEvaluator(Evaluator):
    """One label a text, or a pair of texts (``second_input_column``)."""

    PIPELINE_KWARGS: ClassVar[dict[str, Any]] = {"truncation": True}
    columns: ClassVar[dict[str, Any]] = {**Evaluator.columns, "second_input_column": None}

    def __init__(self, task: str = "text-classification", default_metric_name: str | None = None) -> None:
        super().__init__(task, default_metric_name)

    def prepare_data(  # type: ignore[override]
        self, data: Any, input_column: str, label_column: str, second_input_column: str | None = None
    ) -> tuple[dict[str, Any], Any]:
        """Return the references, and for every row a dictionary with ``text`` and, for pairs, ``text_pair``."""
        references, texts = super().prepare_data(data, input_column, label_column)
        if second_input_column is None:
            return references, [{"text": text} for text in texts]
        self.check_required_columns(data, {"second_input_column": second_input_column})
        pairs = zip(texts, data[second_input_column], strict=True)
        return references, [{"text": text, "text_pair": other} for text, other in pairs]


class _BestLabelEvaluator(Evaluator):
    """The pipeline gives several labels with scores; the best one counts."""

    def predictions_processor(self, predictions: Any, label_mapping: Mapping[Any, Any] | None = None) -> dict[str, Any]:
        best = [max(answers, key=lambda answer: answer["score"])["label"] for answers in predictions]
        return {"predictions": [_mapped(label_mapping, label) for label in best]}


class ImageClassificationEvaluator(_BestLabelEvaluator):
    """One label a picture."""

    columns: ClassVar[dict[str, Any]] = {**Evaluator.columns, "input_column": "image"}

    def __init__(self, task: str = "image-classification", default_metric_name: str | None = None) -> None:
        super().__init__(task, default_metric_name)


class AudioClassificationEvaluator(_BestLabelEvaluator):
    """One label a recording: a path, or samples as an array."""

    columns: ClassVar[dict[str, Any]] = {**Evaluator.columns, "input_column": "file"}

    def __init__(self, task: str = "audio-classification", default_metric_name: str | None = None) -> None:
        super().__init__(task, default_metric_name)


class TokenClassificationEvaluator(Evaluator):
    """One label a word: a word gets what the pipeline says of the token that begins it, else ``O``."""

    PIPELINE_KWARGS: ClassVar[dict[str, Any]] = {"ignore_labels": []}
    columns: ClassVar[dict[str, Any]] = {"input_column": "tokens", "label_column": "ner_tags", "join_by": " "}

    def __init__(self, task: str = "token-classification", default_metric_name: str | None = None) -> None:
        super().__init__(task, default_metric_name)

    def prepare_data(  # type: ignore[override]
        self, data: Any, input_column: str, label_column: str, join_by: str = " "
    ) -> tuple[dict[str, Any], Any]:
        """Return the labels as text, and every row's words joined by ``join_by``."""
        from enfold.datasets import ClassLabel

        self.check_required_columns(data, {"input_column": input_column, "label_column": label_column})
        words, tags = list(data[input_column]), list(data[label_column])
        if any(isinstance(row, str) for row in (*words[:1], *tags[:1])):
            raise EvaluationError(f"{input_column} and {label_column} must hold a list of words and of labels a row")
        feature = getattr(data.features[label_column], "feature", None)
        if isinstance(feature, ClassLabel):
            tags = [[feature.names[tag] for tag in row] for row in tags]
        elif any(isinstance(tag, int) for row in tags[:10] for tag in row):
            raise EvaluationError(f"{label_column} holds integers without names: cast it to a list of ClassLabel")
        return {"references": tags}, [join_by.join(row) for row in words]

    def words_to_offsets(self, words: list[str], join_by: str) -> list[tuple[int, int]]:
        """Return the first and the last character of every word in the joined text."""
        offsets, begin = [], 0
        for word in words:
            offsets.append((begin, begin + len(word) - 1))
            begin += len(word) + len(join_by)
        return offsets

    def predictions_processor(  # type: ignore[override]
        self, predictions: Any, words: list[list[str]], join_by: str = " "
    ) -> dict[str, Any]:
        """Return one label for every word."""
        made = []
        for answers, row in zip(predictions, words, strict=True):
            starts: dict[int, str] = {}
            for answer in answers:
                if answer.get("start") is None:
                    raise EvaluationError("the pipeline does not say where tokens begin: it needs a fast tokenizer")
                starts.setdefault(answer["start"], answer["entity"])
            made.append([starts.get(begin, "O") for begin, _ in self.words_to_offsets(row, join_by)])
        return {"predictions": made}

    def _predictions(self, outputs: Any, data: Any, settings: dict[str, Any]) -> dict[str, Any]:
        return self.predictions_processor(outputs, list(data[settings["input_column"]]), settings["join_by"])


class QuestionAnsweringEvaluator(Evaluator):
    """A span of the context a question, in SQuAD's form; ``squad_v2_format`` tells whether some have no answer."""

    columns: ClassVar[dict[str, Any]] = {
        "question_column": "question",
        "context_column": "context",
        "id_column": "id",
        "label_column": "answers",
        "squad_v2_format": None,
    }

    def __init__(self, task: str = "question-answering", default_metric_name: str | None = None) -> None:
        super().__init__(task, default_metric_name)

    def prepare_data(  # type: ignore[override]
        self, data: Any, question_column: str, context_column: str, id_column: str, label_column: str
    ) -> tuple[dict[str, Any], Any]:
        """Return the references with their ids, and the questions with their contexts."""
        names = {"question_column": question_column, "context_column": context_column}
        self.check_required_columns(data, {**names, "id_column": id_column, "label_column": label_column})
        answers = zip(data[id_column], data[label_column], strict=True)
        references = [{"id": id, "answers": answer} for id, answer in answers]
        return {"references": references}, {name.split("_")[0]: list(data[column]) for name, column in names.items()}

    def is_squad_v2_format(self, data: Any, label_column: str = "answers") -> bool:
        """Return whether some question has no answer."""
        return any(not answer["text"] for answer in data[label_column])

    def _completed(self, settings: dict[str, Any], data: Any) -> dict[str, Any]:
        if settings["squad_v2_format"] is not None:
            return settings
        found = self.is_squad_v2_format(data, settings["label_column"])
        logger.info("squad_v2_format=%s, as the answers say", found)
        return {**settings, "squad_v2_format": found}

    def _pipeline_options(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**self.PIPELINE_KWARGS, "handle_impossible_answer": bool(settings["squad_v2_format"])}

    def predictions_processor(  # type: ignore[override]
        self, predictions: Any, squad_v2_format: bool, ids: list[Any]
    ) -> dict[str, Any]:
        """Return the predictions in the form of the metrics squad and squad_v2."""
        made = []
        for answer, id in zip(predictions, ids, strict=True):
            row = {"prediction_text": answer["answer"], "id": id}
            made.append({**row, "no_answer_probability": answer["score"]} if squad_v2_format else row)
        return {"predictions": made}

    def _predictions(self, outputs: Any, data: Any, settings: dict[str, Any]) -> dict[str, Any]:
        outputs = [outputs] if isinstance(outputs, dict) else outputs
        return self.predictions_processor(outputs, settings["squad_v2_format"], list(data[settings["id_column"]]))
