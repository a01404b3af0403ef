"""Answer questions from texts of your own: find them, put them in order, and let a small model write from them.

    enfold serve writer=PATH_OF_A_CHAT_MODEL finder=PATH_OF_MINILM --port 8000
    python examples/rag/rag.py                                  # a page with a field for questions
    python examples/rag/rag.py --question "Who saved the people of the Petrel?"

The README beside this file explains every step.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from enfold.datasets import Dataset, load_dataset

HERE = Path(__file__).parent
PROMPT = """Read the text and answer the question.

Text: {passages}

Question: {question}"""


class Server:
    """The few calls that are made of the server; any other with OpenAI's routes and a ``/v1/rerank`` will do."""

    def __init__(self, address: str, writer: str | None, finder: str | None, judge: str | None) -> None:
        self.client = httpx.Client(base_url=address, timeout=300)
        self.writer, self.finder, self.judge = writer, finder, judge or finder

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.client.post(path, json={name: value for name, value in body.items() if value is not None})
        if answer.status_code != 200:
            raise SystemExit(f"the server says: {answer.text}")
        return answer.json()

    def vectors(self, texts: list[str]) -> list[list[float]]:
        """One vector for each text; texts that mean alike have vectors that point alike."""
        found = self.ask("/v1/embeddings", {"model": self.finder, "input": texts})
        return [row["embedding"] for row in found["data"]]

    def scores(self, question: str, texts: list[str]) -> list[float]:
        """How well each text answers the question."""
        body = {"model": self.judge, "query": question, "documents": texts}
        found = {row["index"]: row["relevance_score"] for row in self.ask("/v1/rerank", body)["results"]}
        return [found[place] for place in range(len(texts))]

    def written(self, prompt: str) -> Iterator[str]:
        """An answer, piece by piece as the model writes it."""
        body = {"messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": 80, "stream": True}
        body |= {"model": self.writer} if self.writer else {}
        with self.client.stream("POST", "/v1/chat/completions", json=body) as lines:
            if lines.status_code != 200:
                raise SystemExit(f"the server says: {lines.read().decode()}")
            for line in lines.iter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    for choice in json.loads(line.removeprefix("data: "))["choices"]:
                        yield choice["delta"].get("content") or ""


def library(server: Server, file: str) -> Dataset:
    """Step 1: read the passages, give each its vector, and build an index over the vectors."""
    rows = load_dataset("json", data_files=file, split="train")
    texts = [f"{row['title']}: {row['text']}" for row in rows]
    return rows.add_column("vector", server.vectors(texts)).add_faiss_index("vector", metric_type=0)


def found(server: Server, rows: Dataset, question: str, wide: int, most: int) -> list[dict[str, Any]]:
    """Steps 2 and 3: the nearest ``wide`` passages by their vectors, and of these the best ``most`` by a closer look.

    A vector tells what a whole passage is about; an answer is often one sentence of it. So every sentence is scored
    for itself, and a passage is as good as its best one.
    """
    _, near = rows.get_nearest_examples("vector", server.vectors([question])[0], k=min(wide, len(rows)))
    sentences = [
        (place, sentence) for place, text in enumerate(near["text"]) for sentence in re.split(r"(?<=[.!?;]) ", text)
    ]
    scores = server.scores(question, [f"{near['title'][place]}: {sentence}" for place, sentence in sentences])
    best: dict[int, float] = {}
    for (place, _), score in zip(sentences, scores, strict=True):
        best[place] = max(score, best.get(place, score))
    order = sorted(best, key=lambda place: -best[place])[:most]
    return [{"title": near["title"][at], "text": near["text"][at], "score": best[at]} for at in order]


def answer(server: Server, question: str, passages: list[dict[str, Any]]) -> Iterator[str]:
    """Step 4: let the model write from the passages; yields the answer so far."""
    shown = "\n".join(row["text"] for row in passages)
    text = ""
    for piece in server.written(PROMPT.format(passages=shown, question=question)):
        text += piece
        yield text


def page(server: Server, rows: Dataset, options: argparse.Namespace) -> Any:
    """A page: a question in, the answer as it is written, and what it was written from."""
    import enfold.gradio as gr

    def reply(question: str) -> Iterator[tuple[str, list[list[Any]]]]:
        if not question.strip():
            raise gr.Error("Write a question first.", print_exception=False)
        passages = found(server, rows, question, options.wide, options.most)
        table = [[row["title"], row["text"], round(row["score"], 3)] for row in passages]
        yield "…", table
        for text in answer(server, question, passages):
            yield text, table

    return gr.Interface(
        reply,
        gr.Textbox(label="Question", placeholder="When is the museum open?"),
        [
            gr.Markdown(label="Answer", show_label=True),
            gr.Dataframe(headers=["Passage", "Text", "Score"], label="Written from", wrap=True, interactive=False),
        ],
        title="Ask the museum",
        description="The answer is written by a small model from the passages below it, which were found for it.",
        examples=["Who was the last keeper?", "What does a night visit cost?", "When was the great lens made?"],
        flagging_mode="never",
        api_name="ask",
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="http://127.0.0.1:8000", help="address of `enfold serve`")
    parser.add_argument("--writer", help="name of the model that writes; by default the server's first")
    parser.add_argument("--finder", help="name of the model that makes vectors; by default the server's first")
    parser.add_argument("--judge", help="name of a model of pairs (cross-encoder); by default vectors are compared")
    parser.add_argument("--passages", default=str(HERE / "passages.jsonl"), help="rows with a title and a text")
    parser.add_argument("--wide", type=int, default=8, help="passages that the index finds")
    parser.add_argument(
        "--most", type=int, default=1, help="passages that the model reads; larger models make use of more"
    )
    parser.add_argument("--question", action="append", help="answer this and end, without a page (repeatable)")
    parser.add_argument("--port", type=int, default=7860, help="of the page; 0 for any free one")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    server = Server(options.server, options.writer, options.finder, options.judge)
    rows = library(server, options.passages)
    if not options.question:
        page(server, rows, options).launch(server_port=options.port)
        return
    for question in options.question:
        passages = found(server, rows, question, options.wide, options.most)
        *_, text = ["", *answer(server, question, passages)]
        print(f"question = {question}\nanswer = {text.strip()}\nfrom = {', '.join(row['title'] for row in passages)}")


if __name__ == "__main__":
    main()
