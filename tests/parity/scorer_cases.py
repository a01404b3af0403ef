"""A beam search of one's own around version 4's ``BeamSearchScorer``, over a table of scores instead of a model."""

from __future__ import annotations

from typing import Any

import torch

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "early": {"do_early_stopping": True, "num_beam_hyps_to_keep": 2},
    "never": {"do_early_stopping": "never", "length_penalty": 0.6, "max_length": 9},
    "groups": {"num_beam_groups": 2, "num_beam_hyps_to_keep": 3, "length_penalty": 2.0},
}


def searched(scorer_class: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Search for two rows of four beams and eight words, of which two end a text."""
    torch.manual_seed(0)
    table = torch.randn(8, 8).mul(1.5).log_softmax(-1)  # word → the next one's
    batch, beams, prompt, ends = 2, 4, 2, [6, 7]
    scorer = scorer_class(batch_size=batch, num_beams=beams, device="cpu", **options)
    groups = options.get("num_beam_groups", 1)
    size = beams // groups
    ids = torch.tensor([[1, 2]] * beams + [[3, 4]] * beams)
    totals = torch.full((batch, groups, size), -1e9)
    totals[:, :, 0] = 0
    totals = totals.flatten()
    origins: list[tuple[int, ...]] = [()] * (batch * beams)
    while ids.shape[1] < 9 and not scorer.is_done:
        tokens, parents = torch.zeros(batch * beams, dtype=torch.long), torch.arange(batch * beams)
        for group in range(groups):
            rows = torch.arange(batch * beams).view(batch, groups, size)[:, group].flatten()
            sums = table[ids[rows, -1]] + totals[rows, None]
            values, picks = sums.view(batch, size * 8).topk(3 * size)
            found = scorer.process(
                ids[rows],
                values,
                picks % 8,
                picks // 8,
                pad_token_id=0,
                eos_token_id=torch.tensor(ends),
                beam_indices=[origins[row] for row in rows],
                group_index=group,
                decoder_prompt_len=prompt,
            )
            totals[rows], tokens[rows] = found["next_beam_scores"], found["next_beam_tokens"]
            parents[rows] = rows[found["next_beam_indices"]]
        ids = torch.cat((ids[parents], tokens[:, None]), 1)
        origins = [(*origins[parent], int(parent)) for parent in parents]
    made = scorer.finalize(
        ids,
        totals,
        None,
        None,
        max_length=9,
        pad_token_id=0,
        eos_token_id=torch.tensor(ends),
        beam_indices=origins,
        decoder_prompt_len=prompt,
    )
    return {
        "sequences": made["sequences"].tolist(),
        "scores": [round(score, 4) for score in made["sequence_scores"].tolist()],
        "beams": made["beam_indices"].tolist(),
    }
