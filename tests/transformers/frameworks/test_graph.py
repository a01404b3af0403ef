"""Programs: what is exported, how long it lasts, and what a missing operation says."""

from __future__ import annotations

import pytest
import torch

from enfold.errors import EnfoldError
from enfold.transformers import BertConfig, BertForMaskedLM
from enfold.transformers.frameworks.graph import Programs, Spec, aliases, leaves, run

SIZES = {"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.fixture(scope="module")
def programs() -> Programs:
    torch.manual_seed(0)
    return Programs(BertForMaskedLM(BertConfig(**SIZES)).eval())


def _ids(*shape: int) -> dict[str, Spec]:
    return {"input_ids": Spec(shape, "int64"), "attention_mask": Spec(shape, "int64")}


def test_one_program_serves_every_batch_and_length(programs: Programs) -> None:
    first = programs.fitting(_ids(1, 4))
    assert programs.fitting(_ids(3, 9)) is first
    assert programs.fitting({"input_ids": Spec((None, None), "int32"), "attention_mask": _ids(1, 1)["input_ids"]})
    assert not first.fits({"input_ids": Spec((2, 4), "int64"), "attention_mask": Spec((2, 5), "int64")})


def test_shared_weights_have_one_name(programs: Programs) -> None:
    program = programs.fitting(_ids(2, 4))
    other = aliases(programs.model)
    assert other["cls.predictions.decoder.weight"] == "bert.embeddings.word_embeddings.weight"
    assert not set(program.parameters) & set(other)
    assert set(program.parameters) <= set(leaves(programs.model))


def test_the_mode_is_left_as_it_was(programs: Programs) -> None:
    assert not programs.model.training
    training = programs.fitting(_ids(2, 4), train=True)
    assert not programs.model.training
    assert any(op.target.startswith("aten.native_dropout") for op in training.ops)
    assert not any(op.target.startswith("aten.native_dropout") for op in programs.fitting(_ids(2, 4)).ops)


def test_an_unknown_operation_is_named_with_its_model(programs: Programs) -> None:
    program = programs.fitting(_ids(2, 4))
    weights = leaves(programs.model)
    inputs = dict.fromkeys(("input_ids", "attention_mask"), torch.ones(2, 4, dtype=torch.int64))
    with pytest.raises(EnfoldError, match=r"BertForMaskedLM uses the operation aten\.\w+"):
        run(program, {"aten.sym_size": lambda x, at: x.shape[at]}, weights, inputs)
