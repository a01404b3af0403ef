"""Single tokens of an embedding that train, all others staying as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.peft.config import PeftType, TargetedConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import Adapted, AdapterLayer, AuxiliaryTrainingWrapper

__all__ = ["TokenWrapper", "TrainableTokensConfig", "TrainableTokensLayer", "tie", "token_wrappers"]


@spelled({})
@dataclass
class TrainableTokensConfig(TargetedConfig):
    """Train the embeddings of a few tokens.

    Args:
        token_indices: ids of the tokens.
        target_modules: names of the embeddings; None for the model's input embedding.
        init_weights: begin with what the embedding holds; random otherwise.
    """

    kind: ClassVar[str | None] = PeftType.TRAINABLE_TOKENS.value
    unwritten: ClassVar[frozenset[str]] = frozenset({"exclude_modules", "modules_to_save"})

    token_indices: list[int] = field(default_factory=list)
    init_weights: bool = True


class TrainableTokensLayer(AdapterLayer):
    """An embedding, or the output layer tied to it, of which some rows are replaced.

    Args:
        base_layer: the embedding or the output layer.
        config: of the adapter.
        tied: the layer whose tokens these are too, where the weights are one.
    """

    kind: ClassVar[str] = "TRAINABLE_TOKENS"
    holders = ("trainable_tokens_delta",)
    prefix = "trainable_tokens_"
    additive = False

    def __init__(self, base_layer: nn.Module, config: Any, tied: TrainableTokensLayer | None = None) -> None:
        super().__init__(base_layer, config)
        self.tied = tied is not None
        if tied is not None:
            self.settings = tied.settings
            self.trainable_tokens_delta: Any = tied.trainable_tokens_delta

    @property
    def trainable_tokens_original(self) -> dict[str, Tensor]:
        """Adapter → what its tokens' rows (N, D) were before."""
        return {name: held["original"] for name, held in self.settings.items() if held is not None}

    def check(self, plain: nn.Module) -> None:
        if not isinstance(plain, nn.Embedding | nn.Linear):
            raise UnsupportedPeftFeature(f"tokens train in an embedding, not in a {type(plain).__name__}")

    def make(self, name: str, config: Any, key: str) -> None:
        tokens, rows = list(config.token_indices), self.weight.shape[0]
        wrong = [token for token in tokens if not 0 <= token < rows]
        if wrong:
            raise ValueError(f"tokens {wrong} are not among the {rows} of {key}")
        held = self.weight.detach()[tokens].float()
        self.hold(name, trainable_tokens_delta=held.clone() if config.init_weights else torch.randn_like(held))
        self.settings[name] = {"tokens": tokens, "original": held.to(self.weight.dtype)}

    def cast(self, x: Tensor, name: str) -> Tensor:
        return x

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        tokens = torch.tensor(self.settings[name]["tokens"], device=y.device)
        rows = self.trainable_tokens_delta[name].to(y.dtype)
        if not isinstance(self.get_base_layer(), nn.Embedding):
            return y.index_copy(-1, tokens, F.linear(x, rows))
        place = torch.full((self.weight.shape[0],), -1, device=x.device)
        place[tokens] = torch.arange(len(tokens), device=x.device)
        found = place[x]  # which of the trained tokens, or -1
        rows = rows * getattr(self.get_base_layer(), "embed_scale", 1.0)
        return torch.where((found >= 0)[..., None], rows[found.clamp(min=0)], y)

    def merge(self, safe_merge: bool = False, adapter_names: Sequence[str] | None = None) -> None:
        if not self.tied:  # the other layer writes into the same weight
            super().merge(safe_merge, adapter_names)

    def _written(self, name: str, weight: Tensor, rows: Tensor) -> Tensor:
        tokens = torch.tensor(self.settings[name]["tokens"], device=weight.device)
        if self.fan_in_fan_out:  # tokens are the columns of what get_weight returns
            return weight.index_copy(1, tokens, rows.to(weight.dtype).T)
        return weight.index_copy(0, tokens, rows.to(weight.dtype))

    def changed(self, name: str, weight: Tensor) -> Tensor:
        for other in self.merged_adapters:
            both = set(self.settings[other]["tokens"]) & set(self.settings[name]["tokens"])
            if both:
                raise ValueError(f"adapters {other!r} and {name!r} both replace tokens {sorted(both)}")
        return self._written(name, weight, self.trainable_tokens_delta[name])

    def restored(self, name: str, weight: Tensor) -> Tensor:
        return self._written(name, weight, self.settings[name]["original"])


class TokenWrapper(AuxiliaryTrainingWrapper, TrainableTokensLayer):
    """Trained tokens beside adapters of another kind, under the names that their files have."""

    @property
    def token_adapter(self) -> TrainableTokensLayer:
        """What holds the trained tokens: this very layer."""
        return self

    def saved_names(self, name: str) -> dict[str, str]:
        if self.tied or name not in self.trainable_tokens_delta:
            return {}
        return {"token_adapter.trainable_tokens_delta": f"trainable_tokens_delta.{name}"}


@dataclass
class _Tokens:
    token_indices: list[int]
    init_weights: bool = True


def token_wrappers(model: nn.Module, config: Any, adapter: str) -> dict[str, Adapted]:
    """Wrap the embeddings that ``config.trainable_token_indices`` names; return module name → wrapper."""
    asked = getattr(config, "trainable_token_indices", None)
    if not asked:
        return {}
    wanted = asked if isinstance(asked, dict) else {_embedding_name(model): asked}
    places: dict[str, Adapted] = {}
    for ending, tokens in wanted.items():
        found = [
            (key, module)
            for key, module in model.named_modules()
            if re.match(rf"(.*\.)?{re.escape(ending)}$", key) and "base_layer" not in key
        ]
        if not found:
            raise ValueError(f"trainable_token_indices: the model has no module {ending!r}")
        for key, module in found:
            wrapper = module if isinstance(module, TokenWrapper) else _put(model, key, TokenWrapper(module, config))
            wrapper.add_adapter(adapter, _Tokens(tokens), key)
            places[key] = wrapper
            places.update(tie(model, wrapper, config))
    return places


def tie(model: nn.Module, layer: TrainableTokensLayer, config: Any) -> dict[str, Adapted]:
    """Wrap the output layers whose weight is that of an embedding, and return them."""
    found = [
        (key, module)
        for key, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.weight is layer.weight and "base_layer" not in key
    ]
    return {key: _put(model, key, type(layer)(module, config, tied=layer)) for key, module in found}


def _put(model: nn.Module, key: str, wrapper: TrainableTokensLayer) -> Any:
    parent, _, last = key.rpartition(".")
    wrapper.train(model.training)
    setattr(model.get_submodule(parent), last, wrapper)
    return wrapper


def _embedding_name(model: nn.Module) -> str:
    getter: Any = getattr(model, "get_input_embeddings", None)
    embedding = getter() if getter is not None else None
    for key, module in model.named_modules():
        if module is embedding:
            return key
    return "embed_tokens"
