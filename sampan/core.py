"""The nouns of Sampan: frozen values that every room speaks in. No I/O here, and nothing that decides.

Those made for every call are msgspec structs: a frozen dataclass of ten fields takes 2 µs to make, a struct a tenth.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import msgspec


class Dialect(StrEnum):
    """A public wire format."""

    ANTHROPIC = "anthropic"
    OPENAI_CHAT = "openai-chat"
    OPENAI_RESPONSES = "openai-responses"
    OPENAI_IMAGES = "openai-images"
    OPENAI_EMBEDDINGS = "openai-embeddings"


class Operation(StrEnum):
    """What is asked."""

    TEXT = "text"
    VISION = "vision"
    GENERATE = "generate"
    EDIT = "edit"
    EMBED = "embed"


class Location(StrEnum):
    """Where an upstream stands: calls that may not leave the house only see `LOCAL`."""

    CLOUD = "cloud"
    LOCAL = "local"


class Tier(StrEnum):
    """How good an answer's source is."""

    CLOUD = "cloud"
    LOCAL = "local"
    DEGRADED = "degraded"


class Fault(StrEnum):
    """Why a target failed: a closed list. A caller's own mistake is none of these."""

    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    CUT = "cut"
    MALFORMED = "malformed"
    EMPTY = "empty"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    BILLING = "billing"
    REGION_BLOCKED = "region_blocked"
    UNAUTHORIZED = "unauthorized"
    MODEL_MISSING = "model_missing"
    BREAKER_OPEN = "breaker_open"
    BULKHEAD_FULL = "bulkhead_full"


class Continuing(StrEnum):
    """How a target goes on with an answer that another one began."""

    NO = "no"
    PREFILL = "prefill"
    ASK = "ask"


class Permission(StrEnum):
    """What a role allows: to make calls; to run the gateway (models, drill, configuration); to read the audit and what
    was spent; to govern (departments, users, keys, roles, rules, limits)."""

    CALL = "call"
    OPERATE = "operate"
    AUDIT = "audit"
    GOVERN = "govern"


class Usage(msgspec.Struct, frozen=True):
    """What an answer cost, in the units of the upstream that gave it."""

    input_tokens: int = 0
    output_tokens: int = 0
    images: int = 0


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. `key_id` stays the same when a key is rotated, and is made from issuer and subject of a token.

    `department` and `user` are names, empty where the key belongs to none. `permissions` follow from the role.
    `confined`: whatever this key or department asks may not leave the house; it names what says so. `networks` are
    those it may ask from (CIDR); none means anywhere.
    """

    key_id: str
    name: str
    role: str
    department: str = ""
    user: str = ""
    permissions: frozenset[Permission] = frozenset({Permission.CALL})
    confined: str = ""
    networks: tuple[str, ...] = ()


class Incoming(msgspec.Struct, frozen=True):
    """One HTTP request as it came, its body read within the limit; header names are lower case.

    `peer` is the caller's address: the socket's, or what a trusted proxy says it is.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    peer: str = ""

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def credential(self) -> str:
        """The key that the caller sent, in either dialect's header, or nothing."""
        key = self.headers.get("x-api-key")
        if key:
            return key.strip()
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


class Call(msgspec.Struct, frozen=True):
    """One thing asked, frozen, whatever dialect it came in; `body` is what the caller sent, unchanged.

    `path` with its query is what an upstream of the same dialect is asked for. `answer_tokens` is the longest
    answer that the caller allows (0: unknown), `pictures` how many are asked for, `url_wanted` that they are to come
    back as links. `tenant` is whose call it is, `echo` what the answer repeats of it where its dialect wants that,
    `partial` what another target has said of the answer already, `plain` that its messages hold nothing but text.
    `confined` says why it may not leave the house (empty: it may), `masked` that what identifies people is masked on
    its way to a cloud, `trace` is the W3C `traceparent` that upstreams are given.
    """

    dialect: Dialect
    operation: Operation
    model: str
    path: str
    body: bytes
    content_type: str
    stream: bool = False
    headers: Mapping[str, str] = {}
    answer_tokens: int = 0
    pictures: int = 0
    url_wanted: bool = False
    tenant: str = ""
    echo: Mapping[str, Any] = {}
    partial: str = ""
    plain: bool = False
    confined: str = ""
    masked: bool = False
    trace: str = ""


class Ruling(msgspec.Struct, frozen=True):
    """What policy and residency say of a call that may be asked. `confined` and `masked` are as in `Call`.

    `rule` is the name of the rule that decided. `unseen`: it holds pictures that have to be read before it is known
    whether it may leave; until then it may not.
    """

    rule: str = ""
    confined: str = ""
    masked: bool = False
    unseen: bool = False


class Spent(msgspec.Struct, frozen=True):
    """What a call really took, for its lease. `seconds` are those of an engine or server of one's own, else 0.

    `usage` None: the answer broke off or its caller left, after `sent` bytes of it; nobody knows what it took. `target`
    is who answered, None where nobody had begun to. `cached`: the answer was kept, and nobody was asked.
    """

    usage: Usage | None
    sent: int = 0
    target: Target | None = None
    seconds: float = 0.0
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """One (upstream, model) of a route. `model` None means: ask for the model that the caller named.

    `hedged`: where its first event is later than usual, a local target of the route is asked beside it.
    """

    upstream: str
    model: str | None
    dialect: Dialect
    location: Location
    tier: Tier
    hedged: bool = False


class Attempt(msgspec.Struct, frozen=True):
    """What came of asking one target; `fault` None is success, unless another was faster (`outrun`)."""

    upstream: str
    fault: Fault | None
    outrun: bool = False

    def __str__(self) -> str:
        return f"{self.upstream}={'outrun' if self.outrun else self.fault or 'ok'}"


RECEIPT = "x-sampan-receipt"
"""The header, among those of an event, that tells what became of each picture and document."""


class Event(msgspec.Struct, frozen=True):
    """Whole SSE frames, or a whole body, as they go to the caller.

    `content` is true from the first frame on that a caller would see as part of the answer; `usage` stands in the
    last event of an answer that ended as it should, `headers` (those worth handing on) in the first.
    """

    data: bytes
    content: bool = False
    usage: Usage | None = None
    headers: tuple[tuple[str, str], ...] = ()


Outcome = Event | Exception | None
"""What came of asking without waiting: an answer, what `fetch` would have raised, or nothing that anybody learnt."""


class Answer(msgspec.Struct, frozen=True):
    """What the edge sends: a status, headers (lower-case names), and the body, whole or as it comes."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes | AsyncGenerator[bytes, None]


class Record(msgspec.Struct, frozen=True, array_like=True):
    """The audit entry of one call. It holds no content: no prompt, no picture, no key.

    Times are Unix seconds (`started`) and milliseconds; `attempts` reads `claude=refused,reader=ok`; `outcome` is
    `ok`, `rejected` (an upstream's 4xx about the request), `refused` (ours), `failed` (no target could answer),
    `interrupted` (broke after its first content) or `left` (the caller went away). `receipt` tells what became of each
    picture and document: block, SHA-256, pages or patches. `rule` is the policy or residency rule that decided,
    `confined` why it could not leave the house, `cache` is `hit`, `shared` (with an identical call) or `miss` where
    answers are kept, `cost` is in units of the price table's currency, `peer` the caller's address, `content` names
    what was kept of question and answer, `masked` is `yes` where identifiers were masked on their way to a cloud.
    """

    id: str
    started: float
    key_id: str
    key_name: str
    dialect: str
    operation: str
    model: str
    stream: bool
    outcome: str
    status: int
    error: str
    upstream: str
    tier: str
    attempts: str
    input_tokens: int
    output_tokens: int
    images: int
    bytes_in: int
    bytes_out: int
    first_event_ms: float
    total_ms: float
    receipt: str = ""
    department: str = ""
    user: str = ""
    peer: str = ""
    rule: str = ""
    confined: str = ""
    cache: str = ""
    cost: float = 0.0
    content: str = ""
    masked: str = ""


class Prepared(msgspec.Struct, frozen=True):
    """A Messages request made what one target can consume, and a compact receipt of what was done to its media."""

    body: bytes
    receipt: str = ""


class Preparer(Protocol):
    """Makes Messages requests fit for one upstream: `media` knows how, `upstreams` when."""

    def is_needed(self, body: bytes, *, plain: bool = False) -> bool:
        """Whether there may be anything to do: asked for every call, so it must be quick. `plain` as in `Call`."""
        ...

    async def prepare(self, call: Call, body: bytes, model: str) -> Prepared:
        """Raises `InvalidRequest` with the path of a block that this target cannot be given."""
        ...


class Upstream(Protocol):
    """Whatever answers calls: the router asks it, `upstreams` builds it, and neither knows the other."""

    @property
    def name(self) -> str: ...

    @property
    def continues(self) -> Continuing: ...

    async def fetch(self, call: Call, model: str | None) -> Event:
        """The whole answer to a call that does not stream, its usage in it. Raises as `attempt` does."""
        ...

    def attempt(self, call: Call, model: str | None) -> AsyncGenerator[Event, None]:
        """One attempt: ends only after the answer did. Raises `TargetFault`, or `Rejected` for a caller's mistake."""
        ...

    async def probe(self) -> None:
        """Sees for free whether the upstream is there; raises `TargetFault`."""
        ...


class Judge(Protocol):
    """Policy and residency: who may ask what, and what may leave."""

    def judge(self, call: Call, actor: Actor, incoming: Incoming) -> Ruling | None:
        """None where no rule concerns it. Raises `Forbidden` that names the rule. No I/O: made for the event loop."""
        ...

    async def inspect(self, call: Call, actor: Actor, ruling: Ruling) -> Ruling:
        """Looks at the pictures of a call whose ruling left them `unseen`."""
        ...


class Lease(Protocol):
    """Quota that one call has reserved. Exactly one of the two is called, once; both are durable when they return."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What the answer says of limits that are nearly spent."""
        ...

    def settle(self, spent: Spent) -> float:
        """Charges what was really spent, and returns its cost in the price table's currency."""
        ...

    def refund(self) -> None:
        """Gives everything back: nothing was answered."""
        ...


class Span(Protocol):
    """One call in a distributed trace."""

    @property
    def traceparent(self) -> str:
        """What upstreams are told, https://www.w3.org/TR/trace-context/."""
        ...

    def end(self, record: Record) -> None: ...


class Ledger(Protocol):
    """Who may still spend how much."""

    @property
    def waits(self) -> bool:
        """Whether reserving takes an exchange with a server, so that only `take` can do it."""
        ...

    def reserve(self, call: Call, actor: Actor, plan: Sequence[Target]) -> Lease | None:
        """None where nothing limits this call. Raises `QuotaExceeded`. No I/O: made for the event loop."""
        ...

    async def take(self, call: Call, actor: Actor, plan: Sequence[Target]) -> Lease | None:
        """The same, where it `waits`."""
        ...
