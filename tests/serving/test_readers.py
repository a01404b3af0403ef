"""Models that read, behind a real server process and asked by the official clients: vectors, order, speech, tasks."""

from __future__ import annotations

import asyncio
import base64
import functools
import io
import json
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

import enfold.transformers as tf
import tiny_models
from enfold.errors import EnfoldError
from enfold.serving import transcribing
from enfold.serving.batching import Batches
from enfold.serving.errors import ServingError
from enfold.serving.readers import kind_of
from enfold.serving.sentences import Steps
from enfold.serving.subtitles import as_srt, as_vtt

openai = pytest.importorskip("openai")

post = functools.partial(httpx.post, timeout=300)

SERVER = """
import json, sys
import torch
from enfold.serving.app import create_app
from enfold.serving.readers import load_reader
from enfold.serving.service import Service
from enfold.web.server import BackgroundServer
torch.set_num_threads(1)
service = Service()
for source, name in json.loads(sys.argv[1]):
    service.add(load_reader(source, name))
with BackgroundServer(create_app(service)) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""
SHAPE: dict[str, Any] = {
    "vocab_size": len(tiny_models.WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 24,
}  # fmt: skip
TEXTS = ["the cat sat", "a dog sat on the mat", "cat", "the dog on a mat sat on the cat"]


def bert(folder: Path, kind: Any, seed: int, **options: Any) -> str:
    torch.manual_seed(seed)
    return tiny_models.folder(folder, kind(tf.BertConfig(**SHAPE, **options)).eval())


def sentence_model(folder: Path) -> str:
    """A folder as sentence-transformers writes it: mean pooling, then length 1."""
    bert(folder, tf.BertModel, 0)
    names = ("Transformer", "Pooling", "Normalize")
    rows = [
        {
            "idx": at,
            "name": str(at),
            "path": f"{at}_{name}" if at else "",
            "type": f"sentence_transformers.models.{name}",
        }
        for at, name in enumerate(names)
    ]
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True})
    )
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 20, "do_lower_case": False}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"question": "the dog "}}))
    return str(folder)


def whisper(folder: Path) -> str:
    """A Whisper that hears windows of two seconds and writes a few letters, drawn at random."""
    special = ["endoftext", "startoftranscript", "en", "de", "translate", "transcribe", "startoflm", "startofprev"]
    words = [*"abcdefgh", "Ġ", *(f"<|{name}|>" for name in [*special, "nospeech", "notimestamps"])]
    extra = [f"<|{name}|>" for name in [*special[1:], "nospeech", "notimestamps"]]
    tokenizer = tf.WhisperTokenizer({word: at for at, word in enumerate(words)}, [], additional_special_tokens=extra)
    tokenizer.add_tokens([f"<|{step * 0.02:.2f}|>" for step in range(101)])
    id_of = tokenizer.convert_tokens_to_ids
    end = id_of("<|endoftext|>")
    torch.manual_seed(3)
    config = tf.WhisperConfig(
        vocab_size=len(words) + 101, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_source_positions=100, num_mel_bins=8,
        max_target_positions=40, pad_token_id=end, bos_token_id=end, eos_token_id=end, suppress_tokens=None,
        begin_suppress_tokens=None, decoder_start_token_id=id_of("<|startoftranscript|>"),
    )  # fmt: skip
    model = tf.WhisperForConditionalGeneration(config)
    with torch.no_grad():
        model.proj_out.weight[:8] *= 8  # letters are likelier than times
        model.model.encoder.layers[0].fc2.weight.normal_()  # what is heard matters
        model.model.decoder.layers[0].encoder_attn.v_proj.weight.normal_()
        model.model.decoder.layers[0].encoder_attn.out_proj.weight.normal_()
    settings = dict(
        max_length=14, no_timestamps_token_id=id_of("<|notimestamps|>"), is_multilingual=True,
        lang_to_id={f"<|{code}|>": id_of(f"<|{code}|>") for code in ("en", "de")}, alignment_heads=[[0, 0], [0, 1]],
        task_to_id={task: id_of(f"<|{task}|>") for task in ("translate", "transcribe")},
        prev_sot_token_id=id_of("<|startofprev|>"), pad_token_id=end, eos_token_id=end,
        decoder_start_token_id=config.decoder_start_token_id, suppress_tokens=[*range(8, len(words))],
    )  # fmt: skip
    model.generation_config = tf.GenerationConfig(**settings)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tf.WhisperFeatureExtractor(feature_size=8, chunk_length=2).save_pretrained(folder)
    return str(folder)


def recording(seconds: float, rate: int = 16000, pitch: float = 0.05) -> bytes:
    """A tone as a WAV file."""
    samples = (8000 * np.sin(np.arange(round(seconds * rate)) * pitch)).astype("<i2")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return stream.getvalue()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name → folder of what is served."""
    home = tmp_path_factory.mktemp("readers")
    labels = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
    vit = tf.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8,
        **labels,
    )  # fmt: skip
    torch.manual_seed(5)
    tf.ViTForImageClassification(vit).save_pretrained(home / "see")
    tf.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(home / "see")
    return {
        "sentences": sentence_model(home / "sentences"),
        "pairs": bert(home / "pairs", tf.BertForSequenceClassification, 1, num_labels=1),
        "judge": bert(home / "judge", tf.BertForSequenceClassification, 2, **labels),
        "names": bert(home / "names", tf.BertForTokenClassification, 4, **labels),
        "speech": whisper(home / "speech"),
        "see": str(home / "see"),
    }


@pytest.fixture(scope="module")
def server(folders: dict[str, str]) -> Iterator[str]:
    """The address of a process that serves all of them."""
    given = json.dumps([[folder, name] for name, folder in folders.items()])
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, given], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http"), "the server did not start"
        yield url
        process.stdin.close()
        assert process.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def client(server: str) -> Any:
    """OpenAI's client."""
    return openai.OpenAI(base_url=f"{server}/v1", api_key="any", max_retries=0)


def expected(folder: str, texts: list[str]) -> np.ndarray:
    """Vectors, one text at a time: the mean of the last states, of length 1."""
    model, tokenizer = tf.AutoModel.from_pretrained(folder).eval(), tf.AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        rows.append(torch.nn.functional.normalize(states.mean(0), dim=0).numpy())
    return np.stack(rows)


# --- vectors


def test_vectors_are_pooled_as_the_folder_says(client: Any, folders: dict[str, str]) -> None:
    found = client.embeddings.create(model="sentences", input=TEXTS)  # the client asks for base64 by itself
    wanted = expected(folders["sentences"], TEXTS)
    np.testing.assert_allclose([each.embedding for each in found.data], wanted, atol=1e-6)
    assert [each.index for each in found.data] == [0, 1, 2, 3]
    assert found.model == "sentences" and found.usage.prompt_tokens == found.usage.total_tokens == 19
    plain = client.embeddings.create(model="sentences", input=TEXTS[1], encoding_format="float")
    np.testing.assert_allclose(plain.data[0].embedding, wanted[1], atol=1e-6)


def test_token_ids_are_read_as_they_are(client: Any, folders: dict[str, str]) -> None:
    ids = tf.AutoTokenizer.from_pretrained(folders["sentences"])(TEXTS[1])["input_ids"]
    one = client.embeddings.create(model="sentences", input=ids).data[0].embedding
    both = client.embeddings.create(model="sentences", input=[ids, ids[:3]]).data
    wanted = expected(folders["sentences"], [TEXTS[1]])[0]
    np.testing.assert_allclose(one, wanted, atol=1e-6)
    np.testing.assert_allclose(both[0].embedding, wanted, atol=1e-6)
    assert np.abs(np.subtract(both[1].embedding, wanted)).max() > 1e-3


def test_shortened_vectors_have_length_one_again(client: Any, folders: dict[str, str]) -> None:
    found = client.embeddings.create(model="sentences", input=TEXTS, dimensions=5)
    cut = expected(folders["sentences"], TEXTS)[:, :5]
    np.testing.assert_allclose(
        [each.embedding for each in found.data], cut / np.linalg.norm(cut, axis=1, keepdims=True), atol=1e-6
    )


@pytest.mark.parametrize(
    ("wrong", "status", "told"),
    [
        ({"input": []}, 400, "empty list"),
        ({"input": ""}, 400, "is empty"),
        ({"input": ["cat", " "]}, 400, "input[1] is empty"),
        ({"input": [[1, 2], []]}, 400, "input[1] is empty"),
        ({"input": [1, 999]}, 400, "999 is not one of the model's 11"),
        ({"input": [1, "cat"]}, 400, "input[0] must be a text"),
        ({"input": None}, 400, "input is missing"),
        ({"input": "cat " * 40}, 400, "has 40 tokens; this model reads 20"),
        ({"input": ["cat"] * 2049}, 413, "at most 2048"),
        ({"dimensions": 0}, 400, "from 1 to 16"),
        ({"dimensions": 17}, 400, "from 1 to 16"),
        ({"encoding_format": "base46"}, 400, "did you mean 'base64'"),
        ({"model": "sentence"}, 404, "did you mean 'sentences'"),
        ({"model": "judge"}, 404, "served for text-classification"),
        ({"prompt_name": "query"}, 400, "'question'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(server: str, wrong: dict[str, Any], status: int, told: str) -> None:
    answer = post(f"{server}/v1/embeddings", json={"model": "sentences", "input": "cat", **wrong})
    assert (answer.status_code, told in answer.json()["error"]["message"]) == (status, True), answer.text


def test_tei_cuts_and_normalizes_where_asked(server: str, folders: dict[str, str]) -> None:
    def ask(**body: Any) -> Any:
        return post(f"{server}/embed", json=body)

    np.testing.assert_allclose(ask(inputs=TEXTS).json(), expected(folders["sentences"], TEXTS), atol=1e-6)
    long = "cat " * 40
    assert ask(inputs=long).status_code == 400 and ask(inputs=long).json()["error_type"] == "validation"
    np.testing.assert_allclose(
        ask(inputs=long, truncate=True).json(), expected(folders["sentences"], ["cat " * 20]), atol=1e-6
    )
    led = ask(inputs="cat", prompt_name="question").json()
    np.testing.assert_allclose(led, expected(folders["sentences"], ["the dog cat"]), atol=1e-6)


def test_many_at_once_get_each_their_own(client: Any, folders: dict[str, str]) -> None:
    texts = [" ".join(tiny_models.WORDS[4 + (at + step) % 7] for step in range(1 + at % 9)) for at in range(40)]
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda text: client.embeddings.create(model="sentences", input=text).data[0], texts))
    np.testing.assert_allclose([each.embedding for each in found], expected(folders["sentences"], texts), atol=1e-5)


def test_what_waits_shares_a_batch_and_spoils_no_other() -> None:
    seen: list[list[int]] = []
    begun, go = threading.Event(), threading.Event()

    def run(items: list[int]) -> list[int]:
        seen.append(items)
        if items == [0]:
            begun.set()
            go.wait(10)
        if 3 in items:
            raise ValueError("three")
        return [10 * item for item in items]

    async def ask() -> list[Any]:
        batches: Batches[int, int] = Batches(run, size=4, waiting=6)
        first = asyncio.create_task(batches(0))
        await asyncio.to_thread(begun.wait, 10)
        others = [asyncio.create_task(batches(item)) for item in range(1, 7)]
        await asyncio.sleep(0)
        with pytest.raises(ServingError, match="6 requests wait"):
            await batches(9)
        others[1].cancel()  # whoever leaves is not computed for
        await asyncio.sleep(0)
        go.set()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        batches.close()
        return found

    found = asyncio.run(ask())
    assert seen == [[0], [1, 3, 4, 5], [1], [3], [4], [5], [6]]
    assert isinstance(found[2], asyncio.CancelledError) and str(found[3]) == "three"
    assert [found[at] for at in (0, 1, 4, 5, 6)] == [0, 10, 40, 50, 60]


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, lambda s: s[0]),
        ({"pooling_mode_max_tokens": True}, lambda s: s.max(0)),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, lambda s: s.sum(0) / np.sqrt(3)),
        ({"pooling_mode_weightedmean_tokens": True}, lambda s: (s[0] + 2 * s[1] + 3 * s[2]) / 6),
        ({"pooling_mode": "lasttoken"}, lambda s: s[2]),
        (
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
            lambda s: np.concatenate([s[0], s.mean(0)]),
        ),
    ],
)
def test_every_pooling(tmp_path: Path, told: dict[str, Any], wanted: Callable[[Any], Any]) -> None:
    kinds = [{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "1_Pooling"}]
    (tmp_path / "modules.json").write_text(json.dumps(kinds))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(told))
    states = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(Steps.read(tmp_path).pooled(states), wanted(states.numpy()), rtol=1e-6)


def test_a_dense_layer_follows_and_strange_modules_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    kinds = [{"type": "x.Transformer", "path": ""}, {"type": "x.Dense", "path": "2_Dense"}]
    (tmp_path / "modules.json").write_text(json.dumps(kinds))
    (tmp_path / "2_Dense").mkdir()
    told = {
        "in_features": 2,
        "out_features": 1,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    (tmp_path / "2_Dense" / "config.json").write_text(json.dumps(told))
    weights = {"linear.weight": torch.tensor([[1.0, 2.0]]), "linear.bias": torch.tensor([0.5])}
    save_file(weights, tmp_path / "2_Dense" / "model.safetensors")
    found = Steps.read(tmp_path).finished(torch.tensor([[0.1, 0.2]]))
    assert found.item() == pytest.approx(np.tanh(1.0))
    for row, told_ in (
        ({"type": "os.system", "path": ""}, "system"),
        ({"type": "x.Dense", "path": "../2_Dense"}, "outside"),
    ):
        (tmp_path / "modules.json").write_text(json.dumps([row]))
        with pytest.raises(EnfoldError, match=told_):
            Steps.read(tmp_path)


def test_models_say_what_they_are_for(folders: dict[str, str]) -> None:
    assert {name: kind_of(folder) for name, folder in folders.items()} == {
        "sentences": "embedding", "pairs": "rerank", "judge": "text-classification", "names": "token-classification",
        "speech": "transcription", "see": "image-classification",
    }  # fmt: skip


# --- order


def test_texts_are_put_in_the_order_of_a_model_of_pairs(server: str, folders: dict[str, str]) -> None:
    model = tf.AutoModelForSequenceClassification.from_pretrained(folders["pairs"]).eval()
    tokenizer = tf.AutoTokenizer.from_pretrained(folders["pairs"])
    with torch.no_grad():
        logits = [model(**tokenizer("a cat", text, return_tensors="pt")).logits.item() for text in TEXTS]
    best = sorted(range(4), key=lambda at: -logits[at])
    chances = [1 / (1 + np.exp(-logits[at])) for at in best]
    for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
        asked = {"query": "a cat", "documents": [TEXTS[0], {"text": TEXTS[1]}, *TEXTS[2:]], "top_n": 3}
        found = post(server + path, json={**asked, "return_documents": True}).json()
        assert [each["index"] for each in found["results"]] == best[:3] and found["model"] == "pairs"
        np.testing.assert_allclose([each["relevance_score"] for each in found["results"]], chances[:3], atol=1e-6)
        assert [each["document"]["text"] for each in found["results"]] == [TEXTS[at] for at in best[:3]]
    tei = post(f"{server}/rerank", json={"query": "a cat", "texts": TEXTS, "raw_scores": True}).json()
    np.testing.assert_allclose([each["score"] for each in tei], [logits[at] for at in best], atol=1e-6)
    assert "text" not in tei[0]


def test_vectors_order_texts_where_they_are_named(server: str, folders: dict[str, str]) -> None:
    asked = {"model": "sentences", "query": "a cat", "documents": TEXTS}
    found = post(f"{server}/v1/rerank", json=asked).json()["results"]
    vectors = expected(folders["sentences"], ["a cat", *TEXTS])
    wanted = vectors[1:] @ vectors[0]
    assert [each["index"] for each in found] == np.argsort(-wanted).tolist()


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"query": "cat", "documents": []}, 400, "empty list"),
        ({"query": "", "documents": ["cat"]}, 400, "query is missing or empty"),
        ({"query": "cat", "documents": "cat"}, 400, "must be a list"),
        ({"query": "cat", "documents": ["cat"], "top_n": 0}, 400, "at least 1"),
        ({"query": "cat " * 40, "documents": ["cat"]}, 400, "of 24 some must be left"),
        ({"query": "cat", "texts": ["cat " * 40]}, 400, "this model reads 24"),
        ({"query": "cat", "documents": ["cat"] * 1001}, 413, "at most 1000"),
        ({"query": "cat", "documents": ["cat"], "model": "paris"}, 404, "did you mean 'pairs'"),
    ],
)
def test_an_order_that_cannot_be_is_refused(server: str, body: dict[str, Any], status: int, told: str) -> None:
    answer = post(f"{server}/rerank", json=body)
    assert (answer.status_code, told in answer.json()["error"]) == (status, True), answer.text
    cut = post(f"{server}/v1/rerank", json={"query": "cat", "documents": ["cat " * 40]})
    assert cut.status_code == 200  # Cohere and Jina cut long texts


# --- transcripts


def test_transcripts_in_every_form(client: Any, folders: dict[str, str]) -> None:
    pipe = tf.pipeline("automatic-speech-recognition", model=folders["speech"])
    heard = recording(1.5)

    def ask(**options: Any) -> Any:
        return client.audio.transcriptions.create(model="speech", file=("tone.wav", heard), language="de", **options)

    wanted = pipe(heard, generate_kwargs={"language": "de"})["text"].strip()
    assert wanted and ask().text == wanted and ask(response_format="text") == wanted + "\n"
    whole = ask(response_format="verbose_json", timestamp_granularities=["segment", "word"])
    assert (whole.language, whole.duration, whole.usage.seconds) == ("german", 1.5, 1.5)
    assert "".join(part.text for part in whole.segments).strip() == whole.text
    for part in whole.segments:
        assert 0 <= part.start <= part.end <= 1.5 and part.avg_logprob < 0 and 0 <= part.no_speech_prob <= 1
        assert part.tokens and part.compression_ratio >= 0 and part.seek % 1 == 0
    assert "".join(word.word for word in whole.words) == whole.text.replace(" ", "")
    assert ask(response_format="vtt").startswith("WEBVTT\n\n00:00:")
    assert ask(response_format="srt").startswith("1\n00:00:")


def test_how_sure_it_was_is_the_mean_of_its_tokens(client: Any, folders: dict[str, str]) -> None:
    heard = recording(1.5)
    whole = client.audio.transcriptions.create(
        model="speech", file=("tone.wav", heard), language="de", response_format="verbose_json"
    )
    pipe = tf.pipeline("automatic-speech-recognition", model=folders["speech"])
    features = next(iter(pipe.preprocess(heard)))["input_features"]
    out = pipe.model.generate(
        features, language="de", return_timestamps=True, return_segments=True, return_dict_in_generate=True,
        output_scores=True,
    )  # fmt: skip
    first = out["segments"][0][0]
    low, high = first["idxs"]
    begin = len(first["result"]["sequences"]) - len(first["result"]["scores"])
    scores = [float(first["result"]["scores"][at - begin].log_softmax(-1)[first["result"]["sequences"][at]])
              for at in range(low, high)]  # fmt: skip
    # the last token before the length ran out is never seen by a processor
    seen = scores if high < len(first["result"]["sequences"]) else scores[:-1]
    assert whole.segments[0].avg_logprob == pytest.approx(sum(seen) / len(seen), abs=1e-4)


def test_long_recordings_are_heard_in_windows(client: Any) -> None:
    found = client.audio.transcriptions.create(
        model="speech", file=("tone.wav", recording(5.0, 8000)), response_format="verbose_json"
    )
    assert found.duration == 5.0 and found.language in ("english", "german")
    seeks = [part.seek for part in found.segments]
    assert seeks == sorted(seeks) and len(set(seeks)) >= 3 and found.segments[-1].end <= 5.0


def test_translations_prompts_and_temperature(client: Any, server: str) -> None:
    with pytest.warns(DeprecationWarning):
        client.audio.translations.create(model="speech", file=("tone.wav", recording(1.0)))
    answer = post(
        f"{server}/v1/audio/translations", files={"file": recording(1.0)}, data={"response_format": "verbose_json"}
    ).json()
    assert answer["task"] == "translate" and answer["language"] == "english"
    led = post(
        f"{server}/v1/audio/transcriptions",
        files={"file": recording(1.0)},
        data={"prompt": "abc", "temperature": "0.5"},
    )
    assert led.status_code == 200 and "text" in led.json()


def test_recordings_that_arrive_together_get_each_their_own(client: Any) -> None:
    def ask(seconds: float) -> str:
        found = client.audio.transcriptions.create(model="speech", file=("tone.wav", recording(seconds)), language="en")
        return str(found.text)

    lengths = [0.3, 0.9, 1.4, 1.9]
    alone = [ask(seconds) for seconds in lengths]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, lengths * 3)) == alone * 3


@pytest.mark.parametrize(
    ("file", "data", "status", "told"),
    [
        (b"", {}, 400, "the file is empty"),
        (b"this is no sound", {}, 400, "no recording that can be read"),
        (recording(0), {}, 400, "no samples"),
        (None, {"model": "speech"}, 400, "file is missing"),
        (recording(1), {"response_format": "verbose"}, 400, "verbose_json"),
        (recording(1), {"temperature": "2"}, 400, "from 0 to 1"),
        (recording(1), {"language": "klingon"}, 400, "unknown language"),
        (recording(1), {"model": "sentences"}, 404, "served for embedding"),
        (recording(1), {"stream": "true"}, 400, "stream"),
        (recording(1), {"timestamp_granularities[]": "word"}, 400, "verbose_json"),
        (recording(1), {"prompt": "<|en|>"}, 400, "special token"),
    ],
)
def test_what_cannot_be_written_down_is_refused(
    server: str, file: bytes | None, data: dict[str, str], status: int, told: str
) -> None:
    files: Any = {"file": ("a.wav", file)} if file is not None else {"other": ("a.wav", b"x")}
    answer = post(f"{server}/v1/audio/transcriptions", files=files, data=data)
    assert (answer.status_code, told in answer.json()["error"]["message"]) == (status, True), answer.text


def test_a_file_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(transcribing.decoded(recording(1.0, 8000), 16000)) == 16000
    monkeypatch.setattr(transcribing, "MOST_SAMPLES", 7999)
    with pytest.raises(ServingError, match="8000 samples") as refused:
        transcribing.decoded(recording(1.0, 8000), 16000)
    assert refused.value.status == 413


def test_subtitles_keep_their_marks_to_themselves() -> None:
    parts = [{"start": 3661.5, "end": 3662.0, "text": " one\n\n--> two <b>"}]
    assert as_srt(parts) == "1\n01:01:01,500 --> 01:01:02,000\none -> two <b>\n"
    assert as_vtt(parts) == "WEBVTT\n\n01:01:01.500 --> 01:01:02.000\none -&gt; two &lt;b&gt;\n"


# --- tasks

PEER = """
import json, sys
from huggingface_hub import InferenceClient

url, sound, picture = sys.argv[1:]
def at(name): return InferenceClient(f"{url}/models/{name}", token="any")
told = {
    "labels": [[x.label, x.score] for x in at("judge").text_classification("the cat sat")],
    "names": [[x.entity_group, x.start, x.end] for x in at("names").token_classification(
        "the cat sat", aggregation_strategy="simple")],
    "vectors": at("sentences").feature_extraction("the cat sat").tolist(),
    "alike": at("sentences").sentence_similarity("a cat", other_sentences=["the cat sat", "cat"]),
    "said": at("speech").automatic_speech_recognition(sound).text,
    "seen": [[x.label, x.score] for x in at("see").image_classification(picture, top_k=1)],
}
print(json.dumps(told))
"""


def test_the_hubs_inference_client_asks_for_tasks(
    server: str, folders: dict[str, str], peer: Callable[..., Any], tmp_path: Path
) -> None:
    from PIL import Image

    (tmp_path / "tone.wav").write_bytes(recording(1.0))
    Image.new("RGB", (16, 16), (200, 30, 30)).save(tmp_path / "red.png")
    told = peer(PEER, server, tmp_path / "tone.wav", tmp_path / "red.png", variables={"HF_HUB_OFFLINE": "0"})
    judge = tf.pipeline("text-classification", model=folders["judge"], top_k=None)
    assert told["labels"] == [
        [each["label"], pytest.approx(each["score"], abs=1e-6)] for each in judge(["the cat sat"])[0]
    ]
    names = tf.pipeline("token-classification", model=folders["names"], aggregation_strategy="simple")
    assert told["names"] == [[each["entity_group"], each["start"], each["end"]] for each in names("the cat sat")]
    np.testing.assert_allclose(told["vectors"], expected(folders["sentences"], ["the cat sat"]), atol=1e-6)
    vectors = expected(folders["sentences"], ["a cat", "the cat sat", "cat"])
    np.testing.assert_allclose(told["alike"], vectors[1:] @ vectors[0], atol=1e-6)
    speech = tf.pipeline("automatic-speech-recognition", model=folders["speech"])
    assert told["said"] == speech(recording(1.0))["text"].strip()
    see = tf.pipeline("image-classification", model=folders["see"], top_k=1)(str(tmp_path / "red.png"))
    assert told["seen"] == [[see[0]["label"], pytest.approx(see[0]["score"], abs=1e-6)]]


def test_our_own_client_reaches_the_same(server: str, folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from enfold.hub import InferenceClient

    monkeypatch.setenv("HF_INFERENCE_ENDPOINT", server)
    client = InferenceClient(provider="hf-inference", token="any")
    found = np.asarray(client.feature_extraction("the cat sat", model="sentences"))
    np.testing.assert_allclose(found, expected(folders["sentences"], ["the cat sat"]), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "body", "status", "told"),
    [
        ("judge", {"inputs": []}, 400, "empty list"),
        ("judge", {"inputs": "cat " * 40}, 400, "this model reads 24"),
        ("judge", {"inputs": "cat", "parameters": {"top": 1}}, 400, "did you mean 'top_k'"),
        ("judge", {"inputs": "cat", "parameters": {"trust_remote_code": True}}, 400, "no parameter"),
        ("judge", {"inputs": 3}, 400, "must be a text"),
        ("speech", {"inputs": "/etc/passwd"}, 400, "base64"),
        ("speech", {"inputs": "http://127.0.0.1:1/a.wav"}, 400, "base64"),
        ("see", {"inputs": base64.b64encode(b"no picture").decode()}, 400, "no picture"),
        ("pairs", {"inputs": "cat"}, 400, "/v1/rerank"),
        ("jugde", {"inputs": "cat"}, 404, "did you mean 'judge'"),
    ],
)
def test_tasks_refuse_what_they_cannot_do(server: str, name: str, body: Any, status: int, told: str) -> None:
    answer = post(f"{server}/models/{name}", json=body)
    assert (answer.status_code, told in answer.json()["error"]) == (status, True), answer.text
