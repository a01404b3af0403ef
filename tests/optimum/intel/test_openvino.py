"""Models on OpenVINO: torch's numbers with padding and at other sizes, the same texts, files that come back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

pytest.importorskip("openvino")

from enfold import transformers
from enfold.cli.export_runtimes import add
from enfold.errors import EnfoldError
from enfold.optimum.intel import (
    OVConfig,
    OVModelForCausalLM,
    OVModelForFeatureExtraction,
    OVModelForSeq2SeqLM,
    OVModelForSequenceClassification,
    OVQuantizationConfig,
    OVQuantizer,
    OVWeightQuantizationConfig,
)
from enfold.optimum.intel.openvino.configuration import QuantizationError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(60))]
ENCODER = {"vocab_size": 65, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
ENCODER |= {"intermediate_size": 64, "max_position_embeddings": 64}
DECODER = {"vocab_size": 65, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
DECODER |= {"num_key_value_heads": 2, "intermediate_size": 64, "max_position_embeddings": 128}
BOTH = {"vocab_size": 65, "d_model": 32, "d_kv": 8, "num_layers": 1, "num_heads": 4, "d_ff": 64}
BOTH |= {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": None}


def made(kind: Any, config: Any, folder: Path) -> Any:
    torch.manual_seed(0)
    model = kind(config).eval()
    model.save_pretrained(folder)
    return model


def padded(rows: int, length: int, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(rows * length)
    ids = torch.randint(5, 65, (rows, length), generator=draw)
    lengths = torch.randint(2, length + 1, (rows, 1), generator=draw)
    places = torch.arange(length).flip(0) if left else torch.arange(length)
    mask = (places < lengths).long()
    return ids * mask, mask


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Path]:
    """A classifier, the folder of its weights, and the folder of its graph."""
    weights, graphs = tmp_path_factory.mktemp("weights"), tmp_path_factory.mktemp("graphs")
    model = made(transformers.BertForSequenceClassification, transformers.BertConfig(**ENCODER), weights)
    (weights / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    transformers.BertTokenizerFast(str(weights / "vocab.txt")).save_pretrained(weights)
    app = typer.Typer()
    add(app)
    done = CliRunner().invoke(app, ["openvino", "--model", str(weights), str(graphs)])
    assert done.exit_code == 0, done.output
    assert done.output.strip() == str(graphs / "openvino_model.xml")
    return model, weights, graphs


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """A decoder in torch and on OpenVINO, and the folder of its graph."""
    weights, graphs = tmp_path_factory.mktemp("weights"), tmp_path_factory.mktemp("graphs")
    config = transformers.LlamaConfig(**DECODER, eos_token_id=None, pad_token_id=0)
    model = made(transformers.LlamaForCausalLM, config, weights)
    OVModelForCausalLM.from_pretrained(weights, export=True, compile=False).save_pretrained(graphs)
    return model, OVModelForCausalLM.from_pretrained(graphs), graphs


def test_a_folder_has_the_ecosystem_s_files(labels: Any) -> None:
    names = {path.name for path in labels[2].iterdir()}
    assert {"openvino_model.xml", "openvino_model.bin", "config.json", "tokenizer.json"} <= names
    assert not any(name.startswith(".") for name in names)


def test_a_classifier_gives_torch_s_numbers_with_padding(labels: Any) -> None:
    model, _, graphs = labels
    ours = OVModelForSequenceClassification.from_pretrained(graphs)
    for rows, length in ((1, 3), (4, 17)):
        ids, mask = padded(rows, length)
        with torch.no_grad():
            expected = model(input_ids=ids, attention_mask=mask).logits
        found = ours(input_ids=ids, attention_mask=mask)
        assert torch.allclose(found.logits, expected, atol=1e-4)
        arrays = ours(input_ids=ids.numpy(), attention_mask=mask.numpy(), return_dict=False)[0]
        assert isinstance(arrays, np.ndarray) and np.allclose(arrays, expected.numpy(), atol=1e-4)


def test_what_may_be_left_out_is_made(labels: Any) -> None:
    model, _, graphs = labels
    ids = padded(2, 9)[0]
    found = OVModelForSequenceClassification.from_pretrained(graphs)(ids)
    with torch.no_grad():
        assert torch.allclose(found.logits, model(ids).logits, atol=1e-4)
    with pytest.raises(EnfoldError, match="needs 'input_ids'"):
        OVModelForSequenceClassification.from_pretrained(graphs)(attention_mask=ids)


def test_a_pipeline_answers_as_with_torch(labels: Any) -> None:
    model, _, graphs = labels
    ours = OVModelForSequenceClassification.from_pretrained(graphs)
    tokenizer = transformers.AutoTokenizer.from_pretrained(graphs)
    texts = ["w1 w2 w3", "w9", "w4 w5 w6 w7 w8 w9 w10"]
    expected = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)(texts)
    found = transformers.pipeline(model=ours, tokenizer=tokenizer)(texts)
    assert [one["label"] for one in found] == [one["label"] for one in expected]
    assert [one["score"] for one in found] == pytest.approx([one["score"] for one in expected], abs=1e-4)


def test_sizes_can_be_fixed_and_weights_halved(labels: Any, tmp_path: Path) -> None:
    model, _, graphs = labels
    ours = OVModelForSequenceClassification.from_pretrained(graphs, compile=False).reshape(2, 8).half()
    ids = padded(2, 8)[0]
    with torch.no_grad():
        assert torch.allclose(ours(ids).logits, model(ids).logits, atol=1e-2)
    ours.save_pretrained(tmp_path)
    assert (tmp_path / "openvino_model.bin").stat().st_size < 0.6 * (graphs / "openvino_model.bin").stat().st_size
    with pytest.raises(RuntimeError):
        ours(padded(3, 8)[0])


def test_a_device_or_argument_that_is_not_there_is_named(labels: Any, tmp_path: Path) -> None:
    with pytest.raises(EnfoldError, match="no device 'TPU'"):
        OVModelForSequenceClassification.from_pretrained(labels[2], device="TPU")
    with pytest.raises(EnfoldError, match="did you mean 'ov_config'"):
        OVModelForSequenceClassification.from_pretrained(labels[2], ovconfig={})
    with pytest.raises(OSError, match=r"openvino_model\.xml"):
        OVModelForSequenceClassification.from_pretrained(labels[1], export=False)


def test_eight_bits_are_smaller_and_near(labels: Any, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    model, _, graphs = labels
    ours = OVModelForSequenceClassification.from_pretrained(graphs, load_in_8bit=True)
    ours.save_pretrained(tmp_path)
    kinds = [node.get_element_type().to_string() for node in ours.model.get_ops() if node.get_type_name() == "Constant"]
    assert "u8" in kinds
    assert json.loads((tmp_path / "openvino_config.json").read_text())["quantization_config"]["bits"] == 8
    ids, mask = padded(4, 12)
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).logits
    again = OVModelForSequenceClassification.from_pretrained(tmp_path)
    assert again.quantization_config.bits == 8
    assert torch.allclose(again(input_ids=ids, attention_mask=mask).logits, expected, atol=0.05)


def test_layers_are_rounded_on_calibration_data(labels: Any, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    model, _, graphs = labels
    ours = OVModelForSequenceClassification.from_pretrained(graphs, compile=False)
    rows = [{"input_ids": padded(1, 12)[0][0], "label": 1} for _ in range(8)]
    OVQuantizer.from_pretrained(ours).quantize(
        calibration_dataset=rows,
        save_directory=tmp_path,
        ov_config=OVConfig(quantization_config=OVQuantizationConfig()),
    )
    again = OVModelForSequenceClassification.from_pretrained(tmp_path)
    assert any(node.get_type_name() == "FakeQuantize" for node in again.model.get_ops())
    ids = padded(4, 12)[0]
    with torch.no_grad():
        assert torch.allclose(again(ids).logits, model(ids).logits, atol=0.1)


def test_a_decoder_gives_torch_s_logits_step_by_step(writer: Any) -> None:
    model, ours, _ = writer
    ids, mask = padded(3, 9, left=True)
    with torch.no_grad():
        places = (mask.cumsum(1) - 1).clamp(min=0)
        expected = model(input_ids=ids, attention_mask=mask, position_ids=places).logits
    first = ours(ids[:, :6], attention_mask=mask[:, :6])
    later = ours(ids[:, 6:], attention_mask=mask, past_key_values=first.past_key_values)
    assert later.past_key_values.get_seq_length() == 9
    found = torch.cat((first.logits, later.logits), 1)
    assert torch.allclose(found[mask.bool()], expected[mask.bool()], atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_beams": 3, "num_return_sequences": 2},
        {"prompt_lookup_num_tokens": 3},
        {"do_sample": True, "top_k": 5},
        {"use_cache": False},
    ],
    ids=lambda options: next(iter(options), "greedy"),
)
def test_generate_writes_what_torch_writes(writer: Any, options: dict[str, Any]) -> None:
    model, ours, _ = writer
    ids, mask = padded(1 if "prompt_lookup_num_tokens" in options else 3, 9, left=True)
    texts = []
    for one in (model, ours):
        torch.manual_seed(0)
        texts.append(one.generate(ids, attention_mask=mask, max_new_tokens=12, **options).tolist())
    assert texts[0] == texts[1]


def test_logits_that_nobody_asks_for_are_not_computed(writer: Any) -> None:
    model, ours, _ = writer
    ids, mask = padded(3, 9, left=True)
    whole = ours(ids, attention_mask=mask).logits
    assert whole.shape == (3, 9, model.config.vocab_size)
    request = ours.request("model")
    for keep, computed in ((1, 1), (4, 4), (20, 9), (torch.tensor([2, 5]), 9), (0, 9)):
        found = ours(ids, attention_mask=mask, logits_to_keep=keep).logits
        assert request.get_tensor("logits").shape[1] == computed
        wanted = whole[:, keep] if isinstance(keep, torch.Tensor) else whole[:, -keep:]
        assert torch.allclose(found, wanted, atol=1e-5)
    assert [port.get_any_name() for port in ours.model.inputs][-1] == "beam_idx"  # what is saved is as it was


def test_a_decoder_s_graph_keeps_its_state_as_optimum_intel_writes_it(writer: Any) -> None:
    graph = writer[1].model
    assert [port.get_any_name() for port in graph.inputs] == ["input_ids", "attention_mask", "position_ids", "beam_idx"]
    assert [port.get_any_name() for port in graph.outputs] == ["logits"]
    assert len(graph.get_variables()) == 4
    assert all(name.startswith("past_key_values.") for name in (v.info.variable_id for v in graph.get_variables()))


def test_four_bits(writer: Any, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    how = OVWeightQuantizationConfig(bits=4, sym=True, group_size=16, ratio=0.8)
    ours = OVModelForCausalLM.from_pretrained(writer[2], quantization_config=how)
    kinds = [node.get_element_type().to_string() for node in ours.model.get_ops() if node.get_type_name() == "Constant"]
    assert "i4" in kinds
    ids = padded(1, 9)[0]
    assert ours.generate(ids, max_new_tokens=4).shape == (1, 13)
    ours.save_pretrained(tmp_path)
    assert OVConfig.from_pretrained(tmp_path).quantization_config.group_size == 16


@pytest.mark.parametrize(("kind", "stored"), [("nf4", "nf4"), ("cb4", "f8e4m3"), ("mxfp4", "f4e2m1")])
def test_four_bits_of_other_kinds(writer: Any, kind: str, stored: str, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    ours = OVModelForCausalLM.from_pretrained(writer[2], quantization_config={"dtype": kind})
    nodes = [node for node in ours.model.get_ops() if node.get_type_name() == "Constant"]
    assert stored in {node.get_element_type().to_string() for node in nodes}
    ids = padded(1, 9)[0]
    with torch.no_grad():
        expected = writer[0](ids).logits
    assert torch.nn.functional.cosine_similarity(ours(ids).logits, expected, -1).min() > 0.95
    ours.save_pretrained(tmp_path)
    assert OVConfig.from_pretrained(tmp_path).dtype == kind
    assert json.loads((tmp_path / OVConfig.FILE).read_text())["quantization_config"]["bits"] == 4


def test_rows_that_no_group_divides_stay_or_take_a_smaller_one(writer: Any) -> None:
    pytest.importorskip("nncf")

    def kinds(fallback: str) -> set[str]:
        how = {"bits": 4, "group_size": 48, "group_size_fallback": fallback}
        ours = OVModelForCausalLM.from_pretrained(writer[2], quantization_config=how, compile=False)
        nodes = [node for node in ours.model.get_ops() if node.get_type_name() == "Constant"]
        return {node.get_element_type().to_string() for node in nodes}

    assert "u4" not in kinds("ignore") and "u4" in kinds("adjust")
    with pytest.raises(Exception, match="group size"):
        kinds("error")


def test_ways_of_rounding_that_there_are_not() -> None:
    with pytest.raises(QuantizationError, match="did you mean 'nf4'"):
        OVWeightQuantizationConfig(dtype="nf3")
    with pytest.raises(QuantizationError, match="did you mean 'adjust'"):
        OVWeightQuantizationConfig(bits=4, group_size_fallback="ajust")
    with pytest.raises(QuantizationError, match="8 or 4 bits"):
        OVWeightQuantizationConfig(bits=2)
    with pytest.raises(QuantizationError, match="ratio is for bits=4"):
        OVWeightQuantizationConfig(bits=8, ratio=0.5)
    with pytest.raises(QuantizationError, match="pass dataset"):
        OVWeightQuantizationConfig(bits=4, gptq=True)
    with pytest.raises(QuantizationError, match="did you mean 'group_size'"):
        OVModelForFeatureExtraction.from_pretrained("nowhere", quantization_config={"bits": 4, "groupsize": 3})


def test_an_encoder_decoder_reads_once_and_writes_what_torch_writes(tmp_path: Path) -> None:
    model = made(transformers.T5ForConditionalGeneration, transformers.T5Config(**BOTH), tmp_path / "weights")
    OVModelForSeq2SeqLM.from_pretrained(tmp_path / "weights").save_pretrained(tmp_path / "graphs")
    names = {path.name for path in (tmp_path / "graphs").glob("*.xml")}
    assert names == {"openvino_encoder_model.xml", "openvino_decoder_model.xml"}
    ours = OVModelForSeq2SeqLM.from_pretrained(tmp_path / "graphs")
    ids, mask = padded(3, 9)
    start = torch.zeros(3, 1, dtype=torch.long)
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask, decoder_input_ids=start).logits
    assert torch.allclose(ours(ids, mask, start).logits, expected, atol=1e-4)
    for options in ({}, {"num_beams": 2}):
        found, wanted = (
            one.generate(ids, attention_mask=mask, max_new_tokens=8, **options).tolist() for one in (ours, model)
        )
        assert found == wanted


SIGNALS = """
import gc, os, signal, sys
from enfold.optimum.intel import OVModelForSequenceClassification
models = [OVModelForSequenceClassification.from_pretrained(sys.argv[1]) for _ in range(2)]
for model in models:
    model(input_ids=[[2, 9, 3]], attention_mask=[[1, 1, 1]])
while models:  # the first made is the first to go
    del models[0], model
    model = gc.collect()
heard = []
signal.signal(signal.SIGCHLD, lambda *_: heard.append(True))
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
print(heard)
"""


def test_a_process_hears_its_signals_when_models_have_ended(labels: Any) -> None:
    command = [sys.executable, "-X", "faulthandler", "-c", SIGNALS, str(labels[2])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[True]\n"), done.stderr
