"""The page of the report on whose data and software a study rests: sources, licences, citations."""

import re
from collections.abc import Iterator
from importlib import metadata

import pandas as pd

from proda.batch.front_page import PAPER
from proda.batch.markdown_tables import markdown_table
from proda.batch.run_record import PACKAGES
from proda.data.covariate_lists import LISTS
from proda.data.grid import read_grid
from proda.data.public_sources import bytes_text, known_sources
from proda.maps.references import reference_stocks
from proda.model.column import interval_name
from proda.study import Study

INVENTED = (
    "This study makes its own data: the continent's climate, soils, vegetation and profiles are invented (seed "
    "{seed}), and nobody's data are in them. The covariates below bear the names of real ones, so that the notebooks "
    "read as they would with real data."
)
READ = (
    "Profiles, forcing and covariates were read from the folder `{folder}`. Their owners keep their rights: name them "
    "when you publish, under the licences that came with the files."
)
# As gathered in the tables for which the study us-profiles was made (data/README.md).
OWNERS = (
    ("RaCA", "USDA-NRCS Rapid Carbon Assessment", "US government work"),
    ("USGS", "US Geological Survey, Data Series 801", "US government work"),
    ("EPA", "EPA National Wetland Condition Assessment 2011", "US government work"),
    ("SoDaH", "SoDaH, NEON and LTER: Soils Data Harmonization database", "see the database's page"),
    ("NCSS", "USDA-NCSS pedons as distributed with WoSIS 2016 (ISRIC)", "CC BY-SA 4.0"),
)
# Maps that a study may be compared with, by the beginning of their names in the report.
REFERENCES = (
    ("WHRC", "Woods Hole Research Center, presumably Sanderman et al. (2017), doi 10.1073/pnas.1706103114", "MIT"),
    ("HWSD", "Harmonized World Soil Database: FAO, IIASA, ISRIC, ISS-CAS, JRC", "see its documentation"),
    ("SoilGrids 2017", "ISRIC: Hengl et al. (2017), doi 10.1371/journal.pone.0169748", "ODbL 1.0"),
    ("SoilGrids", "ISRIC: Poggio et al. (2021), doi 10.5194/soil-7-217-2021", "CC BY 4.0"),
    ("WISE30sec", "ISRIC: Batjes (2016), doi 10.1016/j.geoderma.2016.01.034", "see `wise30sec` below"),
)
OUTLINES = (
    "State outlines: US Census Bureau, cartographic boundary files, in the public domain; topology by "
    "[us-atlas](https://github.com/topojson/us-atlas), Copyright 2013-2019 Michael Bostock, ISC licence."
)
FETCH = "`python -m proda fetch SOURCE` downloads one, and says first how large it is and under what licence it comes."
CITE = (
    "Cite the paper, and this repository as `CITATION.cff` says. The code is under the MIT licence; results of a run "
    "are yours, within the licences of the data that went into it."
)
DOI = re.compile(r"(?:doi[: ]\s*)(10\.\d{4,}/[^\s,;)]+[^\s,;.)])", re.IGNORECASE)


def sources_page(study: Study) -> str:
    """The page in Markdown: what this study read, what there is to fetch, outlines, software, how to cite."""
    said = INVENTED.format(seed=study.seed) if study.data is None else READ.format(folder=study.data.name)
    parts = [
        "# Data sources, licences and citations",
        "## What this study read",
        said,
        _profiles(study),
        _drivers(study),
        _covariates(study),
        _references(study),
        "## Public data sets that a study can read",
        FETCH,
        markdown_table(("`SOURCE`", "what", "licence", "cite", "size"), _fetchable()),
        "## Maps in this report",
        OUTLINES,
        "## Software",
        "What shaped the results; [the run's own versions](run.md) are in its record.",
        markdown_table(("package", "licence", "page"), _software()),
        "## How to cite",
        CITE,
        PAPER,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def linked(citation: str) -> str:
    """A citation whose DOIs can be followed."""
    return DOI.sub(lambda found: f"[doi:{found[1]}](https://doi.org/{found[1]})", citation)


def _profiles(study: Study) -> str:
    """How many profiles each survey gave, and who owns the surveys that are known."""
    path = study.path("profiles.parquet")
    if not path.is_file():
        return ""
    counts = pd.read_parquet(path, columns=["source"])["source"].value_counts()
    rows = []
    for name, count in counts.items():
        owner, licence = next(
            ((what, licence) for word, what, licence in OWNERS if study.data and word in str(name)),
            ("invented", "MIT") if study.data is None else ("as its owner says", "as its owner says"),
        )
        rows.append((name, f"{count:,}", owner, licence))
    return markdown_table(("profiles of", "number after cleaning", "whose", "licence"), rows)


def _drivers(study: Study) -> str:
    """Where forcing and covariates come from, with what was missing."""
    path = study.path("drivers.csv")
    if not path.is_file():
        return ""
    table = pd.read_csv(path)
    rows = [
        (source, len(group), _few(group["variable"].astype(str)), f"{int(group['missing'].sum()):,}")
        for source, group in table.groupby("source", sort=False)
    ]
    return markdown_table(("forcing and covariates from", "variables", "which", "missing values"), rows)


def _covariates(study: Study) -> str:
    """The maps behind the covariates that the study has, each with its licence."""
    path = study.path("covariates.parquet")
    if not path.is_file():
        return ""
    known = {item.name: item for items in LISTS.values() for item in items}
    # A class has a column for each of its values, "IGBP=10".
    names = dict.fromkeys(name.split("=")[0] for name in pd.read_parquet(path).columns)
    by_source: dict[tuple[str, str], list[str]] = {}
    for item in (known[name] for name in names if name in known):
        by_source.setdefault((item.source, item.licence), []).append(item.name)
    rows = [(linked(source), f"{len(items)}: {_few(items)}", licence) for (source, licence), items in by_source.items()]
    head = "covariates under the names of" if study.data is None else "covariates as described by"
    return markdown_table((head, "which", "licence of the original"), rows) if rows else ""


def _references(study: Study) -> str:
    """The maps that the study's own are compared with."""
    if not study.path("grid.nc").is_file():
        return ""
    made = ("made by the study", "none") if study.data is None else ("as its owner says", "as its owner says")
    rows = []
    for name, stocks in reference_stocks(read_grid(study.path("grid.nc"))).items():
        known = ((linked(who), licence) for word, who, licence in REFERENCES if study.data and name.startswith(word))
        owner = next(known, made)
        rows.append((name, ", ".join(map(interval_name, stocks)), *owner))
    head = ("maps to compare with, never learnt from", "depths", "whose", "licence")
    return markdown_table(head, rows) if rows else ""


def _fetchable() -> Iterator[tuple[str, ...]]:
    for name, source in known_sources().items():
        what = f"[{source.title}]({source.page})"
        yield f"`{name}`", what, source.licence, linked(source.citation), bytes_text(source.size)


def _software() -> Iterator[tuple[str, str, str]]:
    for name in PACKAGES:
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        named = [text.partition(", ")[2] for text in about.get_all("Project-URL") or []]
        pages = [about.get("Home-page") or "", *named]
        page = next((text for text in pages if text.startswith("http")), "")
        yield name, _licence(about), f"[{page.split('//')[1].rstrip('/')}]({page})" if page else ""


def _licence(about: metadata.PackageMetadata) -> str:
    """The licence as a package states it: the expression, else its classifier, else the first line of the text."""
    classes = [text.split(" :: ")[-1] for text in about.get_all("Classifier") or [] if text.startswith("License ::")]
    stated = (about.get("License") or "").strip().splitlines()
    return about.get("License-Expression") or ", ".join(classes) or (stated[0] if stated else "not stated")


def _few(names: "pd.Series | list[str]", most: int = 6) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"`{name}`" for name in names[:most]) + more
