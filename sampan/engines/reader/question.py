"""What a question wants to know: its language, what to do, and each thing asked, in the order asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from sampan.engines.reader.aliases import PARTIES
from sampan.engines.reader.folding import fold, is_traditional
from sampan.engines.reader.lexicon import Lexicon, Phrase
from sampan.engines.reader.reading import wants_all
from sampan.engines.reader.sharing import spread


class Language(StrEnum):
    """What an answer is written in."""

    SIMPLIFIED = "zh-Hans"
    TRADITIONAL = "zh-Hant"
    ENGLISH = "en"


class Intent(StrEnum):
    """What is to be done with the document."""

    READ = "read"
    FIND = "find"
    EXISTS = "exists"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing asked: its own words, and the phrases that it may be meant by, likeliest first.

    Then its value's type (`kinds`: for each of the phrases, of which the first `meant` were told from an everyday way
    of asking), the folded question that it stands in, the parties that its neighbours in the question name,
    and the unit asked for ("多少公里").
    """

    text: str
    phrases: tuple[Phrase, ...]
    kind: str
    whole: str
    parties: frozenset[str] = frozenset()
    unit: str = ""
    kinds: tuple[str, ...] = ()
    meant: int = 0

    @property
    def phrase(self) -> Phrase:
        return self.phrases[0]

    def literal(self) -> Ask:
        """The same by its own words alone: an everyday turn in it tells of one of its parts, not of the whole."""
        return replace(self, phrases=self.phrases[self.meant :], kinds=self.kinds[self.meant :], meant=0)


@dataclass(frozen=True, slots=True)
class Question:
    """A question understood. `asks` is empty unless something is to be found."""

    text: str
    language: Language
    intent: Intent
    asks: tuple[Ask, ...] = ()
    undivided: Ask | None = None


READ = re.compile(
    r"^\W*(?:(?:请|請|帮我|幫我|麻烦|please|can you|could you|kindly)\W*)*(?:"
    r"ocr\b.*|(?:把|将|將)?.{0,12}(?:文字|文本|全文|全部内容|所有内容).{0,6}(?:提取|识别|識別|读"
    r"|讀|转|轉|抄|输出|輸出|打|列|念).{0,6}|(?:把|将|將)?.{0,14}(?:提取|识别|識別|读取|讀取|转"
    r"写|轉寫|抄录|抄錄|输出|輸出|转录"
    r"|转成|轉成|读出|列出).{0,10}(?:文字|文本|全文|所有内容|全部内容|內容|markdown).*"
    r"|(?:提取|识别|識別|读取|读|讀|朗读|转写|轉寫|ocr)(?:一下|出来|出來)?(?:这|這|图|圖|文字|全文|它)?.{0,8}"
    r"|.{0,10}(?:写了什么|寫了什麼|写的什么|写着什么|上面有什么字|有哪些文字|说了什么|内容是什么"
    r"|文字内容是什么|有什么文字).{0,2}"
    r"|(?:read|transcribe|extract|recognis?ze|dump|output|get|return|print|give me|copy|convert"
    r"|show me)\b(?:\s+(?:me|out|all|the|this|that|it|every|any|full|whole|entire|of|text|words?"
    r"|content|contents|image|picture|document|page|photo|scan|pdf|file|to|into|in|from|as|markdown"
    r"|table|aloud|a|plain|for|and|please|written|everything|line|by|shown|here|you|can|see|visible|on|there|is))*"
    r"|what(?:'s| is| does)\b.{0,30}\b(?:text|written|say|says|content)\b.{0,28}"
    r")\W*$",
    re.IGNORECASE,
)
NAMED_FIELD = re.compile(
    r"编号|号码|日期|金额|名称|code|number|date|amount|message|error|clause|article|第.+条|关于|about|信息是",
    re.IGNORECASE,
)
FIELD_SAYS = re.compile(
    r"^\W*(?:请问)?(?P<field>[\u4e00-\u9fff]{2,8}?)(?:那?一?栏)?(?:里面|里|中|上)?(?:写|说|的内容|内容|填)"
)
REFUSE = re.compile(
    r"翻译|翻譯|译成|总结|總結|概括|归纳|摘要(?!是)|描述一下|描述这|描述圖|描述图|画一|畫一|写一["
    r"首篇段封]|寫一[首篇]|润色|改写|讲个|講個|你是谁|你是誰|你好|(?:今天|明天)的?天[气氣]|天[气氣](?:怎么样|怎麼樣|如何|预报|預報)|"
    r"是否合理|合不合理|分析一下|评价|解释一下|解释这段|为什么会|代码怎么写|帮我写|"
    r"\btranslat|\bsummari[sz]e|\bsummary of (?:this|the) (?:doc|con|page|pic)|\bdescribe\b(?! the"
    r" error)|\brewrite\b|\bparaphrase\b|\bwrite (?:me )?(?:a|an)\b|\bwho are you\b|^\W*(?:hi|hello"
    r"|hey)\b|\btell me a\b|\bjoke\b|\bpoem\b|\bexplain\b|\banaly[sz]e\b|\bopinion\b|\bweather\b"
    r"|\bwhat do you think\b|\bgenerate\b|\bdraw\b",
    re.IGNORECASE,
)
EXISTS = re.compile(
    r"有没有|有沒有|是否(?:有|提到|提及|包含|约定|規定|规定|注明|写明|存在|列出|含)|(?:提到|提及"
    r"|包含|约定|规定|写明|出现).{0,24}(?:吗|嗎|么|没有)|^.{0,24}[有是能可需].{1,24}(?:吗|嗎)\W*$"
    r"|^.{2,20}(?:吗|嗎)\W*$|"
    r"\b(?:does|do|did|is|are|was|were)\b.{0,40}\b(?:mention|mentioned|contain|contained|include"
    r"|included|specify|specified|say anything|appear|cover|covered|list|listed|provide for|state"
    r"|stated|have)\b|\b(?:is|are) there (?:a|an|any)\b",
    re.IGNORECASE,
)
SPLIT = re.compile(
    r"[、；;？?\n]|(?:[，,]\s*(?:以及|和|还有|and)?)|以及|还有|還有|另外|(?<![共温总饱调])和(?!["
    r"解平谐])|(?<![参涉遍顾])与(?!本|患者|申请人)|及(?!其|时|格)|跟|\band\b|\bas well as\b|\bplus\b"
    r"|&",
    re.IGNORECASE,
)
SPLIT_HARD = re.compile(
    r"[;；?？\n]|以及|还有|還有"
    r"|\band (?=(?:(?:on|at|in|by|for|to|from|under|with) )?(?:what|who|when|where|how|which)\b)",
    re.IGNORECASE,
)
CONDITION = re.compile(
    r"如果|若|假如|逾期|违约|的话|超过|未能|没有按|不能按|\bif\b|\bin case\b|\bunless\b|\bshould\b.*"
    r",|\bafter\b|\bbefore\b|\blate\b",
    re.IGNORECASE,
)
SPAN_QUESTION = re.compile(
    r"从.{0,8}(?:到|至).{0,8}(?:什么时候|哪天|何时|几号|几月|多少)|\bfrom when to when\b|\bstart and end\b(?! date)",
    re.IGNORECASE,
)
PRONOUN = re.compile(
    r"\b(?:that|this|the) (?:person|company|party|man|woman)'s\b|\b(?:his|her|their|its)\b|其(?!他)|(?:他|她|它)们?的",
    re.IGNORECASE,
)
LEAD = re.compile(
    r"^\W*(?:请问|請問|请|請|帮我|幫我|告诉我|告訴我|我想知道|想知道|查一下|查找|找出|找到|看一"
    r"下|看看|给出|列出|提取|读出|"
    r"(?:在)?(?:这|這|该|該|此)(?:张|張|份|个|個|页|頁|封|笔)?(?:图片|圖片|照片|文档|文檔|文件|"
    r"电子发票|发票|發票|合同|合約|小票|收据|收據|表格|表单|申请表|登记表|截图|截圖|协议|單據|单"
    r"据|图|圖|表|票|病历|报告|页面)?(?:中|里|裡|裏|上|里面|上面|裡面)?的?|"
    r"(?:图|圖|文|表|票|截图|截圖|图片|文档|文件|发票|發票|合同|小票|收据|表格)(?:片)?(?:中|里|裡|裏|上面|里面|上)的?|"
    r"please|can you|could you|would you|tell me|find out|find|give me|show me|list|extract|get"
    r"|identify|state|provide|i want to know|i need|let me know|i'd like to know|"
    r"what(?:'s| is| are| was| were| does| do| did)?|which|who(?:'s| is| are| was)?|when(?:'s| is"
    r"| was| were| did| does)?|where(?:'s| is| was| are)?|how much(?: is| was| are| did| does)?"
    r"|how many|whose|"
    r"the|is|are|was|be|a|an|and|also|does|did|do|then|both|respectively|according to (?:the|this)"
    r" \w+|(?:in|on|from) (?:the|this) (?:document|invoice|contract|receipt|form|picture|image|screenshot"
    r"|page|photo|file|pdf)|以及|还有|和|那么|那)(?![a-z])\W*",
    re.IGNORECASE,
)
TAIL = re.compile(
    r"\W*(?:(?:那?一?栏)?(?:里面|里|上面|中)?(?:写|填)(?:了|着|的|的是)?(?:什么|啥|谁|多少|哪[个里天儿年])|(?:分别|分別|各自|各|都|又|到底|具体|究竟)?(?:是|为|為|有|写的是|写了|写着|写的|叫|填了|填的是|填的|等于)?(?:"
    r"多少钱|多少錢|多少元|多少|什么|什麼|哪一天|哪天|几号|幾號|哪里|哪裡|哪儿|谁|誰|哪一?[个個位项項种種]|"
    r"(?:哪一?[家个所]|什么)(?:公司|单位|机构|企业|医院|学校|银行|店|人)|哪家|哪些|几|幾|怎样的"
    r"|怎么样|啥|何)(?:呢|啊|呀|的|了)?|吗|嗎|呢|分别|分別|各是|是|为|respectively"
    r"|please|(?:shown |listed |stated |written |given |printed )?(?:here|there)|"
    r"(?:shown |listed |stated |written |given |printed |mentioned |recorded )?(?:in|on|from|of"
    r"|at the (?:top|bottom) of) (?:the|this) (?:document|invoice|contract|receipt|form|picture"
    r"|image|screenshot|page|photo|file|pdf|error|log|agreement|bill|table))\W*$",
    re.IGNORECASE,
)
ASKING = re.compile(
    r"多长时间|多久时间|多久|多长|什么时候|什么时间|哪一?年|几月几[号日]|几点钟?|几[号天日年]|几"
    r"个月|多少[天日年]|多少个?(?:工作日|小时|月|星期|周)|几个小时|多少钱|多少元|\bhow (?:long|much"
    r"|many|old)\b|\bwhat time\b"
)
COMES_TO = re.compile(r"\bwhat (?:did|do|does|will|would) (?P<what>[^,?]+?) (?:come to|add up to|amount to)\b")
UNIT = re.compile(
    r"(?:多少|几)\s*个?\s*(?P<unit>公里|千米|里|小时|分钟|度|米|平方米|平米|平|吨|公斤|斤|千克|"
    r"克|升|毫升|页|岁|周岁|晚|人|人次|元|次|层|GB|MB|条|份)"
)
WHEN = re.compile(r"什么时候|什么时间|何时|几点|\bwhen\b|\bwhat time\b")
# "货到了没去提，一天要交多少": what comes before the comma says when, and asks nothing.
ASKS = r"[谁哪几吗]|什么|多少|何时|怎"
CONTEXT = re.compile(
    rf"^(?:(?!{ASKS})[^,，、;；?？])*?(?:了|没|去|的话|时候?|以?后|如果|要是|万一)(?:(?!{ASKS})[^,，、;；?？])*[,，]"
    rf"(?=.*(?:{ASKS}))"
)
QUESTION_WORD = re.compile(r"[谁哪几]|什么|多少|何时|怎")
# "How much solvent": a quantity, unless the noun is money's.
QUANTITY = re.compile(
    r"\bhow much (?!(?:is|are|was|were|do|does|did|will|would|should|shall|must|can|could|may|might|has|have|had|for"
    r"|per|in|it|a|an|the|this|that|each|more|less|of|to|on|money|cash|tax|vat|gst|rent|interest|change|deposit|tip|discount|pay"
    r"|salary|bonus|fee|duty|credit|pension|i|we|you|he|she|they|one|time|paid|went|goes|extra|altogether|total)\b)[a-z]"
)
OF = re.compile(r"\w (?:of|for|on) \w")
BARE = {
    "money": ("总额", "金额"),
    "date": ("日期",),
    "datetime": ("时间", "日期"),
    "phone": ("电话",),
    "place": ("地址",),
}
KINDS = (
    (
        "date",
        re.compile(
            r"哪一?天|几月|日期|(?<![码机房桌床楼台是])几号|何日|\bwhat (?:day|date)\b|\bwhich day\b|\bdates?\b",
            re.IGNORECASE,
        ),
    ),
    (
        "duration",
        re.compile(
            r"多久|多长时间|多长|几天|多少天|多少日|几年|多少年|几个月|多少个?月|多少个?工作日|"
            r"几个?工作日|\bhow long\b|\bhow many (?:\w+ )?(?:days|years|months|hours|weeks|minutes)\b"
            r"|\bwithin how",
            re.IGNORECASE,
        ),
    ),
    ("datetime", re.compile(r"什么时候|何时|几点|什么时间|时间|\bwhen\b|\bwhat time\b", re.IGNORECASE)),
    (
        "percent",
        re.compile(r"百分之几|百分之多少|百分比|比例|税率|利率|\bpercent|\brate\b|\bproportion", re.IGNORECASE),
    ),
    (
        "money",
        re.compile(
            r"多少钱|多少元|多少块|多少[\u4e00-\u9fff]{0,3}[费款金]"
            r"|金额|价格|费用|单价|\bhow much\b|\bamount\b|\bprice\b|\bcost\b",
            re.IGNORECASE,
        ),
    ),
    ("phone", re.compile(r"电话|手机|\bon (?:what|which) number\b|\bphone\b|\btelephone\b", re.IGNORECASE)),
    (
        "number",
        re.compile(
            r"几[个件份台箱人次项种盒套]|多少[个件份台箱人次项种盒套页]|一式几|数量|\bhow many\b|\bquantity\b",
            re.IGNORECASE,
        ),
    ),
    ("name", re.compile(r"谁|哪家|哪个公司|\bwho\b|\bwhose\b|\bwhich company\b", re.IGNORECASE)),
    ("place", re.compile(r"哪里|在哪|何处|哪儿|\bwhere\b", re.IGNORECASE)),
)


def understand(text: str, lexicon: Lexicon) -> Question:
    """Reads a question. Anything that is no order to read it all, to refuse or to check is something to find."""
    language = _language(text)
    folded = fold(text)
    if not re.search(r"\w", folded):
        return Question(text, language, Intent.READ)
    if wants_all(folded) or (READ.match(folded) and not _names_field(folded, lexicon)):
        return Question(text, language, Intent.READ)
    if REFUSE.search(folded):
        return Question(text, language, Intent.REFUSE)
    intent = (
        Intent.EXISTS
        if EXISTS.search(folded)
        and not re.search(r"多少|什么|哪|几|谁|\bwhat\b|\bhow\b|\bwhen\b|\bwho\b|\bwhich\b", folded)
        else Intent.FIND
    )
    folded = COMES_TO.sub(r"how much was \g<what>", folded)
    asks = _asks(spread(folded), lexicon)
    return Question(text, language, intent, asks, ask(strip(folded) or folded, folded, lexicon))


def _names_field(folded: str, lexicon: Lexicon) -> bool:
    """Whether one field's content is asked for and not the whole: "备注栏写了什么"."""
    told = FIELD_SAYS.match(folded)
    return NAMED_FIELD.search(folded) is not None or (
        told is not None and any(name in lexicon.types for name in lexicon.concepts(told["field"]))
    )


def _language(text: str) -> Language:
    chinese = sum("\u4e00" <= char <= "\u9fff" for char in text)
    latin = len(re.findall(r"[A-Za-z]+", text))
    if chinese == 0 or latin > 2 * chinese:
        return Language.ENGLISH if latin else Language.SIMPLIFIED
    return Language.TRADITIONAL if is_traditional(text) else Language.SIMPLIFIED


def _asks(folded: str, lexicon: Lexicon) -> tuple[Ask, ...]:
    divider = SPLIT if not CONDITION.search(folded) else SPLIT_HARD
    pieces = [piece for piece in divider.split(CONTEXT.sub("", folded)) if piece and strip(piece)]
    whole = strip(folded) or folded
    if len(pieces) < 2 or SPAN_QUESTION.search(folded):
        return (ask(whole, folded, lexicon),)
    shared = lexicon.phrase(folded).parties
    parts = _distributed(lexicon, [strip(PRONOUN.sub(" ", piece)) or strip(piece) for piece in pieces])
    return tuple(ask(part, piece, lexicon, shared) for part, piece in zip(parts, pieces, strict=True))


def _distributed(lexicon: Lexicon, parts: list[str]) -> list[str]:
    """Gives each part what the parts share: "甲方的地址和电话" asks for 甲方的地址 and for 甲方的电话."""
    owner = re.match(r"^(.{1,20}?)的(?=.)", parts[0])
    if owner and not QUESTION_WORD.search(owner.group(1)) and all("的" not in part for part in parts[1:]):
        return [parts[0], *(f"{owner.group(1)}的{part}" for part in parts[1:])]
    of = re.search(r"\s(?:of|for)\s(?:the\s)?(.{2,60})$", parts[-1])
    if of and all(not re.search(r"\b(?:of|for)\b", part) for part in parts[:-1]):
        return [*(f"{part} of {of.group(1)}" for part in parts[:-1]), parts[-1]]
    whose = re.match(r"^(.{2,40}?)'s?\s", parts[0])
    if whose and all("'" not in part for part in parts[1:]):
        return [parts[0], *(f"{whose.group(1)}'s {part}" for part in parts[1:])]
    head = re.search(r"的(.{2,10})$", parts[-1])
    if head and all("的" not in part and not _stands_alone(part, lexicon) for part in parts[:-1]):
        return [*(f"{part}的{head.group(1)}" for part in parts[:-1]), parts[-1]]
    return parts


def _stands_alone(part: str, lexicon: Lexicon) -> bool:
    """Whether a part names a key of its own, so that it does not share the last one's."""
    names = lexicon.concepts(part)
    return any(name in lexicon.types for name in names) and not PARTIES & set(names)


def strip(text: str) -> str:
    """A question without its frame: "请问开票日期是哪天？" becomes "开票日期"."""
    last = ""
    while last != text:
        last = text
        text = LEAD.sub("", text, count=1)
        text = TAIL.sub("", text, count=1)
    return text.strip(" ?？。.,，:：!的")


def ask(text: str, whole: str, lexicon: Lexicon, parties: frozenset[str] = frozenset()) -> Ask:
    """One thing asked, with its type told from the question's own words or from what its concepts usually hold."""
    meant = [strip(variant) for variant in lexicon.rewritten(whole)]
    plain = re.sub(r"\s+", " ", UNIT.sub(" ", ASKING.sub(" ", text))).strip() or text
    phrases = tuple(
        lexicon.phrase(variant)
        for variant in dict.fromkeys([*(ASKING.sub(" ", m).strip() or m for m in meant), plain])
        if variant
    )
    phrase = phrases[0]
    typed = [
        lexicon.types[name]
        for token in phrase.tokens
        if len(token.names)
        for name in sorted(token.names)
        if name in lexicon.types
    ]
    asked = next((kind for kind, pattern in KINDS if pattern.search(whole)), "")
    if asked == "money" and QUANTITY.search(whole):
        asked = "number"
    if asked in ("", "datetime", "name", "place", "money", "number") and typed:
        specific = [kind for kind in typed if kind != "text"]
        headed = specific[0 if OF.search(text) else -1] if specific else ""
        asked = asked if asked in specific else (headed if headed and not asked else asked or typed[-1])
    if asked in ("", "number") and phrase.tokens and any("name" in token.names for token in phrase.tokens):
        asked = "name"
    if asked == "datetime" and _is_key(plain, lexicon) and not WHEN.search(whole):
        asked = _usual(phrase, lexicon)
    meant_by = () if _is_key(plain, lexicon) else tuple(p for p in lexicon.meant(whole) if _adds(p, lexicon))
    left = [token for token in phrase.tokens if token.weight > 0.36]
    if not left and asked in BARE and not meant_by:
        phrases = (*(lexicon.phrase(key) for key in BARE[asked]), *phrases)
    unit = UNIT.search(whole)
    kinds = (*(_usual(key, lexicon) or asked for key in meant_by), *(asked for _ in phrases))
    return Ask(
        text, (*meant_by, *phrases), asked, whole, parties, unit.group("unit") if unit else "", kinds, len(meant_by)
    )


def _is_key(text: str, lexicon: Lexicon) -> bool:
    """Whether what is left of a question is the name of a key, so that nothing else can be meant."""
    return any(name in lexicon.types for name in lexicon.concepts(text)) and len(text) > 2


def _adds(phrase: Phrase, lexicon: Lexicon) -> bool:
    """Whether what a question may mean is more than what it names: "how much was the tip" asks for no total."""
    kind = _usual(phrase, lexicon)
    named = [name for t in phrase.tokens if t.soft and len(t.surface) > 1 for name in t.names - PARTIES]
    return kind not in ("money", "percent") or all(lexicon.types.get(name) != kind for name in named)


def _usual(phrase: Phrase, lexicon: Lexicon) -> str:
    """What the values of a key usually look like."""
    names = lexicon.concepts(phrase.text)
    return next((lexicon.types[name] for name in names if name in lexicon.types), "")
