"""Values by their looks: where in a text a date, an amount, a telephone number and so on stands, verbatim."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

DIGITS = "0-9０-９"
CN = "零〇一二三四五六七八九十百千两"
NUMBER = r"[-−]?\d[\d,，]*(?:\.\d+)?"
MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?"
    "|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
CLOCK = r"(?:[01]?\d|2[0-3])\s*[:：]\s*[0-5]\d(?:\s*[:：]\s*[0-5]\d(?:[.,]\d+)?)?(?:\s*[AaPp]\.?[Mm]\.?)?"
DAY = (
    rf"(?:\d{{4}}|[{CN}]{{4}})\s*年\s*(?:\d{{1,2}}|[{CN}]{{1,3}})\s*月(?:\s*(?:\d{{1,2}}|[{CN}]{{1,3}})\s*[日号號])?"
    rf"|(?:民国|民國)\s*\d{{2,3}}\s*年\s*\d{{1,2}}\s*月\s*\d{{1,2}}\s*日"
    r"|(?<!\d)(?:19|20)\d{2}\s?[-/.．－]\s?\d{1,2}\s?[-/.．－]\s?\d{1,2}(?!\d)"
    r"|(?<!\d)\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d{2}(?!\d)"
    rf"|(?<![A-Za-z])(?:{MONTHS})\.?\s*\d{{1,2}}(?:st|nd|rd|th)?\s*,?\s*(?:19|20)\d{{2}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?(?:\s+day\s+of)?[\s-]*(?:{MONTHS})\.?[\s,-]*(?:19|20)\d{{2}}"
    r"|\d{1,2}\s*月\s*\d{1,2}\s*[日号號]"
    r"|(?<!\d)(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)"
)
UNITS = (
    "个工作日|個工作日|工作日|个自然日|自然日|日历日|个日历天|天|日|周|星期|个星期|个月|個月|月|年|"
    "年度|小时|小時|分钟|分鐘|秒|毫秒"
)
ENGLISH_UNITS = (
    "(?:business |working |calendar |natural )?(?:days?|weeks?|months?|years?|hours?|minutes?|seconds?"
    "|ms|mins?|secs?|s)"
)
# A part of "3小时48分" or "1 h 20 min".
PART = r"(?:天|日|个?小时|小時|时|時|分钟|分鐘|分|秒|(?:days?|hours?|hrs?|minutes?|mins?|seconds?|secs?|[dhms])\b)"
CURRENCY = r"[¥￥$€£＄]|人民币|人民幣|RMB|CNY|USD|HKD|HK\$|NT\$|US\$|EUR|GBP|TWD|新台币|新台幣|港币|港幣|美元"

PATTERNS: dict[str, tuple[str, ...]] = {
    "date": (DAY,),
    "datetime": (rf"(?:{DAY})\s*[T,]?\s*(?:{CLOCK})", DAY, CLOCK),
    "time": (CLOCK,),
    "money": (
        rf"(?:{CURRENCY})\s*{NUMBER}(?:\s*(?:万元|萬元|亿元|元整|圆整|元|圆))?",
        rf"{NUMBER}\s*(?:万元|萬元|亿元|元整|元|圆|圓|美元|港元|块|yuan|dollars|RMB|CNY|USD|HKD|TWD|EUR)",
        r"(?<![\w.:-])-?\d{1,3}(?:,\d{3})*\.\d{2}(?![\d%.])",
        r"(?:[零壹贰貳叁參肆伍陆陸柒捌玖拾佰仟万萬亿]+[圆圓元](?:整|正|[零壹贰貳叁參肆伍陆陸柒捌玖拾角分]+整?)?)",
        rf"(?<![\w.:-]){NUMBER}(?![\w%.:/-])",
    ),
    "percent": (
        r"\d+(?:\.\d+)?\s*[%％‰]",
        rf"(?:百分之|千分之|万分之|萬分之)\s*[{CN}点點\d.]+",
        r"\d+(?:\.\d+)?\s*(?:percent|per cent)",
        "免税|免稅|不征税|零税率",
    ),
    "number": (
        rf"{NUMBER}(?:\s*(?:[a-zA-Z%℃°]{{1,6}}|[个個件份台套箱盒只支本张張包瓶人次米平方吨斤克公里页頁行天岁歲]+))?",
        rf"[{CN}]+(?=[个個件份台套页頁次人式])",
    ),
    "duration": (
        rf"\d+(?:\.\d+)?\s*{PART}(?:\s*(?:零|and|,)?\s*\d+(?:\.\d+)?\s*{PART})+"
        rf"|(?:(?<![\d.])\d{{1,3}}(?:\.\d)?|[{CN}壹贰叁肆伍陆柒捌玖拾]+)\s*(?:\(\S{{1,4}}\)|（\S{{1,4}}"
        rf"）)?\s*(?:{UNITS})(?!\d)(?:半)?",
        rf"(?i:(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|thirty|sixty"
        rf"|ninety)(?:\s*\(\d+\))?[\s-]*{ENGLISH_UNITS}\b)",
    ),
    "phone": (
        r"(?<![A-Za-z\d.])(?:\+?\d{1,3}[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\d)",
        r"(?<![A-Za-z\d.])(?:\(?0\d{1,3}\)?|（0\d{1,3}）)[- ]?\d{3,4}[- ]?\d{4}(?:[-转轉]\d{1,6})?(?!\d)",
        r"(?<![A-Za-z\d.])[48]00[- ]?\d{3,4}[- ]?\d{3,4}(?!\d)",
        r"\+\d{1,3}[- ]?\(?\d{1,4}\)?(?:[- ]?\d{2,4}){2,4}",
        r"\(\d{3}\)\s?\d{3}-\d{4}|(?<![A-Za-z\d.])\d{3}-\d{3,4}(?:-\d{4})?(?!\d)",
        r"(?<![A-Za-z\d.])\d{4}[- ]\d{4}(?!\d)|(?<![A-Za-z\d.])\d{7,8}(?!\d)",
    ),
    "dose": (
        r"\d+(?:\.\d+)?\s*(?:mg|g|ml|μg|ug|iu|片|粒|丸|支|滴|毫克|毫升|克)(?:\s*[/×xX*]?\s*(?:每"
        r"日|每天|每次|一日|次|日|tid|bid|qd)?\s*[\d一二三两]*\s*次?)?",
        r"(?:每日|每天|一日|每晚|每次)\s*[\d一二三四两]+\s*[次片粒]",
    ),
    "address": (
        r"\d+[A-Za-z]?\s+(?:[A-Z][\w.'-]*\s+){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd"
        r"|Lane|Ln|Drive|Dr|Way|Square|Plaza|Court|Highway)\b\.?(?:,\s*[A-Z][\w. ]*){0,4}",
        r"[\u4e00-\u9fff]{2,}(?:省|市|區|区|县|縣|鎮|镇)[\u4e00-\u9fff\dA-Za-z-]*(?:路|街|道|巷"
        r"|村|段|弄|号|號|室|层|楼|樓|厦)[\u4e00-\u9fff\dA-Za-z-]*",
        r"[\u4e00-\u9fff]{2,8}(?:路|街|大道|巷)\d+[号號弄][\u4e00-\u9fff\dA-Za-z-]*",
    ),
    "email": (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",),
    "url": (
        r"https?://[^\s，。；）)]+",
        r"(?:www\.)[\w.-]+\.[a-z]{2,}[^\s，。]*",
        r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|cn|net|org|io|dev|gov|edu)(?:/\S*)?",
    ),
    "ip": (r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\d.])",),
    "path": (
        r"[A-Za-z]:[\\/][^\s\"'“”，。：:*?<>|]+(?: [^\s\"'“”，。：:*?<>|]*\.\w+)?",
        r"(?<![\w/])~?(?:/[\w.@+-]+)+/?",
        r"[\w.-]+(?:[\\/][\w.-]+)+",
        r"\b[\w-]+\.(?:py|js|ts|tsx|java|go|rs|c|cpp|cs|php|rb|log|conf|cfg|ini|json|ya?ml|xml|dll"
        r"|exe|sys|so|txt|sql|vue|kt|html|properties|toml|sh|xlsx?|docx?|pptx?|pdf|csv|zip|rar|db"
        r"|bak|png|jpe?g|iso|jar|apk|msi|bat|tmp)\b",
    ),
    "id": (
        r"[A-Za-z]{0,6}[-_]?\(?(?:\d{4})\)?[-_字第A-Za-z\d]*\d[号號]?",
        r"(?=[\w.#/-]*\d)[A-Za-z0-9][\w.#/-]{2,}[A-Za-z0-9]",
        r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+",
        r"\d+",
    ),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A value of the wanted type: where it stands in the text, and how typical it looks (0 is most)."""

    start: int
    end: int
    rank: int


def find(text: str, kind: str) -> list[Found]:
    """Every value of a type in a text, from left to right, none inside another; more typical patterns win."""
    taken: list[Found] = []
    for rank, pattern in enumerate(PATTERNS.get(kind, ())):
        for match in re.finditer(
            pattern, text, re.IGNORECASE if kind in ("date", "datetime", "email", "url", "money") else 0
        ):
            if match.group().strip() and all(match.end() <= f.start or match.start() >= f.end for f in taken):
                taken.append(Found(match.start(), match.end(), rank))
    return sorted(taken, key=lambda found: found.start)


def fits(text: str, kind: str) -> float:
    """How much a whole text looks like a value of a type, 0…1; 0.5 where the type says nothing about looks."""
    if kind in ("", "text", "address"):
        return 0.5 if text.strip() else 0.0
    if kind in ("person", "org", "gender"):
        return _named(text, kind)
    best = max((found.end - found.start for found in find(text, kind)), default=0)
    if best == 0:
        return 0.0
    share = best / max(len(text.strip()), 1)
    return 0.6 + 0.4 * share


def _named(text: str, kind: str) -> float:
    plain = text.strip()
    if kind == "gender":
        return 1.0 if re.search(r"男|女|male|female|^[MF]$", plain, re.IGNORECASE) else 0.1
    # A name with its telephone number beside it is a name still.
    plain = re.sub(r"(?<=[^\d\s])\s*[\d+][\d\s()-]{6,}$", "", plain)
    if kind == "person" and find(plain, "address"):
        return 0.1
    digits = sum(char.isdigit() for char in plain)
    if not plain or digits * 2 > len(plain):
        return 0.1
    if kind == "org":
        return (
            0.9
            if re.search("公司|厂|店|行|院|所|中心|集团|局|超市|商场|部|校|学|Ltd|Inc|Co|LLC|Corp|Bank", plain)
            else 0.55
        )
    if re.fullmatch(r"[\u4e00-\u9fff·]{2,5}|[A-Za-z.'’-]+(?: [A-Za-z.'’-]+){1,3}", plain):
        return 0.95
    return 0.5 if len(plain) <= 30 else 0.3


def amounts(text: str) -> Iterator[float]:
    """The numbers in a text as they would be added up."""
    for match in re.finditer(r"-?\d[\d,，]*(?:\.\d+)?", text):
        digits = match.group().replace(",", "").replace("，", "")
        yield float(digits)
