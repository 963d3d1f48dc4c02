"""Sphinx configuration of the report. Nothing that a page loads may come from the network."""

import os

project = "PRODA compendium"
author = "The PRODA compendium authors"
html_title = os.environ["PRODA_REPORT_TITLE"]
extensions = ["myst_nb"]
root_doc = "index"
exclude_patterns = [".tmp", "_build"]

# The notebooks have been executed.
nb_execution_mode = "off"
nb_merge_streams = True
# Sentences computed in a notebook may hold mathematics.
nb_render_markdown_format = "myst"
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
# Widgets would come from a content-delivery network.
nb_ipywidgets_js = {}
suppress_warnings = ["mystnb.unknown_mime_type"]

myst_enable_extensions = ["amsmath", "attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# An option such as --data keeps its two hyphens.
smartquotes = False
mathjax_path = "tex-svg.js"

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["report.css"]
# A download of a notebook's source would hold its outputs a second time.
html_copy_source = False
html_use_index = False
html_show_sphinx = False
html_show_copyright = False
# The excerpts under search results are fetched, which a browser refuses from the file system.
html_show_search_summary = False
html_theme_options = {
    **dict.fromkeys(("use_repository_button", "use_download_button", "use_fullscreen_button"), False),
    "home_page_in_toc": True, "navbar_persistent": [], "search_bar_text": "Search the report",
    "footer_content_items": [],
}  # fmt: skip
