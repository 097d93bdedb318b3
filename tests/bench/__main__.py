"""`make bench`: start, wire, cancel, memory and speed of this checkout on this machine, as one Markdown table."""

from __future__ import annotations

import platform
import sys
import time

import psutil

from tests.bench import kv, measures, page_costs, recovery, sequences
from tests.bench.measures import Row
from tests.running import service


def main() -> None:
    began = time.monotonic()
    with service() as demo:
        ready = time.monotonic() - began
        rows: list[Row] = [("ready after `run.py --mode prod`", f"{ready:.1f} s", "≤ 15 s")]
        rows += measures.memory(demo) + measures.decode_speed(demo)
        rows += measures.pages(demo) + measures.recovery(demo) + recovery.longest_pause(demo)
    with service(inference_engine="fake", ocr_workers=0, max_num_seqs=64) as fake:
        rows += measures.throughput(fake) + measures.latency(fake) + measures.cancellation(fake)
        rows += page_costs.rows(fake)
    rows += sequences.rows() + kv.rows()
    cores, load = psutil.cpu_count(), psutil.getloadavg()[0]
    sys.stdout.write(
        f"{platform.platform()}, {cores} cores, load {load:.1f}\n\n| Measure | Figure | Wanted |\n|---|---|---|\n"
    )
    for what, figure, wanted in rows:
        sys.stdout.write(f"| {what} | {figure} | {wanted} |\n")


if __name__ == "__main__":
    main()
