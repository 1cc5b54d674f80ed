"""An engine as the supervisor knows one: a process that answers /ready. `fake_engine.py MODE --listen HOST:PORT`

Standard library only, so that it starts in no time. Modes: `good` is warm at its second poll; `deaf` stops answering
when it gets SIGUSR1; `stubborn` ignores SIGTERM; `failing` ends at once; `chatty` writes long lines; `never` does not
get warm.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading


def follow_lifeline() -> None:
    while os.read(0, 100):
        pass
    os._exit(0)


def main() -> None:
    mode, _, listen = sys.argv[1:4]
    print(f"{mode} starts", flush=True)
    if mode == "failing":
        print("the model file is damaged", file=sys.stderr, flush=True)
        sys.exit(3)
    if mode == "chatty":
        os.write(1, b"x" * 100_000 + b"\nafter\n\xff\xfe bytes\nunfinished")
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=follow_lifeline, daemon=True).start()
    deaf = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: deaf.set())
    host, _, port = listen.rpartition(":")
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((host, int(port)))
        server.listen(16)
        polls = 0
        kept = []
        while True:
            client, _ = server.accept()
            if deaf.is_set():
                kept.append(client)  # accepted and never answered
                continue
            polls += 1
            warm = polls > 1 and mode != "never"
            body = b'{"ready": true, "stage": "ready"}' if warm else b'{"ready": false, "stage": "counting sheep"}'
            status = b"200 OK" if warm else b"503 Service Unavailable"
            with client:
                client.recv(4096)
                client.sendall(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))


if __name__ == "__main__":
    main()
