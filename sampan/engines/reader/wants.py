"""What a question's words want (a reason, a share, a length of time, an amount, a place…), and what looks like it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sampan.engines.reader.folding import fold
from sampan.engines.reader.values import find, fits

CN = "零〇一二三四五六七八九十百千两兩半壹贰叁肆伍陆柒捌玖拾"
MEASURE = (
    "个工作日|個工作日|工作日|个小时|個小時|小时|小時|个月|個月|分钟|分鐘|公里|平方米|平米|人次|天|日|周|星期|年|次|回|份|"
    "張|张|台|件|个|個|位|名|人|岁|歲|周岁|度|页|頁|层|層|楼|套|箱|盒|瓶|袋|间|間|栋|棟|幢|坪|吨|噸|公斤|千克|克|米|厘米|节|節|期|点|行|条|步"
)
# Question words with what each wants; the first that stands in the question decides.
WANTS = (
    ("reason", re.compile(r"为什么|为何|为啥|什么原因|\bwhy\b")),
    (
        "percent",
        re.compile(r"[百千万]分之[几多]|百分比|几成|比例|\bpercent|\bwhat (?:share|proportion)\b|\binterest rate\b"),
    ),
    (
        "phone",
        re.compile(r"电话|手机号?|热线|[打拨](?:哪个?|什么)号|\b(?:phone|telephone|number (?:can|do|should|to))\b"),
    ),
    (
        "duration",
        re.compile(
            r"多久|多长(?!的?(?:线|管|绳))|(?:几|多少)个?(?:天|日|小时|分钟|年|个月|月|周|星期|工作日)(?!前开|号|生)"
            r"|\bhow (?:long|soon|quickly|fast)\b|\bhow many (?:\w+ )?(?:days|hours|weeks|months|years|minutes)\b"
            r"|\bhow much notice\b|\bhow far (?:ahead|in advance)\b"
        ),
    ),
    (
        "clock",
        re.compile(r"几点|什么时刻|\bwhat time\b|\b(?:what|which) hours\b|\bwhen (?:do|does) .*\b(?:open|close)\b"),
    ),
    (
        "date",
        re.compile(
            r"哪[一几]?[天日年]|(?<![码机房桌床楼是])几[号日]|什么时候|何时|什么日[子期]|啥时候|几时|几月"
            r"|\bwhen\b|\bwh(?:at|ich) (?:date|day)\b|\bby when\b|\bhow early\b"
        ),
    ),
    (
        "money",
        re.compile(
            r"多少[钱元费款]|[花付交缴收退]了?(?:多少|几块)$|[多几][少]?块钱?|几元"
            r"|\bhow much(?! (?:notice|time|space|memory))\b"
            r"|\bwhat (?:does|did|do|is|was) .{0,40}\b(?:cost|spent|charged)\b"
        ),
    ),
    ("place", re.compile(r"哪[里儿](?!人)|什么地方|何处|\bwhere\b")),
    (
        "name",
        re.compile(r"谁|哪[家位]|哪个(?:公司|单位|人)|什么人|\bwho(?:se|m)?\b|\bwhich (?:company|person|firm)\b"),
    ),
    (
        "number",
        re.compile(
            r"(?:几|多少)(?:个|位|名|张|件|份|台|只|套|人|次|栋|门|本|双|岁|度|页|层|条|行|步|坪|吨|公斤|公里|米|箱|盒|瓶|间|平|期|节)"
            r"|多[大高重远]|\bhow (?:many|far|heavy|tall|high|old|big|large|hot|loud|often)\b"
        ),
    ),
    ("figure", re.compile(r"^(?!.*(?:号|码|代|证|率|版)).*多少|\bhow much\b")),
)
FIT = {
    "duration": ("duration", "date"),
    "date": ("datetime", "date", "duration"),
    "clock": ("datetime", "time"),
    "money": ("money",),
    "percent": ("percent",),
    "phone": ("phone",),
    "number": ("number",),
}
# Days and hours that dates and clocks do not cover.
DAYS = re.compile(
    r"每(?:个|個)?(?:月|季度?|年|周|週|星期)(?:度)?(?:首月|末月)?\s*(?:\d{1,2}|[一二三四五六日天十]{1,3})\s*[日号號]?(?:之?前|以前)?"
    r"|[次翌][日月](?=\d|[一二三四五六七八九十上下中早晚])|星期[一二三四五六日天]|[周週][一二三四五六日]|礼拜[一二三四五六日天]"
    r"|\b(?:every |each |on )?(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b"
    r"|\b(?:the )?(?:\d{1,2}(?:st|nd|rd|th)|first|second|third|last)(?: (?:working|business|calendar))? day\b"
    r"|\bthe \d{1,2}(?:st|nd|rd|th)\b"
    r"|\b\d{1,2}(?:st|nd|rd|th)? (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b"
    r"|(?:签字|盖章|签署|生效|批准|公布)(?:盖章)?(?:之日|后)",
    re.IGNORECASE,
)
HOURS = re.compile(
    r"(?:上午|下午|早上|晚上|凌晨|中午|早|晚)?\s*(?:\d{1,2}|[一二三四五六七八九十]{1,3})\s*[时時点點](?:\s*(?:\d{1,2}|[一二三四五六七八九十]{1,3})\s*分|半|整)?"
    r"|\b\d{1,2}(?::\d{2})?\s*(?:am|pm|a\.m\.|p\.m\.|o'clock)|\bnoon\b|\bmidnight\b",
    re.IGNORECASE,
)
ENGLISH_COUNTS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen"
    "|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|once|twice"
)
COUNTS = re.compile(
    rf"\d[\d,]*(?:\.\d+)?|[{CN}]+(?=(?:{MEASURE}))|\b(?:{ENGLISH_COUNTS})(?:[- ](?:{ENGLISH_COUNTS}))*\b", re.IGNORECASE
)
COUNTED = re.compile(rf"(?:{COUNTS.pattern})(?:\s*(?:{MEASURE}))?", re.IGNORECASE)
SUMS = re.compile(r"\d[\d,]*(?:\.\d+)?\s*(?:pounds?|dollars?|euros?|pence|cents|francs|yen)\b", re.IGNORECASE)
LENGTHS = re.compile(
    rf"\b(?:\d+|{ENGLISH_COUNTS})(?:[- ](?:and |{ENGLISH_COUNTS}))*(?:{ENGLISH_COUNTS})?\s*(?:\(\d+\)\s*)?"
    r"(?:(?:business|working|calendar|clear|full) )?(?:day|week|month|year|hour|minute|night)s?\b",
    re.IGNORECASE,
)
PLACE = re.compile(
    r"地址|地点|位置|场所|场地|教室|坐落|目的地|地$|处$|站$"
    r"|\b(?:address|place|venue|location|site|destination)\b|ship to"
)
KEYED = {
    "place": PLACE,
    "date": re.compile(r"日期|时间|[日月年]$|日$|期限|期$|\bdate\b|\bday\b|\bdue\b|\bby$"),
    "clock": re.compile(r"时间|时刻|开始|结束|\btime\b|\bhours\b"),
    "name": re.compile(r"[人者员师方]$|姓名|单位|公司|户名|医生|上级|机构|\bname\b|\bby\b"),
    "phone": re.compile(r"电话|热线|专线|手机|\b(?:tel|phone|hotline)"),
    "money": re.compile(r"[费款额价金税]$|金额|合计|总计|\b(?:total|amount|price|fee|cost|balance|charge)"),
    "percent": re.compile(r"率|比例|\brate\b|percent|share"),
    "duration": re.compile(r"期|时长|天数|年限|耗时|\bterm\b|\bperiod\b|\bduration\b"),
    "number": re.compile(r"数|量|\b(?:quantity|qty|number|count)\b"),
}
BECAUSE = re.compile(r"为了?(?!止)|因|由于|以免|\b(?:because|due to|owing to|in order to|so that)\b")
TELEPHONE = re.compile(r"电话|热线|专线|手机|联系|分机|\b(?:tel|phone|call|hotline|ext)")
LONG_NUMBER = re.compile(r"\d{8}|[A-Za-z]{2,}-?\d{4}")
CODED = re.compile(r"^[A-Z]{2,}[-\d]")
UNIT = re.compile(rf"(?:几|多少)\s*(?P<zh>{MEASURE})|\bhow many (?:\w+ )?(?P<en>[a-z]{{3,}}?)s?\b")


@dataclass(frozen=True, slots=True)
class Span:
    """Where a value stands in a text."""

    start: int
    end: int


def wanted(whole: str) -> str:
    """What a folded question wants by its question word; empty where that may be anything."""
    return next((want for want, pattern in WANTS if pattern.search(whole)), "")


def spans(text: str, want: str, whole: str = "") -> list[Span]:
    """The values of the wanted kind in a text; those counted in the unit that the question names, where some are."""
    if want == "number":
        return counted(text, whole) or _numbers(text)
    if want == "clock":
        clock = [Span(m.start(), m.end()) for m in HOURS.finditer(text)]
        return sorted([*_typed(text, ("time",)), *clock], key=lambda s: s.start)
    if want == "date":
        return _first(text, (("datetime",), ("date",)), DAYS, HOURS, LENGTHS) or _typed(text, ("duration", "time"))
    if want == "duration":
        lengths = _first(text, (("duration",),), LENGTHS)
        return lengths or _first(text, (("date",),), DAYS)
    if want == "money":
        return _first(text, (("money",),), SUMS)
    if want == "phone":
        short = re.finditer(r"(?<![\d.])\d{3,8}(?![\d.])", text) if TELEPHONE.search(fold(text)) else ()
        return _typed(text, ("phone",)) or [Span(m.start(), m.end()) for m in short]
    return _typed(text, FIT.get(want, ()))


def counted(text: str, whole: str) -> list[Span]:
    """The numbers in a text that are counted in the unit that a question names, if it names one."""
    unit = UNIT.search(whole)
    named = (unit.group("zh") or unit.group("en")) if unit else ""
    return [span for span in _numbers(text) if named and _counts(text, span, named)]


def _numbers(text: str) -> list[Span]:
    clocks = [Span(found.start, found.end) for found in find(text, "time")]
    made = [Span(m.start(), m.end()) for m in COUNTED.finditer(text)]
    return [span for span in made if _outside(span, clocks)]


def _counts(text: str, span: Span, named: str) -> bool:
    """Whether a number is counted in the unit named: "四份", "450 units"."""
    if named[0] >= "\u2e80":
        return named in fold(text[span.start : span.end + 2])
    return re.match(rf"\s*(?:\w+ )?{re.escape(named)}", text[span.end :], re.IGNORECASE) is not None


def _first(text: str, kinds: tuple[tuple[str, ...], ...], *patterns: re.Pattern[str]) -> list[Span]:
    """Values of the kinds, and what patterns find outside them, from left to right."""
    found: list[Span] = []
    for kind in kinds:
        found.extend(s for s in _typed(text, kind) if _outside(s, found))
    for pattern in patterns:
        made = [Span(m.start(), m.end()) for m in pattern.finditer(text)]
        found.extend([s for s in made if _outside(s, found)])
    return sorted(found, key=lambda s: s.start)


def _outside(span: Span, others: list[Span]) -> bool:
    return all(span.end <= other.start or span.start >= other.end for other in others)


def _typed(text: str, kinds: tuple[str, ...]) -> list[Span]:
    for kind in kinds:
        found = [Span(f.start, f.end) for f in find(text, kind) if kind != "money" or f.rank < 4]
        if found:
            return found
    return []


def suits(key: str, value: str, want: str) -> bool:
    """Whether a field's value is what the question word wants."""
    if want == "reason":
        return not re.fullmatch(r"[\d\W]+", value)
    if want == "place":
        return PLACE.search(fold(key)) is not None or bool(find(value, "address"))
    if want == "name":
        return fits(value, "person") >= 0.3 and fits(value, "datetime") < 0.8
    if want == "phone" and TELEPHONE.search(fold(key)):
        return re.search(r"\d{3,}", value) is not None
    if CODED.search(value) and want in FIT:
        return False
    if want == "clock":
        return re.search(r"\d\s*[:：时時点點]", value) is not None
    if want == "figure":
        named = re.fullmatch(r"[\d\s-]{9,}", value.strip()) is not None
        return re.search(r"\d", value) is not None and fits(value, "datetime") < 0.8 and not named
    if want == "number":
        return COUNTS.search(value) is not None and fits(value, "datetime") < 0.8 and not LONG_NUMBER.search(value)
    if want not in FIT:
        return True
    size = len(value.strip())
    typed = [hit for kind in FIT[want] for hit in find(value, kind) if kind != "money" or hit.rank < 5]
    return any((hit.end - hit.start) * 3 >= size for hit in typed) or any(
        (s.end - s.start) * 3 >= size for s in spans(value, want)
    )
