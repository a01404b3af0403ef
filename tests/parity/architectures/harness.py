"""What both sides do with a tiny model: build it, draw every weight, run it, and say what came out.

Imported by our tests and by the peers' Python, so it imports neither library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Case(NamedTuple):
    """A tiny model and what it is given.

    Args:
        name: the model's class.
        config: arguments of its configuration; or a function of the library that returns the configuration.
        inputs: ``""``, ``"right"`` or ``"left"`` (where the padding is) → arguments of the forward pass.
        paddings: which of these are tried.
        gradients: whether the loss, if the inputs give one, is taken back to every weight.
        atol: tolerance of everything but gradients; 1e-5 is the house's, more needs a reason in a comment.
        apart: regular expression of outputs that differ or are missing on one side on purpose; docs/compatibility.md
            says why.
    """

    name: str
    config: dict[str, Any] | Callable[[Any], Any]
    inputs: Callable[[str], dict[str, Any]]
    paddings: tuple[str, ...] = ("", "right")
    gradients: bool = True
    atol: float = 1e-5
    apart: str = ""
    prefix: str = ""
    method: str = ""
    explicit: bool = True


def build(library: Any, case: Case, **options: Any) -> Any:
    """Return the blank model of a case from ``library``, with weights that hide no mistake."""
    kind = getattr(library, case.name)
    config = case.config(library) if callable(case.config) else kind.config_class(**case.config)
    model = kind._from_config(config, **options)
    scramble(model)
    return model


def scramble(model: Any) -> None:
    """Draw every weight and running statistic anew, biases and norms too, so that none of them hides a mistake.

    Each is drawn from its own name's seed, so that the order of the parts does not matter.
    """
    import zlib

    import torch

    def noise(name: str, like: Any) -> Any:
        return torch.randn(like.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue  # computed, not learnt: some checkpoints leave it out
            last = name.lower().split(".")[-2:]
            norm = any("norm" in part or part.startswith(("ln_", "bn")) for part in last)
            drawn = noise(name, parameter)
            parameter.copy_(1 + 0.1 * drawn if norm and name.endswith("weight") else 0.2 * drawn)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * noise(name, buffer))
            elif name.endswith("running_var"):
                buffer.copy_(1 + 0.2 * noise(name, buffer).abs())
            elif name.endswith("codebook.embed"):
                buffer.copy_(0.3 * noise(name, buffer))


def results(
    model: Any, case: Case, *, explicit: bool, rename: Callable[[dict[str, Any]], dict[str, Any]] = dict
) -> dict[str, Any]:
    """Return what is compared, as arrays by name: logits, states, losses, gradients.

    Args:
        model: a model of the case.
        case: what it is given.
        explicit: ask for attentions and hidden states too.
        rename: gradients by the names of the model's parts → by the names that checkpoints have.
    """
    found: dict[str, Any] = {}
    model.eval()
    for padding in case.paddings:
        inputs = case.inputs(padding)
        options = {"output_attentions": True, "output_hidden_states": True} if explicit and case.explicit else {}
        output = (getattr(model, case.method) if case.method else model)(**inputs, **options)
        tag = f"{padding or 'full'}-{'explicit' if explicit else 'plain'}"
        for name, tensor in _tensors(output):
            shown = tensor.detach()
            # Rows of attention that see padding alone are nobody's: both sides fill them as they like.
            for mask in (inputs.get("attention_mask"), inputs.get("decoder_attention_mask")):
                if padding == "left" and mask is not None and shown.dim() > 2:
                    keep = mask.bool()
                    if shown.dim() == 3 and shown.shape[:2] == keep.shape:
                        shown = shown[keep]
                    elif shown.dim() == 4 and shown.shape[2] == keep.shape[1]:
                        shown = shown.transpose(1, 2)[keep]
            found[f"{tag}/{name}"] = shown.float().numpy() if shown.is_floating_point() else shown.numpy()
        loss = output.get("loss")
        if case.gradients and loss is not None and padding == ("right" if "right" in case.paddings else ""):
            model.zero_grad()
            loss.backward()
            named = model.named_parameters(remove_duplicate=rename is not dict)
            gradients = {name: part.grad for name, part in named if part.grad is not None}
            for name, gradient in rename(gradients).items():
                found[f"{tag}/gradient/{name.removeprefix(case.prefix)}"] = gradient.numpy().copy()
    return found


def _tensors(output: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the tensors of an output by their place in it; caches are left out."""
    import torch

    if isinstance(output, torch.Tensor):
        yield prefix, output
    elif hasattr(output, "items"):
        for name, value in output.items():
            if "past_key_values" not in name:
                yield from _tensors(value, f"{prefix}/{name}".lstrip("/"))
    elif isinstance(output, tuple | list):
        for index, value in enumerate(output):
            yield from _tensors(value, f"{prefix}/{index}")


def texts(kind: str = "", **shape: Any) -> Callable[[str], dict[str, Any]]:
    """Return a function from where padding is to three rows of ids with labels of a kind.

    Args:
        kind: ``""`` for no labels, ``class``, ``number``, ``many``, ``tokens``, ``tokens2``, ``words``, ``next``,
            ``both`` (words and next sentence), ``choice`` or ``span``.
        shape: ``vocabulary`` (ids are below it, 90 by default) and ``pad`` (the id of padding, 0).
    """
    vocabulary, pad = shape.get("vocabulary", 90), shape.get("pad", 0)

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        draw = torch.Generator().manual_seed(7)
        ids = torch.randint(1, vocabulary, (3, 9), generator=draw)
        ids[ids == pad] = vocabulary - 1
        mask = torch.ones_like(ids)
        if padding == "right":
            mask[1, 6:] = 0
            mask[2, 3:] = 0
        elif padding == "left":
            mask[1, :3] = 0
            mask[2, :6] = 0
        ids = torch.where(mask == 1, ids, pad)
        given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
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
            given = {name: value.view(1, 3, 9) for name, value in given.items()}
            labels = torch.tensor([2])
        if kind == "span":
            given |= {"start_positions": torch.tensor([1, 0, 20]), "end_positions": torch.tensor([4, 2, 1])}
        if kind == "both":
            given["next_sentence_label"] = torch.tensor([0, 1, 1])
        if labels is not None:
            given["labels"] = labels
        return given

    return inputs
