"""The tiny models that parity tests build on both sides: class, configuration, what kind of labels it takes."""

from __future__ import annotations

from typing import Any

BERT: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
}
DISTIL = {"vocab_size": 99, "dim": 36, "n_layers": 2, "n_heads": 3, "hidden_dim": 37, "max_position_embeddings": 40}
DISTIL["initializer_range"] = 0.3  # type: ignore[assignment]
GPT2: dict[str, Any] = {
    "vocab_size": 99,
    "n_embd": 36,
    "n_layer": 2,
    "n_head": 3,
    "n_positions": 40,
    "bos_token_id": 98,
    "eos_token_id": 98,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
LLAMA: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 37,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
    "rope_theta": 10000.0,
}

# name → (class, configuration, kind of labels)
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "bert": ("BertModel", BERT, ""),
    "bert-sequence": ("BertForSequenceClassification", {**BERT, "num_labels": 3}, "class"),
    "bert-regression": ("BertForSequenceClassification", {**BERT, "num_labels": 1}, "number"),
    "bert-many": ("BertForSequenceClassification", {**BERT, "num_labels": 3}, "many"),
    "bert-token": ("BertForTokenClassification", {**BERT, "num_labels": 3}, "tokens"),
    "bert-question": ("BertForQuestionAnswering", BERT, "span"),
    "bert-choice": ("BertForMultipleChoice", BERT, "choice"),
    "bert-masked": ("BertForMaskedLM", BERT, "words"),
    "bert-next": ("BertForNextSentencePrediction", BERT, "next"),
    "bert-pretraining": ("BertForPreTraining", BERT, "both"),
    "bert-causal": ("BertLMHeadModel", {**BERT, "is_decoder": True}, "words"),
    "distilbert": ("DistilBertModel", DISTIL, ""),
    "distilbert-sequence": ("DistilBertForSequenceClassification", {**DISTIL, "num_labels": 3}, "class"),
    "distilbert-token": ("DistilBertForTokenClassification", DISTIL, "tokens2"),
    "distilbert-question": ("DistilBertForQuestionAnswering", DISTIL, "span"),
    "distilbert-choice": ("DistilBertForMultipleChoice", DISTIL, "choice"),
    "distilbert-masked": ("DistilBertForMaskedLM", DISTIL, "words"),
    "gpt2": ("GPT2Model", GPT2, ""),
    "gpt2-causal": ("GPT2LMHeadModel", GPT2, "words"),
    "gpt2-scaled": ("GPT2LMHeadModel", {**GPT2, "scale_attn_by_inverse_layer_idx": True, "n_inner": 50}, "words"),
    "gpt2-sequence": ("GPT2ForSequenceClassification", {**GPT2, "num_labels": 3}, "class"),
    "gpt2-token": ("GPT2ForTokenClassification", {**GPT2, "num_labels": 3}, "tokens"),
    "gpt2-question": ("GPT2ForQuestionAnswering", GPT2, "span"),
    "llama": ("LlamaModel", LLAMA, ""),
    "llama-causal": ("LlamaForCausalLM", LLAMA, "words"),
    "llama-tied": ("LlamaForCausalLM", {**LLAMA, "tie_word_embeddings": True, "num_key_value_heads": 4}, "words"),
    "llama-one-head": ("LlamaForCausalLM", {**LLAMA, "num_key_value_heads": 1, "attention_bias": True}, "words"),
    "llama-wide-heads": ("LlamaForCausalLM", {**LLAMA, "head_dim": 12, "mlp_bias": True}, "words"),
    "llama-linear": ("LlamaForCausalLM", {**LLAMA, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "words"),
    "llama-dynamic": (
        "LlamaForCausalLM",
        {**LLAMA, "max_position_embeddings": 6, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
        "words",
    ),
    "llama-llama3": ("LlamaForCausalLM", {**LLAMA, "rope_parameters": LLAMA3}, "words"),
    "llama-sequence": ("LlamaForSequenceClassification", {**LLAMA, "num_labels": 3}, "class"),
    "llama-token": ("LlamaForTokenClassification", {**LLAMA, "num_labels": 3}, "tokens"),
    "llama-question": ("LlamaForQuestionAnswering", LLAMA, "span"),
}


def batch(kind: str, *, padded: str = "") -> dict[str, Any]:
    """Return a batch with labels of a kind; ``padded`` is ``""``, ``"right"`` or ``"left"``."""
    import torch

    draw = torch.Generator().manual_seed(7)
    ids = torch.randint(1, 90, (3, 9), generator=draw)
    mask = torch.ones_like(ids)
    if padded == "right":
        mask[1, 6:] = 0
        mask[2, 3:] = 0
    elif padded == "left":
        mask[1, :3] = 0
        mask[2, :6] = 0
    ids = ids * mask
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    words = torch.where((mask == 1) & (torch.rand(ids.shape, generator=draw) < 0.7), ids, -100)
    labels = {
        "class": torch.tensor([0, 2, 1]),
        "number": torch.tensor([0.5, -1.0, 2.0]),
        "many": torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]),
        "tokens": torch.where(mask == 1, ids % 3, -100),
        "tokens2": torch.where(mask == 1, ids % 2, -100),
        "words": words,
        "next": torch.tensor([0, 1, 1]),
        "both": words,
    }.get(kind)
    if kind == "choice":
        inputs = {name: value.view(1, 3, 9) for name, value in inputs.items()}
        labels = torch.tensor([2])
    if kind == "span":
        inputs |= {"start_positions": torch.tensor([1, 0, 20]), "end_positions": torch.tensor([4, 2, 1])}
    if kind == "both":
        inputs["next_sentence_label"] = torch.tensor([0, 1, 1])
    if labels is not None:
        inputs["labels"] = labels
    return inputs


def scramble(model: Any) -> None:
    """Draw every weight anew, biases and norms too, so that none of them hides a mistake."""
    import torch

    draw = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=draw)
            norm = "norm" in name.lower() or ".ln_" in name
            parameter.copy_(1 + 0.1 * noise if norm and name.endswith("weight") else 0.2 * noise)


def results(model: Any, kind: str, eager: bool) -> dict[str, Any]:
    """Return what is compared, as arrays by name: logits, states, attentions, losses, gradients."""
    found: dict[str, Any] = {}
    causal = type(model).__name__.startswith(("GPT2", "Llama")) or getattr(model.config, "is_decoder", False)
    model.eval()
    for padded in ("", "right", *(("left",) if causal else ())):
        inputs = batch(kind, padded=padded)
        options = {"output_attentions": True, "output_hidden_states": True} if eager else {}
        output = model(**inputs, **options)
        tag = f"{padded or 'full'}-{'eager' if eager else 'sdpa'}"
        for name, value in output.items():
            if name == "past_key_values":
                continue
            for index, tensor in enumerate(value if isinstance(value, tuple) else (value,)):
                # Rows of attention that see padding alone are nobody's: both sides fill them as they like.
                shown = tensor.detach()
                if padded == "left" and shown.dim() > 2:
                    keep = inputs["attention_mask"].bool()
                    shown = shown.transpose(1, 2)[keep] if shown.dim() == 4 else shown[keep]
                found[f"{tag}/{name}/{index}"] = shown.numpy()
        if output.get("loss") is not None and padded == "right":
            model.zero_grad()
            output["loss"].backward()
            for name, parameter in model.named_parameters():
                if parameter.grad is not None:
                    found[f"{tag}/gradient/{name}"] = parameter.grad.numpy().copy()
    return found
