"""HDF5 as it comes in: scaled, masked, and every way to be broken said in one sentence with file and dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
from scipy.io import netcdf_file

from slipscan.archive.reading import hdf5
from slipscan.errors import SlipscanError


def write(path: Path, values: object, **attributes: object) -> Path:
    with h5py.File(path, "w") as file:
        file["z"] = values
        file["z"].attrs.update(attributes)
    return path


def read(path: Path, name: str = "z") -> np.ndarray:
    with hdf5.opened(path) as file:
        return hdf5.array(file, name)


def refused(path: Path, match: str, name: str = "z") -> None:
    with pytest.raises(SlipscanError, match=match) as raised:
        read(path, name)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("dtype", ["i2", ">i4", "f2", "f8", "u1"])
def test_scale_offset_and_fill_by_hand(dtype: str, tmp_path: Path) -> None:
    raw = np.array([[1, 99], [2, 98]], dtype)
    path = write(tmp_path / "a.h5", raw, scale_factor=[0.5], add_offset=10.0, _FillValue=raw[:1, 1], missing_value=98)
    np.testing.assert_array_equal(read(path), [[10.5, np.nan], [11, np.nan]])
    np.testing.assert_array_equal(read(write(path, raw, _FillValue="none", units="m")), raw.astype(float))
    refused(write(path, raw, scale_factor="half"), "z of .*a.h5 cannot be read .*half")


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.ones(3, complex), "complex numbers"),
        (np.zeros(3, [("a", "f4"), ("b", "f4")]), "compound values"),
        (np.array([b"1", b"2"]), "holds text"),
        ("12", "holds text"),
        (h5py.Empty("f4"), "z of .*a.h5 is empty"),
        (np.empty((0, 3)), "z of .*a.h5 is empty"),
    ],
)
def test_what_is_no_real_number(values: object, match: str, tmp_path: Path) -> None:
    refused(write(tmp_path / "a.h5", values), match)


def test_groups_links_and_virtual_sources_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_group("group")
        file["soft"] = h5py.SoftLink("/gone")
        file["external"] = h5py.ExternalLink("gone.h5", "/z")
        layout = h5py.VirtualLayout((2, 3), "f4")
        for row in range(2):
            layout[row] = h5py.VirtualSource(f"{row}.h5", "z", (3,))
        file.create_virtual_dataset("virtual", layout)
    refused(path, "group of .* is a group, not a dataset", "group")
    refused(path, "soft of .* is a link to /gone, which is not there", "soft")
    refused(path, "external of .* is a link to /z, which is not there", "external")
    refused(path, "has no variable nothing", "nothing")
    refused(path, "no variable group/nothing", "group/nothing")
    # HDF5 itself would give zeros.
    write(tmp_path / "0.h5", np.ones(3))
    refused(path, "virtual of .* is virtual, and its source z in 1.h5 is not there", "virtual")
    write(tmp_path / "1.h5", np.full(3, 2.0))
    np.testing.assert_array_equal(read(path, "virtual"), [[1, 1, 1], [2, 2, 2]])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    write(path, np.random.default_rng(0).normal(size=(50, 50)))
    path.write_bytes(path.read_bytes()[:9000])


def netcdf3(path: Path) -> None:
    with netcdf_file(path, "w") as file:
        file.createDimension("x", 3)


def tiff(path: Path) -> None:
    with rasterio.open(path, "w", "GTiff", 2, 2, 1, "EPSG:4326", rasterio.Affine(1, 0, 9, 0, -1, 0), "uint8") as file:
        file.write(np.ones((1, 2, 2), np.uint8))


@pytest.mark.parametrize(
    ("make", "match"),
    [(empty, "it is empty"), (truncated, "truncated"), (netcdf3, "a NetCDF-3 file"), (tiff, "looks like a TIFF")],
)
def test_no_hdf5_file(make: Callable[[Path], None], match: str, tmp_path: Path) -> None:
    make(tmp_path / "a.h5")
    refused(tmp_path / "a.h5", rf"is truncated or no HDF5 file \(.*{match}.*\): fetch it again")
    with pytest.raises(SlipscanError, match="there is no file"), hdf5.opened(tmp_path):
        pass


def test_damaged_chunk_and_absent_filter_name_the_dataset(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("z", data=np.arange(64.0), chunks=(64,), compression="gzip", fletcher32=True)
        place = made.id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[place.byte_offset + 20] ^= 0xFF
    path.write_bytes(data)
    refused(path, "z of .*a.h5 cannot be read")
    with h5py.File(path, "w") as file:
        # Numbers from 256 on are for tests: no library brings one.
        dcpl = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        dcpl.set_chunk((64,))
        dcpl.set_filter(300, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((64,))
        made = h5py.Dataset(h5py.h5d.create(file.id, b"z", h5py.h5t.NATIVE_FLOAT, space, dcpl))
        made.id.write_direct_chunk((0,), b"not what it says")
    refused(path, "z of .*a.h5 is compressed by the HDF5 filter 300 .*not installed")


def test_numbers_texts_and_attributes(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["one"], file["text"], file["comma"], file["nan"] = np.float32(41), b"41.5", b"41,5", np.nan
        file.attrs.update({"latin": b"M\xfcller", "none": h5py.Empty("S1"), "list": [1.5, 2.5], "blank": " "})
    with hdf5.opened(path) as file:
        assert (hdf5.number(file, "one"), hdf5.number(file, "text"), hdf5.text(file, "comma")) == (41, 41.5, "41,5")
        assert hdf5.attribute(file, "latin") == "M\N{REPLACEMENT CHARACTER}ller"
        assert [hdf5.attribute(file, name) for name in ("none", "list", "blank", "gone")] == [None, "1.5", None, None]
        for name, match in (
            ("comma", "comma of .* cannot be read"),
            ("nan", "nan of .* is nan"),
            ("gone", "no variable"),
        ):
            with pytest.raises(SlipscanError, match=match):
                hdf5.number(file, name)
