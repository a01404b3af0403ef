"""wav2vec 2.0 and HuBERT beside transformers'."""

from __future__ import annotations

import torch

from parity.architectures.comparing import Both, Comparison


class TestSpeech(Comparison):
    """Models that hear samples."""

    group = "speech"

    def test_the_last_of_all_states_is_normalised_as_in_v4(self, both: Both) -> None:
        model, _ = both.load(both.theirs, "wav2vec2-stable")
        with torch.no_grad():
            output = model(torch.randn(1, 500), output_hidden_states=True)
        assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
