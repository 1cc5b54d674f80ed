"""OpenStack Swift with its S3 dialect, all of it in one process on loopback. Run by Debian's own Python, not by ours.

    /usr/bin/python3 swift_server.py FOLDER PORT

Debian's package `python3-swift` holds the servers and no more: no services, no user, nothing in /etc. What an operator
would write there is written here, into FOLDER, which may be used again. It says `ready` once it answers.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import eventlet

eventlet.patcher.monkey_patch(all=False, socket=True, select=True, thread=True)

from eventlet import wsgi  # noqa: E402
from swift.common import utils  # noqa: E402

ACCESS_KEY, SECRET_KEY = "test:tester", "a-secret-of-the-tests"
DOMAIN = "s3.example.test"
POLICY = "[swift-hash]\nswift_hash_path_suffix = tests\n[storage-policy:0]\nname = default\ndefault = yes\n"
STORAGE = """[DEFAULT]
devices = {folder}/devices
mount_check = false
swift_dir = {folder}
workers = 0
[pipeline:main]
pipeline = server
[app:server]
use = egg:swift#{kind}
"""
PROXY = """[DEFAULT]
swift_dir = {folder}
workers = 0
[pipeline:main]
pipeline = catch_errors s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:s3api]
use = egg:swift#s3api
storage_domain = {domain}
location = us-east-1
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_{user} = {secret} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


class Memory:
    """What Swift asks of memcached, as much of it as one process needs: tempauth does not answer without."""

    def __init__(self) -> None:
        self._kept: dict = {}

    def get(self, key: str, *_: object, **__: object) -> object:
        return self._kept.get(key)

    def set(self, key: str, value: object, *_: object, **__: object) -> None:
        self._kept[key] = value

    def delete(self, key: str, *_: object, **__: object) -> None:
        self._kept.pop(key, None)


def main(folder: Path, port: int) -> None:
    os.environ["TZ"] = "UTC+0"
    logging.basicConfig(level=logging.WARNING)
    conf = folder / "swift.conf"
    conf.write_text(POLICY)
    utils.SWIFT_CONF_FILE = str(conf)
    utils.validate_hash_conf()
    # Both look at `swift.conf` while they are imported.
    from swift.common.ring import RingBuilder  # noqa: PLC0415
    from swift.common.wsgi import SwiftHttpProtocol, loadapp  # noqa: PLC0415

    eventlet.debug.hub_exceptions(False)
    (folder / "devices" / "disk").mkdir(parents=True, exist_ok=True)
    memory = Memory()

    def serve(sock: object, name: str, text: str) -> None:
        path = folder / f"{name}.conf"
        path.write_text(text)
        app = loadapp(str(path), global_conf={"log_name": name})
        options = {"protocol": SwiftHttpProtocol, "capitalize_response_headers": False, "socket_timeout": 60.0}

        def remembering(environ: dict, start: object) -> object:
            environ["swift.cache"] = memory
            return app(environ, start)

        eventlet.spawn(wsgi.server, sock, remembering, utils.NullLogger(), **options)

    sockets = {}
    for kind in ("account", "container", "object"):
        sockets[kind] = eventlet.listen(("127.0.0.1", 0))
        builder = RingBuilder(part_power=2, replicas=1, min_part_hours=0)
        place = {"ip": "127.0.0.1", "port": sockets[kind].getsockname()[1], "device": "disk"}
        builder.add_dev({**place, "region": 1, "zone": 1, "weight": 1.0})
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{kind}.ring.gz"))
    for kind, sock in sockets.items():
        serve(sock, kind, STORAGE.format(folder=folder, kind=kind))
    user = ACCESS_KEY.replace(":", "_")
    text = PROXY.format(folder=folder, domain=DOMAIN, user=user, secret=SECRET_KEY)
    serve(eventlet.listen(("127.0.0.1", port)), "proxy", text)
    print("ready", flush=True)
    eventlet.hubs.get_hub().switch()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
