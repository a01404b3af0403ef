"""``PeftModel``: a model together with its adapters."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import Any

from torch import nn

from enfold.log import get_logger
from enfold.peft.config import PeftConfig, PeftType, TaskType, split_source_arguments
from enfold.peft.errors import PeftWarning
from enfold.peft.layer import BASE, Adapted, is_quantized
from enfold.peft.prompted import PromptTuner
from enfold.peft.sharing import Sharing
from enfold.peft.tuner import Tuner, tuner_class
from enfold.peft.weights import (
    LoadResult,
    load_peft_weights,
    set_peft_model_state_dict,
)

__all__ = [
    "PeftModel",
    "PeftModelForCausalLM",
    "PeftModelForFeatureExtraction",
    "PeftModelForQuestionAnswering",
    "PeftModelForSeq2SeqLM",
    "PeftModelForSequenceClassification",
    "PeftModelForTokenClassification",
    "get_peft_model",
]

logger = get_logger(__name__)


class PeftModel(Sharing):
    """A model with adapters: it computes, generates and shows attributes as the model does.

    Args:
        model: any module; its targeted layers are replaced in place and everything else is frozen.
        peft_config: the first adapter's configuration.
        adapter_name: its name.
        autocast_adapter_dtype: keep adapters in float32 where the base is in half precision.
        low_cpu_mem_usage: leave the adapter on the meta device until it is filled from a file.

    Attributes:
        base_model: what holds the adapters, such as a :class:`~enfold.peft.LoraModel`.
        peft_config: adapter name → configuration.

    Example:
        >>> from torch import nn
        >>> from enfold.peft import LoraConfig, PeftModel
        >>> model = PeftModel(nn.Sequential(nn.Linear(4, 4)), LoraConfig(r=2, target_modules=["0"]))
        >>> model.print_trainable_parameters()
        trainable params: 16 || all params: 36 || trainable%: 44.4444
    """

    _whole_modules: tuple[str, ...] = ()
    _tuner_class: type[Tuner] | None = None  # of models with adapters of several kinds

    def __init__(
        self,
        model: nn.Module,
        peft_config: PeftConfig,
        adapter_name: str = "default",
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self._add_whole_modules(peft_config)
        # A model that has been cast down keeps float32 adapters, unless the caller wants one dtype throughout.
        kind: Any = self._tuner_class or (PromptTuner if peft_config.is_prompt_learning else tuner_class(peft_config))
        self.base_model: Any = kind(model) if kind is PromptTuner else kind(model, {}, adapter_name)
        how = {"empty": kwargs.get("empty", False), "low_cpu_mem_usage": low_cpu_mem_usage}
        self.base_model.add_adapter(adapter_name, peft_config, autocast_adapter_dtype, **how)
        self._open = {adapter_name} if how["empty"] else set()  # adapters whose numbers a file is about to bring
        self.modules_to_save = self._names_to_save(peft_config)

    def _add_whole_modules(self, config: PeftConfig) -> None:
        if self._whole_modules and hasattr(config, "modules_to_save"):
            given = list(config.modules_to_save or ())
            config.modules_to_save = given + [name for name in self._whole_modules if name not in given]

    @staticmethod
    def _names_to_save(config: PeftConfig) -> set[str] | None:
        names = getattr(config, "modules_to_save", None)
        return set(names) if names else None

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_model":
                raise
            return getattr(self.base_model, name)

    def forward(self, *args: Any, adapter_names: list[str] | None = None, **kwargs: Any) -> Any:
        """Compute as the base model does, adapters included.

        Args:
            args, kwargs: of the base model; ``task_ids`` for prompts of several tasks.
            adapter_names: an adapter for each row, ``"__base__"`` for none.
        """
        with self._rows(adapter_names):
            return self.base_model(*args, **kwargs)

    def generate(self, *args: Any, adapter_names: list[str] | None = None, **kwargs: Any) -> Any:
        """Generate as the base model does, adapters included; ``adapter_names`` names one for each row."""
        with self._rows(adapter_names):
            return self.base_model.generate(*args, **kwargs)

    @contextlib.contextmanager
    def _rows(self, names: list[str] | None) -> Iterator[None]:
        """Let every row have the adapter that ``names`` says, for the length of a ``with`` block."""
        if names is None:
            yield
            return
        if self.training:
            raise ValueError("adapter_names is for inference: call eval() first")
        self.base_model._check_names([name for name in dict.fromkeys(names) if name != BASE])
        places = [place for place in self.base_model.places.values() if hasattr(place, "batch")]
        for place in places:
            place.batch = list(names)
        try:
            yield
        finally:
            for place in places:
                place.batch = None

    def get_base_model(self) -> nn.Module:
        """Return the model inside, whose layers carry the adapters."""
        return self.base_model.model  # type: ignore[no-any-return]

    # --- adapters -------------------------------------------------------------------------------------------------

    @property
    def peft_config(self) -> dict[str, PeftConfig]:
        """Adapter name → configuration."""
        return self.base_model.peft_config

    @property
    def active_adapters(self) -> list[str]:
        """The names of the adapters in use."""
        return self.base_model.active_adapters

    @property
    def active_adapter(self) -> str | list[str]:
        """The adapter in use, or the list when there are several."""
        return self.base_model.active_adapter

    @property
    def active_peft_config(self) -> PeftConfig:
        """The configuration of the (first) active adapter."""
        return self.peft_config[self.active_adapters[0]]

    @property
    def peft_type(self) -> PeftType | str | None:
        """The kind of the active adapter."""
        return self.active_peft_config.peft_type

    def add_adapter(
        self,
        adapter_name: str,
        peft_config: PeftConfig,
        low_cpu_mem_usage: bool = False,
        autocast_adapter_dtype: bool = True,
    ) -> None:
        """Put another, freshly initialised adapter into the model; it becomes active with :meth:`set_adapter`."""
        self._add_adapter(adapter_name, peft_config, autocast_adapter_dtype, low_cpu_mem_usage=low_cpu_mem_usage)

    def _add_adapter(self, adapter_name: str, peft_config: PeftConfig, autocast: bool, **how: bool) -> None:
        self._add_whole_modules(peft_config)
        self.base_model.add_adapter(adapter_name, peft_config, autocast, **how)
        names = self._names_to_save(peft_config)
        self.modules_to_save = (self.modules_to_save or set()) | names if names else self.modules_to_save

    def set_adapter(self, adapter_name: str | list[str], inference_mode: bool = False) -> None:
        """Use this adapter from now on."""
        self.base_model.set_adapter(adapter_name, inference_mode=inference_mode)

    def delete_adapter(self, adapter_name: str | list[str]) -> None:
        """Remove an adapter, or several in models of several kinds."""
        self.base_model.delete_adapter(adapter_name)
        if not self.peft_config:
            self.modules_to_save = None

    @contextlib.contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Compute as the base model does, for the length of a ``with`` block; what was off before stays off."""
        with self.base_model.disabled():
            yield

    def load_adapter(
        self,
        model_id: str | os.PathLike[str],
        adapter_name: str,
        is_trainable: bool = False,
        torch_device: str | None = None,
        autocast_adapter_dtype: bool = True,
        ephemeral_gpu_offload: bool = False,
        low_cpu_mem_usage: bool = False,
        key_mapping: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> LoadResult:
        """Read an adapter from a folder or a repository and put it beside those there are.

        Args:
            model_id: folder or repository id.
            adapter_name: name to give it here.
            is_trainable: go on training it; frozen otherwise.
            torch_device: where its weights go; by default beside the layers.
            autocast_adapter_dtype: keep it in float32.
            ephemeral_gpu_offload: accepted.
            low_cpu_mem_usage: take the tensors as they are in the file, with no memory for the adapter before.
            key_mapping: regular expression → replacement for the keys of the file.
            kwargs: ``subfolder``, ``revision``, ``token``, ``cache_dir``, ``local_files_only``, ``force_download``.
                ``ignore_mismatched_sizes`` leaves out tensors of another shape.

        Returns:
            The keys that were missing and those that fit nothing (also warned about).
        """
        where, rest = split_source_arguments(kwargs)
        subfolder = rest.pop("subfolder", None)
        if adapter_name not in self.peft_config:
            config = PeftConfig.from_pretrained(model_id, subfolder=subfolder, **where)
            config.inference_mode = not is_trainable
            how = {"empty": True, "low_cpu_mem_usage": low_cpu_mem_usage}
            self._add_adapter(adapter_name, config, autocast_adapter_dtype, **how)
            self._open.add(adapter_name)
        tensors = load_peft_weights(model_id, torch_device, subfolder, key_mapping, **where)
        how = {
            "ignore_mismatched_sizes": rest.get("ignore_mismatched_sizes", False),
            "low_cpu_mem_usage": low_cpu_mem_usage,
        }
        result = set_peft_model_state_dict(self, tensors, adapter_name, **how)
        if result.missing_keys and adapter_name in self._open and isinstance(self.base_model, Tuner):
            self.base_model.begin(adapter_name)
            result = set_peft_model_state_dict(self, tensors, adapter_name, **how)
        self._open.discard(adapter_name)
        if result.missing_keys:
            logger.warning("adapter %r: the file has no weights for %s", adapter_name, ", ".join(result.missing_keys))
        if result.unexpected_keys:
            logger.warning(
                "adapter %r: unused weights in the file: %s", adapter_name, ", ".join(result.unexpected_keys)
            )
        return result

    @classmethod
    def from_pretrained(
        cls,
        model: nn.Module,
        model_id: str | os.PathLike[str],
        adapter_name: str = "default",
        is_trainable: bool = False,
        config: PeftConfig | None = None,
        autocast_adapter_dtype: bool = True,
        ephemeral_gpu_offload: bool = False,
        low_cpu_mem_usage: bool = False,
        key_mapping: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> PeftModel:
        """Put a saved adapter on ``model``.

        Args:
            model: the base model.
            model_id: folder or repository of the adapter.
            adapter_name: name to give it here.
            is_trainable: go on training it; frozen otherwise.
            config: configuration to use instead of the file's.
            autocast_adapter_dtype: keep the adapter in float32.
            ephemeral_gpu_offload: accepted.
            low_cpu_mem_usage: take the tensors as they are in the file, with no memory for the adapter before.
            key_mapping: regular expression → replacement for the keys of the file.
            kwargs: where to find the files, as in :meth:`load_adapter`.

        Returns:
            The class that fits the adapter's task type, in evaluation mode unless it is to be trained.
        """
        if config is None:
            where, rest = split_source_arguments(kwargs)
            config = PeftConfig.from_pretrained(model_id, subfolder=rest.get("subfolder"), **where)
        config.inference_mode = not is_trainable
        kind = _CLASSES.get(config.task_type, PeftModel) if cls is PeftModel else cls
        how = {"empty": True, "low_cpu_mem_usage": low_cpu_mem_usage}
        wrapped = kind(model, config, adapter_name, autocast_adapter_dtype=autocast_adapter_dtype, **how)
        kwargs["low_cpu_mem_usage"] = low_cpu_mem_usage
        wrapped.load_adapter(model_id, adapter_name, is_trainable=is_trainable, key_mapping=key_mapping, **kwargs)
        return wrapped if is_trainable else wrapped.eval()

    # --- looking ----------------------------------------------------------------------------------------------------

    def set_requires_grad(self, adapter_names: str | list[str], requires_grad: bool = True) -> None:
        """Let adapters train, or stop that, whether they are in use or not."""
        self.base_model.set_requires_grad(adapter_names, requires_grad)

    def get_prompt(self, batch_size: int, task_ids: Any = None, max_cache_len: int | None = None) -> Any:
        """Return the learnt prompt for a batch; see :meth:`~enfold.peft.prompted.PromptTuner.get_prompt`."""
        return self.base_model.get_prompt(batch_size, task_ids, max_cache_len)

    def get_layer_status(self) -> list[Any]:
        """Return what each adapted layer has and does; see :func:`enfold.peft.get_layer_status`."""
        from enfold.peft.status import get_layer_status

        return get_layer_status(self)

    def get_model_status(self) -> Any:
        """Return what the model has and does as a whole; see :func:`enfold.peft.get_model_status`."""
        from enfold.peft.status import get_model_status

        return get_model_status(self)

    # --- counting -------------------------------------------------------------------------------------------------

    def get_nb_trainable_parameters(self) -> tuple[int, int]:
        """Return the number of trainable parameters and of all parameters."""
        trainable = total = 0
        for parameter in self.parameters():
            count = parameter.numel()
            total += count
            trainable += count if parameter.requires_grad else 0
        # weights of few bits are no parameters, and count as what they stand for
        for module in self.modules():
            if is_quantized(module):
                total += int(module.in_features) * int(module.out_features)  # type: ignore[arg-type]
        return trainable, total

    def print_trainable_parameters(self) -> None:
        """Print how many parameters train, out of how many."""
        trainable, total = self.get_nb_trainable_parameters()
        print(
            f"trainable params: {trainable:,d} || all params: {total:,d} || trainable%: {100 * trainable / total:.4f}"
        )


class PeftModelForSequenceClassification(PeftModel):
    """A classifier with adapters; its head trains whole and is saved with them."""

    _whole_modules = ("classifier", "score")


class PeftModelForTokenClassification(PeftModel):
    """A token classifier with adapters; its head trains whole and is saved with them."""

    _whole_modules = ("classifier", "score")


class PeftModelForQuestionAnswering(PeftModel):
    """A model that answers from a passage, with adapters; its head trains whole and is saved with them."""

    _whole_modules = ("qa_outputs",)


class PeftModelForCausalLM(PeftModel):
    """A language model with adapters."""


class PeftModelForSeq2SeqLM(PeftModel):
    """An encoder-decoder with adapters."""


class PeftModelForFeatureExtraction(PeftModel):
    """An encoder with adapters."""


_CLASSES: dict[Any, type[PeftModel]] = {
    TaskType.SEQ_CLS: PeftModelForSequenceClassification,
    TaskType.TOKEN_CLS: PeftModelForTokenClassification,
    TaskType.QUESTION_ANS: PeftModelForQuestionAnswering,
    TaskType.CAUSAL_LM: PeftModelForCausalLM,
    TaskType.SEQ_2_SEQ_LM: PeftModelForSeq2SeqLM,
    TaskType.FEATURE_EXTRACTION: PeftModelForFeatureExtraction,
}


def get_peft_model(
    model: nn.Module,
    peft_config: PeftConfig,
    adapter_name: str = "default",
    mixed: bool = False,
    autocast_adapter_dtype: bool = True,
    revision: str | None = None,
    low_cpu_mem_usage: bool = False,
) -> PeftModel:
    """Put a new adapter on ``model`` and freeze everything else.

    Args:
        model: the base model, changed in place.
        peft_config: the adapter's configuration.
        adapter_name: name of the adapter.
        mixed: let adapters of several kinds stand in the model at once; see :class:`~enfold.peft.PeftMixedModel`.
        autocast_adapter_dtype: keep the adapter in float32 where the base is in half precision.
        revision: revision of the base model, noted in the configuration.
        low_cpu_mem_usage: leave the adapter on the meta device until ``set_peft_model_state_dict`` fills it.

    Returns:
        The :class:`PeftModel` class that fits the configuration's task type.

    Example:
        >>> from torch import nn
        >>> from enfold.peft import LoraConfig, get_peft_model
        >>> model = get_peft_model(nn.Sequential(nn.Linear(4, 4)), LoraConfig(r=2, target_modules=["0"]))
        >>> model.active_adapter
        'default'
    """
    if any(isinstance(module, Adapted) for module in model.modules()):
        warnings.warn(
            "the model has adapters already: those put in now stand on top of them. To add another beside them call "
            "add_adapter(), to take them out first call unload()",
            PeftWarning,
            stacklevel=2,
        )
    if peft_config.base_model_name_or_path is None:
        settings = getattr(model, "config", None)
        peft_config.base_model_name_or_path = (
            vars(model).get("name_or_path") or getattr(settings, "_name_or_path", None) or None
        )
    if revision is not None:
        peft_config.revision = revision
    if mixed:
        from enfold.peft.mixed import PeftMixedModel

        return PeftMixedModel(model, peft_config, adapter_name, autocast_adapter_dtype=autocast_adapter_dtype)
    kind = _CLASSES.get(peft_config.task_type, PeftModel)
    how = {"autocast_adapter_dtype": autocast_adapter_dtype, "low_cpu_mem_usage": low_cpu_mem_usage}
    return kind(model, peft_config, adapter_name, **how)
