"""Beam search whose beams differ on purpose, or lead to what must be written.

Unlike ``loops.beams`` it judges row by row: a search that is done rests while the others go on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from enfold.transformers.generation.constraints import Constraint, ConstraintListState
from enfold.transformers.generation.hypotheses import Finished, Hypotheses
from enfold.transformers.generation.loops import Run

__all__ = ["grouped"]


class Beam(NamedTuple):
    """A text that may go on: the sum of its log probabilities, its newest token, and the row it comes from."""

    total: float
    token: int
    parent: int


def grouped(run: Run, constraints: list[Constraint] | None = None) -> Any:
    """Group beam search, or constrained beam search.

    The ``num_beams`` beams of a row are ``num_beam_groups`` searches side by side. They choose one after the other, and
    a token costs ``diversity_penalty`` for each beam of an earlier group that chose it at this step.

    Args:
        run: with n · batch rows, n being ``num_beams``; the beams of a row lie side by side, as do those of a group.
        constraints: what each text must contain; then there is one group.

    Source: Vijayakumar et al., 2016, "Diverse Beam Search"; Post and Vilar, 2018, "Fast Lexically Constrained Decoding
    with Dynamic Beam Allocation".
    """
    config, device = run.config, run.buffer.device
    width, groups = config.num_beams, config.num_beam_groups or 1
    size, batch = width // groups, run.rows // width
    looked = max(2, 1 + (0 if run.ends is None else len(run.ends))) * size
    ends = set() if run.ends is None else set(run.ends.tolist())
    record = config.return_dict_in_generate

    kept = [[Hypotheses(size, config, run.prompt) for _ in range(groups)] for _ in range(batch)]
    over = [[False] * groups for _ in range(batch)]
    totals = torch.full((batch, groups, size), -1.0e9, device=device)
    totals[:, :, 0] = 0.0  # all beams begin alike: only the first of a group counts at first
    totals = totals.flatten()
    origin = torch.zeros(run.rows, config.max_length - run.prompt, dtype=torch.long, device=device)
    length = run.prompt
    while True:
        logits = run.logits_at(length)
        likely = logits.log_softmax(-1)  # (R, V)
        tokens = torch.zeros(run.rows, dtype=torch.long, device=device)
        parents = torch.arange(run.rows, device=device)
        recorded = torch.empty_like(likely)
        words = likely.shape[1]
        made = length + 1 - run.prompt
        for group in range(groups):
            rows = torch.arange(run.rows, device=device).view(batch, groups, size)[:, group].flatten()
            steering = {"current_tokens": tokens, "beam_group_idx": group} if groups > 1 else {}
            scores = run.processors(run.buffer[rows, :length], likely[rows], **steering)
            recorded[rows] = scores
            sums = scores + totals[rows][:, None]  # (batch · size, V)
            values, picks = sums.view(batch, size * words).topk(looked)
            for row in range(batch):
                mine, texts = rows.view(batch, size)[row], kept[row][group]
                if over[row][group]:
                    tokens[mine], totals[mine] = run.pad, 0.0
                    continue
                found: list[Beam] = []
                for rank, (total, pick) in enumerate(zip(values[row].tolist(), picks[row].tolist(), strict=True)):
                    beam = Beam(total, pick % words, int(mine[pick // words]))
                    if beam.token not in ends:
                        found.append(beam)
                    elif rank < size and (constraints is None or _written(run, beam.parent, length, constraints)):
                        texts.add(total, *_text(run, origin, beam, length))
                    if len(found) == size:
                        break
                if constraints is not None:
                    found = _led(run, found, mine, length, sums.view(batch, size, words)[row], constraints)
                totals[mine] = torch.tensor([beam.total for beam in found], device=device)
                tokens[mine] = torch.tensor([beam.token for beam in found], device=device)
                parents[mine] = torch.tensor([beam.parent for beam in found], device=device)
                over[row][group] = texts.is_done(float(values[row, 0]), made)
        if record and config.output_scores:
            run.scores.append(recorded)
        if record and config.output_logits:
            run.logits.append(logits)
        origin = origin[parents]
        origin[:, made - 1] = parents
        run.buffer = run.buffer[parents]
        run.buffer[:, length] = tokens
        length += 1
        if run.cache is not None:
            # Beams of a row share what was read: only what was written moves.
            getattr(run.cache, "self_attention_cache", run.cache).reorder_cache(parents)
        if length >= config.max_length or all(map(all, over)):
            break
        if run.criteria and bool(run.criteria(run.buffer[:, :length], None).all()):
            break

    for row in range(batch):
        for group in range(groups):
            if over[row][group]:
                continue
            first = (row * groups + group) * size
            still = list(range(first, first + size))
            if constraints is not None:
                # Texts that lack something are only taken where there is nothing better.
                full = [place for place in still if _written(run, place, length, constraints)]
                rest = [place for place in still if place not in full]
                still = full if len(full) >= config.num_return_sequences else full + rest
            for place in still:
                written = run.buffer[place, :length].clone(), origin[place, : length - run.prompt].clone()
                kept[row][group].add(float(totals[place]), *written)
    return _best(run, kept)


def _text(run: Run, origin: Tensor, beam: Beam, length: int) -> tuple[Tensor, Tensor]:
    """Return the tokens of a beam that ends, and the rows that its new ones were written in."""
    new = run.buffer.new_tensor
    tokens = torch.cat((run.buffer[beam.parent, :length], new([beam.token])))
    return tokens, torch.cat((origin[beam.parent, : length - run.prompt], new([beam.parent])))


def _written(run: Run, place: int, length: int, constraints: list[Constraint]) -> bool:
    """Return whether a row of the run holds all that must be written."""
    state = ConstraintListState(constraints)
    state.reset(run.buffer[place, :length].tolist())
    return state.completed


def _led(
    run: Run, found: list[Beam], rows: Tensor, length: int, sums: Tensor, constraints: list[Constraint]
) -> list[Beam]:
    """Return the beams of one row that go on: some of those that are likely, and some that lead to the constraints.

    Args:
        run: with the texts so far.
        found: the likeliest beams.
        rows: (n,), where the texts of this row lie.
        length: of the texts.
        sums: (n, V), what each text would sum up to with each token.
        constraints: what must be written.
    """
    texts = [run.buffer[place, :length].tolist() for place in rows.tolist()]
    base = int(rows[0])
    seen = [[*texts[beam.parent - base], beam.token] for beam in found]
    banks = []
    for text in seen:
        state = ConstraintListState(constraints)
        state.reset(text)
        banks.append(state.get_bank())
    beams = list(found)
    for place, text in enumerate(texts):
        state = ConstraintListState(constraints)
        state.reset(text)
        for token in [] if state.completed else state.advance() or []:
            if [*text, token] in seen:
                continue
            seen.append([*text, token])
            ahead = state.copy()
            ahead.add(token)
            banks.append(ahead.get_bank())
            beams.append(Beam(float(sums[place, token]), token, base + place))
    if len(beams) == len(found):
        return found
    # Beams of equal progress lie together, those that have come further first, unless their texts are far less likely.
    # The best of each lot go on, then the second best of each, and so on.
    order = sorted(range(len(beams)), key=lambda index: -(100 * banks[index] + beams[index].total))
    turns, turn = [], 0
    for place, index in enumerate(order):
        turn = turn + 1 if place and banks[index] == banks[order[place - 1]] else 0
        turns.append((turn, place))
    return [beams[order[place]] for _, place in sorted(turns)[: len(found)]]


def _best(run: Run, kept: list[list[Hypotheses]]) -> Any:
    """Return the best texts of each row as ids, with what else was asked for."""
    config, count = run.config, run.config.num_return_sequences
    chosen: list[Finished] = []
    for groups in kept:
        texts = [text for hypotheses in groups for text in hypotheses.texts]
        chosen += sorted(texts, key=lambda text: text.score)[::-1][:count]
    longest = max(len(text.tokens) for text in chosen)
    sequences = run.buffer.new_full((len(chosen), longest), run.pad)
    indices = run.buffer.new_full((len(chosen), longest - run.prompt), -1)
    for place, text in enumerate(chosen):
        sequences[place, : len(text.tokens)] = text.tokens
        indices[place, : len(text.origin)] = text.origin
    scores = torch.tensor([text.score for text in chosen], device=sequences.device)
    found = {"sequences_scores": scores, "beam_indices": indices}
    return run.output(sequences, found if config.output_scores else dict.fromkeys(found))
