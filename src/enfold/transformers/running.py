"""How models run their layers: one loop, which records what is asked for and forgets what can be computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from enfold.nn.cache import Cache, DynamicCache, EncoderDecoderCache
from enfold.nn.record import Record
from enfold.nn.step import step
from enfold.transformers.attentions import manner_named

if TYPE_CHECKING:
    from enfold.transformers.config import PretrainedConfig

__all__ = ["RunningMixin"]


class RunningMixin:
    """The layers' loop, caches, and gradient checkpointing."""

    config: PretrainedConfig
    training: bool
    gradient_checkpointing: bool
    _checkpoint_options: dict[str, Any]

    if TYPE_CHECKING:

        def _models(self) -> Iterator[Any]:
            """The model and the models inside it."""

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: Mapping[str, Any] | None = None) -> None:
        """Keep no activations inside layers: they are computed again in the backward pass.

        Args:
            gradient_checkpointing_kwargs: passed to ``torch.utils.checkpoint.checkpoint``.
        """
        options = {"use_reentrant": False, **(gradient_checkpointing_kwargs or {})}
        for part in self._models():
            part.gradient_checkpointing, part._checkpoint_options = True, options

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        for part in self._models():
            part.gradient_checkpointing = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether any part computes its activations again."""
        return any(part.gradient_checkpointing for part in self._models())

    def through(self, layer: Callable[..., Any], *inputs: Any) -> Any:
        """Run one layer, forgetting its activations where gradient checkpointing is on."""
        if self.gradient_checkpointing and self.training:
            return checkpoint(layer, *inputs, **self._checkpoint_options)
        return layer(*inputs)

    def cache_for(self, past: Any, use_cache: bool | None, *, crossed: bool = False) -> Cache | None:
        """Return the cache a decoder writes to: the given one, a new one, or None when none is wanted.

        Args:
            past: a cache, or tuples of keys and values (B, H, S, d) a layer.
            use_cache: make one; None does as the configuration says. Recomputing activations would write keys twice,
                so that gradient checkpointing goes without.
            crossed: the decoder looks at an encoder too; its cache is an ``EncoderDecoderCache``.
        """
        if past is not None:
            if not isinstance(past, Cache):
                return (EncoderDecoderCache if crossed else DynamicCache).from_legacy_cache(past)
            return EncoderDecoderCache(past) if crossed and not isinstance(past, EncoderDecoderCache) else past
        if self.gradient_checkpointing and self.training:
            return None
        wanted = self.config.use_cache if use_cache is None else use_cache
        if not wanted:
            return None
        slides = vars(self.config).get("sliding_window") is not None
        own = DynamicCache(config=self.config if slides else None)
        return EncoderDecoderCache(own) if crossed else own

    def recording(
        self,
        output_attentions: bool | None,
        output_hidden_states: bool | None,
        output_router_logits: bool | None = None,
    ) -> Record:
        """Return an empty record of what is asked for; None asks for what the configuration says."""
        config = self.config
        attentions = config.output_attentions if output_attentions is None else output_attentions
        return Record(
            attentions=attentions,
            states=config.output_hidden_states if output_hidden_states is None else output_hidden_states,
            explicit=manner_named(config._attn_implementation, attentions),
            # asked of the dictionary: a missing attribute is an error, and errors are slow and do not compile
            routers=vars(config).get("output_router_logits", False)
            if output_router_logits is None
            else output_router_logits,
        )

    def encode(self, layers: Iterable[Callable[..., Any]], x: Tensor, record: Record, *inputs: Any) -> Tensor:
        """Run ``layer(x, *inputs, explicit) → (x, weights)`` one after another and return the last one's states.

        Args:
            layers: the layers.
            x: (B, T, D).
            record: keeps what was asked for; the caller ends it with ``record.finish``.
            inputs: what every layer takes beside the states.
        """
        for layer in layers:
            record.before(x)
            x, *weights = self.through(layer, x, *inputs, record.explicit)
            record.after(*weights)
        return x

    def decode(
        self,
        layers: Iterable[Callable[..., Any]],
        x: Tensor,
        record: Record,
        *inputs: Any,
        cache: Any,
        each: Sequence[tuple[Any, ...]] | None = None,
    ) -> Tensor:
        """Run ``layer(x, *inputs, cache_layer, explicit) → (x, weights[, cross weights])`` one after another.

        Args:
            layers: the layers.
            x: (B, T, D).
            record: keeps what was asked for; the caller ends it with ``record.finish``.
            inputs: what every layer takes beside the states.
            cache: where the layers keep keys and values, or None.
            each: what one layer takes before ``inputs``, where layers differ in what they look at.
        """
        blocks: Any = layers if isinstance(layers, nn.ModuleList) else list(layers)
        given = [inputs if each is None else (*each[index], *inputs) for index in range(len(blocks))]
        if cache is not None and record.is_empty:
            stepped = step(blocks, x, given, cache)
            if stepped is not None:
                return stepped
        for index, layer in enumerate(blocks):
            record.before(x)
            kept = None if cache is None else cache.layer(index)
            x, *weights = self.through(layer, x, *given[index], kept, record.explicit)
            record.after(*weights)
        return x
