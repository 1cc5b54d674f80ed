"""An upstream that has much to say to everybody: long Messages streams, as fast as they are read."""

from __future__ import annotations

import socket
import threading
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

from behaviours import closing, opening, words

PIECE = words("x" * 30_000)
SMALL = 65_536  # bytes that the kernel may hold for one stream on this side; by default it is megabytes


class Flood:
    """`with Flood(pieces) as flood:` serves at `flood.url`; each answer has so many pieces. `sent` counts bytes."""

    def __init__(self, pieces: int) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"
        self.answer = opening("flood") + PIECE * pieces + closing()
        self._whole = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(self.answer), self.answer)
        self.sent = 0
        self._over = False
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        self._listening.setblocking(False)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._selector = DefaultSelector()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Flood:
        self._selector.register(self._listening, EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over = True
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            self._drop(key.fileobj)  # type: ignore[arg-type]
        self._selector.close()

    @property
    def open(self) -> int:
        """Streams that have not ended."""
        return len(self._selector.get_map()) - 1

    def _serve(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listening:
                    sock, _ = self._listening.accept()
                    sock.setblocking(False)
                    self._selector.register(sock, EVENT_READ, -1)
                else:
                    self._go_on(key.fileobj, key.data)  # type: ignore[arg-type]

    def _go_on(self, sock: socket.socket, place: int) -> None:
        """`place` is how much of the answer was sent; -1: nothing was asked yet."""
        try:
            if place < 0:
                if not sock.recv(65536):
                    raise ConnectionError
                place = 0
            else:
                count = sock.send(memoryview(self._whole)[place : place + SMALL])
                self.sent += count
                place += count
        except BlockingIOError:
            return
        except OSError:
            place = len(self._whole)
        if place < len(self._whole):
            self._selector.modify(sock, EVENT_WRITE, place)
        else:
            self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        sock.close()
