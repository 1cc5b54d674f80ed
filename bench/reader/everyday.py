"""Documents of the development set: screenshots, forms, receipts and PDFs."""

from random import Random

from bench.reader.amounts import digits, mobile, money
from bench.reader.canvas import WHITE, Color, Document, Page, Ruling, finished, table
from bench.reader.pdfs import picture_pdf, text_pdf

GREY: Color = (110, 110, 116)


def dialog_install(rng: Random) -> Document:
    """A Windows-like installer error on a blue desktop."""
    facts = {
        "code": rng.choice(["0x80070643", "0x80240034", "0x8007000E"]),
        "file": rng.choice(["libcrypto-3.dll", "vcruntime140.dll"]),
        "path": r"C:\Program Files\Qingniao\setup.log",
        "app": "青鸟财务 V8.2",
        "space": f"{rng.randint(2, 9)}.{rng.randint(1, 9)} GB",
        "time": f"2024-05-{rng.randint(10, 28)} 14:{rng.randint(10, 59)}:07",
    }
    page = Page(1100, 680, (28, 94, 160))
    page.box(140, 110, 960, 560, (243, 243, 243), (90, 90, 90))
    page.box(140, 110, 960, 160, WHITE, None)
    page.text(165, 135, f"{facts['app']} 安装程序", 22, anchor="lm")
    page.text(930, 135, "×", 28, anchor="mm")
    page.pen.ellipse((180, 195, 250, 265), fill=(200, 38, 38))
    page.pen.line((200, 215, 230, 245), fill=WHITE, width=7)
    page.pen.line((230, 215, 200, 245), fill=WHITE, width=7)
    y = page.paragraph(280, 195, f"安装失败:无法加载文件 {facts['file']},系统找不到指定的模块。", 640, 25)
    y = page.paragraph(280, y + 14, f"错误代码:{facts['code']}", 640, 24)
    y = page.paragraph(280, y, f"发生时间:{facts['time']}", 640, 24)
    y = page.paragraph(280, y, f"所需磁盘空间:{facts['space']}", 640, 24)
    page.paragraph(280, y, f"日志文件:{facts['path']}", 640, 24)
    for x, name in ((560, "重试"), (690, "忽略"), (820, "取消")):
        page.box(x, 495, x + 115, 538, (225, 225, 225), (130, 130, 130))
        page.text(x + 57, 516, name, 22, anchor="mm")
    return finished(page, facts)


def terminal_trace(rng: Random) -> Document:
    """A Python traceback in a dark terminal."""
    line = rng.randint(40, 390)
    facts = {
        "line": str(line),
        "file": rng.choice(["/srv/app/billing/export.py", "/srv/app/orders/worker.py"]),
        "error": rng.choice(["sqlalchemy.exc.OperationalError", "redis.exceptions.ConnectionError"]),
        "host": f"10.12.{rng.randint(2, 60)}.{rng.randint(2, 250)}",
        "port": rng.choice(["5432", "6379"]),
        "retries": str(rng.randint(3, 8)),
        "function": rng.choice(["flush_batch", "load_pending"]),
        "pid": digits(rng, 5),
    }
    page = Page(1280, 640, (18, 20, 26))
    light: Color = (214, 218, 224)
    lines: list[tuple[str, Color]] = [
        (f"deploy@web-03:~$ python -m app.run --pid {facts['pid']}", (120, 220, 130)),
        ("Traceback (most recent call last):", light),
        ('  File "/srv/app/run.py", line 27, in <module>', light),
        ("    main()", light),
        (f'  File "{facts["file"]}", line {facts["line"]}, in {facts["function"]}', light),
        ("    session.execute(statement)", light),
        (f"{facts['error']}: could not connect to server:", (255, 110, 103)),
        ("    Connection refused", (255, 110, 103)),
        (f'    Is the server running on host "{facts["host"]}" and accepting', light),
        (f"    TCP/IP connections on port {facts['port']}?", light),
        (f"WARNING: giving up after {facts['retries']} retries", (240, 200, 90)),
        ("Process finished with exit code 1", light),
        ("deploy@web-03:~$ ", (120, 220, 130)),
    ]
    for x, tint in ((24, (255, 95, 86)), (54, (255, 189, 46)), (84, (39, 201, 63))):
        page.pen.ellipse((x, 14, x + 18, 32), fill=tint)
    for index, (words, tint) in enumerate(lines):
        page.text(28, 52 + index * 42, words, 24, "mono", tint)
    return finished(page, facts)


def web_outage(rng: Random) -> Document:
    """A gateway error page in a Chinese browser window."""
    facts = {
        "status": "502 Bad Gateway",
        "id": digits(rng, 4) + "a7f" + digits(rng, 6) + "c",
        "node": rng.choice(["华东2-节点07", "华北1-节点12"]),
        "ip": f"112.65.{rng.randint(3, 200)}.{rng.randint(3, 200)}",
        "time": f"2025-02-{rng.randint(10, 27)} 09:{rng.randint(10, 59)}:32",
        "phone": f"400-{digits(rng, 3)}-{digits(rng, 4)}",
        "url": "https://pay.example-mall.cn/checkout",
        "wait": f"{rng.choice([5, 10, 15])}分钟",
    }
    page = Page(1280, 760)
    page.box(0, 0, 1280, 84, (222, 225, 230), None)
    page.box(120, 22, 1180, 64, WHITE, None)
    page.text(140, 43, facts["url"], 21, "sans", GREY, "lm")
    page.text(50, 43, "← →", 26, "sans", GREY, "lm")
    page.text(640, 190, facts["status"], 60, "sans-bold", (60, 64, 72), "mm")
    page.text(640, 265, "抱歉,服务暂时不可用", 34, anchor="mm")
    page.text(640, 320, f"网关未能从上游服务器获得有效响应,请在{facts['wait']}后重试。", 24, "sans", GREY, "mm")
    page.rule(260, 370, 1020, 370, fill=(210, 210, 214))
    for index, (key, name) in enumerate(
        [("请求编号", "id"), ("故障节点", "node"), ("您的IP", "ip"), ("发生时间", "time"), ("客服热线", "phone")]
    ):
        page.text(330, 412 + 52 * index, key, 24, "sans", GREY, "lm")
        page.text(560, 412 + 52 * index, facts[name], 24, anchor="lm")
    page.box(560, 680, 720, 728, (38, 110, 230), None)
    page.text(640, 704, "刷新页面", 22, fill=WHITE, anchor="mm")
    return finished(page, facts)


def form_leave(rng: Random) -> Document:
    """请假申请单: a ruled form with key and value cells."""
    days = rng.randint(2, 9)
    start = rng.randint(3, 18)
    facts = {
        "name": rng.choice(["杨晨曦", "徐子涵"]),
        "number": f"HR{digits(rng, 5)}",
        "team": rng.choice(["市场拓展部", "质量管理部"]),
        "post": rng.choice(["高级专员", "测试工程师"]),
        "kind": rng.choice(["年休假", "婚假"]),
        "start": f"2024年10月{start}日",
        "end": f"2024年10月{start + days}日",
        "days": f"{days}天",
        "reason": rng.choice(["回老家探望父母,处理家中事务。", "办理婚礼相关事宜并外出旅行。"]),
        "deputy": rng.choice(["曹雪", "邓超然"]),
        "phone": mobile(rng),
        "boss": rng.choice(["同意。沈立群", "同意。范国华"]),
        "applied": f"2024年9月{rng.randint(10, 29)}日",
    }
    page = Page(1240, 1000)
    page.text(620, 80, "员工请假申请单", 42, "sans-bold", anchor="mm")
    page.text(1130, 130, f"申请日期:{facts['applied']}", 22, anchor="ra")
    rows = [
        ("姓名", "name", "工号", "number"),
        ("部门", "team", "职务", "post"),
        ("请假类别", "kind", "请假天数", "days"),
        ("开始日期", "start", "结束日期", "end"),
        ("工作代理人", "deputy", "联系电话", "phone"),
    ]
    for index, (left, first, right, second) in enumerate(rows):
        y = 170 + index * 76
        for x0, x1, words, bold in (
            (110, 310, left, True),
            (310, 620, facts[first], False),
            (620, 820, right, True),
            (820, 1130, facts[second], False),
        ):
            page.box(x0, y, x1, y + 76, (238, 242, 247) if bold else None)
            page.text((x0 + x1) / 2, y + 38, words, 25, "sans-bold" if bold else "sans", anchor="mm")
    for y, key, name, tall in (
        (550, "请假事由", "reason", 150),
        (700, "部门主管意见", "boss", 110),
        (810, "人力资源部意见", "", 110),
    ):
        page.box(110, y, 310, y + tall, (238, 242, 247))
        page.box(310, y, 1130, y + tall)
        page.text(210, y + tall / 2, key, 25, "sans-bold", anchor="mm")
        if name:
            page.text(335, y + tall / 2, facts[name], 25, "serif", anchor="lm")
    return finished(page, facts)


def form_laboratory(rng: Random) -> Document:
    """医院检验报告单: a header line of patient facts and a table of results with arrows."""
    facts = {
        "patient": rng.choice(["何秀兰", "高志远"]),
        "sex": "女",
        "age": f"{rng.randint(28, 76)}岁",
        "id": digits(rng, 9),
        "ward": rng.choice(["内分泌科", "心血管内科"]),
        "doctor": rng.choice(["罗宏伟", "谭静"]),
        "date": f"2024-11-{rng.randint(10, 28)}",
        "checker": "彭丽娟",
    }
    results = [
        ("白细胞计数", "WBC", 35, 95, 10, "10^9/L"),
        ("血红蛋白", "HGB", 1150, 1500, 10, "g/L"),
        ("空腹血糖", "GLU", 39, 61, 10, "mmol/L"),
        ("总胆固醇", "TC", 280, 570, 100, "mmol/L"),
        ("甘油三酯", "TG", 40, 170, 100, "mmol/L"),
        ("肌酐", "CREA", 440, 970, 10, "umol/L"),
        ("谷丙转氨酶", "ALT", 70, 400, 10, "U/L"),
    ]
    rows = [["项目", "缩写", "结果", "提示", "参考范围", "单位"]]
    for name, short, low, high, scale, unit in results:
        value = rng.randint(int(low * 0.9), int(high * 1.35))
        mark = "↑" if value > high else ("↓" if value < low else "")
        shown = f"{value / scale:.2f}" if scale == 100 else f"{value / scale:.1f}"
        rows.append([name, short, shown, mark, f"{low / scale:g}-{high / scale:g}", unit])
        facts |= {short: shown, f"{short}_range": f"{low / scale:g}-{high / scale:g}"}
    page = Page(1240, 980)
    page.text(620, 70, "江州市第二人民医院检验报告单", 38, "sans-bold", anchor="mm")
    lines = [
        [("姓名:", "patient"), ("性别:", "sex"), ("年龄:", "age"), ("病历号:", "id")],
        [("科室:", "ward"), ("送检医生:", "doctor"), ("采样日期:", "date")],
    ]
    for number, line in enumerate(lines):
        for index, (key, name) in enumerate(line):
            page.text(90 + index * (270 if number == 0 else 370), 130 + 48 * number, key + facts[name], 24)
    page.rule(80, 232, 1160, 232, 3)
    bottom = table(
        page,
        80,
        236,
        [280, 140, 160, 110, 210, 180],
        rows,
        64,
        Ruling(24, line=(150, 150, 150), only_rows=True, align="lccccc"),
    )
    page.text(90, bottom + 40, f"检验者:{facts['checker']}", 24)
    page.text(620, bottom + 40, "本报告仅对所检测标本负责", 22, "sans", GREY)
    return finished(page, facts)


def form_entry(rng: Random) -> Document:
    """活動報名表 in traditional characters with tick boxes."""
    facts = {
        "name": rng.choice(["蔡欣怡", "許志豪"]),
        "birth": f"198{rng.randint(1, 9)}/0{rng.randint(1, 9)}/{rng.randint(10, 28)}",
        "phone": f"09{digits(rng, 2)}-{digits(rng, 3)}-{digits(rng, 3)}",
        "mail": rng.choice(["hsinyi.tsai@example.tw", "chihhao88@example.tw"]),
        "group": rng.choice(["半程馬拉松組", "十公里組"]),
        "size": rng.choice(["M", "L", "XL"]),
        "contact": rng.choice(["蔡明德", "許麗華"]),
        "relation": rng.choice(["父親", "配偶"]),
        "fee": f"新臺幣{rng.choice([900, 1200, 1450]):,}元",
        "blood": rng.choice(["O型", "AB型"]),
    }
    page = Page(1240, 1080, (255, 253, 247))
    page.text(620, 90, "2025淡水河岸路跑報名表", 42, "trad-bold", (20, 84, 96), "mm")
    rows = [
        ("姓名", "name"),
        ("出生日期", "birth"),
        ("行動電話", "phone"),
        ("電子郵件", "mail"),
        ("參加組別", "group"),
        ("衣服尺寸", "size"),
        ("血型", "blood"),
        ("緊急聯絡人", "contact"),
        ("與聯絡人關係", "relation"),
        ("報名費用", "fee"),
    ]
    for index, (key, name) in enumerate(rows):
        y = 160 + index * 74
        page.box(160, y, 430, y + 74, (226, 240, 240), (20, 84, 96))
        page.box(430, y, 1080, y + 74, None, (20, 84, 96))
        page.text(295, y + 37, key, 26, "trad-bold", anchor="mm")
        page.text(460, y + 37, facts[name], 27, "trad", anchor="lm")
    page.text(160, 935, "※ 繳費後恕不退費,物資將於賽前一週以宅配寄出。", 23, "trad")
    page.text(160, 980, "☑ 本人已詳閱並同意參賽規章", 23, "trad")
    return finished(page, facts)


def receipt_market(rng: Random) -> Document:
    """超市小票: narrow paper, dashes, item lines."""
    goods = rng.sample(
        [
            ("纯牛奶250ml", 350),
            ("全麦面包", 1280),
            ("红富士苹果", 1690),
            ("洗衣液2kg", 3990),
            ("鸡蛋30枚", 2680),
            ("大豆油5L", 6990),
            ("抽纸3包", 1590),
        ],
        5,
    )
    facts: dict[str, str] = {
        "shop": "家乐家生活超市(文昌路店)",
        "number": digits(rng, 12),
        "cashier": f"0{digits(rng, 3)}",
        "date": f"2024-12-{rng.randint(10, 28)} 18:{rng.randint(10, 59)}",
    }
    rows, total, pieces = [["品名", "数量", "单价", "小计"]], 0, 0
    for index, (name, price) in enumerate(goods, 1):
        count = rng.randint(1, 4)
        rows.append([name, str(count), money(price), money(price * count)])
        facts |= {f"good{index}": name, f"count{index}": str(count), f"sum{index}": money(price * count)}
        total, pieces = total + price * count, pieces + count
    off = rng.choice([500, 800, 1000])
    paid = (total - off) // 10000 * 10000 + 10000
    facts |= {
        "pieces": str(pieces),
        "gross": money(total),
        "off": money(off),
        "due": money(total - off),
        "paid": money(paid),
        "change": money(paid - total + off),
        "card": f"6688{digits(rng, 6)}",
    }
    return _receipt_market_page(facts, rows)


def _receipt_market_page(facts: dict[str, str], rows: list[list[str]]) -> Document:
    page = Page(640, 1080, (250, 250, 246))
    page.text(320, 50, facts["shop"], 30, "sans-bold", anchor="mm")
    page.text(320, 92, "欢迎光临", 24, anchor="mm")
    for index, line in enumerate([f"单号:{facts['number']}", f"收银员:{facts['cashier']}", f"日期:{facts['date']}"]):
        page.text(40, 126 + 38 * index, line, 23)
    page.dashes(40, 600, 250)
    y = table(page, 40, 258, [240, 80, 110, 130], rows, 52, Ruling(23, line=None, align="lrrr"))
    page.dashes(40, 600, y + 8)
    for index, (key, name) in enumerate(
        [
            ("总件数", "pieces"),
            ("合计", "gross"),
            ("优惠", "off"),
            ("应付", "due"),
            ("现金", "paid"),
            ("找零", "change"),
        ]
    ):
        page.text(40, y + 26 + 44 * index, key, 25, "sans-bold" if name == "due" else "sans")
        page.text(600, y + 26 + 44 * index, facts[name], 25, "sans-bold" if name == "due" else "sans", anchor="ra")
    page.dashes(40, 600, y + 300)
    page.text(40, y + 316, f"会员卡号:{facts['card']}", 23)
    page.text(320, y + 390, "谢谢惠顾,请妥善保管小票", 23, anchor="mm")
    return finished(page, facts)


def receipt_diner(rng: Random) -> Document:
    """An English restaurant check in a typewriter face."""
    dishes = rng.sample(
        [
            ("Clam Chowder", 950),
            ("Caesar Salad", 1125),
            ("Grilled Salmon", 2450),
            ("Ribeye Steak", 3375),
            ("Iced Tea", 375),
            ("Cheesecake", 825),
        ],
        4,
    )
    net = sum(price for _, price in dishes)
    tax, tip = net * 8 // 100, rng.choice([900, 1200, 1500])
    facts = {
        "shop": "THE LANTERN GRILL",
        "table": str(rng.randint(3, 29)),
        "server": rng.choice(["Monica", "Trevor"]),
        "guests": str(rng.randint(2, 5)),
        "check": digits(rng, 5),
        "date": f"06/{rng.randint(10, 28)}/2024 7:{rng.randint(10, 58)} PM",
        "subtotal": money(net),
        "tax": money(tax),
        "tip": money(tip),
        "total": money(net + tax + tip),
        "card": f"VISA ************{digits(rng, 4)}",
        "auth": digits(rng, 6),
    }
    facts |= {f"price{index}": money(price) for index, (_, price) in enumerate(dishes, 1)} | {
        f"dish{index}": name for index, (name, _) in enumerate(dishes, 1)
    }
    page = Page(660, 1060, (247, 245, 238))
    for index, line in enumerate([facts["shop"], "418 Harbor Street, Portland", "Tel (503) 555-0142"]):
        page.text(330, 56 + 40 * index, line, 32 if index == 0 else 23, "mono", anchor="mm")
    page.text(50, 180, f"Server: {facts['server']}", 24, "mono")
    page.text(400, 180, f"Table: {facts['table']}", 24, "mono")
    page.text(50, 218, f"Guests: {facts['guests']}", 24, "mono")
    page.text(400, 218, f"Check #{facts['check']}", 24, "mono")
    page.text(50, 256, facts["date"], 24, "mono")
    page.dashes(50, 610, 302)
    pairs = [
        *((name, money(price)) for name, price in dishes),
        ("", ""),
        *((key, facts[key.lower()]) for key in ("Subtotal", "Tax", "Tip", "Total")),
    ]
    for index, (key, value) in enumerate(pairs):
        if key:
            page.text(50, 324 + 48 * index, key, 28 if key == "Total" else 25, "mono")
            page.text(610, 324 + 48 * index, value, 28 if key == "Total" else 25, "mono", anchor="ra")
    page.dashes(50, 610, 775)
    for index, line in enumerate([facts["card"], f"Auth Code: {facts['auth']}", "APPROVED"]):
        page.text(50, 800 + 42 * index, line, 24, "mono")
    page.text(330, 970, "Thank you! Please come again", 24, "mono", anchor="mm")
    return finished(page, facts)


def pdf_policy(rng: Random) -> Document:
    """An English travel policy of two pages as a PDF with a text layer."""
    facts = {
        "version": f"{rng.randint(2, 6)}.{rng.randint(1, 9)}",
        "owner": "Finance Operations",
        "hotel": f"USD {rng.choice([180, 210, 240])}",
        "meal": f"USD {rng.choice([55, 65, 75])}",
        "mileage": f"USD 0.{rng.choice(['58', '62', '67'])}",
        "deadline": f"{rng.choice([10, 14, 21])} calendar days",
        "approver": rng.choice(["Regional Director", "Budget Holder"]),
        "mail": "travel-desk@example.com",
    }
    pages = [
        [
            "Business Travel Policy",
            f"Version: {facts['version']}",
            f"Policy owner: {facts['owner']}",
            "",
            "1. Booking",
            "All flights must be booked through the corporate travel portal.",
            "Economy class applies to flights shorter than six hours.",
            "",
            "2. Accommodation",
            f"The nightly hotel limit is {facts['hotel']} including taxes.",
            "",
            "3. Meals",
            f"The daily meal allowance is {facts['meal']} per traveller.",
        ],
        [
            "4. Ground transport",
            f"Private cars are reimbursed at {facts['mileage']} per mile.",
            "",
            "5. Claims",
            f"Expense claims must be submitted within {facts['deadline']} of return.",
            f"Exceptions require written approval of the {facts['approver']}.",
            "",
            f"Questions: {facts['mail']}",
        ],
    ]
    return text_pdf(pages, facts)


def pdf_notice(rng: Random) -> Document:
    """A Chinese notice scanned into a PDF without a text layer."""
    facts = {
        "number": f"云行发〔2024〕{rng.randint(11, 98)}号",
        "from": "云溪区行政服务中心",
        "start": f"2024年12月{rng.randint(2, 9)}日",
        "place": "滨河路66号",
        "phone": f"0731-{digits(rng, 8)}",
        "hours": "上午9:00至12:00,下午13:30至17:00",
        "signed": f"2024年11月{rng.randint(11, 28)}日",
    }
    page = Page(1240, 1300)
    red: Color = (200, 30, 30)
    page.text(620, 110, "云溪区行政服务中心文件", 50, "serif-bold", red, "mm")
    page.text(620, 190, facts["number"], 26, "serif", anchor="mm")
    page.rule(120, 225, 1120, 225, 4, red)
    page.text(620, 300, "关于办公地点搬迁的通知", 40, "serif-bold", anchor="mm")
    y = page.paragraph(120, 370, "各有关单位:", 1000, 28, "serif")
    for words in (
        f"    因业务发展需要,我中心定于{facts['start']}起搬迁至{facts['place']}办公,原办公地点同时停止受理业务。",
        f"    新址对外服务时间为工作日{facts['hours']}。",
        f"    咨询电话:{facts['phone']}。给您带来的不便,敬请谅解。",
        "    特此通知。",
    ):
        y = page.paragraph(120, y + 10, words, 1000, 28, "serif")
    page.text(1080, y + 90, facts["from"], 28, "serif", anchor="ra")
    page.text(1080, y + 140, facts["signed"], 28, "serif", anchor="ra")
    page.stamp(930, y + 120, 90, "公章")
    return picture_pdf(finished(page, facts))
