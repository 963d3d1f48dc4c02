"""Published maps give stocks in kg m-2 to the depths asked for, from their own layers and units."""

import sqlite3

import numpy as np
import pandas as pd
import pytest
from small_maps import geotiff, in_degrees

from proda.data.readers import reference_maps as layout
from proda.data.readers.reference_maps import hwsd2_stocks, soilgrids_2_stocks, unit_stocks, wise30sec_stocks
from proda.errors import InputError

X, Y = np.array([-99.75, -99.25]), np.array([39.25, 39.25])
TRANSFORM, LON, LAT = in_degrees(-100.5, 40.0, 0.05, 40, 50)


def test_soilgrids_2_is_density_in_hg_times_thickness(tmp_path):
    densities = {"0-5": 400, "5-15": 300, "15-30": 200, "30-60": 100, "60-100": 50, "100-200": 20}  # hg m-3
    for depths, value in densities.items():
        geotiff(tmp_path / f"ocd_{depths}cm_mean.tif", np.full(LON.shape, value), TRANSFORM, -32768, dtype="i2")
    result = soilgrids_2_stocks(tmp_path, X, Y)
    to_30 = 40 * 0.05 + 30 * 0.10 + 20 * 0.15
    to_100 = to_30 + 10 * 0.3 + 5 * 0.4
    np.testing.assert_allclose(result.stocks["ref_soilgrids_2_30cm"], to_30)
    np.testing.assert_allclose(result.stocks["ref_soilgrids_2_100cm"], to_100)
    np.testing.assert_allclose(result.stocks["ref_soilgrids_2_200cm"], to_100 + 2.0 * 1.0)
    assert result.findings["unit"].tolist() == ["kg m-2"] * 3
    geotiff(tmp_path / "ocd_0-5cm_mean.tif", np.full(LON.shape, 40000), TRANSFORM, dtype="i4")
    with pytest.raises(InputError, match="ocd_0-5cm is 4000 kg m-3 in a pixel, expected 0 to 300"):
        soilgrids_2_stocks(tmp_path, X, Y)


def soil(unit, number, share, carbon):
    """Seven layers of a soil; `carbon` is one number or seven, negative ones are codes."""
    top, bottom = [0, 20, 40, 60, 80, 100, 150], [20, 40, 60, 80, 100, 150, 200]
    orgc = np.broadcast_to(carbon, 7)
    table = pd.DataFrame({"NEWSUID": unit, "SCID": number, "PROP": share, "TopDep": top, "BotDep": bottom})
    return table.assign(CFRAG=np.where(orgc < 0, orgc, 20.0), BULK=np.where(orgc < 0, orgc, 1.25), ORGC=orgc)


SOILS = pd.concat([
    soil("WD1", 1, 60, 20.0), soil("WD1", 2, 40, 10.0), soil("WD2", 1, 70, 20.0), soil("WD2", 2, 30, -9.0),
    soil("WD3", 1, 100, [20.0, 20.0, -7.0, -7.0, -7.0, -7.0, -7.0]), soil("WD4", 1, 100, -2.0),
], ignore_index=True)  # fmt: skip


def test_a_unit_of_wise30sec_is_the_mean_of_its_soils_by_share():
    stocks = unit_stocks(SOILS)
    full = 20.0 * 1.25 * 0.8  # kg m-3
    np.testing.assert_allclose(stocks.loc["WD1"], np.array([0.3, 1.0, 2.0]) * full * (0.6 + 0.4 * 0.5))
    np.testing.assert_allclose(stocks.loc["WD2"], np.array([0.3, 1.0, 2.0]) * full)  # the city leaves its share
    np.testing.assert_allclose(stocks.loc["WD3"], np.array([0.3, 0.4, 0.4]) * full)  # rock below 40 cm holds nothing
    assert stocks.loc["WD4"].isna().all()  # water


@pytest.mark.parametrize("code", range(-9, 0))
@pytest.mark.parametrize("shallow", [False, True])
def test_rock_holds_no_carbon_and_what_is_no_soil_leaves_its_share(code, shallow):
    """Outcrop is -3 and rock below Leptosols -7; the others are water, ice, cities, dunes, salt and no data."""
    soils = pd.concat([soil(7, 1, 60, 20.0), soil(7, 2, 40, [20.0, *[code] * 6] if shallow else code)])
    stock, full = unit_stocks(soils).loc[7, 1.0], 20.0
    part = 0.4 * 0.2 * shallow
    np.testing.assert_allclose(stock, full * (0.6 + part) if code in (-3, -7) else full)


def write_wise(folder, **csv):
    folder.mkdir(exist_ok=True)
    numbers = np.where(LON < -99.75, 11, np.where(LON < -99.5, 13, 14))
    geotiff(folder / layout.WISE_MAP, numbers, TRANSFORM, nodata=0, dtype="u2")
    pd.DataFrame({"pixel_vaue": [11, 12, 13, 14], "description": ["WD1", "WD2", "WD3", "WD4"]}).to_csv(
        folder / layout.WISE_CODES, sep="\t", index=False
    )
    SOILS.to_csv(folder / layout.WISE_SOILS, index=False, **csv)


def test_a_cell_of_wise30sec_is_the_mean_of_its_units_by_area(tmp_path):
    write_wise(tmp_path / "mit Lücke")
    result = wise30sec_stocks(tmp_path / "mit Lücke", X, Y)
    expected = [(0.3 * 16 + 0.3 * 20) / 2, (16 + 0.4 * 20) / 2, (32 + 0.4 * 20) / 2]
    np.testing.assert_allclose(result.stocks.iloc[0], expected, rtol=1e-6)
    assert result.stocks.iloc[1].isna().all()


def test_tables_of_wise30sec_that_are_not_as_described_are_errors(tmp_path):
    write_wise(tmp_path, sep=";", decimal=",")
    with pytest.raises(InputError, match="HW30s_FULL.txt: not a table of WISE30sec"):
        wise30sec_stocks(tmp_path, X, Y)
    write_wise(tmp_path)
    (tmp_path / layout.WISE_CODES).write_text("pixel_vaue\tdescription\n11\tWD1\n")
    with pytest.raises(InputError, match="unit 13 is not in wise_30sec_v1.tsv"):
        wise30sec_stocks(tmp_path, X, Y)
    (tmp_path / layout.WISE_CODES).write_bytes("pixel_vaue\tdescription\n11\tWD1\n".encode("utf-16"))
    with pytest.raises(InputError, match="wise_30sec_v1.tsv: not a table of WISE30sec .*utf-8"):
        wise30sec_stocks(tmp_path, X, Y)


def hwsd2_layers():
    """The same soils as those of WISE30sec, in the layout of HWSD 2.0: units 11 to 14, carbon in percent."""
    table = SOILS.copy()
    table["ORG_CARBON"] = np.where(table["ORGC"] > 0, table["ORGC"] / 10, table["ORGC"])
    table["HWSD2_SMU_ID"] = table["NEWSUID"].str[2:].astype(int) + 10
    names = {"SCID": "SEQUENCE", "PROP": "SHARE", "TopDep": "TOPDEP", "BotDep": "BOTDEP"}
    return table.rename(columns=names | {"CFRAG": "COARSE"}).drop(columns=["NEWSUID", "ORGC"])


def write_hwsd2(folder, layers):
    folder.mkdir(exist_ok=True)
    numbers = np.where(LON < -99.75, 11, np.where(LON < -99.5, 13, np.where(LON < -99.25, 14, 0)))
    numbers[LON > -99.1] = 65535
    geotiff(folder / layout.HWSD2_MAP, numbers, TRANSFORM, dtype="u2", driver="EHdr")
    with sqlite3.connect(folder / layout.HWSD2_DATABASE) as database:
        layers.to_sql("HWSD2_LAYERS", database, index=False)
    database.close()


def test_a_cell_of_hwsd_2_is_the_mean_of_its_units_by_area_and_what_is_no_soil_leaves_its_share(tmp_path):
    write_hwsd2(tmp_path / "mit Lücke", hwsd2_layers())
    result = hwsd2_stocks(tmp_path / "mit Lücke", X, Y)
    full = 20.0 * 1.25 * 0.8  # kg m-3
    # Unit 11 is 0.8 of `full` on the average; unit 13 is rock below 40 cm, which holds nothing.
    expected = [0.3 * full * 0.9, (0.8 + 0.4) / 2 * full, (1.6 + 0.4) / 2 * full]
    np.testing.assert_allclose(result.stocks.iloc[0], expected, rtol=1e-6)
    assert result.stocks.iloc[1].isna().all()
    assert list(result.stocks) == ["ref_hwsd_2_30cm", "ref_hwsd_2_100cm", "ref_hwsd_2_200cm"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(ORG_CARBON=t["ORG_CARBON"] * 50), "ORG_CARBON reaches 100 %, expected at most 60"),
        (lambda t: t.assign(BULK=t["BULK"] * 1000), "BULK reaches 1250, expected g per cm3"),
        (lambda t: t.assign(TOPDEP=t["TOPDEP"] / 100, BOTDEP=t["BOTDEP"] / 100), "TopDep to BotDep; expected cm"),
        (lambda t: t.drop(columns="SHARE"), "expected an SQLite database.*no such column: SHARE"),
        (lambda t: t[t["HWSD2_SMU_ID"] != 13], "HWSD2.bil: unit 13 is not in HWSD2.sqlite"),
    ],
)
def test_a_table_of_hwsd_2_that_is_not_as_described_is_an_error(tmp_path, change, message):
    write_hwsd2(tmp_path, change(hwsd2_layers()))
    with pytest.raises(InputError, match=message):
        hwsd2_stocks(tmp_path, X, Y)
