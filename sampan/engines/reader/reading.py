"""Whether a question wants everything read out: an order or a wish to read, and no field named besides the document."""

from __future__ import annotations

import re

from sampan.engines.reader.aliases import named

# What asks for reading in full.
ORDERS = (
    "提取|识别|敲|打(?=出|下|成|一遍)|读|念|抄|誊|转写|转录|转成|输出|打出|打印|导出|列出|显示|复制|复述|录入|录下|取出|拿出|摘录|扫描|扫出|扒"
    "|[写印刻标打贴登载]着?了?(?:些|点)?(?:什么|啥|哪些)|[说讲]了?(?:些|点)?(?:什么|啥)|(?:看|认|找)到?了?(?:些)?(?:什么|啥|哪些)"
    "|有(?:些|哪些|什么|啥|咩)(?:字|文字|内容|信息|东西|嘢)|内容(?:是|为)?(?:什么|啥)"
    "|[写印]的?(?:是|都是)?(?:什么|啥|咩|乜)|[写印]咗(?:咩|乜|啲咩)|(?:文字|字|字样)(?:都)?(?:是|系)(?:什么|啥|咩)"
    "|全文|原文|文字版|文本版|逐字稿|电子版|睇"
)
VERBS = re.compile(
    ORDERS
    + r"|给|\bwhat(?:'s| is) (?:on|in) (?:this|the|it|here)\b|\bturn .* into\b|\b(?:full|entire|complete|whole) text\b"
    r"|\b(?:ocr|read|transcri(?:be|pt|ption)|copy|extract|type|dump|recogni[sz]e|reproduce|scan|digiti[sz]e|retype"
    r"|convert|output|print|list|write|spell|give|show|get|pull|grab|tell|recite"
    r"|what (?:text|words)|written|says?|said|printed|contains?)\b"
)
# What says that it is the whole, or the text as such.
WHOLE = re.compile(
    r"字|文本|全文|全部|所有|内容|一切|整[张页篇份个]|逐[字行]|每个?[字行]|什么|啥|哪些|一遍|下来|出来|完整|从头|东西|原文|文字版|咩|乜|原样|照抄|照着|原封不动"
    r"|\b(?:text|texts|words?|everything|all|contents?|lines?|written|says?|said|printed|wording|verbatim|transcri\w+|ocr"
    r"|letters|characters)\b"
)
ALONE = re.compile(
    r"\b(?:read|transcribe|ocr|retype|digiti[sz]e|type .*up)\b|\bwhat(?:'s| is) (?:on|in) (?:this|the)\b|[读念]给"
    r"|念一?[下遍]|读一?[下遍出]|抄一?[下遍]|朗读|识别|提取"
)
DOCUMENTS = (
    "图片|图像|图中|图里|图|照片|相片|截图|截屏|画面|界面|屏幕|屏|页面|网页|页|票面|车票|机票|门票|小票|发票|票据|票"
    "|单据|单子|单|收据|文件|文档|合同|协议|表格|表单|表|通知|告示|公告|海报|招牌|牌子|标签|名片|证件|证|卡片|卡|信件|信"
    "|报告|报纸|报|说明书|说明|材料|资料|原件|原文|扫描件|纸|东西|幅|张|份|篇|封|个|本|段|行"
)
FRAME = (
    "请问|请|帮忙|帮|麻烦|劳驾|能不能|能否|能|可不可以|可以|可否|把|将|给|我们|我|您|你|这里|这|那|该|此|上面|里面|下面|上边"
    "|里边|上头|里头|面|上|里|中|内|的|地|得|所有|全部|全文|全|都|每一个|每一行|每个|每行|每|一个不漏|一字不漏|一字不落|一字不差"
    "|不漏|原样|照样|原封不动|原文|完整|整个|整|从头到尾|从头|逐字逐句|逐字|逐行|文字|文本|字样|字|内容|信息|一切|写|印|着|了|些"
    "|什么|啥|哪些|有|是|为|出来|出|来|一遍|一下|下来|下|遍|成|转|抄录|抄写|录|朗读|读取|念出|看|认|说|讲|告诉|到|并|和|吧|呢|吗"
    "|它|看下|下|听|版|念给|讲|嘅|啲|佢|畀|俾|睇下|睇|打出嚟|出嚟|嚟|晒|咩|乜|嘢|咗|系|帮手|唔该|成|相|图像|那种|是的|一共|呀|啊|一|想|要|想要|需要|知道|显示|现|用|以|按|格式|纯文本|直接|就|给到|原原本本|照着|照|部|通通|统统|件|听"
)
WORDS = sorted({*FRAME.split("|"), *DOCUMENTS.split("|")}, key=len, reverse=True)
CHINESE = re.compile("|".join([ORDERS, *WORDS]))
ENGLISH = named(
    "please can could would will you i we me us need want like to for the a an this that these those of on in"
    " onto at from out all every each everything whole full entire complete text texts word words wording line"
    " lines content contents written writing says say said shown printed appears appear displayed visible"
    " legible what what's whatever which is are does do did it its it's s read reading copy transcribe"
    " transcript transcription type extract dump ocr output get return print give show tell recognise recognize"
    " list write spell reproduce convert turn into as plain markdown aloud loud verbatim exactly by letter"
    " letters character characters image picture photo photograph scan screenshot screen document page pages"
    " pdf file form invoice receipt contract notice ticket poster sign label slip card statement report table"
    " paper here there there's has have and down back up contain contains raw digitize digitise retype just"
    " simply kindly help my see d ll top bottom through pull grab off recite exact thing let know make"
    " type typed up turn put into what's is picture's page's thing things version electronic copyable digital gets"
    " transcribed fully aloud loudly screengrab bill paperwork sheet letterhead leaflet flyer certificate"
)


def wants_all(folded: str) -> bool:
    """Whether a folded question leaves nothing once the words for reading, documents and courtesy are taken away."""
    folded = folded.replace("甚么", "什么")
    if not VERBS.search(folded) or not (WHOLE.search(folded) or ALONE.search(folded)):
        return False
    if re.search(r"[\u4e00-\u9fff]", folded):
        return re.search(r"\w", CHINESE.sub("", re.sub(r"\bocr\b|\bmarkdown\b|\bpdf\b", "", folded))) is None
    return all(word in ENGLISH for word in re.findall(r"[a-z0-9]+(?:'[a-z]+)?", folded))
