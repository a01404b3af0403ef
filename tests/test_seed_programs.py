"""The programs that the project was created from run unchanged, on our libraries and against the fixture Hub.

Where the ecosystem's wheels can still run a program's deterministic part, its numbers are compared with theirs on the
same checkpoints.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.pipelines.comparing import same

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "seed_programs"
PACKAGE = HERE.parent / "src" / "enfold"
SIBLINGS = (
    "accelerate", "datasets", "diffusers", "evaluate", "gradio", "huggingface_hub", "optimum", "peft", "tokenizers",
    "transformers", "trl",
)  # fmt: skip

# `python -m enfold.dropin PROGRAM` with a look at what is left behind: where every module of the ecosystem came from,
# and the values of some expressions in the program's own names.
WRAPPER = """
import json, sys
program, report, expressions, siblings = sys.argv[1], sys.argv[2], *map(json.loads, sys.argv[3:5])
from enfold.dropin.__main__ import main
main([program])
names = vars(sys.modules["__main__"])
found = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())
         if name.partition(".")[0] in siblings}
values = {key: eval(text, names) for key, text in expressions.items()}
with open(report, "w") as file:
    json.dump({"modules": found, "values": values}, file)
"""


@dataclass(frozen=True)
class Run:
    """What a program printed, the values asked for, and the folder it ran in."""

    output: str
    values: dict[str, Any]
    folder: Path


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """Run a seed program: ``run("01_auto_classes.py", environment, imports, **expressions)``."""

    def start(name: str, environment: dict[str, str], imports: set[str], **expressions: str) -> Run:
        folder, report = tmp_path / "empty", tmp_path / "report.json"
        folder.mkdir()
        arguments = [str(PROGRAMS / name), str(report), json.dumps(expressions), json.dumps(SIBLINGS)]
        done = subprocess.run(
            [sys.executable, "-c", WRAPPER, *arguments],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, (
            f"{name} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
        )
        content = json.loads(report.read_text())
        assert imports <= set(content["modules"])
        for module, file in content["modules"].items():
            assert file is not None and Path(file).is_relative_to(PACKAGE), f"{module} is not ours: {file}"
        return Run(done.stdout, content["values"], folder)

    return start


@pytest.fixture
def environment(fixture_hub: Any, tmp_path: Path) -> dict[str, str]:
    """A process environment with the fixture Hub, a token that may write and an empty HF_HOME."""
    return fixture_hub.environment(tmp_path / "hf_home", CUDA_VISIBLE_DEVICES="")


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """A process environment for programs that need no Hub: any request would fail."""
    return {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "none", "HF_HOME": str(tmp_path / "hf_home")}


PEER_MODELS = """
import json, sys, os
from pathlib import Path
import numpy, torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer, pipeline

models = Path(sys.argv[1]) / "models"
bert, gpt2 = models / "google-bert/bert-base-uncased", models / "openai-community/gpt2"
llama = models / "meta-llama/Llama-2-7b-hf"
sst2 = models / "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
with torch.no_grad():
    tokenizer = AutoTokenizer.from_pretrained(bert)
    inputs = tokenizer("Hello, how are you?", return_tensors="pt")
    out = AutoModel.from_pretrained(bert)(**inputs)
    arrays = {"input_ids": inputs["input_ids"], "hidden": out.last_hidden_state, "pooled": out.pooler_output}
    arrays["masked"] = AutoModelForMaskedLM.from_pretrained(bert)(**inputs).logits[..., :500]
    arrays["causal"] = AutoModelForCausalLM.from_pretrained(gpt2)(input_ids=inputs["input_ids"]).logits[..., :500]
    prompt = AutoTokenizer.from_pretrained(llama)("Explain quantum computing in simple terms", return_tensors="pt")
    arrays["prompt"] = prompt["input_ids"]
    arrays["merged"] = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)(**prompt).logits[..., :500]
numpy.savez(os.environ["PEER_NPZ"], **{name: array.numpy() for name, array in arrays.items()})
texts = ["I've been waiting for a HuggingFace course my whole life.", "I hate this so much!"]
classifier = pipeline("sentiment-analysis", model=str(sst2))
print(json.dumps({
    "ids": AutoTokenizer.from_pretrained(sst2)(texts, padding=True)["input_ids"],
    "sentiment": classifier(["I love this", "I hate this"]),
}))
"""


PEER_GENERATES = """
import json, sys
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

models = Path(sys.argv[1]) / "models"
tokenizer = AutoTokenizer.from_pretrained(models / "google/flan-t5-small")
read = tokenizer("Write a plan for weekend.", return_tensors="pt")
written = AutoModelForSeq2SeqLM.from_pretrained(models / "google/flan-t5-small").generate(**read, max_new_tokens=50)
prompt = AutoTokenizer.from_pretrained(models / "openai-community/gpt2")("Once upon a time", return_tensors="pt")
gpt2 = AutoModelForCausalLM.from_pretrained(models / "openai-community/gpt2")
greedy = gpt2.generate(prompt["input_ids"], max_new_tokens=20, num_beams=3, do_sample=False, pad_token_id=50256)
print(json.dumps({"read": read["input_ids"].tolist(), "written": written.tolist(), "greedy": greedy.tolist()}))
"""


PEER_ANSWERS = """
import json, sys
from pathlib import Path
import torch
from transformers import AutoModelForCausalLM, AutoModelForQuestionAnswering, AutoTokenizer, pipeline

models = Path(sys.argv[1]) / "models"
make = lambda task, name, **options: pipeline(task, model=str(models / name), device=-1, **options)
sst2 = make("text-classification", "distilbert/distilbert-base-uncased-finetuned-sst-2-english")
zero = make("zero-shot-classification", "facebook/bart-large-mnli")
stars = make("text-classification", "nlptown/bert-base-multilingual-uncased-sentiment")
ner = make("ner", "dbmdz/bert-large-cased-finetuned-conll03-english", aggregation_strategy="simple")
masked = make("fill-mask", "google-bert/bert-base-uncased")
answer = {
    "classes": sst2(["I love this product!", "This is terrible.", "It's okay, nothing special."]),
    "stars": stars("This product is amazing!"),
    "entities": ner("My name is John and I work at Google in New York."),
    "words": masked("The capital of France is [MASK]."),
    "topics": zero("This is a tutorial about NLP", candidate_labels=["technology", "sports", "politics"]),
}
roberta = models / "deepset/roberta-base-squad2"
inputs = AutoTokenizer.from_pretrained(roberta)("What is the capital?", "Paris is the capital of France.",
                                                return_tensors="pt")
with torch.no_grad():
    out = AutoModelForQuestionAnswering.from_pretrained(roberta)(**inputs)
answer["span"] = [out.start_logits.tolist(), out.end_logits.tolist()]
talk = models / "microsoft/DialoGPT-small"
ids = AutoTokenizer.from_pretrained(talk)("Hello there", return_tensors="pt")["input_ids"]
answer["talk"] = AutoModelForCausalLM.from_pretrained(talk).generate(ids, max_new_tokens=5).tolist()
print(json.dumps(answer, default=float))
"""


@pytest.fixture(scope="module")
def answered(peer: Callable[..., Any], fixture_repositories: Path) -> dict[str, Any]:
    """What the ecosystem's own pipelines and heads answer from the same checkpoints."""
    return peer(PEER_ANSWERS, fixture_repositories)


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], fixture_repositories: Path) -> dict[str, Any]:
    """What the ecosystem's own wheels say on the same checkpoints."""
    return peer(PEER_MODELS, fixture_repositories)


def assert_close(ours: dict[str, Any], theirs: dict[str, Any], **tolerances: float) -> None:
    for name, tolerance in tolerances.items():
        np.testing.assert_allclose(ours[name], theirs[name], atol=tolerance, rtol=tolerance, err_msg=name)


def test_01_auto_classes(run: Any, environment: dict[str, str], theirs: dict[str, Any]) -> None:
    cut = ".logits[..., :500].tolist()"
    result = run(
        "01_auto_classes.py",
        environment,
        {"transformers"},
        input_ids="inputs['input_ids'].tolist()",
        hidden="outputs.last_hidden_state.tolist()",
        pooled="outputs.pooler_output.tolist()",
        masked="mlm_model.eval()(**inputs)" + cut,
        causal="generator.eval()(input_ids=inputs['input_ids'])" + cut,
    )
    assert_close(result.values, theirs, input_ids=0, hidden=1e-5, pooled=1e-5, masked=1e-5, causal=1e-5)
    assert "Last hidden state: torch.Size([1, 8, 32])" in result.output


def test_02_generate(
    run: Any, environment: dict[str, str], peer: Callable[..., Any], fixture_repositories: Path
) -> None:
    result = run(
        "02_generate.py",
        environment,
        {"transformers"},
        beams="list(outputs.shape)",
        read="encoded_input['input_ids'].tolist()",
        written="output.tolist()",
        greedy="__import__('transformers').AutoModelForCausalLM.from_pretrained('gpt2').generate("
        "inputs['input_ids'], max_new_tokens=20, num_beams=3, do_sample=False, pad_token_id=50256).tolist()",
    )
    expected = peer(PEER_GENERATES, fixture_repositories)
    assert result.output.startswith("Once upon a time") and result.values["beams"][0] == 3
    assert {name: result.values[name] for name in expected} == expected


def test_03_datasets(run: Any, environment: dict[str, str]) -> None:
    pytest.importorskip("pandas")  # the program makes a frame
    result = run(
        "03_datasets.py",
        environment,
        {"datasets", "transformers"},
        features="sorted(tokenized_dataset.column_names)",
        sizes="[len(train_test['train']), len(train_test['test'])]",
    )
    assert result.values["features"] == ["attention_mask", "input_ids", "label", "token_type_ids"]
    assert result.values["sizes"] == [80, 20] and "unsupervised" in result.output


def test_04_csv_json(run: Any, offline: dict[str, str]) -> None:
    run("04_csv_json.py", offline, {"datasets"})


def test_05_hub(run: Any, environment: dict[str, str]) -> None:
    result = run("05_hub.py", environment, {"huggingface_hub", "transformers"}, found="found", user="user")
    assert any(name.endswith("bert-base-uncased") for name in result.values["found"])
    assert (result.folder / "my-model" / "model.safetensors").exists()
    assert (result.folder / "model_cache" / "models--sentence-transformers--all-MiniLM-L6-v2").is_dir()
    assert f"models--{result.values['user']}--my-model-name" in result.output, "the path of config.json in the cache"


def test_06_pipelines_text(run: Any, environment: dict[str, str], answered: dict[str, Any]) -> None:
    result = run(
        "06_pipelines_text.py",
        environment,
        {"transformers", "datasets"},
        classes="classifier(texts)",
        stars="sentiment('This product is amazing!')",
        entities="ner('My name is John and I work at Google in New York.')",
        words="fill_mask('The capital of France is [MASK].')",
        topics="result",
    )
    for name, answer in result.values.items():
        same(answer, answered[name], place=name)


def test_07_pipelines_vision_audio(run: Any, environment: dict[str, str]) -> None:
    imports = {"transformers", "datasets"}
    result = run("07_pipelines_vision_audio.py", environment, imports, heard="[d['text'] for d in result]")
    assert str(result.values["heard"]) in result.output


def test_08_trainer(run: Any, environment: dict[str, str]) -> None:
    result = run("08_trainer.py", environment, {"transformers", "datasets"}, results="results")
    assert 0 <= result.values["results"]["eval_accuracy"] <= 1 and result.values["results"]["epoch"] == 3
    assert (result.folder / "my_fine_tuned_model" / "model.safetensors").exists()
    assert len(list((result.folder / "results").glob("checkpoint-*"))) == 3


def test_09_training_loop(run: Any, environment: dict[str, str]) -> None:
    result = run("09_training_loop.py", environment, {"transformers", "datasets"}, rate="lr_scheduler.get_last_lr()")
    assert [line for line in result.output.splitlines() if line.startswith("Epoch 3 Average Loss: ")]
    assert result.values["rate"] == [0.0, *[0.0] * (len(result.values["rate"]) - 1)]


def test_10_tokenizers(run: Any, offline: dict[str, str]) -> None:
    result = run("10_tokenizers.py", offline, {"tokenizers"})
    assert [line.split()[0] for line in result.output.splitlines()] == ["BPE", "WordPiece", "Unigram"]


def test_11_evaluate(run: Any, offline: dict[str, str]) -> None:
    run("11_evaluate.py", offline, {"evaluate"})


def test_12_peft_lora(run: Any, environment: dict[str, str], theirs: dict[str, Any]) -> None:
    result = run(
        "12_peft_lora.py",
        environment,
        {"transformers", "peft"},
        prompt="inputs['input_ids'].tolist()",
        merged="merged.eval().float()(**inputs).logits[..., :500].tolist()",
    )
    # fresh adapters change nothing, so that the merged model is still the base model
    assert_close(result.values, theirs, prompt=0, merged=1e-4)
    assert "trainable params: 2,048" in result.output


def test_13_accelerate(run: Any, offline: dict[str, str]) -> None:
    result = run("13_accelerate.py", offline, {"accelerate"}, loss="loss.item()")
    assert result.output.split() == ["loss", str(result.values["loss"])]


def test_15_gradio(run: Any, environment: dict[str, str], peer: Callable[..., Any], tmp_path: Path) -> None:
    # The ecosystem's own client, alone from its environment: it is no part of ours.
    home = peer("import json, gradio_client\nprint(json.dumps(gradio_client.__path__[0]))")
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "gradio_client").symlink_to(home)
    given = environment | {"PYTHONPATH": str(tmp_path / "client"), "GRADIO_TEMP_DIR": str(tmp_path / "files")}
    result = run(
        "15_gradio.py", given, {"gradio", "transformers"}, label="predict('I love this')", running="blocks.is_running"
    )
    assert set(result.values["label"]) == {"POSITIVE", "NEGATIVE"} and result.values["running"] is False


def test_16_fastapi(run: Any, environment: dict[str, str]) -> None:
    run("16_fastapi.py", environment, {"transformers"})


def test_17_tensorflow(run: Any, environment: dict[str, str], theirs: dict[str, Any]) -> None:
    result = run(
        "17_tensorflow.py",
        environment,
        {"transformers"},
        ids="inputs['input_ids'].numpy().tolist()",
        logits="outputs.logits.numpy().tolist()",
        torch="__import__('transformers').AutoModelForSequenceClassification.from_pretrained(checkpoint)("
        "**tokenizer(raw_inputs, padding=True, return_tensors='pt')).logits.tolist()",
    )
    assert result.values["ids"] == theirs["ids"]
    np.testing.assert_allclose(result.values["logits"], result.values["torch"], atol=1e-5)


def test_18_optimum(run: Any, environment: dict[str, str], answered: dict[str, Any]) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    result = run(
        "18_optimum.py",
        environment,
        {"optimum", "transformers"},
        classes="classifier(['I love this product!', 'This is terrible.', \"It's okay, nothing special.\"])",
    )
    same(result.values["classes"], answered["classes"], place="classes", tolerance=1e-4)
    assert "POSITIVE" in result.output or "NEGATIVE" in result.output


def test_19_trl(run: Any, environment: dict[str, str]) -> None:
    result = run("19_trl.py", environment, {"trl", "datasets", "transformers"}, step="trainer.state.global_step")
    assert result.values["step"] == 2


def test_20_token_ids(run: Any, environment: dict[str, str], theirs: dict[str, Any]) -> None:
    result = run("20_token_ids.py", environment, {"transformers"}, ids="inputs['input_ids'].tolist()")
    assert result.values["ids"] == theirs["ids"]


def test_21_service_and_story(run: Any, environment: dict[str, str], theirs: dict[str, Any]) -> None:
    result = run("21_service_and_story.py", environment, {"transformers"}, story="story")
    expected = theirs["sentiment"]
    assert [row["label"] for row in expected] == ["POSITIVE", "NEGATIVE"]
    for line, row in zip(result.output.splitlines()[:2], expected, strict=True):
        label, score = line.split(", ")
        assert label == row["label"] and float(score) == pytest.approx(row["score"], abs=1e-4)
    assert len(result.values["story"]) > len("In a magical forest, there lived a")


def test_22_task_heads(run: Any, environment: dict[str, str], answered: dict[str, Any]) -> None:
    result = run(
        "22_task_heads.py",
        environment,
        {"transformers"},
        span="[answer.start_logits.tolist(), answer.end_logits.tolist()]",
        talk="out.tolist()",  # the last of both models
    )
    same(result.values["span"], answered["span"], tolerance=1e-5)
    assert result.values["talk"] == answered["talk"]


def test_24_ppo(run: Any, environment: dict[str, str]) -> None:
    result = run("24_ppo.py", environment, {"trl", "datasets", "transformers"}, step="trainer.state.global_step")
    assert result.values["step"] == 2


def test_14_diffusers(run: Any, environment: dict[str, str]) -> None:
    result = run(
        "14_diffusers.py", environment, {"diffusers"}, parts="sorted(pipe.components)", size="list(image.size)"
    )
    assert result.values["size"] == [64, 64] and {"unet", "vae", "text_encoder", "scheduler"} <= {
        *result.values["parts"]
    }


def test_25_controlnet(run: Any, environment: dict[str, str]) -> None:
    result = run(
        "25_controlnet.py", environment, {"diffusers"}, same="guided.unet is pipe.unet", size="list(image.size)"
    )
    assert result.values == {"same": True, "size": [64, 64]}


def test_26_cards_and_files(run: Any, environment: dict[str, str]) -> None:
    run("26_cards_and_files.py", environment, {"huggingface_hub", "transformers"})


def test_23_qlora_prefix(run: Any, environment: dict[str, str]) -> None:
    losses = "losses"  # of the prefix, the last of both
    result = run("23_qlora_prefix.py", environment, {"transformers", "peft"}, losses=losses, bits="str(qlora)")
    assert result.values["losses"][-1] < result.values["losses"][0]
    assert "Linear4bit" in result.values["bits"] and "kind=nf4" in result.values["bits"]


def test_27_music_rag_languages(run: Any, environment: dict[str, str]) -> None:
    result = run("27_music_rag_languages.py", environment, {"transformers"}, scores="scores.tolist()")
    np.testing.assert_allclose(result.values["scores"][0][0], 1.0, atol=1e-5)


def test_the_command_itself_runs_a_program(offline: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "enfold.dropin", str(PROGRAMS / "11_evaluate.py")]
    done = subprocess.run(command, env=offline, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_program_is_the_original() -> None:
    originals = HERE.parent.parent / "shared" / "acceptance" / "seed_programs"
    copies = sorted(PROGRAMS.glob("*.py"))
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert copies and {path.stem for path in copies} <= tested
    if not originals.is_dir():
        pytest.skip("the originals are not here")
    for path in copies:
        assert path.read_bytes() == (originals / path.name).read_bytes(), f"{path.name} differs from the original"
