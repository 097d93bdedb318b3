"""lm-eval: a log-likelihood task and a generation task of its own, over /v1/completions (`local-completions`)."""

import json
import sys
import tempfile
from pathlib import Path

import lm_eval
from lm_eval.tasks import TaskManager

url, model, _ = sys.argv[1:4]
folder = Path(tempfile.mkdtemp(prefix="lm-eval-"))
rows = [{"question": f"{one} + 1 =", "choices": ["two", "three", "four"], "answer": 0} for one in ("1", "one")]
(folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
DATA = f"""dataset_path: json
dataset_kwargs:
  data_files:
    test: {folder / "rows.jsonl"}
test_split: test
doc_to_text: "{{{{question}}}}"
"""
CHOICE = """task: harbour_choice
output_type: multiple_choice
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list:
  - metric: acc
"""
TEXT = """task: harbour_text
output_type: generate_until
doc_to_target: "{{choices[answer]}}"
generation_kwargs:
  until: ["."]
  max_gen_toks: 8
metric_list:
  - metric: exact_match
"""
(folder / "choice.yaml").write_text(DATA + CHOICE)
(folder / "text.yaml").write_text(DATA + TEXT)
arguments = {"model": model, "base_url": f"{url}/completions", "tokenizer": model, "tokenizer_backend": "huggingface"}
outcome = lm_eval.simple_evaluate(
    model="local-completions",
    model_args=arguments | {"num_concurrent": 1, "max_retries": 1},
    tasks=["harbour_choice", "harbour_text"],
    task_manager=TaskManager(include_path=str(folder), include_defaults=False),
)
found = outcome["results"]
assert 0 <= found["harbour_choice"]["acc,none"] <= 1, found
assert "exact_match,none" in found["harbour_text"], found
