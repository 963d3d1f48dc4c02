"""The report: pages that open from the file system, whole and without a network, with their mathematics and figures."""

import shutil
from pathlib import Path

import nbformat
import pytest
from small_notebooks import write_study

from proda.batch.browser import faults_in_browser, find_browser, opened
from proda.batch.front_page import csv_table, markdown_table
from proda.batch.html import ReportFailed, build_report, for_the_page, last_state
from proda.batch.page_check import faults_of_pages, main, summary
from proda.stages import STAGES
from proda.study import Study

PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)
browser = pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine: pages read, not opened")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("report")
    file, _ = write_study(folder)
    study = Study.open(file, "tiny", out=folder / "out")
    for name in STAGES:
        with study.stage(name) as made:
            if name == "06-final-figures":
                (made / "table_1_summary.csv").write_text("method,r2\ndefault,0.31999\nnetwork,0.62\n")
                (made / "figures").mkdir()
                (made / "figures" / "soc_maps.png").write_bytes(PIXEL)
    return study


@pytest.fixture(scope="module")
def pages(study) -> Path:
    # Notebooks that have not been executed make a report as well: Sphinx takes the outputs that are there.
    return build_report(study, study.file.parent / "notebooks", study.out.parent / "html").parent


def test_a_report_has_a_page_for_each_notebook_and_no_fault(pages):
    assert faults_of_pages(pages) == []
    assert {f"{name}.html" for name in STAGES} < {path.name for path in pages.glob("*.html")}
    found = summary(pages)
    assert found.equations == 12 and found.figures == 1 and found.pages >= 10


def test_the_front_page_tells_what_was_run_and_what_came_out(pages):
    text = (pages / "index.html").read_text()
    for told in ("A small study", "small.toml", "0.320", "0.620", "soc_maps.png", "10.3389/fdata.2020.00017"):
        assert told in text
    assert str(pages.parent) not in text


def test_the_code_is_there_but_folded(pages):
    text = (pages / "04-site-by-site-assimilation.html").read_text()
    assert "Show the code" in text and "write_text" in text


def test_every_page_leads_to_every_other(pages):
    text = (pages / "run.html").read_text()
    assert all(f'href="{name}.html"' in text for name in STAGES)


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ('<script src="https://example.org/a.js"></script>', "loads https://example.org/a.js from the network"),
        ('<link rel="stylesheet" href="//example.org/a.css">', "from the network"),
        ('<img src="_images/gone.png">', "_images/gone.png, which is not there"),
        ("<style>@import url(https://example.org/font.css);</style>", "font.css from the network"),
        ('<a href="gone.html">', "links to gone.html, which is not there"),
        ('<a href="run.html#nowhere">', "no such place"),
    ],
)
def test_a_page_that_needs_the_network_or_misses_a_file_is_found(pages, added, told):
    page = pages / "extra.html"
    page.write_text(f"<html><body>{added}</body></html>")
    try:
        faults = faults_of_pages(pages)
    finally:
        page.unlink()
    assert len(faults) == 1 and faults[0].startswith("extra.html: ") and told in faults[0]


def test_a_report_without_a_front_page_or_a_search_index_is_faulty(tmp_path):
    assert [fault.split()[0] for fault in faults_of_pages(tmp_path)] == ["index.html", "search.html", "searchindex.js"]
    assert main([str(tmp_path)]) == 1
    assert main([str(tmp_path / "nowhere")]) == 2


def test_a_faulty_report_does_not_take_the_place_of_the_old_one(study, pages, tmp_path):
    notebook = nbformat.read(study.file.parent / "notebooks" / "01-data-cleaning.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell('<script src="https://example.org/a.js"></script>'))
    nbformat.write(notebook, tmp_path / "01-data-cleaning.ipynb")
    before = (pages / "index.html").stat().st_mtime_ns
    with pytest.raises(ReportFailed, match="from the network"):
        build_report(study, tmp_path, pages)
    assert (pages / "index.html").stat().st_mtime_ns == before
    assert not list(pages.parent.glob(".html-*"))


def test_a_progress_bar_is_shown_as_it_stood_at_the_end():
    assert last_state("\r  0 %\r 50 %\r100 %\nnext\r\n") == "100 %\nnext\n"


def test_figures_and_code_stay_when_a_notebook_is_made_ready_for_the_page():
    cell = nbformat.v4.new_code_cell("1 + 1", metadata={"tags": ["parameters"]})
    cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": "aaaa"})]
    page = for_the_page(nbformat.v4.new_notebook(cells=[cell]))
    assert page.cells[0].metadata.tags == ["hide-input", "parameters"]
    assert page.cells[0].outputs[0].data == {"image/png": "aaaa"}


def test_tables_align_numbers_and_round_them(tmp_path):
    assert markdown_table(("a", "b"), [("x", 1.5), ("y|z", -2)]).splitlines()[1:] == [
        "| --- | ---: |",
        "| x | 1.5 |",
        "| y\\|z | -2 |",
    ]
    (tmp_path / "table.csv").write_text("method,r2,stock,n\nA,0.12345,1234.56,12\nB,,7,13\n")
    assert "| A | 0.123 | 1234.6 | 12 |" in csv_table(tmp_path / "table.csv")


@browser
@pytest.mark.browser
def test_a_browser_asks_the_network_for_nothing_sets_the_mathematics_and_searches(pages):
    assert faults_in_browser(find_browser(), pages) == []


@browser
@pytest.mark.browser
def test_the_browser_test_sees_a_request(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<html><body><script>fetch("https://example.org/x")</script></body></html>')
    assert opened(find_browser(), page).requests == ["https://example.org/x"]


@browser
@pytest.mark.browser
@pytest.mark.parametrize(
    ("equation", "told"), [("\\badcommand{x}", "shown in red"), ("\\frac{a", "the equation \\(\\frac{a\\) is not set")]
)
def test_an_equation_that_cannot_be_set_is_found(pages, tmp_path, equation, told):
    whole = (pages / "01-data-cleaning.html").read_text()
    shutil.copytree(pages / "_static", tmp_path / "_static")
    math = f'<span class="math notranslate nohighlight">\\({equation}\\)</span>'
    (tmp_path / "page.html").write_text(whole.replace("Carbon obeys", f"Carbon obeys {math}"))
    faults = [fault for fault in faults_in_browser(find_browser(), tmp_path) if fault.startswith("page.html")]
    assert len(faults) == 1 and told in faults[0]
