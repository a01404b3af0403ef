"""Writing on beside transformers and CTranslate2: greedy search, and many prompts at once; equal tokens first.

    .venv/bin/python benchmarks/generate.py [--pairs 9] [--threads 1] [--new 128] [--only TEXT …] [--ctranslate2]

GPT-2 of 124M parameters and a Llama of SmolLM2-135M's shape, weights drawn. Each side is a process of its own that
keeps its models; the sides take turns, and times are processor time, so that a busy machine slows nobody down in the
table. A ratio is the peer's time over ours, pair by pair: its median, and the lowest and highest. In single precision
the tokens must be the same; in fewer bits sides round differently, and the share of equal tokens is told.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The benchmarks are named after what they measure: `tokenizers.py` beside this file must not hide the library.
sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]

ROOT = Path(__file__).resolve().parent.parent
GPT2 = {"vocab_size": 50257}
SMOLLM2 = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
MODELS = {"GPT-2 124M": ("GPT2LMHeadModel", GPT2), "SmolLM2 135M": ("LlamaForCausalLM", SMOLLM2)}
PRECISIONS = ("float32", "bfloat16", "int8")
PEERS = {"transformers": "models", "ctranslate2": "ctranslate2"}
PROMPT = 16
MANY, LONGEST, CAP = 32, 80, 24  # prompts, their longest, and tokens written at most

Work = Callable[[], Any]
BEGAN = [0.0]  # processor seconds when a work began, models loaded


def random_ids(rows: int, length: int, seed: int = 0) -> list[list[int]]:
    """Return rows of tokens."""
    import random

    draw = random.Random(seed)
    return [[draw.randrange(10, 49000) for _ in range(length)] for _ in range(rows)]


def mixed_prompts() -> list[list[int]]:
    """Return prompts of 8 to 80 tokens."""
    import random

    draw = random.Random(1)
    return [random_ids(1, draw.randrange(8, LONGEST), seed)[0] for seed in range(MANY)]


def ends() -> list[int]:
    """Return many end tokens, so that drawn weights end their texts now and then."""
    import random

    return sorted(random.Random(2).sample(range(10, 49000), 2000))


def library(side: str) -> Any:
    """Import one side's library, without messages."""
    import warnings

    warnings.simplefilter("ignore")
    if side == "transformers":
        import transformers

        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        return transformers
    from enfold import transformers
    from enfold.log import set_verbosity

    set_verbosity("error")
    return transformers


def torch_works(side: str, folder: str, new: int) -> dict[str, Work]:
    """Return what is timed, by name, of a library on torch; models are loaded when they are first asked for."""
    import torch

    transformers = library(side)
    kept: dict[tuple[str, str], Any] = {}

    def model_of(name: str, precision: str) -> Any:
        if (name, precision) not in kept:
            kept.clear()  # one at a time fits into memory
            options: dict[str, Any] = {"dtype": "float32" if precision == "int8" else precision}
            if precision == "int8":
                eight = transformers.TorchAoConfig("int8", include_input_output_embeddings=True)
                options["quantization_config"] = eight
            kept[name, precision] = getattr(transformers, MODELS[name][0]).from_pretrained(
                f"{folder}/{name}", **options
            )
        return kept[name, precision]

    def greedy(name: str, precision: str, rows: int) -> Any:
        ids = torch.tensor(random_ids(rows, PROMPT))
        options = {"max_new_tokens": new, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        found = model_of(name, precision).generate(ids, attention_mask=torch.ones_like(ids), **options)
        return found[:, PROMPT:].tolist()

    def cut(tokens: list[int]) -> list[int]:
        stop = set(ends())
        place = next((place for place, token in enumerate(tokens) if token in stop), len(tokens))
        return tokens[: place + 1]

    def padded(rows: int) -> Any:
        prompts, found = mixed_prompts(), []
        model = model_of("SmolLM2 135M", "float32")
        for start in range(0, MANY, rows):
            part = prompts[start : start + rows]
            longest = max(map(len, part))
            ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in part])
            mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in part])
            options = {"max_new_tokens": CAP, "do_sample": False, "eos_token_id": ends(), "pad_token_id": 0}
            found += [cut(row) for row in model.generate(ids, attention_mask=mask, **options)[:, longest:].tolist()]
        return found

    def engine() -> Any:
        from enfold.transformers.generation.engine import Engine

        writer = Engine(model_of("SmolLM2 135M", "float32"), prefix_cache=False)
        options = {"max_new_tokens": CAP, "do_sample": False, "eos_token_id": ends()}
        return [request.new_tokens for request in writer.generate(mixed_prompts(), **options)]

    def batched() -> Any:
        model = model_of("SmolLM2 135M", "float32")
        config = transformers.GenerationConfig(max_new_tokens=CAP, do_sample=False, eos_token_id=ends(), pad_token_id=0)
        settings = transformers.ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=512)
        found = model.generate_batch(mixed_prompts(), config, continuous_batching_config=settings)
        model.set_attn_implementation("sdpa")
        return [output.generated_tokens for output in found.values()]

    works: dict[str, Work] = {}
    for name in MODELS:
        for precision in PRECISIONS:
            for rows in (1, 8):
                row = f"{name}, {rows} x {new}, {precision}"
                works[row] = lambda name=name, precision=precision, rows=rows: greedy(name, precision, rows)
    ours = side == "ours"
    works["32 prompts at once, beside padded batches of 32"] = engine if ours else lambda: padded(32)
    works["32 prompts at once, beside padded batches of 8"] = engine if ours else lambda: padded(8)
    works["32 prompts at once, beside continuous batching"] = engine if ours else batched
    return works


def ctranslate2_works(folder: str, new: int) -> dict[str, Work]:
    """Return what is timed of CTranslate2."""
    import ctranslate2

    kept: dict[tuple[str, str], Any] = {}

    def greedy(name: str, precision: str, rows: int) -> Any:
        if (name, precision) not in kept:
            kept.clear()
            path = f"{folder}/{name}/ctranslate2"
            kept[name, precision] = ctranslate2.Generator(path, compute_type=precision, intra_threads=1)
            BEGAN[0] = time.process_time()
        prompts = [[f"t{token}" for token in ids] for ids in random_ids(rows, PROMPT)]
        options = {"max_length": new, "min_length": new, "sampling_topk": 1, "include_prompt_in_result": False}
        found = kept[name, precision].generate_batch(prompts, max_batch_size=rows, **options)
        return [result.sequences_ids[0] for result in found]

    works: dict[str, Work] = {}
    for name in MODELS:
        for precision in PRECISIONS:
            for rows in (1, 8):
                row = f"{name}, {rows} x {new}, {precision}"
                works[row] = lambda name=name, precision=precision, rows=rows: greedy(name, precision, rows)
    return works


def serve(side: str, folder: str, threads: int, new: int) -> None:
    """Answer lines on standard input, each the name of a row, with processor seconds and tokens."""
    if side == "ctranslate2":
        table = ctranslate2_works(folder, new)
    else:
        import torch

        torch.set_num_threads(threads)
        table = torch_works(side, folder, new)
    print(json.dumps(list(table)), flush=True)
    for line in sys.stdin:
        try:
            BEGAN[0] = time.process_time()
            found = table[line.strip()]()
            answer: Any = [time.process_time() - BEGAN[0], found]
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


def converted(folder: str) -> None:
    """Make CTranslate2's files of the checkpoints, with words named after their numbers."""
    script = (
        "import sys, json, ctranslate2\n"
        "from ctranslate2.converters import transformers as made\n"
        "for path, size in json.loads(sys.argv[1]).items():\n"
        "    class Words:\n"
        "        unk_token = bos_token = eos_token = 't0'\n"
        "        def get_vocab(self, size=size): return {f't{n}': n for n in range(size)}\n"
        "        def __len__(self, size=size): return size\n"
        "    class Converter(made.TransformersConverter):\n"
        "        def load_tokenizer(self, *_, **__): return Words()\n"
        "    Converter(path).convert(path + '/ctranslate2', force=True)\n"
    )
    sizes = {f"{folder}/{name}": config["vocab_size"] for name, (_, config) in MODELS.items()}
    python = ROOT / ".peers" / "ctranslate2" / "bin" / "python"
    done = subprocess.run([python, "-c", script, json.dumps(sizes)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"CTranslate2 could not read the checkpoints:\n{done.stderr[-2000:]}")


def same(ours: Any, theirs: Any) -> float:
    """Return the share of equal tokens."""
    pairs = [(a, b) for one, other in zip(ours, theirs, strict=True) for a, b in zip(one, other, strict=False)]
    total = sum(max(len(one), len(other)) for one, other in zip(ours, theirs, strict=True))
    return sum(a == b for a, b in pairs) / total


def main() -> None:
    """Make the checkpoints, compare the tokens, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--new", type=int, default=128, help="tokens of greedy search")
    parser.add_argument("--only", nargs="+", default=[""], help="rows whose names hold one of these")
    parser.add_argument("--ctranslate2", action="store_true", help="beside CTranslate2 instead of transformers")
    parser.add_argument("--folder", help="keep the checkpoints here, and take those that are here")
    parser.add_argument("--serve", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve, options.threads, options.new)
        return
    import torch

    from enfold import transformers

    peer = "ctranslate2" if options.ctranslate2 else "transformers"
    pythons = {"ours": sys.executable, peer: str(ROOT / ".peers" / PEERS[peer] / "bin" / "python")}
    with tempfile.TemporaryDirectory() as made_here:
        folder = options.folder or made_here
        for name, (kind, config) in MODELS.items():
            if Path(folder, name, "config.json").exists():
                continue
            torch.manual_seed(0)
            made = getattr(transformers, kind)
            # drawn wider than published, so that one word is clearly the likeliest
            made(made.config_class(**config, initializer_range=0.05)).save_pretrained(f"{folder}/{name}")
        if options.ctranslate2 and not all(Path(folder, name, "ctranslate2").exists() for name in MODELS):
            converted(folder)
        settings = ["--threads", str(options.threads), "--new", str(options.new)]
        servers = {
            side: subprocess.Popen(
                [python, __file__, *settings, "--serve", side, folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for side, python in pythons.items()
        }

        def ask(side: str, line: str) -> Any:
            process = servers[side]
            assert process.stdin is not None and process.stdout is not None
            if line:
                process.stdin.write(line + "\n")
                process.stdin.flush()
            return json.loads(process.stdout.readline())

        names = {side: ask(side, "") for side in servers}
        for name in names["ours"]:
            if name not in names[peer] or not any(part in name for part in options.only):
                continue
            times: dict[str, list[float]] = {side: [] for side in servers}
            share = 1.0
            for turn in range(options.pairs + (options.pairs > 1)):  # of several, the first loads and warms up
                order = list(servers) if turn % 2 else list(reversed(servers))
                answers = {side: ask(side, name) for side in order}
                failed = {side: answer for side, answer in answers.items() if isinstance(answer, str)}
                if failed:
                    print(f"{name:48} not compared: {failed}", flush=True)
                    break
                share = min(share, same(answers["ours"][1], answers[peer][1]))
                if share < 1 and not name.endswith(PRECISIONS[1:]):
                    sys.exit(f"{name}: {share:.1%} of the tokens are the same; no time is reported")
                if turn or options.pairs == 1:
                    for side in servers:
                        times[side].append(answers[side][0])
            if failed:
                continue
            ratios = sorted(b / a for a, b in zip(times["ours"], times[peer], strict=True))
            print(
                f"{name:48} ours {statistics.median(times['ours']):7.2f} s   {peer} "
                f"{statistics.median(times[peer]):7.2f} s   ratio {statistics.median(ratios):5.2f}"
                f"  ({ratios[0]:.2f} … {ratios[-1]:.2f}, n={len(ratios)}, {share:.0%} of the tokens equal)",
                flush=True,
            )
        for process in servers.values():
            process.terminate()


if __name__ == "__main__":
    main()
