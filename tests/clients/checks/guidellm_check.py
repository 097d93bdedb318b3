"""guidellm's benchmark over chat, completions and responses: each answer has as many tokens as it asked for."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

url, model, _ = sys.argv[1:4]
folder = Path(tempfile.mkdtemp(prefix="guidellm-"))
environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
for form in ("/v1/chat/completions", "/v1/completions", "/v1/responses"):
    report = folder / f"{form.rsplit('/', 1)[1]}.json"
    command = [
        *(Path(sys.executable).parent / "guidellm", "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={url.removesuffix('/v1')},request_format={form}"),
        *("--profile", "kind=concurrent,streams=2", "--constraint", "kind=max_requests,count=4"),
        *("--tokenizer", f"kind=huggingface_auto,model={model}", "--output", f"kind=json,path={report}"),
        *("--data", "kind=synthetic_text,prompt_tokens=64,output_tokens=16"),
    ]
    subprocess.run(command, check=True, timeout=250, env=environment)
    (found,) = json.loads(report.read_text())["benchmarks"]
    totals = found["metrics"]["request_totals"]
    assert totals["successful"] >= 2, totals
    assert not totals["errored"] + totals["incomplete"], totals
    assert found["metrics"]["output_token_count"]["successful"]["mean"] == 16, found["metrics"]["output_token_count"]
