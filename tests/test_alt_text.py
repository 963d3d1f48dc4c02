"""Words for figures: put together from what a figure says itself, carried by notebooks and files, never empty."""

import base64
import copy
import io

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from proda.figures.chains import coverage_figure
from proda.figures.style import COMMON, RARE, alt_text, caption_of, captioned, description_in, map_axes, plain, saved
from proda.run.report import figures_with_words, with_figures_as_files
from proda.run.run import execute, kernel_of_this_python

ALT = "SOC (kg m⁻³) against depth (m): One site. Shown are modelled, observed."


@pytest.fixture
def figure():
    figure, ax = plt.subplots(figsize=(3, 2))
    ax.plot([0, 1], label="modelled")
    ax.plot([1, 0], label="observed")
    ax.set(xlabel="depth (m)", ylabel="SOC (kg m$^{-3}$)", title="One site")
    ax.legend()
    yield figure
    plt.close("all")


def png(figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def test_a_chart_is_told_by_its_axes_its_title_and_its_legend(figure):
    assert alt_text(figure) == ALT


def test_maps_are_told_by_their_titles_and_their_colour_bar():
    figure = plt.figure(figsize=(4, 2))
    for place, title in enumerate(("default", "network"), start=1):
        ax = map_axes(figure, (1, 2, place))
        ax.set_title(title)
    figure.colorbar(ax.scatter([0], [0], c=[1]), ax=ax, label="Carbon (kg C m$^{-2}$)")
    figure.suptitle("Stocks to 1 m")
    assert alt_text(figure) == "Stocks to 1 m. 2 maps: default, network. Colours give Carbon (kg C m⁻²)."
    plt.close("all")


def test_panels_of_a_grid_take_the_labels_of_their_neighbours_and_long_lists_are_cut():
    figure, axes = plt.subplots(4, 3, sharex=True, sharey=True)
    for k, ax in enumerate(axes.flat):
        ax.plot([0, 1])
        ax.set_title(f"p{k}")
    axes[-1, 0].set(xlabel="assimilated", ylabel="predicted")
    told = alt_text(figure)
    assert told.startswith("12 panels of predicted against assimilated: p0, p1,") and told.endswith("p7 and 4 more.")
    plt.close("all")


def test_words_that_a_figure_is_given_come_first(figure):
    figure.set_label("Fit at one site")
    assert alt_text(figure) == f"Fit at one site. {ALT}"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("kg C m$^{-2}$", "kg C m⁻²"),
        ("CO$_2$", "CO₂"),
        ("$\\theta$ (m$^3$)", "theta (m³)"),
        ("Clay_Content_30cm (%)", "Clay_Content_30cm (%)"),
    ],
)
def test_mathematics_in_a_label_becomes_plain_text(text, read):
    assert plain(text) == read


def test_a_saved_figure_keeps_its_words_in_the_file(figure, tmp_path):
    assert description_in(saved(figure, tmp_path / "a.png")) == ALT


def test_a_figure_of_a_notebook_carries_its_words_also_when_the_backend_is_loaded_late(tmp_path):
    code = (
        "import matplotlib.pyplot as plt\nfrom proda.figures.style import use_style\nuse_style(); use_style()",
        "fig, ax = plt.subplots()\nax.plot([0, 1])\nax.set(xlabel='depth (m)', ylabel='SOC');\n"
        "from proda.figures.style import captioned\ncaptioned(fig, 'Look down.');",
    )
    parameters = nbformat.v4.new_code_cell("a = 1", metadata={"tags": ["parameters"]})
    cells = [parameters, *map(nbformat.v4.new_code_cell, code)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "n.ipynb")
    with kernel_of_this_python() as kernel:
        execute(tmp_path / "n.ipynb", tmp_path / "done.ipynb", {}, kernel)
    about = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells[-1].outputs[0].metadata["image/png"]
    assert about["alt"] == "SOC against depth (m)." and about["caption"] == "Look down."


def executed(figure, **metadata) -> nbformat.NotebookNode:
    code = nbformat.v4.new_code_cell("plot()", metadata=metadata.get("cell", {}))
    shown = {"image/png": metadata["output"]} if "output" in metadata else {}
    output = nbformat.v4.new_output("display_data", {"image/png": png(figure)}, metadata=shown)
    code.outputs = [output, copy.deepcopy(output)]
    text = "## How *deep*?\n\nCarbon lies [deep](x.md) down. More."
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text), code])


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (
            {"cell": {"mystnb": {"image": {"alt": "Four given words here"}}}, "output": {"alt": "own"}},
            "Four given words here (2 of these)",
        ),
        ({"output": {"alt": "Its own four words"}}, "Its own four words (2 of these)"),
        ({"output": {"alt": "2 charts."}}, "Figure of the section “How deep?”. 2 charts. (2 of these)"),
        ({}, "Figure of the section “How deep?”. Carbon lies deep down. (2 of these)"),
    ],
)
def test_words_of_the_cell_come_before_the_figures_own_and_the_heading_last(figure, metadata, told):
    assert [alt for _, alt, _ in figures_with_words(executed(figure, **metadata))][1] == told


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"cell": {"mystnb": {"figure": {"caption": "Of the cell"}}}, "output": {"caption": "own"}}, "Of the cell"),
        ({"output": {"caption": "Its own caption"}}, "Its own caption"),
        ({}, ""),
    ],
)
def test_the_caption_of_the_cell_comes_before_the_figures_own(figure, metadata, told):
    assert [caption for _, _, caption in figures_with_words(executed(figure, **metadata))] == [told, told]


def test_figures_become_small_files_at_the_width_the_notebook_gave_them(figure, tmp_path):
    notebook = executed(figure, output={"alt": 'Told "so" & <so>', "width": 330, "height": 220})
    page = with_figures_as_files(notebook, "01-data", tmp_path)
    html = page.cells[1].outputs[0]["data"]["text/html"]
    assert 'width="330" height="220" alt="Told &quot;so&quot; &amp; &lt;so&gt;"' in html
    file = tmp_path / "_static" / "figures" / "01-data-1.webp"
    assert html.startswith('<figure><a class="figure" href="_static/figures/01-data-1.webp">')
    assert html.endswith("</a></figure>"), "a figure without a caption has no empty one"
    with Image.open(file) as image, Image.open(io.BytesIO(base64.b64decode(png(figure)))) as before:
        assert image.size == before.size and len(image.getcolors(1000)) <= COMMON + RARE
    assert file.stat().st_size < 0.6 * len(base64.b64decode(png(figure)))


def test_a_caption_stands_below_its_figure_and_in_its_file(figure, tmp_path):
    captioned(figure, "Carbon  & depth,\n r < 1: look down.")
    assert caption_of(figure) == "Carbon & depth, r < 1: look down."
    page = with_figures_as_files(executed(figure, output={"caption": caption_of(figure)}), "01-data", tmp_path)
    html = page.cells[1].outputs[0]["data"]["text/html"]
    assert html.endswith("</a><figcaption>Carbon &amp; depth, r &lt; 1: look down.</figcaption></figure>")
    with Image.open(saved(figure, tmp_path / "a.png")) as image:
        assert image.text["Comment"] == caption_of(figure)


def test_a_share_of_one_has_an_interval():
    shares = pd.Series(np.ones(40), index=[f"{k} m" for k in range(40)])
    coverage_figure({"all": shares}, pd.Series(np.arange(1, 41), index=shares.index), plt.figure().add_subplot())
    plt.close("all")
