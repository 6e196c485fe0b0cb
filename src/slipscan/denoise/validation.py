"""Held-out scenes, and the figures of skill that stand on every card of weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slipscan.denoise import background
from slipscan.settings import TrainSettings
from slipscan.synthetic.scene import TrainingScene, draw_scene

CONTRAST_EPOCHS = 4
"""Epochs before and after an interval that a contrast is taken over."""
VALIDATION_SEED_OFFSET = 1_000_000
"""Validation scenes come from a seed of their own, never seen in training."""


def scene_time(scene: TrainingScene) -> NDArray[np.datetime64]:
    """The epochs of a scene as datetime64[ns]."""
    return np.datetime64("2014-01-01", "ns") + ((scene.start_d + scene.days) * 86400e9).astype("timedelta64[ns]")


def validation_scenes(settings: TrainSettings) -> Iterator[TrainingScene]:
    """Held-out scenes that share no field with one another; the same for networks of equal seed, epochs, pixels."""
    seed = settings.seed + VALIDATION_SEED_OFFSET
    for index in range(settings.validation_scenes):
        yield draw_scene(seed, index, epochs=settings.epochs, pixels=settings.pixels, pooled=False)


@dataclass
class Skill:
    """Figures of one method over scenes, of the strongest contrast of CONTRAST_EPOCHS + CONTRAST_EPOCHS epochs."""

    null: list[float] = field(default_factory=list)
    nrmse: list[float] = field(default_factory=list)
    slope: list[float] = field(default_factory=list)

    def add(self, scene: TrainingScene, transient: NDArray[np.floating]) -> None:
        """One scene and the transient (time, y, x) m that was found: RMS without an event, else NRMSE and slope."""
        truth = background.contrast(scene.events, CONTRAST_EPOCHS)
        index = int(np.abs(truth).max(axis=(1, 2)).argmax())
        found = background.contrast(transient, CONTRAST_EPOCHS)[index]
        ok = np.isfinite(found)
        if np.abs(truth).max() < 1e-6:
            self.null.append(float(np.sqrt((found[ok] ** 2).mean())))
            return
        power = float((truth[index][ok] ** 2).sum())
        self.nrmse.append(float(np.sqrt(((found - truth[index])[ok] ** 2).sum() / power)))
        self.slope.append(float((found * truth[index])[ok].sum() / power))

    def card(self) -> dict[str, float]:
        """Mean RMS (mm) over scenes with no event, median NRMSE and amplitude slope over those with events."""
        return {
            "null_rms_mm": round(1e3 * float(np.mean(self.null)), 3),
            "nrmse_events": round(float(np.median(self.nrmse)), 3),
            "amplitude_slope": round(float(np.median(self.slope)), 3),
        }
