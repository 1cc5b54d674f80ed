"""Public keys as issuers publish them: RFC 7517. Keys that could not be trusted, or are of a kind we do not take, are
left out one by one; what is no key set at all raises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

MAX_BYTES = 1 << 20
MAX_KEYS = 200
MIN_RSA_BITS = 2048

# Which algorithms a key may verify: its kind says so, never the token. `oct` is missing, so that nothing that is
# published can be taken for a shared key.
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key, and the algorithms that it may verify. `print` tells whether it is the same as before."""

    algorithms: frozenset[str]
    key: Any
    print: str


def read_object(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises `ValueError`, also for a name that stands there twice: readers differ in which counts."""
    try:
        found = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def read_keys(data: bytes) -> Mapping[str, PublicKey]:
    """The keys of a set by `kid`; one without a `kid` stands under an empty name. Raises `ValueError`."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"over {MAX_BYTES:,} bytes")
    listed = read_object(data).get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError(f"no list of at most {MAX_KEYS} `keys`")
    keys = {}
    for each in listed:
        if isinstance(each, dict):
            kid = each.get("kid", "")
            key = _read_key(each)
            if key is not None and isinstance(kid, str):
                keys[kid] = key
    if not keys:
        raise ValueError("no key in it can be used: RSA of 2,048 bits, P-256, P-384, P-521 or Ed25519, for signatures")
    return keys


def _read_key(jwk: dict[str, Any]) -> PublicKey | None:
    if jwk.get("use", "sig") != "sig" or jwk.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    if jwk["kty"] == "RSA":
        algorithms, first = _RSA, "RS256"
    elif jwk["kty"] == "EC":
        first = _CURVES.get(str(jwk.get("crv")), "")
        algorithms = frozenset({first})
    else:
        first = "EdDSA" if jwk.get("crv") == "Ed25519" else ""
        algorithms = frozenset({first})
    if "alg" in jwk:
        algorithms &= {jwk["alg"]} if isinstance(jwk["alg"], str) else set()
    if not first or not algorithms:
        return None
    public = {name: value for name, value in jwk.items() if name in ("kty", "n", "e", "crv", "x", "y")}
    try:
        key = PyJWK(public, algorithm=first).key
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        return None
    return PublicKey(algorithms, key, json.dumps([public, sorted(algorithms)], sort_keys=True))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
