"""The metadata of cards: what stands between the dashes at the top of a README.md, and evaluation results in it."""

from __future__ import annotations

import copy
import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from enfold.log import get_logger

__all__ = [
    "CardData",
    "DatasetCardData",
    "EvalResult",
    "ModelCardData",
    "SpaceCardData",
    "eval_results_to_model_index",
    "model_index_to_eval_results",
]

_log = get_logger(__name__)


@dataclasses.dataclass
class EvalResult:
    """One number that a model reached: on which task, dataset and metric.

    Args:
        task_type: such as "text-classification".
        dataset_type: the dataset's id.
        dataset_name: the dataset's name for people.
        metric_type: such as "accuracy".
        metric_value: the number.
        task_name: the task's name for people.
        dataset_config: the dataset's configuration.
        dataset_split: such as "test".
        dataset_revision: the dataset's commit.
        dataset_args: further arguments of the dataset.
        metric_name: the metric's name for people.
        metric_config: the metric's configuration.
        metric_args: further arguments of the metric.
        verified: whether the Hub verified it.
        verify_token: the Hub's proof.
        source_name: where the number is from.
        source_url: its address.
    """

    task_type: str
    dataset_type: str
    dataset_name: str
    metric_type: str
    metric_value: Any
    task_name: str | None = None
    dataset_config: str | None = None
    dataset_split: str | None = None
    dataset_revision: str | None = None
    dataset_args: dict[str, Any] | None = None
    metric_name: str | None = None
    metric_config: str | None = None
    metric_args: dict[str, Any] | None = None
    verified: bool | None = None
    verify_token: str | None = None
    source_name: str | None = None
    source_url: str | None = None

    def __post_init__(self) -> None:
        if self.source_name is not None and self.source_url is None:
            raise ValueError("source_name needs a source_url")

    @property
    def unique_identifier(self) -> tuple[Any, ...]:
        """What two results must share to be about the same task and dataset."""
        return (self.task_type, self.dataset_type, self.dataset_config, self.dataset_split, self.dataset_revision)

    def is_equal_except_value(self, other: EvalResult) -> bool:
        """Say whether only the value differs, and the token that proves it; what is verified is another result."""
        skipped = {"metric_value", "verify_token"}
        mine, theirs = vars(self), vars(other)
        return all(mine[name] == theirs[name] for name in mine if name not in skipped)


class CardData:
    """Metadata as attributes; a mapping as well.

    Args:
        ignore_metadata_errors: warn about members that cannot be read, instead of raising.
        values: the members.

    Example:
        >>> print(CardData(license="mit", tags=["a"]).to_yaml())
        license: mit
        tags:
        - a
    """

    def __init__(self, ignore_metadata_errors: bool = False, **values: Any) -> None:
        self.__dict__.update(values)

    def to_dict(self) -> dict[str, Any]:
        """Return the members that are set, as a card holds them."""
        data = copy.deepcopy(self.__dict__)
        self._to_dict(data)
        return {name: value for name, value in data.items() if value is not None}

    def _to_dict(self, data: dict[str, Any]) -> None:
        """Change ``data`` from attributes to what a card holds."""

    def to_yaml(self, line_break: str | None = None, original_order: list[str] | None = None) -> str:
        """Return the members as YAML, those of ``original_order`` first."""
        import yaml

        data = self.to_dict()
        order = [name for name in original_order or [] if name in data]
        data = {name: data[name] for name in [*order, *(name for name in data if name not in order)]}
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, line_break=line_break, width=10**6)
        return text.strip() if data else ""

    def get(self, name: str, default: Any = None) -> Any:
        """Return a member, or ``default`` when it is not set."""
        value = self.__dict__.get(name)
        return default if value is None else value

    def pop(self, name: str, default: Any = None) -> Any:
        """Remove a member and return it."""
        return self.__dict__.pop(name, default)

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__

    def __len__(self) -> int:
        return len(self.__dict__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CardData) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return self.to_yaml()

    def __str__(self) -> str:
        return self.to_yaml()


class ModelCardData(CardData):
    """The metadata of a model card.

    Args:
        base_model: the model that this one was made from.
        datasets: what it was trained on.
        eval_results: what it reached; written as ``model-index``, which needs ``model_name``.
        language: its languages.
        library_name: the library that loads it.
        license: its licence's identifier.
        license_name: the licence's name, where the identifier is "other".
        license_link: the licence's address.
        metrics: the metrics it was measured with.
        model_name: its name in ``model-index``.
        pipeline_tag: its task.
        tags: further tags.
        ignore_metadata_errors: drop a ``model-index`` that cannot be read, with a warning, instead of raising.
        values: further members.

    Example:
        >>> result = EvalResult("text-classification", "me/rows", "Rows", "accuracy", 0.9)
        >>> ModelCardData(model_name="m", eval_results=[result]).to_dict()["model-index"][0]["name"]
        'm'
    """

    def __init__(
        self,
        *,
        base_model: str | list[str] | None = None,
        datasets: str | list[str] | None = None,
        eval_results: EvalResult | list[EvalResult] | None = None,
        language: str | list[str] | None = None,
        library_name: str | None = None,
        license: str | None = None,
        license_name: str | None = None,
        license_link: str | None = None,
        metrics: list[str] | None = None,
        model_name: str | None = None,
        pipeline_tag: str | None = None,
        tags: list[str] | None = None,
        ignore_metadata_errors: bool = False,
        **values: Any,
    ) -> None:
        index = values.pop("model-index", None)
        if index:
            try:
                model_name, eval_results = model_index_to_eval_results(index)
            except (KeyError, TypeError, IndexError, AttributeError) as error:
                if not ignore_metadata_errors:
                    raise ValueError(f"the card's model-index lacks or misuses {error}") from error
                _log.warning("The card's model-index cannot be read, and is left out")
        super().__init__(
            base_model=base_model,
            datasets=datasets,
            eval_results=[eval_results] if isinstance(eval_results, EvalResult) else eval_results,
            language=language,
            library_name=library_name,
            license=license,
            license_name=license_name,
            license_link=license_link,
            metrics=metrics,
            model_name=model_name,
            pipeline_tag=pipeline_tag,
            tags=_unique(tags),
            **values,
        )
        results = self.get("eval_results")
        known = isinstance(results, list) and all(isinstance(result, EvalResult) for result in results)
        if results and not known and not ignore_metadata_errors:
            raise ValueError(
                f"eval_results should be of type `EvalResult` or a list of `EvalResult`, not {str(results)[:80]!r}"
            )
        if self.get("eval_results") and not self.get("model_name"):
            raise ValueError("eval_results need model_name: the name under which they stand in model-index")

    eval_results: list[EvalResult] | None
    model_name: str | None

    def _to_dict(self, data: dict[str, Any]) -> None:
        results = data.pop("eval_results", None)
        name = data.pop("model_name", None)
        if results is not None and name is not None:
            data["model-index"] = eval_results_to_model_index(name, results)
        elif name is not None:
            data["model_name"] = name


class DatasetCardData(CardData):
    """The metadata of a dataset card.

    Args:
        language: its languages.
        license: its licence's identifier, or several.
        annotations_creators: how the labels were made.
        language_creators: how the text was made.
        multilinguality: such as "monolingual".
        size_categories: such as "10K<n<100K".
        source_datasets: the datasets it was made from.
        task_categories: tasks it is for.
        task_ids: tasks, in more detail.
        paperswithcode_id: its id there.
        pretty_name: its name for people.
        train_eval_index: how to train and evaluate with it; written as ``train-eval-index``.
        config_names: its configurations.
        ignore_metadata_errors: accepted.
        values: further members, such as ``configs`` and ``dataset_info``.
    """

    def __init__(
        self,
        *,
        language: str | list[str] | None = None,
        license: str | list[str] | None = None,
        annotations_creators: str | list[str] | None = None,
        language_creators: str | list[str] | None = None,
        multilinguality: str | list[str] | None = None,
        size_categories: str | list[str] | None = None,
        source_datasets: list[str] | None = None,
        task_categories: str | list[str] | None = None,
        task_ids: str | list[str] | None = None,
        paperswithcode_id: str | None = None,
        pretty_name: str | None = None,
        train_eval_index: Any = None,
        config_names: str | list[str] | None = None,
        ignore_metadata_errors: bool = False,
        **values: Any,
    ) -> None:
        index = values.pop("train-eval-index", None)
        super().__init__(
            annotations_creators=annotations_creators,
            language_creators=language_creators,
            language=language,
            license=license,
            multilinguality=multilinguality,
            size_categories=size_categories,
            source_datasets=source_datasets,
            task_categories=task_categories,
            task_ids=task_ids,
            paperswithcode_id=paperswithcode_id,
            pretty_name=pretty_name,
            train_eval_index=train_eval_index if train_eval_index is not None else index,
            config_names=config_names,
            **values,
        )

    def _to_dict(self, data: dict[str, Any]) -> None:
        data["train-eval-index"] = data.pop("train_eval_index", None)


class SpaceCardData(CardData):
    """The metadata of a Space's card.

    Args:
        title: its title.
        sdk: "gradio", "streamlit", "docker" or "static".
        sdk_version: the version of the sdk.
        python_version: the version of Python.
        app_file: the program.
        app_port: the port of a docker Space.
        license: its licence's identifier.
        duplicated_from: the Space it was copied from.
        models: the models it uses.
        datasets: the datasets it uses.
        tags: further tags.
        ignore_metadata_errors: accepted.
        values: further members, such as ``emoji``.
    """

    def __init__(
        self,
        *,
        title: str | None = None,
        sdk: str | None = None,
        sdk_version: str | None = None,
        python_version: str | None = None,
        app_file: str | None = None,
        app_port: int | None = None,
        license: str | None = None,
        duplicated_from: str | None = None,
        models: list[str] | None = None,
        datasets: list[str] | None = None,
        tags: list[str] | None = None,
        ignore_metadata_errors: bool = False,
        **values: Any,
    ) -> None:
        super().__init__(
            title=title,
            sdk=sdk,
            sdk_version=sdk_version,
            python_version=python_version,
            app_file=app_file,
            app_port=app_port,
            license=license,
            duplicated_from=duplicated_from,
            models=models,
            datasets=datasets,
            tags=_unique(tags),
            **values,
        )


def _unique(tags: Iterable[str] | None) -> list[str] | None:
    return None if tags is None else [tags] if isinstance(tags, str) else list(dict.fromkeys(tags))


def model_index_to_eval_results(model_index: Sequence[dict[str, Any]]) -> tuple[str, list[EvalResult]]:
    """Return the model's name and its results from a card's ``model-index``.

    Raises:
        KeyError: a result has no task, dataset or metric.
    """
    if not model_index:
        raise ValueError("`model_index` must be a non-empty list: its first entry names the model")
    results = []
    for entry in model_index:
        for result in entry["results"]:
            task, dataset, source = result["task"], result["dataset"], result.get("source") or {}
            for metric in result["metrics"]:
                results.append(
                    EvalResult(
                        task_type=task["type"],
                        dataset_type=dataset["type"],
                        dataset_name=dataset["name"],
                        metric_type=metric["type"],
                        metric_value=metric["value"],
                        task_name=task.get("name"),
                        dataset_config=dataset.get("config"),
                        dataset_split=dataset.get("split"),
                        dataset_revision=dataset.get("revision"),
                        dataset_args=dataset.get("args"),
                        metric_name=metric.get("name"),
                        metric_args=metric.get("args"),
                        metric_config=metric.get("config"),
                        verified=metric.get("verified"),
                        verify_token=metric.get("verifyToken"),
                        source_name=source.get("name"),
                        source_url=source.get("url"),
                    )
                )
    return model_index[0]["name"], results


def eval_results_to_model_index(model_name: str, eval_results: Sequence[EvalResult]) -> list[dict[str, Any]]:
    """Return a card's ``model-index``: results of the same task and dataset stand together."""
    groups: dict[tuple[Any, ...], list[EvalResult]] = defaultdict(list)
    for result in eval_results:
        groups[result.unique_identifier].append(result)
    written = []
    for group in groups.values():
        first = group[0]
        entry: dict[str, Any] = {
            "task": {"type": first.task_type, "name": first.task_name},
            "dataset": {
                "name": first.dataset_name,
                "type": first.dataset_type,
                "config": first.dataset_config,
                "split": first.dataset_split,
                "revision": first.dataset_revision,
                "args": first.dataset_args,
            },
            "metrics": [
                {
                    "type": result.metric_type,
                    "value": result.metric_value,
                    "name": result.metric_name,
                    "config": result.metric_config,
                    "args": result.metric_args,
                    "verified": result.verified,
                    "verifyToken": result.verify_token,
                }
                for result in group
            ],
        }
        if first.source_url is not None:
            entry["source"] = {"url": first.source_url, "name": first.source_name}
        written.append(entry)
    return [_without_none({"name": model_name, "results": written})]


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value if item is not None]
    return value
