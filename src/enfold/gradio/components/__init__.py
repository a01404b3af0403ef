"""Components: what a page shows and asks for, one module per family."""

from enfold.lazy import face

TABLE = {
    ".api": ["Api"],
    ".audio": ["Audio"],
    ".base": ["Component", "FormComponent"],
    ".browser_state": ["BrowserState"],
    ".buttons": ["Button", "ClearButton", "DeepLinkButton", "DuplicateButton", "LoginButton"],
    ".chat": ["ChatMessage", "Chatbot", "MultimodalTextbox"],
    ".choices": ["Checkbox", "CheckboxGroup", "Dropdown", "Radio"],
    ".code": ["Code", "HighlightedText"],
    ".color": ["ColorPicker"],
    ".dataframe": ["DataFrame=Dataframe", "Dataframe"],
    ".dataset": ["Dataset"],
    ".dialogue": ["Dialogue"],
    ".editor": ["ImageEditor", "ImageMask", "Paint", "Sketchpad"],
    ".file": ["DownloadButton", "File", "FileExplorer", "UploadButton"],
    ".gallery": ["Gallery"],
    ".image": ["AnnotatedImage", "Image", "ImageSlider"],
    ".label": ["Label"],
    ".model3d": ["Model3D"],
    ".navbar": ["Navbar"],
    ".numbers": ["Number", "Slider"],
    ".options": ["Brush", "Eraser", "LayerOptions", "WatermarkOptions", "WaveformOptions", "WebcamOptions"],
    ".parameters": ["ParamViewer"],
    ".plot": ["BarPlot", "LinePlot", "Plot", "ScatterPlot"],
    ".state": ["State"],
    ".structured": ["HTML", "JSON"],
    ".templates": ["Files", "List", "Matrix", "Mic=Microphone", "Microphone", "Numpy", "PlayableVideo"],
    ".text": ["Markdown", "Text=Textbox", "TextArea", "Textbox"],
    ".times": ["DateTime", "Timer"],
    ".video": ["Video"],
}

__getattr__, __dir__, __all__ = face(__name__, TABLE)
