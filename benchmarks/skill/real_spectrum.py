"""The spectrum of family C: measured on the real Kilauea rasters, averaged in bins of wavenumber and azimuth.

    python benchmarks/skill/real_spectrum.py DIRECTORY_OF_RASTERS src/slipscan/bench/data/kilauea_spectrum.csv

Five Sentinel-1 displacement rasters (scottstanie/geepers, tests/data, commit 70c1f43, Apache-2.0): 400 x 400 pixels of
30 m, no tropospheric correction. A plane is removed, gaps are filled with 0, a Hann window is laid over, and the
periodograms, each scaled to unit power, are averaged. Wavelengths from 12 km to 0.25 km are measured; beyond, the
benchmark extrapolates (slipbench.families).
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio

WAVELENGTHS_M = np.geomspace(12e3, 250, 11)
SECTORS = 6


def periodogram(path: Path) -> tuple[np.ndarray, float]:
    """Power (ky, kx) of one raster, scaled to a sum of 1, and its pixel size, m."""
    with rasterio.open(path) as raster:
        values, pixel_m = raster.read(1).astype(float), raster.transform.a
    valid = np.isfinite(values)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in values.shape), indexing="ij")
    columns = np.stack([np.ones_like(x)[valid], x[valid], y[valid]], axis=1)
    plane, *_ = np.linalg.lstsq(columns, values[valid], rcond=None)
    residual = np.zeros_like(values)
    residual[valid] = values[valid] - columns @ plane
    power = np.abs(np.fft.fft2(residual * np.outer(*(np.hanning(n) for n in values.shape)))) ** 2
    power[0, 0] = 0.0
    return power / power.sum(), pixel_m


def main(directory: Path, out: Path) -> None:
    """Average the periodograms in bins and write the table."""
    found = [periodogram(path) for path in sorted(directory.glob("displacement_*.tif"))]
    power, pixel_m = np.mean([p for p, _ in found], axis=0), found[0][1]
    ky, kx = np.meshgrid(*(np.fft.fftfreq(n, pixel_m) for n in power.shape), indexing="ij")
    # Azimuth of the wave vector, clockwise from north; rows run from north to south, so north is -ky.
    sector = (np.degrees(np.arctan2(kx, -ky)) % 180 // (180 / SECTORS)).astype(int)
    ring = np.digitize(np.hypot(ky, kx), 1 / WAVELENGTHS_M) - 1
    rows = []
    for r in range(len(WAVELENGTHS_M) - 1):
        for s in range(SECTORS):
            inside = (ring == r) & (sector == s)
            inside = inside if inside.any() else ring == r  # too few modes to tell directions apart
            wavelength = np.sqrt(WAVELENGTHS_M[r] * WAVELENGTHS_M[r + 1])
            rows.append((wavelength, (s + 0.5) * 180 / SECTORS, power[inside].mean(), inside.sum()))
    table = pd.DataFrame(rows, columns=["wavelength_m", "azimuth_deg", "power", "modes"])
    table["power"] /= table["power"].max()
    table.to_csv(out, index=False, float_format="%.6g")
    rings = table.groupby("wavelength_m", sort=False)["power"]
    mean = rings.mean()
    print(f"exponent {-np.polyfit(np.log(1 / mean.index), np.log(mean), 1)[0]:.2f}")
    print(f"largest over smallest sector {(rings.max() / rings.min()).median():.1f} (median over rings)")


main(Path(sys.argv[1]), Path(sys.argv[2]))
