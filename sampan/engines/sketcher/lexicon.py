"""The closed classes of words, in both languages: colours, numbers, sizes, relations and the words to pass over."""

from __future__ import annotations

import re

# Painted colours, sRGB. Hues stand apart so that each is told from the next at a glance.
PAINTS: dict[str, tuple[int, int, int]] = {
    "red": (226, 38, 38),
    "dark red": (150, 20, 28),
    "light red": (242, 100, 100),
    "orange": (250, 135, 18),
    "yellow": (252, 212, 30),
    "gold": (232, 180, 30),
    "green": (48, 168, 62),
    "dark green": (22, 104, 46),
    "light green": (126, 208, 112),
    "olive": (128, 128, 30),
    "teal": (10, 140, 136),
    "cyan": (30, 196, 216),
    "blue": (36, 104, 226),
    "dark blue": (24, 50, 140),
    "light blue": (108, 178, 244),
    "purple": (138, 58, 198),
    "dark purple": (88, 30, 132),
    "light purple": (186, 136, 230),
    "pink": (250, 120, 172),
    "magenta": (222, 36, 150),
    "brown": (136, 84, 44),
    "dark brown": (88, 52, 26),
    "beige": (222, 200, 160),
    "white": (248, 248, 250),
    "gray": (136, 138, 142),
    "dark gray": (82, 84, 88),
    "light gray": (190, 192, 196),
    "silver": (186, 190, 198),
    "black": (34, 34, 38),
}
RAINBOW = ("red", "yellow", "blue", "green", "purple", "orange")

_EN = """
red: red, scarlet, vermilion, cherry red, bright red, reddish, ruby red, blood red, blood-red
dark red: crimson, maroon, burgundy, dark red, deep red, wine red
light red: light red, pale red
orange: orange, bright orange, dark orange, light orange, amber, tangerine orange
yellow: yellow, bright yellow, light yellow, pale yellow, lemon yellow, dark yellow, deep yellow, yellowish
gold: gold, golden, golden yellow, mustard
green: green, bright green, emerald green, grass green, grass-green, emerald, greenish, kelly green
dark green: dark green, deep green, forest green
light green: light green, pale green, lime green, mint green, mint
olive: olive green, olive-green
teal: teal, dark cyan
cyan: cyan, turquoise, aqua, aquamarine
blue: blue, bright blue, royal blue, cobalt, cobalt blue, azure, bluish, sapphire blue
dark blue: dark blue, deep blue, navy, navy blue, indigo, midnight blue
light blue: light blue, pale blue, sky blue, sky-blue, baby blue
purple: purple, violet, bright purple, purplish
dark purple: dark purple, deep purple
light purple: light purple, pale purple, lavender purple, lilac
pink: pink, hot pink, light pink, pale pink, rose pink, bright pink, pinkish, baby pink
magenta: magenta, fuchsia, dark pink, deep pink
brown: brown, chestnut brown, light brown, brownish, chocolate brown, bronze
dark brown: dark brown, deep brown
beige: beige, tan, cream-colored, cream, khaki, ivory
white: white, snow white, snow-white, pure white, snowy white
gray: gray, grey, greyish, grayish
dark gray: dark gray, dark grey, charcoal gray
light gray: light gray, light grey, pale gray, pale grey
silver: silver, silvery
black: black, jet black, pitch black, jet-black
rainbow: colorful, colourful, multicolored, multicoloured, rainbow-colored, rainbow-coloured, multi-colored,
  colored, coloured, various colors
"""
_ZH = """
red: 红, 红色, 大红, 大红色, 赤, 赤色, 朱红, 朱红色, 鲜红, 鲜红色, 绯红, 火红, 红彤彤, 通红, 艳红, 正红, 正红色,
  亮红色
dark red: 深红, 深红色, 暗红, 暗红色, 酒红, 酒红色, 枣红, 枣红色
light red: 浅红, 浅红色, 淡红, 淡红色
orange: 橙, 橙色, 橘色, 橘红, 橘红色, 桔色, 橙红, 橙红色, 橘黄, 橘黄色, 橙黄, 橙黄色
yellow: 黄, 黄色, 明黄, 明黄色, 鲜黄, 鹅黄, 鹅黄色, 淡黄, 淡黄色, 浅黄, 浅黄色, 深黄色, 亮黄色, 柠檬黄
gold: 金, 金色, 金黄, 金黄色, 黄金色
green: 绿, 绿色, 翠绿, 翠绿色, 草绿, 草绿色, 碧绿, 碧绿色, 鲜绿, 鲜绿色, 绿油油, 亮绿色
dark green: 深绿, 深绿色, 墨绿, 墨绿色, 暗绿色
light green: 浅绿, 浅绿色, 淡绿, 淡绿色, 嫩绿, 嫩绿色, 薄荷绿
olive: 橄榄绿, 橄榄色
teal: 蓝绿, 蓝绿色
cyan: 青, 青色, 天青色, 青绿, 青绿色, 青蓝色
blue: 蓝, 蓝色, 湛蓝, 湛蓝色, 宝蓝, 宝蓝色, 蔚蓝, 蔚蓝色, 碧蓝, 亮蓝色, 蓝莹莹
dark blue: 深蓝, 深蓝色, 藏青, 藏青色, 藏蓝, 藏蓝色, 暗蓝色, 靛, 靛蓝, 靛蓝色, 海军蓝
light blue: 浅蓝, 浅蓝色, 淡蓝, 淡蓝色, 天蓝, 天蓝色
purple: 紫, 紫色, 紫罗兰色, 亮紫色, 紫红, 紫红色
dark purple: 深紫, 深紫色, 暗紫色
light purple: 浅紫, 浅紫色, 淡紫, 淡紫色
pink: 粉, 粉色, 粉红, 粉红色, 桃红, 桃红色, 浅粉色, 淡粉色, 粉嫩, 浅粉, 淡粉
magenta: 玫红, 玫红色, 洋红, 洋红色, 品红, 品红色, 玫瑰红, 深粉色
brown: 棕, 棕色, 褐色, 褐, 咖啡色, 茶色, 浅棕色, 古铜色, 黄褐色, 红棕色, 棕褐色
dark brown: 深棕, 深棕色, 深褐色
beige: 米色, 米黄色, 米白色, 卡其色, 奶油色, 杏色
white: 白, 白色, 雪白, 雪白色, 洁白, 纯白, 纯白色, 乳白色, 白花花
gray: 灰, 灰色, 灰白色
dark gray: 深灰, 深灰色, 暗灰色
light gray: 浅灰, 浅灰色, 淡灰色
silver: 银, 银色, 银白, 银白色
black: 黑, 黑色, 乌黑, 漆黑, 纯黑, 纯黑色, 墨色, 黑漆漆
rainbow: 彩色, 五颜六色, 五彩, 五彩缤纷, 七彩, 彩虹色, 各色, 五光十色, 花花绿绿
"""


def words(text: str) -> frozenset[str]:
    """The words of a text, told apart by spaces."""
    return frozenset(text.split())


def _table(text: str) -> dict[str, str]:
    """{word: value} of lines "value: word, word"; an indented line goes on with the one before."""
    found: dict[str, str] = {}
    for line in re.sub(r"\n +", " ", text.strip()).splitlines():
        value, _, words = line.partition(": ")
        found.update({word.strip(): value for word in words.split(",")})
    return found


COLOURS_EN = _table(_EN)
COLOURS_ZH = _table(_ZH)

SIZES_EN = {
    word: size
    for size, group in (
        (2.2, "huge giant enormous gigantic massive immense colossal humongous super-large extra-large"),
        (1.75, "big large bigger larger grand tall"),
        (0.55, "small little smaller short"),
        (0.36, "tiny mini miniature small-sized teeny minuscule itsy-bitsy"),
    )
    for word in group.split()
}
SIZES_ZH = {
    word: size
    for size, group in (
        (2.2, "巨大 巨型 超大 特大 庞大 硕大 极大 很大很大"),
        (1.75, "大 很大 大大 较大 大号 大型 高大 更大 大个 稍大"),
        (0.55, "小 小小 较小 小型 很小 更小 小个 稍小 矮小"),
        (0.36, "极小 微小 迷你 微型 超小 袖珍 特小"),
    )
    for word in group.split()
}

NUMBERS_EN = {
    word: number
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
} | {
    "a dozen": 12,
    "dozen": 12,
    "half a dozen": 6,
    "half dozen": 6,
    "two dozen": 24,
    "a couple of": 2,
    "a couple": 2,
    "a pair of": 2,
    "pair of": 2,
    "pairs of": 2,
    "several": 4,
    "a few": 3,
    "few": 3,
    "some": 3,
    "many": 7,
    "lots of": 8,
    "a lot of": 8,
    "plenty of": 8,
    "numerous": 8,
    "both": 2,
    "a group of": 5,
    "a bunch of": 5,
    "a herd of": 6,
    "a flock of": 6,
    "a crowd of": 8,
    "a pack of": 5,
    "a swarm of": 8,
    "a school of": 6,
    "a pile of": 5,
    "a row of": 5,
    "a line of": 5,
    "a circle of": 8,
    "a ring of": 8,
    "a field of": 9,
    "a set of": 3,
    "a trio of": 3,
    "trio of": 3,
    "triple": 3,
    "quartet of": 4,
    "single": 1,
    "a single": 1,
    "just one": 1,
    "only one": 1,
    "countless": 12,
    "a number of": 4,
    "an array of": 6,
    "a collection of": 6,
    "exactly one": 1,
    "another": 1,
    "hundreds of": 40,
    "dozens of": 24,
    "twin": 2,
    "triplet": 3,
}
NUMBERS_ZH = {
    "一": 1,
    "二": 2,
    "两": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
    "十": 10,
    "俩": 2,
    "仨": 3,
    "一群": 6,
    "一对": 2,
    "一双": 2,
    "一排": 5,
    "一行": 5,
    "一列": 5,
    "一堆": 6,
    "一打": 12,
    "半打": 6,
    "一些": 3,
    "几": 3,
    "数": 4,
    "好几": 5,
    "许多": 8,
    "很多": 8,
    "好多": 8,
    "大量": 10,
    "众多": 8,
    "无数": 12,
    "若干": 4,
    "满天": 9,
    "成群": 8,
    "一圈": 8,
    "一大群": 8,
    "一小群": 4,
    "两三": 3,
    "三四": 4,
    "四五": 5,
    "五六": 6,
    "一两": 2,
    "双": 2,
    "几十": 24,
    "各种": 3,
    "单": 1,
    "另一": 1,
}
# 群, 对, 排 and 双 count by themselves (above); 只 also means "only", which changes nothing here.
CLASSIFIERS = words(
    "只 個 个 辆 棵 朵 条 张 把 座 匹 头 位 名 颗 枝 支 瓶 杯 碗 块 片 根 本 架 艘 台 盏 幅 面 间 栋 幢 株 束 "
    "串 粒 滴 扇 件 口 尾 枚 "
    "顶 盆 部 轮 道 团 尊 样 种 盒 袋 篮 筐 份 副 套 所 家 具 顆 隻 隻 项 幢 坨 瓣 节 层 抹 弯"
)
ARRANGED = {
    "row": "in a row, in a line, in one row, in one line, in a single row, in a horizontal row, in a horizontal line, "
    "next to each other, next to one another, beside each other, in order, lined up horizontally, side-by-side, "
    "arranged horizontally, horizontally, side by side, lined up, in a straight line, a row of, a line of, 一排, "
    "一行, 排成一排, 排成一行, 排成一列横队, 并排, 一字排开, 排队, 横排, 横着排, 成一排, 并列, 并肩, 排成排, "
    "排成一条线, 一字形排开, 横向排列, 水平排列, 依次, 依次排列, 依次排开, 按顺序, 按顺序排列, 排成一横排, "
    "一横排, 肩并肩",
    "column": "in a column, in one column, stacked, stacked up, stacked vertically, in a stack, in a vertical line, "
    "in a vertical row, in a vertical column, vertically, arranged vertically, lined up vertically, a column of, "
    "a stack of, one above the other, one below the other, on top of each other, on top of one another, "
    "叠在一起, 叠放, 摞在一起, 上下排列, 竖着排, 竖直排列, 垂直排列, 纵向排列, 竖着排列, 排成一竖列, "
    "竖着排成一列, 一竖排, 竖成一列, 从上往下, 一列, 排成一列, 竖排, 成一列, 纵列",
    "ring": (
        "in a circle, in a ring, a circle of, a ring of, 一圈, 围成一圈, 排成一圈, 围成圈, 排成圆圈, 围成圆圈, 排成圆形"
    ),
}

# Directions. As a place: where in the picture (x, y of 0, 1, 2, None is free). As a relation: its kind.
PLACES: dict[str, tuple[int | None, int | None]] = {
    "left": (0, None),
    "right": (2, None),
    "above": (None, 0),
    "on": (None, 0),
    "below": (None, 2),
    "under": (None, 2),
    "top": (None, 0),
    "bottom": (None, 2),
    "middle": (1, 1),
    "inside": (1, 1),
    "front": (None, 2),
    "behind": (None, 0),
    "top-left": (0, 0),
    "top-right": (2, 0),
    "bottom-left": (0, 2),
    "bottom-right": (2, 2),
    "sky": (None, 0),
    "top-middle": (1, 0),
    "bottom-middle": (1, 2),
    "left-middle": (0, 1),
    "right-middle": (2, 1),
}
LOCATIONS_ZH = _table(
    """
left: 左边, 左侧, 左面, 左方, 左手边, 左, 左边儿, 左半边, 左半部分, 最左边, 左端, 靠左, 正左方
right: 右边, 右侧, 右面, 右方, 右手边, 右, 右边儿, 右半边, 右半部分, 最右边, 右端, 靠右, 正右方
above: 上方, 正上方, 头顶, 头顶上, 上空, 顶上方
on: 上面, 上, 上边, 顶上, 之上, 上头
below: 下方, 正下方, 下面, 下边, 之下
under: 底下, 下, 脚下, 下头
front: 前面, 前方, 前, 前边, 面前, 跟前, 之前, 正前方, 前头, 前景
behind: 后面, 背后, 后方, 身后, 后边, 后, 之后, 后头, 正后方
beside: 旁边, 旁, 身边, 边上, 附近, 一旁, 身旁, 隔壁, 不远处
middle: 中间, 之间, 当中, 中央, 正中间, 正中央, 正中, 中心, 中部, 居中
inside: 里, 里面, 里边, 内, 中, 里头, 内部, 之中
around: 周围, 四周, 周边, 旁边一圈
top: 顶部, 顶端, 最上面, 最上方, 上部, 上半部分, 最上边, 高处
bottom: 地上, 地面上, 底部, 底端, 最下面, 最下方, 下部, 下半部分, 最下边
top-left: 左上角, 左上方, 左上
top-right: 右上角, 右上方, 右上
bottom-left: 左下角, 左下方, 左下
bottom-right: 右下角, 右下方, 右下
corners: 四角, 四个角, 四个角落, 每个角落, 各个角落, 每个角, 四个角上, 四角上, 四个角落里
sides: 两边, 两侧, 左右两边, 左右两侧, 左右, 两旁
"""
)
RELATIONS_EN = _table(
    """
on: on top of, atop, upon, on, standing on, sitting on, riding, riding on, lying on, perched on, mounted on, sits
  on, stands on
above: above, over, hovering over, flying over, hovering above, flying above, floating above, directly above,
  higher than
below: below, beneath, directly below, lower than
under: under, underneath
front: in front of, before
behind: behind, in back of, in the back of
beside: next to, beside, by, near, close to, alongside, adjacent to, nearby, chasing, facing, looking at,
  opposite, playing with, against
between: between, in between, in the middle of, amid, in the center of, in the centre of, amidst, among
enclosed: surrounded by, encircled by, ringed by, circled by
around: around, surrounding, circling, encircling, all around, orbiting
inside: inside, in, within, into, inside of
"""
)
VERBS_ZH = _table(
    """
around: 围着, 围绕, 围绕着, 环绕, 环绕着, 包围, 包围着, 绕着, 围住
on: 骑, 骑着, 骑在, 坐着, 趴着
beside: 拿着, 抱着, 牵着, 追, 追着, 靠着, 挨着, 陪着, 看着, 望着, 追赶, 举着, 紧挨着, 挨
wear: 戴, 戴着, 头戴, 穿, 穿着, 顶着
"""
)

SKIP_EN = words(
    "please draw paint make create generate show me us i want like would you can an image picture photo "
    "drawing of painting "
    "illustration scene render depict featuring showing that this these those there here is are was be being "
    "it's sits stands sitting standing lying flying floating placed located positioned put set very really so "
    "also just only "
    "exactly its their his her your my our some's for to from at as has have having contains containing "
    "include includes "
    "including consisting style styled art artwork and's s all of'em kind lot view visible seen appears appear "
    "looking nice "
    "beautiful cute lovely pretty happy sweet color colour coloured colored total altogether other each's "
    "hanging resting "
    "growing parked running walking swimming sleeping eating playing jumping sit stand stands lies lie while "
    "where side part "
    "area one's both's objects object things thing items item them they same different separate separately "
    "apart we need "
    "give sketch's shaped shape shapes together along out up down off away then using into's do not does whose "
    "get let "
    "wooden high quality detailed whole entire full clean plain solid simple bright clear fresh shiny round "
    "soft pure "
    "image's depicted shows show draws filled full-color"
)
SKIP_ZH = words(
    "时 时候 时分 风格 画风 风 风格画 一张 画 请 请画 帮 我 帮我 给我 一下 想要 想 要 生成 绘制 画出 画一 绘 "
    "图 图片 照片 画面 图像 图案 画面中 图中 画中 一张图 一幅画 场景 景象 "
    "了 着 地 得 那 这 那里 这里 它们 他们 其中 位于 正在 正 在画 起来 非常 很 十分 可爱 漂亮 美丽 好看 开心 "
    "快乐 颜色 形状 "
    "都 也 就 还 并 并且 而 而且 则 用 以 以及其它 来 去 呢 吧 啊 一样 样子 看 看到 出现 各自 分别 共 一共 "
    "总共 整个 纯色 样式 显示 "
    "展示 幅 飞翔 奔跑 睡觉 玩耍 飞 跑 睡 吃 走 游 停 坐 躺 趴 种 长 画着 的话 制作 创作 做 设计 需要 "
    "希望 能 可以 "
    "个个 大小 东西 物体 物品 那么 然后 另外 此外 同时 处 色 号 内容 主题 为主 木制 圆圆 胖胖 高高 长长 "
    "弯弯 相同 不同 之"
)
HAVE_ZH = words(
    "有 是 为 放 摆 挂 有着 放着 站着 坐着 躺着 停着 摆着 挂着 长着 种着 趴着 飞着 飘着 画着 放有 还有着 就是 "
    "摆放着 飞过 停放着 游着 立着 站 "
    "坐落着 写着字 飘 跑着 走着 停有 盛开着 生长着 漂着 漂浮着 蹲着 睡着"
)
AT_ZH = words(
    "在 位于 处于 坐在 站在 躺在 趴在 放在 停在 飞在 跑在 挂在 摆在 落在 立在 蹲在 走在 游在 漂在 睡在 长在 "
    "放到 种在 处在 画在 飘在 待在 "
    "藏在 躲在 摆放在 放置在 漂浮在 悬在 住在 靠在 移到 移动到 搬到 挪到 停放在 骑在"
)
AND_EN = frozenset({"and", "&", "plus", "or", "as well as", "together with", "along with", "with", "and also", "nor"})
AND_ZH = frozenset(
    {
        "和",
        "与",
        "跟",
        "及",
        "以及",
        "、",
        "还有",
        "同",
        "加上",
        "或",
        "或者",
        "外加",
        "加",
        "带",
        "带着",
        "并有",
        "和一",
    }
)
NOT_EN = frozenset(
    {
        "no",
        "without",
        "not",
        "without any",
        "not any",
        "excluding",
        "except",
        "don't draw",
        "do not draw",
        "don't include",
        "do not include",
        "free of",
        "minus",
        "never",
        "no any",
        "there is no",
        "lacking",
    }
)
NOT_ZH = frozenset(
    {
        "没有",
        "不要",
        "无",
        "别画",
        "不要画",
        "不画",
        "除了",
        "不含",
        "不带",
        "不包含",
        "没",
        "不能有",
        "不要有",
        "别",
        "不是",
        "不出现",
        "不要出现",
    }
)
FRAMES = words(
    "picture image canvas frame scene page screen photo drawing painting composition illustration view"
) | frozenset({"画面", "图片", "画布", "图", "画", "图像", "画面的", "照片", "屏幕"})
BACK_WORDS = frozenset({"background", "backdrop", "背景", "底色", "底", "背景色", "背景颜色", "底图"})
SAYS = words(
    "says saying reads reading written titled captioned labeled labelled text words word letters caption title "
    "title's "
    "writing 写着 写 文字 标题 字 题字 写有 字样 上书 写上 写着字 题 印着 名为 标语 标注 写了 一行字 几个字 大字"
)
EACH = frozenset({"各", "各有", "都有", "均有", "each", "每边"})
IT_EN = frozenset({"it", "them", "him", "her"})
IT_ZH = frozenset({"它", "他", "她", "它们", "其"})
DETERMINERS_EN = frozenset({"a", "an", "the", "this", "that", "any", "another", "its", "their", "my", "your"})

FUNCTION_EN = (
    frozenset(SIZES_EN)
    | frozenset(NUMBERS_EN)
    | frozenset(RELATIONS_EN)
    | SKIP_EN
    | AND_EN
    | NOT_EN
    | FRAMES
    | BACK_WORDS
    | SAYS
    | EACH
    | IT_EN
    | DETERMINERS_EN
)
FUNCTION_ZH = (
    frozenset(SIZES_ZH)
    | frozenset(NUMBERS_ZH)
    | frozenset(LOCATIONS_ZH)
    | frozenset(VERBS_ZH)
    | SKIP_ZH
    | HAVE_ZH
    | AT_ZH
    | AND_ZH
    | NOT_ZH
    | FRAMES
    | BACK_WORDS
    | SAYS
    | EACH
    | IT_ZH
    | CLASSIFIERS
    | frozenset(COLOURS_ZH)
    | frozenset(word.strip() for words in ARRANGED.values() for word in words.split(","))
)
