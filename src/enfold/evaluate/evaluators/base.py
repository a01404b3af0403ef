"""What all evaluators share: they load data, ask a pipeline, and give its answers to a metric."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from enfold.errors import MissingExtra, nearest
from enfold.evaluate.errors import EvaluationError, OptionError
from enfold.evaluate.module import EvaluationModule
from enfold.log import get_logger

__all__ = ["Evaluator"]

logger = get_logger(__name__)

# Which split to take when none is named: the first group that the data set has one of.
_SPLITS = (("test", "testing", "eval", "evaluation"), ("validation", "val", "valid", "dev"), ("train", "training"))


class Evaluator:
    """Evaluates whatever answers like a pipeline of one task.

    A task is a subclass: ``columns`` names its own arguments of `compute` with their defaults, `prepare_data` takes the
    metric's references and the pipeline's inputs out of a data set, and `predictions_processor` turns the pipeline's
    answers into what the metric reads.

    Args:
        task: the pipeline's task.
        default_metric_name: the metric when `compute` is given none.
    """

    PIPELINE_KWARGS: ClassVar[dict[str, Any]] = {}
    METRIC_KWARGS: ClassVar[dict[str, Any]] = {}
    columns: ClassVar[dict[str, Any]] = {"input_column": "text", "label_column": "label", "label_mapping": None}

    def __init__(self, task: str, default_metric_name: str | None = None) -> None:
        self.task = task
        self.default_metric_name = default_metric_name

    def compute(
        self,
        model_or_pipeline: Any = None,
        data: Any = None,
        subset: str | None = None,
        split: str | None = None,
        metric: str | EvaluationModule | None = None,
        tokenizer: Any = None,
        feature_extractor: Any = None,
        strategy: str = "simple",
        confidence_level: float = 0.95,
        n_resamples: int = 9999,
        device: Any = None,
        random_state: int | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Evaluate on every row of a data set.

        Args:
            model_or_pipeline: the id or folder of a model, a model, a pipeline, or any callable with a ``task`` that
                answers like one; by default the task's own model.
            data: a data set, or the name of one to load.
            subset, split: which configuration and part of a named data set; without ``split`` its test split, else
                its validation, else its training split.
            metric: a metric or its name; by default the task's own.
            tokenizer, feature_extractor: for a pipeline that is made here.
            strategy: ``"simple"`` gives scores, ``"bootstrap"`` for every score a dictionary with ``score``,
                ``confidence_interval`` and ``standard_error`` (BCa, Efron 1987, as scipy computes it).
            confidence_level: of the intervals.
            n_resamples: how many resamples are drawn.
            device: for a pipeline that is made here.
            random_state: seeds the resampling.
            **options: the task's own: names of columns (``input_column``, ``label_column`` …), ``label_mapping`` from
                the pipeline's labels to the data set's, ``generation_kwargs``, ``join_by``, ``squad_v2_format``.

        Returns:
            The metric's results, ``total_time_in_seconds``, ``samples_per_second`` and ``latency_in_seconds``.

        Raises:
            OptionError: an option that the task does not have.
            EvaluationError: a column is missing, or the pipeline is one of another task.

        Example:
            >>> from enfold.datasets import Dataset
            >>> from enfold.evaluate import evaluator
            >>> def classify(texts, **options):
            ...     return [{"label": "good" if "good" in text["text"] else "bad"} for text in texts]
            >>> classify.task = "text-classification"
            >>> data = Dataset.from_dict({"text": ["a good film", "dull"], "label": [1, 1]})
            >>> found = evaluator("text-classification").compute(
            ...     classify, data, metric="accuracy", label_mapping={"good": 1, "bad": 0}
            ... )
            >>> found["accuracy"]
            0.5
        """
        settings = self._settings(options)
        if strategy not in ("simple", "bootstrap"):
            raise EvaluationError(f'strategy is "simple" or "bootstrap", not {strategy!r}')
        self.check_for_mismatch_in_device_setup(device, model_or_pipeline)
        data = self.load_data(data, subset, split)
        settings = self._completed(settings, data)
        metric = self.prepare_metric(metric)
        metric_inputs, inputs = self.prepare_data(data, **self._of(self.prepare_data, settings))
        pipe = self.prepare_pipeline(model_or_pipeline, tokenizer, feature_extractor, device)
        kwargs = self._pipeline_options(settings)
        outputs, times = self.call_pipeline(pipe, inputs, **kwargs)
        metric_inputs |= self._predictions(outputs, data, settings)
        results = self.compute_metric(metric, metric_inputs, strategy, confidence_level, n_resamples, random_state)
        return {**results, **times}

    def _settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        for name in given:
            if name not in self.columns:
                known = ", ".join(self.columns)
                raise OptionError(f"{self.task} has no option {name!r}{nearest(name, self.columns)}; it has {known}")
        return {**self.columns, **given}

    def _completed(self, settings: dict[str, Any], data: Any) -> dict[str, Any]:
        """The settings, where the data set decides some of them."""
        return settings

    @staticmethod
    def _of(function: Callable[..., Any], settings: dict[str, Any]) -> dict[str, Any]:
        """The settings that a method asks for by name."""
        asked = inspect.signature(function).parameters
        return {name: value for name, value in settings.items() if name in asked}

    def _pipeline_options(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**self.PIPELINE_KWARGS, **(settings.get("generation_kwargs") or {})}

    def _predictions(self, outputs: Any, data: Any, settings: dict[str, Any]) -> dict[str, Any]:
        return self.predictions_processor(outputs, **self._of(self.predictions_processor, settings))

    def predictions_processor(self, predictions: Any, label_mapping: Mapping[Any, Any] | None = None) -> dict[str, Any]:
        """Return the metric's arguments out of the pipeline's answers; each task says how."""
        return {"predictions": [_mapped(label_mapping, answer["label"]) for answer in predictions]}

    def prepare_data(self, data: Any, input_column: str, label_column: str) -> tuple[dict[str, Any], Any]:
        """Return the metric's references and the pipeline's inputs."""
        self.check_required_columns(data, {"input_column": input_column, "label_column": label_column})
        return {"references": list(data[label_column])}, list(data[input_column])

    def check_required_columns(self, data: Any, columns_names: Mapping[str, str]) -> None:
        """Raise `EvaluationError` unless the data set has these columns (argument → column)."""
        for argument, column in columns_names.items():
            if column not in data.column_names:
                has, near = ", ".join(data.column_names), nearest(column, data.column_names)
                raise EvaluationError(f"{argument}={column!r} is no column of this data set{near}; it has {has}")

    @staticmethod
    def get_dataset_split(data: str, subset: str | None = None, split: str | None = None) -> str:
        """Return ``split``, or the split of a named data set to evaluate on: test, else validation, else train."""
        if split is not None:
            return split
        from enfold.datasets import get_dataset_split_names

        names = get_dataset_split_names(data, subset)
        for group in _SPLITS:
            for name in names:
                if name in group:
                    logger.warning("no split was named: evaluating on %s of %s", name, data)
                    return name
        raise EvaluationError(f"{data} has no split to evaluate on; it has {', '.join(names)}: name one")

    def load_data(self, data: Any, subset: str | None = None, split: str | None = None) -> Any:
        """Return the data set, loaded when ``data`` is its name."""
        if isinstance(data, str):
            from enfold.datasets import load_dataset

            return load_dataset(data, name=subset, split=self.get_dataset_split(data, subset, split))
        if not hasattr(data, "column_names") or isinstance(data, dict):
            raise EvaluationError(f"data is a data set (one split of it) or its name, not {type(data).__name__}")
        if split is not None or subset is not None:
            logger.warning("data is a data set already: subset and split are ignored")
        return data

    def prepare_pipeline(
        self, model_or_pipeline: Any = None, tokenizer: Any = None, feature_extractor: Any = None, device: Any = None
    ) -> Any:
        """Return a pipeline of this task: the one given, or one made from a model or its id."""
        given = model_or_pipeline
        if given is None or isinstance(given, str) or (hasattr(given, "config") and not hasattr(given, "task")):
            from enfold.transformers import pipeline

            return pipeline(
                self.task, model=given, tokenizer=tokenizer, feature_extractor=feature_extractor, device=device
            )
        if not hasattr(given, "task"):
            raise EvaluationError(f"{given!r} is no model, and has no attribute task to say what it answers")
        if given.task != self.task and not (self.task == "translation" and given.task.startswith("translation")):
            raise EvaluationError(f"this is a pipeline for {given.task}; the evaluator needs one for {self.task}")
        if tokenizer is not None or feature_extractor is not None:
            logger.warning("a pipeline was given: tokenizer and feature_extractor are ignored")
        return given

    @staticmethod
    def check_for_mismatch_in_device_setup(device: Any, model_or_pipeline: Any) -> None:
        """Raise `EvaluationError` when a pipeline is given that runs on another device than the one asked for."""
        place: Any = getattr(model_or_pipeline, "device", None)
        if device in (None, -1) or not hasattr(model_or_pipeline, "task") or not hasattr(place, "type"):
            return
        import torch

        asked = torch.device(device)
        if (asked.type, asked.index or 0) != (place.type, place.index or 0):
            raise EvaluationError(
                f"device={device!r} was asked for, but the pipeline runs on {place}: make it with device={device!r}, "
                "or leave device out here"
            )

    def prepare_metric(self, metric: str | EvaluationModule | None) -> EvaluationModule:
        """Return the metric, loaded when it is a name; without one the task's own."""
        from enfold.evaluate.loading import load

        chosen = metric if metric is not None else self.default_metric_name
        if chosen is None:
            raise EvaluationError(f"{self.task} has no metric of its own: pass metric=")
        return load(chosen) if isinstance(chosen, str) else chosen

    def call_pipeline(self, pipe: Any, inputs: Any, **options: Any) -> tuple[Any, dict[str, float]]:
        """Return the pipeline's answers, and how long they took."""
        count = len(next(iter(inputs.values())) if isinstance(inputs, dict) else inputs)
        begin = time.perf_counter()
        outputs = pipe(**inputs, **options) if isinstance(inputs, dict) else pipe(inputs, **options)
        outputs = list(outputs) if not isinstance(outputs, (list, dict)) else outputs
        spent = time.perf_counter() - begin
        times = {"total_time_in_seconds": spent, "samples_per_second": count / spent}
        return outputs, {**times, "latency_in_seconds": spent / max(count, 1)}

    def compute_metric(
        self,
        metric: EvaluationModule,
        metric_inputs: dict[str, Any],
        strategy: str = "simple",
        confidence_level: float = 0.95,
        n_resamples: int = 9999,
        random_state: int | None = None,
    ) -> dict[str, Any]:
        """Return the metric's results, with confidence intervals under the bootstrap strategy."""

        def scores(inputs: dict[str, Any]) -> dict[str, Any]:
            found = metric.compute(**inputs, **self.METRIC_KWARGS)
            return found if isinstance(found, dict) else {metric.name: found}

        results = scores(metric_inputs)
        if strategy == "simple":
            return results
        try:
            from scipy.stats import bootstrap
        except ImportError:
            raise MissingExtra("the bootstrap strategy", "evaluate") from None
        names = list(metric_inputs)
        made: dict[str, Any] = {}
        for key, score in results.items():

            def statistic(*rows: Any, key: str = key) -> Any:
                return scores({name: list(row) for name, row in zip(names, rows, strict=True)})[key]

            found = bootstrap(
                [metric_inputs[name] for name in names],
                statistic,
                paired=True,
                vectorized=False,
                confidence_level=confidence_level,
                n_resamples=n_resamples,
                random_state=random_state,
            )
            interval = found.confidence_interval
            made[key] = {"confidence_interval": (interval.low, interval.high), "standard_error": found.standard_error}
            made[key]["score"] = score
        return made


def _mapped(label_mapping: Mapping[Any, Any] | None, label: Any) -> Any:
    if label_mapping is None:
        return label
    if label not in label_mapping:
        known = ", ".join(map(repr, label_mapping))
        raise EvaluationError(f"the pipeline answered {label!r}, which label_mapping does not have; it has {known}")
    return label_mapping[label]
