"""An executed notebook made ready for its page: code folded, its summary at the top, progress bars as they ended."""

import re

import nbformat

SUMMARY = re.compile(r"^##\s+Summary\s*$", re.MULTILINE)
MARKDOWN = "text/markdown"


def for_the_page(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """``notebook`` with its code folded, its summary under its title, and progress bars as they stood at the end.

    Changed in place.
    """
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata["tags"] = sorted({*cell.metadata.get("tags", []), "hide-input"})
        cell.outputs = merged_streams(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = last_state(output.text)
    found = summary_of(notebook)
    if found:
        box = f":::{{admonition}} In short\n:class: in-short\n\n{found}\n:::"
        notebook.cells[1:1] = [nbformat.v4.new_markdown_cell(box)]
    notebook.metadata.pop("widgets", None)
    return notebook


def summary_of(notebook: nbformat.NotebookNode) -> str:
    """What the section "Summary" of an executed notebook says, in Markdown; empty when there is none."""
    parts: list[str] = []
    within = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = SUMMARY.search(cell.source)
            if heading:
                within, text = True, cell.source[heading.end() :]
            else:
                text = cell.source
                within = within and not text.lstrip().startswith("#")
            parts += [text.strip()] if within else []
        elif within:
            parts += [output.data[MARKDOWN].strip() for output in cell.outputs if MARKDOWN in output.get("data", {})]
    return "\n\n".join(part for part in parts if part)


def title_of(notebook: nbformat.NotebookNode, name: str) -> str:
    """The first heading of a notebook, ``name`` if it has none."""
    found = re.search(r"^#\s+(.+)$", notebook.cells[0].source if notebook.cells else "", re.MULTILINE)
    return found[1].strip() if found else name


def without_outputs(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """``notebook`` as it was run, parameters and all, without what it gave; changed in place."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata.pop("widgets", None)
    return notebook


def merged_streams(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """``outputs`` with what was written to one stream in several goes as one: every update of a bar is a go."""
    merged: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            output.text = "".join(output.text)
            if merged and merged[-1].output_type == "stream" and merged[-1].name == output.name:
                merged[-1].text += output.text
                continue
        merged.append(output)
    return merged


def last_state(text: str) -> str:
    """``text`` as a terminal shows it after carriage returns: of each line what was written last."""
    lines = [[part for part in line.split("\r") if part.strip()] or [""] for line in text.split("\n")]
    return "\n".join(parts[-1] for parts in lines)
