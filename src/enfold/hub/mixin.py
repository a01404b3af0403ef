"""A mixin that gives classes of one's own ``save_pretrained``, ``from_pretrained`` and ``push_to_hub``."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import tempfile
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from enfold.hub.card_data import ModelCardData
from enfold.hub.cards import ModelCard
from enfold.hub.fetch import find_file
from enfold.log import get_logger

__all__ = ["ModelHubMixin"]

logger = get_logger(__name__)
CONFIG_NAME = "config.json"
# Metadata of the card that a class may state.
_METADATA = ("language", "library_name", "license", "license_name", "license_link", "pipeline_tag")
_CARD = """---
{{ card_data }}
---

This model was pushed with a mixin of model classes:
- Code: {{ repo_url | default("[More Information Needed]", true) }}
- Paper: {{ paper_url | default("[More Information Needed]", true) }}
- Docs: {{ docs_url | default("[More Information Needed]", true) }}
"""


class ModelHubMixin:
    """Saves and loads a class through folders and repositories.

    A subclass defines ``_save_pretrained(folder)`` and the class method ``_from_pretrained(model_id=…, **arguments)``.
    The arguments that JSON can hold go into ``config.json`` and come back into the constructor.

    Args:
        repo_url, paper_url, docs_url: links for the card.
        model_card_template: a Jinja template of the card.
        tags: of the card.
        coders: type → (to JSON, from JSON), for arguments of types that JSON cannot hold.
        metadata: further metadata of the card: language, library_name, license, pipeline_tag, …

    Example:
        >>> class Counter(ModelHubMixin, tags=["numbers"]):
        ...     def __init__(self, start: int = 1) -> None:
        ...         self.start = start
        ...     def _save_pretrained(self, save_directory: Path) -> None:
        ...         pass
        ...     @classmethod
        ...     def _from_pretrained(cls, *, model_id: str, start: int = 1, **_: Any) -> "Counter":
        ...         return cls(start)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Counter(start=5).save_pretrained(folder)
        ...     Counter.from_pretrained(folder).start
        5
    """

    _hub_mixin_config: Any = None
    _links: ClassVar[dict[str, str | None]] = {}
    _template: ClassVar[str] = _CARD
    _metadata: ClassVar[dict[str, Any]] = {}
    _coders: ClassVar[dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]]] = {}

    def __init_subclass__(
        cls,
        *,
        repo_url: str | None = None,
        paper_url: str | None = None,
        docs_url: str | None = None,
        model_card_template: str | None = None,
        tags: list[str] | None = None,
        coders: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] | None = None,
        **metadata: Any,
    ) -> None:
        unknown = set(metadata) - set(_METADATA)
        if unknown:
            raise TypeError(f"{cls.__name__}: unknown arguments {', '.join(sorted(unknown))}; {', '.join(_METADATA)}")
        super().__init_subclass__()
        links = {"repo_url": repo_url, "paper_url": paper_url, "docs_url": docs_url}
        cls._links = {**cls._links, **{name: link for name, link in links.items() if link is not None}}
        cls._template = model_card_template or cls._template
        given = {name: value for name, value in metadata.items() if value is not None}
        named = sorted({"model_hub_mixin", *cls._metadata.get("tags", ()), *(tags or ())})
        cls._metadata = {**cls._metadata, **given, "tags": named}
        cls._coders = {**cls._coders, **(coders or {})}

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__new__(cls)
        if instance._hub_mixin_config is None:
            instance._hub_mixin_config = cls._configuration(args, kwargs)
        return instance

    @classmethod
    def _parameters(cls) -> dict[str, inspect.Parameter]:
        try:
            return dict(list(inspect.signature(cls.__init__, eval_str=True).parameters.items())[1:])
        except NameError:  # an annotation names what is only imported for type checking
            return dict(list(inspect.signature(cls.__init__).parameters.items())[1:])

    @classmethod
    def _configuration(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the constructor was called with, as far as JSON can hold it."""
        parameters = cls._parameters()
        defaults = {name: item.default for name, item in parameters.items() if item.default is not item.empty}
        given = {**defaults, **dict(zip(parameters, args, strict=False)), **kwargs}
        whole = given.get("config")
        if dataclasses.is_dataclass(whole):
            return whole
        plain = {name: cls._encoded(value) for name, value in given.items() if cls._fits(value)}
        whole = plain.pop("config", None)
        return {**plain, **(whole if isinstance(whole, dict) else {})} or None

    @classmethod
    def _fits(cls, value: Any) -> bool:
        if dataclasses.is_dataclass(value) or isinstance(value, tuple(cls._coders)):
            return True
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            return False
        return True

    @classmethod
    def _encoded(cls, value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return dataclasses.asdict(value)
        coder = next((coder for kind, coder in cls._coders.items() if isinstance(value, kind)), None)
        return value if coder is None else coder[0](value)

    @classmethod
    def _decoded(cls, kind: Any, value: Any) -> Any:
        """Return a value of ``config.json`` as the parameter's annotation wants it."""
        if typing.get_origin(kind) in (typing.Union, types.UnionType):
            if value is None:
                return None
            kinds = [item for item in typing.get_args(kind) if item is not type(None)]
            kind = kinds[0] if len(kinds) == 1 else Any
        if dataclasses.is_dataclass(kind):
            fields = {field.name for field in dataclasses.fields(kind)}
            return kind(**{name: item for name, item in value.items() if name in fields})  # type: ignore[operator]
        for known, (_, decode) in cls._coders.items():
            if isinstance(kind, type) and issubclass(kind, known):
                return decode(value)
        return value

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the model's own files; subclasses say how."""
        raise NotImplementedError(f"{type(self).__name__} must define _save_pretrained")

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **arguments: Any) -> Any:
        """Read the model's own files; subclasses say how."""
        raise NotImplementedError(f"{cls.__name__} must define _from_pretrained")

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        *,
        config: Any = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> Any:
        """Write the model, its ``config.json`` and a card into a folder.

        Args:
            save_directory: made when it does not exist.
            config: a dictionary or dataclass instead of the constructor's arguments.
            repo_id: where to push; the folder's name by default.
            push_to_hub: push it too; ``push_to_hub_kwargs`` are those of ``push_to_hub``.
            model_card_kwargs: what the card's template names.

        Returns:
            What the Hub says of the commit, or None.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / CONFIG_NAME
        path.unlink(missing_ok=True)
        self._save_pretrained(folder)
        config = self._hub_mixin_config if config is None else config
        plain = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else config  # type: ignore[arg-type]
        if plain is not None and not path.exists():
            path.write_text(json.dumps(plain, sort_keys=True, indent=2), encoding="utf-8")
        if not (folder / "README.md").exists():
            self.generate_model_card(**(model_card_kwargs or {})).save(folder / "README.md")
        if not push_to_hub:
            return None
        more = {"config": config, "model_card_kwargs": model_card_kwargs}
        return self.push_to_hub(repo_id or folder.name, **more, **push_to_hub_kwargs)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **model_kwargs: Any,
    ) -> Any:
        """Return the model of a folder or a repository.

        Args:
            pretrained_model_name_or_path: a folder or a repository's id.
            force_download, token, cache_dir, local_files_only, revision: where files are found.
            model_kwargs: arguments of the constructor, before those of ``config.json``.
        """
        where: dict[str, Any] = {
            "revision": revision,
            "cache_dir": cache_dir,
            "force_download": force_download,
            "local_files_only": local_files_only,
            "token": token,
        }
        source = os.fspath(pretrained_model_name_or_path)
        path = find_file(source, CONFIG_NAME, required=False, **where)
        config: Any = None if path is None else json.loads(Path(path).read_text(encoding="utf-8"))
        if path is None:
            logger.warning("%s has no %s", source, CONFIG_NAME)
        else:
            config = cls._arguments(config, model_kwargs)
        instance = cls._from_pretrained(model_id=source, **where, **model_kwargs)
        if config is not None and not getattr(instance, "_hub_mixin_config", None):
            instance._hub_mixin_config = config
        return instance

    @classmethod
    def _arguments(cls, config: dict[str, Any], given: dict[str, Any]) -> Any:
        """Add what ``config.json`` says to the arguments; return the configuration itself."""
        parameters, whole = cls._parameters(), config
        for name, item in parameters.items():
            if name in config and name not in given:
                given[name] = (
                    config[name] if item.annotation is item.empty else cls._decoded(item.annotation, config[name])
                )
        if "config" in parameters and "config" not in given:
            kind = parameters["config"].annotation
            given["config"] = whole = config if kind is inspect.Parameter.empty else cls._decoded(kind, config)
        if any(item.kind is item.VAR_KEYWORD for item in parameters.values()):
            given.update({name: value for name, value in config.items() if name not in given})
        if "config" in inspect.signature(cls._from_pretrained).parameters:
            given.setdefault("config", whole)
        return whole

    def push_to_hub(
        self,
        repo_id: str,
        *,
        config: Any = None,
        commit_message: str = "Push model using enfold",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
        allow_patterns: list[str] | str | None = None,
        ignore_patterns: list[str] | str | None = None,
        delete_patterns: list[str] | str | None = None,
        model_card_kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Save into a temporary folder and upload its files as one commit; the repository is made where there is none.

        Args:
            repo_id: the repository.
            config: as ``save_pretrained``.
            commit_message: first line of the commit.
            private: whether a new repository is private.
            token: write token; the stored one by default.
            branch: to commit to.
            create_pr: open a pull request instead.
            allow_patterns, ignore_patterns: which files are uploaded.
            delete_patterns: which files of the repository are removed.
            model_card_kwargs: what the card's template names.
        """
        from enfold.hub.api import HfApi

        api = HfApi(token=token)
        repo_id = api.create_repo(repo_id=repo_id, private=private, exist_ok=True).repo_id or repo_id
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, config=config, model_card_kwargs=dict(model_card_kwargs or {}))
            return api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message=commit_message,
                revision=branch,
                create_pr=create_pr,
                allow_patterns=allow_patterns,
                ignore_patterns=ignore_patterns,
                delete_patterns=delete_patterns,
            )

    def generate_model_card(self, **values: Any) -> ModelCard:
        """Return the card of the class's metadata and links."""
        return ModelCard.from_template(
            ModelCardData(**self._metadata), template_str=self._template, **{**self._links, **values}
        )
