"""`[storage] objects` and what belongs to it: addresses of buckets, credentials, links."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.config import parse
from sampan.config.objects import Bucket, S3Credentials, read_credentials, read_objects
from sampan.config.settings import StorageSettings
from sampan.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[storage]\nobjects = "S3"', "line 2: storage.objects: must be `folder`, or an address such as s3://"),
        ('[storage]\nobjects = "s3://b"', "storage.objects: 'b' cannot be the name of a bucket"),
        ('[storage]\nobjects = "s3://key:secret-91@pics"', "objects: holds credentials; they belong into access_key"),
        ('[storage]\nobjects = "s3://pics/../x"', "objects: the prefix has letters"),
        ('[storage]\nobjects = "s3://pics/%2e%2e/x"', "objects: the prefix has letters"),
        (
            '[storage]\nobjects = "s3://pics?colour=red"',
            "region, style, public, sse, kms_key, ca, proxy, each once, not 'colour'",
        ),
        ('[storage]\nobjects = "s3://pics?style=path&style=path"', "ca, proxy, each once"),
        ('[storage]\nobjects = "s3://pics?style=flat"', "style must be one of path, virtual, not 'flat'"),
        (
            '[storage]\nobjects = "s3://pics?endpoint=http://a:9/b"',
            "endpoint must be a URL such as https://host:port, without a path",
        ),
        ('[storage]\nobjects = "s3://pics?endpoint=http://u:secret-91@a:9"', "endpoint must be a URL"),
        ('[storage]\nobjects = "s3://pics?public=ftp://a"', "public must be a URL"),
        ('[storage]\nobjects = "s3://pics?proxy=https://a"', "proxy must be a URL such as http://"),
        ('[storage]\nobjects = "s3://pics?region=a/b"', "region='a/b' is not the name of a region"),
        ('[storage]\nobjects = "s3://pics?sse=rot13"', "sse must be one of AES256, aws:kms"),
        ('[storage]\nobjects = "s3://pics?sse=AES256&kms_key=k"', "kms_key needs sse=aws:kms"),
        ('[storage]\nobjects = "s3://pics?sse=aws:kms&kms_key=a%20b"', "kms_key has a blank"),
        ('[storage]\nobjects = "s3://pics?ca=/nowhere/ca.pem"', "there is no such file as its ca"),
        ('[storage]\naccess_key = "secret-91"', "line 2: storage.access_key: needs `secret_key` too"),
        ('[storage]\nsecret_key = "secret-91"', "storage.secret_key: needs `access_key` too"),
        ('[storage]\naccess_key = "a"\nsecret_key = "secret-91 "', "line 3: storage.secret_key: has a blank"),
        ('[storage]\nlinks = "mine"', "storage.links: must be one of gateway, store, not 'mine'"),
        ('[storage]\nlinks = "store"', "storage.links: `store` needs a bucket"),
        (
            '[storage]\nobjects = "s3://pics"\nlinks = "store"\nlink_lifetime = 604801',
            "line 4: storage.link_lifetime: links of the store itself work for 604,800 seconds at most",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_field_and_shows_no_secret(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "sampan.toml", {})
    said = str(caught.value)
    assert said.startswith("sampan.toml, line ") and message in said
    assert "secret-91" not in said


def test_an_address_says_where_the_bucket_is() -> None:
    assert read_objects("folder") is None
    assert read_objects("s3://pics") == Bucket(
        name="pics",
        prefix="",
        endpoint="https://s3.us-east-1.amazonaws.com",
        region="us-east-1",
        virtual=True,
        public="https://s3.us-east-1.amazonaws.com",
    )
    house = read_objects(
        "s3://pics/a/b/?endpoint=http://10.0.0.7:9000/&region=cn-north-1&public=https://s3.example.org"
    )
    assert house == Bucket(
        name="pics",
        prefix="a/b",
        endpoint="http://10.0.0.7:9000",
        region="cn-north-1",
        virtual=False,
        public="https://s3.example.org",
    )
    assert house.url(house.endpoint) == "http://10.0.0.7:9000"
    virtual = read_objects("s3://pics?endpoint=https://cos.example.org:8443&style=virtual&sse=aws:kms&kms_key=arn:1/2")
    assert virtual is not None and virtual.url(virtual.endpoint) == "https://pics.cos.example.org:8443"
    assert virtual.destination == "https://pics.cos.example.org:8443"
    assert (virtual.sse, virtual.kms_key) == ("aws:kms", "arn:1/2")


def test_files_and_proxies_are_named_in_the_address(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    bucket = read_objects(f"s3://pics?ca={tmp_path}/ca.pem&proxy=http://10.0.0.1:3128")
    assert bucket is not None and (bucket.ca, bucket.proxy) == (f"{tmp_path}/ca.pem", "http://10.0.0.1:3128")
    assert bucket.destination == "http://10.0.0.1:3128"


def test_credentials_are_those_of_the_configuration_before_those_of_the_environment() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}
    own = StorageSettings(access_key="x", secret_key="y")
    assert read_credentials(own, environ) == S3Credentials("x", "y", "")
    assert read_credentials(StorageSettings(), environ) == S3Credentials("a", "b", "c")
    assert read_credentials(StorageSettings(), {"AWS_ACCESS_KEY_ID": "a"}) is None
    assert repr(S3Credentials("canary", "canary", "canary")) == "S3Credentials()"


def test_a_whole_table_is_read() -> None:
    text = """
[storage]
objects = "s3://pics?endpoint=http://10.0.0.7:9000"
access_key = "env:WHO"
secret_key = "env:WORD"
links = "store"
"""
    storage = parse(text, "sampan.toml", {"WHO": "gateway", "WORD": "secret-91"}).storage
    assert (storage.access_key, storage.secret_key, storage.links) == ("gateway", "secret-91", "store")
