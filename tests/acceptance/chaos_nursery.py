"""A program that has imported `sampan` and forks a child for each command line that it is sent.

parent → nursery   one line of JSON, the words of the verb, with the handles of standard output and error
nursery → parent   the process id, and, once it has ended, its exit status (that of a signal is negative)
"""

from __future__ import annotations

import json
import os
import socket
import sys

from sampan.cli import main as sampan


def main(parent: socket.socket) -> None:
    """Births until the parent leaves."""
    parent.sendall(b"0\n")
    while True:
        line, handles, _, _ = socket.recv_fds(parent, 65536, 2)
        if not line:
            return
        pid = os.fork()
        if pid == 0:
            parent.close()
            for place, handle in enumerate(handles, 1):
                os.dup2(handle, place)
                os.close(handle)
            sys.argv = ["sampan", *json.loads(line)]
            sampan()
            return
        for handle in handles:
            os.close(handle)
        parent.sendall(b"%d\n" % pid)
        parent.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
