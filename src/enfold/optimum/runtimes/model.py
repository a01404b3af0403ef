"""The base of all models that another runtime than torch runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch

from enfold.errors import EnfoldError
from enfold.nn.outputs import ModelOutput
from enfold.transformers.config import PretrainedConfig
from enfold.transformers.generation.config import GenerationConfig
from enfold.transformers.sharing import PushToHubMixin

__all__ = ["RuntimeModel"]


class RuntimeModel(PushToHubMixin):
    """A model of one graph or several.

    Args:
        config: the model's configuration.

    Attributes:
        task: what its graphs are exported for.
        output_class: of ``forward``.
        renamed: what some graphs call an output → its field.
        parts: the graphs that there must be.
        further_parts: the graphs that there may be.
    """

    task: ClassVar[str] = "feature-extraction"
    output_class: ClassVar[Any] = ModelOutput
    renamed: ClassVar[Mapping[str, str]] = MappingProxyType({})
    parts: ClassVar[tuple[str, ...]] = ("model",)
    further_parts: ClassVar[tuple[str, ...]] = ()
    main_input_name: ClassVar[str] = "input_ids"

    def __init__(self, config: PretrainedConfig) -> None:
        self.config, self.name_or_path = config, config.name_or_path
        self.generation_config: Any = GenerationConfig.from_model_config(config) if self.can_generate() else None

    # --- from files, and to them

    @classmethod
    def _torch_model(cls, source: Any, config: Any, trust_remote_code: bool, **options: Any) -> Any:
        """Return the torch model of a folder or repository, to be exported."""
        from enfold.optimum.exporters.tasks import auto_class

        options = {"dtype": torch.float32, "trust_remote_code": trust_remote_code, **options}
        return auto_class(cls.task, config).from_pretrained(source, config=config, **options)

    @classmethod
    def _export_task(cls, use_cache: bool) -> str:
        from enfold.optimum.exporters.tasks import PAST

        return f"{cls.task}{PAST}" if cls.can_generate() and use_cache else cls.task

    def _read_generation(self, source: str | os.PathLike[str], where: Mapping[str, Any]) -> None:
        """Take the ``generation_config.json`` that lies beside the graphs, of models that write."""
        if self.generation_config is not None:
            self.generation_config = GenerationConfig.find(source, **where) or self.generation_config

    def save_pretrained(self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any) -> None:
        """Write the graphs and the configuration into a folder, under the ecosystem's names of files.

        Args:
            save_directory: the folder; it is made.
            push_to_hub: upload it afterwards, to ``kwargs["repo_id"]``.
            kwargs: arguments of ``push_to_hub``.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        self._save_graphs(folder)
        self.config.save_pretrained(folder)
        if self.generation_config is not None:
            self.generation_config.save_pretrained(folder)
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", folder.name), **kwargs)

    def _save_graphs(self, folder: Path) -> None:
        raise TypeError(f"{type(self).__name__} is a base; a runtime's class says how its graphs are written")

    # --- what other models have, too

    @classmethod
    def can_generate(cls) -> bool:
        """Return whether the class has ``generate``."""
        return hasattr(cls, "generate")

    def eval(self) -> Any:
        """Return the model: a graph does not learn."""
        return self

    def parameters(self) -> Any:
        """Return no parameters: they are in the graph."""
        return iter(())

    def modules(self) -> Any:
        """Return no layers: they are in the graph."""
        return iter(())

    def get_decoder(self) -> Any:
        """Return what writes: the model itself, whose graphs know which of them does."""
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model; see ``forward``."""
        return self.forward(*args, **kwargs)

    def input_names(self, part: str) -> list[str]:
        """Return what a graph takes, in its order."""
        raise TypeError(f"{type(self).__name__} is a base; a runtime's class says what its graphs take")

    def answer(self, given: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Run the first graph and return its outputs: name → tensor."""
        raise TypeError(f"{type(self).__name__} is a base; a runtime's class runs its graphs")

    def forward(self, *args: Any, return_dict: bool | None = None, **kwargs: Any) -> Any:
        """Run the graph.

        Args:
            args: inputs in the graph's order.
            return_dict: False returns a tuple.
            kwargs: inputs by name, torch's tensors or numpy's arrays; ``attention_mask``, ``token_type_ids``,
                ``position_ids`` and ``pixel_mask`` may be left out, and what the graph does not take is not looked at.

        Returns:
            What the model of the same name returns, with numpy's arrays where arrays were given.

        Raises:
            EnfoldError: an input is missing.
        """
        given = {**dict(zip(self.input_names(self.parts[0]), args, strict=False)), **kwargs} if args else kwargs
        arrays = any(isinstance(value, np.ndarray) for value in given.values())
        made = self.answer(given)
        fields = {self.renamed.get(name, name): value.numpy() if arrays else value for name, value in made.items()}
        output = self.output_class(**fields)
        return output if return_dict is not False else output.to_tuple()

    def completed(self, part: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a graph takes, with those made that may be left out.

        Raises:
            EnfoldError: one is missing.
        """
        found = {}
        for name in self.input_names(part):
            value = given.get(name)
            found[name] = _made(name, given) if value is None else value
            if found[name] is None:
                there = ", ".join(key for key, one in given.items() if one is not None) or "nothing"
                raise EnfoldError(f"{type(self).__name__} needs {name!r}; it was given {there}")
        return found


def _made(name: str, given: Mapping[str, Any]) -> Any:
    """Return what an input is where it may be left out, or None."""
    if name == "pixel_mask" and given.get("pixel_values") is not None:
        sizes = np.shape(given["pixel_values"])
        return torch.ones((sizes[0], *sizes[2:]), dtype=torch.long)
    like = next((given[one] for one in ("input_ids", "input_values") if given.get(one) is not None), None)
    if like is None or name not in ("attention_mask", "token_type_ids", "position_ids"):
        return None
    shape = tuple(like.shape if hasattr(like, "shape") else np.shape(like))
    if name == "position_ids":
        return torch.arange(shape[-1]).expand(shape)
    return (torch.ones if name == "attention_mask" else torch.zeros)(shape, dtype=torch.long)
