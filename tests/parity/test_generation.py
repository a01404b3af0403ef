"""What we write on beside transformers: the same tokens, greedily, under a seed, and with beams."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from parity.architectures import decoders, decoders_more, first
from parity.architectures.harness import build
from parity.generation_cases import (
    FAMILIES,
    FAMILY_RUNS,
    MODELS,
    PROCESSORS,
    RUNS,
    UNKNOWN,
    generated,
    processed,
)

pytestmark = pytest.mark.peer

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def both(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Checkpoints, and what the peer did with them."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    for case in MODELS:
        made = first.CASES[case]
        options = {**made.config, "max_position_embeddings": 12 if "dynamic" in case else 40}
        build(tf, made._replace(config=options)).save_pretrained(folder / case)
    cases = {**decoders.CASES, **decoders_more.CASES}
    for case in FAMILIES:
        options = {**cases[case].config, "max_position_embeddings": 40}
        if case == "phi3-long":
            options["original_max_position_embeddings"] = 10
        build(tf, cases[case]._replace(config=options)).save_pretrained(folder / case)
    return folder, peer(HERE / "peer_generation.py", folder, HERE)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("model_name", MODELS)
def test_the_same_tokens_are_generated(both: Any, model_name: str, run: str) -> None:
    compare(both, model_name, MODELS[model_name], run, RUNS[run])


@pytest.mark.parametrize(("model_name", "run"), [p for p in product(FAMILIES, FAMILY_RUNS) if p not in UNKNOWN])
def test_every_family_generates_the_same_tokens(both: Any, model_name: str, run: str) -> None:
    compare(both, model_name, FAMILIES[model_name], run, FAMILY_RUNS[run])


def compare(both: Any, model_name: str, class_name: str, run: str, options: dict[str, Any]) -> None:
    """Hold what a model of ours generates to what the peer's did."""
    folder, peers = both
    model = getattr(tf, class_name).from_pretrained(folder / model_name)
    found = generated(model, options)
    prefix = f"{model_name}|{run}|"
    expected = {name.removeprefix(prefix): value for name, value in peers.items() if name.startswith(prefix)}
    assert set(found) == set(expected)
    for name, value in found.items():
        if name in ("sequences", "beam_indices"):
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
        else:
            np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_gives_the_same_scores(both: Any, name: str) -> None:
    _, peers = both
    np.testing.assert_allclose(processed(tf, name, PROCESSORS[name]), peers[f"processor|{name}"], rtol=1e-5, atol=1e-6)
