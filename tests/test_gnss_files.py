"""GNSS files: what is in them is read, what cannot be is left out by day or by station, and the rest stands."""

import logging

import numpy as np
import pytest

from slipscan.errors import SlipscanError
from slipscan.gnss.tenv3 import monuments, read_stations, read_tenv3
from transient_builders import daily, tenv3_text

COUNT = 20


@pytest.fixture(autouse=True)
def _everything_logged(caplog):
    caplog.set_level(logging.INFO)


@pytest.fixture
def written(tmp_path):
    def write(text, name="TEST.tenv3"):
        (tmp_path / name).write_bytes(text.encode())
        return tmp_path / name

    return write


def noise(count=COUNT):
    return np.random.default_rng(count).standard_normal((count, 3)) * [1e-3, 1e-3, 3e-3]


def text(name="TEST", count=COUNT, start="2019-01-01", **options):
    return tenv3_text(name, daily(start, count), noise(count), **options)


def changed(column, value, rows=range(COUNT)):
    """The file with a column's value (a text, or a function of the old one) replaced in some lines."""
    lines = [line.split() for line in text().splitlines()]
    at = [name.split("(")[0].strip("_") for name in lines[0]].index(column)
    for row in rows:
        lines[row + 1][at] = value(lines[row + 1][at]) if callable(value) else value
    return "\n".join(map(" ".join, lines))


def scaled(factor):
    return lambda value: f"{factor * float(value):.6f}"


# --- what is in a file ---


def test_new_files_of_23_columns(written):
    station = read_tenv3(written(text()))
    assert station.name == "TEST"
    assert (station.longitude, station.latitude, station.height) == pytest.approx((32.6, 40.87, 900.0), abs=0.02)
    np.testing.assert_array_equal(station.time, daily("2019-01-01", COUNT))
    np.testing.assert_allclose(np.diff(station.enu, axis=0), np.diff(noise(), axis=0), atol=2e-6)
    np.testing.assert_allclose(station.sigma, np.tile([0.8e-3, 0.8e-3, 3e-3], (COUNT, 1)))


@pytest.mark.parametrize("origin", [(32.6, 40.87, 900.0), (-155.31, -19.29, 700.0)])
def test_old_files_of_20_columns_hold_their_place_too(written, origin):
    lines = text(origin=origin).splitlines()
    station = read_tenv3(written("\n".join(" ".join(line.split()[:20]) for line in lines)))
    assert station.longitude == pytest.approx(origin[0], abs=2e-4)
    assert station.latitude == pytest.approx(origin[1], abs=2e-4)
    assert station.height == pytest.approx(origin[2], abs=0.1)


def test_whole_metres_and_fractions_are_summed_whatever_their_split(written):
    plain = read_tenv3(written(text()))
    lines = [line.split() for line in text().splitlines()]
    lines[3][7], lines[3][8] = str(int(lines[3][7]) - 3), f"{float(lines[3][8]) + 3:.6f}"
    np.testing.assert_allclose(read_tenv3(written("\n".join(map(" ".join, lines)))).enu, plain.enu, atol=1e-9)


@pytest.mark.parametrize("turn", [-360, 360])
def test_longitudes_from_0_to_360_and_below(written, turn):
    lines = [line.split() for line in text(origin=(-155.31 if turn > 0 else 155.31, 19.29, 700.0)).splitlines()]
    for row in lines[1:]:
        row[21] = f"{float(row[21]) + turn:.8f}"
    found = read_tenv3(written("\n".join(map(" ".join, lines)))).longitude
    assert found == pytest.approx(-155.31 if turn > 0 else 155.31, abs=1e-6)


def reordered(plain):
    return "\n".join(" ".join([*line.split()[9:], "1.5", *line.split()[:9]]) for line in plain.splitlines()).replace(
        "1.5", "extra(m)", 1
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.replace("\n", "\r\n").encode(),
        lambda plain: plain.replace("\n", "\r").encode(),
        lambda plain: plain.encode("utf-8-sig"),
        lambda plain: plain.encode("utf-16"),
        lambda plain: f"# Köln\n{plain}".encode("latin-1"),
        lambda plain: plain.replace("\n", "\n \n").encode(),
        lambda plain: plain.replace("TEST", "test").encode(),
        lambda plain: plain.upper().replace("(M)", "(m)").replace("(DEG)", "(deg)").encode(),
        lambda plain: "\n".join([plain.split("\n", 1)[0], *plain.splitlines()[:0:-1]]).encode(),
        lambda plain: (plain + plain).encode(),
        lambda plain: reordered(plain).encode(),
    ],
    ids=["crlf", "cr", "bom", "utf-16", "latin-1", "blank", "lower", "upper", "descending", "twice", "columns"],
)
def test_however_it_was_saved_the_same_is_read(written, change):
    plain = vars(read_tenv3(written(text())))
    path = written("")
    path.write_bytes(change(text()))
    for name, value in vars(read_tenv3(path)).items():
        np.testing.assert_array_equal(value, plain[name], err_msg=name)


def test_duplicate_days_keep_the_first_line_and_are_said(written, caplog):
    twice = tenv3_text("TEST", np.repeat(daily("2019-01-01", 6), 2), noise(12))
    station = read_tenv3(written(twice))
    np.testing.assert_allclose(np.diff(station.enu, axis=0), np.diff(noise(12)[::2], axis=0), atol=2e-6)
    assert "6 duplicate days" in caplog.text


def test_two_monuments_are_told_apart_and_gross_errors_dropped(written, caplog):
    enu = noise(40)
    second = [20, 22, 23, *range(26, 40)]
    enu[second] += [-17.4, -5.9, 0.02]
    enu[5] = [300.0, 0.0, 0.0]
    station = read_tenv3(written(tenv3_text("TEST", daily("2013-06-20", 40), enu)))
    expected = np.zeros(40, int)
    expected[second] = 1
    np.testing.assert_array_equal(station.monument, np.delete(expected, 5))
    assert "split into 2 monuments (22, 17 epochs)" in caplog.text
    assert "1 positions more than 1 m from all others dropped" in caplog.text


def test_a_fast_station_is_one_monument():
    assert (monuments(np.linspace(0, 30, 3000)[:, None] * [1.0, 0.5, 0.0]) == 0).all()


# --- days that cannot be used ---


@pytest.mark.parametrize(
    ("column", "value", "cause"),
    [
        ("sig_e", "0", "line 4 has a sigma outside"),
        ("sig_n", "-0.001", "line 4 has a sigma outside"),
        ("sig_u", "3.1", "line 4 has a sigma outside"),
        ("corr_en", "1", "line 4 has correlations that no covariance has"),
        ("corr_nu", "-2", "line 4 has correlations that no covariance has"),
        ("east", "NaN", "line 4 has no number where one is needed"),
        ("up", "*****", "line 4 has no number where one is needed"),
        ("n0", "1e99", "line 4 has a position off the Earth"),
        ("YYMMMDD", "19JAM03", "line 4 has a date unlike 05JAN26"),
        ("YYMMMDD", "19FEB30", "line 4 has a date unlike 05JAN26"),
        ("MJD", "58000", "line 4 has a date that is not its MJD"),
        ("up", "12.5 0", "line 4 has not the 23 columns of the header"),
    ],
)
def test_bad_days_are_left_out_and_where_most_are_bad_the_file(written, caplog, column, value, cause):
    plain = read_tenv3(written(text()))
    bad = [2, 11, 12]
    station = read_tenv3(written(changed(column, value, bad)))
    np.testing.assert_array_equal(station.time, np.delete(plain.time, bad))
    np.testing.assert_array_equal(station.enu, np.delete(plain.enu, bad, axis=0))
    assert f"3 of 20 days left out: {cause}" in caplog.text
    with pytest.raises(SlipscanError, match=rf"18 of 20 days of .*TEST.tenv3 cannot be used \({cause}"):
        read_tenv3(written(changed(column, value, range(2, COUNT))))


def test_correlations_below_one_may_still_make_no_covariance(written, caplog):
    lines = [line.split() for line in text().splitlines()]
    lines[5][17:20] = ["0.9", "0.9", "-0.9"]
    lines[6][17:20] = ["0.9", "0.9", "0.9"]
    assert len(read_tenv3(written("\n".join(map(" ".join, lines)))).time) == COUNT - 1
    assert "line 6 has correlations" in caplog.text


def test_a_download_that_was_cut_loses_its_last_day(written, caplog):
    assert len(read_tenv3(written(text()[:-100])).time) == COUNT - 1
    assert "1 of 20 days left out: line 21" in caplog.text


def test_gaps_filled_with_the_last_position_are_no_measurements(written, caplog):
    enu = noise()
    enu[12:] = enu[11]
    assert len(read_tenv3(written(tenv3_text("TEST", daily("2019-01-01", COUNT), enu))).time) == 12
    assert "line 14 repeats the position of the day before, and 7 more" in caplog.text


def test_days_of_the_future_are_left_out(written, caplog):
    ahead = tenv3_text("TEST", [*daily("2019-01-01", 15), *daily("2078-01-01", 5)], noise())
    assert len(read_tenv3(written(ahead)).time) == 15
    assert "line 17 lies in the future, and 4 more" in caplog.text


@pytest.mark.parametrize("values", [{"latitude": "0", "longitude": "0"}, {"latitude": "NaN"}, {"longitude": "****"}])
def test_missing_coordinates_follow_from_the_positions(written, caplog, values):
    lines = [line.split() for line in text().splitlines()]
    for name, value in values.items():
        for row in lines[1:]:
            row[{"latitude": 20, "longitude": 21}[name]] = value
    station = read_tenv3(written("\n".join(map(" ".join, lines))))
    assert (station.longitude, station.latitude) == pytest.approx((32.6, 40.87), abs=2e-4)
    assert "no possible latitude and longitude" in caplog.text


# --- stations that cannot be used ---

BAD_FILES = {
    "empty": ("", "is empty"),
    "header only": (text().splitlines()[0], "holds no position"),
    "no header": (text().split("\n", 1)[1], "no header"),
    "web page": ("\n<!DOCTYPE html>\n<html>503</html>\n", "is a web page"),
    "no column": (text().replace("__east(m)", "westward"), "no column 'east'"),
    "column twice": (text().replace("_ant(m)", "_north(m)"), "two columns 'north'"),
    "unit in the header": (text().replace("sig_e(m)", "sig_e(mm)"), "gives 'sig_e' in mm"),
    "millimetres": (changed("east", scaled(1000)), "'east' change by .* m from day to day"),
    "sigma in millimetres": (changed("sig_u", scaled(1000)), "line 2 has a sigma outside"),
    "constant": (changed("east", "0.5"), "'east' unchanged on most days"),
    "two stations": (text() + text("ELSE"), r"two stations, TEST and ELSE \(line 23\)"),
    "two frames": (text() + text(origin=(32.6, 40.87, 901.0)), "another position than another line of its day"),
    "nowhere": (tenv3_text("TEST", daily("2019-01-01", COUNT), noise(), (0.0, 0.0, 0.0)), "latitude 0, longitude 0"),
    "elsewhere": (changed("latitude", "-40.87"), "from where its east and north lie"),
}


@pytest.mark.parametrize(("bad", "sentence"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_leaves_out_its_station_and_no_other(written, tmp_path, caplog, bad, sentence):
    written(text("GOOD"), "GOOD.tenv3")
    alone = vars(read_stations(tmp_path)[0])
    with pytest.raises(SlipscanError, match=sentence):
        read_tenv3(written(bad))
    (beside,) = read_stations(tmp_path)
    for name, value in vars(beside).items():
        np.testing.assert_array_equal(value, alone[name], err_msg=name)
    assert "station left out" in caplog.text
    assert str(tmp_path / "TEST.tenv3") in caplog.text


def test_what_is_no_file_leaves_out_no_other(written, tmp_path, caplog):
    written(text("GOOD"), "GOOD.TENV3")
    written("Mac", "._GOOD.tenv3")
    (tmp_path / "DIRE.tenv3").mkdir()
    (tmp_path / "LINK.tenv3").symlink_to("nowhere")
    assert [station.name for station in read_stations(tmp_path)] == ["GOOD"]
    assert "DIRE.tenv3 cannot be read" in caplog.text
    assert "LINK.tenv3" in caplog.text
    assert "._GOOD" not in caplog.text


def test_a_station_in_two_files_counts_once_or_not_at_all(written, tmp_path, caplog):
    written(text("ELSE"), "ELSE.tenv3")
    written(text(), "TEST.tenv3")
    written("\n".join(text().splitlines()[:-4]), "TEST (1).tenv3")
    assert [(s.name, len(s.time)) for s in read_stations(tmp_path)] == [("ELSE", COUNT), ("TEST", COUNT)]
    assert "TEST has the same positions in several files (TEST (1).tenv3, TEST.tenv3)" in caplog.text
    written(tenv3_text("TEST", daily("2019-01-01", COUNT), noise() + np.array([0.1, 0, 0])), "TEST.NA.tenv3")
    assert [s.name for s in read_stations(tmp_path)] == ["ELSE"]
    assert "station left out: TEST has different positions" in caplog.text


def test_the_name_inside_counts(written, caplog):
    assert read_tenv3(written(text("ELSE"))).name == "ELSE"
    assert "TEST.tenv3 holds station ELSE, unlike its name" in caplog.text


def test_missing_files_are_said(tmp_path):
    with pytest.raises(SlipscanError, match="no tenv3 file"):
        read_tenv3(tmp_path / "none.tenv3")
    with pytest.raises(SlipscanError, match="no directory of stations"):
        read_stations(tmp_path / "none")
