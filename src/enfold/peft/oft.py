"""OFT: inputs are rotated in blocks before they meet the weight.

Source: Qiu et al., 2023, "Controlling Text-to-Image Diffusion by Orthogonal Finetuning", https://arxiv.org/abs/2306.07280;
rotations without inverses from Qiu et al., 2025, https://arxiv.org/abs/2506.19847
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.log import get_logger
from enfold.peft.config import LayeredConfig, spelled
from enfold.peft.layer import AdapterLayer

__all__ = ["OFTConfig", "OFTLayer", "cayley"]

logger = get_logger(__name__)


@spelled({})
@dataclass
class OFTConfig(LayeredConfig):
    """How rotations are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        r: number of blocks, or 0 where their size is given.
        oft_block_size: size of a block, or 0 where their number is given.
        module_dropout: share of the blocks that turn nothing in a training step.
        coft: keep rotations within ``eps`` of none.
        block_share: turn all blocks alike.
        use_cayley_neumann: replace the inverse by a sum of ``num_cayley_neumann_terms`` powers, nearly orthogonal.
        init_weights: begin without rotation; random otherwise.
        fan_in_fan_out: weights are stored as (in, out); set by itself.
        bias: which biases train.
    """

    kind: ClassVar[str | None] = "OFT"

    r: int = 0
    oft_block_size: int = 32
    module_dropout: float = 0.0
    fan_in_fan_out: bool = False
    bias: str = "none"
    init_weights: bool = True
    coft: bool = False
    eps: float = 6e-5
    block_share: bool = False
    use_cayley_neumann: bool = True
    num_cayley_neumann_terms: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.r) == bool(self.oft_block_size):
            raise ValueError(f"give r or oft_block_size and set the other to 0, not {self.r} and {self.oft_block_size}")


def cayley(skew: Tensor) -> Tensor:
    """Return the rotations (I - S)(I + S)⁻¹ of skew-symmetric matrices (B, n, n)."""
    one = torch.eye(skew.shape[-1], device=skew.device, dtype=skew.dtype).expand_as(skew)
    return torch.linalg.solve(one + skew, one - skew, left=False)


def nearest_divisor(size: int, wanted: int) -> int:
    """Return the divisor of ``size`` nearest to ``wanted``, the smaller of two."""
    divisors = [number for number in range(1, size + 1) if size % number == 0]
    return min(divisors, key=lambda number: (abs(number - wanted), number))


class Turns(nn.Module):
    """The upper triangles (blocks, n (n - 1) / 2) of skew-symmetric matrices."""

    def __init__(self, blocks: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(blocks, size * (size - 1) // 2))


class OFTLayer(AdapterLayer):
    """A linear layer whose inputs are rotated in blocks."""

    kind: ClassVar[str] = "OFT"
    holders = ("oft_R",)
    additive = False

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.oft_R = nn.ModuleDict()
        self.r: dict[str, int] = {}
        self.oft_block_size: dict[str, int] = {}

    def make(self, name: str, config: Any, key: str) -> None:
        asked = config.r or config.oft_block_size
        number = nearest_divisor(self.in_features, asked)
        if number != asked:
            logger.warning("%s: %d does not divide %d inputs; %d is taken", key, asked, self.in_features, number)
        size = self.in_features // number if config.r else number
        self.oft_block_size[name], self.r[name] = size, self.in_features // size
        self.oft_R[name] = Turns(1 if config.block_share else self.r[name], size)
        if not config.init_weights:
            nn.init.normal_(self.oft_R[name].weight, std=0.1)  # type: ignore[arg-type]
        self.settings[name] = config

    def rotations(self, name: str) -> Tensor:
        """Return the rotations (blocks, n, n)."""
        config, vectors = self.settings[name], self.oft_R[name].weight
        size = self.oft_block_size[name]
        row, column = torch.triu_indices(size, size, 1, device=vectors.device)  # type: ignore[arg-type]
        if config.coft:
            with torch.no_grad():
                self._bound(vectors, config.eps)  # type: ignore[arg-type]
        upper = vectors.new_zeros(len(vectors), size, size)  # type: ignore[operator,arg-type]
        upper = upper.index_put((torch.arange(len(vectors), device=upper.device)[:, None], row, column), vectors)  # type: ignore
        skew = upper - upper.mT
        turned = neumann(skew, config.num_cayley_neumann_terms) if config.use_cayley_neumann else cayley(skew)
        if self.training and config.module_dropout and len(turned) > 1:
            still = torch.randperm(len(turned))[: int(config.module_dropout * len(turned))]
            turned = turned.index_copy(0, still, torch.eye(size).expand(len(still), -1, -1).to(turned))
        return turned.expand(self.r[name], -1, -1)

    @staticmethod
    def _bound(vectors: Tensor, eps: float) -> None:
        """Shorten the matrices that are longer than ``eps`` over the root of their number."""
        limit = eps / len(vectors) ** 0.5
        length = vectors.norm(dim=1, keepdim=True) * 2**0.5  # of the matrix, which holds every number twice
        vectors.copy_(torch.where(length <= limit, vectors, vectors * (limit / length)))

    def before(self, name: str, x: Tensor) -> Tensor:
        size = self.oft_block_size[name]
        blocks = self.cast(x, name).unflatten(-1, (self.r[name], size))
        return torch.einsum("...rk,rkc->...rc", blocks, self.rotations(name)).flatten(-2)

    def _matrix(self, name: str) -> Tensor:
        return torch.block_diag(*self.rotations(name))

    def changed(self, name: str, weight: Tensor) -> Tensor:
        return weight @ self._matrix(name).T.to(weight.dtype)

    def restored(self, name: str, weight: Tensor) -> Tensor:
        return weight @ torch.linalg.inv(self._matrix(name).float()).T.to(weight.dtype)


def neumann(skew: Tensor, terms: int) -> Tensor:
    """Return I + 2 S + 2 S² + … + Sᵗ of matrices (B, n, n), which is nearly (I + S)(I - S)⁻¹."""
    terms = 4 if terms == 3 else terms  # three terms have always meant four
    total = torch.eye(skew.shape[-1], device=skew.device, dtype=skew.dtype).repeat(len(skew), 1, 1)
    power = skew
    for index in range(1, terms):
        if index > 1:
            power = power @ skew
        last = index == terms - 1 and terms > 2
        total = total + (power if last else 2 * power)
    return total
