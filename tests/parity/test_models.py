"""Our models beside transformers': the same checkpoints, the same numbers, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

import enfold.transformers as tf
from parity.model_cases import CASES, results, scramble

pytestmark = pytest.mark.peer

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def both(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """The peer's checkpoints, ours, and what the peer computed with each."""
    torch.set_num_threads(1)
    theirs, ours = tmp_path_factory.mktemp("theirs"), tmp_path_factory.mktemp("ours")
    for case, (name, options, _) in CASES.items():
        kind = getattr(tf, name)
        model = kind(kind.config_class(**options))
        scramble(model)
        model.save_pretrained(ours / case)
    return theirs, ours, peer(HERE / "peer_models.py", theirs, ours, HERE)


def _load(folder: Path, case: str, **options: Any) -> Any:
    return getattr(tf, CASES[case][0]).from_pretrained(folder / case, output_loading_info=True, **options)


def _compare(ours: dict[str, Any], peers: dict[str, Any], prefix: str) -> None:
    expected = {name.removeprefix(prefix): value for name, value in peers.items() if name.startswith(prefix)}
    assert set(ours) == set(expected)
    for name, value in ours.items():
        wanted = expected[name]
        if "/gradient/" in name:
            scale = max(float(np.abs(wanted).max()), 1e-3)
            np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-4 * scale, err_msg=name)
        else:
            np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_of_transformers_gives_the_same_numbers_here(both: Any, case: str) -> None:
    theirs, _, peers = both
    model, info = _load(theirs, case)
    assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}
    found = results(model, CASES[case][2], eager=False)
    model.set_attn_implementation("eager")
    found |= results(model, CASES[case][2], eager=True)
    _compare(found, peers, f"{case}|")


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_of_ours_gives_the_same_numbers_there(both: Any, case: str) -> None:
    _, ours, peers = both
    assert peers[case] == {"missing_keys": [], "unexpected_keys": [], "mismatched": 0}
    model, _ = _load(ours, case)
    found = {k: v for k, v in results(model, CASES[case][2], eager=False).items() if "gradient" not in k}
    _compare(found, peers, f"ours/{case}|")


@pytest.mark.parametrize("case", CASES)
def test_both_write_the_same_tensor_names(both: Any, case: str) -> None:
    theirs, ours, _ = both
    names = []
    for folder in (theirs, ours):
        with safe_open(folder / case / "model.safetensors", "pt") as file:
            assert file.metadata()["format"] == "pt"
            names.append(set(file.keys()))
    assert names[0] == names[1]


@pytest.mark.parametrize("case", ["bert-masked", "gpt2-causal", "llama-causal"])
def test_attention_weights_do_not_change_the_result(both: Any, case: str) -> None:
    theirs, _, _ = both
    model, _ = _load(theirs, case)
    ids = torch.randint(1, 90, (2, 7))
    with torch.no_grad():
        plain, explicit = model(ids).logits, model(ids, output_attentions=True)
    torch.testing.assert_close(plain, explicit.logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(explicit.attentions[0].sum(-1), torch.ones(2, explicit.attentions[0].shape[1], 7))
