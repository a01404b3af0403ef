"""Contrastive search: words that are likely and do not repeat what was meant before."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.nn.outputs import ModelOutput
from enfold.transformers.generation.config import GenerationError
from enfold.transformers.generation.loops import Run
from enfold.transformers.generation.reading import repeated

__all__ = ["contrastive"]


def contrastive(run: Run) -> Any:
    """Choose among the ``top_k`` likeliest tokens by (1 - α) · probability - α · the closest likeness to the past.

    The likeness is the cosine of the states that the model has after the token and after each token before; α is
    ``penalty_alpha``. A step reads all candidates at once, or one after the other with ``low_memory``.

    Source: Su et al., 2022, "A Contrastive Framework for Neural Text Generation".
    """
    config, buffer, rows = run.config, run.buffer, run.rows
    count, record = config.top_k, config.return_dict_in_generate
    if run.cache is None:
        raise GenerationError("contrastive search needs use_cache=True: candidates are read after the same text")
    run.keep["output_hidden_states"] = True
    wide = run if config.low_memory else _widened(run, count)
    unfinished = torch.ones(rows, dtype=torch.long, device=buffer.device)
    length = run.prompt
    logits = run.logits_at(length)
    output = run.latest
    past = _last_states(run, output)  # (R, T, D)
    real = torch.ones(past.shape[:2], dtype=torch.bool, device=past.device)
    if run.mask is not None:
        real[:, : run.mask.shape[1]] = run.mask.bool()
    while True:
        scores = run.processors(buffer[:, :length], logits)
        chances, words = scores.softmax(-1).topk(count)  # (R, k)
        if record and config.output_scores:
            run.scores.append(scores)
        if record and config.output_logits:
            run.logits.append(logits)
        assert run.cache is not None
        if config.low_memory:
            output = _read_in_turn(run, words, length)
        else:
            run.cache.batch_repeat_interleave(count)
            wide.buffer[:, :length] = buffer[:, :length].repeat_interleave(count, 0)
            wide.buffer[:, length] = words.flatten()
            output = wide.read_on(_filled(run), length + 1 + run.ahead)
        states = _last_states(run, output)[:, -1].view(rows, count, -1)
        alike = F.normalize(states, dim=-1) @ F.normalize(past, dim=-1).transpose(1, 2)  # (R, k, T)
        closest = alike.masked_fill(~real[:, None], torch.finfo(alike.dtype).min).amax(-1)
        best = ((1.0 - config.penalty_alpha) * chances - config.penalty_alpha * closest).argmax(-1)  # (R,)
        tokens = words.gather(1, best[:, None])[:, 0]
        chosen = best + torch.arange(rows, device=best.device) * count
        past = torch.cat((past, states.flatten(0, 1)[chosen][:, None]), 1)
        real = F.pad(real, (0, 1), value=True)
        logits = output.logits[chosen, -1].float()
        if config.low_memory:
            buffer[:, length] = tokens
            run.read_on(_filled(run), length + 1 + run.ahead)
        else:
            run.cache.batch_select_indices(chosen)
        if run.ends is not None:
            tokens = tokens * unfinished + run.pad * (1 - unfinished)
        buffer[:, length] = tokens
        length += 1
        if run.streamer is not None:
            run.streamer.put(tokens.cpu())
        if run.criteria:
            unfinished = unfinished & ~run.criteria(buffer[:, :length], tuple(run.scores) or None)
        if length >= config.max_length or not bool(unfinished.any()):
            break
        run.record(_selected(output, chosen))
    if run.streamer is not None:
        run.streamer.end()
    return run.output(buffer[:, :length].clone())


def _filled(run: Run) -> int:
    return 0 if run.cache is None else int(run.cache.get_seq_length())


def _last_states(run: Run, output: Any) -> Tensor:
    return output["hidden_states" if run.read is None else "decoder_hidden_states"][-1].float()


def _widened(run: Run, count: int) -> Run:
    """Return a run with ``count`` rows for each of this one, in the same cache."""

    def rows(x: Tensor | None) -> Tensor | None:
        return x if x is None or x.shape[0] == 1 < run.rows else x.repeat_interleave(count, 0)

    wide = dataclasses.replace(
        run,
        ids=run.ids.repeat_interleave(count, 0),
        embeds=rows(run.embeds),
        mask=rows(run.mask),
        positions=rows(run.positions),
        extra={name: repeated(value, count) for name, value in run.extra.items()},
    )
    wide.keep = run.keep
    return wide


def _read_in_turn(run: Run, words: Tensor, length: int) -> Any:
    """Return the output for all candidates (R, k), read one after the other and forgotten again."""
    outputs = []
    for candidate in words.unbind(1):
        run.buffer[:, length] = candidate
        outputs.append(run.read_on(_filled(run), length + 1 + run.ahead))
        assert run.cache is not None
        run.cache.crop(-1)
    return _stacked(outputs)


def _stacked(parts: list[Any]) -> Any:
    """Return outputs of R rows as one of R · k rows, those of a row side by side; without the cache."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.stack(parts, 1).flatten(0, 1)
    if isinstance(first, tuple):
        return tuple(_stacked(list(group)) for group in zip(*parts, strict=True))
    if isinstance(first, ModelOutput):
        return type(first)(**{name: _stacked([p[name] for p in parts]) for name in first if name != "past_key_values"})
    return first


def _selected(output: Any, rows: Tensor) -> Any:
    """Return some rows of an output; without the cache."""
    if isinstance(output, Tensor):
        return output[rows]
    if isinstance(output, tuple):
        return tuple(_selected(part, rows) for part in output)
    if isinstance(output, ModelOutput):
        kept = {name: _selected(output[name], rows) for name in output if name != "past_key_values"}
        return type(output)(**kept)
    return output
