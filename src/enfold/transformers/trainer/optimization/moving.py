"""What optimizers that move one tensor at a time share: precision, how their state is kept, and when they move."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

import torch
from torch import Tensor
from torch.optim import Optimizer

from enfold.transformers.trainer.optimization.blocks import in_whole_rows, pack, unpack

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Keeping", "PerTensor", "state_bytes"]

_SCALES = "_absmax"
_HALF = (torch.float16, torch.bfloat16)


class Keeping(TypedDict, total=False):
    """How an optimizer keeps its state, and when it moves.

    Attributes:
        optim_bits: 32 (default), 8 or 4; also an option of a group.
        block_size: values that share a scale in 8 and 4 bits (256).
        min_8bit_size: a tensor with fewer values keeps its state in 32 bits (4096).
        bf16_stochastic_round: round bfloat16 weights up or down by chance, so that small steps count on average.
        in_backward: move each tensor as soon as its gradient is there, inside the backward pass, and free that.
    """

    optim_bits: int
    block_size: int
    min_8bit_size: int
    bf16_stochastic_round: bool
    in_backward: bool


class PerTensor(Optimizer):
    """An optimizer that moves each tensor by itself; half-precision weights move in float32.

    An algorithm is its :meth:`update`: what to take off the weights, from gradient and state. The state may be kept in
    8 or 4 bits, and a step may happen inside the backward pass, whatever the algorithm. A group's ``kahan_sum`` keeps
    what rounding takes off the weights and adds it to the next step (None: of half-precision weights only), in
    ``compensation_buffer_dtype``.
    """

    # Names of the state that may be kept in fewer bits: whether their values have a sign.
    packed: ClassVar[Mapping[str, bool]] = {}

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any], **keeping: Unpack[Keeping]) -> None:
        bits = keeping.get("optim_bits", 32)
        if bits not in (4, 8, 32):
            raise ValueError(f"optim_bits must be 4, 8 or 32, got {bits!r}")
        block = keeping.get("block_size", 256)
        if block < 2 or block % 2:
            raise ValueError(f"block_size must be even and positive, got {block!r}")
        self._hooks: list[Any] = []
        self.moves_in_backward, self._awake = bool(keeping.pop("in_backward", False)), True
        super().__init__(params, {**defaults, **keeping})
        if self.moves_in_backward:
            self._hook()

    def _also(self, **options: Any) -> None:
        """Give further options to the groups, and to those to come, unless they have them."""
        for group in [self.defaults, *self.param_groups]:
            for name, value in options.items():
                group.setdefault(name, value)

    # --- when -----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move the weights; ``closure`` computes the loss anew and is called first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if not self.moves_in_backward:
            for group in self.param_groups:
                moving = [parameter for parameter in group["params"] if parameter.grad is not None]
                self.begin(group, moving)
                for parameter in moving:
                    self._move(parameter, group)
        return loss

    def _hook(self) -> None:
        for number, group in enumerate(self.param_groups):
            for parameter in group["params"]:
                hook = functools.partial(self._arrived, number=number)
                self._hooks.append(parameter.register_post_accumulate_grad_hook(hook))

    @torch.no_grad()
    def _arrived(self, parameter: Tensor, number: int) -> None:
        if self._awake and parameter.grad is not None:
            self._move(parameter, self.param_groups[number])
            parameter.grad = None

    def train(self) -> None:
        """Begin to train: from here on a backward pass moves the weights, where ``in_backward`` is set."""
        self._awake = True

    def eval(self) -> None:
        """Stop training: a backward pass leaves the weights alone."""
        self._awake = False

    def detach(self) -> None:
        """Let go of the parameters: no backward pass moves them any more."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    # --- one tensor -----------------------------------------------------------------------------------------------

    def begin(self, group: dict[str, Any], moving: list[Tensor]) -> None:
        """Prepare a step of a group, whose tensors with a gradient are ``moving``."""

    def update(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Return what to take off the weights, and before that, which share of the weights.

        Args:
            weight: the weights (float32 where they are half-precision), left as they are.
            grad: their gradient.
            state: of this tensor, empty at first; changed in place.
            group: the options.
        """
        raise NotImplementedError

    def move(self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        """Take a step's decay off ``weight`` and return what else to take off."""
        update, decay = self.kept(weight, grad, state, group)
        if isinstance(decay, Tensor) or decay:
            weight.mul_(1 - decay)
        return update

    def kept(
        self, weight: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> tuple[Tensor, float | Tensor]:
        """Call :meth:`update` with the state in float32, and keep the state in as many bits as the group says."""
        bits, block = group.get("optim_bits", 32), group.get("block_size", 256)
        for name, signed in self.packed.items():
            if name + _SCALES in state:
                state[name] = unpack(state[name], state.pop(name + _SCALES), grad.shape, signed, bits, block)
        result = self.update(weight, grad, state, group)
        whole = not hasattr(grad, "to_local") or in_whole_rows(tuple(grad.shape), block)
        if bits < 32 and grad.numel() >= group.get("min_8bit_size", 4096) and whole:
            for name, signed in self.packed.items():
                if name in state:
                    state[name], state[name + _SCALES] = pack(state[name], signed, bits, block)
        return result

    def _move(self, parameter: Any, group: dict[str, Any]) -> None:
        if parameter.grad.is_sparse:
            raise RuntimeError(f"{type(self).__name__} takes no sparse gradients")
        half, state = parameter.dtype in _HALF, self.state[parameter]
        weight = parameter.float() if half else parameter
        grad = parameter.grad.float() if half else parameter.grad
        careful = group.get("kahan_sum", False)
        if not (half if careful is None else careful):
            weight.sub_(self.move(weight, grad, state, group))
            if half:
                by_chance = parameter.dtype == torch.bfloat16 and group.get("bf16_stochastic_round")
                parameter.copy_(_rounded(weight) if by_chance else weight)
            return
        # Kahan: what rounding the sum takes away is part of the next step.
        rest = state.pop("kahan_comp", None)
        weight = weight if half else weight.clone()
        change = self.move(weight, grad, state, group).neg_()
        change = change if rest is None else change.add_(rest)
        parameter.copy_(weight + change)
        kept = group.get("compensation_buffer_dtype") or parameter.dtype
        state["kahan_comp"] = change.sub_(parameter.to(weight.dtype) - weight).to(kept)

    # --- files ----------------------------------------------------------------------------------------------------

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:  # type: ignore[override]
        """Take up a state as it was kept: torch's own loading would turn codes and float32 into the weights' type."""
        super().load_state_dict(state_dict)
        names = [name for group in state_dict["param_groups"] for name in group["params"]]
        own = [parameter for group in self.param_groups for parameter in group["params"]]
        for name, parameter in zip(names, own, strict=True):
            if name in state_dict["state"]:
                held = state_dict["state"][name]
                self.state[parameter] = {key: _on(value, parameter.device) for key, value in held.items()}


def _rounded(value: Tensor) -> Tensor:
    """Round float32 to a neighbour in bfloat16, which has its upper 16 bits: up as often as the lower 16 bits say."""
    bits = value.contiguous().view(torch.int32)
    return (bits + torch.randint_like(bits, 1 << 16) & -(1 << 16)).view(torch.float32)


def _on(value: Any, device: torch.device) -> Any:
    return value.to(device, copy=True) if isinstance(value, Tensor) else value


def state_bytes(optimizer: Optimizer) -> int:
    """Return how many bytes an optimizer's state takes, without the weights.

    Example:
        >>> from enfold.transformers.trainer.optimization import Lion
        >>> weight = torch.nn.Parameter(torch.zeros(64, 256)); weight.grad = torch.ones(64, 256)
        >>> eight = Lion([weight], optim_bits=8); _ = eight.step()
        >>> state_bytes(eight), 64 * 256 + 64 * 4
        (16640, 16640)
    """
    tensors = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    parts: list[Any] = [value.to_local() if hasattr(value, "to_local") else value for value in tensors]
    return sum(part.numel() * part.element_size() for part in parts)
