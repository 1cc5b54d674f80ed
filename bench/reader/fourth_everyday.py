"""Documents of the fourth set: error screenshots, receipts, notices, a statement, a ticket and PDFs."""

from collections.abc import Sequence
from random import Random

from bench.reader.amounts import credit_code, digits, grouped, money
from bench.reader.canvas import WHITE, Color, Document, Page, Ruling, finished, table
from bench.reader.pdfs import picture_pdf, text_pdf

RED: Color = (196, 38, 46)
BLUE: Color = (22, 100, 192)
GREY: Color = (104, 108, 116)
LIGHT: Color = (242, 244, 247)


def screen_sync(rng: Random) -> Document:
    """A Chinese data synchronisation tool whose task has failed: task facts, then its log."""
    task, target, key = rng.choice(
        [
            ("每日会员同步", "dw_member.t_member_day", "uk_member_no"),
            ("门店库存同步", "dw_stock.t_stock_day", "uk_sku_store"),
        ]
    )
    minutes, seconds = rng.randint(3, 19), rng.randint(10, 55)
    facts = {
        "task": task,
        "number": f"job-{digits(rng, 5)}",
        "source": f"crm_prod@192.168.{rng.randint(10, 60)}.{rng.randint(11, 240)}",
        "target": target,
        "done": f"{rng.randint(21, 98)},{digits(rng, 3)}",
        "failed": str(rng.randint(102, 987)),
        "spent": f"{minutes}分{seconds}秒",
        "began": f"2025-06-{rng.randint(10, 28)} 02:00:04",
        "code": "1062",
        "key": key,
        "value": f"{rng.choice('VS')}{digits(rng, 8)}",
        "line": str(rng.randint(2100, 9800)),
        "owner": rng.choice(["etl_luoyang", "etl_zhumh"]),
    }
    page = Page(1280, 800, LIGHT)
    page.box(0, 0, 1280, 46, (58, 62, 70), None)
    page.text(18, 23, "数据搬运工 3.4　—　任务详情", 21, "sans", WHITE, "lm")
    page.box(0, 46, 230, 800, (226, 230, 236), None)
    for index, words in enumerate(["任务列表", "运行记录", "数据源", "告警设置"]):
        page.text(30, 80 + 56 * index, words, 22, "sans", BLUE if index == 1 else (60, 60, 66))
    page.box(250, 64, 1260, 124, (253, 228, 228), None)
    page.text(270, 94, f"{facts['task']}　运行失败", 26, "sans-bold", RED, "lm")
    pairs = [("任务编号", "number"), ("开始时间", "began"), ("数据来源", "source"), ("目标表", "target")]
    pairs += [("已写入行数", "done"), ("失败行数", "failed"), ("耗时", "spent"), ("运行账号", "owner")]
    for index, (words, name) in enumerate(pairs):
        x, y = 260 + 510 * (index % 2), 146 + 46 * (index // 2)
        page.text(x, y, words, 21, fill=GREY)
        page.text(x + 130, y, facts[name], 22)
    page.text(260, 348, "运行日志", 22, "sans-bold")
    page.box(250, 384, 1260, 680, (30, 32, 38), None)
    light: Color = (214, 218, 224)
    for index, (words, tint) in enumerate(
        [
            ("02:00:04 INFO  connect source ... ok", light),
            ("02:00:05 INFO  connect target ... ok", light),
            (f"02:00:05 INFO  insert into {facts['target']}", light),
            (f"ERROR {facts['code']} (23000) at row {facts['line']}:", (250, 120, 110)),
            (f"Duplicate entry '{facts['value']}' for key '{facts['key']}'", (250, 120, 110)),
            (f"02:{minutes:02d}:{seconds + 4} WARN  task stopped, transaction kept", (236, 200, 110)),
        ]
    ):
        page.text(270, 400 + 44 * index, words, 22, "mono", tint)
    for x, words in ((900, "重新运行"), (1090, "下载日志")):
        page.box(x, 710, x + 160, 762, WHITE, BLUE)
        page.text(x + 80, 736, words, 22, "sans", BLUE, "mm")
    return finished(page, facts)


def screen_tax(rng: Random) -> Document:
    """A failed VAT return in a Chinese tax portal: a card with a cross over a list."""
    facts = {
        "company": rng.choice(["合肥庐州图文设计有限公司", "芜湖镜湖家政服务有限公司"]),
        "tax_id": credit_code(rng),
        "period": f"2025年{rng.randint(2, 5)}月",
        "serial": digits(rng, 18),
        "code": f"SB-{digits(rng, 5)}",
        "row": f"第{rng.randint(2, 9)}栏",
        "gap": money(rng.randint(12001, 98099)),
        "due": f"2025-06-{rng.randint(12, 18)}",
        "when": f"2025-06-0{rng.randint(3, 9)} 10:{rng.randint(10, 59)}:{rng.randint(10, 59)}",
        "phone": f"0551-{digits(rng, 8)}",
    }
    page = Page(1200, 860, (236, 240, 246))
    page.box(0, 0, 1200, 70, BLUE, None)
    page.text(40, 35, "电子税务服务平台", 28, "sans-bold", WHITE, "lm")
    page.text(1160, 35, facts["company"], 22, "sans", WHITE, "rm")
    page.text(40, 92, "我要办税 > 税费申报 > 增值税及附加税费申报（小规模纳税人）", 20, fill=GREY)
    page.box(120, 140, 1080, 800, WHITE, (204, 212, 224))
    page.pen.ellipse((570, 166, 630, 226), fill=RED)
    page.rule(588, 184, 612, 208, 6, WHITE)
    page.rule(612, 184, 588, 208, 6, WHITE)
    page.text(600, 262, "申报未通过", 34, "sans-bold", anchor="mm")
    page.paragraph(
        180,
        302,
        f"主表{facts['row']}填报的不含税销售额小于已开具发票的销售额，相差{facts['gap']}元，请核对后重新提交。",
        840,
        24,
    )
    rows = [("纳税人识别号", "tax_id"), ("税款所属期", "period"), ("受理流水号", "serial"), ("提示代码", "code")]
    rows += [("提交时间", "when"), ("申报期限", "due")]
    for index, (key, name) in enumerate(rows):
        page.text(420, 410 + 46 * index, key, 23, fill=GREY, anchor="ra")
        page.text(460, 410 + 46 * index, facts[name], 23)
    page.text(600, 714, f"如有疑问，请拨打征纳互动热线 {facts['phone']}", 22, fill=GREY, anchor="mm")
    for x, words in ((400, "返回修改"), (620, "下载明细")):
        page.box(x, 742, x + 180, 788, WHITE, BLUE)
        page.text(x + 90, 765, words, 22, "sans", BLUE, "mm")
    return finished(page, facts)


def screen_pipeline(rng: Random) -> Document:
    """An English page of a build server: a failed pipeline, its facts and the end of its log."""
    first = rng.randint(21, 88)
    facts = {
        "pipeline": f"#{digits(rng, 6)}",
        "branch": rng.choice(["fix/rounding-refunds", "feature/split-tender"]),
        "commit": "c" + "".join(rng.choice("0123456789abcdef") for _ in range(7)),
        "who": rng.choice(["Tomasz Wilk", "Anneke de Boer"]),
        "job": rng.choice(["unit-tests", "contract-tests"]),
        "stage": "verify",
        "spent": f"{rng.randint(4, 18)} min {rng.randint(10, 59)} s",
        "runner": f"linux-arm-{rng.randint(11, 48)}",
        "test": rng.choice(["test_refund_of_split_payment", "test_rounding_of_foreign_tax"]),
        "file": "tests/till/test_refunds.py",
        "line": str(rng.randint(112, 480)),
        "wanted": f"{first}.95",
        "got": f"{first}.94",
        "passed": str(rng.randint(311, 899)),
    }
    page = Page(1280, 860)
    page.box(0, 0, 1280, 60, (40, 36, 66), None)
    page.text(30, 30, "Buildyard    Projects    Runners    Help", 22, "sans", WHITE, "lm")
    page.box(40, 86, 140, 126, RED, None)
    page.text(90, 106, "failed", 22, "sans-bold", WHITE, "mm")
    page.text(160, 106, f"Pipeline {facts['pipeline']}", 30, "sans-bold", anchor="lm")
    pairs = [("Branch", "branch"), ("Commit", "commit"), ("Started by", "who"), ("Duration", "spent")]
    pairs += [("Failed job", "job"), ("Stage", "stage"), ("Runner", "runner")]
    for index, (key, name) in enumerate(pairs):
        x, y = 44 + 420 * (index % 3), 150 + 76 * (index // 3)
        page.text(x, y, key, 19, fill=GREY)
        page.text(x, y + 28, facts[name], 23)
    page.box(40, 390, 1240, 790, (28, 28, 34), None)
    light: Color = (214, 218, 224)
    lines = [
        (f"$ make {facts['job']}", (120, 210, 140)),
        (f"FAILED {facts['file']}::{facts['test']}", (250, 120, 110)),
        (f"{facts['file']}:{facts['line']}: in {facts['test']}", light),
        (f"    assert refund.total == Decimal('{facts['wanted']}')", light),
        (f"E   AssertionError: got {facts['got']}, expected {facts['wanted']}", (250, 120, 110)),
        (f"1 failed, {facts['passed']} passed, 3 skipped", light),
        ("make: *** [verify] Error 1", light),
        ("Cleaning up the workspace ... job finished with exit status 2", light),
    ]
    for index, (words, tint) in enumerate(lines):
        page.text(60, 408 + 46 * index, words, 23, "mono", tint)
    return finished(page, facts)


def receipt_cafe(rng: Random) -> Document:
    """An English café receipt: counts in front, a served-by line, gratuity and card."""
    menu = [("Flat white", 385), ("Cinnamon bun", 340), ("Mushroom toast", 1125), ("Elderflower fizz", 415)]
    counts = [rng.randint(2, 4), rng.randint(2, 5), rng.randint(1, 3), rng.randint(1, 3)]
    sums = [count * price for count, (_, price) in zip(counts, menu, strict=True)]
    tip = rng.choice([500, 650])
    facts = {
        "order": f"{rng.choice('CK')}-{digits(rng, 4)}",
        "table": f"Table {rng.randint(11, 29)}",
        "server": rng.choice(["Rosalind", "Emeka"]),
        "date": f"Sat {rng.choice([10, 17, 24])} May 2025",
        "time": f"{rng.randint(8, 10):02d}:{rng.randint(30, 59)}",
        "white": grouped(sums[0]),
        "bun": grouped(sums[1]),
        "toast": grouped(sums[2]),
        "fizz": grouped(sums[3]),
        "subtotal": grouped(sum(sums)),
        "tip": grouped(tip),
        "total": grouped(sum(sums) + tip),
        "card": f"Mastercard **** {digits(rng, 4)}",
        "auth": digits(rng, 6),
        "vat": f"GB{digits(rng, 9)}",
        "stamps": f"{rng.randint(4, 9)} of 10",
    }
    page = Page(620, 1120, (252, 251, 247))
    page.text(310, 54, "THE COPPER KETTLE", 36, "latin-bold", anchor="mm")
    page.text(310, 96, "12 Weaver's Row, Hebden Bridge", 23, "latin", anchor="mm")
    page.text(310, 126, f"VAT no. {facts['vat']}", 23, "latin", anchor="mm")
    page.rule(40, 156, 580, 156)
    page.text(44, 172, f"Order {facts['order']}", 26, "latin-bold")
    page.text(576, 172, facts["table"], 26, "latin-bold", anchor="ra")
    page.text(44, 212, f"{facts['date']}  {facts['time']}", 25, "latin")
    page.text(576, 212, f"Served by {facts['server']}", 25, "latin", anchor="ra")
    page.rule(40, 256, 580, 256)
    y = 276
    for count, (name, _), cents in zip(counts, menu, sums, strict=True):
        page.text(44, y, f"{count} x {name}", 27, "latin")
        page.text(576, y, grouped(cents), 27, "latin", anchor="ra")
        y += 48
        if name == "Flat white":
            page.text(96, y - 8, "1 with oat milk", 23, "latin", GREY)
            y += 34
    page.rule(40, y + 8, 580, y + 8)
    for key, name in (("Subtotal", "subtotal"), ("Gratuity", "tip"), ("TOTAL GBP", "total")):
        page.text(44, y + 26, key, 28, "latin-bold" if name == "total" else "latin")
        page.text(576, y + 26, facts[name], 28, "latin-bold" if name == "total" else "latin", anchor="ra")
        y += 50
    page.rule(40, y + 34, 580, y + 34)
    page.text(44, y + 52, facts["card"], 26, "latin")
    page.text(576, y + 52, f"Auth {facts['auth']}", 26, "latin", anchor="ra")
    page.text(44, y + 98, f"Loyalty stamps: {facts['stamps']}", 26, "latin")
    page.text(310, y + 176, "Dogs welcome. See you again soon!", 25, "latin", anchor="mm")
    return finished(page, facts)


def receipt_takeaway(rng: Random) -> Document:
    """外卖小票: the order's number big, dishes, fees, the guest's wish and address."""
    menu = [("老鸭粉丝汤（大份）", 2600), ("鸡汁煮干丝", 1800), ("糖芋苗", 1200), ("盐水鸭半只", 4200)]
    counts = [rng.randint(2, 3), 1, rng.randint(2, 4), 1]
    goods = sum(count * price for count, (_, price) in zip(counts, menu, strict=True))
    box, ride, off = rng.choice([300, 450]), rng.choice([550, 650]), rng.choice([1200, 1500])
    facts = {
        "rank": f"#{rng.randint(21, 98)}",
        "shop": "秦淮人家鸭血粉丝（珠江路店）",
        "number": f"{digits(rng, 4)} {digits(rng, 4)} {digits(rng, 4)} {digits(rng, 4)}",
        "ordered": f"05-{rng.randint(10, 28)} 11:{rng.randint(10, 29)}",
        "arrive": f"12:{rng.randint(10, 45)}",
        "soup": money(counts[0] * 2600),
        "taro": money(counts[2] * 1200),
        "box": money(box),
        "ride": money(ride),
        "off": money(off),
        "paid": money(goods + box + ride - off),
        "wish": rng.choice(["不要香菜，少放辣油，汤单独装", "别放葱，多给两双筷子"]),
        "guest": rng.choice(["欧阳女士", "司徒先生"]),
        "place": f"玄武区太平北路{rng.randint(21, 98)}号创业大厦B座{rng.randint(6, 19)}楼前台",
        "tail": f"尾号{digits(rng, 4)}",
    }
    page = Page(620, 1320, (253, 253, 251))
    page.text(310, 64, f"{facts['rank']}　飞鸟外卖", 44, "sans-bold", anchor="mm")
    page.text(310, 118, facts["shop"], 25, anchor="mm")
    page.text(310, 158, "—— 已在线支付 ——", 25, anchor="mm")
    page.text(40, 190, f"下单时间：{facts['ordered']}", 25)
    page.text(40, 230, f"预计送达：{facts['arrive']}", 25)
    page.text(40, 276, "备注：", 29, "sans-bold")
    y = page.paragraph(130, 276, facts["wish"], 450, 29, "sans-bold", 1.4)
    page.dashes(40, 580, y + 20)
    y += 40
    for count, (name, price) in zip(counts, menu, strict=True):
        page.text(40, y, name, 27)
        page.text(420, y, f"×{count}", 27, anchor="ra")
        page.text(580, y, money(count * price), 27, anchor="ra")
        y += 50
    page.dashes(40, 580, y + 10)
    for key, value in (("打包费", facts["box"]), ("配送费", facts["ride"]), ("满减优惠", f"-{facts['off']}")):
        page.text(40, y + 28, key, 26)
        page.text(580, y + 28, value, 26, anchor="ra")
        y += 46
    page.text(40, y + 44, "实付", 34, "sans-bold")
    page.text(580, y + 44, f"￥{facts['paid']}", 36, "sans-bold", anchor="ra")
    page.dashes(40, 580, y + 110)
    end = page.paragraph(40, y + 130, facts["place"], 540, 29, "sans-bold", 1.4)
    page.text(40, end + 14, f"{facts['guest']}　手机{facts['tail']}", 29, "sans-bold")
    page.text(40, end + 74, f"订单号 {facts['number']}", 24)
    page.text(310, end + 140, "谢谢惠顾，记得给个好评哦", 24, anchor="mm")
    return finished(page, facts)


def receipt_charging(rng: Random) -> Document:
    """充电桩结算单: energy and money by time of day in a small table."""
    rows, energy, cost = [["时段", "电量(度)", "电费(元)", "服务费(元)"]], 0, 0
    facts: dict[str, str] = {}
    for key, name, price in (("peak", "峰时", 118), ("flat", "平时", 74), ("low", "谷时", 36)):
        units = rng.randint(421, 1890)
        current, service = units * price // 100, units * 40 // 100
        rows.append([name, money(units), money(current), money(service)])
        facts |= {f"{key}_units": money(units), f"{key}_cost": money(current), f"{key}_service": money(service)}
        energy, cost = energy + units, cost + current + service
    began, ended = 300 + rng.randint(10, 59), 540 + rng.randint(10, 59)
    facts |= {
        "station": rng.choice(["金鸡湖东充电站", "独墅湖图书馆充电站"]),
        "pile": f"A{rng.randint(11, 48)}号桩{rng.choice('12')}枪",
        "order": digits(rng, 16),
        "plate": f"苏E·D{digits(rng, 5)}",
        "began": f"2025-08-{rng.randint(10, 28)} 05:{began % 60}",
        "ended": f"09:{ended % 60}",
        "spent": f"{(ended - began) // 60}小时{(ended - began) % 60}分",
        "soc": f"{rng.randint(11, 34)}% → {rng.randint(86, 98)}%",
        "energy": f"{money(energy)}度",
        "cost": f"{money(cost)}元",
        "coupon": "8.00元",
        "paid": f"{money(cost - 800)}元",
        "left": f"{rng.randint(61, 240)}.{rng.randint(11, 99)}元",
        "phone": f"400-{digits(rng, 3)}-{digits(rng, 4)}",
    }
    page = Page(760, 1120, (250, 252, 250))
    page.text(380, 56, "充电结算单", 36, "sans-bold", anchor="mm")
    pairs = [("充电站", "station"), ("终端", "pile"), ("订单号", "order"), ("车牌", "plate")]
    pairs += [("开始", "began"), ("结束", "ended"), ("充电时长", "spent"), ("电池电量", "soc")]
    for index, (key, name) in enumerate(pairs):
        page.text(50, 104 + 46 * index, key, 25, fill=GREY)
        page.text(710, 104 + 46 * index, facts[name], 25, anchor="ra")
    look = Ruling(24, line=(160, 170, 164), head_fill=(222, 236, 226), only_rows=True, align="lrrr")
    y = table(page, 50, 486, [150, 170, 170, 170], rows, 56, look)
    pairs = [("总电量", "energy"), ("总费用", "cost"), ("优惠券抵扣", "coupon"), ("实扣", "paid"), ("钱包余额", "left")]
    for index, (key, name) in enumerate(pairs):
        page.text(50, y + 24 + 46 * index, key, 26, "sans-bold" if name == "paid" else "sans")
        page.text(710, y + 24 + 46 * index, facts[name], 26, "sans-bold" if name == "paid" else "sans", anchor="ra")
    page.text(380, y + 300, f"客服电话 {facts['phone']}", 24, anchor="mm")
    return finished(page, facts)


def notice_water(rng: Random) -> Document:
    """停水通知 of an estate: a headline, running text, a signature."""
    facts = {
        "estate": rng.choice(["翠湖雅苑", "滨江花园"]),
        "reason": rng.choice(["更换小区东门外DN300供水主管阀门", "迁改地铁施工范围内的供水管道"]),
        "begin": f"2025年10月{rng.randint(10, 26)}日22时",
        "end": rng.choice(["次日5时30分", "次日6时"]),
        "houses": rng.choice(["1至6幢", "7至12幢"]),
        "truck": rng.choice(["西门岗亭旁", "中心喷泉广场"]),
        "hours": rng.choice(["20时至22时", "19时至21时"]),
        "phone": f"0571-{digits(rng, 8)}",
        "keeper": rng.choice(["苏管家", "邬管家"]),
        "minutes": rng.choice(["3至5分钟", "5至8分钟"]),
        "issued": f"2025年10月{rng.randint(3, 8)}日",
    }
    page = Page(1100, 1200, (255, 253, 240))
    page.text(550, 90, "停 水 通 知", 56, "sans-bold", RED, "mm")
    page.text(90, 160, f"尊敬的{facts['estate']}业主、住户：", 29)
    y = 204.0
    for words in (
        f"　　接区自来水公司函，因{facts['reason']}，定于{facts['begin']}起暂停供水，预计{facts['end']}恢复。",
        f"　　本次停水影响{facts['houses']}全部住户及沿街商铺，其余楼幢不受影响。请提前储水，并关好水龙头。",
        f"　　停水当日{facts['hours']}，送水车停放在{facts['truck']}，住户可自带容器取水。",
        f"　　恢复供水初期水质可能短时发黄，请先放水{facts['minutes']}后再使用，热水器请在水清后开启。",
        f"　　给您带来不便，敬请谅解。咨询请致电{facts['phone']}，找{facts['keeper']}。",
    ):
        y = page.paragraph(90, y + 20, words, 920, 29, "sans", 1.65)
    page.text(1010, y + 60, f"{facts['estate']}物业服务中心", 28, anchor="ra")
    page.text(1010, y + 108, facts["issued"], 28, anchor="ra")
    return finished(page, facts)


def statement_card(rng: Random) -> Document:
    """An English credit card statement: a summary panel and the month's transactions."""
    moves = [("03 Jul", "Lindqvist Hardware", rng.randint(4100, 9800)), ("07 Jul", "Rail pass renewal", 11900)]
    moves += [("12 Jul", "Marrow & Finch Books", rng.randint(1900, 3900)), ("19 Jul", "Refund: Tolley Shoes", -7450)]
    moves += [("24 Jul", "Foreign currency fee", rng.randint(210, 480)), ("27 Jul", "Abbot's Dental Care", 16500)]
    before = rng.randint(31000, 68000)
    after = before + sum(cents for _, _, cents in moves)
    facts = {
        "name": rng.choice(["Mrs Yolanda Pryce", "Mr Kenneth Ashdown"]),
        "card": f"**** **** **** {digits(rng, 4)}",
        "day": "31 July 2025",
        "due": f"{rng.randint(20, 26)} August 2025",
        "limit": f"${rng.choice([6500, 8200]):,}.00",
        "before": f"${grouped(before)}",
        "after": f"${grouped(after)}",
        "least": f"${rng.randint(35, 68)}.00",
        "rate": f"{rng.randint(17, 26)}.{rng.randint(11, 99)}%",
        "points": f"{rng.randint(2, 9)},{digits(rng, 3)}",
        "hardware": grouped(moves[0][2]),
        "books": grouped(moves[2][2]),
        "fee": grouped(moves[4][2]),
        "phone": f"1-800-555-0{rng.randint(110, 190)}",
    }
    page = Page(1240, 1180)
    page.text(70, 66, "Meridian Credit Union", 36, "sans-bold", BLUE, "lm")
    page.text(1170, 66, "Credit Card Statement", 28, anchor="rm")
    page.text(70, 122, facts["name"], 25)
    page.text(70, 160, f"Card {facts['card']}", 25)
    page.box(70, 216, 1170, 420, (232, 240, 250), None)
    pairs = [("Statement date", "day"), ("Payment due date", "due"), ("Minimum payment", "least")]
    pairs += [("Previous balance", "before"), ("New balance", "after"), ("Credit limit", "limit")]
    for index, (key, name) in enumerate(pairs):
        x, y = 100 + 360 * (index % 3), 236 + 92 * (index // 3)
        page.text(x, y, key, 21, fill=GREY)
        page.text(x, y + 32, facts[name], 28, "sans-bold")
    rows = [["Posted", "Description", "Amount $"]]
    rows += [[day, words, grouped(cents) if cents > 0 else f"-{grouped(-cents)}"] for day, words, cents in moves]
    look = Ruling(24, line=(190, 200, 214), head_fill=(232, 240, 250), only_rows=True, align="llr")
    end = table(page, 70, 450, [180, 640, 280], rows, 56, look)
    page.text(70, end + 30, f"Annual percentage rate on purchases: {facts['rate']}", 24)
    page.text(70, end + 74, f"Reward points balance: {facts['points']}", 24)
    page.text(70, end + 130, f"Lost or stolen card? Call {facts['phone']}, day or night.", 24)
    page.text(70, end + 174, "A late fee of $29.00 is charged if the minimum payment is missed.", 24)
    return finished(page, facts)


def ticket_train(rng: Random) -> Document:
    """电子发票（铁路电子客票）: stations with an arrow, then the ride's facts."""
    start, end, train = rng.choice([("大同南", "朔州东", "D5367"), ("张家口", "呼和浩特东", "G2415")])
    facts = {
        "number": f"2514{digits(rng, 16)}",
        "issued": f"2025年11月{rng.randint(20, 28)}日",
        "start": start,
        "end": end,
        "train": train,
        "when": f"2025年11月{rng.randint(3, 15)}日",
        "leave": f"{rng.randint(10, 20)}:{rng.randint(10, 59)}开",
        "seat": f"{rng.randint(10, 16):02d}车{rng.randint(10, 18):02d}{rng.choice('ACF')}号",
        "class": rng.choice(["一等座", "二等座"]),
        "price": f"￥{rng.randint(62, 188)}.00",
        "person": rng.choice(["郭永泰", "池秋雯"]),
        "id": f"1402{digits(rng, 6)}****{digits(rng, 4)}",
        "ticket": f"{digits(rng, 6)}{rng.choice('EFG')}{digits(rng, 6)}",
        "buyer": "山西云冈文化旅游发展有限公司",
        "buyer_id": credit_code(rng),
    }
    page = Page(1200, 720, (246, 250, 254))
    page.text(600, 56, "电子发票（铁路电子客票）", 36, "serif", RED, "mm")
    page.text(60, 100, f"发票号码:{facts['number']}", 23)
    page.text(1140, 100, f"开票日期:{facts['issued']}", 23, anchor="ra")
    page.text(250, 190, f"{facts['start']}站", 42, "sans-bold", anchor="mm")
    page.text(600, 170, facts["train"], 36, "latin-bold", anchor="mm")
    page.rule(470, 200, 730, 200, 3)
    page.rule(712, 190, 730, 200, 3)
    page.rule(712, 210, 730, 200, 3)
    page.text(940, 190, f"{facts['end']}站", 42, "sans-bold", anchor="mm")
    page.text(80, 262, facts["when"], 28)
    page.text(420, 262, facts["leave"], 28)
    page.text(640, 262, facts["seat"], 28)
    page.text(940, 262, facts["class"], 28)
    page.text(80, 326, f"票价:{facts['price']}", 30, "sans-bold")
    page.text(80, 392, facts["id"], 28)
    page.text(520, 392, facts["person"], 28)
    page.text(80, 458, f"电子客票号:{facts['ticket']}", 25)
    page.rule(60, 516, 1140, 516)
    page.text(80, 536, f"购买方名称:{facts['buyer']}", 24)
    page.text(80, 580, f"统一社会信用代码:{facts['buyer_id']}", 24)
    page.text(80, 644, "买票请到12306 发货请到95306", 22, fill=GREY)
    return finished(page, facts)


def pdf_inspection(rng: Random) -> Document:
    """食品安全检查整改通知书 scanned into a PDF of two pages without a text layer."""
    facts = {
        "number": f"潍坊食监改字〔2025〕{rng.randint(112, 480)}号",
        "place": rng.choice(["潍坊奎文实验幼儿园食堂", "潍坊富华酒店后厨"]),
        "owner": rng.choice(["逄建国", "隋红英"]),
        "day": f"2025年9月{rng.randint(3, 12)}日",
        "inspectors": rng.choice(["臧伟、綦晓琳", "仉志刚、苑明月"]),
        "permit": f"JY3370{digits(rng, 10)}",
        "fridge": f"零上{rng.randint(11, 14)}℃",
        "expired": rng.choice(["芝麻酱两瓶", "蚝油三瓶"]),
        "papers": rng.choice(["两名", "三名"]),
        "deadline": f"2025年9月{rng.randint(18, 29)}日前",
        "fine": rng.choice(["五千元以上五万元以下", "一万元以上五万元以下"]),
        "office": rng.choice(["奎文区市场监管局东关所", "奎文区市场监管局北苑所"]),
        "phone": f"0536-{digits(rng, 7)}",
    }
    first, second = Page(1240, 1180), Page(1240, 900)
    first.text(620, 90, "责令改正通知书", 44, "serif-bold", anchor="mm")
    first.text(1120, 146, facts["number"], 24, "serif", anchor="ra")
    first.text(120, 196, f"被检查单位：{facts['place']}", 26, "serif")
    first.text(120, 242, f"食品经营许可证编号：{facts['permit']}", 26, "serif")
    first.text(120, 288, f"负责人：{facts['owner']}", 26, "serif")
    y = 330.0
    for words in (
        f"　　{facts['day']}，本机关执法人员{facts['inspectors']}对你单位进行了现场检查，发现存在下列问题：",
        f"　　一、2号冷藏柜显示温度为{facts['fridge']}，高于规定的零上8℃。",
        f"　　二、调料架上有超过保质期的{facts['expired']}。",
        f"　　三、从业人员中有{facts['papers']}不能出示有效的健康证明。",
        "　　四、凉菜间紫外线灯损坏，未及时维修。",
    ):
        y = first.paragraph(120, y + 18, words, 1000, 26, "serif", 1.7)
    y = 60.0
    for words in (
        "　　上述行为违反了食品安全管理的有关规定，现责令你单位作如下改正：",
        f"　　1. 于{facts['deadline']}完成全部整改，并将书面报告送交{facts['office']}。",
        "　　2. 立即下架并销毁过期食品，保存销毁记录和照片。",
        f"　　3. 逾期不改正的，将依法处以{facts['fine']}罚款。",
        "　　如不服本决定，可以在收到本通知书之日起六十日内申请行政复议。",
    ):
        y = second.paragraph(120, y + 18, words, 1000, 26, "serif", 1.7)
    second.text(120, y + 50, f"联系电话：{facts['phone']}", 26, "serif")
    second.text(120, y + 100, "当事人签收：________", 26, "serif")
    second.stamp(960, y + 80, 92, "行政执法专用章")
    both = Document((first.image, second.image), (*first.strings, *second.strings), facts)
    return picture_pdf(both)


def pdf_tenant(rng: Random) -> Document:
    """An English handbook for tenants, three pages as a PDF with a text layer."""
    facts = {
        "house": "Calder Mill Apartments",
        "manager": rng.choice(["Geraldine Foy", "Anthony Bassi"]),
        "office": f"Flat {rng.randint(2, 9)}, ground floor",
        "phone": f"0161 555 {digits(rng, 4)}",
        "rent": rng.choice(["the third working day", "the fifth working day"]),
        "bank": f"reference CM-{digits(rng, 3)}",
        "late": f"{rng.choice([18, 24, 35])} pounds",
        "bins": rng.choice(["Wednesday", "Monday"]),
        "quiet": rng.choice(["22:30 and 07:00", "23:00 and 06:30"]),
        "guests": rng.choice(["nine nights", "twelve nights"]),
        "boiler": rng.choice(["within one working day", "within two working days"]),
        "leak": f"extension {digits(rng, 3)}",
        "keys": f"{rng.choice([45, 55, 65])} pounds",
        "notice": rng.choice(["six weeks", "eight weeks"]),
        "refund": rng.choice(["twelve days", "sixteen days"]),
        "code": f"{digits(rng, 4)}#",
    }
    pages: Sequence[Sequence[str]] = [
        [
            f"{facts['house']}: Handbook for Tenants",
            f"Building manager: {facts['manager']}",
            f"Manager's office: {facts['office']}",
            f"Telephone: {facts['phone']}",
            "",
            "Paying the rent",
            f"Rent is collected on {facts['rent']} of each month.",
            f"Please quote {facts['bank']} when you pay by transfer.",
            f"A reminder letter costs {facts['late']}.",
        ],
        [
            "Living together",
            f"Please keep noise down between {facts['quiet']}.",
            f"Visitors may stay for up to {facts['guests']} in any month.",
            f"Household waste is collected every {facts['bins']}; glass goes to the bins by the gate.",
            f"The code of the bicycle shed is {facts['code']}",
            "",
            "Repairs",
            f"A failed boiler is repaired {facts['boiler']}.",
            f"If water is leaking, ring {facts['leak']} at any hour.",
        ],
        [
            "Keys and moving out",
            f"Replacing a lost key costs {facts['keys']}.",
            f"Tell us {facts['notice']} before you move out, in writing.",
            f"Your deposit is returned within {facts['refund']} of the final inspection.",
            "Please leave the flat as clean as you found it.",
        ],
    ]
    return text_pdf(pages, facts)
