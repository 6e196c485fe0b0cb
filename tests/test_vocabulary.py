import numpy as np
import pytest
import xarray as xr

from slipscan import vocabulary
from slipscan.errors import SlipscanError


def small_stack() -> xr.Dataset:
    time = np.array(["2020-01-01", "2020-01-13"], "datetime64[ns]")
    dataset = xr.Dataset(
        {"displacement": (("time", "y", "x"), np.zeros((2, 3, 4)))},
        coords={"time": time, "y": [3.0, 2.0, 1.0], "x": [1.0, 2.0, 3.0, 4.0]},
    )
    return vocabulary.annotate(dataset, "stack")


def test_annotated_dataset_passes() -> None:
    dataset = small_stack()
    vocabulary.check(dataset, "stack")
    assert dataset["displacement"].dtype == np.float32
    assert dataset["displacement"].attrs["sign"] == vocabulary.TOWARD


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.drop_vars("displacement"), "'displacement' in here is missing"),
        (lambda d: d.assign(displacement=d["displacement"].transpose("y", "x", "time")), "has dimensions"),
        (lambda d: d.assign(displacement=d["displacement"].astype("f8")), "is float64, not float32"),
        (lambda d: d.assign(displacement=d["displacement"].assign_attrs(units="mm")), "has units 'mm', not 'm'"),
        (lambda d: d.assign(displacement=d["displacement"].drop_attrs()), "has units None"),
        (lambda d: d.assign(velocity=d["displacement"]), "unknown variable 'velocity'"),
        (lambda d: d.isel(time=[1, 0]), "'time' in here has values out of order"),
        (lambda d: d.isel(time=[0, 0]), "'time' in here has duplicate values"),
        (lambda d: d.isel(y=[2, 1, 0]), "must be strictly descending"),
    ],
)
def test_a_broken_contract_is_one_sentence(change, sentence) -> None:
    with pytest.raises(SlipscanError) as caught:
        vocabulary.check(change(small_stack()), "stack", "here")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_product() -> None:
    with pytest.raises(SlipscanError, match="there is no product 'stak'"):
        vocabulary.variable_table("stak")
