"""PSOFT: the principal part of the weight is turned inside its own subspace.

Source: "Efficient Orthogonal Fine-Tuning with Principal Subspace Adaptation", 2025,
https://openreview.net/forum?id=FSHrinMArK
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import nearest
from enfold.peft.config import LayeredConfig, spelled
from enfold.peft.layer import AdapterLayer
from enfold.peft.oft import cayley, neumann

__all__ = ["PsoftConfig", "PsoftLayer"]

_CHOICES = {"ab_svd_init": ("psoft_init", "pissa_init"), "psoft_svd": ("full", "lowrank")}


@spelled({})
@dataclass
class PsoftConfig(LayeredConfig):
    """How turns of principal subspaces are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        r: dimensions of the subspace.
        psoft_alpha: accepted; the subspace is the weight's, whatever the scale.
        psoft_dropout: dropout on the adapter's input.
        ab_svd_init: "psoft_init" leaves the singular values to the outer factor, which keeps the inner one
            orthogonal; "pissa_init" gives each factor their roots.
        psoft_svd: "full", or "lowrank" for a randomised decomposition.
        psoft_svd_lowrank_niter: rounds of the latter.
        random_seed: seed of the latter.
        psoft_orth: the turn is a rotation; any matrix otherwise.
        psoft_mag_a, psoft_mag_b: also learn lengths before and after the turn.
        use_cayley_neumann: take a power series for the rotation, which is faster and not exact.
        num_cayley_neumann_terms: its terms.
        cayley_neumann_eps: bound of its matrix's length, between 0 and 1; None for none.
        init_weights: begin without a change; random otherwise.
        fan_in_fan_out: weights are stored as (in, out); set by itself.

    Example:
        >>> PsoftConfig(r=4, target_modules=["q_proj"]).peft_type.value
        'PSOFT'
    """

    kind: ClassVar[str | None] = "PSOFT"

    r: int = 32
    psoft_alpha: int = 32
    psoft_dropout: float = 0.0
    fan_in_fan_out: bool = False
    ab_svd_init: str = "psoft_init"
    psoft_svd: str = "full"
    psoft_svd_lowrank_niter: int = 10
    random_seed: int = 0
    psoft_orth: bool = True
    psoft_mag_b: bool = True
    psoft_mag_a: bool = True
    use_cayley_neumann: bool = False
    num_cayley_neumann_terms: int = 5
    cayley_neumann_eps: float | None = None
    init_weights: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r < 1:
            raise ValueError(f"r must be at least 1, not {self.r}")
        for name, known in _CHOICES.items():
            given = getattr(self, name)
            if given not in known:
                raise ValueError(f"{name}={given!r} is unknown{nearest(given, known)}; there are {', '.join(known)}")
        if self.use_cayley_neumann:
            if self.num_cayley_neumann_terms < 1:
                raise ValueError(f"num_cayley_neumann_terms must be at least 1, not {self.num_cayley_neumann_terms}")
            if self.cayley_neumann_eps is not None and not 0 < self.cayley_neumann_eps < 1:
                raise ValueError(f"cayley_neumann_eps must be between 0 and 1, not {self.cayley_neumann_eps}")


class Turn(nn.Module):
    """A matrix (r, r): a rotation that its upper triangle gives, or free, with learnt lengths on both sides.

    Args:
        config: of the adapter.
    """

    def __init__(self, config: PsoftConfig) -> None:
        super().__init__()
        self.config = config
        size = config.r
        free = torch.zeros(size * (size - 1) // 2) if config.psoft_orth else torch.eye(size)
        self.weight = nn.Parameter(free if config.init_weights else free + 0.1 * torch.randn_like(free))
        self.vector_b = nn.Parameter(torch.ones(size)) if config.psoft_mag_b else None
        self.vector_a = nn.Parameter(torch.ones(size)) if config.psoft_mag_a else None

    def matrix(self) -> Tensor:
        """Return it."""
        turn: Tensor = self.weight
        if self.config.psoft_orth:
            turn = self._rotation(self.weight.float()).to(turn.dtype)
        turn = turn if self.vector_b is None else self.vector_b[:, None] * turn
        return turn if self.vector_a is None else turn * self.vector_a

    def _rotation(self, vector: Tensor) -> Tensor:
        config = self.config
        row, column = torch.triu_indices(config.r, config.r, 1, device=vector.device)
        upper = vector.new_zeros(config.r, config.r).index_put((row, column), vector)
        skew = upper - upper.T
        if not config.use_cayley_neumann:
            return cayley(-skew)
        length = torch.linalg.norm(skew)
        if config.cayley_neumann_eps is not None and length > config.cayley_neumann_eps:
            skew = skew * (config.cayley_neumann_eps / length)
        return neumann(skew[None], config.num_cayley_neumann_terms)[0]


class PsoftLayer(AdapterLayer):
    """A linear layer with the change B (R - 1) A, of which R trains and B A is the weight's principal part."""

    kind: ClassVar[str] = "PSOFT"
    holders = ("psoft_R",)

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.r: dict[str, int] = {}
        self.psoft_dropout = nn.ModuleDict()
        self.psoft_R = nn.ModuleDict()

    def make(self, name: str, config: Any, key: str) -> None:
        least = min(self.in_features, self.out_features)
        if config.r > least:
            raise ValueError(f"r={config.r} is more than the smaller side of {key}, which is {least}")
        self.r[name] = config.r
        self.psoft_dropout[name] = nn.Dropout(config.psoft_dropout) if config.psoft_dropout else nn.Identity()
        self.psoft_R[name] = Turn(config)
        self.settings[name] = self._principal(config)  # made anew from the weight, and so in no file

    @torch.no_grad()
    def _principal(self, config: Any) -> tuple[Tensor, Tensor]:
        """Return A (r, I) and B (O, r), whose product is the weight's principal part."""
        weight = self.get_weight().float()
        if config.psoft_svd == "full":
            left, size, right = torch.linalg.svd(weight, full_matrices=False)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.random_seed)
                left, size, right = torch.svd_lowrank(weight, config.r, niter=config.psoft_svd_lowrank_niter)
            right = right.T
        left, size, right = left[:, : config.r], size[: config.r], right[: config.r]
        inner = size.sqrt() if config.ab_svd_init == "pissa_init" else torch.ones_like(size)
        return (inner[:, None] * right).contiguous(), left * (size / inner)

    def _factors(self, name: str) -> tuple[Tensor, Tensor]:
        """Return A (r, I) and B (R - 1) (O, r)."""
        turn = self.psoft_R[name].matrix()  # type: ignore[operator]
        first, second = (factor.to(turn) for factor in self.settings[name])
        return first, second @ (turn - torch.eye(len(turn), device=turn.device, dtype=turn.dtype))

    def delta(self, name: str) -> Tensor:
        first, second = self._factors(name)
        return second @ first

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        first, second = self._factors(name)
        return y + F.linear(F.linear(self.psoft_dropout[name](self.cast(x, name)), first), second)

    def delete_adapter(self, name: str) -> None:
        super().delete_adapter(name)
        self.r.pop(name, None)
        if name in self.psoft_dropout:
            del self.psoft_dropout[name]
