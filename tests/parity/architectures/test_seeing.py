"""Gemma 3 that sees, beside transformers'."""

from __future__ import annotations

import re

import pytest
import torch

from enfold.checkpoints import tensor_names
from enfold.errors import EnfoldError
from parity.architectures.comparing import Both, Comparison
from parity.architectures.seeing import CASES

TOWER = "vision_tower.vision_model."


class TestSeeing(Comparison):
    """The group."""

    group = "seeing"

    @pytest.fixture(autouse=True)
    def _published_names(self, both: Both) -> None:
        """Give the peer's gradients the names that published files have: the fifth series leaves out a floor."""
        both.peer = {re.sub(r"vision_tower\.(?!vision_model)", TOWER, key): value for key, value in both.peer.items()}

    def test_both_write_the_same_tensor_names(self, both: Both, case: str) -> None:
        theirs, ours = (set(tensor_names(folder / case / "model.safetensors")) for folder in (both.theirs, both.ours))
        theirs = {name.replace("vision_tower.", TOWER) for name in theirs}
        if case == "gemma3-seeing":  # without a head they write the decoder as with one
            theirs = {name.replace("language_model.model.", "language_model.") for name in theirs}
        assert ours == theirs

    def test_images_are_seen_once_and_the_text_goes_on(self, both: Both) -> None:
        model, _ = both.load(both.theirs, "gemma3-describing")
        given, seen = CASES["gemma3-seeing"].inputs("left"), []
        handle = model.vision_tower.register_forward_hook(lambda *_: seen.append(1))
        found = model.generate(**given, max_new_tokens=6, eos_token_id=None)
        assert len(seen) == 1
        assert torch.equal(found, model.generate(**given, max_new_tokens=6, eos_token_id=None, use_cache=False))
        handle.remove()
        other = {**given, "pixel_values": given["pixel_values"].flip(0)}
        assert not torch.equal(found, model.generate(**other, max_new_tokens=6, eos_token_id=None))

    def test_images_and_their_places_must_fit(self, both: Both) -> None:
        model, _ = both.load(both.theirs, "gemma3-describing")
        given = CASES["gemma3-seeing"].inputs("")
        with pytest.raises(EnfoldError, match="8 places for tokens of images, and the images have 4"):
            model(**{**given, "pixel_values": given["pixel_values"][:1]})
