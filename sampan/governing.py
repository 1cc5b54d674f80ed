"""Who may ask, how much, and what may leave: identity, policy, quota and audit of one gateway, and their pages."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.config import Config
from sampan.core import Call, Permission, Target
from sampan.dialects import Limits
from sampan.edge.admin_audit import Auditing, AuditPages
from sampan.edge.admin_limits import LimitPages, Till
from sampan.edge.admin_people import PeoplePages, Registry
from sampan.edge.admin_rules import Bench, RulesPages
from sampan.edge.door import Foyer, Shelf
from sampan.edge.sign_in import Reception, SignInPages
from sampan.governance.audit import Audit, Told
from sampan.governance.audit_export import as_dict, story
from sampan.governance.cookies import Cookies
from sampan.governance.detect import Detector
from sampan.governance.directory import Directory, of_rule
from sampan.governance.explaining import Explainer, read_question
from sampan.governance.identity import Beside, Identity
from sampan.governance.judging import Code, PolicyJudge
from sampan.governance.oidc import SignIn
from sampan.governance.policy import body_of, read_rule, tell_rule
from sampan.governance.quota_desk import Desk, ledger_of
from sampan.governance.quota_sources import Settings
from sampan.governance.residency import Senses
from sampan.governance.tokens import Tokens
from sampan.storage.db import Database
from sampan.storage.keys import Keys
from sampan.storage.people import People
from sampan.storage.sessions import Sessions
from sampan.storage.statutes import Statutes
from sampan.upstreams.outside import Outside

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What governing needs of the rest: the way out, eyes, and where browsers find us."""

    outside: Outside
    senses: Senses
    public_url: str
    told: Told


class Governance:
    """Built once; another configuration is adopted. Made in a thread: it reads the database."""

    def __init__(self, config: Config, database: Database, keys: Keys, surroundings: Surroundings) -> None:
        """Raises `ConfigError`."""
        self._surroundings = surroundings
        self._keys = keys
        self._people = People(database)
        self._statutes = Statutes(database)
        self._sessions = Sessions(database)
        # Shared by all nodes of one database: a browser may be sent to any of them.
        self._secret = bytes.fromhex(database.setting("session_secret", lambda: secrets.token_hex(32)))
        self._cookies = Cookies(self._secret, secure=surroundings.public_url.startswith("https://"))
        self.audit = Audit(
            database,
            config.audit,
            Detector().find,
            surroundings.outside.deliver,
            connect=surroundings.outside.connect,
            told=surroundings.told,
        )
        # Built once: a verification that runs is not forgotten when the configuration is read again.
        self._audit_pages = _audit_pages(self.audit, lambda: self.ledger.terms.quota.currency)
        self.tokens = Tokens(config.identity.issuers, fetch=surroundings.outside.fetch)
        beside = Beside(_roles(config), self.tokens, self._statutes, self._sessions, self._cookies)
        self.identity = Identity(keys, time.time, beside)
        self._directory = Directory(keys.find, lambda: self.identity.facts)
        self.judge = PolicyJudge(_code(config), self._statutes, surroundings.senses)
        self.ledger = ledger_of(database, self._statutes, _settings(config), config.storage.state)
        self._desk = Desk(self.ledger, self._statutes, database, time.time)

    def start(self) -> int:
        """Blocks: replays what a dead process left, and returns how many records that were."""
        replayed = self.audit.start()
        self.ledger.start()
        return replayed

    def works(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What is to be done for as long as the gateway runs."""
        return self.identity.watch(), self.judge.watch(), self.ledger.run(), self.audit.run()

    async def aclose(self) -> None:
        """Calls and works have ended."""
        await self.ledger.aclose()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.audit.close()
        self.judge.close()
        self.identity.close()

    async def adopt(self, config: Config, tokens: Tokens) -> None:
        """Puts another configuration in force. Raises `ConfigError` before anything has changed."""
        self.audit.adopt(config.audit)
        await asyncio.to_thread(self.identity.adopt, _roles(config), tokens)
        self.tokens = tokens
        self.judge.adopt(_code(config))
        self.ledger.adopt(_settings(config))

    def look_after(self, config: Config) -> Tokens:
        """Verifies tokens by another configuration. Blocks. Raises `ConfigError`."""
        return Tokens(config.identity.issuers, fetch=self._surroundings.outside.fetch, before=self.tokens)

    # Pages.

    def foyers(self, config: Config) -> tuple[Foyer, ...]:
        """Pages by which people come by a session."""
        console = config.identity.console
        outside = self._surroundings.outside
        provider = None
        if console.issuer:
            provider = SignIn(
                console, self.tokens, self._secret, self._surroundings.public_url, outside.fetch, outside.exchange
            )
        reception = Reception(
            self._sessions,
            self._cookies,
            self.identity.identify,
            self.identity.enter,
            self.identity.refresh,
            console.hours * HOUR,
            provider,
        )
        return (SignInPages(reception),)

    def shelves(self, config: Config, plan: Callable[[Call], Sequence[Target]], limits: Limits) -> tuple[Shelf, ...]:
        """The admin pages."""
        return (
            self._people_pages(config),
            self._rules_pages(config, plan, limits),
            self._limit_pages(),
            self._audit_pages,
        )

    def _people_pages(self, config: Config) -> PeoplePages:
        registry = Registry(
            self._keys,
            self._people,
            self._statutes,
            lambda: self.identity.roles,
            self.identity.permissions,
            self.identity.refresh,
            config.roles,
            time.time,
        )
        return PeoplePages(registry)

    def _rules_pages(self, config: Config, plan: Callable[[Call], Sequence[Target]], limits: Limits) -> RulesPages:
        explainer = Explainer(self.judge, self._directory, plan, limits, self._desk.concerning)
        bench = Bench(
            self._statutes,
            lambda: [tell_rule(rule) for rule in config.rules],
            lambda name, sent: body_of(read_rule(name, sent)),
            lambda body: explainer.answer(read_question(body)).told(),
            self.judge.refresh,
            lambda name, body: self._directory.strangers(of_rule(read_rule(name, body))),
            self.judge.besides,
        )
        return RulesPages(bench)

    def _limit_pages(self) -> LimitPages:
        desk = self._desk
        till = Till(
            desk.limits,
            desk.put,
            desk.remove,
            self.ledger.renew,
            desk.configured,
            desk.report,
            lambda scope: self._directory.strangers({what: [name] for what, name in scope.items()}),
            desk.besides,
        )
        return LimitPages(till)


def _audit_pages(audit: Audit, currency: Callable[[], str]) -> AuditPages:
    told = lambda entry: story(entry, currency())  # noqa: E731
    made = Auditing(audit.records, audit.evidence, as_dict, told, audit.lines, audit.verify, currency=currency)
    return AuditPages(made)


def _roles(config: Config) -> Mapping[str, Sequence[Permission]]:
    return {name: role.permissions for name, role in config.roles.items()}


def _code(config: Config) -> Code:
    return Code(config.rules, config.policy, config.residency)


def _settings(config: Config) -> Settings:
    return Settings(config.limits, config.prices, config.quota)
