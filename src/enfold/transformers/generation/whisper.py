"""``generate`` of Whisper: what is to be written about a recording, window by window of thirty seconds.

Source: Radford et al., 2022, "Robust Speech Recognition via Large-Scale Weak Supervision", sections 2.3 and 4.5.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.log import get_logger
from enfold.transformers.generation import processors as shape
from enfold.transformers.generation.alignment import token_times
from enfold.transformers.generation.config import GenerationConfig, GenerationError
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.generation.reading import repeated
from enfold.transformers.generation.whisper_processors import WhisperNoSpeechDetection, WhisperTimeStampLogitsProcessor
from enfold.transformers.generation.whisper_prompts import FIRST, begin_of, led_up, settle
from enfold.transformers.generation.whisper_segments import (
    average_logprob,
    compression_ratio,
    cut,
    joined,
    row_of,
    stacked,
)

__all__ = ["WhisperGenerationMixin"]

logger = get_logger(__name__)


@dataclass
class _Window:
    """One round: the rows that still have sound, each with its next thirty seconds."""

    rows: list[int]  # which recordings
    features: Tensor | None  # (rows, M, F)
    ids: Tensor  # (rows, T), what writing begins with
    mask: Tensor | None  # (rows, T), 0 for padding of it
    frames: Tensor | None  # how many of each row are sound, where times of tokens are asked for


class WhisperGenerationMixin(GenerationMixin):
    """Gives Whisper its ``generate``."""

    begins_with_start_token = False
    config: Any
    model: Any

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *inputs: Any, decoder_attention_mask: Tensor | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the arguments of the forward pass for the next step; padding takes up no positions."""
        made = super().prepare_inputs_for_generation(
            input_ids, *inputs, decoder_attention_mask=decoder_attention_mask, **kwargs
        )
        if decoder_attention_mask is not None and made.get("decoder_position_ids") is None:
            places = (decoder_attention_mask.long().cumsum(-1) - 1).clamp(min=0)
            made["decoder_position_ids"] = places[:, -input_ids.shape[1] :]
        return made

    @torch.no_grad()
    def generate(  # type: ignore[override]
        self,
        input_features: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        logits_processor: Iterable[Any] | None = None,
        stopping_criteria: Iterable[Any] | Any | None = None,
        prefix_allowed_tokens_fn: Callable[[int, Tensor], list[int]] | None = None,
        synced_gpus: bool | None = None,
        return_timestamps: bool | None = None,
        task: str | None = None,
        language: str | Sequence[str] | None = None,
        is_multilingual: bool | None = None,
        prompt_ids: Tensor | None = None,
        prompt_condition_type: str | None = None,
        condition_on_prev_tokens: bool | None = None,
        temperature: float | Sequence[float] | None = None,
        compression_ratio_threshold: float | None = None,
        logprob_threshold: float | None = None,
        no_speech_threshold: float | None = None,
        num_segment_frames: int | None = None,
        attention_mask: Tensor | None = None,
        time_precision: float = 0.02,
        time_precision_features: float = 0.01,
        return_token_timestamps: bool | None = None,
        return_segments: bool = False,
        return_dict_in_generate: bool | None = None,
        force_unique_generate_call: bool | None = None,
        monitor_progress: Callable[[Tensor], None] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Write down what is said.

        Args:
            input_features: (B, M, F) of ``WhisperFeatureExtractor``; more than thirty seconds are heard in windows.
            generation_config: how; None takes the model's. ``kwargs`` override single fields of it.
            logits_processor, stopping_criteria, prefix_allowed_tokens_fn: as in ``GenerationMixin.generate``.
            synced_gpus: accepted; rows never wait for another process here.
            return_timestamps: write timestamps between the segments; always on for more than one window.
            task: ``"transcribe"``, or ``"translate"`` into English.
            language: of what is said (``"de"``, ``"german"``, ``"<|de|>"``), or one a row; heard by default.
            is_multilingual: overrides the configuration's.
            prompt_ids: (T,), text that leads up to what is said, of ``get_prompt_ids``.
            prompt_condition_type: it leads up to the ``"first-segment"`` or to ``"all-segments"``.
            condition_on_prev_tokens: what was written of a window leads up to the next.
            temperature: of sampling; several are tried in order while one of the thresholds says that it went wrong.
                None or 0 is greedy.
            compression_ratio_threshold: what repeats itself more than this went wrong.
            logprob_threshold: what is less likely than this on average went wrong.
            no_speech_threshold: a window is skipped that is unlikely and, with this probability, silent.
            num_segment_frames: accepted; the model knows its windows.
            attention_mask: (B, F), where sound is; needed for several long recordings.
            time_precision: seconds between timestamps.
            time_precision_features: seconds of a frame.
            return_token_timestamps: say when each token was said; the configuration must know ``alignment_heads``.
            return_segments: return the segments too.
            return_dict_in_generate: return outputs instead of ids.
            force_unique_generate_call: write one window only, and return what it gives unchanged.
            monitor_progress: called with (B, 2): the frame each row has come to, and its last.
            kwargs: fields of ``GenerationConfig``, and arguments of the forward pass.

        Returns:
            Ids (B, T) without prompt and end token; with one of the ``return_…`` arguments a dictionary or an output.

        Raises:
            GenerationError: for arguments that do not fit together or that the configuration does not allow.
        """
        config, rest = (generation_config or GenerationConfig()).filled(self.generation_config, **kwargs)
        given_ids = rest.pop("decoder_input_ids", None)
        stride = 2  # frames of a state: the second convolution's
        window = stride * self.config.max_source_positions
        batch, total = self._extent(input_features, rest, stride)
        short = total <= window

        asked = config.return_dict_in_generate if return_dict_in_generate is None else return_dict_in_generate
        first = settle(
            config,
            self.config.vocab_size,
            short=short,
            return_timestamps=return_timestamps,
            task=task,
            language=language,
            is_multilingual=is_multilingual,
            token_times=bool(return_token_timestamps),
            thresholds={
                "compression_ratio_threshold": compression_ratio_threshold,
                "logprob_threshold": logprob_threshold,
                "no_speech_threshold": no_speech_threshold,
                "condition_on_prev_tokens": condition_on_prev_tokens,
            },
            prompt_condition_type=prompt_condition_type,
        )
        config.return_dict_in_generate = bool(asked or return_token_timestamps or logprob_threshold is not None)
        if return_token_timestamps:
            config.output_attentions = config.output_scores = True
        if logprob_threshold is not None:
            config.output_scores = True
        begin = begin_of(self, input_features, batch, config, window, rest)  # (B, n)
        begin_length = begin.shape[1]
        suppressed = config.suppress_tokens
        temperatures: list[Any] = list(temperature) if isinstance(temperature, tuple | list) else [temperature]

        if batch > 1 and not short and attention_mask is None:
            raise GenerationError("several long recordings need an attention_mask: their ends differ")
        ends = torch.full((batch,), total) if batch == 1 or short else attention_mask.sum(-1).cpu().long()  # type: ignore[union-attr]
        sound = attention_mask.sum(-1).cpu() if attention_mask is not None and return_token_timestamps else None
        count = config.num_return_sequences or 1
        if count > 1:
            input_features = repeated(input_features, count)
            begin, ends, sound = (repeated(x, count) for x in (begin, ends, sound))
            rest = {name: repeated(value, count) for name, value in rest.items()}
            config.num_return_sequences, batch = 1, batch * count
        seek = torch.zeros(batch, dtype=torch.long)
        leads = [bool(config.condition_on_prev_tokens)] * batch
        segments: list[list[dict[str, Any]]] = [[] for _ in range(batch)]
        if prompt_ids is not None and config.prompt_condition_type == FIRST:
            marked = getattr(config, "prev_sot_token_id", None)
            lead = prompt_ids[1:] if int(prompt_ids[0]) == marked else prompt_ids
            segments = [[{"tokens": lead.cpu()}] for _ in range(batch)]
        once = force_unique_generate_call
        once = bool(getattr(config, "force_unique_generate_call", False)) if once is None else once
        results: list[Any] = []

        while bool((seek < ends).any()):
            if monitor_progress is not None:
                monitor_progress(torch.stack((seek, ends), 1))
            rows = [row for row in range(batch) if seek[row] < ends[row]]
            frames = (ends - seek).clamp(max=window)
            ids, mask = given_ids, rest.pop("decoder_attention_mask", None)
            if ids is None:
                half = self.config.max_target_positions // 2 - 1
                ids, mask = led_up(half, rows, begin, segments, leads, prompt_ids, config, suppressed, first)
            given_ids = None
            self._limit(config, ids.shape[1])
            own = self._own_processors(config, begin_length, ids.shape[1], suppressed, logits_processor)
            now = _Window(
                rows=rows,
                features=_cut_out(input_features, rows, seek, frames, window),
                ids=ids,
                mask=mask,
                frames=None if sound is None else (sound - seek)[rows],
            )
            shared = {"stopping_criteria": stopping_criteria, "prefix_allowed_tokens_fn": prefix_allowed_tokens_fn}
            tokens, results, skipped, calm = self._with_fallback(
                now, config, temperatures, own, {**shared, **rest}, bool(return_token_timestamps)
            )
            for place, row in enumerate(rows):
                leads[row] = bool(config.condition_on_prev_tokens) and calm[place]
                if skipped[place]:
                    seek[row] += frames[row]
                    continue
                result = results[place]
                made, moved = cut(
                    tokens[place],
                    result,
                    offset=seek[row].double() * time_precision / stride,
                    first=first,
                    frames=int(frames[row]),
                    prompt=ids.shape[1],
                    times=result["token_timestamps"] if return_token_timestamps else None,
                    stride=stride,
                    precision=time_precision,
                    frame_precision=time_precision_features,
                )
                segments[row] += made
                seek[row] += moved
            if once:
                break

        if prompt_ids is not None and config.prompt_condition_type == FIRST:
            segments = [row[1:] for row in segments]
        if asked and (once or not config.return_timestamps):
            together = stacked(results)
            return together if return_token_timestamps else self._kind(config)(**together)
        if once:
            whole = torch.stack([r if isinstance(r, Tensor) else r["sequences"] for r in results])
            times = torch.stack([r["token_timestamps"] for r in results]) if return_token_timestamps else None
        else:
            whole, times = joined(segments, config.pad_token_id, times=bool(return_token_timestamps))
        if not (asked or return_segments or return_token_timestamps):
            return whole.to(self.device)
        found: dict[str, Any] = {"sequences": whole.to(self.device)}
        if times is not None:
            found["token_timestamps"] = times
        if return_segments or asked:
            found["segments"] = segments
        return found

    def detect_language(
        self,
        input_features: Tensor | None = None,
        encoder_outputs: Any = None,
        generation_config: GenerationConfig | None = None,
        num_segment_frames: int = 3000,
    ) -> Tensor:
        """Return the token of the language that is spoken in each recording, (B,).

        Args:
            input_features: (B, M, F); the first window counts.
            encoder_outputs: what was heard, instead.
            generation_config: has lang_to_id; None takes the model's.
            num_segment_frames: frames of a window.
        """
        if (input_features is None) == (encoder_outputs is None):
            raise GenerationError("pass either input_features or encoder_outputs")
        config = generation_config or self.generation_config
        heard: dict[str, Any] = {"encoder_outputs": encoder_outputs}
        rows = len(encoder_outputs[0]) if input_features is None else len(input_features)
        if input_features is not None:
            heard = {"input_features": input_features[:, :, :num_segment_frames]}
        start = torch.full((rows, 1), config.decoder_start_token_id, device=self.device)
        with torch.no_grad():
            logits = self(**heard, decoder_input_ids=start, use_cache=False).logits[:, -1]
        languages = torch.tensor(sorted(config.lang_to_id.values()), device=logits.device)
        return languages[logits[:, languages].argmax(-1)]

    # --- what is asked for, made definite

    def _extent(self, features: Tensor | None, rest: dict[str, Any], stride: int) -> tuple[int, int]:
        if features is not None:
            return features.shape[0], features.shape[-1]
        if rest.get("encoder_outputs") is None:
            raise GenerationError("nothing to hear: pass input_features or encoder_outputs")
        states = rest["encoder_outputs"][0]
        return states.shape[0], states.shape[1] * stride

    def _limit(self, config: Any, prompt: int) -> None:
        most = self.config.max_target_positions
        if config.max_new_tokens is not None:
            if config.max_new_tokens + prompt > most:
                raise GenerationError(
                    f"{prompt} tokens to begin with and max_new_tokens={config.max_new_tokens} exceed the {most} that "
                    "the model writes: shorten the prompt, or ask for fewer"
                )
        elif config.max_length is not None:
            config.max_length = min(config.max_length + min(most // 2 - 1, prompt), most)

    def _own_processors(
        self,
        config: Any,
        begin: int,
        prompt: int,
        suppressed: Sequence[int] | None,
        further: Iterable[Any] | None,
    ) -> list[Any]:
        """Return Whisper's processors for a window whose text begins with ``prompt`` tokens, and the caller's."""
        own: list[Any] = []
        if config.no_speech_threshold is not None:
            listens = WhisperNoSpeechDetection(config.no_timestamps_token_id - 1, begin, (config.num_beams or 1) > 1)
            listens.set_model(self)
            listens.set_begin_index(prompt)
            own.append(listens)
        if config.begin_suppress_tokens is not None:
            own.append(shape.SuppressTokensAtBeginLogitsProcessor(config.begin_suppress_tokens, prompt))
        if suppressed is not None:
            own.append(shape.SuppressTokensLogitsProcessor(list(suppressed)))
        if config.return_timestamps is True:
            own.append(WhisperTimeStampLogitsProcessor(config, begin_index=prompt))
        for processor in further or ():
            if hasattr(processor, "set_begin_index"):
                processor.set_begin_index(prompt)
            own.append(processor)
        return own

    # --- one window

    def _with_fallback(
        self,
        window: _Window,
        config: Any,
        temperatures: list[float | None],
        own: list[Any],
        rest: dict[str, Any],
        times: bool,
    ) -> tuple[list[Tensor], list[Any], list[bool], list[bool]]:
        """Write about a window, at the next temperature again where it went wrong.

        Returns:
            For each row its tokens, what ``generate`` returned, whether to skip it, and whether it was written calmly.
        """
        open_rows = list(range(len(window.rows)))
        tokens: list[Any] = [None] * len(open_rows)
        results: list[Any] = [None] * len(open_rows)
        skipped, calm = [False] * len(open_rows), [True] * len(open_rows)
        listens = own[0] if own and isinstance(own[0], WhisperNoSpeechDetection) else None
        for warmth in temperatures:
            settings = _at(config, warmth)
            mask = None if window.mask is None else window.mask[open_rows]
            inputs: dict[str, Any] = {"decoder_input_ids": window.ids[open_rows], "decoder_attention_mask": mask}
            features = None if window.features is None else window.features[open_rows]
            heard = rest.get("encoder_outputs")
            if listens is not None:
                asked = {"input_features": features} if heard is None else {"encoder_outputs": heard}
                made = self.prepare_inputs_for_generation(
                    inputs["decoder_input_ids"], decoder_attention_mask=mask, use_cache=False
                )
                listens.set_inputs({**made, **asked})
            output = super().generate(
                features,
                generation_config=settings,
                logits_processor=own,
                suppress_tokens=None,
                begin_suppress_tokens=None,
                **{name: value for name, value in inputs.items() if value is not None},
                **rest,
            )
            if times:
                frames = None if window.frames is None else window.frames[open_rows]
                heads, width = config.alignment_heads, self.config.median_filter_width
                output["token_timestamps"] = token_times(
                    output, heads, window.ids.shape[1], frames=frames, width=width
                ).to(self.device)
            sequences = output if isinstance(output, Tensor) else output.sequences
            again = []
            for place, row in enumerate(open_rows):
                result = row_of(output, place)
                written = _unpadded(sequences[place, window.ids.shape[1] :], config)
                wrong, silent = self._went_wrong(written, result, config, warmth, listens, place, len(open_rows))
                if len(written) and int(written[-1]) in _ends(config):
                    written = written[:-1]
                tokens[row], results[row], skipped[row] = written.cpu(), result, silent
                calm[row] = warmth is None or warmth < 0.5
                if wrong:
                    again.append(row)
            open_rows = again
            if not open_rows:
                break
        return tokens, results, skipped, calm

    def _went_wrong(
        self, tokens: Tensor, result: Any, config: Any, warmth: float | None, listens: Any, place: int, rows: int
    ) -> tuple[bool, bool]:
        """Return whether to write it again, and whether to skip it because nobody speaks."""
        ratio, least = config.compression_ratio_threshold, config.logprob_threshold
        wrong = ratio is not None and compression_ratio(tokens, self.config.vocab_size) > ratio
        unlikely = False
        if least is not None:
            unlikely = bool(average_logprob(result["scores"], tokens, warmth) < least)
            wrong = wrong or unlikely
        if config.no_speech_threshold is not None and (unlikely or least is None):
            chances = listens.no_speech_prob
            beams = len(chances) // rows
            if float(chances[place * beams]) > config.no_speech_threshold:
                return False, True
        return wrong, False

    def _kind(self, config: Any) -> Any:
        from enfold.transformers.generation.outputs import (
            GenerateBeamEncoderDecoderOutput,
            GenerateEncoderDecoderOutput,
        )

        return GenerateBeamEncoderDecoderOutput if (config.num_beams or 1) > 1 else GenerateEncoderDecoderOutput


def _at(config: Any, warmth: float | None) -> Any:
    """Return the configuration for one temperature; None and 0 are greedy, or beams."""
    settings = copy.copy(config)
    settings.do_sample = warmth is not None and warmth > 0.0
    settings.temperature = warmth if settings.do_sample else 1.0
    if settings.do_sample:
        settings.num_beams = 1
    settings.suppress_tokens = settings.begin_suppress_tokens = None
    return settings


def _ends(config: Any) -> list[int]:
    ends = config.eos_token_id
    return [] if ends is None else list(ends) if isinstance(ends, list | tuple) else [int(ends)]


def _unpadded(tokens: Tensor, config: Any) -> Tensor:
    """Return the tokens (T,) without padding at the end; where it is the end token, too, one stays."""
    pad = config.pad_token_id
    if not len(tokens) or int(tokens[-1]) != pad:
        return tokens
    extra = int((tokens == pad).sum()) - (1 if pad in _ends(config) else 0)
    return tokens[:-extra] if extra else tokens


def _cut_out(features: Tensor | None, rows: list[int], seek: Tensor, frames: Tensor, window: int) -> Tensor | None:
    """Return the next window (rows, M, window) of each row, silence after its end."""
    if features is None:
        return None
    parts = [features[row, :, seek[row] : seek[row] + frames[row]] for row in rows]
    return torch.stack([F.pad(part, (0, window - part.shape[-1])) for part in parts])
