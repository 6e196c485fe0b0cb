"""Lists of earthquakes: what is read, and one sentence for each list that is none."""

import re

import numpy as np
import pytest

from slipscan.earthquakes import moment, moment_magnitude, read_earthquakes
from slipscan.errors import SlipscanError

COMCAT = """time,latitude,longitude,depth,mag,magType,id,place
2019-03-01T12:00:00.900Z,40.80,32.60,8.1,5.6,mww,us1,"here, and there"

2018-06-01T00:00:00.000Z,40.85,32.55,,5.1,mb,us2,"there"
2019-03-02T03:00:00+03:00,45.00,32.60,10,7.0,mww,us3,NA
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "list.csv"


def test_comcat_lists_are_read_in_order_of_time(path):
    path.write_text(COMCAT)
    found = read_earthquakes(path)
    times = ["2018-06-01T00:00:00", "2019-03-01T12:00:00", "2019-03-02T00:00:00"]
    np.testing.assert_array_equal(found.time, np.array(times, "datetime64[s]"))
    assert found.name == ("us2", "us1", "us3") and list(found.depth_km) == [10.0, 8.1, 10.0]
    assert (found.longitude[1], found.latitude[1], found.magnitude[1]) == (32.6, 40.8, 5.6)
    assert found.chosen(found.magnitude > 5.5).name == ("us1", "us3")


def test_other_names_and_a_list_of_none_are_read(path):
    path.write_bytes(b"\xef\xbb\xbfMw, Lon ,LAT,Time\r\n6.1,30,40,2019-01-02\r\n\r\n")
    found = read_earthquakes(path)
    assert (found.magnitude[0], found.longitude[0], found.latitude[0], found.name) == (6.1, 30.0, 40.0, ("",))
    path.write_text("time,latitude,longitude,mag\n")
    assert len(read_earthquakes(path)) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no CSV"),
        ("time,latitude,longitude\n", "lacks the column 'mag'"),
        ("time,latitude,longitude,mag\n\nyesterday,1,2,3\n", "has 'yesterday' as time in line 3: correct it"),
        ("time,latitude,longitude,mag\n2019-01-01,1,,3\n", "has no longitude in line 2"),
        ("time,latitude,longitude,mag\n2019-01-01,1,2\n", "has no magnitude in line 2"),
        ("time,latitude,longitude,mag\n2019-01-01,1,2,big\n", "has 'big' as magnitude in line 2"),
        ("time,latitude,longitude,mag\n2019-01-01,1,2,nan\n", "has 'nan' as magnitude in line 2"),
        ("time,latitude,longitude,mag\n2019-01-01,142,38,9\n", "has '142' as latitude in line 2"),
        ("time,latitude,longitude,mag\n2019-01-01,1,2,3,4\n", "more fields in line 2"),
        ("time,latitude,longitude,mag\n2019-01-01,1,2,3\n2019-01-01,1,2,3,4\n", "Expected 4 fields in line 3, saw 5"),
    ],
)
def test_lists_that_are_none_are_refused_in_a_sentence(path, text, said):
    path.write_text(text)
    with pytest.raises(SlipscanError, match=re.escape(said)) as caught:
        read_earthquakes(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_list_says_what_to_do(path):
    with pytest.raises(SlipscanError, match=r"no list of earthquakes .*: correct the key"):
        read_earthquakes(path, "correct the key")


def test_moment_and_magnitude_are_inverse():
    assert moment_magnitude(moment(6.0) / 30e9) == pytest.approx(6.0)
    assert moment_magnitude(1e7) == pytest.approx(5.6181, abs=1e-4)  # 10 km x 5 km x 20 cm
