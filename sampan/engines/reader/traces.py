"""Facts of logs, tracebacks and error pages, which name no keys: codes, exception types, files, lines, messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sampan.engines.reader.facts import Fact
from sampan.engines.reader.layout import Row
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.page import Line, Page, join_text
from sampan.engines.reader.signs import signs

PYTHON_FRAME = re.compile(
    r"File\s*[\"“”']?(?P<file>[^\"“”',]+)[\"“”']?\s*,\s*[Ll]ine\s*(?P<line>\d+)(?:\s*,\s*i"
    r"n\s+(?P<function>[\w<>.]+))?"
)
OTHER_FRAME = re.compile(
    r"(?P<file>(?:[A-Za-z]:)?[\w./\\@-]+\.(?:java|js|jsx|mjs|cjs|ts|tsx|go|rs|c|cc|cpp|cs"
    r"|php|rb|kt|py|swift|vue|scala"
    r"|h|hpp|sql|sh|ya?ml|conf|json))(?:\s*[:：(]\s*|\s+on\s+)(?:line\s*)?(?P<line>\d+)"
)
JAVA_METHOD = re.compile(r"\bat\s+(?P<function>[\w.$<>]+)\s*\(")
EXCEPTION = re.compile(
    r"(?P<type>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Fault|Interrupt|Warning"
    r"|Failure)|(?:[a-z_]\w*\.)+[A-Z]\w+(?=:\s))\b\s*(?:[:"
    r"：]\s*(?P<message>\S.*))?"
)
CODE = re.compile(
    r"\b0x[0-9A-Fa-f]{4,}\b|\bERR_[A-Z0-9_]+|\bORA-\d{4,5}|\bSQLSTATE\s*\[?\w+\]?(?:\s*\[\d+\])?"
    r"|\b[A-Z]{2,}(?:_[A-Z0-9]+){1,}\b|\bE[A-Z]{3,}\b|\b(?:errno|Errno|ERRNO)\s*[:=]?\s*\d+|\b[A-Z]{1"
    r",5}-?\d{3,6}\b"
)
STATUS = re.compile(
    r"^\W*(?:HTTP(?:/[\d.]+)?(?:\s+(?:ERROR|Status|错误))?\s*[:：-]?\s*)?(?P<code>[45]\d\d)(?:\s*[-–:"
    r"：|]?\s*(?P<name>[A-Z][A-Za-z -]{3,40}))?\W*$",
    re.IGNORECASE,
)
EXIT = re.compile(r"\bexit(?:ed)?\s*(?:with\s*)?(?:code|status)\s*[:=]?\s*(?P<code>-?\d+)", re.IGNORECASE)
HOST_PORT = re.compile(
    r"\b(?:host|主机|server|服务器)\s*(?:name)?\s*[:：=]?\s*[\"“']?(?P<host>[\w.-]+\.[\w.-]+|localhost)[\"”']?"
)
PORT = re.compile(r"(?:\bport|端口)\s*[:：=]?\s*(?P<port>\d{2,5})|(?:\d{1,3}\.){3}\d{1,3}:(?P<after>\d{2,5})")
RETRIES = re.compile(
    r"(?P<count>\d+)\s*(?:retries|attempts|times|次重试|次尝试)|重试\s*(?P<times>\d+)\s*次", re.IGNORECASE
)
THREAD = re.compile(
    r"\b[Tt]hread\s*[:=]?\s*[\"“'](?P<quoted>[^\"”']+)[\"”']"
    r"|\[(?P<bracketed>[\w.:#-]*(?:thread|exec|worker|pool|main)[\w.:#-]*)\]"
    r"|\b(?P<plain>(?:Thread|thread|pool|worker|goroutine)[-\s#]\d[\w-]*)|线程\s*[:：]?\s*[\"“]?(?P<named>[\w.-]{2,})"
)
ADDRESS = re.compile(r"https?://[^\s，。；）)\"'”]+|\b(?:GET|POST|PUT|DELETE|PATCH)\s+(?P<path>/\S+)")
FAILING = re.compile(
    r"失败|错误|无法|异常|不可用|拒绝|找不到|不存在|超时|已停止|不足|遇到问题|需要重启|崩溃|\b(?:fail(?:ed"
    r"|ure)?|error|cannot|could not|unable|unavailable|refused|denied|not found|timed out|stopped"
    r"|invalid|bad gateway|exceeded|fatal)\b",
    re.IGNORECASE,
)


DIAGNOSIS = re.compile(r"[:)]\s*(?:fatal )?error\b", re.IGNORECASE)
# "审核失败：库存不足", "Error 0x80: not enough space": what follows the colon says why.
BECAUSE_OF = re.compile(
    r"^(?:[\w ]{0,16}(?:失败|失敗|被拒绝?|不成功)|[\w ]{0,24}\b(?:failed|rejected|declined|denied)"
    r"|Error(?: [\w-]{2,14})?)"
    r"\s*[:：]\s*(?P<why>\S.{3,})$"
)
FAILED_ALONE = re.compile(
    r"^\W*[\w一-鿿 ]{0,14}(?:失败|失敗|被拒绝?|\b(?:failed|rejected|declined|denied))\W*$", re.IGNORECASE
)
LINE_ASKED = re.compile(r"第\s*(\d{1,5})\s*行|\b(?:on|at|about|of) line (\d{1,5})\b|^\W*line (\d{1,5})\b")
STAMPED = re.compile(r"\d{2}:\d{2}:\d{2}")
LOGGED = re.compile(
    r"\d{2}:\d{2}:\d{2}|\b(?:ERROR|FATAL|WARN|CRITICAL|panic|Traceback|Exception|Caused by"
    r"|goroutine)\b|npm ERR!|\b\w*Error\b"
    r"|^\s*at \S+\(|\berror(?:\s*\[?[A-Z]+\d+\]?)?:|\.service\b|exit(?:ed)? (?:with "
    r")?(?:code|status)|connection (?:refused|reset|timed out)"
)
ADVICE = re.compile(
    r"^\W*(?:\d[.、]\s*)?(?:请|建议|尝试|可尝试|解决)|请(?:稍后|检查|联系|重启|重试|重新|确认|关"
    r"闭|在)|\b(?:please|try|check|contact|restart|reinstall|retry|make sure|ensure)\b",
    re.IGNORECASE,
)
CUT_CODE = re.compile(r"(?<![A-Za-z\d])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+_?\s*$|(?<![A-Za-z\d])[A-Z][A-Z0-9]+_\s*$")
REST_OF_CODE = re.compile(r"^\s*_?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_?\s*$")
ASIDE = re.compile(
    r"错误信息|错误代码|错误码|错误报告|收集|日志|如果|\b(?:error code|report|log file|if you)\b|[:：]\s*$",
    re.IGNORECASE,
)


def trace_facts(page: Page, rows: Sequence[Row], lexicon: Lexicon) -> Iterator[Fact]:
    """What an error screenshot says, under the keys that people ask by. The deepest frame is trusted most."""
    lines = [line for row in rows for line in row.lines]
    whole = [Line(row.text, row.box) for row in rows]
    if not any(FAILING.search(line.text) or EXCEPTION.search(line.text) for line in whole):
        return
    frames = [
        (line, match)
        for line in whole
        for match in [PYTHON_FRAME.search(line.text) or OTHER_FRAME.search(line.text)]
        if match
    ]
    backwards = any(JAVA_METHOD.search(line.text) for line in whole)
    diagnosed = next((n for n, (line, _) in enumerate(frames) if DIAGNOSIS.search(line.text)), None)
    for number, (line, match) in enumerate(frames):
        deepest = number == (diagnosed if diagnosed is not None else 0 if backwards else len(frames) - 1)
        trust = 0.9 if deepest else 0.8
        name = re.split(r"[\\/]", match.group("file"))[-1]
        own = trust + 0.06
        for part in dict.fromkeys((name, name.rsplit(".", 1)[0])):
            yield _fact("line number " + part, match.group("line"), line, page, own, lexicon)
            yield _fact("行号 " + part, match.group("line"), line, page, own, lexicon)
        yield _fact("line number", match.group("line"), line, page, trust, lexicon)
        yield _fact("file", match.group("file"), line, page, trust, lexicon)
        function = match.groupdict().get("function") or (JAVA_METHOD.search(line.text) or {"function": ""})["function"]
        if function:
            yield _fact("function", function, line, page, trust, lexicon)
            yield _fact("function " + name, function, line, page, trust, lexicon)
    logged = frames or any(STAMPED.search(line.text) for line in whole) or len(whole) >= 3
    if logged and any(LOGGED.search(line.text) for line in whole):
        for key, value, line, trust in signs(whole):
            yield _fact(key, value, line, page, trust, lexicon)
    for at, line in enumerate(whole):
        yield from _of_line(line, whole[at + 1 : at + 2], page, lexicon)
    yield from _messages(lines, page, lexicon)


def _of_line(line: Line, following: Sequence[Line], page: Page, lexicon: Lexicon) -> Iterator[Fact]:
    text = line.text
    raised = EXCEPTION.search(text)
    if raised and not re.search(r"^\s*(?:raise|throw|except|catch)\b", text):
        yield _fact("exception type", raised.group("type"), line, page, 0.975, lexicon)
        message = (raised.group("message") or "").strip()
        if message:
            rest = (
                following[0].text
                if following and not re.search(r"^\s*(?:at|File)\b", following[0].text) and len(following[0].text) < 60
                else ""
            )
            yield _fact("error message", f"{message} {rest}".strip(), line, page, 0.95, lexicon)
    status = STATUS.match(text)
    if status:
        yield _fact("error code", status.group("code"), line, page, 0.9, lexicon)
        if status.group("name"):
            yield _fact("error message", text.strip(), line, page, 0.86, lexicon)
    elif code := CODE.search(text):
        trust = 0.86 if FAILING.search(text) or code.group().startswith(("0x", "ERR_", "ORA")) else 0.7
        yield _fact("error code", code.group(), line, page, trust, lexicon)
    for key, pattern in (
        ("exit code", EXIT),
        ("host", HOST_PORT),
        ("port", PORT),
        ("retries", RETRIES),
        ("thread", THREAD),
    ):
        if found := pattern.search(text):
            value = next(group for group in found.groups() if group)
            yield _fact(key, value, line, page, 0.92, lexicon)
    if asked := ADDRESS.search(text):
        yield _fact("request url", asked["path"] or asked.group(), line, page, 0.9, lexicon)


def _messages(lines: Sequence[Line], page: Page, lexicon: Lexicon) -> Iterator[Fact]:
    """The line that says what failed: the longest of the first ones that sound like it."""
    failing = [
        line
        for line in lines
        if FAILING.search(line.text) and len(line.text) > 3 and not PYTHON_FRAME.search(line.text)
    ]
    telling = [line for line in failing if not ASIDE.search(line.text)] or failing
    for number, line in enumerate(sorted(telling, key=lambda item: len(item.text) < 8)[:2]):
        after = next(
            (
                other
                for other in lines
                if 0 <= other.box.top - line.box.bottom < 1.6 * line.box.height
                and other.box.overlap_across(line.box) > 0
            ),
            None,
        )
        more = (
            after.text
            if after is not None
            and 8 <= len(after.text) <= 60
            and not re.search(r"[:：=]|^\s*(?:at|File)\b", after.text)
            else ""
        )
        if after is not None and FAILED_ALONE.match(line.text) and len(after.text) >= 4:
            yield _fact("失败原因", after.text, after, page, 0.9, lexicon)
        if told := BECAUSE_OF.search(line.text):
            yield _fact("失败原因", told["why"], line, page, 0.93, lexicon)
        yield _fact("error message", join_text([line.text, more]), line, page, 0.84 - 0.06 * number, lexicon)
    for line in lines:
        if ADVICE.search(line.text) and len(line.text) > 5:
            yield _fact("解决方法", line.text, line, page, 0.84, lexicon)
            break
    top = min(lines, key=lambda line: line.box.top)
    if len(top.text) < 40 and not FAILING.search(top.text) and not re.search(r"[:：/\\]", top.text):
        yield _fact("program", top.text, top, page, 0.72, lexicon)


def _fact(key: str, value: str, line: Line, page: Page, trust: float, lexicon: Lexicon) -> Fact:
    return Fact(key, value, line, page, trust, lexicon.phrase(key), line.box)


def of_frame(key: str, whole: str) -> float:
    """How a frame's fact fits a folded question: better where that names its file, worse where it names another."""
    for lead in ("line number ", "行号 ", "function "):
        if key.startswith(lead):
            name = key[len(lead) :].lower()
            return 1.15 if len(name) > 2 and re.search(rf"(?<![\w.]){re.escape(name)}(?![\w])", whole) else 0.55
    return 1.0


def quoted_line(whole: str, pages: Sequence[Page]) -> tuple[Line, Page] | None:
    """What a compiler or a log says of a line that is asked for by its number: "what is on line 142"."""
    asked = LINE_ASKED.search(whole)
    if asked is None:
        return None
    number = next(group for group in asked.groups() if group)
    there = re.compile(rf"\.\w{{1,5}}[:(]{number}\b|\bline {number}\b|第\s*{number}\s*行")
    for page in pages:
        for line in page.lines:
            if there.search(line.text):
                return line, page
    return None


def codes_joined(page: Page) -> Page:
    """The page with codes made whole that recognition cut: DRIVER_IRQL_NOT_LESS_OR_ with EQUAL beside or below it."""
    lines = list(page.lines)
    for line in page.lines:
        cut = CUT_CODE.search(line.text)
        if cut is None or line not in lines:
            continue
        rest = _rest_of_code(line, [other for other in lines if other is not line])
        if rest is None or not (cut.group().endswith("_") or "_" in rest.text):
            continue
        link = "" if cut.group().endswith("_") or rest.text.startswith("_") else "_"
        text = f"{line.text.rstrip()}{link}{rest.text.strip()}"
        whole = Line(text, line.box.union(rest.box), min(line.score, rest.score))
        lines = [whole if other is line else other for other in lines if other is not rest]
    return replace(page, lines=tuple(lines)) if len(lines) != len(page.lines) else page


def _rest_of_code(line: Line, others: Sequence[Line]) -> Line | None:
    """The line that goes on where a cut code ends: close to its right, else right below it."""
    size = line.box.height
    codes = [other for other in others if REST_OF_CODE.match(other.text)]
    beside = [
        other
        for other in codes
        if other.box.overlap_down(line.box) > 0.5 * size and -0.3 * size < other.box.left - line.box.right < 1.5 * size
    ]
    below = [
        other
        for other in codes
        if -0.3 * size < other.box.top - line.box.bottom < 1.2 * size and other.box.overlap_across(line.box) > 0
    ]
    return next(iter([*beside, *below]), None)
