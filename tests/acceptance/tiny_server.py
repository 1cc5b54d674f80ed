"""A process that serves a model file as llama.cpp does; it ends when its standard input does, however that came about.

    python tiny_server.py MODEL talk|embed

Its line on standard output is its address: it has read the model by then and answers.
"""

from __future__ import annotations

import sys

import xllamacpp

SLOTS = 1  # calls at once: who keeps it keeps everybody else waiting, which is what a test sees


def main(model: str, use: str) -> None:
    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.model_alias = {"tiny"}
    settings.n_ctx = 0  # as many as the model was made for
    settings.n_parallel = SLOTS
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.port = 0
    settings.warmup = False
    settings.endpoint_slots = settings.endpoint_metrics = True
    if use == "embed":
        settings.embedding = True
        settings.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
