"""The description is held to the code: its paths, its methods, its statuses, and the shapes of our own errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import jsonschema_rs
import msgspec
import pytest

from sampan import errors
from sampan.config.policy import RuleSettings
from sampan.config.quota import LimitSettings
from sampan.console.front import Front
from sampan.core import Incoming
from sampan.dialects import Codec, Limits
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.openai_chat import OpenAIChat
from sampan.dialects.openai_embeddings import OpenAIEmbeddings
from sampan.dialects.openai_images import OpenAIImages
from sampan.dialects.openai_responses import OpenAIResponses
from sampan.edge import openapi
from sampan.edge.admin_audit import AuditPages
from sampan.edge.admin_drill import DrillPages, NewDrill
from sampan.edge.admin_limits import LimitPages
from sampan.edge.admin_models import ModelsPages, NewCheck, NewFetch, NewPromotion
from sampan.edge.admin_overview import OverviewPages
from sampan.edge.admin_people import (
    DepartmentPatch,
    KeyPatch,
    NewDepartment,
    NewKey,
    NewRole,
    NewUser,
    PeoplePages,
    RolePatch,
    Rotation,
    UserPatch,
)
from sampan.edge.admin_rules import RulesPages
from sampan.edge.batches import BatchesPages
from sampan.edge.door import CHAT, EMBEDDINGS, IMAGES, MESSAGES, RESPONSES
from sampan.edge.files import FilesPages
from sampan.edge.responses import ResponsesPages
from sampan.edge.sign_in import SignInPages
from sampan.governance.audit_export import COLUMNS
from sampan.governance.explaining import Question
from sampan.storage.batches import Batches
from sampan.storage.db import Database
from sampan.storage.evidence import Hold
from sampan.storage.files import Files
from sampan.storage.keys import KeyInfo
from sampan.storage.objects import Objects
from sampan.storage.people import Department, User
from sampan.storage.records import Wanted
from sampan.storage.responses import Responses
from sampan.upstreams.faults import REQUEST_STATUSES
from tests.edge.house import House, ask, opened

EDGE = Path(openapi.__file__).parent
DESCRIBED: Mapping[str, Any] = openapi.description("9.9")
METHODS = ("get", "post", "delete", "put", "patch")
UNASKED: Any = None
"""In the place of what pages need to answer."""

CODECS: tuple[tuple[tuple[str, ...], Codec], ...] = (
    (MESSAGES, Anthropic()),
    (CHAT, OpenAIChat()),
    (RESPONSES, OpenAIResponses()),
    (EMBEDDINGS, OpenAIEmbeddings()),
    (IMAGES, OpenAIImages()),
)
CALLS = {path: codec for paths, codec in CODECS for path in paths}
SEEN = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.CallError) and each is not errors.CallError
]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DESCRIBED["paths"].items():
        for method, told in methods.items():
            yield path, method, told


def asked_for(path: str) -> str:
    """A path with something in the place of each name."""
    return re.sub(r"\{\w+\}", "abc", path)


def constants() -> set[str]:
    """Every path that stands in the sources of the edge, regular expressions of them included."""
    found: set[str] = set()
    for source in EDGE.glob("*.py"):
        # What only the console asks (`console_*`) comes with it, changes with it, and is told in docs/console.md.
        if not source.name.startswith(("openapi", "console_")):
            nodes = ast.walk(ast.parse(source.read_text()))
            texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
            found |= {text for text in texts if re.match(r"/([a-z]|$)[^\s`]*$", text)}
    return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    """With the shelves of a real gateway: which paths they have is all that is asked of them."""
    database = Database(tmp_path / "pages")
    objects = Objects(database, lambda: 0.0)
    files = FilesPages(Files(database, objects, lambda: 0.0), lambda: 0.0)
    batches = BatchesPages(Batches(database, lambda: 0.0), lambda: None)
    shelves = (
        *(files, batches, ResponsesPages(Responses(database))),
        *(PeoplePages(UNASKED), RulesPages(UNASKED), LimitPages(UNASKED), AuditPages(UNASKED)),
        *(ModelsPages(UNASKED), DrillPages(UNASKED), OverviewPages(UNASKED)),
    )
    return House(
        tmp_path, shelves=[(each, 9) for each in shelves], foyers=(SignInPages(UNASKED), Front("9.9", tmp_path))
    )


async def methods_of(port: int, path: str) -> set[str]:
    """What the door takes at a path, `HEAD` aside."""
    reply = await ask(port, "TRACE", path)
    if reply.status == 404:
        return set()
    return {each.lower() for each in reply.headers["allow"].split(", ")} - {"head"}


async def test_every_path_of_the_door_is_described_with_its_methods_and_no_other(house: House) -> None:
    paths = {asked_for(path): set(methods) for path, methods in DESCRIBED["paths"].items()}
    words = sorted({word for path in paths for word in path.split("/") if word})
    near = {f"{path.rstrip('/')}/{word}" for path in paths for word in words} | set(paths)
    near |= {f"{path.rpartition('/')[0]}/{word}" for path in paths for word in words}
    async with opened(house) as port:
        for path in sorted(near):
            described = paths.get(path) or next((set(told) for way, told in patterns() if way.fullmatch(path)), set())
            assert await methods_of(port, path) == described, path
    house.database.close()


def patterns() -> Iterator[tuple[re.Pattern[str], dict[str, Any]]]:
    """The paths with a name in them; those of models and pictures go on to the end, and who is governed may be 李."""
    # What is named before what is a name, as OpenAPI has it.
    for path, told in sorted(DESCRIBED["paths"].items(), key=lambda each: -each[0].find("{")):
        if "{" in path:
            rest = ".+" if path.startswith(("/v1/models/", "/artifacts/")) else "[A-Za-z0-9_-]+"
            rest = "[^/]+" if path.startswith("/admin/") else rest
            yield re.compile(re.sub(r"\{\w+\}", rest, path)), told


def test_every_path_in_the_sources_is_described() -> None:
    known = [*DESCRIBED["paths"]]
    assert len(constants()) > 10
    for text in constants():
        start = re.split(r"[(\[]", text)[0]
        assert any(path.startswith(start) or path.endswith(start) for path in known), text


@pytest.mark.parametrize("error", SEEN, ids=lambda each: each.__name__)
def test_every_error_of_ours_is_described_in_every_dialect(error: type[errors.CallError]) -> None:
    said = error("what to do next", param="messages.0")
    for path, codec in CALLS.items():
        shape = "ClaudeError" if isinstance(codec, Anthropic) else "OpenAIError"
        status = codec.status(said)
        assert f"{shape}{status}" in DESCRIBED["components"]["responses"]
        body = msgspec.json.decode(codec.error(said, "req_1"))
        validator(shape).validate(body)
        assert set(body["error"]) == ({"type", "message"} if shape == "ClaudeError" else OPENAI_MEMBERS), path


OPENAI_MEMBERS = {"message", "type", "param", "code"}
NEVER = {405, 502}
"""Of no operation, and inside a stream."""


def test_every_call_may_be_refused_with_each_of_our_statuses_and_an_upstreams() -> None:
    for path, codec in CALLS.items():
        told = set(DESCRIBED["paths"][path]["post"]["responses"])
        ours = {str(codec.status(error(""))) for error in SEEN if error.status not in NEVER}
        assert told == ours | {"200"} | {str(status) for status in REQUEST_STATUSES}, path


def validator(schema: str) -> Any:
    components = {"schemas": DESCRIBED["components"]["schemas"]}
    return jsonschema_rs.Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": components})


GOOD: Mapping[str, dict[str, Any]] = {
    "MessagesRequest": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "new": 1},
    "MessagesCount": {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
    "ChatRequest": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": None, "new": 1},
    "ResponsesRequest": {"model": "m", "input": [{"role": "user", "content": "hi"}], "store": False},
    "EmbeddingsRequest": {"model": "m", "input": ["a", "b"]},
    "GenerationRequest": {"prompt": "a boat", "n": 2},
}
WRONG = (
    ("MessagesRequest", "max_tokens", None),
    ("MessagesRequest", "max_tokens", -1),
    ("MessagesRequest", "messages", []),
    ("MessagesCount", "model", ""),
    ("ChatRequest", "messages", [{"role": "nobody", "content": "hi"}]),
    ("ChatRequest", "max_tokens", 0),
    ("ResponsesRequest", "max_output_tokens", 0),
    ("ResponsesRequest", "input", ""),
    ("EmbeddingsRequest", "input", []),
    ("EmbeddingsRequest", "dimensions", 0),
    ("GenerationRequest", "prompt", " "),
    ("GenerationRequest", "n", 11),
)
PATHS = {
    "MessagesRequest": MESSAGES[0],
    "MessagesCount": MESSAGES[1],
    "ChatRequest": CHAT[0],
    "ResponsesRequest": RESPONSES[0],
    "EmbeddingsRequest": EMBEDDINGS[0],
    "GenerationRequest": IMAGES[0],
}


def taken(schema: str, body: dict[str, Any]) -> bool:
    """Whether the codec takes it."""
    path = PATHS[schema]
    incoming = Incoming("POST", path, "", {"content-type": "application/json"}, msgspec.json.encode(body))
    try:
        CALLS[path].parse(incoming, Limits(1000, "m", "m"))
    except errors.InvalidRequest:
        return False
    return True


@pytest.mark.parametrize("schema", GOOD)
def test_what_is_described_is_taken(schema: str) -> None:
    assert validator(schema).is_valid(GOOD[schema]) and taken(schema, GOOD[schema])


@pytest.mark.parametrize(("schema", "field", "value"), WRONG)
def test_what_is_not_described_is_not_taken(schema: str, field: str, value: Any) -> None:
    body = GOOD[schema] | {field: value}
    assert not validator(schema).is_valid(body) and not taken(schema, body)


@pytest.mark.parametrize("schema", GOOD)
def test_what_must_be_there_is_what_codecs_miss(schema: str) -> None:
    required = set(DESCRIBED["components"]["schemas"][schema]["required"])
    for field in GOOD[schema]:
        less = {name: value for name, value in GOOD[schema].items() if name != field}
        if schema != "ResponsesRequest" or field != "input":  # or a previous_response_id: no schema says so in short
            assert taken(schema, less) is (field not in required), field


def test_names_are_unique_and_links_lead_somewhere() -> None:
    names = [told["operationId"] for _, _, told in operations()]
    assert len(set(names)) == len(names)
    for _, _, told in operations():
        for link in told["responses"].get("200", {}).get("links", {}).values():
            assert link["operationId"] in names
    text = openapi.document("9.9").decode()
    for name in set(re.findall(r'"\$ref":"#/components/(\w+/\w+)"', text)):
        room, part = name.split("/")
        assert part in DESCRIBED["components"][room], name


async def test_it_is_served_without_a_key(house: House) -> None:
    async with opened(house) as port:
        reply = await ask(port, "GET", "/openapi.json")
        assert reply.status == 200 and reply.headers["content-type"] == "application/json"
        assert msgspec.json.decode(reply.body) == DESCRIBED


async def test_a_page_that_is_refused_early_has_its_id_too(house: House) -> None:
    async with opened(house) as port:
        headers = {"x-api-key": "good", "content-length": "100000"}
        reply = await ask(port, "POST", "/v1/models", headers, b"x" * 100_000)
        assert reply.status == 413 and reply.headers["request-id"] == reply.headers["x-request-id"]
        assert msgspec.json.decode(reply.body)["request_id"] == reply.headers["request-id"]


STRUCTS: Mapping[str, type] = {
    "DepartmentNew": NewDepartment,
    "DepartmentChange": DepartmentPatch,
    "UserNew": NewUser,
    "UserChange": UserPatch,
    "KeyNew": NewKey,
    "KeyChange": KeyPatch,
    "KeyRotation": Rotation,
    "RoleNew": NewRole,
    "RoleChange": RolePatch,
    "RuleBody": RuleSettings,
    "LimitBody": LimitSettings,
    "Question": Question,
    "PromotionNew": NewPromotion,
    "FetchNew": NewFetch,
    "CheckNew": NewCheck,
    "DrillNew": NewDrill,
    "Hold": Hold,
    "Department": Department,
    "User": User,
}
COUNTED = {"users", "keys"}
"""What is told of a department beside what is stored of it."""


@pytest.mark.parametrize("schema", STRUCTS)
def test_what_is_governed_is_described_with_all_its_fields(schema: str) -> None:
    kind, told = STRUCTS[schema], DESCRIBED["components"]["schemas"][schema]
    names = set(get_type_hints(kind))
    assert set(told["properties"]) - (COUNTED if schema == "Department" else set()) == names
    assert set(told.get("required", ())) <= names


def test_a_key_is_described_with_all_that_is_told_of_it() -> None:
    told = set(DESCRIBED["components"]["schemas"]["Key"]["required"])
    assert told == {*get_type_hints(KeyInfo), "state", "permissions"}


def test_every_filter_of_records_and_every_field_of_one_is_described() -> None:
    filters = set(Wanted.__struct_fields__)
    for path, more in (("", {"limit", "after"}), ("/export", {"format"}), ("/count", set())):
        told = DESCRIBED["paths"][f"/admin/v1/audit{path}"]["get"]["parameters"]
        assert {each["name"] for each in told if each["in"] == "query"} == filters | more, path
    assert set(DESCRIBED["components"]["schemas"]["Record"]["required"]) == set(COLUMNS)


def test_what_changes_something_needs_a_word_of_the_session_and_what_is_read_does_not() -> None:
    for path, method, told in operations():
        if path.startswith("/admin/"):
            asked_for_csrf = any("Csrf" in each for each in told.get("security", DESCRIBED["security"]))
            assert asked_for_csrf is (method != "get"), path
            assert {"401", "403", "429", "500"} <= set(told["responses"]), path
            assert "requestBody" not in told or {"400", "413"} <= set(told["responses"]), path
