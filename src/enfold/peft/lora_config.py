"""The configuration of low-rank adapters."""

from __future__ import annotations

from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any, ClassVar

from enfold.log import get_logger
from enfold.peft.config import LayeredConfig, UnsupportedPeftFeature, spelled

__all__ = ["EvaConfig", "LoftQConfig", "LoraConfig", "LoraRuntimeConfig"]

logger = get_logger(__name__)


@dataclass
class LoraRuntimeConfig:
    """Settings of one run, which are never in the file.

    Args:
        ephemeral_gpu_offload: accepted; weights stay where they are.
    """

    ephemeral_gpu_offload: bool = False


@dataclass
class LoftQConfig:
    """How ``init_lora_weights="loftq"`` finds factors that make up for quantising (https://arxiv.org/abs/2310.08659).

    Args:
        loftq_bits: bits of the quantised weight, 4 or 8.
        loftq_iter: rounds of quantising and decomposing what is lost.
    """

    loftq_bits: int = 4
    loftq_iter: int = 1


@dataclass
class EvaConfig:
    """How ``init_lora_weights="eva"`` spreads ranks (https://arxiv.org/abs/2410.07170).

    Args:
        rho: the largest rank is ``rho · r``; 1 keeps ``r`` everywhere.
        tau: cosine at which a component counts as found.
        use_label_mask: look at the positions with labels only.
        label_mask_value: label of the positions not to look at.
        whiten: weigh components by their variance.
        adjust_scaling_factors: keep ``alpha / r`` where the rank changes.
    """

    rho: float = 2.0
    tau: float = 0.99
    use_label_mask: bool = True
    label_mask_value: int = -100
    whiten: bool = False
    adjust_scaling_factors: bool = True

    def __post_init__(self) -> None:
        if self.rho < 1:
            raise ValueError(f"rho must be at least 1, not {self.rho}")
        if not 0 <= self.tau <= 1:
            raise ValueError(f"tau must be between 0 and 1, not {self.tau}")


STARTS = ("gaussian", "eva", "olora", "pissa", "orthogonal", "loftq", "mica")


@spelled({"alpha": "lora_alpha"})
@dataclass
class LoraConfig(LayeredConfig):
    """How low-rank adapters are put into a model.

    A targeted layer computes ``W x + scale · B A x`` with A of shape (r, in) and B of shape (out, r); only A and B
    train. Every field of the ecosystem's files is accepted and kept; a field whose feature is missing here is refused
    when the adapter is made, not silently ignored.

    Args:
        r: rank.
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        lora_alpha: scale is ``lora_alpha / r`` (``alpha`` is accepted too).
        lora_dropout: dropout on the adapter's input, 0 to 1.
        fan_in_fan_out: weights are stored as (in, out), as GPT-2's are; set by itself where the layer says so.
        bias: which biases train: ``"none"``, ``"all"`` or ``"lora_only"``.
        use_rslora: scale by ``lora_alpha / sqrt(r)`` (https://arxiv.org/abs/2312.03732).
        use_dora: learn length and direction of the weight apart (https://arxiv.org/abs/2402.09353).
        lora_bias: B has a bias.
        init_lora_weights: True for a zero start with uniform A, False for random A and B; ``"gaussian"`` for normal A;
            ``"pissa"`` or ``"pissa_niter_4"``, ``"olora"``, ``"mica"``, ``"orthogonal"``, ``"loftq"`` and ``"eva"``
            start from the weight (eva from data, see :func:`enfold.peft.initialize_lora_eva_weights`).
        rank_pattern: module name or regular expression → rank.
        alpha_pattern: module name or regular expression → alpha.
        layer_replication: ranges of blocks that make a deeper model of the same weights, each with adapters of its own:
            ``[(0, 4), (2, 5)]``.
        trainable_token_indices: tokens whose embeddings train, or module name → tokens.

    Example:
        >>> LoraConfig(r=8, alpha=16, target_modules=["q_proj"]).lora_alpha
        16

    Source: Hu et al., https://arxiv.org/abs/2106.09685
    """

    kind: ClassVar[str | None] = "LORA"
    unwritten: ClassVar[frozenset[str]] = frozenset({"runtime_config"})

    r: int = 8
    lora_alpha: int = 8
    lora_dropout: float = 0.0
    fan_in_fan_out: bool = False
    bias: str = "none"
    use_rslora: bool = False
    init_lora_weights: bool | str = True
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, int] = field(default_factory=dict)
    megatron_config: dict[str, Any] | None = None
    megatron_core: str | None = "megatron.core"
    trainable_token_indices: list[int] | dict[str, list[int]] | None = None
    loftq_config: LoftQConfig | dict[str, Any] = field(default_factory=dict)
    eva_config: EvaConfig | dict[str, Any] | None = None
    corda_config: dict[str, Any] | None = None
    lora_ga_config: dict[str, Any] | None = None
    use_dora: bool = False
    velora_config: dict[str, Any] | None = None
    alora_invocation_tokens: list[int] | None = None
    use_qalora: bool = False
    qalora_group_size: int = 16
    monteclora_config: dict[str, Any] | None = None
    layer_replication: list[tuple[int, int]] | None = None
    lora_bias: bool = False
    target_parameters: list[str] | None = None
    use_bdlora: dict[str, Any] | bool | None = None
    arrow_config: dict[str, Any] | None = None
    kasa_config: dict[str, Any] | None = None
    ensure_weight_tying: bool = False
    runtime_config: LoraRuntimeConfig | dict[str, Any] | None = None

    @property
    def prefix(self) -> str:
        """What names of this kind begin with, as in ``bias="lora_only"``."""
        return "lora"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r < 1:
            raise ValueError(f"r must be at least 1, got {self.r}")
        if isinstance(self.loftq_config, LoftQConfig):
            self.loftq_config = asdict(self.loftq_config)
        if isinstance(self.eva_config, dict):
            self.eva_config = EvaConfig(**{key: value for key, value in self.eva_config.items() if value is not None})
        if self.eva_config is None and self.init_lora_weights == "eva":
            self.eva_config = EvaConfig()
        elif self.eva_config and self.init_lora_weights != "eva":
            logger.warning("eva_config is kept, and changes nothing without init_lora_weights='eva'")
        if self.init_lora_weights == "loftq":
            given: Any = self.loftq_config
            self.loftq_config = asdict(LoftQConfig(**given))
        if self.lora_bias:
            if self.init_lora_weights not in (True, False):
                raise ValueError("lora_bias needs init_lora_weights=True or False")
            if self.use_dora:
                raise ValueError("lora_bias and use_dora exclude each other")

    def check_supported(self) -> None:
        """Raise :class:`UnsupportedPeftFeature` when a field asks for something that is not implemented."""
        for item in fields(self):
            if item.name in ABSENT and getattr(self, item.name) != _default(item):
                raise UnsupportedPeftFeature(
                    f"{type(self).__name__}.{item.name} is not supported; leave it at {_default(item)!r}"
                )
        start = self.init_lora_weights
        if isinstance(start, str) and start.lower() not in STARTS and not start.startswith("pissa_niter_"):
            raise UnsupportedPeftFeature(
                f"init_lora_weights={start!r} is not supported; use True, False or one of {', '.join(STARTS)}"
            )


# Kept in the file, and refused when they are set.
ABSENT = frozenset(
    {
        "megatron_config",
        "corda_config",
        "lora_ga_config",
        "velora_config",
        "alora_invocation_tokens",
        "use_qalora",
        "monteclora_config",
        "target_parameters",
        "use_bdlora",
        "arrow_config",
        "kasa_config",
        "ensure_weight_tying",
    }
)


def _default(item: Field[Any]) -> Any:
    return item.default_factory() if item.default_factory is not MISSING else item.default
