"""The clouds of a worker, each made when a life first needs it.

What an operator wrote down wrongly for one region so keeps the lives of that region waiting, and
no others; when the file is mended they go on, without a restart.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping

from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.log import get_log
from control_plane.ports.cloud.port import Cloud

log = get_log("clouds")
TRY_AGAIN_S = 5.0  # many lives may ask


class LazyClouds(Mapping[str, Cloud]):
    """Clouds by region id. A look-up raises Unavailable (`region_settings_wrong`) with the why."""

    def __init__(self, makers: Mapping[str, Callable[[], Cloud]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, Cloud] = {}
        self._failed: dict[str, tuple[float, str]] = {}
        self._locks = {region_id: threading.Lock() for region_id in self._makers}

    def __getitem__(self, region_id: str) -> Cloud:
        """Return the region's cloud, made now if it was not yet."""
        made = self._made.get(region_id)
        if made is not None:
            return made
        with self._locks[region_id]:
            if region_id not in self._made:
                self._made[region_id] = self._make(region_id)
            return self._made[region_id]

    def __iter__(self) -> Iterator[str]:
        """Yield the regions' ids."""
        return iter(self._makers)

    def __len__(self) -> int:
        """Return how many regions there are."""
        return len(self._makers)

    def _make(self, region_id: str) -> Cloud:
        not_before, why = self._failed.get(region_id, (0.0, ""))
        if time.monotonic() < not_before:
            raise Unavailable("region_settings_wrong", why=why)
        try:
            return self._makers[region_id]()
        except (Refused, OSError) as error:
            why = str(error.facts.get("why", error.code) if isinstance(error, Refused) else error)
            self._failed[region_id] = (time.monotonic() + TRY_AGAIN_S, why)
            log.warning("region_settings_wrong", region=region_id, why=why)
            raise Unavailable("region_settings_wrong", why=why) from error
