"""What stands in the place of enfold's own machinery in a stand-alone file: short, and torch alone.

Every definition here takes the name and the part of the contract that model files rely on; its source is copied into
the files that ``enfold eject`` writes.
"""

from __future__ import annotations

import copy
import json
import logging
import re
from collections import OrderedDict
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from enfold.nn.record import Record  # comes along as it is


def get_logger(name: str) -> logging.Logger:
    """Return Python's own logger."""
    return logging.getLogger(name)


def core() -> Any:
    """Return None: a file alone has no C++ core."""
    return None


class ModelOutput(OrderedDict):
    """Base of output dataclasses: ``out.logits``, ``out["logits"]`` and ``out[0]``; fields that are None are absent."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            if getattr(self, field.name) is not None:
                super().__setitem__(field.name, getattr(self, field.name))

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self:
            super().__setitem__(name, value)
        super().__setattr__(name, value)

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the values that are not None, in the order of the fields."""
        return tuple(self.values())


class PretrainedConfig:
    """Base of configurations: annotated class attributes are the fields, with their defaults."""

    model_type = ""
    sub_configs: dict[str, Any] = {}
    attribute_map: dict[str, str] = {}  # other spelling → field
    SHARED: dict[str, Any] = {
        "add_cross_attention": False,
        "bos_token_id": None,
        "cross_attention_hidden_size": None,
        "decoder_start_token_id": None,
        "eos_token_id": None,
        "is_decoder": False,
        "is_encoder_decoder": False,
        "output_attentions": False,
        "output_hidden_states": False,
        "pad_token_id": None,
        "problem_type": None,
        "return_dict": True,
        "sep_token_id": None,
        "tie_word_embeddings": True,
        "use_cache": False,
    }

    def __init__(self, **kwargs: Any) -> None:
        declared = self.declared()
        given = {self.attribute_map.get(name, name): value for name, value in kwargs.items()}
        labels, count = given.pop("id2label", None), given.pop("num_labels", None)
        given.pop("label2id", None)
        given.pop("model_type", None)
        self._attn_implementation = given.pop("attn_implementation", given.pop("_attn_implementation", None))
        self.id2label: dict[int, str] = {int(index): name for index, name in (labels or {}).items()}
        if labels is None or (count is not None and count != len(self.id2label)):
            self.id2label = {index: f"LABEL_{index}" for index in range(2 if count is None else count)}
        for name, default in {**self.SHARED, **declared}.items():
            setattr(self, name, copy.deepcopy(given.pop(name, default)))
        for name, value in given.items():
            setattr(self, name, value)
        self.complete()

    def complete(self) -> None:
        """Fill in fields that follow from others; families override it."""

    @classmethod
    def declared(cls) -> dict[str, Any]:
        """Return the fields that the family declares, with their defaults."""
        found: dict[str, Any] = {}
        for kind in reversed(cls.__mro__):
            if kind is not PretrainedConfig and issubclass(kind, PretrainedConfig):
                for name, note in vars(kind).get("__annotations__", {}).items():
                    if not str(note).startswith("ClassVar"):
                        found[name] = getattr(kind, name, None)
        return found

    def __getattr__(self, name: str) -> Any:
        real = type(self).attribute_map.get(name, name)
        if real != name:
            return getattr(self, real)
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(self.attribute_map.get(name, name), value)

    @property
    def num_labels(self) -> int:
        """How many classes a head predicts."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if count != len(self.id2label):
            self.id2label = {index: f"LABEL_{index}" for index in range(count)}

    def get_text_config(self, **_: Any) -> PretrainedConfig:
        """Return the configuration of the text part."""
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        state = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        parts = {name: value.to_dict() for name, value in state.items() if isinstance(value, PretrainedConfig)}
        return {**copy.deepcopy({k: v for k, v in state.items() if k not in parts}), **parts}

    @classmethod
    def from_dict(cls, config_dict: Any, **kwargs: Any) -> Any:
        """Make a configuration of a dictionary."""
        return cls(**{**config_dict, **kwargs})

    @classmethod
    def from_pretrained(cls, folder: str, **kwargs: Any) -> Any:
        """Read a folder's ``config.json``."""
        return cls.from_dict(json.loads(Path(folder, "config.json").read_text("utf-8")), **kwargs)


def project(layer: nn.Module, x: Tensor, then: Any = None, onto: Tensor | None = None) -> Tensor:
    """Return ``then(layer(x)) + onto``."""
    out = layer(x)
    out = out if then is None else then(out)
    return out if onto is None else out + onto


class CacheLayer:
    """The keys and values (B, H, S, D) of one layer."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    @property
    def offset(self) -> int:
        """How many positions are filled."""
        return 0 if self.keys is None else self.keys.shape[2]

    def update_and_fetch(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values (B, H, T, D) and return all of them."""
        self.keys = keys if self.keys is None else torch.cat((self.keys, keys), 2)
        self.values = values if self.values is None else torch.cat((self.values, values), 2)
        return self.keys, self.values


class Cache:
    """Keys and values of what a decoder has read: one ``CacheLayer`` a layer."""

    virtual = 0  # positions that stand for no token

    def __init__(self, *_: Any, **__: Any) -> None:
        self.layers: list[Any] = []

    def layer(self, index: int) -> Any:
        """Return the layer ``index``, made on first use."""
        while len(self.layers) <= index:
            self.layers.append(CacheLayer())
        return self.layers[index]

    def get_seq_length(self, index: int = 0) -> int:
        """Return how many positions are filled."""
        return self.layers[index].offset if index < len(self.layers) else 0

    def get_mask_sizes(self, length: int, index: int = 0) -> tuple[int, int]:
        """Return how many keys ``length`` new tokens will see, and the position of the first."""
        return self.get_seq_length(index) + length, 0

    def __bool__(self) -> bool:
        return True


DynamicCache = Cache


class EncoderDecoderLayer:
    """What a decoder layer keeps: keys and values of the text so far, and of the encoder's states."""

    def __init__(self) -> None:
        self.own, self.cross = CacheLayer(), CacheLayer()

    @property
    def is_updated(self) -> bool:
        """Whether the encoder's keys and values are there."""
        return self.cross.offset > 0

    @property
    def offset(self) -> int:
        """How many positions of the text are filled."""
        return self.own.offset

    def crossed(self, project: Any) -> tuple[Tensor, Tensor]:
        """Return the encoder's keys and values: those kept, or else those of ``project``, which are kept."""
        if self.cross.keys is not None and self.cross.values is not None:
            return self.cross.keys, self.cross.values
        return self.cross.update_and_fetch(*project())


class EncoderDecoderCache(Cache):
    """The cache of a decoder that also looks at an encoder."""

    def layer(self, index: int) -> Any:
        """Return both drawers of the layer ``index``, made on first use."""
        while len(self.layers) <= index:
            self.layers.append(EncoderDecoderLayer())
        return self.layers[index]


class PreTrainedModel(nn.Module):
    """Base of models: drawing weights, running layers, reading a folder."""

    config_class: Any = None
    base_model_prefix = ""
    main_input_name = "input_ids"
    _input_embed_layer: Any = None
    _tied_weights_keys: dict[str, str] = {}  # name → the parameter it shares
    _keys_to_ignore_on_load_unexpected: list[str] = []
    _keys_to_ignore_on_load_missing: list[str] = []
    _keys_to_ignore_on_save: list[str] = []
    _no_split_modules: list[str] = []
    _old_keys: dict[str, str] = {}  # patterns of old files → names now

    def __init__(self, config: Any, *_: Any, **__: Any) -> None:
        super().__init__()
        self.config = config

    def post_init(self) -> None:
        """Draw the weights and tie those that are shared."""
        for module in reversed(list(self.modules())):
            if not module.__dict__.get("_drawn"):
                self._init_weights(module)
                module.__dict__["_drawn"] = True
        self.tie_weights()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        std = getattr(self.config, "initializer_range", 0.02)
        if isinstance(module, nn.Linear | nn.Embedding):
            module.weight.normal_(0.0, std)
        if isinstance(module, nn.Linear | nn.LayerNorm) and module.bias is not None:
            module.bias.zero_()
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            module.weight[module.padding_idx].zero_()

    @property
    def base_model(self) -> Any:
        """The model without its head."""
        return getattr(self, self.base_model_prefix, self)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return next(self.parameters()).dtype

    def get_input_embeddings(self) -> Any:
        """Return the embedding of tokens or patches."""
        if self._input_embed_layer is None:
            return self.base_model.get_input_embeddings()
        found = self.get_submodule(self._input_embed_layer)
        return found.get_input_embeddings() if isinstance(found, PreTrainedModel) else found

    def get_output_embeddings(self) -> Any:
        """Return the layer that predicts tokens, or None."""
        return getattr(self, "lm_head", None)

    def own_tied_names(self) -> dict[str, str]:
        """Return name → the parameter it shares, of this model without the models inside it."""
        return dict(self._tied_weights_keys) if self.config.tie_word_embeddings else {}

    def tie_weights(self) -> None:
        """Make shared names one parameter."""
        for path, part in reversed(list(self.named_modules())):
            if isinstance(part, PreTrainedModel):
                dot = f"{path}." if path else ""
                for target, source in part.own_tied_names().items():
                    owner, _, leaf = (dot + target).rpartition(".")
                    setattr(self.get_submodule(owner), leaf, self.get_parameter(dot + source))

    # --- running

    def cache_for(self, past: Any, use_cache: bool | None, *, crossed: bool = False) -> Any:
        """Return the given cache, a new one, or None when none is wanted."""
        wanted = self.config.use_cache if use_cache is None else use_cache
        if past is not None or not wanted:
            return past
        return EncoderDecoderCache() if crossed else Cache()

    def recording(self, attentions: bool | None, states: bool | None, routers: bool | None = None) -> Any:
        """Return an empty record of what is asked for; None asks for what the configuration says."""
        config = self.config
        return Record(
            attentions=config.output_attentions if attentions is None else attentions,
            states=config.output_hidden_states if states is None else states,
            explicit=config._attn_implementation == "eager",
            routers=vars(config).get("output_router_logits", False) if routers is None else routers,
        )

    def through(self, layer: Any, *inputs: Any) -> Any:
        """Run one layer."""
        return layer(*inputs)

    def encode(self, layers: Any, x: Tensor, record: Any, *inputs: Any) -> Tensor:
        """Run layers one after another on (B, T, D)."""
        for layer in layers:
            record.before(x)
            x, *weights = self.through(layer, x, *inputs, record.explicit)
            record.after(*weights)
        return x

    def decode(self, layers: Any, x: Tensor, record: Any, *inputs: Any, cache: Any, each: Any = None) -> Tensor:
        """Run layers with a cache, each with its own share of ``each``, on (B, T, D)."""
        for index, layer in enumerate(layers):
            record.before(x)
            own = () if each is None else each[index]
            kept = None if cache is None else cache.layer(index)
            x, *weights = self.through(layer, x, *own, *inputs, kept, record.explicit)
            record.after(*weights)
        return x

    # --- files

    @classmethod
    def from_pretrained(cls, folder: str, **kwargs: Any) -> Any:
        """Return the model of a folder with ``config.json`` and safetensors, in evaluation mode.

        Raises:
            KeyError: the folder lacks weights that the model needs; it names them.
        """
        from safetensors.torch import load_file

        files = sorted(Path(folder).glob("*.safetensors"))
        if not files:
            raise FileNotFoundError(f"{folder} has no safetensors file")
        model = cls(cls.config_class.from_pretrained(folder, **kwargs))
        weights: dict[str, Tensor] = {}
        for file in files:
            weights.update(load_file(file))
        for pattern, name in cls._old_keys.items():
            weights = {re.sub(pattern, name, key): value for key, value in weights.items()}
        own, prefix = model.state_dict(), f"{cls.base_model_prefix}."
        if not any(key.startswith(prefix) for key in own):  # a base model, in the file of one with a head
            weights = {key.removeprefix(prefix): value for key, value in weights.items()}
        elif not any(key.startswith(prefix) for key in weights):  # a head, on the file of a base model
            weights = {prefix + key: value for key, value in weights.items()}
        tied = {name for name, value in own.items() if any(value is other for other in own.values())}
        result = model.load_state_dict({key: value for key, value in weights.items() if key in own}, strict=False)
        shared = {id(parameter) for name, parameter in model.named_parameters() if name in weights}
        lost = [
            name
            for name in result.missing_keys
            if not (name in tied and id(model.get_parameter(name)) in shared)
            and name.startswith(prefix)
            and not any(re.search(pattern, name) for pattern in cls._keys_to_ignore_on_load_missing)
        ]
        if lost:
            raise KeyError(f"{folder} lacks {', '.join(lost)}")
        model.tie_weights()
        return model.eval()


class GenerationMixin:
    """Writes on, always the likeliest token."""

    generation_config: Any = None

    @torch.no_grad()
    def generate(self, inputs: Tensor, max_new_tokens: int = 20, **given: Any) -> Tensor:
        """Return ids (B, T): the given ones, or with an encoder the start token, and what was written.

        Args:
            inputs: (B, S), ids to continue, or what an encoder reads.
            max_new_tokens: at most this many.
            given: further arguments of ``forward``, such as ``attention_mask``.
        """
        model: Any = self
        config, encoder = model.config, model.config.is_encoder_decoder
        ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        ids = inputs
        if encoder:
            ids = torch.full((len(inputs), 1), config.decoder_start_token_id, device=inputs.device)
            given["encoder_outputs"] = model.get_encoder()(
                inputs, attention_mask=given.get("attention_mask"), return_dict=True
            )
        mask, done, cache, step = given.pop("attention_mask", None), torch.zeros(len(ids), dtype=torch.bool), None, ids
        for _ in range(max_new_tokens):
            fed = {"decoder_input_ids": step} if encoder else {"input_ids": step}
            out = model(**fed, attention_mask=mask, past_key_values=cache, use_cache=True, return_dict=True, **given)
            cache, step = out.past_key_values, out.logits[:, -1:].argmax(-1)
            step[done] = config.pad_token_id or 0
            ids = torch.cat((ids, step), 1)
            if mask is not None and not encoder:
                mask = torch.cat((mask, mask.new_ones(len(mask), 1)), 1)
            done |= sum((step[:, 0] == end for end in ends if end is not None), torch.zeros_like(step[:, 0])).bool()
            if done.all():
                break
        return ids


class WhisperGenerationMixin(GenerationMixin):
    """Writes down one window of a recording."""


def load_backbone(config: Any) -> Any:
    """Return a blank backbone for a configuration's ``backbone_config``, or for the configuration itself."""
    from enfold.transformers.models.bit import BitBackbone
    from enfold.transformers.models.dinov2 import Dinov2Backbone
    from enfold.transformers.models.resnet import ResNetBackbone

    kinds = {"bit": BitBackbone, "dinov2": Dinov2Backbone, "resnet": ResNetBackbone}
    config = getattr(config, "backbone_config", None) or config
    return kinds[config.model_type](config)


def sub_config(value: Any, **default: Any) -> Any:
    """Return a backbone's configuration for a configuration, a dictionary with ``model_type``, or None."""
    from enfold.transformers.configs.bit import BitConfig
    from enfold.transformers.configs.dinov2 import Dinov2Config
    from enfold.transformers.configs.resnet import ResNetConfig

    kinds = {"bit": BitConfig, "dinov2": Dinov2Config, "resnet": ResNetConfig}
    if value is None and not default:
        return None
    if isinstance(value, PretrainedConfig):
        return value
    fields = dict(default if value is None else value)
    return kinds[fields.pop("model_type")](**fields)
