"""Models with adapters by name: the adapter's configuration says which base model to load first."""

from __future__ import annotations

import importlib
import os
from typing import Any

from enfold.errors import EnfoldError
from enfold.peft.config import PeftConfig, TaskType, split_source_arguments
from enfold.peft.model import PeftModel

__all__ = [
    "AutoPeftModel",
    "AutoPeftModelForCausalLM",
    "AutoPeftModelForFeatureExtraction",
    "AutoPeftModelForQuestionAnswering",
    "AutoPeftModelForSeq2SeqLM",
    "AutoPeftModelForSequenceClassification",
    "AutoPeftModelForTokenClassification",
]

# task → the class that loads its base model
_AUTO = {
    TaskType.CAUSAL_LM: "AutoModelForCausalLM",
    TaskType.SEQ_CLS: "AutoModelForSequenceClassification",
    TaskType.SEQ_2_SEQ_LM: "AutoModelForSeq2SeqLM",
    TaskType.TOKEN_CLS: "AutoModelForTokenClassification",
    TaskType.QUESTION_ANS: "AutoModelForQuestionAnswering",
    TaskType.FEATURE_EXTRACTION: "AutoModel",
}


class UnknownBaseModel(ValueError, EnfoldError):
    """An adapter does not say which model it belongs to."""


class AutoPeftModel:
    """Loads an adapter together with the base model that it names.

    Example:
        >>> AutoPeftModel.from_pretrained("no-such-folder")  # doctest: +SKIP
    """

    _task: TaskType | None = None

    def __init__(self) -> None:
        raise TypeError(f"{type(self).__name__} is made with from_pretrained")

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        adapter_name: str = "default",
        is_trainable: bool = False,
        config: PeftConfig | None = None,
        revision: str | None = None,
        **kwargs: Any,
    ) -> PeftModel:
        """Load the adapter of a folder or repository, and its base model.

        Args:
            pretrained_model_name_or_path: folder or repository of the adapter.
            adapter_name: name to give it.
            is_trainable: go on training it.
            config: configuration to use instead of the file's.
            revision: revision of the adapter.
            kwargs: ``subfolder``, ``token``, ``cache_dir``, ``local_files_only``; the rest goes to the base model.

        Returns:
            The model with its adapter.

        Raises:
            UnknownBaseModel: the adapter names no base model, or a task of another class.
        """
        subfolder = kwargs.pop("subfolder", None)
        where, rest = split_source_arguments({**kwargs, "revision": revision})
        if config is None:
            config = PeftConfig.from_pretrained(pretrained_model_name_or_path, subfolder=subfolder, **where)
        task = TaskType(config.task_type) if config.task_type is not None else None
        if cls._task is not None and task is not None and task != cls._task:
            raise UnknownBaseModel(
                f"{cls.__name__} expects an adapter for {cls._task.value}, this is one for {task.value}"
            )
        if not config.base_model_name_or_path:
            raise UnknownBaseModel(
                f"the adapter {pretrained_model_name_or_path} names no base model; load that yourself and use "
                "PeftModel.from_pretrained"
            )
        shared = {name: value for name, value in where.items() if name != "revision"}
        loader = cls._base_class(config, task)
        base = loader.from_pretrained(config.base_model_name_or_path, revision=config.revision, **shared, **rest)
        if subfolder is not None:
            where["subfolder"] = subfolder
        return PeftModel.from_pretrained(
            base, pretrained_model_name_or_path, adapter_name, is_trainable, config=config, **where
        )

    @classmethod
    def _base_class(cls, config: PeftConfig, task: TaskType | None) -> Any:
        import enfold.transformers as models

        wanted = cls._task or task
        if wanted is not None:
            return getattr(models, _AUTO[wanted])
        mapping = config.auto_mapping or {}
        name, library = mapping.get("base_model_class"), mapping.get("parent_library")
        if name is None:
            raise UnknownBaseModel("the adapter names neither a task nor a class; use PeftModel.from_pretrained")
        if hasattr(models, name):
            return getattr(models, name)
        if library and library.partition(".")[0] == "enfold":
            return getattr(importlib.import_module(library), name)
        raise UnknownBaseModel(f"the base model's class {name!r} is unknown here; use PeftModel.from_pretrained")


class AutoPeftModelForCausalLM(AutoPeftModel):
    """A language model with its adapter."""

    _task = TaskType.CAUSAL_LM


class AutoPeftModelForSequenceClassification(AutoPeftModel):
    """A classifier with its adapter."""

    _task = TaskType.SEQ_CLS


class AutoPeftModelForTokenClassification(AutoPeftModel):
    """A token classifier with its adapter."""

    _task = TaskType.TOKEN_CLS


class AutoPeftModelForSeq2SeqLM(AutoPeftModel):
    """An encoder-decoder with its adapter."""

    _task = TaskType.SEQ_2_SEQ_LM


class AutoPeftModelForQuestionAnswering(AutoPeftModel):
    """A model that answers from a passage, with its adapter."""

    _task = TaskType.QUESTION_ANS


class AutoPeftModelForFeatureExtraction(AutoPeftModel):
    """An encoder with its adapter."""

    _task = TaskType.FEATURE_EXTRACTION
