"""A study file with other sources, and a small raw folder for each kind of source, for the tests of stage 1."""

from pathlib import Path

import numpy as np
import wosis_files
from history_files import history, written
from small_maps import geotiff, in_degrees

from proda.study import Study, repository_root

TRANSFORM, EAST, NORTH = in_degrees(-126.0, 51.0, 0.25, 112, 248)
OWN = """name,meaning,unit,kind,source,licence
IGBP,land cover,class,categorical,MODIS,none
NPPmean,NPP,g C m-2 yr-1,continuous,MODIS,none
NPPmin,NPP,g C m-2 yr-1,continuous,MODIS,none
NPPmax,NPP,g C m-2 yr-1,continuous,MODIS,none
BIO1,annual mean temperature,degC,continuous,WorldClim,see the page
slope,slope of the land,%,continuous,own,CC0
"""


def study_with(folder: Path, source: str, data: Path, name: str = "own", like: str = "wosis", **settings) -> Study:
    """A copy of a shipped study file whose [source] tables are `source`, opened on the raw folder `data`."""
    text = (repository_root() / "data" / "studies" / f"{like}.toml").read_text(encoding="utf-8")
    file = folder / f"{name}.toml"
    file.write_text(text[: text.index("[source]")] + source + "\n" + text[text.index("[settings]") :], encoding="utf-8")
    return Study.open(file, data=data, out=folder / name, settings=settings)


def write_history(folder: Path, years=(2001, 2002), **which) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for year in years:
        written(history(years=(year,), **which, lat=np.arange(22.5, 53.0, 1.875)), folder / f"run.clm2.h0.{year}.nc")


def write_maps(folder: Path) -> None:
    """Maps of the conterminous United States under the names of their makers; BIO1 is missing north of 48 degrees."""
    geotiff(folder / "MCD12_LC_Type1_2010.tif", np.where(EAST < -100, 10, 4), TRANSFORM, dtype="u1")
    geotiff(folder / "SNDPPT_M_sl1_10km_ll.tif", 40 + 0 * EAST, TRANSFORM, 255, dtype="u1")
    bio = np.where(NORTH > 48.0, np.nan, 30 - 0.5 * (NORTH - 25))
    geotiff(folder / "wc2.1_10m_bio_1.tif", bio, TRANSFORM, -3.4e38, dtype="f4")
    for year in range(2000, 2015):
        stored = 4000 + 10 * (year - 2007) + 0 * EAST
        geotiff(folder / f"MOD17A3_NPP_{year}.tif", stored, TRANSFORM, 65535, dtype="u2")
    geotiff(folder / "own" / "slope.tif", np.abs(EAST) / 10, TRANSFORM)
    for depths, stored in {"0-5": 400, "5-15": 300, "15-30": 200, "30-60": 100, "60-100": 100, "100-200": 20}.items():
        geotiff(folder / f"ocd_{depths}cm_mean.tif", stored + 0 * EAST, TRANSFORM, -32768, dtype="i2")


def write_everything(folder: Path, n: int = 150) -> Path:
    """A raw folder with WoSIS, the half-degree table, history files and maps."""
    wosis_files.write_december_2023(wosis_files.made_profiles(n, seed=3), folder)
    wosis_files.write_grid(folder)
    write_history(folder / "history")
    write_maps(folder / "maps")
    (folder / "covariates.csv").write_text(OWN)
    return folder
