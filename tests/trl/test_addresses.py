"""The ecosystem's deep paths lead to what is here."""

from __future__ import annotations

import subprocess
import sys

import torch

from enfold.trl.helpers import entropy_from_logits, flush_left, pad_to_length, selective_log_softmax

PROGRAM = """
from trl import SFTTrainer, PPOTrainer, AutoModelForCausalLMWithValueHead
from trl.trainer.sft_trainer import SFTTrainer as one
from trl.trainer.utils import pad, selective_log_softmax
from trl.data_utils import maybe_apply_chat_template, pack_dataset
from trl.experimental.ppo import PPOTrainer as two, AutoModelForCausalLMWithValueHead as three
from trl.experimental.orpo import ORPOTrainer
from trl.experimental.judges import BasePairwiseJudge
from trl.trainer.grpo_config import GRPOConfig
from trl.rewards import think_format_reward
from trl.chat_template_utils import get_training_chat_template
assert one is SFTTrainer and two is PPOTrainer and three is AutoModelForCausalLMWithValueHead
"""


def test_every_path_of_a_program_is_found() -> None:
    command = [sys.executable, "-c", "import enfold.dropin\n" + PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_helpers_compute_what_their_names_say() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    index = torch.tensor([[0, 1, 2], [3, 4, 0]])
    logs = logits.log_softmax(-1)
    torch.testing.assert_close(selective_log_softmax(logits, index), logs.gather(-1, index[..., None])[..., 0])
    torch.testing.assert_close(entropy_from_logits(logits), torch.distributions.Categorical(logits=logits).entropy())
    assert pad_to_length(torch.ones(1, 2), 3, 7.0).tolist() == [[1.0, 1.0, 7.0]]
    mask, ids = flush_left(torch.tensor([[0, 0, 1], [0, 1, 1]]), torch.tensor([[0, 0, 5], [0, 6, 7]]))
    assert mask.tolist() == [[1, 0], [1, 1]] and ids.tolist() == [[5, 0], [6, 7]]
