"""Putting adapters into a model and taking them out again, whatever their kind."""

from __future__ import annotations

import contextlib
import copy
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.checkpoints import without_weights
from enfold.errors import nearest
from enfold.log import get_logger
from enfold.peft.config import PeftConfig, UnsupportedPeftFeature
from enfold.peft.holder import Holder
from enfold.peft.layer import Adapted, AdapterLayer, AuxiliaryTrainingWrapper, is_conv1d
from enfold.peft.replication import replicate_layers
from enfold.peft.targets import matches, resolve_targets
from enfold.peft.tokens import token_wrappers
from enfold.peft.whole import wrap_whole_modules
from enfold.progress import track

__all__ = ["LAYERS", "Tuner", "layer_class", "tuner_class"]

logger = get_logger(__name__)

# Kind → where the class of its layers is, and where that of models with such adapters is.
LAYERS = {
    "ADALORA": ("adalora.AdaLoraLayer", "adalora.AdaLoraModel"),
    "ADAPTION_PROMPT": ("adaption_prompt.AdaptedAttention", "models.AdaptionPromptModel"),
    "BOFT": ("boft.BOFTLayer", "models.BOFTModel"),
    "BOTTLENECK": ("bottleneck.BottleneckLayer", "models.BottleneckModel"),
    "C3A": ("c3a.C3ALayer", "models.C3AModel"),
    "DELORA": ("delora.DeloraLayer", "models.DeloraModel"),
    "FOURIERFT": ("fourierft.FourierFTLayer", "models.FourierFTModel"),
    "GRALORA": ("gralora.GraloraLayer", "models.GraloraModel"),
    "HIRA": ("hira.HiraLayer", "models.HiraModel"),
    "HRA": ("hra.HRALayer", "models.HRAModel"),
    "IA3": ("ia3.IA3Layer", "models.IA3Model"),
    "LN_TUNING": ("ln_tuning.LNTuningLayer", "models.LNTuningModel"),
    "LOHA": ("loha.LoHaLayer", "models.LoHaModel"),
    "LOKR": ("lokr.LoKrLayer", "models.LoKrModel"),
    "LORA": ("lora.LoraLayer", "models.LoraModel"),
    "MISS": ("miss.MissLayer", "models.MissModel"),
    "OFT": ("oft.OFTLayer", "models.OFTModel"),
    "OSF": ("osf.OSFLayer", "models.OSFModel"),
    "POLY": ("poly.PolyLayer", "poly.PolyModel"),
    "PSOFT": ("psoft.PsoftLayer", "models.PsoftModel"),
    "RANDLORA": ("randlora.RandLoraLayer", "randlora.RandLoraModel"),
    "ROAD": ("road.RoadLayer", "models.RoadModel"),
    "SHIRA": ("shira.ShiraLayer", "models.ShiraModel"),
    "TRAINABLE_TOKENS": ("tokens.TrainableTokensLayer", "models.TrainableTokensModel"),
    "VBLORA": ("vblora.VBLoRALayer", "vblora.VBLoRAModel"),
    "VERA": ("vera.VeraLayer", "vera.VeraModel"),
    "WAVEFT": ("waveft.WaveFTLayer", "waveft.WaveFTModel"),
}
# Starts that change the weight below, or fix a factor, so that loading such an adapter needs them too.
_CHANGING_STARTS = ("pissa", "olora", "loftq", "mica")


def layer_class(config: PeftConfig | str) -> type[AdapterLayer]:
    """Return the class of the layers that a configuration, or a kind of adapter, asks for."""
    return _found(LAYERS[str(getattr(config, "kind", config))][0])  # type: ignore[no-any-return]


def tuner_class(config: PeftConfig | str) -> type[Tuner]:
    """Return the class of models with adapters of a configuration's kind, or of the kind itself."""
    return _found(LAYERS[str(getattr(config, "kind", config))][1])  # type: ignore[no-any-return]


def _found(place: str) -> Any:
    module, _, name = place.partition(".")
    return getattr(import_module(f"enfold.peft.{module}"), name)


class Shared(nn.Module):
    """Tensors that all layers of an adapter share: adapter → tensor, trained or not.

    Args:
        trained: whether the tensors are parameters.
        persistent: whether untrained ones are part of the state.
    """

    def __init__(self, trained: bool, persistent: bool = True) -> None:
        super().__init__()
        self.trained, self.persistent = trained, persistent

    def __setitem__(self, name: str, tensor: Tensor) -> None:
        if self.trained:
            self.register_parameter(name, nn.Parameter(tensor))
        else:
            self.register_buffer(name, tensor, persistent=self.persistent)

    def __getitem__(self, name: str) -> Tensor:
        found: Tensor = getattr(self, name)
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._parameters or name in self._buffers

    def __delitem__(self, name: str) -> None:
        delattr(self, name)


class Tuner(Holder):
    """A model with adapters in its layers.

    Args:
        model: the model; its targeted layers are replaced in place and all other parameters are frozen.
        config: one configuration, or adapter name → configuration.
        adapter_name: name of the first adapter.

    Attributes:
        model: the model.
        peft_config: adapter name → configuration.
        places: module name → what holds adapters there; layers, and modules that train whole.
    """

    mixed: ClassVar[bool] = False  # whether adapters may be of several kinds
    uses_shared_state: ClassVar[bool] = False  # whether layers have something in common
    repeated: ClassVar[tuple[str, ...]] = ()  # endings of keys under which files may hold that again for each layer

    def __init__(
        self,
        model: nn.Module,
        config: PeftConfig | dict[str, PeftConfig],
        adapter_name: str = "default",
        low_cpu_mem_usage: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(model)
        given = config if isinstance(config, dict) else {adapter_name: config}
        for name, value in given.items():
            self.add_adapter(name, value, low_cpu_mem_usage=low_cpu_mem_usage)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.model(*args, **kwargs)

    @property
    def prefix(self) -> str:
        """What the names of the adapters' parameters begin with."""
        return layer_class(next(iter(self.peft_config.values()))).prefix

    @property
    def layers_with_adapters(self) -> dict[str, AdapterLayer]:
        """Module name → the layers that hold adapters, without modules that train whole."""
        return {key: place for key, place in self.places.items() if isinstance(place, AdapterLayer)}

    def shared_parts(self, adapter_name: str) -> dict[str, Tensor]:
        """Return file key → tensor of what all layers of an adapter share."""
        parts = ((key, part) for key, part in self.named_children() if isinstance(part, Shared))
        return {key: part[adapter_name] for key, part in parts if adapter_name in part}

    def written(self, adapter: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what files hold of an adapter's tensors."""
        return tensors

    def about_to_read(self, adapter: str) -> None:
        """Make an adapter the size that its file has."""

    # --- adding -------------------------------------------------------------------------------------------------------

    def prepare(self, name: str, config: Any, found: list[tuple[str, nn.Module]]) -> None:
        """Make what all layers of a new adapter share, before they are made."""

    def agree(self, config: Any, *fields: str) -> None:
        """Raise where a new configuration differs from those there are in what all adapters of a model share."""
        for other in self.peft_config.values():
            for field in fields:
                if getattr(other, field) != getattr(config, field):
                    raise ValueError(
                        f"all {config.kind} adapters of a model have one {field}, and there is {getattr(other, field)}"
                    )

    def add_adapter(
        self,
        name: str,
        config: PeftConfig,
        autocast_adapter_dtype: bool = True,
        empty: bool = False,
        low_cpu_mem_usage: bool = False,
    ) -> None:
        """Put another adapter into the model; the first one is made active.

        Args:
            name: of the adapter.
            config: its configuration.
            autocast_adapter_dtype: keep it in float32 where the base is halved.
            empty: leave its numbers open where that is possible: they are about to be read from a file.
            low_cpu_mem_usage: leave out its memory too: it is on the meta device until then.

        Raises:
            ValueError: no layer fits ``target_modules``, the name is taken or has a dot in it.
            UnsupportedPeftFeature: the configuration asks for something that is not implemented.
        """
        self.check(name, config)
        asked: Any = config
        if getattr(asked, "layer_replication", None):
            if self.peft_config:
                raise ValueError("layer_replication changes the model: only its first adapter can ask for it")
            replicate_layers(self.model, asked.layer_replication)
        found = self.find(asked)
        self.peft_config[name] = config
        if len(self.peft_config) == 1:
            self.model.requires_grad_(False)
        self.prepare(name, config, found)
        kind = layer_class(config)
        making = asked
        if (
            empty
            and hasattr(asked, "init_lora_weights")
            and not str(asked.init_lora_weights).startswith(_CHANGING_STARTS)
        ):
            making = copy.copy(asked)
            making.init_lora_weights = "empty"
        bare = low_cpu_mem_usage and kind.bare and not self._needs_weights(asked)
        making = asked if bare else making
        for key, module in found:
            layer = self._layer(key, module, kind, asked)
            with without_weights() if bare else contextlib.nullcontext():
                layer.add_adapter(name, making, key)
            if low_cpu_mem_usage and not bare:
                layer.release(name)
            if not autocast_adapter_dtype:
                dtype = layer.get_base_layer().weight.dtype  # type: ignore[union-attr]
                for part in layer.parts(name):
                    part.data = part.data.to(dtype)  # type: ignore[arg-type]
        if asked.modules_to_save:
            self.places.update(wrap_whole_modules(self.model, list(asked.modules_to_save), name))
        self.places.update(token_wrappers(self.model, asked, name))
        if not self.active_adapters:
            self.set_adapter(name, inference_mode=config.inference_mode)

    def begin(self, name: str) -> None:
        """Make an adapter's numbers anew where they were left open: its file does not have them all."""
        config: Any = self.peft_config[name]
        if str(getattr(config, "init_lora_weights", None)).startswith(_CHANGING_STARTS):
            return
        for key, layer in self.layers_with_adapters.items():
            if layer.has_adapter(name) and not isinstance(layer, AuxiliaryTrainingWrapper):
                dtype = next(layer.parts(name)).dtype
                layer.delete_adapter(name)
                layer.add_adapter(name, config, key)
                for part in layer.parts(name):
                    part.data = part.data.to(dtype)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    @staticmethod
    def _needs_weights(config: Any) -> bool:
        """Say whether making an adapter looks at the weights below, which the meta device does not have."""
        begun = getattr(config, "init_lora_weights", getattr(config, "init_weights", True))
        return getattr(config, "use_dora", False) or not isinstance(begun, bool)

    def _layer(self, key: str, module: nn.Module, kind: type[AdapterLayer], config: Any) -> AdapterLayer:
        if _is_of(module, kind):
            return module  # type: ignore[return-value]
        if hasattr(config, "fan_in_fan_out"):
            config.fan_in_fan_out = is_conv1d(module.get_base_layer() if isinstance(module, AdapterLayer) else module)
        layer: Any = kind.wrap(module, config).train(module.training)
        parent, _, last = key.rpartition(".")
        setattr(self.model.get_submodule(parent), last, layer)
        inside, below = key, layer
        while isinstance(below, AdapterLayer):  # one kind may stand on another, and each has a name
            self.places[inside] = below
            inside, below = f"{inside}.base_layer", below.base_layer
        return layer

    def check(self, name: str, config: PeftConfig) -> None:
        """Raise where an adapter cannot be added, before anything has changed."""
        if config.kind not in LAYERS:
            raise UnsupportedPeftFeature(f"{type(config).__name__} has no layers to put into a model")
        self.check_name(name)
        others = list(self.peft_config.values())
        if not self.mixed and others and others[0].kind != config.kind:
            raise ValueError(
                f"the model has {others[0].kind} adapters and {name!r} is of kind {config.kind}: "
                "get_peft_model(…, mixed=True) takes several kinds"
            )
        config.check_supported()  # type: ignore[attr-defined]
        if getattr(config, "bias", "none") != "none" and any(
            getattr(other, "bias", "none") != "none" for other in others
        ):
            raise ValueError("only one adapter of a model can train biases: set bias='none'")

    def find(self, config: Any) -> list[tuple[str, nn.Module]]:
        """Return name and module of everything that a configuration is for, and fill in what it leaves to the model.

        Raises:
            ValueError: there is nothing.
            UnsupportedPeftFeature: some of it takes no adapter of this kind.
        """
        resolve_targets(config, self.model)
        kind = layer_class(config)
        found: list[tuple[str, nn.Module]] = []
        wrapped = ""
        for key, module in self.model.named_modules():
            if wrapped and key.startswith(wrapped):
                continue
            if isinstance(module, Adapted):
                wrapped = f"{key}."  # what is inside a wrapper is ours, not the model's
            if isinstance(module, Adapted) and not isinstance(module, AdapterLayer):
                continue
            if not matches(config, key):
                continue
            if not _is_of(module, kind):
                try:
                    kind.wrap(module, config)  # refuses sorts that take no adapter before anything has changed
                except UnsupportedPeftFeature as error:
                    raise UnsupportedPeftFeature(f"target module {key!r}: {error}") from error
            found.append((key, module))
        if not found:
            names = {key.rpartition(".")[2] for key, _ in self.model.named_modules() if key}
            wanted = config.target_modules
            hint = nearest(wanted if isinstance(wanted, str) else next(iter(wanted or [""])), names)
            raise ValueError(f"no module of the model fits target_modules={wanted!r}{hint}")
        return found

    # --- switching ----------------------------------------------------------------------------------------------------

    def set_adapter(self, adapter_name: str | list[str], inference_mode: bool = False) -> None:
        """Use one adapter (or several, added up) from now on, and make it trainable unless ``inference_mode``."""
        names = [adapter_name] if isinstance(adapter_name, str) else list(adapter_name)
        self._check_names(names)
        for key, place in self.places.items():
            own = [name for name in names if place.has_adapter(name)]
            if len(own) > 1 and isinstance(place, AuxiliaryTrainingWrapper):
                raise ValueError(f"adapters {', '.join(own)} each train {key} whole: use one of them at a time")
        if names != self.active_adapters and any(layer.merged for layer in self.layers_with_adapters.values()):
            logger.warning("adapters are merged into the weights; they are taken out before another is set")
            self.unmerge_adapter()
        for place in self.places.values():
            place.set_adapter(names, trainable=not inference_mode)
        for part in self.children():
            if isinstance(part, Shared) and part.trained:
                for key, parameter in part.named_parameters():
                    parameter.requires_grad_(key in names and not inference_mode)
        self.active_adapters = names
        self._set_bias_training(names, trainable=not inference_mode)

    def _set_bias_training(self, names: list[str], trainable: bool) -> None:
        kinds = {getattr(self.peft_config[name], "bias", "none") for name in names}
        if "all" in kinds:
            ours = {id(part) for place in self.places.values() for name in place.names() for part in place.parts(name)}
            for key, parameter in self.model.named_parameters():
                if key.endswith("bias") and id(parameter) not in ours and ".original_module." not in key:
                    parameter.requires_grad_(trainable)
        elif kinds - {"none"}:
            for layer in self.layers_with_adapters.values():
                if layer.bias is not None:
                    layer.bias.requires_grad_(trainable)

    def delete_adapter(self, adapter_name: str | list[str]) -> None:
        """Remove an adapter or several; when no active one is left, the first of those left becomes active."""
        names = [adapter_name] if isinstance(adapter_name, str) else list(adapter_name)
        self._check_names(names)
        for place in self.places.values():
            for name in names:
                if place.has_adapter(name):
                    place.delete_adapter(name)
        for name in names:
            for part in self.children():
                if isinstance(part, Shared) and name in part:
                    del part[name]
            del self.peft_config[name]
        left = [name for name in self.active_adapters if name in self.peft_config] or list(self.peft_config)[:1]
        self.active_adapters = []
        if left:
            self.set_adapter(left)

    def set_requires_grad(self, adapter_names: str | list[str], requires_grad: bool = True) -> None:
        """Let adapters train, or stop that, whether they are in use or not."""
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        self._check_names(names)
        for place in self.places.values():
            for name in names:
                for part in place.parts(name) if place.has_adapter(name) else ():
                    part.requires_grad_(requires_grad)

    # --- merging ------------------------------------------------------------------------------------------------------

    def merge_adapter(self, adapter_names: list[str] | None = None, safe_merge: bool = False) -> None:
        """Put adapters into the weights, for speed; :meth:`unmerge_adapter` takes them out again."""
        self._check_names(adapter_names)
        if safe_merge:
            self._check_finite(adapter_names)
        for layer in self.layers_with_adapters.values():
            layer.merge(adapter_names=adapter_names)

    def unmerge_adapter(self) -> None:
        """Take every merged adapter out of the weights."""
        for layer in self.layers_with_adapters.values():
            layer.unmerge()

    def merge_and_unload(
        self, progressbar: bool = False, safe_merge: bool = False, adapter_names: list[str] | None = None
    ) -> nn.Module:
        """Put adapters into the weights and return the plain model without any wrapper.

        Args:
            progressbar: show a bar.
            safe_merge: refuse, before anything changes, when a merged weight is not finite.
            adapter_names: which adapters; None for the active ones.

        Returns:
            The base model, its weights changed.
        """
        self._check_names(adapter_names)
        if safe_merge:
            self._check_finite(adapter_names)
        return self._unload(merge=True, progressbar=progressbar, names=adapter_names)

    def unload(self) -> nn.Module:
        """Return the plain model without adapters and without their changes."""
        return self._unload(merge=False, progressbar=False, names=None)

    @torch.no_grad()
    def _check_finite(self, names: list[str] | None) -> None:
        for key, layer in self.layers_with_adapters.items():
            for name in layer.active_adapters if names is None else names:
                if layer.has_adapter(name) and name not in layer.merged_adapters:
                    weight, bias = layer.merged_with([name])
                    if not torch.isfinite(weight).all() or not (bias is None or torch.isfinite(bias).all()):
                        raise ValueError(f"merging adapter {name!r} into {key} gives weights that are not finite")

    def _unload(self, merge: bool, progressbar: bool, names: list[str] | None) -> nn.Module:
        if merge and names is None:
            names = list(self.active_adapters)
        for layer in self.layers_with_adapters.values() if merge else ():
            layer.merged_with([])  # says so before anything changes where the kind cannot be merged
        inner = {id(layer.base_layer) for layer in self.layers_with_adapters.values()}
        places = [(key, place) for key, place in self.places.items() if id(place) not in inner]
        for key, place in track(places, "merging adapters" if merge else "unloading adapters", quiet=not progressbar):
            parent, _, last = key.rpartition(".")
            setattr(self.model.get_submodule(parent), last, _plain(place, merge, names))
        self.places.clear()
        self.peft_config.clear()
        self.active_adapters = []
        return self.model


def _is_of(module: nn.Module, kind: type[AdapterLayer]) -> bool:
    """Say whether a module is a layer of this very kind, and not of one that is made from it."""
    return isinstance(module, kind) and module.kind == kind.kind


def _plain(place: Any, merge: bool, names: list[str] | None) -> nn.Module:
    """Return what a place is without its wrapper, with the adapters ``names`` in it when ``merge``."""
    if not isinstance(place, AdapterLayer):
        return place.unwrapped(names if merge else [])  # type: ignore[no-any-return]
    layer: nn.Module = place
    chain = []
    while isinstance(layer, AdapterLayer):
        chain.append(layer)
        layer = layer.base_layer
    for wrapper in reversed(chain):
        if merge:
            wrapper.merge(adapter_names=names)
        else:
            wrapper.unmerge()
    return chain[-1].base_layer
