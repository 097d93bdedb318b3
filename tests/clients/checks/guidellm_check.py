"""guidellm: three requests of made-up text, streamed, with its own report."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

url, model, _ = sys.argv[1:4]
report = Path(tempfile.mkdtemp(prefix="guidellm-")) / "report.json"
command = [str(Path(sys.executable).parent / "guidellm"), "benchmark", "--target", url.removesuffix("/v1")]
command += ["--profile", "synchronous", "--max-requests", "3", "--processor", model, "--model", model]
command += ["--data", "prompt_tokens=16,output_tokens=8", "--output-path", str(report), "--disable-console"]
subprocess.run(command, check=True, timeout=240)
totals = json.loads(report.read_text())["benchmarks"][0]["metrics"]["request_totals"]
assert (totals["successful"], totals["errored"]) == (3, 0), totals
