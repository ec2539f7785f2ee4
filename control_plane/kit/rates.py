"""How often something may be tried: counted in memory, one window sliding for each name."""

import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter


class Rates:
    """Counts of one process; a restart forgets them."""

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def wait_s(self, rate: str, *names: str) -> int:
        """Count one try; return 0 if it is within the rate (`5 per minute`), else the wait."""
        item: RateLimitItem = parse(rate)
        if self._limiter.hit(item, *names):
            return 0
        stats = self._limiter.get_window_stats(item, *names)
        return max(1, math.ceil(stats.reset_time - time.time()))
