"""Every word of the scorecard in both languages."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.drill.promises import Promise
from sampan.drill.troubles import When
from sampan.errors import ConfigError

Phrases = Mapping[str, str]

PHRASES: Mapping[str, Phrases] = {
    "en": {
        "title": "Sampan drill",
        "all kept": "Every promise was kept",
        "broken": "Promises were broken in {count} of {all} scenes",
        "told": "{configuration}: {scenes} scenes, {calls} calls through the official SDKs, {seconds:.0f} s, {when}",
        "shortened": "For the drill, clouds had these clocks: connect {connect:g} s, first event {first_event:g} s, "
        "idle {idle:g} s, total {total:g} s; an open breaker waited {delay:g} s. Nothing of yours was written to.",
        "invented": "Your configuration has no cloud: one was put in front of each pattern, to have one to lose.",
        "alone": "{count} scenes have no target but the cloud: there, only an honest error can be promised.",
        "elsewhere": "The gateway under test is {url}. Its headers and records were not judged.",
        "scenes": "scenes",
        "faults": "faults",
        "calls": "calls",
        "slowest detection": "slowest detection",
        "slowest recovery": "slowest recovery",
        "kept": "kept",
        "not kept": "broken",
        "nobody": "kept; nobody but the cloud",
        "number": "in each box: seconds to the first event",
        "not rehearsed": "makes no sense here",
        "fault": "fault",
        "whole": "whole",
        "stream": "stream",
        "text": "text",
        "vision": "vision",
        "generate": "generate",
        "edit": "edit",
        "embed": "embed",
        "route": "route",
        "operation": "operation",
        "first event": "first event",
        "detected": "detected",
        "touched": "asked, call by call",
        "answered by": "answered by",
        "recovered": "recovered",
        "verdict": "verdict",
        "connect": "Before the connection stands",
        "head": "Instead of an answer",
        "body": "Inside the body",
        "opening": "In the stream, before content",
        "content": "In the stream, after content",
        "continued": "continued",
        "error event": "error event",
        "honest error": "honest error",
        "details": "Every scene",
        "what broke": "What was broken",
        "promises": "What is promised",
    },
    "zh": {
        "title": "舢板演习",
        "all kept": "所有承诺均已兑现",
        "broken": "{all} 个场景中有 {count} 个未兑现承诺",
        "told": "{configuration}:{scenes} 个场景,经官方 SDK 调用 {calls} 次,用时 {seconds:.0f} 秒,{when}",
        "shortened": "演习中云端使用的时钟:连接 {connect:g} 秒,首个事件 {first_event:g} 秒,"
        "空闲 {idle:g} 秒,总计 {total:g} 秒;熔断器打开后等待 {delay:g} 秒。未写入您的任何数据。",
        "invented": "配置中没有云端:演习在每条通配路由前各加了一个,以便有云可断。",
        "alone": "{count} 个场景除云端外没有其他目标:只能承诺给出诚实的错误。",
        "elsewhere": "受测网关为 {url},不评判其响应头与记录。",
        "scenes": "场景",
        "faults": "故障",
        "calls": "调用",
        "slowest detection": "最慢发现",
        "slowest recovery": "最慢恢复",
        "kept": "兑现",
        "not kept": "未兑现",
        "nobody": "兑现;但除云端外别无目标",
        "number": "格内数字:到首个事件的秒数",
        "not rehearsed": "此处无意义",
        "fault": "故障",
        "whole": "整体",
        "stream": "流式",
        "text": "文本",
        "vision": "看图",
        "generate": "生成",
        "edit": "编辑",
        "embed": "向量",
        "route": "路由",
        "operation": "操作",
        "first event": "首个事件",
        "detected": "发现",
        "touched": "逐次触达云端",
        "answered by": "应答者",
        "recovered": "恢复",
        "verdict": "结论",
        "connect": "连接建立之前",
        "head": "没有给出答复",
        "body": "正文之中",
        "opening": "流中,内容之前",
        "content": "流中,内容之后",
        "continued": "续写",
        "error event": "错误事件",
        "honest error": "诚实的错误",
        "details": "全部场景",
        "what broke": "未兑现的承诺",
        "promises": "承诺内容",
    },
}

PROMISES: Mapping[str, Mapping[Promise, str]] = {
    "en": {
        Promise.WELL: "While the cloud is well, the cloud answers.",
        Promise.ANSWERED: "While it is sick, every call is answered in full by another target.",
        Promise.ENDING: "An answer that breaks in the middle is continued without a seam, or ends in an error event; "
        "it never ends cleanly as half an answer.",
        Promise.QUICK: "Nobody waits longer than the clock that the fault runs into.",
        Promise.BREAKER: "After as many failures as open a breaker, the next call does not touch the sick upstream.",
        Promise.RECOVERY: "Healed, the cloud answers again within the breaker's delay and a probe; no call fails.",
        Promise.HEADERS: "The headers name who really answered, its tier, and every attempt by its right fault.",
        Promise.RECORD: "Each call leaves one record, and it tells the same.",
    },
    "zh": {
        Promise.WELL: "云端正常时,由云端应答。",
        Promise.ANSWERED: "云端故障时,每次调用都由其他目标完整应答。",
        Promise.ENDING: "说到一半中断的回答要么无缝续写,要么以错误事件结束,绝不把半个回答当作正常结束。",
        Promise.QUICK: "等待时间不超过该故障触发的时钟。",
        Promise.BREAKER: "连续失败达到熔断次数后,下一次调用不再触达故障云端。",
        Promise.RECOVERY: "云端恢复后,在熔断等待加一次探测之内重新由云端应答,且没有调用因此失败。",
        Promise.HEADERS: "响应头如实写明应答者、等级和每次尝试的故障。",
        Promise.RECORD: "每次调用留下且只留下一条记录,内容与响应头一致。",
    },
}


def phrases(lang: str) -> Phrases:
    """Raises `ConfigError` for a language that we do not speak."""
    if lang not in PHRASES:
        raise ConfigError(f"--lang must be one of {', '.join(PHRASES)}, not {lang!r}")
    return PHRASES[lang]


def when(words: Phrases, moment: When) -> str:
    return words[moment.value]
