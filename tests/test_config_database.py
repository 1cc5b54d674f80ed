import pytest

from sampan import config
from sampan.config.database import Server, read_database
from sampan.errors import ConfigError


def test_sqlite_is_no_server() -> None:
    assert read_database("sqlite") is None


@pytest.mark.parametrize(
    "text, server",
    [
        ("postgresql://ann@db/sampan", Server("db", 5432, "sampan", "ann", "")),
        ("postgres://ann:x@db:6000/sampan", Server("db", 6000, "sampan", "ann", "x")),
        ("postgresql://a%40b:p%2F%3A%25%23@[::1]:1/n%20m", Server("::1", 1, "n m", "a@b", "p/:%#")),
        ("postgresql://ann:x@db/s?sslmode=require", Server("db", 5432, "s", "ann", "x", "require")),
        (
            "postgresql://ann:x@db/s?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            Server("db", 5432, "s", "ann", "x", "verify-full", "/etc/ca.pem"),
        ),
    ],
)
def test_a_url_names_a_server(text: str, server: Server) -> None:
    assert read_database(text) == server


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "must be `sqlite`, or a URL such as postgresql://user:password@host:5432/name"),
        ("SQLite", "must be `sqlite`"),
        ("mysql://ann:hunter2@db/sampan", "must be `sqlite`"),
        ("postgresql://ann:hunter2@db", "must be `sqlite`"),
        ("postgresql://ann:hunter2@db/a/b", "must be `sqlite`"),
        ("postgresql://ann:hunter2@/sampan", "must be `sqlite`"),
        ("postgresql://db/sampan", "names no user"),
        ("postgresql://ann:hunter2@db:x/sampan", "percent-encoded"),
        ("postgresql://ann:hunter2/x@db:5432/sampan", "percent-encoded"),
        ("postgresql://ann:hunter2@db/sampan#x", "written %23"),
        ("postgresql://ann:hunter2@db/sampan?sslmode=maybe", "sslmode must be one of disable, prefer"),
        ("postgresql://ann:hunter2@db/sampan?target_session_attrs=any", "not target_session_attrs"),
        ("postgresql://ann:hunter2%00@db/sampan", "must be `sqlite`"),
    ],
)
def test_a_bad_url_says_what_is_wrong_and_keeps_the_password(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"line 2: storage\.database: ") as caught:
        config.parse(f'[storage]\ndatabase = "{text}"', "sampan.toml", {})
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_of_authorities_that_is_not_there_is_found_before_the_start() -> None:
    url = "postgresql://ann:hunter2@db/s?sslmode=verify-ca&sslrootcert=/nowhere/ca.pem"
    with pytest.raises(ConfigError, match=r"line 2: storage\.database: there is no file /nowhere/ca\.pem"):
        config.parse(f'[storage]\ndatabase = "{url}"', "sampan.toml", {})


def test_a_server_shows_its_place_and_never_its_password() -> None:
    server = read_database("postgresql://ann:hunter2@[::1]:1/sampan")
    assert server is not None
    assert server.place == "[::1]:1/sampan"
    assert "hunter2" not in repr(server) + str(server)
