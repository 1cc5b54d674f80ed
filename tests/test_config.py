from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.config import (
    SECTIONS,
    ClockSettings,
    Config,
    EngineSettings,
    default,
    load,
    parse,
    parse_target,
    split_listen,
)
from sampan.core import Dialect, Location, Operation
from sampan.errors import ConfigError

WHOLE = """
[server]
listen = "0.0.0.0:80"
keepalive = 5
max_body = 2048

[storage]
link_lifetime = 60

[upstreams.claude]
dialect = "anthropic"
base_url = "https://api.anthropic.com"
api_key = "env:KEY"
clocks = { connect = 1, first_event = "env:FIRST" }
headers = { "x-team" = "env:TEAM", x-other = "b" }

[upstreams.home]
dialect = "anthropic"
base_url = "http://10.0.0.5:8000/v1"
location = "local"
probe = "tcp"

[engines.reader]
kind = "reader"
threads = 2

[[routes]]
model = "claude-*"
operations = ["text", "vision"]
targets = ["claude", "home:qwen-vl:7b", "reader"]

[breaker]
failures = 2
"""
ENVIRON = {"KEY": "sk-1", "FIRST": "7.5", "TEAM": "a"}


def complaint(text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as raised:
        parse(text, "sampan.toml", environ)
    return str(raised.value)


def test_a_whole_file() -> None:
    config = parse(WHOLE, "sampan.toml", ENVIRON)
    assert (config.server.listen, config.server.keepalive, config.server.max_body) == ("0.0.0.0:80", 5.0, 2048)
    assert config.server.attempts == 4
    claude = config.upstreams["claude"]
    assert (claude.dialect, claude.api_key, claude.location) == (Dialect.ANTHROPIC, "sk-1", Location.CLOUD)
    assert claude.clocks == ClockSettings(connect=1.0, first_event=7.5)
    assert claude.headers == {"x-team": "a", "x-other": "b"}
    assert config.upstreams["home"].location is Location.LOCAL
    assert config.engines == {"reader": EngineSettings(kind="reader", threads=2)}
    assert config.routes[0].operations == [Operation.TEXT, Operation.VISION]
    assert config.breaker.failures == 2
    assert parse_target(config.routes[0].targets[1]) == ("home", "qwen-vl:7b")


HEAD = '[upstreams.up]\ndialect = "anthropic"\nbase_url = "http://a:1"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[server]\nlisten = "x"\nkeepalive = "5"', "line 3: server.keepalive: must be a number, not '5'"),
        ("[server]\n\nlimit = 5", "line 3: server.limit: is no setting. Known here: attempts, batch_calls"),
        ("[sever]", "line 1: sever: is no setting. Known here: audit, breaker"),
        ("x = 1", "line 1: x: is no setting"),
        ("[server]\nattempts = 0", "line 2: server.attempts: must be at least 1, not 0"),
        ("[server]\nattempts = true", "line 2: server.attempts: must be a whole number, not True"),
        ("[server]\nattempts = 1.5", "line 2: server.attempts: must be a whole number, not 1.5"),
        ("[server]\nkeepalive = nan", "line 2: server.keepalive: must be a finite number"),
        ("[server]\nkeepalive = inf", "line 2: server.keepalive: must be a finite number"),
        ("[server]\nlisten = 8000", "line 2: server.listen: must be text, not 8000"),
        ('[server]\nlisten = "8000"', "line 2: server.listen: '8000' is not address:port"),
        ('[server]\nlisten = "a:70000"', "line 2: server.listen: 'a:70000' is not address:port"),
        ('[server]\nlisten = "a:²"', "line 2: server.listen: 'a:²' is not address:port"),
        ('[server]\npublic_url = "example.org"', "line 2: server.public_url: must be a URL"),
        ('[server]\nlog_level = "loud"', "line 2: server.log_level: must be debug, info, warning or error"),
        ("server = 5", "line 1: server: must be a table, not int"),
        ('[storage]\ndatabase = "postgresql://x"', "line 2: storage.database: must be `sqlite`, or a URL such as"),
        ("upstreams = 5", "line 1: upstreams: must be a table"),
        ('[upstreams.up]\nbase_url = "http://a"', "line 1: upstreams.up: needs `dialect`: Wire format"),
        (
            '[upstreams.up]\nbase_url="x"\ndialect = "openai"',
            "line 3: upstreams.up.dialect: 'openai' is not one of `anth",
        ),
        ("[upstreams.up]\ndialect = []", "line 2: upstreams.up.dialect: [] is not one of"),
        (HEAD.replace("http://a:1", "a:1"), "line 3: upstreams.up.base_url: must be a URL such as https://host:port"),
        (HEAD.replace("http://a:1", "http://a:x"), "line 3: upstreams.up.base_url: must be a URL"),
        (HEAD + 'proxy = "socks5://a:1"', "line 4: upstreams.up.proxy: must be a URL"),
        (HEAD + 'ca = "/nowhere/ca.pem"', "line 4: upstreams.up.ca: there is no such file"),
        (HEAD + 'probe = "v1/models"', "line 4: upstreams.up.probe: must be a path such as"),
        (HEAD + 'api_key = "sk-1\\n"', "line 4: upstreams.up.api_key: has a blank, a line end"),
        (HEAD + 'headers = { "x y" = "1" }', "line 4: upstreams.up.headers: 'x y' cannot be sent"),
        (HEAD + 'headers = { x = "1\\n2" }', "line 4: upstreams.up.headers: 'x' cannot be sent"),
        (HEAD + 'headers = { Host = "b" }', "line 4: upstreams.up.headers: 'Host' cannot be sent"),
        (HEAD + "headers = { x = 1 }", "line 4: upstreams.up.headers.x: must be text, not 1"),
        (HEAD + "clocks = { connect = 0 }", "line 4: upstreams.up.clocks.connect: must be at least 0.01, not 0.0"),
        (HEAD + "[upstreams.up.clocks]\ntotal = 1\nidle = -1", "line 6: upstreams.up.clocks.idle: must be at least"),
        (HEAD + 'api_key = "env:NO"', "line 4: upstreams.up.api_key: the environment variable NO is not set"),
        (HEAD + 'concurrency = "env:WORD"', "line 4: upstreams.up.concurrency: the environment variable WORD must be"),
        (HEAD.replace("up]", '"u p"]'), "line 1: upstreams.u p: a name has letters, digits"),
        ('[engines."a b"]\nkind = "reader"', "line 1: engines.a b: a name has letters"),
        ('[engines.e]\nkind = "qwen"', "line 2: engines.e.kind: 'qwen' is not one of reader, sketcher"),
        ('[engines.e]\nkind = "reader"\nlisten = "x"', "line 3: engines.e.listen: 'x' is not address:port"),
        (HEAD + '[engines.up]\nkind = "reader"', "line 4: engines.up: an upstream has the same name"),
        ("routes = 1", "line 1: routes: must be a list"),
        ("routes = [1]", "line 1: routes.0: must be a table, not int"),
        ('[[routes]]\nmodel = "m"', "line 1: routes.0: needs `operations`"),
        ('[[routes]]\nmodel="a"\noperations=["text"]\ntargets=["x"]', "line 4: routes.0.targets: there is no upstream"),
        (
            HEAD + '[[routes]]\nmodel="a"\noperations=["text"]\ntargets=["up"]\n'
            '[[routes]]\nmodel="b"\noperations=["generate"]\ntargets=["up"]',
            "line 11: routes.1.targets: 'up' speaks anthropic and cannot answer `generate`",
        ),
        ('[[routes]]\nmodel="a"\noperations=[]\ntargets=["x"]', "routes.0: needs at least one operation"),
        (
            '[[routes]]\nmodel="a"\noperations=["sing"]\ntargets=[]',
            "routes.0.operations.0: 'sing' is not one of `text`",
        ),
        ("[server", "sampan.toml: not valid TOML"),
        ("x = " + "[" * 20_000, "sampan.toml: not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_field(text: str, message: str) -> None:
    said = complaint(text, WORD="many")
    assert said.startswith("sampan.toml")
    assert message in said
    assert "sk-1" not in said


def test_variables_are_read_as_what_they_are_to_be() -> None:
    text = "[server]\nattempts = 'env:N'\nkeepalive = 'env:S'\nlisten = 'env:L'\n"
    config = parse(text, "f", {"N": "3", "S": "2", "L": "127.0.0.1:9"})
    assert (config.server.attempts, config.server.keepalive, config.server.listen) == (3, 2.0, "127.0.0.1:9")
    assert "at least 1" in complaint("[server]\nattempts = 'env:N'", N="0")
    assert "finite" in complaint("[server]\nkeepalive = 'env:S'", S="inf")


def test_without_a_file_the_engines_serve() -> None:
    config = default({})
    assert config.upstreams == {}
    assert set(config.engines) == {"reader", "sketcher"}
    assert [(route.model, route.targets) for route in config.routes] == [
        ("reader", ["reader"]),
        ("sketcher", ["sketcher"]),
        ("claude-*", ["reader"]),
        ("*", ["reader"]),
        ("*", ["sketcher"]),
    ]


def test_a_cloud_whose_key_is_set_comes_first() -> None:
    config = default({"ANTHROPIC_API_KEY": "sk-a", "OPENAI_API_KEY": "sk-o"})
    assert config.upstreams["claude"].api_key == "sk-a"
    assert config.upstreams["openai"].dialect is Dialect.OPENAI_IMAGES
    assert [route.targets for route in config.routes[2:]] == [
        ["claude", "reader"],
        ["openai-chat", "reader"],
        ["openai", "sketcher"],
        ["openai-embeddings"],
    ]
    assert {config.upstreams[name].server for name in ("openai", "openai-chat", "openai-embeddings")} == {"openai"}
    assert default({"ANTHROPIC_API_KEY": ""}).upstreams == {}


def test_a_file_without_routes_gets_the_embedded_ones() -> None:
    config = parse('[server]\nlisten = "127.0.0.1:1"\n', "f", {"ANTHROPIC_API_KEY": "sk-a"})
    behind = [["claude", "reader"], ["reader"], ["sketcher"]]
    assert [route.targets for route in config.routes] == [["reader"], ["sketcher"], *behind]
    config = parse(HEAD + 'location = "local"\n' + HEAD.replace("up]", "cloud]"), "f", {"ANTHROPIC_API_KEY": "sk-a"})
    assert config.routes[2].targets == ["cloud", "up", "reader"]  # the file's upstreams only, cloud before local
    config = parse('[engines.eyes]\nkind = "reader"\n', "f", {})
    assert [(route.model, route.targets) for route in config.routes] == [
        (name, ["eyes"]) for name in ("eyes", "claude-*", "*")
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('dialect = "openai-responses"', "a server is asked in one of anthropic, openai-chat, "),
        ('dialect = "openai-chat"\nserver = "gguf"', "'gguf' is not one of any, vllm, "),
    ],
)
def test_what_a_server_is(line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        parse(f'[upstreams.up]\nbase_url = "http://a"\n{line}\n', "f", {})


def test_loading(tmp_path: Path) -> None:
    assert load(None, {}) == default({})
    file = tmp_path / "sampan.toml"
    file.write_text(WHOLE, encoding="utf-8")
    assert load(file, ENVIRON) == parse(WHOLE, str(file), ENVIRON)
    with pytest.raises(ConfigError, match=r"nowhere.toml: cannot be read: No such file"):
        load(tmp_path / "nowhere.toml", {})
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load(file, {})


@pytest.mark.parametrize(
    ("listen", "expected"),
    [("127.0.0.1:8000", ("127.0.0.1", 8000)), ("[::1]:0", ("::1", 0)), (":80", ("0.0.0.0", 80))],
)
def test_addresses(listen: str, expected: tuple[str, int]) -> None:
    assert split_listen(listen) == expected


def test_every_setting_says_what_it_is_and_defaults_are_within_their_bounds() -> None:
    for cls in (Config, *SECTIONS.values()):
        for field in dataclasses.fields(cls):
            assert re.fullmatch(r".+[.:]?.+\.", field.metadata["help"]), f"{cls.__name__}.{field.name}"
            minimum = field.metadata["minimum"]
            if minimum is not None and isinstance(field.default, int | float):
                assert field.default >= minimum


# Random files: whatever is in them, they are a configuration or an error that was raised on purpose.

NAMES = st.sampled_from(
    [*SECTIONS, *(field.name for cls in SECTIONS.values() for field in dataclasses.fields(cls)), "x"]
)
TEXTS = st.sampled_from(["env:NO", "env:YES", "anthropic", "reader", "text", "http://a", ""]).map('"{}"'.format)
NUMBERS = st.sampled_from(["0", "-1", "1e400", "nan", "9" * 30])
OTHERS = st.sampled_from(["true", "1979-05-27", "07:32:00", "[]", "{}", "['text']", "{ connect = 1 }"])
SCALARS = TEXTS | NUMBERS | OTHERS
LINES = st.lists(
    st.one_of(
        st.builds("[{}]".format, NAMES),
        st.builds("[{}.{}]".format, NAMES, NAMES),
        st.builds("[[{}]]".format, NAMES),
        st.builds("{} = {}".format, NAMES, SCALARS),
        st.builds("{}.{} = {}".format, NAMES, NAMES, SCALARS),
        st.text(max_size=10),
    ),
    max_size=8,
)


@given(LINES)
def test_no_file_does_anything_but_load_or_be_refused(lines: list[str]) -> None:
    try:
        parse("\n".join(lines), "f", {"YES": "1"})
    except ConfigError as error:
        assert str(error).startswith("f")


@given(NAMES, NAMES, SCALARS, SCALARS)
def test_nor_does_a_known_table_with_any_value(table: str, name: str, first: str, second: str) -> None:
    for text in (
        f"[{table}]\n{name} = {first}",
        f"[{table}.a]\n{name} = {first}\nkind = {second}",
        f"{table} = {first}",
    ):
        try:
            parse(text, "f", {"YES": "1"})
        except ConfigError as error:
            assert str(error).startswith("f")
