"""Import, page weight, queued calls and memory of demos, beside gradio 6.31.0 when an environment has it.

``python benchmarks/gradio.py [--peer PYTHON] [--pairs 9] [--calls 200] [--golden FILE]``

PYTHON is the interpreter of an environment with gradio, by default the one that ``python tools/peers.py gradio`` makes;
without it only our own figures are printed, and no ratio. Both sides serve the same function from
one process; a call is ``/queue/join`` and ``/queue/data`` over plain HTTP, and its result is checked. Sides take turns
and the ratio is the median over the pairs. Pages are loaded by Chromium with a cold cache: a text demo, a
conversation, and one of 500 fields. Memory is the resident set of the serving process: what a thousand open
heartbeats add, and what ten thousand calls add after the first two thousand. ``--only`` picks parts.

``--golden`` writes what gradio says of the page in ``tests/parity/test_gradio_client.py`` into a file.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

CHAT = """
import sys
MODULE
demo = gr.ChatInterface(lambda message, history: message[::-1], api_name="echo")
demo.queue(default_concurrency_limit=None)
_, url, _ = demo.launch(prevent_thread_lock=True, server_port=int(sys.argv[1]), quiet=True)
print(url, flush=True)
sys.stdin.read()
"""
MANY = """
import sys
MODULE
with gr.Blocks() as demo:
    state = gr.State(0)
    fields = []
    for part in range(50):
        with gr.Row():
            fields += [gr.Textbox(label=f"Field {part} {number}") for number in range(10)]
    gr.Button("Submit").click(lambda *a: len(a), fields, fields[0])
_, url, _ = demo.launch(prevent_thread_lock=True, server_port=int(sys.argv[1]), quiet=True)
print(url, flush=True)
sys.stdin.read()
"""
SERVER = """
import sys
MODULE
ins, outs = gr.Textbox(label="In"), gr.Textbox(label="Out")
demo = gr.Interface(lambda text: text[::-1], ins, outs, title="Echo", api_name="echo")
demo.queue(default_concurrency_limit=None)
_, url, _ = demo.launch(prevent_thread_lock=True, server_port=int(sys.argv[1]), quiet=True)
print(url, flush=True)
sys.stdin.read()
"""
MODULES = {"enfold": "import enfold.gradio as gr", "gradio": "import gradio as gr"}
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "GRADIO_SSR_MODE": "False"}

GOLDEN = """
import json, sys
import gradio as gr
with gr.Blocks() as demo:
    text = gr.Textbox(label="Headline", lines=2)
    number, slider = gr.Number(), gr.Slider(0, 10, 3, label="S")
    tick, radio = gr.Checkbox(label="c"), gr.Radio(["a", ("B", "b")], label="r")
    drop, many = gr.Dropdown(["x", "y"]), gr.Dropdown(["x", "y"], multiselect=True)
    group, label, tree = gr.CheckboxGroup(["p", "q"]), gr.Label(num_top_classes=2), gr.JSON()
    words, state = gr.Markdown("# hi"), gr.State(1)
    with gr.Row(), gr.Column():
        button = gr.Button("go")
    inputs = [text, number, slider, tick, radio, drop, many, group, state]
    button.click(lambda *a: a, inputs, [label, tree, words, state], api_name="all")
    button.click(lambda a: a, text, text).then(lambda a: a, text, text).success(lambda: None)
config, info = demo.get_config_file(), demo.get_api_info()
ids = {entry["id"]: number for number, entry in enumerate(config["components"])}
def numbered(branch):
    return [ids.get(branch["id"], "root"), *(numbered(child) for child in branch.get("children", []))]
kept = ["type", "props", "skip_api", "api_info", "example_inputs"]
for entry in config["components"]:
    if entry["type"] == "state":
        entry["props"] = {k: v for k, v in entry["props"].items() if k not in ("time_to_live", "delete_callback")}
for entry in config["dependencies"]:
    entry["targets"] = [[ids.get(block), event] for block, event in entry["targets"]]
    entry["inputs"] = [ids[block] for block in entry["inputs"]]
    entry["outputs"] = [ids[block] for block in entry["outputs"]]
for described in info["named_endpoints"].values():
    described.pop("code_snippets", None)
    for each in described["parameters"] + described["returns"]:
        each["label"] = each["label"].rstrip("0123456789")
golden = {"kept": kept, "layout": numbered(config["layout"]), "dependencies": config["dependencies"], "info": info}
golden["components"] = [{k: entry[k] for k in kept if k in entry} for entry in config["components"]]
print(json.dumps(golden, indent=1))
"""


def start(python: str, module: str, server: str = SERVER) -> tuple[subprocess.Popen[str], str]:
    """Serve the demo from a process of its own; returns it and the demo's address."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = server.replace("MODULE", MODULES[module])
    process = subprocess.Popen(
        [python, "-c", code, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **QUIET},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("http"):
            return process, line.strip()
    raise SystemExit(f"{module} did not start")


def calls(url: str, count: int, users: int) -> tuple[float, float]:
    """Queued calls a second, ``count`` by each of so many users at once, and the median time of one in ms.

    Each result is checked.
    """
    times: list[float] = []
    host = url.removeprefix("http://").rstrip("/")
    problems: list[str] = []

    def user() -> None:
        connection = http.client.HTTPConnection(host, timeout=30)
        stream = http.client.HTTPConnection(host, timeout=30)
        session = uuid.uuid4().hex
        headers = {"Content-Type": "application/json", "x-gradio-user": "api"}
        for number in range(count):
            text = f"call {number}"
            body = json.dumps({"data": [text], "fn_index": 0, "session_hash": session})
            sent = time.perf_counter()
            connection.request("POST", "/gradio_api/queue/join", body, headers)
            event = json.loads(connection.getresponse().read())["event_id"]
            stream.request("GET", f"/gradio_api/queue/data?session_hash={session}")
            found = [json.loads(part[5:]) for part in stream.getresponse().read().decode().split("\n\n") if part]
            times.append((time.perf_counter() - sent) * 1000)
            done = [each for each in found if each["msg"] == "process_completed" and each["event_id"] == event]
            if not done or done[0]["output"]["data"] != [text[::-1]]:
                problems.append(f"{url}: wrong answer to {text!r}")

    threads = [threading.Thread(target=user) for _ in range(users)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    if problems:
        raise SystemExit(problems[0])
    return count * users / seconds, statistics.median(times)


def resident(process: subprocess.Popen[str]) -> float:
    """Resident memory of a process in kB."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return float(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1])


def idle_sessions(process: subprocess.Popen[str], url: str, count: int = 1000) -> float:
    """kB that each of so many visitors adds who only keep their heartbeat open."""
    import socket

    host, port = url.removeprefix("http://").rstrip("/").split(":")
    before = resident(process)
    open_ = []
    for _ in range(count):
        one = socket.create_connection((host, int(port)))
        request = f"GET /gradio_api/heartbeat/{uuid.uuid4().hex} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
        one.sendall(request.encode())
        open_.append(one)
    for one in open_:
        one.settimeout(30)
        assert b"200" in one.recv(64)
    time.sleep(1)
    after = resident(process)
    for one in open_:
        one.close()
    return (after - before) / count


def growth(process: subprocess.Popen[str], url: str, count: int) -> float:
    """MB that so many calls add, after a fifth of them has warmed everything."""
    calls(url, max(1, count // 40), 8)
    before = resident(process)
    calls(url, max(1, count // 8), 8)
    return (resident(process) - before) / 1024


def importing(python: str, module: str) -> float:
    """Milliseconds of the import, in a fresh process."""
    code = f"import time; t = time.perf_counter()\n{MODULES[module]}\ngr.Interface\nprint(time.perf_counter() - t)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **QUIET})
    return float(done.stdout.split()[-1]) * 1000


def pages(sides: dict[str, str], text: dict[str, str], rounds: int, note: Any) -> None:
    """Load the pages in turn, and note their weight and the time until they can be used."""
    others = {
        (side, name): start(python, side, server)
        for side, python in sides.items()
        for name, server in (("chat", CHAT), ("many", MANY))
    }
    try:
        for _ in range(rounds):
            for name in ("text", "chat", "many"):
                for side in sides:
                    url = text[side] if name == "text" else others[side, name][1]
                    requests, size, ready = weigh(url, "textarea" if name == "chat" else "button:has-text('Submit')")
                    note(f"requests {name}", side, requests)
                    note(f"page {name}", side, size / 1000)
                    note(f"ready {name}", side, ready)
    finally:
        for process, _ in others.values():
            process.kill()


def weigh(url: str, ready: str) -> tuple[int, int, float]:
    """Requests, bytes on the wire and milliseconds until the page can be used: an open browser with an empty cache."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_context().new_page()
        page.route("**/*", lambda route: route.continue_() if "127.0.0.1" in route.request.url else route.abort())
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        sizes: list[int] = []
        network.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
        page.goto(url + "no-such-page")  # the browser and its renderer are up, as a visitor's are
        page.wait_for_timeout(300)
        sizes.clear()
        begun = time.perf_counter()
        page.goto(url)
        page.locator(ready).first.wait_for()
        seconds = (time.perf_counter() - begun) * 1000
        page.wait_for_timeout(500)
        browser.close()
    return len(sizes), sum(sizes), seconds


def row(name: str, ours: list[float], theirs: list[float], unit: str, more_is_better: bool) -> None:
    """Print one figure, and the ratio where there is a peer."""
    text = f"{name:<34} enfold {statistics.median(ours):>9.1f} {unit}"
    if theirs:
        text += f"   gradio {statistics.median(theirs):>9.1f} {unit}"
        pairs = [(a, b) if more_is_better else (b, a) for a, b in zip(ours, theirs, strict=True)]
        if all(below for _, below in pairs):  # memory that does not grow has no ratio
            text += f"   {statistics.median(above / below for above, below in pairs):.1f} x"
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = Path(__file__).resolve().parent.parent / ".peers" / "gradio" / "bin" / "python"
    parser.add_argument("--peer", default=str(known) if known.exists() else None, help="an interpreter with gradio")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--only", nargs="*", default=["import", "calls", "pages", "memory"])
    parser.add_argument("--growth", type=int, default=10_000, help="calls after which memory is compared")
    parser.add_argument("--golden", type=Path, default=None)
    asked = parser.parse_args()
    if asked.golden:
        if not asked.peer:
            raise SystemExit("--golden needs --peer")
        done = subprocess.run([asked.peer, "-c", GOLDEN], capture_output=True, text=True, env={**os.environ, **QUIET})
        if done.returncode:
            raise SystemExit(done.stderr)
        asked.golden.write_text(done.stdout)
        return
    sides: dict[str, str] = {"enfold": sys.executable} | ({"gradio": asked.peer} if asked.peer else {})
    figures: dict[str, dict[str, list[Any]]] = {}

    def note(what: str, side: str, value: float) -> None:
        figures.setdefault(what, {"enfold": [], "gradio": []})[side].append(value)

    servers = {side: start(python, side) for side, python in sides.items()}
    try:
        for _, url in servers.values():
            calls(url, 20, 1)  # warm
        for _ in range(asked.pairs):
            for side, python in sides.items():
                if "import" in asked.only:
                    note("import", side, importing(python, side))
            for users in (1, 10, 100) if "calls" in asked.only else ():
                for side, (_, url) in servers.items():
                    rate, middle = calls(url, max(1, asked.calls // users), users)
                    note(f"calls {users}", side, rate)
                    note(f"p50 {users}", side, middle)
        if "pages" in asked.only and shutil.which("chromium"):
            pages(sides, {side: url for side, (_, url) in servers.items()}, min(3, asked.pairs), note)
        if "memory" in asked.only:
            for side, (process, url) in servers.items():
                note("growth", side, growth(process, url, asked.growth))
    finally:
        for process, _ in servers.values():
            process.kill()
    if "memory" in asked.only:
        for side, python in sides.items():
            process, url = start(python, side, MANY)
            try:
                note("idle", side, idle_sessions(process, url))
            finally:
                process.kill()
    for what, name, unit, better in (
        ("import", "import", "ms", False),
        ("calls 1", "queued calls, 1 user", "/s", True),
        ("calls 10", "queued calls, 10 users", "/s", True),
        ("calls 100", "queued calls, 100 users", "/s", True),
        ("p50 10", "one call, median of 10 users", "ms", False),
        ("p50 100", "one call, median of 100 users", "ms", False),
        ("requests text", "text page, requests", "", False),
        ("page text", "text page, bytes on the wire", "kB", False),
        ("ready text", "text page, until it can be used", "ms", False),
        ("requests chat", "conversation, requests", "", False),
        ("page chat", "conversation, bytes on the wire", "kB", False),
        ("ready chat", "conversation, until it can be used", "ms", False),
        ("ready many", "500 fields, until they can be used", "ms", False),
        ("idle", "an idle visitor, memory", "kB", False),
        ("growth", "memory added by many calls", "MB", False),
    ):
        if what in figures:
            row(name, figures[what]["enfold"], figures[what]["gradio"], unit, better)


if __name__ == "__main__":
    main()
