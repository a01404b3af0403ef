"""Adapters inside a plain model: the model keeps its class, its layers carry what ``enfold.peft`` makes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from enfold.errors import EnfoldError
from enfold.transformers.sharing import split_fetch_arguments

if TYPE_CHECKING:
    from enfold.peft.config import PeftConfig
    from enfold.peft.weights import LoadResult

__all__ = ["AdapterError", "PeftAdapterMixin", "base_of", "load_with_adapter"]

ADAPTER = "adapter_config.json"


class AdapterError(EnfoldError, ValueError):
    """The model has no adapter, has one of the name already, or cannot save several at once."""


class PeftAdapterMixin:
    """What models do with adapters of ``enfold.peft``, prompts excepted.

    Attributes:
        peft_config: adapter name → configuration; there while the model has adapters.
    """

    peft_config: dict[str, PeftConfig]

    @property
    def _hf_peft_config_loaded(self) -> bool:
        return bool(vars(self).get("peft_config"))

    @property
    def _tuned(self) -> Any:
        """What holds the adapters."""
        if not self._hf_peft_config_loaded:
            raise AdapterError("the model has no adapter: add_adapter(…) or load_adapter(…) puts one into it")
        return vars(self)["_tuner"][0]

    def _check_new(self, name: str) -> None:
        if self._hf_peft_config_loaded and name in self.peft_config:
            raise AdapterError(f"the model has an adapter named {name!r} already: choose another name")

    def add_adapter(self, adapter_config: PeftConfig, adapter_name: str | None = None) -> None:
        """Put a freshly drawn adapter into the model and use it; everything else is frozen.

        Args:
            adapter_config: a ``LoraConfig`` or another configuration of ``enfold.peft``.
            adapter_name: its name, ``"default"`` by default.

        Raises:
            AdapterError: there is one of that name.

        Example:
            >>> from enfold.peft import LoraConfig
            >>> from enfold.transformers import BertConfig, BertModel
            >>> model = BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            ...                              intermediate_size=8))
            >>> model.add_adapter(LoraConfig(r=2, target_modules=["query"]))
            >>> model.active_adapters()
            ['default']
        """
        from enfold.peft.config import PeftConfig
        from enfold.peft.injecting import inject_adapter_in_model

        name = adapter_name or "default"
        self._check_new(name)
        if not isinstance(adapter_config, PeftConfig):
            raise TypeError(f"an adapter is made from a PeftConfig, not from {type(adapter_config).__name__}")
        adapter_config.base_model_name_or_path = vars(self).get("name_or_path")
        inject_adapter_in_model(adapter_config, self, name)  # type: ignore[arg-type]
        self.set_adapter(name)

    def load_adapter(
        self,
        peft_model_id: str | os.PathLike[str] | None = None,
        adapter_name: str | None = None,
        peft_config: PeftConfig | dict[str, Any] | None = None,
        adapter_state_dict: Mapping[str, Tensor] | None = None,
        is_trainable: bool = False,
        hotswap: bool | str = "auto",
        adapter_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> LoadResult:
        """Read an adapter from a folder or repository, or from a configuration with tensors, and use it.

        Args:
            peft_model_id: a folder or a repository's id.
            adapter_name: its name here, ``"default"`` by default.
            peft_config: its configuration instead of the file's.
            adapter_state_dict: file key → tensor, instead of the file's.
            is_trainable: go on training it; frozen otherwise.
            hotswap: True puts the weights into the adapter of that name, which must be of the same shape.
            adapter_kwargs: further arguments of looking for the files.
            kwargs: where to look (cache_dir, revision, token, subfolder, local_files_only, force_download); others are
                accepted.

        Returns:
            The adapter's keys that got nothing, and the given ones that fit nothing.

        Raises:
            AdapterError: there is one of that name (or, with ``hotswap=True``, none), or nothing to read from.
            OSError: the adapter is not found.
        """
        from enfold.peft.config import PeftConfig
        from enfold.peft.injecting import inject_adapter_in_model
        from enfold.peft.weights import load_peft_weights, set_peft_model_state_dict

        name = adapter_name or "default"
        if hotswap is not True:
            self._check_new(name)
        elif not self._hf_peft_config_loaded or name not in self.peft_config:
            raise AdapterError(f"hotswap=True changes an adapter that is there, and there is none named {name!r}")
        if peft_model_id is None and (peft_config is None or adapter_state_dict is None):
            raise AdapterError("an adapter is read from peft_model_id, or from peft_config with adapter_state_dict")
        where, _ = split_fetch_arguments({**kwargs, **(adapter_kwargs or {})})
        if isinstance(peft_config, dict):
            peft_config = PeftConfig.from_dict(peft_config)
        if hotswap is not True:
            config = peft_config or PeftConfig.from_pretrained(peft_model_id, **where)  # type: ignore[arg-type]
            config.inference_mode = not is_trainable
        tensors = load_peft_weights(peft_model_id, **where) if adapter_state_dict is None else adapter_state_dict  # type: ignore[arg-type]
        if hotswap is not True:
            inject_adapter_in_model(config, self, name)  # type: ignore[arg-type]
        result = set_peft_model_state_dict(self, dict(tensors), name)  # type: ignore[arg-type]
        self.set_adapter(name, inference_mode=not is_trainable)
        if not is_trainable:
            self.eval()  # type: ignore[attr-defined]
        return result

    def set_adapter(self, adapter_name: str | Sequence[str], inference_mode: bool = False) -> None:
        """Use one adapter, or several whose changes add up, from now on; they train unless ``inference_mode``."""
        self._tuned.set_adapter(
            adapter_name if isinstance(adapter_name, str) else list(adapter_name), inference_mode=inference_mode
        )

    def enable_adapters(self) -> None:
        """Let adapters take part again."""
        self._tuned.enable_adapter_layers()

    def disable_adapters(self) -> None:
        """Compute as the model does without adapters."""
        self._tuned.disable_adapter_layers()

    def active_adapters(self) -> list[str]:
        """Return the names of the adapters in use."""
        return list(self._tuned.active_adapters)

    def delete_adapter(self, adapter_names: str | Sequence[str]) -> None:
        """Remove adapters.

        Raises:
            ValueError: there is none of a name; nothing is removed.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        tuner = self._tuned
        tuner._check_names(names)
        for name in names:
            tuner.delete_adapter(name)

    def get_adapter_state_dict(
        self, adapter_name: str | None = None, state_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return an adapter's weights under the names they have in files, without ``base_model.model.``.

        Args:
            adapter_name: the first active one by default.
            state_dict: values to take instead of the model's own.
        """
        from enfold.peft.weights import get_peft_model_state_dict

        name = adapter_name or self.active_adapters()[0]
        return get_peft_model_state_dict(self, state_dict=state_dict, adapter_name=name)  # type: ignore[arg-type]

    def _save_adapter(self, folder: str, state_dict: Mapping[str, Tensor] | None, safe: bool) -> None:
        """Write the active adapter as ``enfold.peft`` does, for ``save_pretrained`` of a model that has adapters."""
        from enfold.peft.weights import save_adapter_file

        active = self.active_adapters()
        if len(active) != 1:
            used = ", ".join(active) or "none"
            raise AdapterError(f"the adapter in use is saved, one at a time; in use: {used}; set_adapter(…) chooses")
        tensors = self.get_adapter_state_dict(active[0], None if state_dict is None else dict(state_dict))
        os.makedirs(folder, exist_ok=True)
        save_adapter_file({f"base_model.model.{name}": tensor for name, tensor in tensors.items()}, folder, safe)
        self.peft_config[active[0]].save_pretrained(folder)


def base_of(source: Any, **where: Any) -> Any:
    """Return the model that an adapter in a folder or repository belongs to, or None where there is no adapter.

    A folder that holds a model too is that model.
    """
    from enfold.hub.fetch import find_file

    path = find_file(source, ADAPTER, required=False, **where)
    if path is None:
        return None
    if os.path.isfile(os.path.join(os.path.dirname(path), "config.json")):
        return source
    with open(path, encoding="utf-8") as file:
        base = json.load(file).get("base_model_name_or_path")
    if not base:
        raise AdapterError(f"{source} holds an adapter whose {ADAPTER} does not say for which model: load that first")
    return base


def load_with_adapter(load: Callable[..., Any], source: Any, kwargs: dict[str, Any], *, beside: bool = True) -> Any:
    """Return what ``load(source, **kwargs)`` does; where ``source`` is an adapter, the model it is for, with it.

    Args:
        load: reads a model; it may return ``(model, information)``.
        source: a folder or repository. A repository is taken for an adapter where it has no model.
        kwargs: of ``load``, and ``adapter_kwargs`` and ``adapter_name``, of ``load_adapter``.
        beside: whether an adapter beside its model is read here, or by ``load``.
    """
    from enfold.hub.fetch import FileNotFoundInSource

    options = {name: kwargs.pop(name) for name in ("adapter_kwargs", "adapter_name") if name in kwargs}
    where, _ = split_fetch_arguments(kwargs)
    named = isinstance(source, str | os.PathLike) and not os.path.isfile(source)
    local = named and os.path.isdir(source)
    base = base_of(source, **where) if local else None
    if base is None:
        try:
            return load(source, **kwargs)
        except FileNotFoundInSource:
            base = base_of(source, **where) if named and not local else None
            if base is None:
                raise
    if base is source and not beside:
        return load(source, **options, **kwargs)
    own = kwargs if base is source else {name: kwargs[name] for name in kwargs if name not in ("revision", "subfolder")}
    found = load(base, **own)
    (found[0] if isinstance(found, tuple) else found).load_adapter(source, **options, **where)
    return found
