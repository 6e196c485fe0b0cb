import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from slipscan.errors import SlipscanError
from slipscan.geometry import (
    check_los,
    los_from_hyp3,
    los_from_incidence_heading,
    metric_grid,
    read_grid,
    write_grid,
)
from slipscan.metric import pixel_area_km2


@pytest.mark.parametrize(
    ("heading", "direction"), [(-13.0, "ascending"), (-167.0, "descending"), (193.0, "descending")]
)
def test_line_of_sight_of_a_right_looking_radar(heading: float, direction: str) -> None:
    east, north, up = (np.array([c]) for c in los_from_incidence_heading(39.0, heading))
    assert east**2 + north**2 + up**2 == pytest.approx(1)
    assert up == pytest.approx(np.cos(np.deg2rad(39)))
    assert north < 0  # both orbits look a little southward from the ground
    check_los(east, north, up, direction, "here")
    other = "descending" if direction == "ascending" else "ascending"
    with pytest.raises(SlipscanError, match="impossible for a right-looking"):
        check_los(east, north, up, other, "here")
    with pytest.raises(SlipscanError, match="wrong convention"):
        check_los(east, up, north, direction, "here")


def test_hyp3_angles_agree_with_incidence_and_heading() -> None:
    incidence, heading = 37.0, -12.0
    # Ground to satellite is left of the heading: its azimuth from east, counter-clockwise, is 180 - heading.
    theta, phi = np.deg2rad(90 - incidence), np.deg2rad(180 - heading)
    np.testing.assert_allclose(los_from_hyp3(theta, phi), los_from_incidence_heading(incidence, heading), atol=1e-12)


@given(st.floats(-179, 179), st.floats(-70, 70), st.sampled_from([100.0, 200.0, 500.0]))
def test_a_metric_grid_covers_its_points_on_a_common_lattice(lon: float, lat: float, pixel_m: float) -> None:
    lons, lats = [lon - 0.05, lon + 0.05], [lat - 0.05, lat + 0.05]
    grid = metric_grid(lons, lats, pixel_m)
    back_lon, back_lat = grid.lonlat()
    assert back_lon.min() - 0.01 < lons[0] and back_lon.max() + 0.01 > lons[1]
    assert back_lat.min() - 0.01 < lats[0] and back_lat.max() + 0.01 > lats[1]
    assert np.all(np.abs((grid.x / pixel_m - 0.5) % 1) < 1e-6)
    assert (np.diff(grid.y) < 0).all()
    assert pixel_area_km2(grid) == pytest.approx(pixel_m**2 / 1e6)


def test_a_grid_survives_the_dataset() -> None:
    grid = metric_grid([32, 32.1], [40, 40.1], 500)
    back = read_grid(write_grid(xr.Dataset(), grid))
    assert back.crs == grid.crs
    np.testing.assert_array_equal(back.x, grid.x)
    with pytest.raises(SlipscanError, match="there is no CRS in here"):
        read_grid(write_grid(xr.Dataset(), grid).drop_vars("spatial_ref"), "here")
    with pytest.raises(SlipscanError, match="coordinate 'x' is missing"):
        read_grid(xr.Dataset())
