"""Requests with adapters of their own in one batch: each token of a row goes through the adapter of its request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.transformers.generation.engine.blocks import Blocks
from enfold.transformers.generation.engine.runner import Runner
from enfold.transformers.generation.engine.scheduler import Piece

__all__ = ["AdapterRunner", "Adapters"]

BASE = "__base__"


class Adapters:
    """The adapters of one model, by the name that clients use.

    Args:
        model: a decoder; adapters are put into it.
        folders: name → PEFT folder or repository.

    Raises:
        EnfoldError: for an adapter that is no part of the model's layers (a learnt prompt).
    """

    def __init__(self, model: nn.Module, folders: Mapping[str, str]) -> None:
        from enfold.peft import PeftConfig, PeftModel

        self.inner = {name: f"adapter{place}" for place, name in enumerate(folders)}  # names of modules have no dots
        self.peft: Any = None
        for name, folder in folders.items():
            config = PeftConfig.from_pretrained(folder)
            if config.is_prompt_learning:
                raise EnfoldError(
                    f"adapter {name!r} is a learnt prompt ({config.peft_type}); the server takes adapters of layers, "
                    "such as LoRA's"
                )
            if self.peft is None:
                self.peft = PeftModel.from_pretrained(model, folder, adapter_name=self.inner[name])
            else:
                self.peft.load_adapter(folder, adapter_name=self.inner[name])
        self.peft.eval().requires_grad_(False)
        self._state: object = None
        self.places = [place for place in self.peft.base_model.places.values() if hasattr(place, "batch")]
        # The last layer reads some of the tokens only; where it has adapters, each adapter's tokens are read apart.
        head = self.peft.get_base_model().get_output_embeddings()
        others = len(self.places) != len(self.peft.base_model.places)
        self.apart = others or any(place is head or place.__dict__.get("base_layer") is head for place in self.places)
        if not self.apart:
            for place in self.places:
                place.register_forward_pre_hook(_upright)
                place.register_forward_hook(_flat)

    def use(self, names: list[str | None]) -> None:
        """Let each token of the next row have the adapter of its name; None has none."""
        kinds = set(names)
        if len(kinds) > 1:
            self._switch(None, mixed=True)
            rows = [BASE if name is None else self.inner[name] for name in names]
            for place in self.places:
                place.batch = rows
            return
        self._switch(next(iter(kinds)))

    def _switch(self, state: str | None, mixed: bool = False) -> None:
        key = (state, mixed)
        if key == self._state:
            return
        for place in self.places:
            place.batch = None
        if state is None and not mixed:
            self.peft.base_model.disable_adapter_layers()
        else:
            self.peft.base_model.enable_adapter_layers()
            if state is not None:
                self.peft.set_adapter(self.inner[state], inference_mode=True)
        self._state = key


def _upright(module: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    """Turn a row of tokens (1, N, …) into N rows of one, which is how layers mix adapters."""
    return None if module.batch is None else (given[0].transpose(0, 1), *given[1:])


def _flat(module: Any, given: Any, out: Tensor) -> Tensor | None:
    return None if module.batch is None else out.transpose(0, 1)


class AdapterRunner(Runner):
    """A runner whose requests name their adapter as their ``salt``, so that they share no keys across adapters.

    Args:
        model: a decoder with adapters in it.
        blocks: whose memory the pages are.
        adapters: by name.
    """

    def __init__(self, model: Any, blocks: Blocks, adapters: Adapters) -> None:
        super().__init__(model, blocks)
        self.adapters = adapters

    def read(self, pieces: list[Piece]) -> Tensor:
        """Read the pieces, each with its adapter, and return logits (B, V) after each that ends its text."""
        names: list[Any] = [piece.request.salt for piece in pieces]
        if not self.adapters.apart or len(set(names)) == 1:
            self.adapters.use([name for name, piece in zip(names, pieces, strict=True) for _ in range(*piece[1:])])
            return super().read(pieces)
        logits: dict[int, Tensor] = {}
        for name in dict.fromkeys(names):
            mine = [place for place, other in enumerate(names) if other == name]
            self.adapters.use([name])
            found = iter(super().read([pieces[place] for place in mine]))
            logits |= {place: next(found) for place in mine if pieces[place].is_last}
        rows = [logits[place] for place in sorted(logits)]
        return torch.stack(rows) if rows else torch.empty(0, 0)
