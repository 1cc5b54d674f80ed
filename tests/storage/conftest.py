"""The S3 server that the tests of this room share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from s3_process import S3Process


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Process]:
    with S3Process(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture
def s3(swift: S3Process) -> Iterator[S3Process]:
    """The server; what it said is shown beside a test that fails."""
    before = len(swift.said)
    yield swift
    print(swift.said[before:])
