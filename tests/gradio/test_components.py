"""Components: what functions receive and return, and what constructors refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import enfold.gradio as gr
from enfold.gradio.edits import apply, difference
from enfold.gradio.schema import python_type

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("xyz", max_size=2), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, json_values)
def test_edits_turn_one_value_into_the_other(old: object, new: object) -> None:
    import copy

    assert apply(copy.deepcopy(old), difference(old, new)) == new


@given(st.text("ab", max_size=6), st.text("ab", min_size=1, max_size=6))
def test_text_that_grows_travels_as_what_was_added(start: str, more: str) -> None:
    edits = difference(start, start + more)
    assert edits == ([["append", [], more]] if start else [["replace", [], more]])


def test_a_label_orders_by_confidence_and_keeps_the_top() -> None:
    label = gr.Label(num_top_classes=2)
    assert label.postprocess({"a": 0.1, "b": 0.7, "c": 0.2}) == {
        "label": "b",
        "confidences": [{"label": "b", "confidence": 0.7}, {"label": "c", "confidence": 0.2}],
    }
    assert label.postprocess("yes") == {"label": "yes", "confidences": None}
    assert label.preprocess({"label": "b", "confidences": [{"label": "b", "confidence": 0.7}]}) == {"b": 0.7}
    with pytest.raises(ValueError, match="dict from label to confidence"):
        label.postprocess({"a": "high"})


def test_numbers_are_rounded_and_held_to_their_limits() -> None:
    assert gr.Number(precision=1).preprocess("2.25") == 2.2
    assert gr.Number().preprocess(None) is None
    with pytest.raises(gr.Error, match="Age: -1 is below the minimum of 0"):
        gr.Number(label="Age", minimum=0).preprocess(-1)
    with pytest.raises(gr.Error, match="not between"):
        gr.Slider(0, 10).preprocess(11)
    assert gr.Slider(0, 10).step == 0.1
    with pytest.raises(gr.Error, match="is not a number"):
        gr.Number().preprocess("many")


def test_choices_that_were_not_offered_are_refused() -> None:
    with pytest.raises(gr.Error, match="not one of the choices"):
        gr.Dropdown(["x", "y"]).preprocess("z")
    assert gr.Dropdown(["x", "y"], allow_custom_value=True).preprocess("z") == "z"
    assert gr.Dropdown(["x", "y"], multiselect=True).preprocess(["y"]) == ["y"]
    assert gr.Radio([("Cat", 1), ("Dog", 2)], type="index").preprocess(2) == 1
    assert gr.CheckboxGroup(["a", "b"]).preprocess(["b", "a"]) == ["b", "a"]


def test_attributes_of_a_fields_element_travel_as_they_are_named() -> None:
    box = gr.Textbox(html_attributes=gr.InputHTMLAttributes(autocomplete="email", spellcheck=False))
    given = box.props()["html_attributes"]
    assert (given["autocomplete"], given["spellcheck"], given["lang"]) == ("email", False, None)
    assert gr.FileSize.MB == 2**20


def test_a_misspelled_argument_names_the_nearest() -> None:
    with pytest.raises(TypeError, match="did you mean 'placeholder'"):
        gr.Textbox(placehodler="x")
    with pytest.raises(ValueError, match="unknown component 'textbx'; did you mean 'textbox'"):
        gr.Interface(str.upper, "textbx", "text")


def test_older_spellings_are_understood() -> None:
    with pytest.warns(DeprecationWarning):
        assert gr.Textbox(show_copy_button=True).buttons == ["copy"]
    with pytest.warns(DeprecationWarning):
        demo = gr.Interface(lambda text: text, "text", "text", allow_flagging="never")
    assert "Flag" not in [block.props().get("value") for block in demo.blocks.values()]


def test_schemas_read_as_python_types() -> None:
    label = "str | int | float | None"
    pairs = f"list[dict(label: {label}, confidence: float | None)] | None"
    assert python_type(gr.Label().api_info()) == f"dict(label: {label}, confidences: {pairs})"
    assert python_type(gr.Dropdown(["x"], multiselect=True).api_info()) == "list[Literal['x']]"


def test_a_component_returned_from_a_function_is_a_change_of_what_it_was_given() -> None:
    assert gr.Textbox(visible=False, lines=3).update_from() == {"visible": False, "lines": 3, "__type__": "update"}


def test_a_state_needs_a_value_that_can_be_copied() -> None:
    with pytest.raises(ValueError, match="can be copied"):
        gr.State(value for value in [1])


def test_nan_becomes_null_and_number_libraries_become_plain() -> None:
    import numpy as np

    from enfold.gradio.encoding import encode

    assert encode({"a": float("nan"), "b": np.float32(0.5), "c": np.arange(2)}) == b'{"a":null,"b":0.5,"c":[0,1]}'


def test_flagged_rows_cannot_become_formulas(tmp_path) -> None:
    writer = gr.CSVLogger()
    writer.setup([gr.Textbox(label="Text"), gr.Number(label="N")], str(tmp_path))
    assert writer.flag(["=cmd()", -2]) == 1
    assert writer.flag(["plain", 3], flag_option="bad") == 2
    text = (tmp_path / "dataset1.csv").read_text()
    assert text.startswith("Text,N,flag,username,timestamp\n'=cmd(),-2,")
    writer.setup([gr.Textbox(label="Other")], str(tmp_path))
    writer.flag(["x"])
    assert (tmp_path / "dataset2.csv").exists()


def test_figures_of_other_libraries_travel_as_they_describe_themselves(tmp_path: Path, monkeypatch: Any) -> None:
    from starlette.testclient import TestClient

    class Figure:
        def to_json(self) -> str:
            return "{}"

        def savefig(self, file: Any, **options: Any) -> None:
            file.write(b"png")

    Figure.__module__ = "plotly.graph_objs"
    assert gr.Plot().postprocess(Figure()) == {"type": "plotly", "plot": "{}"}
    Figure.__module__ = "seaborn"
    with pytest.raises(ValueError, match="matplotlib, plotly, altair and bokeh"):
        gr.Plot().postprocess(Figure())
    (tmp_path / "plotly" / "package_data").mkdir(parents=True)
    (tmp_path / "plotly" / "__init__.py").write_text("")
    (tmp_path / "plotly" / "package_data" / "plotly.min.js").write_text("window.Plotly = {}")
    monkeypatch.syspath_prepend(tmp_path)
    client = TestClient(gr.App.create_app(gr.Interface(str.upper, "text", "text")), base_url="http://127.0.0.1")
    assert client.get("/gradio_api/library/plotly.js").text == "window.Plotly = {}"
    for name in ("os", "bokeh", "..%2f..%2fetc%2fpasswd", "plotly.package_data"):
        assert client.get(f"/gradio_api/library/{name}.js").status_code == 404


def test_themes_are_sheets_of_variables_and_nothing_else() -> None:
    for name in ("default", "soft", "monochrome", "glass", "citrus", "origin", "ocean", "gradio/soft"):
        assert "--color-accent:" in gr.themes.resolve(name).css()
    theme = gr.themes.Soft(primary_hue="rose", radius_size="none", font=gr.themes.GoogleFont("IBM Plex Sans"))
    assert "--block-radius:0px" in theme.css() and '--font:"IBM Plex Sans"' in theme.css()
    with pytest.raises(ValueError, match="did you mean 'rose'"):
        gr.themes.Soft(primary_hue="ros")
    with pytest.raises(ValueError, match="not the value of a CSS variable"):
        gr.themes.Base().set(block_radius="1px}body{display:none")
