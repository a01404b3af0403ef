"""Token healing chooses the tokens that the ecosystem chooses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import enfold.transformers as transformers
from enfold.tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from enfold.transformers.generation.config import GenerationError

pytestmark = pytest.mark.peer

TEXTS = ["the link is http:", "a lower n", "the http:", "wide", "he"]
WORDS = "the link is http://x.y and the lower wider newest http://a.b https://c.d links lowest new the then there " * 8
RUN = """
def healed(transformers, folder, texts):
    import torch
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.GPT2LMHeadModel.from_pretrained(folder)
    found = []
    for text in texts:
        ids = torch.tensor([tokenizer(text).input_ids])
        found.append(model.heal_tokens(ids, tokenizer=tokenizer).tolist())
        options = {"max_new_tokens": 4, "do_sample": False, "token_healing": True, "pad_token_id": 0}
        found.append(model.generate(ids, tokenizer=tokenizer, **options).tolist())
    return found
"""
PEER = (
    RUN
    + """
import json, sys, torch, transformers
transformers.utils.logging.set_verbosity_error()
torch.set_num_threads(1)
print(json.dumps(healed(transformers, sys.argv[1], json.loads(sys.argv[2]))))
"""
)


def test_the_same_last_tokens_are_chosen_again(peer: Callable[..., Any], tmp_path: Path) -> None:
    import json

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=["<pad>", "<s>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())  # fmt: skip
    tokenizer.train_from_iterator([WORDS], trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>")
    fast.save_pretrained(tmp_path)
    torch.manual_seed(3)
    config = transformers.GPT2Config(
        vocab_size=400, n_embd=16, n_layer=1, n_head=2, n_positions=64, bos_token_id=1, eos_token_id=399,
        initializer_range=0.5,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path)
    scope: dict[str, Any] = {}
    exec(RUN, scope)
    ours = scope["healed"](transformers, str(tmp_path), TEXTS)
    assert ours == peer(PEER, tmp_path, json.dumps(TEXTS))
    plain = [[fast(text).input_ids] for text in TEXTS]
    assert any(healed != ids for healed, ids in zip(ours[::2], plain, strict=True))
    with pytest.raises(GenerationError, match="needs the model's tokenizer"):
        model.generate(torch.tensor([[5, 6]]), token_healing=True, max_new_tokens=1)
