"""Uploads in parts that were never ended: found and aborted by signed requests of our own.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html, and API_AbortMultipartUpload.html there;
signed as https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html says.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import http.client
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from sampan.config.objects import Bucket, S3Credentials
from sampan.errors import ConfigError

_NOTHING = hashlib.sha256(b"").hexdigest()
_SIGNED = "host;x-amz-content-sha256;x-amz-date"
_LARGEST = 4 << 20  # bytes of an answer: a thousand uploads take less than one
_MOST = 1000  # pages, of a thousand uploads each
_UPLOAD = re.compile(r"<Upload>(.*?)</Upload>", re.DOTALL)


class Uploads:
    """Blocks; for a thread. `patience` is in seconds, for each request. Raises `OSError` or `ConfigError`."""

    def __init__(self, bucket: Bucket, credentials: S3Credentials, patience: float) -> None:
        self._bucket = bucket
        self._credentials = credentials
        self._patience = patience

    def abort(self, prefix: str, before: float) -> int:
        """Aborts those under `prefix` that began before that moment (Unix seconds); returns how many."""
        old = [(key, upload) for key, upload, began in self._list(prefix) if began < before]
        for key, upload in old:
            self._ask("DELETE", key, {"uploadId": upload}, (204, 200, 404))
        return len(old)

    def _list(self, prefix: str) -> list[tuple[str, str, float]]:
        """Key, id and beginning of each."""
        found: list[tuple[str, str, float]] = []
        query = {"uploads": "", "prefix": prefix}
        for _ in range(_MOST):
            text = self._ask("GET", "", query, (200,)).decode("utf-8", "replace")
            for each in _UPLOAD.findall(text):
                key, upload, began = (_element(each, name) for name in ("Key", "UploadId", "Initiated"))
                if key.startswith(prefix) and upload and began:
                    found.append((key, upload, _moment(began)))
            marker = _element(text, "NextKeyMarker")
            if _element(text, "IsTruncated") != "true" or not marker:
                break
            query |= {"key-marker": marker, "upload-id-marker": _element(text, "NextUploadIdMarker")}
        return found

    def _ask(self, method: str, key: str, query: Mapping[str, str], good: tuple[int, ...]) -> bytes:
        url = urlsplit(self._bucket.url(self._bucket.endpoint))
        path = ("" if self._bucket.virtual else f"/{self._bucket.name}") + f"/{quote(key, safe='/-_.~')}"
        path = path.rstrip("/") or "/"
        # In the order of the names, and each `=` written: the signature is over this very text.
        text = "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))
        headers = self._sign(method, url.netloc, path, text, datetime.now(UTC))
        connection, target = self._connect(url.scheme, url.netloc)
        try:
            connection.request(method, f"{target}{path}?{text}", headers=headers)
            answer = connection.getresponse()
            body = answer.read(_LARGEST)
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise OSError(f"the object store {self._bucket.endpoint} did not answer ({type(error).__name__})") from None
        finally:
            connection.close()
        if answer.status in (401, 403):
            raise refused(self._bucket, "list open uploads", "")
        if answer.status not in good:
            raise OSError(f"the object store {self._bucket.endpoint} answered {answer.status} about open uploads")
        return body

    def _connect(self, scheme: str, host: str) -> tuple[http.client.HTTPConnection, str]:
        """A connection, and what stands before the path in what is asked on it."""
        proxy = urlsplit(self._bucket.proxy).netloc
        if scheme == "http":
            connection = http.client.HTTPConnection(proxy or host, timeout=self._patience)
            return connection, f"http://{host}" if proxy else ""
        context = ssl.create_default_context()
        if self._bucket.ca:
            context.load_verify_locations(self._bucket.ca)
        secure = http.client.HTTPSConnection(proxy or host, timeout=self._patience, context=context)
        if proxy:
            secure.set_tunnel(host)
        return secure, ""

    def _sign(self, method: str, host: str, path: str, query: str, now: datetime) -> dict[str, str]:
        moment = now.strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": host, "x-amz-content-sha256": _NOTHING, "x-amz-date": moment}
        signed = _SIGNED
        if self._credentials.token:
            headers["x-amz-security-token"] = self._credentials.token
            signed += ";x-amz-security-token"
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{_NOTHING}"
        scope = (moment[:8], self._bucket.region, "s3", "aws4_request")
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{self._credentials.secret_key}".encode()
        for part in scope:
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = f"AWS4-HMAC-SHA256\n{moment}\n{'/'.join(scope)}\n{digest}"
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._credentials.access_key}/{'/'.join(scope)}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )
        return headers


def refused(bucket: Bucket, what: str, code: str) -> ConfigError:
    """That the store does not let us; `code` is its own word for why."""
    return ConfigError(
        f"The object store {bucket.endpoint} refuses to {what}{code}. Check [storage] access_key and secret_key, that "
        f"they may read, write, list and delete in the bucket {bucket.name}, and the clock of this machine."
    )


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return html.unescape(found[1]) if found else ""


def _moment(text: str) -> float:
    """Unix seconds of `2026-11-22T13:45:34.000Z`; now, where it is no such time: what is not known is not old."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return datetime.now(UTC).timestamp()
