"""What log lines and compiler messages tell without naming it: threads, levels, requests, hosts, limits, causes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sampan.engines.reader.page import Line

DURATION = (
    r"\d[\d,.]*\s*(?:ms|milliseconds?|s|secs?|seconds?|minutes?|min|m|毫秒|秒|分钟)\b|\d[\d,.]*\s*(?:毫秒|秒|分钟)"
)
SIZE = r"\d[\d,.]*\s*(?:[KMGT]i?B|bytes|字节|[KMGT](?![A-Za-z\d]))"


@dataclass(frozen=True, slots=True)
class Sign:
    """One field: the keys that it is asked by, and what it looks like (the group `v…` that matched is its value)."""

    keys: tuple[str, ...]
    pattern: re.Pattern[str]
    last: bool = False


def _sign(keys: str, pattern: str, *, last: bool = False, flags: int = re.IGNORECASE) -> Sign:
    return Sign(tuple(key.strip() for key in keys.split(",")), re.compile(pattern, flags), last)


SIGNS = (
    _sign(
        "thread,线程,线程名",
        r"\[(?P<v>[\w.#@:-]*(?:exec|thread|worker|pool|main|task|nio|scheduler)[\w.#@:-]*)\]"
        r"|\bthread\s*[\"'“:=]\s*(?P<v2>[\w .#-]+?)[\"'”]"
        r"|\bthread\s+(?P<v3>[\w.-]*\d[\w.-]*|main)\b|\b(?P<v4>Thread-\d+)\b",
    ),
    _sign(
        "log level,日志级别,日志等级,级别,level,severity",
        r"(?:^|[\s\[|])(?P<v>ERROR|FATAL|CRITICAL|SEVERE|PANIC|WARN(?:ING)?|ALERT"
        r"|EMERG)(?=[\s\]|:]|$)|\[(?P<v2>error|crit|warn|alert|emerg)\]",
        flags=0,
    ),
    _sign("url,网址,请求地址,接口地址,链接,endpoint", r"(?P<v>https?://[^\s\"'“”，。)）]+)"),
    _sign(
        "http method,请求方法,请求方式,method",
        r"\b(?P<v>GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS)\b(?=\s+(?:request|/|https?:))",
        flags=0,
    ),
    _sign(
        "request id,请求编号,请求id,请求号,trace id,追踪号,链路id,correlation id",
        r"\b(?:x-)?(?:request|trace|correlation|req|span|txn|event)[-_ "
        r"]?id\s*[=:：]?\s*[\"'“]?(?P<v>[\w-]{4,})"
        r"|\brequest\s+(?P<v2>[0-9a-f]{4,}(?:-[0-9a-f]{2,})+)"
        r"|(?:请求|追踪|跟踪)(?:编号|号|ID)\s*[=:：]?\s*(?P<v3>[\w-]{4,})",
    ),
    _sign(
        "order number,订单号",
        r"\border(?:[-_ ]?(?:id|no|num(?:ber)?))?\W{0,3}(?P<v>(?=[\w-]*\d{3})[\w-]{4,})"
        r"|(?:订单|訂單)(?:编?号|編?號|ID)?\W{0,3}(?P<v2>(?=[\w-]*\d{3})[A-Za-z\d-]{4,})",
    ),
    _sign("client ip,client,客户端,客户端ip", r"\bclient:?\s+(?P<v>\d{1,3}(?:\.\d{1,3}){3})"),
    _sign("upstream,上游,后端地址", r"\bupstream:?\s+\"?(?P<v>https?://[^\s\",]+)"),
    _sign("server name,虚拟主机", r"\bserver:\s+(?P<v>[\w.-]+)"),
    _sign("request,请求,请求行", r"\brequest:\s+\"(?P<v>[A-Z]+ [^\"]+)\""),
    _sign(
        "host,主机,服务器,server",
        r"https?://(?P<v>[\w.-]+)|\b(?:host|server at|connect(?:ion)? to(?: server at)?|dial "
        r"tcp|lookup)\s*[=:\"'“]?\s*[\"'“]?(?P<v2>(?!server\b|upstream\b|the\b"
        r"|database\b)(?=[\w.-]*[a-z.])[\w-]+(?:\.[\w-]+)*)(?=[\s:\"'”,/)]|$)",
    ),
    _sign(
        "port,端口,端口号",
        r"https?://[\w.-]+:(?P<v>\d{2,5})|\bport\s*[=:]?\s*(?P<v2>\d{2,5})"
        r"|(?:\d{1,3}\.){3}\d{1,3}:(?P<v3>\d{2,5})|(?<=[\w\]]):(?P<v4>\d{4,5})(?=[\s:,)\]]"
        r"|$)(?!\d)|端口\s*[:：]?\s*(?P<v5>\d{2,5})",
    ),
    _sign("ip,ip address,ip地址", r"(?P<v>(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]))"),
    _sign(
        "http status,status code,状态码,http状态码",
        r"\b(?:status(?: code)?|HTTP(?:/[\d.]+)?|returned|responded "
        r"with)\W{0,3}(?P<v>[1-5]\d\d)\b|状态码\D{0,3}(?P<v2>[1-5]\d\d)",
    ),
    _sign(
        "timeout,超时时间,超时,time limit,超时时长",
        rf"\btime-?out\w*\s*(?:of|after|=|:|was|is|\()?\s*(?P<v>{DURATION})|\btimed "
        rf"out\s*(?:after|\()?\s*(?P<v2>{DURATION})|(?P<v3>{DURATION})\s*(?:timeout|超时"
        rf"|exceeded)|超时\D{{0,10}}?(?P<v4>{DURATION})",
    ),
    _sign(
        "retries,重试次数,attempts,重试",
        r"(?:after|of)\s+(?P<v>\d+)\s+(?:attempts|retries|tries|times)"
        r"|重试\D{0,4}(?P<v2>\d+)\s*次|(?P<v3>\d+)\s*次(?:重试|尝试)|retr(?:y|ies)[=: ]+(?P<v4>\d+)",
    ),
    _sign(
        "process id,pid,进程号,进程id,进程", r"\b(?:pid|process(?: id)?)\W{0,2}(?P<v>\d{2,7})|\w+\[(?P<v2>\d{2,7})\]:"
    ),
    _sign(
        "signal,信号",
        r"\bsignal\W{0,2}(?:=|:)?\s*(?P<v>(?:\d+/)?SIG[A-Z]+|[A-Z]{3,6}\b|\d+)"
        r"|\b(?P<v2>SIG[A-Z]{3,6})\b",
        flags=0,
    ),
    _sign(
        "exit code,退出状态码,退出码,exit status,退出状态",
        r"\bexit(?:ed)?(?:ing)?\W{0,3}(?:with\W*)?(?:non-zero\W+)?(?:code"
        r"|status)\W{0,5}(?:code\W*)?(?P<v>-?\d+)|status=(?P<v2>\d+)(?:/|\b)|returned a "
        r"non-zero code:\s*(?P<v3>\d+)|退出(?:代码|码|状态)\D{0,3}(?P<v4>\d+)",
    ),
    _sign("service,unit,服务,服务名", r"\b(?P<v>[\w@-]+\.service)\b"),
    _sign(
        "user,用户,用户名,username",
        r"\b(?:for |login )?user\s+[\"'“](?P<v>[^\"'”]+)[\"'”]"
        r"|用户\s*[\"'“](?P<v2>[^\"'”]+)[\"'”]",
    ),
    _sign("database,数据库", r"\bdatabase\s+[\"'“](?P<v>[^\"'”]+)[\"'”]|数据库\s*[\"'“](?P<v2>[^\"'”]+)[\"'”]"),
    _sign(
        "table,数据表,表名,表,relation",
        r"\b(?:table|relation)\s+[\"'“`](?P<v>[^\"'”`]+)[\"'”`]|\b(?:FROM|INTO|UPDATE"
        r"|JOIN)\s+(?P<v2>[a-z_][\w.]+)",
    ),
    _sign("constraint,约束,约束名", r"\bconstraint\s+[\"'“`](?P<v>[^\"'”`]+)[\"'”`]"),
    _sign("column name,列名,字段,column,字段名", r"\bcolumn\s+[\"'“`](?P<v>[^\"'”`]+)[\"'”`]"),
    _sign(
        "duplicate key,key,重复的键,重复键,键,键重复,重复的值,duplicate entry",
        r"\bKey\s+\((?P<v>[^)]+\)=\([^)]+)\)|Duplicate entry\s+'(?P<v2>[^']+)'",
    ),
    _sign("sql statement,sql,语句,sql语句", r"(?P<v>\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM)\b.+)", flags=0),
    _sign(
        "missing module,module,模块,缺少的模块,缺的模块,package,包,缺少的包,missing package",
        r"No module named\s+[\"'“](?P<v>[^\"'”]+)|Cannot find module\s+[\"'“](?P<v2>[^\"'”]+)"
        r"|Can't resolve\s+[\"'“](?P<v3>[^\"'”]+)|no required module provides "
        r"package\s+(?P<v4>[\w./-]+)|Unable to locate package\s+(?P<v5>\S+)",
    ),
    _sign(
        "undefined name,variable,变量,未定义的变量,undefined variable,identifier,undeclared variable,undefined symbol",
        r"name\s+[\"'“‘](?P<v>\w+)[\"'”’] is not defined|[\"'“‘](?P<v2>\w+)[\"'”’] (?:was not "
        r"declared|undeclared)|\b(?P<v3>\w+) is not defined|undefined:\s*(?P<v4>\w+)|cannot "
        r"find (?:value|name)\s+[\"'`“‘](?P<v5>\w+)|reading\s+[\"'“](?P<v6>\w+)",
    ),
    _sign(
        "expected type,expected,期望类型,预期类型,期望",
        r"expected\s+[`'\"“]?(?P<v>[\w<>&\[\]]+)[`'\"”]?,\s*(?:found|got)|to "
        r"type\s+['\"“](?P<v2>[^'\"”]+)",
    ),
    _sign(
        "actual type,found,实际类型,found type,actual",
        r"(?:found|got)\s+[`'\"“]?(?P<v>[\w<>&\[\]]+)[`'\"”]?"
        r"|\bType\s+['\"“](?P<v2>[^'\"”]+)['\"”] is not assignable",
    ),
    _sign(
        "number of errors,error count,错误数,错误数量", r"\b(?:Found\s+)?(?P<v>\d+)\s+errors?\b|(?P<v2>\d+)\s*个错误"
    ),
    _sign("number of warnings,warnings,警告数", r"\b(?P<v>\d+)\s+warnings?\b|(?P<v2>\d+)\s*个警告"),
    _sign(
        "memory requested,tried to allocate,申请内存,memory,内存,memory size",
        rf"(?:tried to allocate|allocate|requested)\D{{0,12}}(?P<v>{SIZE})"
        rf"|memory\D{{0,14}}?(?P<v2>{SIZE})|内存\D{{0,10}}?(?P<v3>{SIZE})"
        rf"|(?P<v4>{SIZE})\D{{0,8}}?(?:of )?memory|heap\D{{0,12}}?(?P<v5>{SIZE})",
    ),
    _sign(
        "total memory,total capacity,总内存,显存,显存总量",
        rf"(?P<v>{SIZE})\s*total(?: capacity)?|总\D{{0,8}}?(?P<v2>{SIZE})",
    ),
    _sign(
        "free memory,free,available,可用,剩余,空闲内存,free space,available space",
        rf"(?P<v>{SIZE})\s*(?:is )?(?:free|available|left)|(?:available|free|剩余"
        rf"|可用)\D{{0,8}}?(?P<v2>{SIZE})",
    ),
    _sign(
        "required,需要空间,required space,所需空间", rf"(?:requires?|needs?|required|需要|所需)\D{{0,12}}?(?P<v>{SIZE})"
    ),
    _sign(
        "exec format,image,镜像,docker image,image name",
        r"\b(?:image|manifest for|repository)\s*[:=]?\s*[\"'“]?(?P<v>[\w./-]+:[\w.-]+)|pull "
        r"access denied for\s+(?P<v2>[\w./-]+)",
    ),
    _sign("container,容器,container name", r"\bcontainer\s+(?:name\s+)?[\"'“]?/?(?P<v>[\w.-]{3,})"),
    _sign("failed step,step,步骤", r"\b(?:step)\s+(?P<v>\d+/\d+)"),
    _sign("root cause,根本原因,根因,caused by,真正原因,底层原因", r"^\s*Caused by:?\s*(?P<v>.+)", last=True),
    _sign("system call,syscall,系统调用", r"\bsyscall:?\s+['\"]?(?P<v>\w+)"),
    _sign("function,函数,function name,函数名", r"\bIn function\s+['\"‘“](?P<v>\w+)"),
    _sign("node version,node版本,node.js version", r"\bnode(?:\.js)?\s+v?(?P<v>\d+(?:\.\d+)+)"),
    _sign("python version,python版本", r"\bpython\s*v?(?P<v>\d+(?:\.\d+)+)"),
    _sign("warning,警告,警告信息,warning message", r"\bwarning(?:\s*\w*\d+)?:\s*(?P<v>\S.+)"),
    _sign(
        "reason,原因,失败原因,failure reason,cause,why fail",
        r"Failed with result '(?P<v>[\w-]+)'|\breason:?\s+[\"'“]?(?P<v2>[^\"'”]{4,60})"
        r"|\bbecause\s+(?P<v3>.{4,80})|原因[:：]\s*(?P<v4>.+)",
    ),
    _sign("batch,批次", r"\bbatch\s+#?(?P<v>\d+)"),
    _sign("goroutine,协程", r"\bgoroutine\s+(?P<v>\d+)"),
    _sign(
        "version,版本,版本号",
        r"\b(?:version|v)\s*(?P<v>\d+(?:\.\d+)+)|\b(?:Python|Node\.js|node|Java|Go|rustc"
        r"|npm)\s+v?(?P<v2>\d+(?:\.\d+)+)|版本(?:号)?\D{0,2}(?P<v3>\d+(?:\.\d+)+)",
    ),
    _sign("column number,列号,column,第几列", r"\.\w{1,4}[:(](?:\d+)[:,](?P<v>\d+)\)?"),
    _sign("rule,lint rule,规则", r"\b(?P<v>(?:@[\w-]+/)?[a-z]+(?:-[a-z]+)+)\s*$", flags=0),
    _sign(
        "permission,path denied,被拒绝的路径",
        r"Permission denied:?\s+[\"'“]?(?P<v>[^\"'”\s]+)|[\"'“](?P<v2>/[^\"'”]+)[\"'”]",
    ),
)
LOGGER = re.compile(
    r"\]\s+(?P<v>[A-Za-z_][\w$]*(?:\.[\w$]+)+)\s+[-:]\s"
    r"|\b(?P<v2>[a-z]\w*(?:\.\w+)+):\d*\s*(?:ERROR|WARN)|^(?:ERROR|CRITICAL"
    r"|WARNING):(?P<v3>[\w.]+):"
)
STAMP = re.compile(
    r"(?P<v>\d{4}[-/]\d{2}[-/]\d{2}[T ]\d{2}:\d{2}:\d{2})|(?P<v2>(?:Jan|Feb|Mar|Apr|May"
    r"|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+\d{1,2}\s+\d{2}:\d{2}:\d{2})"
    r"|\[(?P<v3>\d{2}/\w{3}/\d{4}:\d{2}:\d{2}:\d{2}[^\]]*)\]"
)
SAYS = re.compile(
    r"(?:^|[\s\]:)])(?:error|fatal(?: error)?|panic|ERR!"
    r"|E)(?:\s*\[?[A-Z]{0,3}\d{2,5}\]?)?\s*[:：]\s*(?P<v>\S.{3,})|\b(?:failed|error) "
    r"(?P<v2>because .+)",
    re.IGNORECASE,
)
ERROR_NUMBER = re.compile(
    r"\berror\s*\[?(?P<v>[A-Z]{1,3}\d{2,5})\]?|\b(?P<v2>ORA-\d{5}|ERROR \d{4}(?= "
    r"\(\w{5}\))|SQLSTATE\W{0,2}\w{5}|E(?!RROR)[A-Z]{4,}|ERR_[A-Z_]+|MSB\d{4}|CS\d{4}"
    r"|TS\d{4}|NU\d{4}|WinError \d+|Errno \d+)\b|\((?P<v3>\d+): Connection (?:refused"
    r"|reset)",
)
BAD = re.compile(r"error|fatal|exception|critical|fail|panic|severe|错误|失败|异常", re.IGNORECASE)


def signs(lines: Sequence[Line]) -> Iterator[tuple[str, str, Line, float]]:
    """Keys with the value and line of each sign, and how far to trust it: the first line that shows it tells most."""
    for sign in SIGNS:
        found = [(line, match) for line in lines for match in [sign.pattern.search(line.text)] if match]
        if not found:
            continue
        bad = [pair for pair in found if BAD.search(pair[0].text)]
        line, match = found[-1] if sign.last else (bad or found)[0]
        value = _group(match)
        for key in sign.keys:
            yield key, value, line, 1.05 if "exit" in key or "退出" in key else 0.96
    yield from _stamped(lines)
    for line in lines:
        logger = LOGGER.search(line.text)
        if logger:
            for key in ("logger", "module", "class", "模块", "类", "类名", "记录器"):
                yield key, _group(logger), line, 0.9
            break
    said = next(((line, m) for line in lines for m in [SAYS.search(line.text)] if m), None)
    if said:
        for key in ("error message", "错误信息"):
            yield key, _group(said[1]), said[0], 0.93
    numbered = next(((line, m) for line in lines for m in [ERROR_NUMBER.search(line.text)] if m), None)
    if numbered:
        for key in ("error code", "错误代码"):
            yield key, _group(numbered[1]), numbered[0], 1.05


def _stamped(lines: Sequence[Line]) -> Iterator[tuple[str, str, Line, float]]:
    """When it failed: the time on the first line that tells of a failure, else on the first line that has one."""
    stamped = [(line, match) for line in lines for match in [STAMP.search(line.text)] if match]
    if not stamped:
        return
    line, match = next(((ln, m) for ln, m in stamped if BAD.search(ln.text)), stamped[0])
    for key in ("发生时间", "时间", "错误时间", "error time", "time", "timestamp"):
        yield key, _group(match), line, 0.94
    for key in ("第一条日志时间", "first log time", "开始时间"):
        yield key, _group(stamped[0][1]), stamped[0][0], 0.85
    for key in ("最后一条日志时间", "last log time", "结束时间"):
        yield key, _group(stamped[-1][1]), stamped[-1][0], 0.85


def _group(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group).strip(" ,.;\"'“”")
