"""How models attend, by name: sdpa, eager, flex_attention, flash_attention_2, or a function of yours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from torch import Tensor

from enfold.errors import EnfoldError, nearest
from enfold.nn.attention import Manner, attend

if TYPE_CHECKING:
    from enfold.transformers.config import PretrainedConfig
    from enfold.transformers.modeling import PreTrainedModel

__all__ = [
    "ALL_ATTENTION_FUNCTIONS",
    "AttentionError",
    "AttentionForward",
    "AttentionInterface",
    "attend_as_configured",
    "attend_by",
    "eager_attention_forward",
    "flash_attention_forward",
    "flex_attention_forward",
    "manner_named",
    "sdpa_attention_forward",
]


class AttentionError(EnfoldError, ValueError):
    """No attention has this name, or its package is missing."""


class Place(NamedTuple):
    """What an attention function may ask of the layer it works for, its ``module``."""

    is_causal: bool
    num_key_value_groups: int
    training: bool


class AttentionForward:
    """An attention function under the ecosystem's signature.

    Args:
        manner: how it attends, for ``attend``.
    """

    def __init__(self, manner: Manner) -> None:
        self.manner = manner

    def __call__(
        self,
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        softcap: float | None = None,
        **extra: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            module: has ``is_causal``, which counts where there is no mask.
            query: (B, H, T, D).
            key, value: (B, K, S, D), where K divides H.
            attention_mask: boolean, True where a query may look, or scores to add; broadcastable to (B, H, T, S).
            scaling: factor of the scores; 1 / √D by default.
            dropout: probability with which a weight is dropped.
            softcap: keeps scores within ±softcap.
            extra: unused.

        Returns:
            The attended values (B, T, H, D), heads beside their token; and of ``eager`` the weights (B, H, T, S).
        """
        causal = attention_mask is None and query.shape[2] > 1 and bool(getattr(module, "is_causal", True))
        out, weights = attend(
            query,
            key,
            value,
            attention_mask,
            causal=causal,
            scale=scaling,
            dropout=dropout,
            softcap=softcap,
            weights=self.manner,
        )
        return out.transpose(1, 2).contiguous(), weights


def _flex(*tensors: Any, **options: Any) -> Any:
    from enfold.nn.flex import flex_attend

    return flex_attend(*tensors, **options)


def _flash(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
    """Attend by the package flash-attn; it knows no masks: a batch with padding goes through torch's attention."""
    if mask is not None:
        return attend(query, key, value, mask, **options)
    from flash_attn import flash_attn_func

    out = flash_attn_func(
        *(x.transpose(1, 2) for x in (query, key, value)),  # (B, T, H, D)
        dropout_p=options["dropout"],
        softmax_scale=options["scale"],
        causal=options["causal"],
        softcap=options["softcap"] or 0.0,
    )
    return out.transpose(1, 2), None


eager_attention_forward = AttentionForward(True)
sdpa_attention_forward = AttentionForward(False)
flex_attention_forward = AttentionForward(_flex)
flash_attention_forward = AttentionForward(_flash)


class AttentionInterface(MutableMapping[str, Callable[..., Any]]):
    """Name → attention function; what is set on one instance is its own, what is registered is everyone's.

    An attention function takes and returns what ``AttentionForward`` does. Its ``module`` has ``is_causal``,
    ``num_key_value_groups`` and ``training``, whatever the model.

    Example:
        >>> def loud(*args, **kwargs):
        ...     return sdpa_attention_forward(*args, **kwargs)
        >>> AttentionInterface.register("loud", loud)
        >>> "loud" in ALL_ATTENTION_FUNCTIONS
        True
    """

    _global_mapping: ClassVar[dict[str, Callable[..., Any]]] = {
        "eager": eager_attention_forward,
        "sdpa": sdpa_attention_forward,
        "flex_attention": flex_attention_forward,
        "flash_attention_2": flash_attention_forward,
    }

    def __init__(self) -> None:
        self._local_mapping: dict[str, Callable[..., Any]] = {}

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self._local_mapping[name] if name in self._local_mapping else self._global_mapping[name]

    def __setitem__(self, name: str, function: Callable[..., Any]) -> None:
        self._local_mapping[name] = function

    def __delitem__(self, name: str) -> None:
        del self._local_mapping[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._global_mapping, **self._local_mapping})

    def __len__(self) -> int:
        return len({**self._global_mapping, **self._local_mapping})

    @classmethod
    def register(cls, key: str, value: Callable[..., Any]) -> None:
        """Make a function known by a name that ``attn_implementation=`` takes."""
        cls._global_mapping[key] = value

    def valid_keys(self) -> list[str]:
        """Return all names."""
        return list(self)

    def get_interface(self, attn_implementation: str | None, default: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function of a name; ``default`` for None.

        Raises:
            AttentionError: a ValueError that names the closest.
        """
        return default if attn_implementation is None else self[check_name(attn_implementation)]


ALL_ATTENTION_FUNCTIONS = AttentionInterface()

# functions that need a package → its module, and its name
_NEEDED: dict[Any, tuple[str, str]] = {flash_attention_forward: ("flash_attn", "flash-attn")}


def check_name(name: Any) -> str:
    """Return a name that is there.

    Raises:
        AttentionError: it is not, or its package is missing.
    """
    known = ALL_ATTENTION_FUNCTIONS.valid_keys()
    if name not in known:
        raise AttentionError(
            f"no attention is named {name!r}{nearest(str(name), known)}; there are {', '.join(known)}, and what "
            "AttentionInterface.register adds"
        )
    module, package = _NEEDED.get(ALL_ATTENTION_FUNCTIONS[name], ("torch", "torch"))
    if find_spec(module) is None:
        raise AttentionError(
            f"attn_implementation={name!r} needs the package {package}, which is not installed; 'sdpa' runs torch's "
            "own flash attention where the device has it"
        )
    return name


def manner_named(name: str | None, weights: bool) -> Manner:
    """Return how to attend, for ``attend``.

    Args:
        name: of the attention; None is ``"sdpa"``.
        weights: the weights are wanted: ours come from the explicit softmax, a function of yours returns its own.
    """
    function = ALL_ATTENTION_FUNCTIONS.get(name or "sdpa")
    if isinstance(function, AttentionForward):
        return weights or function.manner
    if function is None:
        check_name(name)
    return _adapted(function)


@cache
def _adapted(function: Any) -> Manner:
    def attended(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        *,
        causal: bool,
        scale: float | None,
        dropout: float,
        softcap: float | None,
    ) -> Any:
        place = Place(causal, query.shape[1] // key.shape[1], dropout > 0)
        scale = query.shape[3] ** -0.5 if scale is None else scale
        capped = {} if softcap is None else {"softcap": softcap}
        out, weights = function(place, query, key, value, mask, scaling=scale, dropout=dropout, **capped)
        return out.transpose(1, 2), weights

    return attended


def attend_as_configured(config: PretrainedConfig, fused: bool) -> None:
    """Check the name a configuration gives, or note there how its model attends where it gives none.

    Args:
        config: of a model that is being made; its parts have models of their own.
        fused: the model has the fused attention, ``"sdpa"``; else it attends by ``"eager"``, if at all.

    Raises:
        AttentionError: no attention has this name.
    """
    if config._attn_implementation:
        check_name(config._attn_implementation)
    else:
        config._attn_implementation = {"": "sdpa" if fused else "eager"}


def attend_by(model: PreTrainedModel, implementation: str | Mapping[str, str]) -> None:
    """Set how a model and its parts attend.

    Args:
        model: changed in place.
        implementation: a name for all parts; or part (``"text_config"``; ``""`` is the whole's own) → name, where parts
            that are not named stay as they are.

    Raises:
        AttentionError: no attention has a name, or the configuration has no such part; nothing is changed.
    """
    config = model.config
    named = implementation if isinstance(implementation, Mapping) else {"": implementation}
    for field, name in named.items():
        check_name(name)
        if field and field not in config.sub_configs:
            parts = ", ".join(config.sub_configs) or "none"
            raise AttentionError(
                f"{type(config).__name__} has no part {field!r}{nearest(field, config.sub_configs)}; it has: {parts}"
            )
    config._attn_implementation = implementation
    settled = {id(config), *(id(getattr(config, field, None)) for field in config.sub_configs)}
    _spread(model, settled, config._attn_implementation)


def _spread(module: Any, settled: set[int], name: Any) -> None:
    """Let parts whose configuration is a copy attend as the part around them does."""
    config: Any = getattr(module, "config", None)
    if hasattr(config, "_attn_implementation"):
        if id(config) not in settled:
            config._attn_implementation = name
        name = config._attn_implementation
    for part in module.children():
        _spread(part, settled, name)
