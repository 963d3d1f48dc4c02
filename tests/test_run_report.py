"""The report: pages that open from the file system and load nothing from a network."""

import json
from pathlib import Path

import nbformat
import pytest
from small_notebooks import write_study

from proda.run.report import ReportFailed, build_report, from_network
from proda.stage import STAGES
from proda.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("report")
    file, _ = write_study(folder)
    study = Study.open(file, "tiny", out=folder / "out", settings={"epochs": 3})
    study.out.mkdir()
    study.path("table_1_summary.csv").write_text("method,r2,published r2\ndefault,0.31999,0.32\nnetwork,0.6,\n")
    study.path("cleaning.csv").write_text("rule,profiles_after,layers_after\nno layers,1234,5678\n")
    revision = {"commit": "0123456789abcdef", "dirty": False}
    run = {"started": "2020-06-03T12:00", "revision": revision, "versions": {"numpy": "2.1.0"}}
    study.path("run.json").write_text(json.dumps(run))
    return study


@pytest.fixture(scope="module")
def pages(study) -> Path:
    # Notebooks that have not been executed make a report as well: Sphinx takes the outputs that are there.
    return build_report(study, study.file.parent / "notebooks", study.out.parent / "html").parent


def test_the_first_page_has_the_facts_the_scores_and_every_notebook(study, pages):
    text = (pages / "index.html").read_text()
    facts = ("A small study", "Stages that write one file each", "0.32", "0.60", "1,234 profiles", "0123456789ab")
    for fact in (*facts, "epochs = 3", "numpy 2.1.0", "10.3389/fdata.2020.00017", "Supplement"):
        assert fact in text, fact
    assert "nan" not in text.split("published r²")[1].split("Notebooks")[0]
    assert all(f'href="{name}.html"' in text for name in (*STAGES, "S3-method-comparison", "sources"))
    assert str(study.out.parent) not in text


def test_code_is_folded_and_mathematics_are_set_by_the_report_itself(pages):
    text = (pages / "04-site-by-site-assimilation.html").read_text()
    assert "Show the code" in text and "write_text" in text
    assert "_static/tex-svg.js" in text and (pages / "_static" / "tex-svg.js").is_file()


def test_addresses_from_which_a_page_loads_are_found(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<a href="https://a.b/c"><link href="//a.b/d.css"><script src="https://a.b/e.js"></script></a>')
    assert from_network(page) == ["//a.b/d.css", "https://a.b/e.js"]


def test_a_page_that_loads_from_the_network_does_not_replace_the_old_report(study, pages, tmp_path):
    notebook = nbformat.read(study.file.parent / "notebooks" / "01-data-cleaning.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell('<script src="https://example.org/a.js"></script>'))
    nbformat.write(notebook, tmp_path / "01-data-cleaning.ipynb")
    before = (pages / "index.html").stat().st_mtime_ns
    with pytest.raises(ReportFailed, match="01-data-cleaning.html: https://example.org/a.js"):
        build_report(study, tmp_path, pages)
    assert (pages / "index.html").stat().st_mtime_ns == before
    assert not list(pages.parent.glob(".html-*"))
