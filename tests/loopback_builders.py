"""Products of the loopback archive for its tests."""

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path

from slipscan_loopback import bursts, disp, gunw
from slipscan_loopback.cmr import Catalogue, register
from slipscan_loopback.http import LoopbackServer
from slipscan_loopback.scene import TrueScene

WAVELENGTH = 0.05546576
POSTING = 120.0
FIRST, SECOND, LAST = datetime.date(2020, 1, 3), datetime.date(2020, 1, 15), datetime.date(2020, 5, 14)
BURSTS = ("087_185682_IW2", "087_185683_IW2")
SCENE = TrueScene(ionosphere_m=0.02, tide_m=0.03)


@contextlib.contextmanager
def running(directory: Path) -> Iterator[tuple[LoopbackServer, Catalogue, dict[str, Path]]]:
    pairs = [(FIRST, SECOND), (FIRST, LAST)]
    granules, files = gunw.publish(SCENE, directory, pairs, frame_count=2)
    more, more_files = disp.publish(SCENE, directory, disp.moving_references(SCENE, 5), posting_m=POSTING)
    catalogue = Catalogue([*granules, *more, *bursts.publish(SCENE, BURSTS)])
    files.update(more_files)
    with LoopbackServer() as server:
        register(server, catalogue, files)
        yield server, catalogue, files
