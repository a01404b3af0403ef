"""Results into the card of a model on the Hub."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.errors import EvaluationError
from enfold.log import get_logger

__all__ = ["push_to_hub"]

logger = get_logger(__name__)


def push_to_hub(
    model_id: str,
    task_type: str,
    dataset_type: str,
    dataset_name: str,
    metric_type: str,
    metric_name: str,
    metric_value: float,
    task_name: str | None = None,
    dataset_config: str | None = None,
    dataset_split: str | None = None,
    dataset_revision: str | None = None,
    dataset_args: dict[str, Any] | None = None,
    metric_config: str | None = None,
    metric_args: dict[str, Any] | None = None,
    overwrite: bool = False,
    token: bool | str | None = None,
) -> Any:
    """Write one result into the ``model-index`` of a model's card.

    Args:
        model_id: the model's repository.
        task_type, task_name: the task's id (``"text-classification"``) and a name to show.
        dataset_type, dataset_name: the data set's id and a name to show.
        dataset_config, dataset_split, dataset_revision, dataset_args: which part of it.
        metric_type, metric_name, metric_value: the metric's id, a name to show, and the result.
        metric_config, metric_args: which form of it.
        overwrite: replace a result that is there already; without it that is an error.
        token: write access to the repository; by default the one that you are logged in with.

    Returns:
        The commit, as `enfold.hub.metadata_update` gives it.

    Raises:
        EvaluationError: the model is not on the Hub.

    Source: https://huggingface.co/docs/hub/model-cards#evaluation-results
    """
    from enfold.hub import HfApi, metadata_update
    from enfold.hub.errors import RepositoryNotFoundError

    api = HfApi(token=token)
    if not api.repo_exists(dataset_type, repo_type="dataset"):
        logger.warning("there is no data set %s on the Hub", dataset_type)
    try:
        api.model_info(model_id)
    except RepositoryNotFoundError as error:
        raise EvaluationError(f"there is no model {model_id} on the Hub to write results for") from error

    def filled(**values: Any) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value is not None}

    result = {
        "task": filled(type=task_type, name=task_name),
        "dataset": filled(
            type=dataset_type,
            name=dataset_name,
            config=dataset_config,
            split=dataset_split,
            revision=dataset_revision,
            args=dataset_args,
        ),
        "metrics": [
            filled(type=metric_type, value=metric_value, name=metric_name, config=metric_config, args=metric_args)
        ],
    }
    index = {"model-index": [{"name": model_id.split("/")[-1], "results": [result]}]}
    return metadata_update(model_id, index, overwrite=overwrite, token=token)
