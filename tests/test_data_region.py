"""The region of a study: land by name, by box and by outline, across the antimeridian, and what is not one."""

import geopandas
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import shapely
from small_tables import grid_rows, write_tables

from proda.data.files import known_truth
from proda.data.grid import cells_at, grid_dataset, land_cells, placed
from proda.data.region import (
    conterminous_land,
    continuous,
    countries,
    equal_area,
    is_conterminous,
    outline_of,
    study_region,
    world_land,
)
from proda.data.sources import study_source
from proda.data.stage import cleaned_study
from proda.errors import InputError
from proda.figures.style import draw_cells, map_axes
from proda.kernels.steady_state import soc_density
from proda.maps.netcdf import raster_of, rastered
from proda.model.configuration import PAPER
from proda.model.parameters import physical
from proda.study import Study, repository_root

FILE = """title = "A region"
seed = 1
[source]
kind = "virtual"
[source.covariates]
classes = "as numbers"
[region]
{}
[settings]
n_profiles = 100
"""


@pytest.fixture
def region_of(tmp_path):
    """The region of a study whose file has a [region] table of this text."""

    def made(text: str):
        (tmp_path / "study.toml").write_text(FILE.format(text))
        return study_region(Study.open(tmp_path / "study.toml", "tiny", out=tmp_path / "out"))

    return made


def area(cells: pd.DataFrame) -> float:
    """Land of the cells, million km2."""
    return (cells["land_fraction"] * cells["cell_area"]).sum() / 1e12


@pytest.mark.parametrize(
    ("land", "million_km2"),
    [("Brazil", 8.5), ("bra", 8.5), ("Africa", 30.0), ("Southern Africa", 2.67), ("conterminous-us", 7.8)],
)
def test_named_land_has_its_area(region_of, land, million_km2):
    cells = land_cells(region_of(f'land = "{land}"').land, min_fraction=0.0)
    assert area(cells) == pytest.approx(million_km2, rel=0.03)


def test_a_study_without_a_region_is_for_the_conterminous_states(tmp_path):
    study = Study.open("virtual", "tiny", out=tmp_path)
    assert study_region(study).land.equals(conterminous_land())
    assert "region" not in study.fingerprints()["01-data-cleaning"]


def test_all_land_but_antarctica_has_some_sixty_thousand_cells():
    cells = land_cells(world_land())
    assert 60_000 < len(cells) < 66_000
    assert area(cells) == pytest.approx(133, rel=0.02)
    assert cells["lat"].min() > -60 and cells["lat"].max() > 83
    assert len(countries()) == 242


def test_cells_of_another_resolution_hold_the_same_land():
    land = countries().set_index("iso_a3").geometry["PRT"]
    fine, coarse = (land_cells(land, side, min_fraction=0.0) for side in (0.1, 1.0))
    assert area(fine) == pytest.approx(area(coarse), rel=0.01)
    assert grid_dataset(fine.assign(land_cover=1, sand_percent=1.0)).attrs["resolution_degrees"] == 0.1
    assert (np.diff(np.unique(fine["lat"])).round(9) >= 0.1).all()


def test_a_box_across_the_antimeridian_is_one_raster(region_of):
    cells = land_cells(region_of("box = [174, 64, -172, 68]").land)  # Chukotka
    assert cells["lon"].max() > 179 and cells["lon"].min() < -179
    raster = raster_of(cells)
    assert raster.lon.size <= 28 and (np.diff(raster.lon) == 0.5).all() and raster.lon.max() > 180
    assert np.isfinite(rastered(np.ones(len(cells)), raster)).sum() == len(cells)
    # A position on the other side of the line from the nearest cell finds it.
    edge = cells[cells["lon"] == 179.75].head(1)
    cell, distance = cells_at([-179.95, -179.0], [edge["lat"].iloc[0]] * 2, edge, 0.1)
    assert cell.tolist() == [0, -1] and distance[0] == pytest.approx(0.05)
    profiles = pd.DataFrame({"lon": [179.9, -179.9, 0.0], "lat": edge["lat"].iloc[0]})
    assert placed(profiles, edge, 0.5)["in_domain"].tolist() == [True, True, False]


def test_longitudes_go_on_across_the_antimeridian_only_where_that_is_shorter():
    assert continuous([179.75, -179.75]).tolist() == [179.75, 180.25]
    assert continuous([-124.75, -66.75]).tolist() == [-124.75, -66.75]
    assert continuous([-179.75, 0.25, 179.75]).tolist() == [-179.75, 0.25, 179.75]


@pytest.mark.parametrize(
    ("lon", "lat", "projection"),
    [
        ((-124, -67), (25, 49), "+proj=aea +lat_1=29.5 "),
        ((-17, 51), (-34, 37), "+proj=laea"),
        ((-10, 10), (36, 52), "+proj=aea"),
        ((-179, 0, 179), (-55, 0, 83), "+proj=eqearth"),
        ((-179, 0, 179), (62, 70, 83), "+proj=laea +lat_0=90"),
        ((178, -179), (62, 68), "+proj=aea"),
    ],
)
def test_the_projection_follows_from_the_extent(lon, lat, projection):
    assert equal_area(np.array(lon, float), np.array(lat, float)).startswith(projection)
    assert is_conterminous(np.array(lon), np.array(lat)) == (projection == "+proj=aea +lat_1=29.5 ")


def test_an_outline_is_brought_to_degrees_and_must_declare_its_system(tmp_path, region_of):
    there = shapely.box(9.0, 46.0, 11.0, 48.0)
    shapes = geopandas.GeoSeries([there], crs=4326)
    shapes.to_crs(3035).to_file(tmp_path / "metres.gpkg")
    region = region_of('outline = "metres.gpkg"\nbox = [9, 47, 11, 48]')
    assert region.name == "metres" and region.land.area == pytest.approx(2.0, rel=0.01)
    geopandas.GeoSeries([there]).to_file(tmp_path / "undeclared.shp")
    geopandas.GeoSeries([shapely.Point(9, 46)], crs=4326).to_file(tmp_path / "point.gpkg")
    (tmp_path / "text.gpkg").write_text("none")
    for name, fault in {
        "undeclared.shp": "declares no coordinate system.*add the .prj",
        "point.gpkg": "found 0 polygons",
        "text.gpkg": "no outline can be read",
    }.items():
        with pytest.raises(InputError, match=fault):
            outline_of(tmp_path / name)
    with pytest.raises(InputError, match="there is no file"):
        region_of('outline = "absent.gpkg"')


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('land = "Brasil"', "no land is called 'Brasil': did you mean 'Brazil'"),
        ("land = 3", "land is 3, expected a name or a list"),
        ('land = "Brazil"\noutline = "study.toml"', "names both land and outline"),
        ('lands = "Brazil"', "unknown entry 'lands': did you mean 'land'"),
        ("box = [0, 40, 10]", "box is .0, 40, 10., expected .west, south, east, north."),
        ("box = [0, 50, 10, 40]", "south below north"),
        ("box = [170, -20, 190, 0]", "longitudes from -180 to 180"),
        ("box = [-40, 20, -30, 30]", "there is no land of world in the box"),
        ('land = "Brazil"\nbox = [0, 40, 10, 50]', "there is no land of Brazil in the box"),
        ("resolution = 0.7", "resolution is 0.7, expected a part of 180 degrees"),
        ('resolution = "half"', "resolution is 'half'"),
    ],
)
def test_what_is_no_region_is_named(region_of, text, fault):
    with pytest.raises(InputError, match=fault):
        region_of(text)


def test_land_smaller_than_a_quarter_of_any_cell_is_an_error():
    with pytest.raises(InputError, match="no cell of 10 degrees has 25% of land.*smaller cells"):
        land_cells(shapely.box(1, 1, 2, 2), 10.0)


def test_a_half_degree_table_is_cut_by_the_region(tmp_path):
    raw, far = write_tables(tmp_path / "raw"), write_tables(tmp_path / "far", lon=-102.0)
    text = (repository_root() / "data" / "studies" / "your-region.toml").read_text()

    def cells(region: str, raw=raw):
        (tmp_path / "own.toml").write_text(text + f"\n[region]\n{region}\n")
        study = Study.open(tmp_path / "own.toml", data=raw, out=tmp_path / "out")
        return study_source(study, tmp_path).cells["lon"].tolist()

    assert cells('land = "United States"') == [-100.25, -99.75]
    assert cells("box = [-101, 40, -100, 41]") == [-100.25]
    with pytest.raises(InputError, match="none of 30 profiles lies on a land cell.*cells reach from lon -99.75"):
        cells("box = [-99.9, 40, -99, 41]", far)
    with pytest.raises(InputError, match="no cell of grid_half_degree.csv lies in the region of Africa"):
        cells('land = "Africa"')
    with pytest.raises(InputError, match="resolution is 0.25 degrees, but the cells of grid_half_degree.csv have 0.5"):
        cells("resolution = 0.25")


def test_the_table_may_give_the_depth_of_thaw(tmp_path):
    raw = write_tables(tmp_path / "raw", grid_rows().assign(active_layer_m=[0.8, np.nan]))
    study = Study.open("your-region", data=raw, out=tmp_path / "out")
    assert study_source(study, tmp_path).forcing.active_layer.tolist() == [0.8, 35.0]


def test_a_virtual_study_across_the_antimeridian_and_with_frost(tmp_path):
    (tmp_path / "bering.toml").write_text(FILE.format("box = [165, 58, -160, 72]\nresolution = 1.0"))
    poor = {"min_soc_kg_m3": 0.0, "min_carbon_percent": 0.0}
    study = Study.open(tmp_path / "bering.toml", "tiny", out=tmp_path / "out", settings=poor)
    cleaned = cleaned_study(study)
    assert cleaned.grid.attrs["resolution_degrees"] == 1.0 and len(cleaned.profiles) == 100
    lon = cleaned.profiles["lon"]
    assert (lon > 165).any() and (lon < -160).any()
    assert (np.abs(np.mod(lon - cleaned.grid["lon"].values[cleaned.profiles["cell"]] + 180, 360) - 180) < 1.0).all()
    frozen = cleaned.forcing.active_layer < 5
    assert 0.2 < frozen.mean() < 1
    truth = known_truth(study)
    x = truth["x_cell"].values.copy()
    soc = soc_density(physical(x, cleaned.forcing), cleaned.forcing)
    x[PAPER.parameters.index("cryo")] = 0.02
    moved = np.abs(soc_density(physical(x, cleaned.forcing), cleaned.forcing) / soc - 1).max(axis=0) > 1e-3
    assert moved[frozen].all() and not moved[~frozen].any()
    ax = map_axes(cleaned.grid)
    draw_cells(soc[0], cleaned.grid, ax)
    assert np.ptp(ax.get_xlim()) < 3e6
    plt.close(ax.figure)
