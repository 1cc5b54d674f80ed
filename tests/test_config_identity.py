"""`[identity]` and `[roles]`: what stops the start, and what it says."""

from pathlib import Path

import pytest

from sampan.config import parse
from sampan.core import Permission
from sampan.errors import ConfigError

ISSUER = '[[identity.issuers]]\nissuer = "https://id.example"\naudience = "sampan"\n'
KEY = "k" * 32
PEM = "-----BEGIN PUBLIC KEY-----MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"


def test_what_is_in_force() -> None:
    text = f'{ISSUER}jwks = "https://id.example/keys"\n'
    text += f'[[identity.issuers]]\nissuer = "b"\naudience = "s"\nkey = "{KEY}"\n'
    text += '[identity.console]\nissuer = "https://id.example"\nclient_id = "c"\n'
    text += '[roles.nurse]\npermissions = ["call", "audit"]\n'
    config = parse(text, "t", {})
    assert [each.allowed for each in config.identity.issuers] == [("RS256", "ES256", "EdDSA"), ("HS256",)]
    assert config.roles["nurse"].permissions == [Permission.CALL, Permission.AUDIT]
    assert parse(ISSUER, "t", {}).identity.issuers[0].jwks == ""
    assert parse(f'{ISSUER}key = "env:K"', "t", {"K": KEY}).identity.issuers[0].key == KEY


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ISSUER + ISSUER, "line 5: identity.issuers.1.issuer: each issuer"),
        (ISSUER.replace('"sampan"', '""'), "audience: a token for anybody"),
        (ISSUER.replace('audience = "sampan"\n', ""), "needs `audience`"),
        (f'{ISSUER}key = "{KEY}"\njwks = "https://x/y"', "not both"),
        (f'{ISSUER}key = "{KEY[1:]}"', "fewer than 32 bytes"),
        (f'{ISSUER}key = "{KEY}"\nalgorithms = ["HS512"]', "fewer than 64 bytes"),
        (f'{ISSUER}key = "{PEM}"', "is a public key"),
        (f'{ISSUER}key = "{KEY}"\nalgorithms = ["RS256"]', "'RS256' is none with a shared `key`"),
        (f'{ISSUER}algorithms = ["RS256", "HS256"]', "'HS256' is none with public keys"),
        (f'{ISSUER}algorithms = ["none"]', "'none' is none"),
        (f'{ISSUER}jwks = "http://id.example/keys"', "must be an https URL"),
        (f'{ISSUER}jwks = "https://"', "must be an https URL"),
        (f'{ISSUER}jwks = "nowhere.json"', "there is no such file"),
        (ISSUER.replace("https", "http"), "must be an https URL"),
        (f'{ISSUER}[identity.console]\nissuer = "https://other"', "there is no such issuer"),
        (f'{ISSUER}[identity.console]\nissuer = "https://id.example"', "needs `client_id`"),
        ('[roles.admin]\npermissions = ["call"]', "line 1: roles.admin: is built in"),
        ('[roles."a/b"]\npermissions = ["call"]', "printable characters"),
        ('[roles.nurse]\npermissions = ["fly"]', "`govern`"),
        ("[roles.nurse]", "needs `permissions`"),
    ],
)
def test_what_stops_the_start(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "t", {})
    assert said in str(caught.value)
    assert KEY[1:] not in str(caught.value) and PEM not in str(caught.value)


def test_keys_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text("{}")
    assert parse(f'{ISSUER}jwks = "{file}"', "t", {}).identity.issuers[0].jwks == str(file)
