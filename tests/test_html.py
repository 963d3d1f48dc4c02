"""The report: pages that open from the file system, whole and without a network, with their mathematics and figures."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from small_notebooks import write_study
from synthetic_study import write_study as write_mapped_study

from proda.run import report as front_page
from proda.run.page_check import (
    SCREENS,
    Chromium,
    faults_in_browser,
    faults_of_page,
    faults_of_pages,
    find_browser,
    main,
    opened,
    summary,
    weight_faults,
    weights_of_pages,
)
from proda.run.report import (
    ReportFailed,
    _references,
    build_report,
    csv_table,
    for_the_page,
    last_state,
    linked,
    markdown_table,
    summary_of,
)
from proda.stage import STAGES
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
    assert "<figure><a" in (pages / "index.html").read_text()


def test_the_front_page_tells_what_was_run_and_what_came_out(pages):
    text = (pages / "index.html").read_text()
    for told in ("A small study", "small.toml", "0.32", "0.62", "soc_maps.png", "10.3389/fdata.2020.00017"):
        assert told in text
    assert all(f'href="{name}.html">' in text for name in (*STAGES, "your-own-region", "sources", "run"))
    assert str(pages.parent) not in text


def test_the_page_of_sources_names_licences_citations_and_software(pages):
    text = (pages / "sources.html").read_text()
    told = ("CC BY 4.0", "10.5194/essd-16-4735-2024", "US Census Bureau", "ISC licence", "numpy", "BSD-3-Clause", "MIT")
    assert [words for words in told if words not in text] == []
    assert linked("Poggio (2021), doi 10.5194/soil-7-217-2021.") == (
        "Poggio (2021), [doi:10.5194/soil-7-217-2021](https://doi.org/10.5194/soil-7-217-2021)."
    )
    assert linked("(B 2016, doi 10.1016/x.03.034)").endswith("(https://doi.org/10.1016/x.03.034))")


def test_the_front_page_adds_the_strata_of_this_study(tmp_path):
    rows = ["source,method,interval,stock_pg", "this study,hybrid,0-30 cm,10.4", "this study,hybrid,30-100 cm,20.4"]
    rows += ["this study,hybrid,0-100 cm,30.8", "published,hybrid,0-30 cm,99", "this study,default,0-30 cm,7"]
    (tmp_path / "stocks.csv").write_text("\n".join(rows) + "\n")
    told = front_page._total(SimpleNamespace(path=lambda name: tmp_path / name))
    assert told.startswith("Soil organic carbon to 2 m, Pg: hybrid 31;")


def test_the_page_of_sources_names_the_maps_compared_with(tmp_path):
    study = write_mapped_study(tmp_path)
    study.data = tmp_path
    text = _references(study)
    assert "never learnt from" in text and re.search(r"\| WHRC \| .*0-100 cm", text)


def test_a_report_that_is_too_heavy_is_built_and_says_so(study, tmp_path, monkeypatch):
    monkeypatch.setattr("proda.run.page_check.HEAVIEST", 1_000_000)
    with pytest.warns(UserWarning, match="the report weighs .* at most 1 are allowed: fewer or smaller figures"):
        page = build_report(study, study.file.parent / "notebooks", tmp_path / "html")
    assert page.is_file()


def test_the_tutorial_is_a_page(pages):
    assert "data/studies/us-profiles.toml" in (pages / "your-own-region.html").read_text()


def test_the_notebook_that_a_reader_downloads_has_its_code_and_no_outputs(pages):
    notebook = nbformat.read(pages / "_sources" / "04-site-by-site-assimilation.ipynb", as_version=4)
    assert "write_text" in notebook.cells[4].source
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_a_report_weighs_what_its_pages_load(pages):
    weights = weights_of_pages(pages)
    assert weights["."] == sum(path.stat().st_size for path in pages.rglob("*") if path.is_file()) < 5_000_000
    icons, mathjax = (next(pages.rglob(name)).stat().st_size for name in ("fa-solid-900.woff2", "tex-svg.js"))
    assert weights["index.html"] > icons and weights["01-data-cleaning.html"] > icons + mathjax
    assert weight_faults(weights) == []
    assert weight_faults({"a.html": 10_000_001, ".": 1}) == ["a.html weighs 10.0 MB; at most 10 are allowed"]


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
        ('<img src="_images/gone.png" alt="A map of what is gone">', "_images/gone.png, which is not there"),
        ("<style>@import url(https://example.org/font.css);</style>", "font.css from the network"),
        ('<a href="gone.html">', "links to gone.html, which is not there"),
        ('<a href="run.html#nowhere">', "no such place"),
        ('<img src="_static/file.png">', "_static/file.png has no alternative text"),
        ('<img src="_static/file.png" alt=" ">', "has no alternative text"),
        ('<img src="_static/file.png" alt="Figure 3">', "says nothing: 'Figure 3'"),
        ("<figure><figcaption> Figure <b>3</b></figcaption></figure> as below", "a caption says nothing: ' Figure 3'"),
        ("<figcaption></figcaption>", "a caption says nothing: ''"),
        ('<img src="_static/file.png" alt="_images/1b2c.png">', "says nothing"),
        ('<img src="_static/file.png" alt="No description has been provided for this image">', "says nothing"),
        (
            '<img src="_static/file.png" alt="Carbon to a metre"><img src="_static/minus.png" alt="Carbon to a metre">',
            "have the same alternative text",
        ),
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


def test_the_summary_stands_at_the_top_and_stays_where_it_was():
    markdown, code, output = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell, nbformat.v4.new_output
    told = code("Markdown(...)")
    told.outputs = [output("display_data", {"text/markdown": "* 7 sites\n* r² of 0.5"})]
    later = code("Markdown(...)")
    later.outputs = [output("display_data", {"text/markdown": "no part of it"})]
    cells = [markdown("# Title"), code("a"), markdown("## Summary"), told, markdown("## Resources"), later]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert summary_of(notebook) == "* 7 sites\n* r² of 0.5"
    page = for_the_page(notebook)
    assert page.cells[0].source == "# Title" and "In short" in page.cells[1].source
    assert "* 7 sites" in page.cells[1].source and page.cells[4].outputs[0].data["text/markdown"].startswith("* 7")


def test_a_notebook_without_a_summary_gets_no_empty_box():
    assert len(for_the_page(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title")])).cells) == 1


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
    chosen = csv_table(tmp_path / "table.csv", {"r2": "r²", "gone": "?"}, decimals=2).splitlines()
    assert chosen == ["| r² |", "| ---: |", "| 0.12 |", "|  |"]


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
    shutil.copy(pages / "searchindex.js", tmp_path)
    math = f'<span class="math notranslate nohighlight">\\({equation}\\)</span>'
    (tmp_path / "page.html").write_text(whole.replace("Carbon obeys", f"Carbon obeys {math}"))
    faults = [fault for fault in faults_in_browser(find_browser(), tmp_path) if fault.startswith("page.html")]
    assert len(faults) == 1 and told in faults[0]


@browser
@pytest.mark.browser
@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("<script>nothing.there()</script>", "a script fails: ReferenceError: nothing is not defined"),
        ("<script>console.error('all is lost')</script>", "a script fails: all is lost"),
        ('<div style="width: 700px">wide</div>', "wider than the screen of a phone (390 px)"),
        ("<style>:focus-visible { outline: none !important; box-shadow: none !important }</style>", "cannot be seen"),
        ("<style>summary { display: none !important }</style>", "the keyboard does not reach folded code"),
        ("<style>.skip-link { display: none }</style>", "the first press of Tab does not show a link that skips"),
        ('<img src="_static/broken.png" alt="What is broken here">', "the figure _static/broken.png is not shown"),
    ],
)
def test_what_a_script_a_phone_or_a_keyboard_meets_is_found(pages, added, told):
    (pages / "_static" / "broken.png").write_bytes(b"no picture")
    page = pages / "extra.html"
    whole = (pages / "04-site-by-site-assimilation.html").read_text()
    page.write_text(whole.replace("</article>", f"{added}</article>"))
    try:
        with Chromium(find_browser()) as chromium:
            faults = list(faults_of_page(chromium, page))
    finally:
        page.unlink()
        (pages / "_static" / "broken.png").unlink()
    assert any(told in fault for fault in faults), faults


@browser
@pytest.mark.browser
def test_the_front_page_has_its_table_its_map_and_its_six_links_on_the_first_screen(pages):
    width, height = SCREENS["desktop"]
    last = f"[...document.querySelectorAll('.notebooks a')].at({len(STAGES) - 1}).getBoundingClientRect().bottom"
    with Chromium(find_browser()) as chromium:
        chromium.resize(width, height)
        chromium.open(pages / "index.html")
        assert chromium.ask("document.querySelector('.half table').getBoundingClientRect().bottom") < height
        assert chromium.ask("document.querySelector('.half img').getBoundingClientRect().top") < height / 2
        assert chromium.ask(last) < height
