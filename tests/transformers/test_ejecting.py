"""Stand-alone files: no import of ours, the same numbers, the same files of weights."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as transformers
from enfold.errors import EnfoldError
from enfold.transformers.ejecting import eject
from parity.architectures.harness import Case, build, results

TABLES = (
    "first",
    "encoders",
    "newer_encoders",
    "decoders",
    "decoders_more",
    "seq2seq",
    "vision",
    "two_towers",
    "speech",
    "speech_seq2seq",
    "images_and_texts",
    "seeing",
    "detection",
    "sounds",
)
CASES: dict[str, Case] = {
    f"{table}-{name}": case
    for table in TABLES
    for name, case in importlib.import_module(f"parity.architectures.{table}").CASES.items()
    if case.name != "MusicgenForConditionalGeneration"  # whose parts its configuration names: ``eject`` says so
}
# One of each family; the others take minutes.
USUAL = (
    "BertForPreTraining",
    "DistilBertForSequenceClassification",
    "XLMRobertaForMaskedLM",
    "DebertaV2ForTokenClassification",
    "ModernBertForMaskedLM",
    "GPT2LMHeadModel",
    "LlamaForCausalLM",
    "MixtralForCausalLM",
    "Gemma2ForCausalLM",
    "FalconForCausalLM",
    "T5ForConditionalGeneration",
    "BartForConditionalGeneration",
    "ViTForImageClassification",
    "CLIPModel",
    "Wav2Vec2ForCTC",
)


@cache
def ejected(name: str) -> types.ModuleType:
    """Return the stand-alone file of a class as a module."""
    source = eject(name)
    imported = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    named = {item.name for node in imported for item in node.names} | {getattr(node, "module", "") for node in imported}
    assert not {name for name in named if str(name).split(".")[0] == "enfold"}
    module = types.ModuleType(f"alone_{name}")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(source, module.__name__, "exec"), module.__dict__)
    return module


def cases() -> list[Any]:
    first: set[str] = set()
    made = []
    for name, case in CASES.items():
        usual = case.name in USUAL and case.name not in first
        first.add(case.name)
        made.append(pytest.param(case, id=name, marks=[] if usual else [pytest.mark.slow]))
    return made


@pytest.mark.parametrize("case", cases())
def test_a_stand_alone_model_reads_our_folder_and_gives_our_numbers(case: Case, tmp_path: Path) -> None:
    ours = build(transformers, case)
    alone = getattr(ejected(case.name), case.name)
    ours.save_pretrained(tmp_path)
    model = alone.from_pretrained(str(tmp_path))
    for explicit in (False, True):
        mine, theirs = (results(made, case, explicit=explicit) for made in (model, ours))
        assert mine.keys() == theirs.keys() and mine
        for name, found in mine.items():
            np.testing.assert_allclose(found, theirs[name], rtol=1e-5, atol=max(case.atol, 2e-5), err_msg=name)


def test_a_file_runs_where_enfold_is_not(tmp_path: Path) -> None:
    config = {"vocab_size": 31, "n_embd": 12, "n_layer": 2, "n_head": 2, "n_positions": 40, "eos_token_id": None}
    torch.manual_seed(0)
    ours = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config)).eval()
    ours.save_pretrained(tmp_path / "model")
    (tmp_path / "gpt2_alone.py").write_text(eject("GPT2LMHeadModel"))
    program = """
import sys
sys.modules["enfold"] = None
import torch
from gpt2_alone import GPT2LMHeadModel
model = GPT2LMHeadModel.from_pretrained("model")
print(model.generate(torch.tensor([[3, 5, 7]]), max_new_tokens=9).tolist())
fresh = GPT2LMHeadModel(model.config)
assert fresh.lm_head.weight is fresh.transformer.wte.weight and float(fresh.lm_head.weight.std()) < 0.03
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = ours.generate(torch.tensor([[3, 5, 7]]), max_new_tokens=9, do_sample=False, pad_token_id=0)
    assert ast.literal_eval(done.stdout) == expected.tolist()


def test_one_head_leaves_the_others_out_and_unknown_names_are_told() -> None:
    source = eject("BertForMaskedLM")
    assert "class BertForMaskedLM" in source and "class BertForQuestionAnswering" not in source
    assert "class BertForQuestionAnswering" in eject("bert")
    with pytest.raises(EnfoldError, match="did you mean 'bert'"):
        eject("bertt")
    with pytest.raises(EnfoldError, match="no class 'BertForMaskedLN'; did you mean 'BertForMaskedLM'"):
        eject("bert", ["BertForMaskedLN"])
    with pytest.raises(EnfoldError, match=r"chooses parts by what a configuration says.*Eject the parts instead"):
        eject("encoder-decoder")
    with pytest.raises(EnfoldError, match="Eject the parts instead"):
        eject("MusicgenForConditionalGeneration")


def test_the_command_writes_a_file_and_does_not_overwrite(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from enfold.cli import main; main()",
        "eject",
        "vit",
        "--head",
        "ViTModel",
        "-o",
        "vit_alone.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "vit_alone.py" in done.stdout, done.stderr
    assert "class ViTModel" in (tmp_path / "vit_alone.py").read_text()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 1 and "vit_alone.py exists" in again.stderr and "--force" in again.stderr
