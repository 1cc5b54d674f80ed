"""Questions that ask several things under one head: "甲乙双方的电话", "when and where was it signed"."""

from __future__ import annotations

import re

BOTH = (
    (re.compile(r"甲、?乙(?:两|双|二)方|甲方?(?:和|与|、)乙方?(?!的)(?=双方)"), ("甲方", "乙方")),
    (re.compile(r"(?:购销|买卖|供需|购售)双方|买家?卖家|买卖两方"), ("购买方", "销售方")),
    (re.compile(r"租赁双方|租房双方"), ("出租方", "承租方")),
    (re.compile(r"借贷双方"), ("出借人", "借款人")),
    (re.compile(r"收付款双方|转账双方"), ("付款人", "收款人")),
    (re.compile(r"收发货?双方|寄收件?双方"), ("发货人", "收货人")),
    (re.compile(r"劳动(?:合同)?双方|劳资双方"), ("用人单位", "劳动者")),
    (re.compile(r"\b(?:the )?buyer'?s? and (?:the )?seller'?s?(?= \w)"), ("buyer's", "seller's")),
)
SAID_IN_FIGURES = (
    (re.compile(r"(?<![含带连不加税])税(?=(?:一共|总共|合计|是|有|要交|交了)*(?:多少|几块))"), "税额"),
    (re.compile(r"(?:没有?|不|未)(?:能)?及格(?!线|率)|挂了?科"), "成绩低于60分"),
    (re.compile(r"(?<=[门科人个])及格了?(?:的)?(?=有|\W*$)"), "成绩不低于60分"),
)
WORD = r"(?:when|where|who|why|how much|how many|how long|how old|how)"
TWO_WORDS = re.compile(rf"^\W*(?P<one>{WORD})\s*(?:,|and|&|or)\s*(?P<two>{WORD})\b(?P<rest>.+)$")
ZH_WHEN = r"(?:什么时候|何时|哪一?天|几点|什么时间|几号|几月几号)"
ZH_WHERE = r"在?(?:哪里|哪儿|什么地方|何地|何处)"
ZH_WHO = r"(?:谁|哪位)"
CHINESE_TWO = re.compile(
    rf"(?P<one>{ZH_WHEN}|{ZH_WHO})(?:,|和|、)?\s*(?P<two>{ZH_WHERE}|{ZH_WHEN})(?P<rest>[^,;?]{{1,14}})"
)
SOLD_TO = re.compile(
    r"^\W*(?:这|钱|货|东西|款|房子)?(?:是|由)?(?:谁|哪家(?:公司)?)(?P<verb>卖|寄|发|转|租|借|付|汇|打)(?:出|东西|钱|货|款|账)?给了?"
    r"(?:谁|哪家(?:公司)?)的?(?:钱|货|款|东西|房子)?\W*$"
)
SIDES = {
    "卖": ("销售方", "购买方"),
    "租": ("出租方", "承租方"),
    "借": ("出借人", "借款人"),
    "寄": ("寄件人", "收件人"),
    "发": ("发货人", "收货人"),
}
FILE_LINE = re.compile(r"(哪个(?:\w{0,4})文件)(?:里|中|上)?的?(第几行|哪一?行|多少行)")
NUMBERED = re.compile(r"(?:^|[\s;,。?])(?:\(?[1-9][)）.、]|[①-⑨])\s*(?=\D)")


CHOICE = re.compile(
    r"是?(?P<one>[\u4e00-\u9fff]{1,5})还是(?P<two>[\u4e00-\u9fff]{1,5}?)(?P<does>来?(?:负担|承担|负责|支付|出|付|交|修|管))"
)
ROUTE = re.compile(r"从哪(?:里|儿|个地方|一?站)?(?:开|出发)?到(?:了)?哪(?:里|儿|个地方|一?站)?")


def spread(folded: str) -> str:
    """A folded question with what is asked under one head written out, its parts set apart by semicolons."""
    for pattern, said in SAID_IN_FIGURES:
        folded = pattern.sub(said, folded)
    folded = CHOICE.sub(r"由谁\g<does>", folded)
    folded = ROUTE.sub("出发地是哪里;目的地是哪里;", folded)
    for pattern, (one, two) in BOTH:
        if pattern.search(folded):
            return f"{pattern.sub(one, folded, count=1)};{pattern.sub(two, folded, count=1)}"
    if found := TWO_WORDS.match(folded):
        return f"{found['one']}{found['rest']};{found['two']}{found['rest']}"
    if found := CHINESE_TWO.search(folded):
        return f"{found['one']}{found['rest']};{found['two']}{found['rest']}"
    if found := SOLD_TO.search(folded):
        one, two = SIDES.get(found["verb"], ("付款人", "收款人"))
        return f"{one}是谁;{two}是谁"
    folded = FILE_LINE.sub(r"\1;\2", folded)
    if len(NUMBERED.findall(folded)) >= 2:
        return NUMBERED.sub(";", folded)
    return folded
