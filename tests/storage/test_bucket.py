"""What holds of buckets only, on a real S3 server: Debian's OpenStack Swift."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import itertools
import logging
import os
import re
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from s3_process import ACCESS_KEY, CREDENTIALS, DOMAIN, SECRET_KEY, OpenUploads, Relay, S3Process, Seen, known

from sampan.config.objects import Bucket, S3Credentials
from sampan.core import Actor, Call, Dialect, Location, Operation, Target, Tier
from sampan.errors import ConfigError, Unavailable
from sampan.storage.bucket import PART, REST, BucketStore
from sampan.storage.db import Database
from sampan.storage.gallery import Gallery
from sampan.storage.objects import Objects

DAY = 86400.0
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100
NAME = hashlib.sha256(PICTURE).hexdigest()
ROOT = Path(__file__).parent.parent.parent
CALL = Call(
    Dialect.OPENAI_IMAGES,
    Operation.GENERATE,
    "gpt-image-1",
    "/v1/images/generations",
    b"{}",
    "application/json",
    url_wanted=True,
)
ANN = Actor("key_1", "ann", "member")
SKETCHER = Target("sketcher", None, Dialect.OPENAI_IMAGES, Location.LOCAL, Tier.DEGRADED)
BODY = b'{"created":1,"data":[{"b64_json":"iVBORw0KGgoAAAAA"}]}'
PUT_BIG = """
import asyncio, hashlib, sys
from sampan.storage.bucket import BucketStore
from tests.s3_process import CREDENTIALS, known
data = b"big" * (10 << 20)
store = BucketStore(known(sys.argv[1]), CREDENTIALS)
asyncio.run(store.put(hashlib.sha256(data).hexdigest(), data, "image/png"))
"""


@pytest.fixture
def relay(s3: S3Process) -> Iterator[Relay]:
    with Relay(s3.port) as relay:
        yield relay


def through(relay: Relay, s3: S3Process, options: str = "") -> Bucket:
    """A new bucket, asked through the relay."""
    return s3.bucket(f"endpoint={relay.endpoint}{options}")


def get(port: int, url: str, host: str = "") -> tuple[int, dict[str, str], bytes]:
    """What a browser gets that knows nothing but the URL; `host` is where its name leads to on this machine."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"host": host or parts.netloc})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


async def test_objects_lie_under_the_prefix_by_their_names(s3: S3Process, relay: Relay) -> None:
    plain, below = through(relay, s3), through(relay, s3, "&region=eu-west-3")
    below = known(f"s3://{below.name}/a/b?endpoint={relay.endpoint}")
    for bucket, path in ((plain, ""), (below, "a/b/")):
        await BucketStore(bucket, CREDENTIALS).put(NAME, PICTURE, "image/png")
        assert relay.seen[-1].target == f"/{bucket.name}/{path}objects/{NAME[:2]}/{NAME}"
        assert relay.seen[-1].headers["x-amz-content-sha256"] == NAME, "the server checks what arrives"


async def test_what_others_keep_in_the_bucket_is_let_alone(s3: S3Process) -> None:
    bucket = s3.bucket()
    await BucketStore(bucket, CREDENTIALS).put(NAME, PICTURE, "image/png")
    other = BucketStore(known(f"s3://{bucket.name}/other?endpoint={s3.endpoint}"), CREDENTIALS)
    assert [each async for each in other.walk()] == []
    with pytest.raises(FileNotFoundError):
        await other.read(NAME)


async def test_a_presigned_link_leads_there_by_the_public_name_and_by_nothing_else(s3: S3Process) -> None:
    public = f"s3.hospital.example:{s3.port}"
    bucket = s3.bucket(f"public=http://{public}")
    store = BucketStore(bucket, CREDENTIALS)
    await store.put(NAME, PICTURE, "image/png")
    link = store.link(NAME, 60)
    assert link.startswith(f"http://{public}/{bucket.name}/objects/") and SECRET_KEY not in link
    status, headers, body = get(s3.port, link)
    assert (status, headers["content-type"], body) == (200, "image/png", PICTURE)
    assert get(s3.port, link, f"127.0.0.1:{s3.port}")[0] == 403, "signed for one host"
    assert get(s3.port, link.replace(NAME, "0" * 64))[0] == 403
    assert get(s3.port, re.sub("Expires=60", "Expires=600", link))[0] == 403
    assert get(s3.port, link.partition("?")[0])[0] in (400, 403), "the bucket is nobody else's"


async def test_a_presigned_link_of_a_host_style_bucket(s3: S3Process) -> None:
    bucket = s3.bucket(f"style=virtual&public=http://{DOMAIN}")
    plain = BucketStore(known(f"s3://{bucket.name}?endpoint={s3.endpoint}"), CREDENTIALS)
    await plain.put(NAME, PICTURE, "image/png")
    link = BucketStore(bucket, CREDENTIALS).link(NAME, 60)
    assert link.startswith(f"http://{bucket.name}.{DOMAIN}/objects/")
    assert get(s3.port, link)[::2] == (200, PICTURE)


async def test_host_style_and_a_proxy(s3: S3Process, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of such a bucket leads nowhere on this machine: what goes by a proxy needs none."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # the environment's is not asked
    bucket = s3.bucket()
    address = f"s3://{bucket.name}?endpoint=http://{DOMAIN}&style=virtual&proxy={relay.endpoint}"
    store = BucketStore(known(address), CREDENTIALS)
    await store.put(NAME, PICTURE, "image/png")
    assert await store.read(NAME) == PICTURE
    assert [each.sha256 async for each in store.walk()] == [NAME]
    await store.tidy(time.time())
    await store.remove(NAME)
    assert {urlsplit(seen.target).netloc for seen in relay.seen} == {f"{bucket.name}.{DOMAIN}"}
    assert {seen.headers["host"] for seen in relay.seen} == {f"{bucket.name}.{DOMAIN}"}


async def test_links_of_the_store_are_given_where_they_are_wanted(s3: S3Process, tmp_path: Path) -> None:
    store = BucketStore(s3.bucket(f"public=http://pictures.example:{s3.port}"), CREDENTIALS)
    with closing(Database(tmp_path)) as database:
        for direct, start in ((False, "https://ai.example.org/artifacts/"), (True, "http://pictures.example:")):
            objects = Objects(database, time.time, store, direct=direct)
            gallery = Gallery(objects, "https://ai.example.org", 60, time.time)
            answer = (await gallery.keep(CALL, ANN, SKETCHER, BODY)).decode()
            found = re.search(r'"url": ?"([^"]+)"', answer)
            assert found and found[1].startswith(start)
        assert get(s3.port, found[1].replace("\\u0026", "&"))[0] == 200


async def test_a_large_object_goes_up_in_parts_and_comes_down_in_pieces(s3: S3Process, relay: Relay) -> None:
    store = BucketStore(through(relay, s3), CREDENTIALS)
    data = os.urandom(1 << 20) * 100
    name = hashlib.sha256(data).hexdigest()
    await store.put(name, data, "application/pdf")
    parts = [seen for seen in relay.seen if "partNumber=" in seen.target]
    assert len(parts) == 13 and max(seen.length for seen in parts) == PART
    assert await store.size(name) == len(data)
    relay.seen.clear()
    digest = hashlib.sha256()
    async for piece in store.stream(name):
        digest.update(piece)
    assert digest.hexdigest() == name
    assert len(relay.seen) == 13 and all(seen.headers["range"] for seen in relay.seen)
    assert await store.read(name) == data
    middle = [piece async for piece in store.stream(name, PART - 5, PART + 5)]
    assert b"".join(middle) == data[PART - 5 : PART + 5]


async def test_a_large_object_is_not_copied_in_memory(s3: S3Process) -> None:
    store = BucketStore(s3.bucket(), CREDENTIALS)
    data = os.urandom(1 << 20) * 96
    name = hashlib.sha256(data).hexdigest()
    before = peak(anew=True)
    await store.put(name, data, "application/pdf")
    async for _ in store.stream(name):
        pass
    assert peak() - before < 7 * PART, "parts on their way, both ways"


def peak(*, anew: bool = False) -> int:
    """The most memory that this process has had, in bytes (proc_pid_status(5))."""
    if anew:  # from here on
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


async def test_an_upload_that_fails_is_aborted_and_leaves_nothing(s3: S3Process, relay: Relay) -> None:
    bucket = through(relay, s3)
    store = BucketStore(bucket, CREDENTIALS, clock=itertools.count(0, REST).__next__)
    data = bytes(3 * PART)
    name = hashlib.sha256(data).hexdigest()
    for status in (0, 400, 503):
        relay.answer = lambda seen, status=status: status if "partNumber=2" in seen.target else 200  # type: ignore[misc]
        with pytest.raises(OSError, match="could not keep an object"):
            await store.put(name, data, "image/png")
        assert relay.seen[-1].method == "DELETE" or any(seen.method == "DELETE" for seen in relay.seen)
        assert [each async for each in store.walk()] == []
        relay.seen.clear()
    assert OpenUploads(bucket).keys() == []


async def test_what_a_killed_process_left_is_swept_when_it_is_a_day_old(s3: S3Process, relay: Relay) -> None:
    bucket = through(relay, s3)
    arrived = threading.Event()

    def answer(seen: Seen) -> int:
        if "partNumber=3" in seen.target:
            arrived.set()
            return 503
        return 200

    relay.answer = answer
    address = f"s3://{bucket.name}?endpoint={relay.endpoint}"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PUT_BIG, address, cwd=ROOT)
    assert await asyncio.to_thread(arrived.wait, 60)
    process.kill()
    await process.wait()
    relay.answer = lambda seen: 200
    store, uploads = BucketStore(bucket, CREDENTIALS), OpenUploads(bucket)
    assert [each async for each in store.walk()] == [], "no half object"
    assert len(uploads.keys()) == 1
    await store.tidy(time.time() - DAY)
    assert len(uploads.keys()) == 1, "it may be another node's that is still at it"
    await store.tidy(time.time() + 1)
    assert uploads.keys() == []


async def test_the_store_goes_away_and_comes_back(s3: S3Process, tmp_path: Path) -> None:
    moments = itertools.count(0, REST).__next__  # each call comes when the store is asked anew
    with closing(Database(tmp_path)) as database:
        objects = Objects(database, time.time, BucketStore(s3.bucket(), CREDENTIALS, clock=moments))
        await objects.put(PICTURE, "image/png", "key_1", {})
        s3.kill()
        try:
            with pytest.raises(OSError, match="could not keep an object"):
                await objects.put(b"lost", "image/png", "key_1", {})
            with pytest.raises(Unavailable):
                await objects.find(NAME)
            with pytest.raises(OSError):
                await objects.sweep(30, time.time())
            with pytest.raises(OSError, match="could not list"):
                await objects.check()
            gallery = Gallery(objects, "https://ai.example.org", 60, time.time)
            assert await gallery.keep(CALL, ANN, SKETCHER, BODY) is BODY, "the picture goes out as bytes"
        finally:
            s3.start()
        assert await objects.read(NAME) == PICTURE
        await objects.check()
        assert await objects.sweep(30, time.time()) == 2, "what the puts left that failed"


async def test_a_store_that_says_nothing_is_not_waited_for_without_end(
    s3: S3Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sampan.storage.bucket.PATIENCE", 0.3)
    moments = [0.0]
    store = BucketStore(s3.bucket(), CREDENTIALS, clock=lambda: moments[0])
    s3.hold()
    try:
        began = time.monotonic()
        with pytest.raises(OSError, match="took too long to keep an object"):
            await store.put(NAME, PICTURE, "image/png")
        with pytest.raises(OSError, match=r"did not answer \(TimeoutError\)"):
            await store.tidy(time.time())
        assert time.monotonic() - began < 30
    finally:
        s3.go_on()
    with pytest.raises(OSError, match="did not answer a moment ago"):
        await store.put(NAME, PICTURE, "image/png")
    moments[0] = REST
    await store.put(NAME, PICTURE, "image/png")
    assert await store.read(NAME) == PICTURE


async def every_call(store: BucketStore) -> list[Exception]:
    """What each of them raises."""
    raised = []
    for ask in (
        lambda: store.put(NAME, PICTURE, "image/png"),
        lambda: store.put(NAME, bytes(2 * PART), "image/png"),
        lambda: store.read(NAME),
        lambda: store.size(NAME),
        lambda: store.remove(NAME),
        lambda: store.tidy(0),
        store.check,
    ):
        with pytest.raises((ConfigError, OSError)) as caught:
            await ask()
        raised.append(caught.value)
    return raised


async def test_wrong_credentials_are_said_and_never_shown(s3: S3Process, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bucket = s3.bucket()
    for credentials in (S3Credentials(ACCESS_KEY, "canary-secret-91"), S3Credentials("canary-91:x", SECRET_KEY)):
        store = BucketStore(bucket, credentials)
        raised = await every_call(store)
        assert all(isinstance(error, ConfigError) and "access_key" in str(error) for error in raised)
        for error in raised:
            told = f"{error!r} {error.__cause__!r} {store!r} {credentials!r}"
            assert "canary" not in told and SECRET_KEY not in told and "Signature=" not in told
            assert error.__context__ is None or error.__suppress_context__
    assert "canary" not in caplog.text and SECRET_KEY not in caplog.text


async def test_a_bucket_that_is_not_there_is_named(s3: S3Process) -> None:
    store = BucketStore(known(f"s3://nobodys-bucket?endpoint={s3.endpoint}"), CREDENTIALS)
    for ask in (store.put(NAME, PICTURE, "image/png"), store.read(NAME), store.check()):
        with pytest.raises(ConfigError, match="has no bucket nobodys-bucket"):
            await ask


async def test_encryption_is_asked_for_where_the_object_begins(s3: S3Process, relay: Relay) -> None:
    """Swift has no such encryption and says so: what counts is what arrives."""
    for options, asked in (
        ("&sse=AES256", {"x-amz-server-side-encryption": "AES256"}),
        (
            "&sse=aws:kms&kms_key=arn:aws:kms:cn-north-1:1:key/2",
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:cn-north-1:1:key/2",
            },
        ),
    ):
        store = BucketStore(through(relay, s3, options), CREDENTIALS)
        for data in (PICTURE, bytes(2 * PART)):
            relay.seen.clear()
            with pytest.raises(OSError, match=r"could not keep an object \(NotImplemented\)"):
                await store.put(NAME, data, "image/png")
            sent = relay.seen[0].headers
            assert {name: sent[name] for name in sent if name.startswith("x-amz-server-side")} == asked


async def test_only_harmless_types_are_what_a_link_of_the_store_shows(s3: S3Process) -> None:
    store = BucketStore(s3.bucket(), CREDENTIALS)
    for media_type, shown in (("image/webp", "image/webp"), ("text/html", "application/octet-stream")):
        await store.put(NAME, PICTURE, media_type)
        assert get(s3.port, store.link(NAME, 60))[1]["content-type"] == shown


async def test_the_environment_does_not_decide_where_objects_go(
    s3: S3Process, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_BUCKET"):
        monkeypatch.setenv(name, "somebody-elses")
    store = BucketStore(through(relay, s3), CREDENTIALS)
    await store.put(NAME, PICTURE, "image/png")
    assert await store.read(NAME) == PICTURE
    assert "somebody-elses" not in repr(relay.seen)


async def test_a_session_token_goes_along(s3: S3Process, relay: Relay) -> None:
    store = BucketStore(through(relay, s3), S3Credentials(ACCESS_KEY, SECRET_KEY, "a-token-for-an-hour"))
    await store.put(NAME, PICTURE, "image/png")
    await store.tidy(0)
    assert {seen.headers["x-amz-security-token"] for seen in relay.seen} == {"a-token-for-an-hour"}


async def test_a_certificate_of_the_house_is_trusted_where_it_is_named(s3: S3Process, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Relay(s3.port, context) as relay:
        bucket = through(relay, s3)
        with pytest.raises(OSError, match="could not keep"):
            await BucketStore(bucket, CREDENTIALS).put(NAME, PICTURE, "image/png")
        trusting = known(f"s3://{bucket.name}?endpoint={relay.endpoint}&ca={tmp_path / 'ca.pem'}")
        store = BucketStore(trusting, CREDENTIALS)
        await store.put(NAME, PICTURE, "image/png")
        await store.tidy(0)
        assert await store.read(NAME) == PICTURE
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="in PEM"):
        BucketStore(trusting, CREDENTIALS)
