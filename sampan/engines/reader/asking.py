"""How questions ask about tables: comparisons, sums, places, people, times, in Chinese and in English."""

from __future__ import annotations

import re
from decimal import Decimal

from sampan.engines.reader.aliases import named

COUNTED = (
    r"(?P<{0}>\d[\d,]*(?:\.\d+)?\s*(?:万|千|k\b)?|[一两二三四五六七八九十]|one|two|three|four|five|six"
    r"|seven|eight|nine|ten)"
)
MORE = re.compile(
    r"(?P<atleast>不少于|不低于|不小于|大于等于|至少|at least|no less than|>=|≥)|大于|超过|高于|多于|贵于|重于|高于|"
    r"(?:more|greater|higher|larger|bigger|longer) than|\bover\b|\babove\b|exceed(?:s|ed|ing)?|>"
)
LESS = re.compile(
    r"(?P<atmost>不超过|不多于|不高于|不大于|小于等于|至多|最多不超过|at most|no "
    r"more than|up to|<=|≤)|小于|低于|少于|不及(?!格)|不到|不足|未满|"
    r"(?:less|fewer|lower|smaller|cheaper|shorter) than|\bunder\b|\bbelow\b|<"
)
AFTERWARDS = re.compile(
    COUNTED.format("number") + r"\s*[元块个件分天人]?\s*(?P<side>(?:及|或)?以[上下内]|or more|or less)"
)
BETWEEN = re.compile(
    rf"(?:在|between)\s*{COUNTED.format('low')}\D{{0,3}}?\s*(?:到|至|和|-|~|and|to)\s*{COUNTED.format('high')}"
)
EQUAL = re.compile(
    r"(?:是|为|等于|=|\bof\b|\bis\b|\bwas\b|\bare\b|\bat\b|\bequals?\b|\bexactly\b|\bhas\b"
    r"|\bhave\b|\bbought\b|\bordered\b|有|买了|卖了|了)\s*(?:¥|￥|\$|€|£)?\s*"
    + COUNTED.format("number")
    + r"(?![\d.]|\s*(?:st|nd|rd|th)\b)|\b(?P<times>once|twice)\b"
    r"|^\W*(?P<first>\d[\d,]*(?:\.\d+)?)\s*[元块个件](?:钱)?的"
)
WHICH = re.compile(
    r"哪|谁|什么(?:商品|东西|项目|产品|菜|药|指标)|有没有.{0,4}(?:商品|项目)"
    r"|\bwhich\b|\bwho\b|\bwhat (?:item|product|row|line|thing"
    r"|dish|test|course)"
    r"|的是什么|\bwhat (?:is|was) the (?:item|product|row) (?:with|that)|\b(?:list|name) (?:all |the )"
)
AVERAGE = re.compile(r"平均|均价|均值|\baverage\b|\bmean\b(?! by)")
TOTAL = re.compile(
    r"总|一共|合计|加起来|加总|之和|累计|共(?=多少|几|有|买|卖|花)|\btotal\b|\bsum\b"
    r"|\baltogether\b|\bin all\b|\bcombined\b|\boverall\b"
)
HOW_MANY = re.compile(r"(?<!哪)几(?!号|月|点|楼|层|级|岁)|多少(?!钱|元|块|号)|\bhow many\b|\bnumber of\b|\bhow often\b")
HOW_MUCH = re.compile(r"多少钱|多少元|多少块|\bhow much\b|\bprice\b|\bcosts?\b|价|几块|几元|怎么卖")
WHO = re.compile(r"谁|哪位|哪个人|哪些人|什么人|\bwho\b|\bwhose\b|\bwhom\b")
WHEN = re.compile(
    r"哪一?[几些]?天|哪几日|几号|什么时候|何时|几点|什么时间|哪天|日期|\bwhen\b|\bwhat "
    r"(?:date|time)\b|\bwhich (?:date|days?)\b"
)
WEEKDAY = re.compile(r"星期几|周几|礼拜几|\bwhat day\b|\bwhich day of\b|\bday of the week\b")
WHERE = re.compile(
    r"哪里|哪儿|在哪|什么地方|哪个(?:教室|房间|站台|城市|地方)|\bwhere\b|\bwhich (?:room|platform|city)\b"
)
WANTED_NOUN = re.compile(
    r"(哪一?[个种款项趟])[\u4e00-\u9fff]{2}(?=[的有是最在能可])|(\bwhich) [a-z]+ (?=has|have|is|are|was|were)"
)
NORMAL = re.compile(
    r"正常|高不高|低不低|超标|超不超|偏高|偏低|过高|过低|达标|合格吗|有问题|异常|\bnormal\b"
    r"|\bwithin\b.*\brange\b|\btoo (?:high|low)\b"
    r"|\bout of range\b|\babnormal\b|\belevated\b|\bin range\b|\b(?:is|are)\b.*\b(?:high|low|ok|okay)\b"
)
ABNORMAL = re.compile(r"不正常|异常|超标|有问题|超出|\babnormal\b|\bout of range\b|\bnot normal\b|\boutside\b")
MARKED = re.compile(r"[↑↓]|^\s*[HL]\s*$|偏高|偏低|异常|阳性", re.IGNORECASE)
RANGE_HEAD = re.compile(r"参考|正常值|范围|reference|normal|range", re.IGNORECASE)
RESULT_HEAD = re.compile(r"结果|测定|检测值|测量值|数值|\bresult|\bvalue\b|本次", re.IGNORECASE)
PLACE_HEAD = re.compile(
    r"目的地|destination|地点|地址|教室|房间|站台|城市|位置|where|place|room|platform|venue|city|location",
    re.IGNORECASE,
)
SIDES = re.compile(r"\bdebit|\bcredit|\bpaid (?:in|out)|\bwithdraw|\bdeposit|支出|收入|借方|贷方|存入|取出|转出|转入")
BALANCE = re.compile(r"余额|结余|\bbalance")
NOT_THE_TOTAL = re.compile(r"大写|小写|价税|实际|实付|实收|应收|应付|折后|优惠|找零|\bin words\b|\bpaid\b|\bdue\b")
CLOSING = re.compile(r"期末|最后|最终|现在|当前|目前|\bclosing\b|\bfinal\b|\bcurrent\b|\bend(?:ing)?\b|\blatest\b")
CODE_HEAD = re.compile(r"编码|编号|代码|号|\bcode\b|\bno\b|\bnumber\b|\bid\b|\bsku\b")
GENERIC_WORDS = named(
    "最多 最少 最大 最高 最低 保留 提供 包含 支持 交货 发货 到货 收费 是多 交易 怎么 "
    "商品 项目 东西 产品 货物 货品 物品 指标 检查 检验 结果 员工 人员 人 单子 明细 名称 数据 数值 "
    "内容 记录 行 列 栏 项 个 种 件 款 包 盒 瓶 杯 份 台 本 支 只 箱 袋 次 名 条 "
    "买 购买 采购 卖 售 花 花费 点 付 收 值 值班 上 上班 负责 排 拿 用 订 购 吃 喝 做 考 得 "
    "开 去 来 钱 元 块 数 量 数目 总 共 一共 总共 总计 合计 加起来 平均 全部 所有 "
    "要 卖出 对应 当 当天 同 时 最后 有关 情况 标 写 属于 下 每 单 价 价格 费用 笔 号 叫 张 "
    "查 测 验 查出 查出来 测出 测出来 检出 显示 登记 记录 零件 成绩 考试 "
    "位 家 天 做 级 分 高 低 多 大 小 于 过 到 里 面 中 内 外 这 那"
)
GENERIC_ENGLISH = named(
    "item product row line good order buy bought purchase purchased ordered sold sell cost price much many pay paid "
    "number quantity qty amount total sum value unit each per average mean list table "
    "entry entries thing result test kind type different "
    "more less than over under above below between least most exactly equal have has had "
    "got charge charged work working duty shift on "
    "day date time column cell bill altogether combined all together there other piece "
    "same name label correspond single were being "
    "took take taken us me my went go come came come does did say shown entered recorded "
    "listed bring count overall only just"
)
SAID = {
    -1: ("偏低", "below the range (low)"),
    0: ("正常（在参考范围内）", "normal (within the range)"),
    1: ("偏高", "above the range (high)"),
}
RANK_HEAD = re.compile(r"名次|排名|\brank|\bplace\b|\bposition\b")
PLACE = re.compile(
    r"第\s*([一二三四五六七八九十]|\d{1,2})\s*名|(?:名次"
    r"|排名)\D{0,3}?([一二三四五六七八九十]|\d{1,2})|\b(?:came|ranked?"
    r"|finished|in)\s+(first|second|third|fourth|fifth)"
    r"|\b(first|second|third) place"
)
PLACES = (
    {w: Decimal(n) for n, w in enumerate("一二三四五六七八九十", 1)}
    | {str(n): Decimal(n) for n in range(1, 100)}
    | {w: Decimal(n) for n, w in enumerate(("first", "second", "third", "fourth", "fifth"), 1)}
)
HEADCOUNT = re.compile(
    r"(?:几|多少)\s*(?:个|名|位)?\s*(?:人|学生|同学|员工|成员)|\bhow many (?:people|students|employees"
    r"|members|persons|names)\b"
)
RANK = re.compile(
    r"第(?P<zh>[二三四])(?P<zhside>高|贵|多|大|长)|\b(?P<en>second|third|fourth)[ -](?:most|highest"
    r"|largest|biggest|dearest|longest)\b"
)
RANKS = {"二": 2, "三": 3, "四": 4, "second": 2, "third": 3, "fourth": 4}
