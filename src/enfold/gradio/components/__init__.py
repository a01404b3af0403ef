"""Components: what a page shows and asks for, one module per family."""

from enfold.lazy import face

TABLE = {
    ".base": ["Component", "FormComponent"],
    ".buttons": ["Button", "ClearButton"],
    ".choices": ["Checkbox", "CheckboxGroup", "Dropdown", "Radio"],
    ".dataset": ["Dataset"],
    ".label": ["Label"],
    ".numbers": ["Number", "Slider"],
    ".state": ["State"],
    ".structured": ["HTML", "JSON"],
    ".text": ["Markdown", "Text=Textbox", "TextArea", "Textbox"],
}

__getattr__, __dir__, __all__ = face(__name__, TABLE)
