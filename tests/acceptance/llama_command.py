"""llama.cpp's own server as a command that is given its port: `llama_command.py MODEL PORT`. A signal ends it."""

from __future__ import annotations

import signal
import sys

import xllamacpp


def main(model: str, port: str) -> None:
    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.n_ctx = 0  # as many as the model was made for
    settings.n_parallel = 1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.port = int(port)
    settings.warmup = False
    server = xllamacpp.Server(settings)
    print(f"llama.cpp listens on {server.listening_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
