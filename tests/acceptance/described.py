"""Our own description in the hands of schemathesis, made such that much of what it thinks of is taken."""

from __future__ import annotations

import copy
from typing import Any

import schemathesis
from gateway import Gateway
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Response
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.config import SchemathesisConfig

from sampan import __version__
from sampan.edge import openapi
from sampan.edge.openapi_requests import REQUESTS

LONG = 100
MODELS = ("alpha", "beta", "gamma", "nobody")
ADMIN = "^/(admin|auth)/"
CONFIG = {"generation": {"deterministic": True, "with-security-parameters": False}}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
HONEST = CHECKS[1:]
BRIEF = settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def described() -> schemathesis.BaseSchema:
    """Our description, asking for models that there are, and with few fields of nobody's: they are mostly a 400."""
    told = copy.deepcopy(openapi.description(__version__))  # its parts are constants of the product
    schemas = told["components"]["schemas"]
    for name in REQUESTS:
        close(schemas[name])
    limit = schemas["MessagesRequest"]["properties"]["max_tokens"]
    limit["minimum"] = 1  # 0 only warms a cache, which few targets have
    schemas["BatchRequest"]["properties"]["requests"]["items"]["properties"]["params"] = {"type": "object"}
    responses = schemas["ResponsesRequest"]  # without a memory, which random names are not in
    responses["required"].append("input")
    responses["properties"]["input"]["anyOf"].pop()
    del responses["properties"]["previous_response_id"]
    schemas["ModelName"] = {"type": "string", "enum": list(MODELS)}
    for asked_of in told["paths"].values():
        for operation in asked_of.values():
            known = operation.get("parameters", [])
            # What may not leave, nobody can answer where only clouds are: that is said by a 503.
            operation["parameters"] = [each for each in known if each["name"] != "x-sampan-residency"]
    name_few(schemas)
    return schemathesis.openapi.from_dict(told, config=SchemathesisConfig.from_dict(CONFIG))


FEW = {
    "department": ["", "icu", "nowhere"],
    "user": ["", "li", "nobody"],
    "role": ["admin", "member", "nurse", "nobody"],
    "time_zone": ["", "Asia/Shanghai", "+08:00", "Nowhere"],
    "email": ["", "li@example.org", "nobody"],
    "networks": ["10.0.0.0/8", "127.0.0.1", "!10.1.0.0/16", "nowhere"],
}
GOVERNED = ("UserNew", "UserChange", "KeyNew", "KeyChange", "RuleBody", "Question", "LimitBody")


def name_few(schemas: dict[str, Any]) -> None:
    """Has the admin pages asked for departments, users and so on of which some are there."""
    for name in GOVERNED:
        properties = schemas[name]["properties"]
        for field, values in FEW.items():
            if field in properties:
                few = {"type": "string", "enum": values}
                properties[field] = {"type": "array", "items": few} if properties[field].get("items") else few
        if "model" in properties:
            properties["model"] = {"type": "string", "enum": list(MODELS)}


def close(told: Any) -> None:
    """Says of every object whose fields are told that it has no others, and of no text that it may be very long."""
    if isinstance(told, dict):
        for bound in ("maxLength", "maxItems"):
            if told.get(bound, 0) > LONG:
                del told[bound]  # unit tests try what takes seconds to make up
        if isinstance(told.get("properties"), dict):
            told.setdefault("additionalProperties", False)
        told = list(told.values())
    if isinstance(told, list):
        for each in told:
            close(each)


def asked(
    gateway: Gateway,
    operation: schemathesis.BaseSchema,
    line: str,
    key: dict[str, str],
    checks: list[Any] = CHECKS,
    **how: Any,
) -> Response:
    """One call, `GET /path`, and a look whether its answer is as described."""
    method, _, path = line.partition(" ")
    case = operation[path][method].Case(**how)
    answer: Response = case.call_and_validate(base_url=gateway.url, headers=key, checks=checks)
    return answer
