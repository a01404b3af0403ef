"""Wav2vec 2.0, HuBERT and Whisper beside transformers'."""

from __future__ import annotations

import pytest
import torch

from enfold.errors import EnfoldError
from parity.architectures.comparing import Both, Comparison
from parity.architectures.speech_seq2seq import recordings


class TestSpeech(Comparison):
    """Models that hear samples."""

    group = "speech"

    def test_the_last_of_all_states_is_normalised_as_in_v4(self, both: Both) -> None:
        model, _ = both.load(both.theirs, "wav2vec2-stable")
        with torch.no_grad():
            output = model(torch.randn(1, 500), output_hidden_states=True)
        assert torch.equal(output.hidden_states[-1], output.last_hidden_state)


class TestSpeechSeq2Seq(Comparison):
    """Speech to text."""

    group = "speech_seq2seq"

    def test_writing_in_pieces_equals_writing_at_once(self, both: Both) -> None:
        model, _ = both.load(both.theirs, "whisper-writes")
        given = recordings("")("")
        ids = given["decoder_input_ids"]
        with torch.no_grad():
            whole = model(**given).logits
            read = model.get_encoder()(given["input_features"])
            for cuts in ([2, 3], [1, 6], [1, 2, 3, 4, 5, 6]):
                cache, found, start = None, [], 0
                for stop in [*cuts, ids.shape[1]]:
                    output = model(
                        encoder_outputs=read,
                        decoder_input_ids=ids[:, start:stop],
                        past_key_values=cache,
                        use_cache=True,
                    )
                    cache, start = output.past_key_values, stop
                    found.append(output.logits)
                torch.testing.assert_close(torch.cat(found, 1), whole, rtol=1e-5, atol=1e-5)

    def test_a_spectrogram_of_another_length_is_refused(self, both: Both) -> None:
        model, _ = both.load(both.theirs, "whisper")
        with pytest.raises(EnfoldError, match="hears 22 frames at a time, not 20"):
            model(torch.zeros(1, 7, 20), decoder_input_ids=torch.ones(1, 1, dtype=torch.long))
