"""Cards: the README.md of a repository, its metadata and its text; read, written, validated, shared."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from enfold.hub import constants, http
from enfold.hub.card_data import (
    CardData,
    DatasetCardData,
    EvalResult,
    ModelCardData,
    SpaceCardData,
    eval_results_to_model_index,
    model_index_to_eval_results,
)
from enfold.hub.errors import EntryNotFoundError
from enfold.hub.types import CommitInfo

__all__ = [
    "DatasetCard",
    "ModelCard",
    "RepoCard",
    "SpaceCard",
    "metadata_eval_result",
    "metadata_load",
    "metadata_save",
    "metadata_update",
]

_FRONT = re.compile(r"\A(\s*---[ \t]*(\r\n|\r|\n))([\S\s]*?)((\r\n|\r|\n)?---[ \t]*(?:(\r\n|\r|\n)|\Z))")
Card = TypeVar("Card", bound="RepoCard")

_MODEL_TEMPLATE = """---
{{ card_data }}
---

# Model Card for {{ model_id | default("Model ID", true) }}

{{ model_summary | default("", true) }}

{% if model_description %}## What it is

{{ model_description }}

{% endif %}{% if uses or direct_use %}## Use

{{ uses or direct_use }}

{% endif %}{% if get_started_code %}## How to load it

```python
{{ get_started_code }}
```

{% endif %}{% if training_data or training_procedure %}## Training

{{ training_data | default("", true) }}

{{ training_procedure | default("", true) }}

{% endif %}{% if results %}## Evaluation

{{ results }}

{% endif %}{% if bias_risks_limitations or limitations %}## Limits

{{ bias_risks_limitations or limitations }}

{% endif %}{% if citation_bibtex %}## Citation

```bibtex
{{ citation_bibtex }}
```
{% endif %}"""

_DATASET_TEMPLATE = """---
{{ card_data }}
---

# Dataset Card for {{ pretty_name | default("Dataset Name", true) }}

{{ dataset_summary | default("", true) }}

{% if dataset_description %}## What it is

{{ dataset_description }}

{% endif %}{% if dataset_structure %}## Structure

{{ dataset_structure }}

{% endif %}{% if bias_risks_limitations %}## Limits

{{ bias_risks_limitations }}

{% endif %}{% if citation_bibtex %}## Citation

```bibtex
{{ citation_bibtex }}
```
{% endif %}"""


class RepoCard:
    """A card: metadata between dashes, then Markdown.

    Args:
        content: the whole text.
        ignore_metadata_errors: warn about metadata that cannot be read instead of raising.

    Raises:
        ValueError: the metadata is not a mapping.

    Example:
        >>> RepoCard("---\\nlicense: mit\\n---\\n# Hello").data.license
        'mit'
    """

    card_data_class: ClassVar[type[CardData]] = CardData
    repo_type: str | None = None
    default_template: ClassVar[str] = _MODEL_TEMPLATE

    def __init__(self, content: str, ignore_metadata_errors: bool = False) -> None:
        self.ignore_metadata_errors = ignore_metadata_errors
        self.content = content

    @property
    def content(self) -> str:
        """The whole text."""
        newline = _newline(self._content)
        metadata = self.data.to_yaml(line_break=newline, original_order=self._order)
        return f"---{newline}{metadata}{newline}---{newline}{self.text}" if metadata else self.text

    @content.setter
    def content(self, content: str) -> None:
        import yaml

        self._content = content
        found = _FRONT.search(content)
        data: Any = None
        if found:
            self.text = content[found.end() :]
            data = yaml.safe_load(found.group(3))
            if data is None:
                data = {}
            if not isinstance(data, dict):
                raise ValueError("a card's metadata must be a mapping of names to values")
        else:
            self.text = content
        self._order = list(data or {})
        self.data: Any = self.card_data_class(**(data or {}), ignore_metadata_errors=self.ignore_metadata_errors)

    def __str__(self) -> str:
        return self.content

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write the card to a file, by default line breaks of its own."""
        from enfold.hub.cache import write_atomically

        write_atomically(Path(filepath), str(self).encode())

    @classmethod
    def load(
        cls: type[Card],
        repo_id_or_path: str | os.PathLike[str],
        repo_type: str | None = None,
        token: bool | str | None = None,
        ignore_metadata_errors: bool = False,
    ) -> Card:
        """Read the card of a repository, or a file.

        Raises:
            EntryNotFoundError: the repository has no README.md.
        """
        path = Path(repo_id_or_path)
        if not path.is_file():
            from enfold.hub.download import hf_hub_download

            kind = repo_type or cls.repo_type
            path = Path(hf_hub_download(str(repo_id_or_path), constants.REPOCARD_NAME, repo_type=kind, token=token))
        return cls(path.read_bytes().decode("utf-8"), ignore_metadata_errors=ignore_metadata_errors)

    def validate(self, repo_type: str | None = None) -> None:
        """Have the Hub check the metadata.

        Raises:
            ValueError: what is wrong with it.
        """
        body = {"repoType": repo_type or self.repo_type or "model", "content": str(self)}
        response = http.request("POST", f"{constants.endpoint()}/api/validate-yaml", json=body, check=False)
        if response.status_code == 400:
            messages = [error["message"] for error in response.json().get("errors", [])]
            raise ValueError("the card's metadata is not valid:\n" + "\n".join(messages or [response.text]))
        http.hf_raise_for_status(response)

    def push_to_hub(
        self,
        repo_id: str,
        token: bool | str | None = None,
        repo_type: str | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = None,
        parent_commit: str | None = None,
    ) -> CommitInfo:
        """Make this the README.md of a repository, after the Hub checked it."""
        from enfold.hub.api import upload_file

        kind = repo_type or self.repo_type
        self.validate(repo_type=kind)
        return upload_file(
            path_or_fileobj=str(self).encode(),
            path_in_repo=constants.REPOCARD_NAME,
            repo_id=repo_id,
            token=token,
            repo_type=kind,
            commit_message=commit_message or "Upload README.md with enfold",
            commit_description=commit_description,
            create_pr=create_pr,
            revision=revision,
            parent_commit=parent_commit,
        )

    @classmethod
    def from_template(
        cls: type[Card],
        card_data: CardData,
        template_path: str | os.PathLike[str] | None = None,
        template_str: str | None = None,
        **template_kwargs: Any,
    ) -> Card:
        """Make a card from metadata and a Jinja template; a plain one by default.

        Args:
            card_data: the metadata.
            template_path: a template's file.
            template_str: a template.
            template_kwargs: what the template names, such as ``model_id`` and ``model_description``.
        """
        from jinja2.sandbox import SandboxedEnvironment

        if template_path is not None:
            template_str = Path(template_path).read_text()
        template = SandboxedEnvironment().from_string(template_str or cls.default_template)
        values = {**card_data.to_dict(), **template_kwargs}
        return cls(re.sub(r"\n{3,}", "\n\n", template.render(card_data=card_data.to_yaml(), **values)))


class ModelCard(RepoCard):
    """The card of a model; ``data`` is a :class:`ModelCardData`."""

    card_data_class = ModelCardData
    repo_type = "model"


class DatasetCard(RepoCard):
    """The card of a dataset; ``data`` is a :class:`DatasetCardData`."""

    card_data_class = DatasetCardData
    repo_type = "dataset"
    default_template = _DATASET_TEMPLATE


class SpaceCard(RepoCard):
    """The card of a Space; ``data`` is a :class:`SpaceCardData`."""

    card_data_class = SpaceCardData
    repo_type = "space"


def _newline(text: str) -> str:
    found = re.search(r"\r\n|\r|\n", text)
    return found.group(0) if found else "\n"


def metadata_load(local_path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the metadata of a card's file; None without any."""
    import yaml

    found = _FRONT.search(Path(local_path).read_bytes().decode("utf-8"))
    if not found:
        return None
    data = yaml.safe_load(found.group(3))
    if data is None or isinstance(data, dict):
        return data
    raise ValueError("a card's metadata must be a mapping of names to values")


def metadata_save(local_path: str | os.PathLike[str], data: dict[str, Any]) -> None:
    """Replace the metadata of a card's file, which is made when it does not exist."""
    import yaml

    from enfold.hub.cache import write_atomically

    path = Path(local_path)
    text = path.read_bytes().decode("utf-8") if path.exists() else ""
    newline = _newline(text)
    found = _FRONT.search(text)
    front = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, line_break=newline, width=10**6)
    body = text[found.end() :] if found else text
    write_atomically(path, f"---{newline}{front}---{newline}{body}".encode())


def metadata_eval_result(
    *,
    model_pretty_name: str,
    task_pretty_name: str,
    task_id: str,
    metrics_pretty_name: str,
    metrics_id: str,
    metrics_value: Any,
    dataset_pretty_name: str,
    dataset_id: str,
    metrics_config: str | None = None,
    metrics_verified: bool = False,
    dataset_config: str | None = None,
    dataset_split: str | None = None,
    dataset_revision: str | None = None,
    metrics_verification_token: str | None = None,
) -> dict[str, Any]:
    """Return a ``model-index`` with one result."""
    result = EvalResult(
        task_type=task_id,
        task_name=task_pretty_name,
        dataset_type=dataset_id,
        dataset_name=dataset_pretty_name,
        dataset_config=dataset_config,
        dataset_split=dataset_split,
        dataset_revision=dataset_revision,
        metric_type=metrics_id,
        metric_name=metrics_pretty_name,
        metric_value=metrics_value,
        metric_config=metrics_config,
        verified=metrics_verified,
        verify_token=metrics_verification_token,
    )
    return {"model-index": eval_results_to_model_index(model_pretty_name, [result])}


def metadata_update(
    repo_id: str,
    metadata: dict[str, Any],
    *,
    repo_type: str | None = None,
    overwrite: bool = False,
    token: bool | str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    parent_commit: str | None = None,
) -> CommitInfo:
    """Add metadata to a repository's card; results in ``model-index`` are merged with those that are there.

    Raises:
        ValueError: a Space has no card; a member, or a result of the same task, dataset and metric, is there with
            another value: pass ``overwrite=True`` to replace it.
    """
    kind = repo_type or "model"
    classes: dict[str, type[RepoCard]] = {"model": ModelCard, "dataset": DatasetCard, "space": SpaceCard}
    card_class = classes[kind]
    try:
        card = card_class.load(repo_id, token=token, repo_type=kind)
    except EntryNotFoundError:
        if kind == "space":
            raise ValueError(
                f"the Space {repo_id!r} has no README.md, which says how it runs: make one first"
            ) from None
        card = card_class.from_template(card_class.card_data_class())
    for name, value in metadata.items():
        if name == "model-index":
            _merge_results(card.data, value, overwrite, repo_id)
        elif not overwrite and card.data.get(name) is not None and card.data.get(name) != value:
            raise ValueError(f"the card has {name!r} with another value already; pass overwrite=True to replace it")
        else:
            card.data[name] = value
    return card.push_to_hub(
        repo_id,
        token=token,
        repo_type=kind,
        commit_message=commit_message or "Update metadata with enfold",
        commit_description=commit_description,
        create_pr=create_pr,
        revision=revision,
        parent_commit=parent_commit,
    )


def _merge_results(data: Any, index: list[dict[str, Any]], overwrite: bool, repo_id: str) -> None:
    name, results = model_index_to_eval_results([{"name": repo_id, **entry} for entry in index])
    data.model_name = data.get("model_name") or name
    present: list[EvalResult] = list(data.get("eval_results") or [])
    for new in results:
        same = next((old for old in present if old.is_equal_except_value(new)), None)
        if same is None:
            present.append(new)
        elif same.metric_value != new.metric_value and not overwrite:
            raise ValueError(
                f"the card has the metric {new.metric_name or new.metric_type!r} with another value already; "
                "pass overwrite=True to replace it"
            )
        else:
            same.metric_value, same.verified, same.verify_token = new.metric_value, new.verified, new.verify_token
    data.eval_results = present
