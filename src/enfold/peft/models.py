"""The class of models for each kind of adapter; kinds whose layers share something have theirs beside the layers."""

from __future__ import annotations

from typing import Any

from torch import nn

from enfold.peft.targets import ATTENTIONS, model_type
from enfold.peft.tokens import TrainableTokensLayer, tie
from enfold.peft.tuner import Tuner


class LoraModel(Tuner):
    """A model with low-rank adapters."""

    def add_weighted_adapter(
        self,
        adapters: list[str],
        weights: list[float],
        adapter_name: str,
        combination_type: str = "svd",
        svd_rank: int | None = None,
        svd_clamp: float | None = None,
        svd_full_matrices: bool = True,
        svd_driver: str | None = None,
        density: float | None = None,
        majority_sign_method: str = "total",
    ) -> None:
        """Make a new adapter of several others; see :func:`enfold.peft.merging.combine`."""
        from enfold.peft.merging import combine

        self._check_names(adapters)
        combine(
            self,
            adapters,
            weights,
            adapter_name,
            combination_type,
            rank=svd_rank,
            clamp=svd_clamp,
            driver=svd_driver,
            density=density,
            sign=majority_sign_method,
        )


class IA3Model(Tuner):
    """A model with learnt scales of activations."""

    def add_weighted_adapter(self, adapters: list[str], weights: list[float], adapter_name: str) -> None:
        """Make a new adapter whose scales are the weighted sum of those of others."""
        from enfold.peft.merging import add_scales

        self._check_names(adapters)
        add_scales(self, adapters, weights, adapter_name)


class AdaptionPromptModel(Tuner):
    """A model with prompts inside the attention of its upper layers."""

    def find(self, config: Any) -> list[tuple[str, nn.Module]]:
        if config.target_modules is None:
            kind = model_type(self.model)
            if kind not in ATTENTIONS:
                raise ValueError(f"adaption prompts go into {', '.join(ATTENTIONS)}, not into model type {kind!r}")
            config.target_modules = ATTENTIONS[kind]
        ending = f".{config.target_modules}"
        found = [(key, module) for key, module in self.model.named_modules() if key.endswith(ending)]
        if len(found) < config.adapter_layers:
            raise ValueError(f"the model has {len(found)} layers, and adapter_layers is {config.adapter_layers}")
        return found[-config.adapter_layers :]


class BOFTModel(Tuner):
    """A model with rotations made of butterflies."""


class BottleneckModel(Tuner):
    """A model with small networks after, or beside, some of its layers."""


class C3AModel(Tuner):
    """A model with changes that are block-circulant."""


class DeloraModel(Tuner):
    """A model with low-rank changes of bounded length."""


class FourierFTModel(Tuner):
    """A model with changes that are sparse among frequencies."""


class GraloraModel(Tuner):
    """A model with low-rank changes of blocks of its weights."""


class HiraModel(Tuner):
    """A model with changes that are products of its weights with low-rank matrices."""


class HRAModel(Tuner):
    """A model with chains of reflections."""


class LNTuningModel(Tuner):
    """A model whose normalisation layers train."""


class LoHaModel(Tuner):
    """A model with changes that are element-wise products of low-rank matrices."""


class LoKrModel(Tuner):
    """A model with changes that are Kronecker products."""


class MissModel(Tuner):
    """A model with changes that share shards."""


class OFTModel(Tuner):
    """A model with block-diagonal rotations."""


class OSFModel(Tuner):
    """A model whose weights' lesser directions train."""


class PsoftModel(Tuner):
    """A model of whose weights the principal parts are turned."""


class RoadModel(Tuner):
    """A model of whose layers pairs of outputs are turned."""


class ShiraModel(Tuner):
    """A model of whose weights a few numbers train."""


class TrainableTokensModel(Tuner):
    """A model of whose embeddings some rows train."""

    def add_adapter(self, name: str, config: Any, *args: Any, **kwargs: Any) -> None:
        super().add_adapter(name, config, *args, **kwargs)
        for layer in list(self.layers_with_adapters.values()):
            if isinstance(layer, TrainableTokensLayer) and not layer.tied:
                self.places.update(tie(self.model, layer, config))
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)
