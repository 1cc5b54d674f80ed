"""`[storage] objects`: `folder`, or the address of a bucket in an S3 store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from sampan.config.reading import Source
    from sampan.config.settings import StorageSettings

FOLDER = "folder"
LINKS = ("gateway", "store")
STYLES = ("path", "virtual")
ENCRYPTIONS = ("AES256", "aws:kms")
LONGEST_LINK = 7 * 86_400  # seconds; what Signature Version 4 allows
EXAMPLE = "s3://bucket/prefix?endpoint=http://host:port&region=us-east-1"
_OPTIONS = ("endpoint", "region", "style", "public", "sse", "kms_key", "ca", "proxy")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, and the underscore and the capitals of
# stores that are older than these rules.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket: where it is, how it is spoken to, and the names by which links lead there.

    `endpoint` and `public` are URLs without a path and without the bucket's name; with `virtual` that name goes before
    the host. `sse` and `kms_key` ask the store to encrypt what it keeps. `ca` is a file of certificates to trust too.
    """

    name: str
    prefix: str
    endpoint: str
    region: str
    virtual: bool
    public: str
    sse: str = ""
    kms_key: str = ""
    ca: str = ""
    proxy: str = ""

    @property
    def destination(self) -> str:
        """The URL of the host that the gateway itself connects to: the proxy, or the store."""
        return self.proxy or self.url(self.endpoint)

    def url(self, base: str) -> str:
        """`base` as requests for this bucket need it: with the bucket's name before the host, or as it is."""
        parts = urlsplit(base)
        return f"{parts.scheme}://{self.name}.{parts.netloc}" if self.virtual else base


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """What requests are signed with; never shown."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


def read_objects(text: str) -> Bucket | None:
    """The bucket that the setting names; None for the folder. Raises `ValueError` that says what is wrong."""
    if text == FOLDER:
        return None
    form = f"must be `{FOLDER}`, or an address such as {EXAMPLE}"
    try:
        parts = urlsplit(text)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        port = parts.port
    except ValueError:
        raise ValueError(form) from None
    if parts.scheme != "s3" or parts.fragment or port is not None:
        raise ValueError(form)
    if "@" in parts.netloc:
        raise ValueError("holds credentials; they belong into access_key and secret_key")
    options = dict(pairs)
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown or len(options) != len(pairs):
        wrong = f", not {unknown[0]!r}" if unknown else ""
        raise ValueError(f"knows the options {', '.join(_OPTIONS)}, each once{wrong}")
    prefix = unquote(parts.path).strip("/")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ValueError(f"{parts.netloc!r} cannot be the name of a bucket")
    if prefix and (not _PREFIX.fullmatch(prefix) or ".." in prefix):
        raise ValueError("the prefix has letters, digits and . _ - / only")
    return _bucket(parts.netloc, prefix, options)


def _bucket(name: str, prefix: str, options: Mapping[str, str]) -> Bucket:
    region = options.get("region", "us-east-1")
    if not _NAME.fullmatch(region):
        raise ValueError(f"region={region!r} is not the name of a region")
    own = options.get("endpoint", "")
    style = options.get("style", "path" if own else "virtual")
    if style not in STYLES:
        raise ValueError(f"style must be one of {', '.join(STYLES)}, not {style!r}")
    sse, kms_key = options.get("sse", ""), options.get("kms_key", "")
    if sse and sse not in ENCRYPTIONS:
        raise ValueError(f"sse must be one of {', '.join(ENCRYPTIONS)}, not {sse!r}")
    if kms_key and sse != "aws:kms":
        raise ValueError("kms_key needs sse=aws:kms")
    if not re.fullmatch(r"[!-~]*", kms_key):
        raise ValueError("kms_key has a blank or another sign that no key's name has")
    ca = options.get("ca", "")
    if ca and not Path(ca).is_file():
        raise ValueError("there is no such file as its ca")
    endpoint = _base(own or f"https://s3.{region}.amazonaws.com", "endpoint")
    public = _base(options.get("public", "") or endpoint, "public")
    proxy = options.get("proxy", "")
    if proxy and _base(proxy, "proxy") and urlsplit(proxy).scheme != "http":
        raise ValueError("proxy must be a URL such as http://host:port")
    return Bucket(name, prefix, endpoint, region, style == "virtual", public, sse, kms_key, ca, proxy)


def _base(url: str, name: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{name} must be a URL such as https://host:port, without a path")
    return f"{parts.scheme}://{parts.netloc}"


def link_origins(storage: StorageSettings) -> tuple[str, ...]:
    """Where pictures come from beside the gateway: the store that gives links of its own, as browsers know it."""
    bucket = read_objects(storage.objects) if storage.links == "store" else None
    return () if bucket is None else (bucket.url(bucket.public),)


def read_credentials(storage: StorageSettings, environ: Mapping[str, str]) -> S3Credentials | None:
    """What the settings say, or else the environment (`AWS_ACCESS_KEY_ID` and its fellows); None where neither does.

    No other place is looked at: a gateway does not ask a cloud's metadata address who it is.
    """
    if storage.access_key:
        return S3Credentials(storage.access_key, storage.secret_key)
    access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    if access_key and secret_key:
        return S3Credentials(access_key, secret_key, environ.get("AWS_SESSION_TOKEN", ""))
    return None


def check_objects(storage: StorageSettings, source: Source) -> None:
    """Raises `ConfigError` with the line. Values that are secrets are not shown."""
    try:
        bucket = read_objects(storage.objects)
    except ValueError as error:
        raise source.error(("storage", "objects"), str(error)) from None
    if storage.links not in LINKS:
        raise source.error(("storage", "links"), f"must be one of {', '.join(LINKS)}, not {storage.links!r}")
    if storage.links == "store":
        if bucket is None:
            raise source.error(("storage", "links"), "`store` needs a bucket in `objects`: a folder gives no links")
        if storage.link_lifetime > LONGEST_LINK:
            said = f"links of the store itself work for {LONGEST_LINK:,} seconds at most"
            raise source.error(("storage", "link_lifetime"), said)
    for name, other in (("access_key", "secret_key"), ("secret_key", "access_key")):
        value = getattr(storage, name)
        if value and not getattr(storage, other):
            raise source.error(("storage", name), f"needs `{other}` too")
        if not re.fullmatch(r"[!-~]*", value):
            raise source.error(("storage", name), "has a blank, a line end or another sign that no key has")
