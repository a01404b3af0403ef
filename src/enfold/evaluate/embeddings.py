"""Contextual embeddings of texts in the layer of an encoder that BERTScore is reported with."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.errors import EvaluationError

__all__ = ["LAYERS", "Embedder"]

# Layer → models: of each model the layer whose scores agree best with human judgments of translations (WMT16, for
# Turkish WMT18), as the authors of BERTScore measured and publish them (bert_score 0.3.13).
_MODELS = {
    0: "amazon/bort",
    1: (
        "google/bert_uncased_L-2_H-128_A-2 google/bert_uncased_L-2_H-256_A-4 google/bert_uncased_L-2_H-512_A-8 "
        "google/byt5-small"
    ),
    2: "facebook/blenderbot-400M-distill google/bert_uncased_L-2_H-768_A-12 sshleifer/tiny-mbart",
    3: (
        "google/bert_uncased_L-4_H-128_A-2 google/bert_uncased_L-4_H-256_A-4 google/bert_uncased_L-4_H-512_A-8 "
        "google/bert_uncased_L-4_H-768_A-12"
    ),
    4: (
        "dbmdz/distilbert-base-turkish-cased distilbert-base-uncased-distilled-squad microsoft/deberta-v3-small "
        "microsoft/prophetnet-large-uncased zhiheng-huang/bert-base-uncased-embedding-relative-key"
    ),
    5: (
        "distilbert-base-multilingual-cased distilbert-base-uncased distilroberta-base "
        "google/bert_uncased_L-6_H-128_A-2 google/bert_uncased_L-6_H-256_A-4 google/bert_uncased_L-6_H-512_A-8 "
        "google/bert_uncased_L-6_H-768_A-12 xlnet-base-cased"
    ),
    6: ("allenai/led-base-16384 facebook/bart-base google/bert_uncased_L-8_H-512_A-8 t5-small xlm-mlm-en-2048"),
    7: (
        "allenai/longformer-base-4096 facebook/blenderbot_small-90M google/bert_uncased_L-8_H-128_A-2 "
        "google/bert_uncased_L-8_H-256_A-4 google/bert_uncased_L-8_H-768_A-12 "
        "microsoft/prophetnet-large-uncased-cnndm microsoft/xprophetnet-large-wiki100-cased "
        "roberta-base-openai-detector xlnet-large-cased zhiheng-huang/bert-base-uncased-embedding-relative-key-query"
    ),
    8: (
        "SpanBERT/spanbert-base-cased albert-xxlarge-v1 albert-xxlarge-v2 allenai/scibert_scivocab_uncased "
        "bert-base-chinese google/bert_uncased_L-10_H-128_A-2 google/bert_uncased_L-10_H-256_A-4 "
        "google/bert_uncased_L-10_H-768_A-12 google/bigbird-base-trivia-itc google/mt5-small google/pegasus-large "
        "microsoft/mpnet-base princeton-nlp/unsup-simcse-roberta-base"
    ),
    9: (
        "YituTech/conv-bert-medium-small albert-base-v2 allenai/scibert_scivocab_cased bert-base-cased-finetuned-mrpc "
        "bert-base-multilingual-cased bert-base-uncased facebook/bart-large-xsum google/bert_uncased_L-10_H-512_A-8 "
        "google/bert_uncased_L-12_H-768_A-12 google/electra-base-discriminator google/electra-small-generator "
        "microsoft/deberta-base microsoft/deberta-base-mnli microsoft/deberta-v3-base nfliu/scibert_basevocab_uncased "
        "squeezebert/squeezebert-mnli squeezebert/squeezebert-mnli-headless squeezebert/squeezebert-uncased "
        "vinai/bertweet-base xlm-roberta-base"
    ),
    10: (
        "ProsusAI/finbert YituTech/conv-bert-base YituTech/conv-bert-small albert-base-v1 "
        "dbmdz/bert-base-turkish-cased facebook/bart-large facebook/bart-large-cnn google/bert_uncased_L-12_H-128_A-2 "
        "google/bert_uncased_L-12_H-512_A-8 google/bigbird-roberta-base google/electra-base-generator "
        "microsoft/deberta-v2-xlarge microsoft/deberta-v3-xsmall microsoft/mdeberta-v3-base "
        "princeton-nlp/sup-simcse-bert-base-uncased princeton-nlp/sup-simcse-roberta-base "
        "princeton-nlp/unsup-simcse-bert-base-uncased roberta-base xlm-mlm-100-1280"
    ),
    11: (
        "facebook/bart-large-mnli google/bert_uncased_L-12_H-256_A-4 google/electra-small-discriminator "
        "google/mt5-base google/pegasus-xsum ramsrigouthamg/t5_paraphraser t5-base"
    ),
    12: (
        "Vamsi/T5_Paraphrase_Paws facebook/mbart-large-50 facebook/mbart-large-50-many-to-many-mmt "
        "facebook/mbart-large-50-one-to-many-mmt facebook/mbart-large-cc25 facebook/mbart-large-en-ro "
        "microsoft/deberta-v3-large"
    ),
    13: "albert-xlarge-v2 princeton-nlp/unsup-simcse-roberta-large",
    14: (
        "albert-large-v2 allenai/longformer-large-4096 allenai/longformer-large-4096-finetuned-triviaqa "
        "google/bigbird-roberta-large google/electra-large-discriminator"
    ),
    15: "roberta-large-openai-detector tuner007/pegasus_paraphrase",
    16: "albert-xlarge-v1 microsoft/deberta-large princeton-nlp/sup-simcse-roberta-large",
    17: (
        "SpanBERT/spanbert-large-cased albert-large-v1 google/byt5-base microsoft/deberta-v2-xlarge-mnli "
        "roberta-large xlm-roberta-large"
    ),
    18: (
        "bert-large-uncased google/electra-large-generator khalidalt/DeBERTa-v3-large-mnli "
        "microsoft/deberta-large-mnli microsoft/deberta-xlarge princeton-nlp/sup-simcse-bert-large-uncased "
        "princeton-nlp/unsup-simcse-bert-large-uncased"
    ),
    19: (
        "google/mt5-large roberta-large-mnli "
        "zhiheng-huang/bert-large-uncased-whole-word-masking-embedding-relative-key-query"
    ),
    21: "microsoft/deberta-v2-xxlarge",
    22: "microsoft/deberta-v2-xxlarge-mnli",
    23: "t5-large",
    24: "google/mt5-xl",
    30: "google/byt5-large",
    40: "microsoft/deberta-xlarge-mnli",
}
LAYERS = {name: layer for layer, names in _MODELS.items() for name in names.split()}
# Models that were published without an owner stand under these today.
_OWNERS = ("FacebookAI", "albert", "distilbert", "google-bert", "google-t5", "openai-community", "xlnet")


def _layer(model_type: str, depth: int) -> int:
    owner, _, name = model_type.rpartition("/")
    return LAYERS.get(name if owner in _OWNERS else model_type, depth)


class Embedder:
    """Unit embeddings of texts, with a weight for each token.

    Args:
        model_type: a repository or a local folder of an encoder and its tokenizer.
        layer: the layer to take, from 0 for the input; by default the recommended one of a known model, else the last.
        device: where the model runs.
        batch_size: texts at a time.
        blank: put a blank before texts for vocabularies of bytes (RoBERTa, GPT-2), which know words by the blank before
            them. Published scores are computed so: bert_score asks its slow tokenizers for it, its fast ones ignore it.

    Raises:
        EvaluationError: the model has no such layer.
    """

    def __init__(self, model_type: str, layer: int | None, device: str, batch_size: int, blank: bool) -> None:
        from enfold.transformers import AutoModel, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(model_type)
        model = AutoModel.from_pretrained(model_type).to(device).eval()
        depth = model.config.num_hidden_layers
        self.layer = _layer(model_type, depth) if layer is None else layer
        if not 0 <= self.layer <= depth:
            raise EvaluationError(f"num_layers is at most {depth}, the depth of {model_type}, not {self.layer}")
        self._model = _shortened(model.encoder if hasattr(model, "decoder") else model, depth, self.layer)
        self._device, self._batch_size = device, batch_size
        tokenizer = self._tokenizer
        self.special = {tokenizer.sep_token_id, tokenizer.cls_token_id}
        self._room = min(getattr(model.config, "max_position_embeddings", 512), tokenizer.model_max_length)
        self._blank = " " if blank and type(tokenizer).__name__.startswith(("Roberta", "GPT2")) else ""

    def ids(self, text: str) -> list[int]:
        """Return the token numbers of a text, special tokens included."""
        text = text.strip()
        text = self._blank + text if text else text
        return list(self._tokenizer(text, truncation=True, max_length=self._room)["input_ids"])

    def __call__(self, texts: list[str], weights: dict[int, float] | None) -> list[tuple[Any, Any]]:
        """Return for each text unit vectors of shape (tokens, width) and weights of shape (tokens,).

        Without ``weights`` every token has the weight 1, special ones 0; ``weights[-1]`` is that of unknown tokens.
        """
        import torch

        found: dict[str, tuple[Any, Any]] = {}
        order = sorted(set(texts), key=len)  # texts of like length need little padding
        for begin in range(0, len(order), self._batch_size):
            batch = order[begin : begin + self._batch_size]
            rows = [self.ids(text) for text in batch]
            width = max(map(len, rows))
            tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=self._device)
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=self._device)
            with torch.no_grad():
                states = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state
            unit = torch.nn.functional.normalize(states.float(), dim=-1).cpu()  # (rows, tokens, width)
            for text, row, vectors in zip(batch, rows, unit, strict=True):
                weight = [
                    float(token not in self.special) if weights is None else weights.get(token, weights[-1])
                    for token in row
                ]
                found[text] = vectors[: len(row)], torch.tensor(weight)
        return [found[text] for text in texts]


def _shortened(encoder: Any, depth: int, layer: int) -> Any:
    """Leave out the layers above; what comes after the last layer, such as a normalization, still does."""
    import torch

    for module in encoder.modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.ModuleList) and len(child) == depth:
                setattr(module, name, child[:layer])
                return encoder
    raise EvaluationError(f"{type(encoder).__name__} has no list of {depth} layers to choose from")
