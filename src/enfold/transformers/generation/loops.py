"""The loops of decoding. Everything that can be decided before the first token has been decided by ``generate``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from enfold.nn.cache import Cache
from enfold.transformers.generation.config import GenerationConfig
from enfold.transformers.generation.outputs import (
    GenerateBeamDecoderOnlyOutput,
    GenerateBeamEncoderDecoderOutput,
    GenerateDecoderOnlyOutput,
    GenerateEncoderDecoderOutput,
)

__all__ = ["Run", "beams", "one_by_one"]


@dataclass
class Run:
    """One call of ``generate``: R rows (of the batch times sequences or beams), T tokens of prompt, V words.

    Attributes:
        ids: the prompt (R, T); T is 0 where embeddings are the prompt.
        embeds: (R, P, D), or None.
        mask: (R, T), 0 for padding, or None when there is none.
        positions: given position ids (R | 1, T), or None.
        cache: where keys and values are kept, or None to compute them anew at each step.
        extra: further arguments of the forward pass.
        ends: end tokens, or None.
        pad: what finished rows are filled with.
        read: what the encoder said, or None for a decoder alone.
        given: the arguments that the encoder was given; None where it had read before.
        compiled: what runs single steps instead of the model, or None.
        latest: the model's newest output.
    """

    model: Any
    config: GenerationConfig
    ids: Tensor
    embeds: Tensor | None
    mask: Tensor | None
    positions: Tensor | None
    cache: Cache | None
    extra: dict[str, Any]
    processors: Any
    criteria: Any
    ends: Tensor | None
    pad: int
    streamer: Any = None
    read: Any = None
    given: dict[str, Any] | None = None
    compiled: Any = None
    latest: Any = None
    scores: list[Tensor] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)
    attentions: list[Any] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)
    crossed: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        config, ids = self.config, self.ids
        self.rows, self.prompt = ids.shape
        self.embedded = 0 if self.embeds is None else self.embeds.shape[1]
        # All ids and the mask are allocated once; a step writes one column.
        self.buffer = torch.full((self.rows, config.max_length), self.pad, dtype=torch.long, device=ids.device)
        self.buffer[:, : self.prompt] = ids
        # Positions before the first id: embeddings without ids, and keys of a learnt prefix.
        self.virtual = getattr(self.cache, "virtual", 0)
        self.ahead = max(self.embedded - self.prompt, 0) + self.virtual
        self.fixed = self.cache is not None and self.cache.is_compileable
        self.wide_mask: Tensor | None = None
        if self.mask is not None:
            room = self.cache.get_max_cache_shape() if self.fixed and self.cache is not None else 0
            self.wide_mask = self.mask.new_ones(self.rows, room or config.max_length + self.embedded + self.virtual)
            self.wide_mask[:, : self.mask.shape[1]] = self.mask
            if self.positions is None and not getattr(self.model, "counts_positions", False):
                self.positions = (self.mask.cumsum(1) - 1).clamp(min=0)
        self.next_positions = ids if self.positions is None else self.positions[:, -1:] + 1
        self.keep = {name: True for name in ("output_attentions", "output_hidden_states") if getattr(config, name)}

    def logits_at(self, length: int) -> Tensor:
        """Return the model's logits (R, V), in single precision, for the token after the first ``length`` ids."""
        total = length + self.ahead
        filled = 0
        if self.cache is not None:
            # What the cache does not hold yet is read: the whole prompt at first (less what a given cache brings), then
            # one token a step.
            filled = int(self.cache.get_seq_length())
            if filled and self.model.must_read_again(filled, total):
                self.cache.reset()
                filled = 0
            chunk = self.config.prefill_chunk_size
            while chunk and total - filled > chunk:
                self.read_on(filled, filled + chunk)
                filled += chunk
        output = self.read_on(filled, total)
        if self.cache is not None and output.past_key_values is None:
            self.cache = None  # a model that keeps no cache sees everything anew
        self.record(output)
        return output.logits[:, -1].float()

    def record(self, output: Any) -> None:
        """Keep what was asked for of a model's output."""
        self.latest = output
        if self.keep:
            side = "" if self.read is None else "decoder_"
            self.attentions.append(output.get(f"{side}attentions"))
            self.states.append(output.get(f"{side}hidden_states"))
            self.crossed.append(output.get("cross_attentions"))

    def read_on(self, first: int, last: int, keep: int = 1) -> Any:
        """Return the model's output for positions ``first`` to before ``last``, with logits of the last ``keep``."""
        embeds = None
        if self.embeds is not None and first < self.embedded:
            embeds = self.embeds[:, first:last]
        mask = self.wide_mask
        if mask is not None and not self.fixed:
            mask = mask[:, :last]  # a cache of one size keeps one shape of mask too
        # Beside an encoder the mask named attention_mask is that of what was read; it is among the further arguments.
        ids = self.buffer[:, max(first - self.ahead, 0) : max(last - self.ahead, 0)]
        inputs = self.model.prepare_inputs_for_generation(
            ids if self.compiled is None else ids.contiguous(),  # whatever the length, one stride
            past_key_values=self.cache,
            **{"attention_mask" if self.read is None else "decoder_attention_mask": mask},
            inputs_embeds=embeds,
            position_ids=self._positions(first, last),
            use_cache=self.cache is not None,
            **self._extra(first, last),
            **self.keep,
        )
        call = self.model if self.compiled is None or last - first > 1 else self.compiled
        return call(**inputs, logits_to_keep=keep, return_dict=True)

    def _positions(self, first: int, last: int) -> Tensor | None:
        """Return the position ids (R | 1, last - first), or None where the model counts for itself."""
        if self.positions is None:
            return None
        known = self.positions.shape[1]
        if first >= known and last - first == 1:
            return self.next_positions + (first - known)
        if last <= known:
            return self.positions[:, first:last]
        after = torch.arange(max(first, known), last, device=self.ids.device) - known
        return torch.cat((self.positions[:, first:], self.next_positions + after), 1)

    def _extra(self, first: int, last: int) -> dict[str, Any]:
        """Return the further arguments; segments (B, T) are continued with the last one."""
        segments = self.extra.get("token_type_ids")
        if segments is None:
            return self.extra
        grown = torch.cat((segments, segments[:, -1:].expand(-1, max(last - segments.shape[1], 0))), 1)
        return {**self.extra, "token_type_ids": grown[:, first:last]}

    def output(self, sequences: Tensor, beams: dict[str, Any] | None = None) -> Any:
        """Return what was asked for: the ids alone, or an output with all that was recorded at each step.

        Args:
            sequences: the ids.
            beams: what beam search adds, or None.
        """
        config = self.config
        if not config.return_dict_in_generate:
            return sequences
        attentions = tuple(self.attentions) if config.output_attentions else None
        states = tuple(self.states) if config.output_hidden_states else None
        shared = {
            "sequences": sequences,
            "scores": tuple(self.scores) if config.output_scores else None,
            "logits": tuple(self.logits) if config.output_logits else None,
            "past_key_values": self.cache,
            **(beams or {}),
        }
        if self.read is None:
            kind = GenerateDecoderOnlyOutput if beams is None else GenerateBeamDecoderOnlyOutput
            return kind(**shared, attentions=attentions, hidden_states=states)
        both = GenerateEncoderDecoderOutput if beams is None else GenerateBeamEncoderDecoderOutput
        return both(
            **shared,
            encoder_attentions=self.read.get("attentions"),
            encoder_hidden_states=self.read.get("hidden_states"),
            decoder_attentions=attentions,
            cross_attentions=tuple(self.crossed) if config.output_attentions else None,
            decoder_hidden_states=states,
        )


def likeliest(scores: Tensor) -> Tensor:
    """Return the likeliest word of every row: scores (R, V) → (R,).

    On a processor numpy finds it, in a tenth of the time that torch takes.

    Example:
        >>> likeliest(torch.tensor([[0.1, 0.7, 0.2], [0.9, 0.0, 0.1]]))
        tensor([1, 0])
    """
    if scores.device.type == "cpu" and scores.dtype == torch.float32:
        return torch.from_numpy(scores.numpy().argmax(1))
    return scores.argmax(1)


def one_by_one(run: Run) -> Any:
    """Greedy search and sampling: one token a step for each row."""
    config, buffer = run.config, run.buffer
    record = config.return_dict_in_generate
    ends = bool(run.ends is not None)
    unfinished = torch.ones(run.rows, dtype=torch.long, device=buffer.device)
    length = run.prompt
    while True:
        logits = run.logits_at(length)
        ids = buffer[:, :length]
        scores = run.processors(ids, logits)
        if record:
            if config.output_scores:
                run.scores.append(scores)
            if config.output_logits:
                run.logits.append(logits)
        if config.do_sample:
            tokens = torch.multinomial(scores.softmax(1), 1).squeeze(1)
        else:
            tokens = likeliest(scores)
        if ends:
            tokens = tokens * unfinished + run.pad * (1 - unfinished)
        buffer[:, length] = tokens
        length += 1
        if run.streamer is not None:
            run.streamer.put(tokens.cpu())
        if run.criteria:
            unfinished = unfinished & ~run.criteria(buffer[:, :length], tuple(run.scores) or None)
            if not bool(unfinished.any()):
                break
        if length >= config.max_length:
            break
    if run.streamer is not None:
        run.streamer.end()
    return run.output(buffer[:, :length].clone() if length < config.max_length else buffer)


def beams(run: Run) -> Any:
    """Beam search: the likeliest ``num_beams`` beginnings of each row are carried on side by side.

    Row r of the batch owns rows r·n … r·n + n - 1 of the run, n being ``num_beams``. Each step looks at enough
    candidates that n can go on even if all others end; those that end are judged by their log probability divided by
    length ** length_penalty, and the best n are kept aside.

    Source: Graves, 2012, "Sequence Transduction with Recurrent Neural Networks"; the length penalty and early stopping
    behave as the ecosystem documents them.
    """
    config, device = run.config, run.buffer.device
    width, batch = config.num_beams, run.rows // config.num_beams
    end_count = 0 if run.ends is None else len(run.ends)
    looked = max(2, 1 + end_count) * width
    limit, low = config.max_length, -1.0e9
    record = config.return_dict_in_generate

    going = run.buffer.view(batch, width, limit)  # the beams that go on
    done = going.clone()  # the best that ended
    going_scores = torch.full((batch, width), low, device=device)
    going_scores[:, 0] = 0.0  # all beams begin alike: only the first counts at first
    done_scores = torch.full((batch, width), low, device=device)
    is_done = torch.zeros(batch, width, dtype=torch.bool, device=device)
    may_end = torch.ones(batch, 1, dtype=torch.bool, device=device)  # rows whose search is still open
    origin = torch.full((batch, width, limit - run.prompt), -1, dtype=torch.long, device=device)
    done_origin = origin.clone()
    first_rows = torch.arange(batch, device=device)[:, None]

    length = run.prompt
    while True:
        flat = going.reshape(batch * width, limit)
        run.buffer = flat
        logits = run.logits_at(length)
        scores = run.processors(flat[:, :length], logits.log_softmax(-1))
        if record:
            if config.output_scores:
                run.scores.append(scores)
            if config.output_logits:
                run.logits.append(logits)
        words = scores.shape[1]
        totals = (scores.view(batch, width, words) + going_scores[:, :, None]).flatten(1)  # (batch, width · V)
        if config.do_sample:
            picks = torch.multinomial(totals.softmax(-1), looked)
            values = totals.gather(1, picks)
        else:
            values, picks = totals.topk(looked)
        parents, tokens = picks // words, picks % words  # (batch, looked)
        candidates = going.gather(1, parents[:, :, None].expand(-1, -1, limit)).clone()
        candidates[:, :, length] = tokens
        paths = origin.gather(1, parents[:, :, None].expand(-1, -1, origin.shape[2])).clone()
        paths[:, :, length - run.prompt] = parents + first_rows * width
        length += 1
        last = length >= limit
        ended = torch.full_like(tokens, last, dtype=torch.bool)
        if run.criteria:
            ended |= run.criteria(candidates.flatten(0, 1)[:, :length], None).view(batch, looked)

        # The best that did not end go on.
        going_scores, chosen = (values + ended * low).topk(width)
        going = _take(candidates, chosen)
        origin = _take(paths, chosen)

        # Those among the first n that ended join the ones set aside.
        judged = values / (length - run.prompt) ** config.length_penalty
        eligible = ended & (torch.arange(looked, device=device) < width)
        full = is_done.all(-1, keepdim=True) & (config.early_stopping is True)
        judged = judged + full * low + ~eligible * low + ~may_end * low
        merged = torch.cat((done_scores, judged), 1)
        done_scores, best = merged.topk(width)
        done = _take(torch.cat((done, candidates), 1), best)
        done_origin = _take(torch.cat((done_origin, paths), 1), best)
        is_done = torch.cat((is_done, eligible & may_end), 1).gather(1, best)

        if run.cache is not None:
            # Beams of a row share what was read: only what was written moves.
            kept = getattr(run.cache, "self_attention_cache", run.cache)
            kept.reorder_cache((parents.gather(1, chosen) + first_rows * width).flatten())
        may_end = may_end & _can_improve(config, going_scores, done_scores, is_done, length - run.prompt, run)
        open_rows = bool(may_end.any()) and not (config.early_stopping is True and bool(is_done.all()))
        if last or not open_rows or bool(ended.all()):
            break

    # A row that never ended gives its best beam.
    none_done = ~is_done.any(-1)
    done = torch.where(none_done[:, None, None], going, done)
    done_origin = torch.where(none_done[:, None, None], origin, done_origin)
    done_scores = torch.where(none_done[:, None], going_scores, done_scores)
    count = config.num_return_sequences
    sequences = done[:, :count].flatten(0, 1)
    indices = done_origin[:, :count].flatten(0, 1)
    steps = int((indices >= 0).sum(-1).max())
    sequences, indices = sequences[:, : run.prompt + steps], indices[:, :steps]
    found = {"sequences_scores": done_scores[:, :count].flatten(), "beam_indices": indices}
    return run.output(sequences, found if config.output_scores else dict.fromkeys(found))


def _take(x: Tensor, rows: Tensor) -> Tensor:
    """Return ``x`` (batch, n, L) at ``rows`` (batch, m), as (batch, m, L)."""
    return x.gather(1, rows[:, :, None].expand(-1, -1, x.shape[2]))


def _can_improve(config: GenerationConfig, going: Tensor, done: Tensor, is_done: Tensor, made: int, run: Run) -> Tensor:
    """Return, (batch, 1), whether a beam that goes on could still beat the worst of those set aside."""
    if config.early_stopping == "never" and config.length_penalty > 0.0:
        length = config.max_length - run.prompt  # at best it becomes this long
    else:
        length = made
    best = going[:, :1] / length**config.length_penalty
    worst = torch.where(is_done, done.amin(1, keepdim=True), torch.full_like(done, -1.0e9))
    return (best > worst).any(-1, keepdim=True)
