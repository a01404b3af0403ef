"""How Sphinx builds the site: `make docs`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "enfold"
html_title = "enfold"
html_theme = "furo"
extensions = ["myst_parser", "extension"]
exclude_patterns = ["_ext", "_static"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_show_search_summary = False  # would fetch pages, which a browser refuses to a page from the disk

myst_heading_anchors = 4  # as GitHub gives them
pygments_style = "friendly"
pygments_dark_style = "github-dark"
add_module_names = False
toc_object_entries = False
