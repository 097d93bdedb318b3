"""`make year`: a year of rotations, key changes, model updates and rolling updates; one table, exit 1 on a fault.

`--share 0.1` lives a tenth of it. Loopback only, in a folder of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.rolling.restarts import Counted, measure
from tests.year.home import Year, live
from tests.year.plan import Plan, plan

# what a year may add once its first tenth is over, in MiB: a leak of 40 KiB a day is 14 of them
_MOST_MEMORY, _MOST_DISK = 12.0, 4.0
_CLIENTS, _STREAMS, _NOTICE_S = 4, 2, 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the year")
    parser.add_argument("--only", choices=("home", "rolling"), help="one half of it")
    options = parser.parse_args()
    wanted, began = plan(options.share), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="year-", dir="/tmp") as folder, ThreadPoolExecutor(2) as halves:
        rolling = 2 * wanted.rolling if options.only != "home" else 0
        rolled = halves.submit(measure, Path(folder), rolling, _CLIENTS, _STREAMS, _NOTICE_S) if rolling else None
        lived = halves.submit(live, wanted, Path(folder)) if options.only != "rolling" else None
        broken = [
            *(_told(lived.result(), wanted) if lived else ()),
            *(_rolled(rolled.result(), wanted) if rolled else ()),
        ]
    print(f"| seconds | {time.monotonic() - began:.0f} |")
    print(*(f"BROKEN: {line}" for line in broken), sep="\n")
    return 1 if broken else 0


def _told(year: Year, wanted: Plan) -> Iterator[str]:
    """Print what came of the days; yields what should not have."""
    print(f"| rotations and key changes; model updates | {wanted.days}; {wanted.updates} |")
    print(f"| whole answers | {dict(year.traffic.answered)} |")
    print(f"| slowest answers, s | { ({kind: round(s, 2) for kind, s in year.traffic.slowest_s.items()}) } |")
    print(f"| series of counters | {year.counters.series} |")
    print(f"| restarts | {year.restarts} |")
    for name, settled, last, growth in year.levels.rows():
        print(f"| {name} | {settled:.1f} to {last:.1f} MiB, by its slope {growth:+.1f} |")
        if growth > (_MOST_DISK if name.startswith("disk") else _MOST_MEMORY):
            yield f"{name} grew by {growth:.1f} MiB"
    yield from (f"{count} × {why}" for why, count in year.traffic.failed.items())
    yield from (f"{name} {dict(labels)}: {what}" for (name, labels), what in year.counters.broken.items())


def _rolled(counted: Counted, wanted: Plan) -> Iterator[str]:
    print(f"| rolling updates | {wanted.rolling}: {counted.answered} requests and {counted.streamed} streams whole |")
    yield from (f"rolling: {count} × {why}" for why, count in counted.failed.items())


if __name__ == "__main__":
    sys.exit(main())
