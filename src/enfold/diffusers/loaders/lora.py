"""Low-rank adapters of a pipeline's models: loaded, weighed, put into the weights, and saved."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.diffusers.loaders.files import ADAPTER_METADATA, read_adapter
from enfold.diffusers.loaders.lora_keys import Factors, sorted_by_layer
from enfold.diffusers.models.adapters import set_scales, tuner_of, weighed
from enfold.diffusers.pipelines.components import dtype_of
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.errors import nearest
from enfold.log import get_logger
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["LoraMixin"]

logger = get_logger(__name__)
WEIGHTS, BIN = "pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin"
DENOISERS = ("unet", "transformer")
# What of a saved configuration is used; where an adapter goes follows from its keys.
KEPT = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora")


class LoraMixin:
    """``load_lora_weights`` and what follows, for pipelines with a UNet or a transformer, and text encoders."""

    _lora_loadable_modules: ClassVar[list[str]] = ["unet", "text_encoder", "text_encoder_2"]  # what paints comes first

    def _lora_models(self) -> dict[str, nn.Module]:
        found = {name: getattr(self, name, None) for name in self._lora_loadable_modules}
        return {name: model for name, model in found.items() if model is not None}

    def _tuners(self) -> dict[str, Any]:
        """Return component's name → what holds its adapters, where it has any."""
        found = {name: tuner_of(model) for name, model in self._lora_models().items()}
        return {name: tuner for name, tuner in found.items() if tuner is not None}

    # Files

    def load_lora_weights(
        self,
        pretrained_model_name_or_path_or_dict: str | os.PathLike[str] | dict[str, Tensor],
        adapter_name: str | None = None,
        hotswap: bool = False,
        **kwargs: Any,
    ) -> None:
        """Put an adapter from a file into what paints and the text encoders; it is the one in use from then on.

        PEFT's keys, the ecosystem's older ones and kohya's are known; see :mod:`enfold.diffusers.loaders.lora_keys`.

        Args:
            pretrained_model_name_or_path_or_dict: a file, a folder, a repository's id, or the tensors themselves.
            adapter_name: its name; by default "default_0", "default_1", ….
            hotswap: take the place of the adapter of that name.
            kwargs: ``weight_name``, the file's; ``use_safetensors``; where to look: ``subfolder``, ``revision``,
                ``cache_dir``, ``token``, ``local_files_only``, ``force_download``.

        Raises:
            LoraMismatch: it is for another base model; each tensor that does not fit is named, and nothing is changed.
            PipelineError: the name is taken.
        """
        weight_name, safe = kwargs.pop("weight_name", None), kwargs.pop("use_safetensors", None)
        for ignored in ("low_cpu_mem_usage", "unet_config", "return_lora_metadata"):
            kwargs.pop(ignored, None)
        where, unknown = split_fetch_arguments(kwargs)
        if unknown:
            raise PipelineError(f"load_lora_weights takes no {', '.join(map(repr, unknown))}")
        tensors, told = read_adapter(pretrained_model_name_or_path_or_dict, weight_name, (WEIGHTS, BIN), where, safe)
        models = self._lora_models()
        layers, lost = sorted_by_layer(tensors, models)
        taken = {name for tuner in self._tuners().values() for name in tuner.peft_config}
        if adapter_name is None:
            adapter_name = next(name for i in range(len(taken) + 1) if (name := f"default_{i}") not in taken)
        if adapter_name in taken:
            if not hotswap:
                raise PipelineError(f"there is already an adapter {adapter_name!r}; delete it, or set hotswap=True")
            self.delete_adapters(adapter_name)
        if lost:
            logger.warning("the adapter has tensors for layers that are not there: %s", ", ".join(lost[:8]))
        for component, found in layers.items():
            lead = f"{component}."
            own = {name.removeprefix(lead): value for name, value in told.items() if name.startswith(lead)}
            _put_into(models[component], found, adapter_name, own)

    @classmethod
    def save_lora_weights(
        cls,
        save_directory: str | os.PathLike[str],
        unet_lora_layers: Any = None,
        text_encoder_lora_layers: Any = None,
        text_encoder_2_lora_layers: Any = None,
        is_main_process: bool = True,
        weight_name: str | None = None,
        save_function: Any = None,
        safe_serialization: bool = True,
        unet_lora_adapter_metadata: dict[str, Any] | None = None,
        text_encoder_lora_adapter_metadata: dict[str, Any] | None = None,
        text_encoder_2_lora_adapter_metadata: dict[str, Any] | None = None,
        transformer_lora_layers: Any = None,
        transformer_lora_adapter_metadata: dict[str, Any] | None = None,
    ) -> None:
        """Write adapters into one file of a folder.

        Args:
            save_directory: made when it does not exist.
            unet_lora_layers: tensors as ``get_peft_model_state_dict(unet)`` returns them, or a module.
            text_encoder_lora_layers: likewise.
            text_encoder_2_lora_layers: likewise.
            is_main_process: other processes write nothing.
            weight_name: of the file.
            save_function: accepted and without effect.
            safe_serialization: False writes a ``.bin`` file for very old readers.
            unet_lora_adapter_metadata: its configuration, kept in the file (``LoraConfig.to_dict()``).
            text_encoder_lora_adapter_metadata: likewise.
            text_encoder_2_lora_adapter_metadata: likewise.
            transformer_lora_layers: as ``unet_lora_layers``, for pipelines with a transformer.
            transformer_lora_adapter_metadata: likewise.
        """
        given = {
            "transformer": (transformer_lora_layers, transformer_lora_adapter_metadata),
            "unet": (unet_lora_layers, unet_lora_adapter_metadata),
            "text_encoder": (text_encoder_lora_layers, text_encoder_lora_adapter_metadata),
            "text_encoder_2": (text_encoder_2_lora_layers, text_encoder_2_lora_adapter_metadata),
        }
        tensors: dict[str, Tensor] = {}
        told: dict[str, Any] = {}
        for component, (layers, metadata) in given.items():
            if layers is not None:
                state = layers.state_dict() if isinstance(layers, nn.Module) else layers
                tensors |= {f"{component}.{key}": value.detach().contiguous() for key, value in state.items()}
                told |= {f"{component}.{key}": value for key, value in (metadata or {}).items()}
        if not tensors:
            raise PipelineError(f"nothing to save: give {', '.join(f'{name}_lora_layers' for name in given)}")
        if is_main_process:
            path = Path(save_directory, weight_name or (WEIGHTS if safe_serialization else BIN))
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(tensors, told, path, safe_serialization)

    # Which are in use

    def set_adapters(self, adapter_names: str | list[str], adapter_weights: Any = None) -> None:
        """Use adapters together.

        Args:
            adapter_names: one or several.
            adapter_weights: how much each weighs, 1 by default: a number, numbers for components
                ({"unet": 0.5, "text_encoder": 1}), or in "unet" for its parts ({"down": 1, "up": {"block_1": 0}}).

        Raises:
            PipelineError: there is no such adapter.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        weights = list(adapter_weights) if isinstance(adapter_weights, list) else [adapter_weights] * len(names)
        if len(weights) != len(names):
            raise PipelineError(f"{len(names)} adapters and {len(weights)} weights; expected one, or one for each")
        self._check_adapters(names)
        for weight in weights:
            for component in weight if isinstance(weight, Mapping) else ():
                if component not in self._lora_loadable_modules and component not in ("down", "mid", "up"):
                    raise PipelineError(
                        f"there is no component {component!r}{nearest(component, self._lora_loadable_modules)}"
                    )
        for component, tuner in self._tuners().items():
            own = [_share(weight, component) for weight in weights]
            set_scales(tuner.model, names, own)

    def _check_adapters(self, names: list[str]) -> None:
        known = {name for tuner in self._tuners().values() for name in tuner.peft_config}
        for name in names:
            if name not in known:
                raise PipelineError(f"there is no adapter {name!r}{nearest(name, known)}; there are {sorted(known)}")

    def get_active_adapters(self) -> list[str]:
        """Return the names of the adapters in use."""
        active = (name for tuner in self._tuners().values() for name in tuner.active_adapters)
        return list(dict.fromkeys(active))

    def get_list_adapters(self) -> dict[str, list[str]]:
        """Return component's name → the names of its adapters."""
        return {component: list(tuner.peft_config) for component, tuner in self._tuners().items()}

    def disable_lora(self) -> None:
        """Paint without adapters."""
        for tuner in self._tuners().values():
            tuner.disable_adapter_layers()

    def enable_lora(self) -> None:
        """Paint with adapters again."""
        for tuner in self._tuners().values():
            tuner.enable_adapter_layers()

    def delete_adapters(self, adapter_names: str | list[str]) -> None:
        """Remove adapters."""
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        self._check_adapters(names)
        for tuner in self._tuners().values():
            for name in names:
                if name in tuner.peft_config:
                    tuner.delete_adapter(name)

    def unload_lora_weights(self) -> None:
        """Take all adapters out of the models; what was fused stays in their weights."""
        for tuner in self._tuners().values():
            fused = {name for layer in tuner.layers_with_adapters.values() for name in layer.merged_adapters}
            model = tuner.merge_and_unload(adapter_names=sorted(fused))
            del model.__dict__["_tuner"], model.__dict__["peft_config"]

    @contextmanager
    def _weighed_text(self, scale: float) -> Iterator[None]:
        """Let the text encoders' adapters weigh ``scale`` times as much, for the length of a ``with`` block."""
        with ExitStack() as stack:
            for name, model in self._lora_models().items():
                if name not in DENOISERS:
                    stack.enter_context(weighed(model, scale))
            yield

    # Put into the weights

    def fuse_lora(
        self,
        components: list[str] | None = None,
        lora_scale: float = 1.0,
        safe_fusing: bool = False,
        adapter_names: list[str] | None = None,
    ) -> None:
        """Put adapters into the weights, so that they cost nothing any more.

        Args:
            components: in which models; all of them by default.
            lora_scale: how much they weigh.
            safe_fusing: refuse where a weight would not be finite.
            adapter_names: which; those in use by default.
        """
        self._check_adapters(adapter_names or [])
        for component, tuner in self._chosen(components).items():
            wanted = tuner.active_adapters if adapter_names is None else adapter_names
            own = [name for name in wanted if name in tuner.peft_config]
            for layer in tuner.layers_with_adapters.values():
                for name in own:
                    if name in layer.scaling and name not in layer.merged_adapters:
                        layer.scaling[name] *= lora_scale
            tuner.merge_adapter(own, safe_merge=safe_fusing)
            self.__dict__.setdefault("_fused_by", {})[component] = dict.fromkeys(own, lora_scale)

    def unfuse_lora(self, components: list[str] | None = None) -> None:
        """Take adapters out of the weights again; they weigh what they did before."""
        for component, tuner in self._chosen(components).items():
            tuner.unmerge_adapter()
            for name, scale in self.__dict__.get("_fused_by", {}).pop(component, {}).items():
                for layer in tuner.layers_with_adapters.values():
                    if name in layer.scaling and scale:
                        layer.scaling[name] /= scale

    def _chosen(self, components: list[str] | None) -> dict[str, Any]:
        for name in components or ():
            if name not in self._lora_loadable_modules:
                raise PipelineError(f"no component {name!r}{nearest(name, self._lora_loadable_modules)}")
        return {name: one for name, one in self._tuners().items() if components is None or name in components}

    @property
    def fused_loras(self) -> set[str]:
        """Names of the adapters that are in the weights."""
        layers = (layer for tuner in self._tuners().values() for layer in tuner.layers_with_adapters.values())
        return {name for layer in layers for name in layer.merged_adapters}

    @property
    def num_fused_loras(self) -> int:
        """How many adapters are in the weights."""
        return len(self.fused_loras)


def _share(weight: Any, component: str) -> Any:
    """Return what of a weight is for a component."""
    if not isinstance(weight, Mapping):
        return weight
    if {*weight} & {"down", "mid", "up"}:
        return weight if component in DENOISERS else None
    return weight.get(component)


def _put_into(model: nn.Module, layers: dict[str, Factors], name: str, told: Mapping[str, Any]) -> None:
    """Put an adapter into a model, filled with its factors."""
    from enfold.peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict

    ranks = {path: factors.rank for path, factors in layers.items()}
    alphas = {path: factors.rank if factors.alpha is None else factors.alpha for path, factors in layers.items()}
    dora = any("magnitude" in factors.parts for factors in layers.values())
    first = next(iter(layers))
    fields: dict[str, Any] = {"r": ranks[first], "lora_alpha": alphas[first], "use_dora": dora}
    fields["rank_pattern"] = {path: rank for path, rank in ranks.items() if rank != ranks[first]}
    fields["alpha_pattern"] = {path: alpha for path, alpha in alphas.items() if alpha != alphas[first]}
    if told:
        fields |= {key: told[key] for key in KEPT if key in told}
    config = LoraConfig(**fields, target_modules=list(layers), inference_mode=True)
    inject_adapter_in_model(config, model, name)
    tuner = tuner_of(model)
    tuner.set_adapter(name, inference_mode=True)
    spelled = {"A": "lora_A.weight", "B": "lora_B.weight", "magnitude": "lora_magnitude_vector"}
    tensors = {
        f"{path}.{spelled[part]}": tensor for path, factors in layers.items() for part, tensor in factors.parts.items()
    }
    set_peft_model_state_dict(model, tensors, name)
    kind = dtype_of(model)
    for place in tuner.places.values():
        for part in place.parts(name) if place.has_adapter(name) else ():
            part.data = part.data.to(kind)


def _write(tensors: dict[str, Tensor], told: dict[str, Any], path: Path, safe: bool) -> None:
    from safetensors.torch import save_file

    aside = path.with_name(f"{path.name}.tmp")
    if safe:
        metadata = {"format": "pt"}
        if told:
            metadata[ADAPTER_METADATA] = json.dumps(told, indent=2, sort_keys=True, default=list)
        save_file(tensors, aside, metadata=metadata)
    else:
        torch.save(tensors, aside)
    os.replace(aside, path)
