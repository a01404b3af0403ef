"""Web demos from Python: the surface of `gradio`."""

from enfold.lazy import face

__version__ = "6.31.0"

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".blocks": ["Blocks"],
        ".components.base": ["Component"],
        ".components.buttons": ["Button", "ClearButton"],
        ".components.choices": ["Checkbox", "CheckboxGroup", "Dropdown", "Radio"],
        ".components.dataset": ["Dataset"],
        ".components.label": ["Label"],
        ".components.numbers": ["Number", "Slider"],
        ".components.state": ["State", "Variable=State"],
        ".components.structured": ["HTML", "JSON"],
        ".components.text": ["Markdown", "Text=Textbox", "TextArea", "Textbox"],
        ".errors": ["Error", "Info", "Success", "Warning"],
        ".events": ["CopyData", "EditData", "EventData", "KeyUpData", "LikeData", "SelectData", "api", "on"],
        ".examples": ["Examples"],
        ".flagging": ["CSVLogger", "FlaggingCallback", "SimpleCSVLogger"],
        ".interface": ["Interface", "TabbedInterface"],
        ".layouts": ["Accordion", "Column", "Group", "Row", "Tab", "TabItem", "Tabs"],
        ".request": ["Progress", "Request", "is_cancelled", "skip", "update"],
        ".routes": ["App", "mount_gradio_app"],
        ".themes": ["Theme=Base"],
    },
)
