"""`python -m tests.real.llama FILE.gguf`: llama.cpp's server over a file, in a process of its own; prints its URL and
ends with its standard input."""

from __future__ import annotations

import sys

import xllamacpp  # type: ignore[import-not-found]  # `tests.real.fetch` puts it on PYTHONPATH


def main(file: str, context: int) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.n_ctx, params.n_parallel, params.port, params.warmup, params.verbosity = context, 1, 0, False, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], 2048)
