"""The catalogue of troubles: every way in which a cloud, or what stands in front of one, was seen to go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sampan.core import Fault
from sampan.errors import ConfigError


class When(StrEnum):
    """How far an answer gets before it goes wrong."""

    CONNECT = "connect"
    HEAD = "head"
    BODY = "body"
    OPENING = "opening"
    CONTENT = "content"


class Place(StrEnum):
    """What is broken: an answer, or the whole port behind which the upstream stands."""

    ANSWER = "answer"
    NAME = "name"
    CLOSED = "closed"
    HOLE = "hole"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One way to go wrong. `faults` are its right names in the closed list; none where it must not even be noticed.

    `clock` is the clock that ends it, "" where it shows at once. `counts`: it speaks against the upstream, so the
    breaker must open. `probed`: the server itself is sick, so a free probe sees it too. `redialled`: on a connection
    that was kept it looks like one closed for idleness, which a good client replaces once without a word.
    """

    name: str
    when: When
    faults: tuple[Fault, ...]
    zh: str
    en: str
    clock: str = ""
    place: Place = Place.ANSWER
    counts: bool = True
    probed: bool = False
    streams: tuple[bool, ...] = (False, True)
    redialled: bool = False

    @property
    def breaks_content(self) -> bool:
        return self.when is When.CONTENT

    @property
    def heals(self) -> bool:
        """A name that does not exist cannot be mended while the gateway runs."""
        return self.place is not Place.NAME


def _connect(name: str, faults: tuple[Fault, ...], zh: str, en: str, place: Place, clock: str = "") -> Trouble:
    return Trouble(name, When.CONNECT, faults, zh, en, clock, place, probed=True)


def _head(name: str, fault: Fault, zh: str, en: str, clock: str = "", *, redialled: bool = False) -> Trouble:
    return Trouble(name, When.HEAD, (fault,), zh, en, clock, probed=True, redialled=redialled)


def _status(name: str, fault: Fault, zh: str, en: str, *, counts: bool = True, probed: bool = False) -> Trouble:
    return Trouble(name, When.HEAD, (fault,), zh, en, counts=counts, probed=probed)


def _stream(name: str, when: When, faults: tuple[Fault, ...], zh: str, en: str, clock: str = "") -> Trouble:
    return Trouble(name, when, faults, zh, en, clock, streams=(True,))


STALL = (Fault.IDLE_TIMEOUT, Fault.FIRST_BYTE_TIMEOUT, Fault.TOTAL_TIMEOUT)
SLOW = (Fault.TOTAL_TIMEOUT, Fault.IDLE_TIMEOUT, Fault.OVERLOADED)
OPENING, CONTENT = When.OPENING, When.CONTENT

TROUBLES: tuple[Trouble, ...] = (
    _connect("dns", (Fault.DNS, Fault.CONNECT_TIMEOUT), "域名解析失败", "the name does not resolve", Place.NAME),
    _connect("refused", (Fault.REFUSED,), "端口拒绝连接", "the port refuses", Place.CLOSED),
    _connect(
        "black-hole", (Fault.CONNECT_TIMEOUT,), "黑洞:连接无人应答", "nobody answers the connect", Place.HOLE, "connect"
    ),
    _connect("tls", (Fault.TLS,), "TLS 证书不可信", "TLS that cannot be trusted", Place.TLS),
    Trouble(
        "stale", When.CONNECT, (), "空闲连接被悄悄关闭", "closes a kept-alive connection as it is used", counts=False
    ),
    _head("silence", Fault.FIRST_BYTE_TIMEOUT, "接受连接后一言不发", "accepts and says nothing", "first_event"),
    _head("half-head", Fault.FIRST_BYTE_TIMEOUT, "响应头只发一半便停住", "stalls inside its head", "first_event"),
    _head("half-head-cut", Fault.CUT, "响应头只发一半便断开", "hangs up inside its head"),
    _head("slow-head", Fault.FIRST_BYTE_TIMEOUT, "响应头一个字节一个字节地滴", "drips its head", "first_event"),
    _head("hang-up", Fault.CUT, "收到请求即断开", "hangs up without a word", redialled=True),
    _head("reset", Fault.CUT, "连接被重置", "resets the connection", redialled=True),
    _status("500", Fault.SERVER_ERROR, "500 服务器错误", "500 internal server error", probed=True),
    _status("502-html", Fault.SERVER_ERROR, "502 网页", "502 with a page of HTML", probed=True),
    _status("503", Fault.SERVER_ERROR, "503 服务不可用", "503 service unavailable", probed=True),
    _status("529", Fault.OVERLOADED, "529 过载", "529 overloaded"),
    _status("429", Fault.RATE_LIMITED, "429 限流并要求等待", "429 with retry-after"),
    _status("402", Fault.BILLING, "402 需要付款", "402 payment required"),
    _status("no-credit", Fault.BILLING, "余额不足(400 文本)", "the 400 that says the credit is spent"),
    _status("401", Fault.UNAUTHORIZED, "401 密钥失效", "401 invalid key"),
    _status("403-html", Fault.REGION_BLOCKED, "403 地区封锁网页", "403 region page"),
    _status("404-model", Fault.MODEL_MISSING, "404 模型已下线", "404 no such model", counts=False),
    Trouble("html-200", When.BODY, (Fault.MALFORMED,), "200 却是网页", "200 with the wrong content type"),
    Trouble("empty", When.BODY, (Fault.EMPTY,), "200 却是空的", "200 with nothing in it"),
    Trouble("malformed", When.BODY, (Fault.MALFORMED,), "JSON 残缺", "JSON that is none"),
    Trouble("cut-body", When.BODY, (Fault.CUT,), "正文中途断开", "hangs up inside its body"),
    Trouble("stalled-body", When.BODY, STALL, "正文中途停住", "stalls inside its body", "idle", streams=(False,)),
    _stream(
        "error-first", OPENING, (Fault.OVERLOADED,), "流一开始就是 error 事件", "a stream that begins with an error"
    ),
    _stream("opening-cut", OPENING, (Fault.CUT,), "流在内容前断开", "a stream cut before content"),
    _stream(
        "opening-end", OPENING, (Fault.CUT, Fault.EMPTY), "流在内容前正常结束", "a stream that ends before content"
    ),
    _stream("opening-stall", OPENING, STALL, "流在内容前停住", "a stream that stalls before content", "first_event"),
    _stream(
        "opening-drip",
        OPENING,
        (*STALL, *SLOW),
        "流只滴 ping 不给内容",
        "a stream of pings without content",
        "first_event",
    ),
    _stream("opening-malformed", OPENING, (Fault.MALFORMED,), "流在内容前损坏", "a stream malformed before content"),
    _stream("content-cut", CONTENT, (Fault.CUT,), "说到一半断开", "a stream cut after content"),
    _stream("content-end", CONTENT, (Fault.CUT,), "说到一半正常结束", "a stream that ends without its last event"),
    _stream("content-stall", CONTENT, STALL, "说到一半停住", "a stream that stalls after content", "idle"),
    _stream("content-drip", CONTENT, SLOW, "说到一半变成滴漏", "a stream that drips after content", "total"),
    _stream("content-malformed", CONTENT, (Fault.MALFORMED,), "说到一半损坏", "a stream malformed after content"),
    _stream("content-error", CONTENT, (Fault.OVERLOADED,), "说到一半报错", "an error event after content"),
)


def chosen(names: Sequence[str]) -> tuple[Trouble, ...]:
    """Those with these names, in the catalogue's order; all for no name. Raises `ConfigError` for a name it lacks."""
    known = {trouble.name: trouble for trouble in TROUBLES}
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no fault {name!r} to rehearse; `sampan drill --list` names all")
    return tuple(trouble for trouble in TROUBLES if not names or trouble.name in names)
