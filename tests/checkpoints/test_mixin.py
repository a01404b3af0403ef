"""Classes of one's own in folders: what comes back, and what the files say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.hub import ModelCard, ModelHubMixin, PyTorchModelHubMixin


@dataclasses.dataclass
class Shape:
    """How wide a model is."""

    width: int = 2
    depth: int = 1


class Scale:
    """A number that JSON does not know."""

    def __init__(self, value: float) -> None:
        self.value = value


class Line(
    torch.nn.Module,
    PyTorchModelHubMixin,
    repo_url="https://example.org/line",
    license="mit",
    tags=["line"],
    coders={Scale: (lambda scale: scale.value, lambda value: Scale(value))},
):
    """A linear layer, scaled."""

    def __init__(
        self, width: int = 2, scale: Scale | None = None, shape: Shape | None = None, hidden: Any = None, **more: Any
    ) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(width, 1)
        self.scale, self.shape, self.hidden, self.more = scale, shape, hidden, more


def test_arguments_come_back_with_the_weights(tmp_path: Path) -> None:
    line = Line(3, scale=Scale(0.5), shape=Shape(depth=4), hidden=object(), colour="red")
    line.save_pretrained(tmp_path)
    again = Line.from_pretrained(tmp_path)
    assert torch.equal(again.layer.weight, line.layer.weight) and not again.training
    assert again.scale.value == 0.5 and again.shape == Shape(2, 4) and again.more == {"colour": "red"}
    assert again.hidden is None
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {"width": 3, "scale": 0.5, "shape": {"width": 2, "depth": 4}, "colour": "red"}
    assert Line.from_pretrained(tmp_path, colour="blue").more == {"colour": "blue"}


def test_the_card_says_what_the_class_states(tmp_path: Path) -> None:
    class Curve(Line, tags=["curve"]):
        """A line with a tag of its own."""

    Curve().save_pretrained(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "mit"
    assert card.data.tags == ["curve", "line", "model_hub_mixin", "pytorch_model_hub_mixin"]
    assert "https://example.org/line" in card.text and "[More Information Needed]" in card.text
    (tmp_path / "README.md").write_text("mine")
    Curve().save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_dataclass_is_the_whole_configuration(tmp_path: Path) -> None:
    class Deep(torch.nn.Module, PyTorchModelHubMixin):
        def __init__(self, config: Shape) -> None:
            super().__init__()
            self.config = config
            self.layers = torch.nn.ModuleList(torch.nn.Linear(config.width, config.width) for _ in range(config.depth))

    Deep(Shape(3, 2)).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {"width": 3, "depth": 2}
    assert len(Deep.from_pretrained(tmp_path, config=Shape(3, 2)).layers) == 2


def test_old_weights_and_missing_ones(tmp_path: Path) -> None:
    line = Line()
    torch.save(line.state_dict(), tmp_path / "pytorch_model.bin")
    assert torch.equal(Line.from_pretrained(tmp_path).layer.weight, line.layer.weight)
    torch.save({"layer.weight": line.layer.weight}, tmp_path / "pytorch_model.bin")
    with pytest.raises(RuntimeError, match="Missing key"):
        Line.from_pretrained(tmp_path, strict=True)


def test_unknown_metadata_is_refused() -> None:
    with pytest.raises(TypeError, match="unknown arguments licence"):

        class Wrong(ModelHubMixin, licence="mit"):  # type: ignore[call-arg]
            """A class with a misspelt argument."""


def test_a_model_goes_through_the_hub(fixture_hub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in fixture_hub.environment(tmp_path / "home").items():
        if name.startswith("HF_"):
            monkeypatch.setenv(name, value)
    line = Line(4)
    line.push_to_hub("line-of-mine", token=fixture_hub.token)
    owner = line_owner(fixture_hub)
    again = Line.from_pretrained(f"{owner}/line-of-mine", token=fixture_hub.token, cache_dir=tmp_path / "cache")
    assert torch.equal(again.layer.weight, line.layer.weight)


def line_owner(hub: Any) -> str:
    """Return who the token belongs to."""
    from enfold.hub import HfApi

    return HfApi(endpoint=hub.endpoint, token=hub.token).whoami()["name"]
