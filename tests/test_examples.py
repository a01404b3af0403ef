"""Every example explains itself, trains a tiny model for a few steps on the data beside it, and leaves a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from enfold.transformers import pipeline

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

# script → tiny model of its family, further arguments, measures it must print, task of a pipeline on what it wrote
RUNS: dict[str, tuple[str, list[str], list[str], str | None]] = {
    "text_classification": ("google-bert/bert-base-uncased", [], ["eval_accuracy"], "text-classification"),
    "token_classification": ("distilbert/distilbert-base-cased", [], ["eval_f1"], "token-classification"),
    "question_answering": (
        "distilbert/distilbert-base-cased",
        [],
        ["eval_exact_match", "eval_f1"],
        "question-answering",
    ),
    "masked_language_modeling": ("google-bert/bert-base-uncased", ["--width", "24"], ["eval_perplexity"], "fill-mask"),
    "causal_language_modeling": ("openai-community/gpt2", ["--width", "24"], ["eval_perplexity"], "text-generation"),
    "summarization": ("google/flan-t5-small", ["--beams", "2"], ["eval_rouge1", "eval_rougeL"], None),
    "translation": ("Helsinki-NLP/opus-mt-en-fr", [], ["eval_bleu"], None),
    "image_classification": (
        "google/vit-base-patch16-224",
        ["--rows", "40"],
        ["eval_accuracy"],
        "image-classification",
    ),
    "speech_recognition": ("facebook/wav2vec2-base-960h", [], ["eval_wer", "eval_cer"], None),
}


def test_every_example_is_run_and_short() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*RUNS, "diffusion_digits"}  # tests/diffusers runs it
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 120, path.name


# All examples in one process, so that libraries are imported once: {name: [printed, error]} as the last line.
RUNNER = """
import contextlib, io, json, os, runpy, sys, traceback
results = {}
for name, (script, arguments) in json.loads(sys.argv[1]).items():
    printed, error = io.StringIO(), None
    sys.argv = [script, *arguments]
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(script, run_name="__main__")
    except SystemExit as left:
        error = None if not left.code else f"left with {left.code}"
    except BaseException:
        error = traceback.format_exc()
    results[name] = [printed.getvalue(), error]
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory, fixture_repositories: Path) -> tuple[Path, dict[str, list[str]]]:
    folder = tmp_path_factory.mktemp("examples")
    plan = {"help": (str(EXAMPLES / "text_classification.py"), ["--help"])}
    for name, (model, more, _, _) in RUNS.items():
        start = str(fixture_repositories / "models" / model)
        arguments = ["--model", start, "--steps", "3", "--output", str(folder / name), *more]
        plan[name] = (str(EXAMPLES / f"{name}.py"), arguments)
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(folder / "home")}
    command = [sys.executable, "-c", RUNNER, json.dumps(plan)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_examples_explain_themselves(outputs: tuple[Path, dict[str, list[str]]]) -> None:
    shown, error = outputs[1]["help"]
    assert not error and "python examples/text_classification.py" in shown and "--steps" in shown


@pytest.mark.parametrize("name", RUNS)
def test_example_trains_and_leaves_a_model(name: str, outputs: tuple[Path, dict[str, list[str]]]) -> None:
    _, _, measures, task = RUNS[name]
    shown, error = outputs[1][name]
    assert not error, error
    printed = {line.split("=")[0].strip() for line in shown.splitlines() if "=" in line}
    assert set(measures) <= printed
    made = outputs[0] / name
    lines = [json.loads(line) for line in (made / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 3 and any("train_loss" in line for line in lines)
    assert (made / "model.safetensors").stat().st_size > 1000
    if task is not None:
        pipeline(task, model=str(made))
