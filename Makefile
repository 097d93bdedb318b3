# `make serve` runs the service, `make test` the tests; both make the environment first. `make help` lists the rest.
# the first that will do: macOS needs 3.12 (gevent has no wheel for 3.11 there), Linux 3.11
SUITABLE := import sys; sys.exit(not ((3, 12) if sys.platform == "darwin" else (3, 11)) <= sys.version_info[:2] < (3, 15))
PYTHON ?= $(shell for one in python3 python3.13 python3.12 python3.14 python3.11; do $$one -c '$(SUITABLE)' 2>/dev/null && { echo $$one; break; }; done)
VENV := .venv
# NVIDIA: `make venv CUDA=13` or 12; remembered, so that no later `make serve` goes back to the CPU's MLX (CUDA= does)
CUDA ?= $(shell cat $(VENV)/.cuda 2>/dev/null)
VARIANT := requirements$(CUDA:%=-cuda%)
INSTALLED := $(VENV)/.installed$(CUDA:%=-cuda%)
BIN := $(VENV)/bin
SOURCES := src tests training run.py gunicorn.conf.py stoker_server hatch_build.py

.PHONY: help serve dev venv test check format lint types imports trace chaos rolling year platforms bench bench-batch bench-chat bench-speculation bench-ocr bench-models eval-ocr test-architectures test-clients test-console screenshots test-agents test-llama test-vllm bench-llama test-real soak nonsense lock eval-demo example clean bench-kernels soak-real test-taught test-ranks wheel formula

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: venv ## start the service on http://127.0.0.1:8000
	$(BIN)/python run.py --mode prod

dev: venv ## start it with reload and DEBUG logs
	$(BIN)/python run.py --mode dev

venv: $(INSTALLED) ## make .venv with what the service needs (CUDA=13 or 12 for NVIDIA)

# by the variant's lock, which names everything (so no dependencies are resolved): every file has the hash that it had
# when the tests ran. MLX's libraries for the CPU, CUDA 12 and CUDA 13 are the same files: all leave before one comes. The
# headless build of OpenCV goes last, so that cv2 needs no system library
$(INSTALLED): requirements-base.txt $(VARIANT).txt $(VARIANT).lock
	@$(or $(PYTHON),false) -c '$(SUITABLE)' || { echo "Python 3.11 to 3.14 is needed (3.12 or newer on macOS): make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making $(VENV) by $(VARIANT).lock with $(PYTHON): $$(grep -c '^[a-z].*==' $(VARIANT).lock) packages at most; some minutes, by the network."
	$(PYTHON) -m venv $(VENV)
	rm -f $(VENV)/.installed*
	$(BIN)/python -m pip uninstall -qq --yes mlx-cpu mlx-cuda-12 mlx-cuda-13
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r $(VARIANT).lock
	sed -n '/^opencv-python-headless==/,/# via/p' $(VARIANT).lock > $(VENV)/opencv.lock
	$(BIN)/python -m pip install --quiet --require-hashes --force-reinstall --no-deps -r $(VENV)/opencv.lock
	echo $(CUDA) > $(VENV)/.cuda
	touch $@

$(VENV)/.installed-dev: $(INSTALLED) requirements-dev.txt requirements-otel.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@

# what needs no processes of its own runs on all cores, a file to a worker; what starts services by two files at a time (it
# mostly waits); what measures MLX's memory in its own process, or sets up onnxruntime for all of it, has one to itself
TOGETHER := tests/unit tests/contract tests/families
ALONE := tests/unit/ocr/test_vlm.py tests/unit/engine/test_moving.py tests/contract/test_cpu_kernels.py \
  tests/unit/engine/mlx/test_encoders.py tests/contract/test_encoders.py tests/unit/engine/mlx/test_judge.py
# no ranges in tracebacks: Python 3.11 parses a line for each, and one that is formatted while a module is compiled (a
# warning of something that is collected) breaks the compiler: "AST constructor recursion depth mismatch", gh-106905
test: export PYTHONNODEBUGRANGES := 1
test: $(VENV)/.installed-dev ## run the whole suite
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ALONE:%=--ignore=%) $(TOGETHER)
	$(BIN)/python -m pytest $(ALONE)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TOGETHER:%=--ignore=%)

check: $(VENV)/.installed-dev lint types imports test ## everything CI runs

format: $(VENV)/.installed-dev ## format and sort what can be done without asking
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: $(VENV)/.installed-dev ## format check and ruff
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

types: $(VENV)/.installed-dev ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/.installed-dev ## the directions of imports
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev ## measure start, wire, cancel, memory (a few minutes)
	$(BIN)/python -m tests.bench

trace: $(VENV)/.installed-dev ## the functions, files and lines that one streamed chat runs through
	$(BIN)/python -m tests.trace

chaos: $(VENV)/.installed-dev ## ten minutes of traffic while everything is killed at random
	$(BIN)/python -m tests.chaos --seconds 600

rolling: $(VENV)/.installed-dev ## ten restarts of two instances behind nginx under load: what clients lose
	$(BIN)/python -m tests.rolling

SHARE ?= 1
year: $(VENV)/.installed-dev ## a simulated year: rotations, key changes, model updates, rolling updates (SHARE=0.1: a tenth of it)
	$(BIN)/python -m tests.year --share $(SHARE)

platforms: $(VENV)/.installed-dev ## resolve the requirements for every platform and Python, look up MLX's names on macOS (asks the index)
	$(PYTHON) -m venv .lock-venv && .lock-venv/bin/python -m pip install --quiet "uv>=0.9,<1"
	$(BIN)/python -m tests.platforms .lock-venv/bin/uv
	rm -rf .lock-venv

bench-ocr: $(VENV)/.installed-dev ## OCR: workers, a process per request, chat beside it, a long job under fire
	$(BIN)/python -m tests.bench.ocr_bench

bench-models: $(VENV)/.installed-dev ## an 850 MB model: loading, leaving the device, coming back, and what each frees
	$(BIN)/python -m tests.bench.model_bench

bench-chat: $(VENV)/.installed-dev ## chat against mlx_lm.server and mlx_vlm.server (BENCH=--quick: 19 minutes)
	$(BIN)/python -m tests.bench.chat $(BENCH)

bench-batch: $(VENV)/.installed-dev ## a batch beside live traffic, on an idle machine, and one of 100,000 lines (five minutes)
	$(BIN)/python -m tests.bench.batch_bench

bench-kernels: $(VENV)/.installed-dev ## a quantised model on a CPU by each of CPU_KERNELS (MODEL=FOLDER or a GGUF file)
	$(BIN)/python -m tests.bench.kernels $(MODEL)

bench-speculation: $(VENV)/.installed-dev ## what speculative decoding brings, by acceptance rate (a quarter of an hour)
	$(BIN)/python -m tests.bench.speculation

eval-ocr: $(VENV)/.installed-dev ## OCR: wrong characters and CPU-seconds by page, the vision model's words
	$(BIN)/python -m tests.bench.ocr_eval

test-architectures: $(VENV)/.installed-dev ## a tiny random checkpoint of every architecture of mlx-lm and mlx-vlm (many minutes; ARCHITECTURES="llama vision/qwen2_vl", "--kind vision --write")
	$(BIN)/python -m tests.architectures $(ARCHITECTURES)

test-ranks: $(VENV)/.installed-dev ## two ranks on loopback, each of them killed and stopped
	ALL_LOSSES=1 $(BIN)/python -m pytest tests/e2e/test_ranks.py

test-taught: $(VENV)/.installed-dev ## train four tiny models to call tools in four families' forms, and have them (minutes)
	$(BIN)/python -m training.taught.train
	$(BIN)/python -m tests.taught

test-clients: $(VENV)/.installed-dev ## other people's clients, each in an environment of its own (minutes)
	$(BIN)/python -m tests.clients

screenshots: $(VENV)/.installed-dev ## what test-console does, and pictures of the page into docs/pictures
	$(BIN)/python -m tests.console --pictures

test-agents: $(VENV)/.installed-dev ## the real coding agents against the service (Node 18 and newer; half an hour; AGENTS="codex llm")
	$(BIN)/python -m tests.agents $(AGENTS)

test-console: $(VENV)/.installed-dev ## the page in a real Chromium (a minute)
	$(BIN)/python -m tests.console

LLAMA := .venv-llama
$(LLAMA)/.built: tests/llama/build.sh
	tests/llama/build.sh $(LLAMA)

test-llama: $(VENV)/.installed-dev $(LLAMA)/.built ## build llama.cpp (a quarter of an hour) and run the engines' contract over it
	STOKER_TEST_LLAMA=$(LLAMA) $(BIN)/python -m pytest tests/contract/test_engines.py

bench-llama: $(VENV)/.installed-dev $(LLAMA)/.built ## llama.cpp through the service against llama-server itself
	$(BIN)/python -m tests.llama.bench $(LLAMA)

VLLM := .venv-vllm
$(VLLM)/.built: tests/vllm/build.sh
	tests/vllm/build.sh $(VLLM)

test-vllm: $(VENV)/.installed-dev $(VLLM)/.built ## install vLLM for CPUs (400 MB) and run the engines' contract over it
	STOKER_TEST_VLLM=$(VLLM) $(BIN)/python -m pytest --timeout 1200 tests/contract/test_engines.py

REAL := .real
test-real: $(VENV)/.installed-dev ## fetch SmolLM2-135M, all-MiniLM and llama.cpp's bindings, and test with them (ten minutes)
	$(BIN)/python -m tests.real.fetch $(REAL)
	STOKER_TEST_REAL=$(REAL) $(BIN)/python -m pytest -s -rs --timeout 600 tests/real

SOAK_MINUTES ?= 30
soak-real: $(VENV)/.installed-dev ## the real model at 4 streams for SOAK_MINUTES (30): no failure, no growing memory
	$(BIN)/python -m tests.real.fetch $(REAL)
	STOKER_TEST_REAL=$(REAL) SOAK_MINUTES=$(SOAK_MINUTES) $(BIN)/python -m pytest -s -rs --timeout 7200 tests/real -k soak

HOURS ?= 24
soak: $(VENV)/.installed-dev ## mixed work for HOURS=24 on a service of its own, one table at the end
	$(BIN)/python -m tests.soak --hours $(HOURS)

nonsense: $(VENV)/.installed-dev ## 100,000 requests of no sense; what they leave in the web process's memory and in /metrics
	NONSENSE=100000 $(BIN)/python -m pytest -s tests/security/test_nonsense.py

eval-demo: $(VENV)/.installed-dev ## the demo model on held-out questions, and on what newcomers ask (34 of 38 is the aim)
	$(BIN)/python -m training.demo.evaluate
	-$(BIN)/python -m training.demo.newcomers

example: $(INSTALLED) ## write .env.example and the generated pages of docs/
	$(BIN)/python run.py config --example
	$(BIN)/python -m tests.docs --write

wheel: $(VENV)/.installed-dev ## build dist/stoker_server-VERSION-py3-none-any.whl and the sdist (docs/install.md)
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .

URL ?= file://$$(ls $(CURDIR)/dist/*.whl)
formula: wheel ## write dist/stoker.rb, a Homebrew formula of that wheel (URL= where it will be fetched from)
	$(BIN)/python -c 'import hashlib, pathlib, sys; print(hashlib.sha256(pathlib.Path(sys.argv[1]).read_bytes()).hexdigest())' dist/*.whl > dist/sha256
	$(BIN)/python run.py --version | sed 's/^stoker //' > dist/version
	sed -e "s|@URL@|$(URL)|; s|@SHA256@|$$(cat dist/sha256)|; s|@VERSION@|$$(cat dist/version)|" deploy/homebrew/stoker.rb > dist/stoker.rb
	rm dist/sha256 dist/version

lock: ## write the locks: every version and its hashes, for all platforms
	$(PYTHON) -m venv .lock-venv && .lock-venv/bin/python -m pip install --quiet "uv>=0.9,<1"
	for one in requirements requirements-cuda12 requirements-cuda13; do \
		.lock-venv/bin/uv pip compile $$one.txt --universal --generate-hashes --python-version 3.11 --quiet -o $$one.lock || exit 1; done
	rm -rf .lock-venv

clean: ## remove what can be made again
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
