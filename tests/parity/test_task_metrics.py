"""Metrics of tasks and of models beside the packages that define them: bert_score, CharCut, TrecTools."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold.evaluate import load
from enfold.evaluate.embeddings import LAYERS

pytestmark = pytest.mark.peer

WORDS = "the cat sat on a mat dog ran (hi) it's 3.5 end. Ünïcode estimate estimated week, weeks".split()
CHOICES: list[dict[str, Any]] = [{}, {"num_layers": 1}, {"num_layers": 2, "idf": True}]

# Packages that the peers load for other ends (plots, web pages, programs) are not installed: empty modules stand in.
SCRIPTS = """
import json, sys, types
for name in ("bs4", "lxml.etree", "matplotlib", "matplotlib.pyplot", "sarge"):
    module = sys.modules[name] = types.ModuleType(name)
    module.BeautifulSoup = module.run = module.Capture = None
import pandas
from charcut import calculate_charcut
from trectools import TrecEval, TrecQrel, TrecRun

data = json.loads(open(sys.argv[1]).read())
pairs = list(zip(data["said"], data["right"]))
out = {"charcut": [calculate_charcut([a], [b])[0] for a, b in pairs],
       "charcut_all": calculate_charcut(data["said"], data["right"])[0], "trec": []}
for run, qrel in data["trec"]:
    mine, theirs = TrecRun(), TrecQrel()
    mine.run_data, theirs.qrels_data = pandas.DataFrame(run), pandas.DataFrame(qrel)
    judge = TrecEval(mine, theirs)
    found = {"runid": judge.run.get_runid(), "num_ret": judge.get_retrieved_documents(),
             "num_rel": judge.get_relevant_documents(), "num_rel_ret": judge.get_relevant_retrieved_documents(),
             "num_q": len(judge.run.topics()), "map": judge.get_map(depth=10000),
             "gm_map": judge.get_geometric_map(depth=10000), "bpref": judge.get_bpref(),
             "recip_rank": judge.get_reciprocal_rank()}
    for depth in (5, 10, 15, 20, 30, 100, 200, 500, 1000):
        found[f"P@{depth}"] = judge.get_precision(depth=depth)
        found[f"NDCG@{depth}"] = judge.get_ndcg(depth=depth)
    out["trec"].append({key: value if isinstance(value, str) else float(value) for key, value in found.items()})
print(json.dumps(out))
"""

MODELS = """
import json, os, sys, types
for name in ("matplotlib", "matplotlib.pyplot", "mpl_toolkits", "mpl_toolkits.axes_grid1"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["mpl_toolkits.axes_grid1"].make_axes_locatable = None
import torch, transformers
from bert_score import BERTScorer, utils

folders, data, choices = sys.argv[1], json.loads(open(sys.argv[2]).read()), json.loads(sys.argv[3])
small = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24, initializer_range=0.3)
out = {"layers": dict(utils.model2layers)}
for name in ("bert", "roberta"):
    tokenizer = transformers.AutoTokenizer.from_pretrained(f"{folders}/{name}")
    torch.manual_seed(0)
    maker = getattr(transformers, {"bert": "BertModel", "roberta": "RobertaModel"}[name])
    model = maker(maker.config_class(vocab_size=len(tokenizer), max_position_embeddings=130, pad_token_id=1, **small))
    for key, value in model.named_parameters():
        # similarities of one sign, as those of real models are: bert_score's padding counts as 0
        if key.endswith("LayerNorm.bias"):
            value.data.fill_(0.7)
    model.save_pretrained(f"{folders}/{name}")
    utils.model2layers[f"{folders}/{name}"] = 3
    out[name] = []
    for options in choices:
        texts = [text for group in data["many"] for text in group]
        rare = texts if options.get("idf") else None
        scorer = BERTScorer(f"{folders}/{name}", device="cpu", nthreads=0, idf_sents=rare, **options)
        found = scorer.score(data["plain"], data["many"])
        out[name].append([column.tolist() for column in found])
print(json.dumps(out))
"""

PERPLEXITIES = """
import json, sys
import torch, transformers

folder, texts, choices = sys.argv[1], json.loads(open(sys.argv[2]).read())["plain"], json.loads(sys.argv[3])
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
torch.manual_seed(1)
config = transformers.GPT2Config(vocab_size=len(tokenizer), n_positions=80, n_embd=16, n_layer=2, n_head=2,
                                 initializer_range=0.4, bos_token_id=tokenizer.bos_token_id)
model = transformers.GPT2LMHeadModel(config).eval()
model.save_pretrained(folder)
out = []
for options in choices:
    found = []
    for text in texts:  # one at a time, without padding: the definition
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        start = [tokenizer.bos_token_id] if options.get("add_start_token", True) else []
        if options.get("max_length"):
            ids = ids[: options["max_length"] - len(start)]
        ids = torch.tensor([start + ids])
        with torch.no_grad():
            found.append(float(torch.exp(model(ids, labels=ids).loss)))
    out.append(found)
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def corpus() -> dict[str, Any]:
    rng = random.Random(4)

    def text(least: int = 0) -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(least, 18)))

    def moved(reference: str) -> str:
        parts = reference.split(" ")
        place = rng.randrange(len(parts) + 1)
        parts = [word if rng.random() < 0.8 else word[::-1] for word in parts[place:] + parts[:place]]
        return " ".join(word for word in parts if rng.random() < 0.9)

    right = [text() for _ in range(150)]
    trec = []
    for number in range(6):
        run: dict[str, list] = {key: [] for key in ("query", "q0", "docid", "rank", "score", "system")}
        qrel: dict[str, list] = {key: [] for key in ("query", "q0", "docid", "rel")}
        for query in range(number + 1):
            for name in rng.sample(range(40), rng.randint(1, 30)):
                for key, value in (
                    ("query", query),
                    ("q0", "0"),
                    ("docid", f"d{name}"),
                    ("rel", rng.choice([0, 0, 1, 2])),
                ):
                    qrel[key].append(value)
            for rank, name in enumerate(rng.sample(range(40), rng.randint(1, 30))):
                row = (query, "q0", f"d{name}", rank, rng.choice([0.5, 1.0, 1.5]), "system")
                for key, value in zip(run, row, strict=True):
                    run[key].append(value)
        trec.append([run, qrel])
    return {
        "right": right,
        "said": [moved(reference) if rng.random() < 0.7 else text() for reference in right],
        "trec": trec,
        "plain": [text(1) for _ in range(30)],
        "many": [[text(1) for _ in range(rng.randint(1, 3))] for _ in range(30)],
    }


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], corpus: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("corpus") / "corpus.json"
    path.write_text(json.dumps(corpus))
    return peer(SCRIPTS, path)


def test_charcut_is_its_package(corpus: dict[str, Any], theirs: Any) -> None:
    metric = load("charcut_mt")
    got = [metric.compute([a], [b])["charcut_mt"] for a, b in zip(corpus["said"], corpus["right"], strict=True)]
    assert got == pytest.approx(theirs["charcut"], abs=1e-12)
    assert metric.compute(corpus["said"], corpus["right"])["charcut_mt"] == pytest.approx(theirs["charcut_all"])


def test_trec_eval_is_trectools(corpus: dict[str, Any], theirs: Any) -> None:
    for (run, qrel), expected in zip(corpus["trec"], theirs["trec"], strict=True):
        got = load("trec_eval").compute(predictions=[run], references=[qrel])
        assert len(got) == len(expected) + 1  # TrecTools' R-precision is wrong with the peers' pandas
        for name, value in expected.items():
            assert got[name] == (value if isinstance(value, str) else pytest.approx(value, abs=1e-12, nan_ok=True)), (
                name
            )


def test_bertscore_is_bert_score(
    peer: Callable[..., Any], corpus: dict[str, Any], folders: Path, tmp_path: Path
) -> None:
    for name, source in (("bert", "wordpiece"), ("roberta", "bytes-roberta")):
        shutil.copytree(folders / source, tmp_path / name)
        (tmp_path / name / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": f"{name.title()}Tokenizer", "model_max_length": 128})
        )
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": name}))
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps(corpus))
    expected = peer(MODELS, tmp_path, path, CHOICES)
    assert expected["layers"] == LAYERS
    for name in ("bert", "roberta"):
        for options, columns in zip(CHOICES, expected[name], strict=True):
            got = load("bertscore").compute(
                corpus["plain"],
                corpus["many"],
                model_type=str(tmp_path / name),
                use_fast_tokenizer=True,  # transformers 5 has no others
                **{"num_layers": 3, **options},
            )
            for key, column in zip(("precision", "recall", "f1"), columns, strict=True):
                assert got[key] == pytest.approx(column, abs=2e-5), (name, options, key)


def test_perplexity_is_that_of_the_ecosystems_model(
    peer: Callable[..., Any], corpus: dict[str, Any], folders: Path, tmp_path: Path
) -> None:
    shutil.copytree(folders / "bytes", tmp_path / "causal")
    (tmp_path / "causal" / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "model_max_length": 80})
    )
    (tmp_path / "causal" / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    path = tmp_path / "corpus.json"
    long = [text for text in corpus["plain"] if len(text) > 20]
    path.write_text(json.dumps({"plain": long}))
    choices: list[dict[str, Any]] = [{}, {"add_start_token": False}, {"max_length": 5, "batch_size": 3}]
    expected = peer(PERPLEXITIES, tmp_path / "causal", path, choices)
    assert len(long) > 15 and len({round(value) for value in expected[0]}) > 10
    for kind in ("metric", "measurement"):
        for options, values in zip(choices, expected, strict=True):
            got = load("perplexity", module_type=kind).compute(long, model_id=str(tmp_path / "causal"), **options)
            assert got["perplexities"] == pytest.approx(values, rel=2e-5), options
            assert got["mean_perplexity"] == pytest.approx(sum(values) / len(values), rel=2e-5)
