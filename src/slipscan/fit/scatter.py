"""The robust scatter of numbers; without torch, since tables and stations need it, too."""

from __future__ import annotations

from typing import Final

MAD_TO_STD: Final = 1.4826
"""Standard deviation over median absolute deviation of Gaussian noise."""
