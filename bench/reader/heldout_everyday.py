"""Documents of the held-out set: screenshots, forms, receipts and PDFs."""

from random import Random

from bench.reader.amounts import digits, mobile, money
from bench.reader.canvas import WHITE, Color, Document, Page, Ruling, finished, table
from bench.reader.pdfs import picture_pdf, text_pdf

GREY: Color = (104, 108, 116)


def console_java(rng: Random) -> Document:
    """A Java stack trace in a light IDE console."""
    facts = {
        "exception": rng.choice(["java.lang.NullPointerException", "java.lang.IllegalStateException"]),
        "class": rng.choice(["InvoiceMapper", "CartService"]),
        "line": str(rng.randint(101, 480)),
        "thread": f"http-nio-8080-exec-{rng.randint(2, 19)}",
        "cause": "java.sql.SQLTimeoutException",
        "elapsed": f"{rng.randint(20, 58)}017 ms",
        "order": digits(rng, 9),
        "version": f"3.{rng.randint(1, 4)}.{rng.randint(2, 12)}",
        "time": f"2025-04-{rng.randint(10, 28)} 03:{rng.randint(10, 59)}:18.442",
    }
    page = Page(1340, 620)
    page.box(0, 0, 1340, 46, (236, 236, 238), None)
    page.text(20, 23, "Console  —  order-service [running]", 21, "sans", GREY, "lm")
    red: Color = (190, 30, 45)
    for index, (words, tint) in enumerate(
        [
            (f":: Spring Boot ::  (v{facts['version']})", GREY),
            (f"{facts['time']} ERROR [{facts['thread']}]", (20, 20, 20)),
            (f"Failed to process order {facts['order']}", (20, 20, 20)),
            (f"{facts['exception']}: customer must not be null", red),
            (f"    at com.acme.shop.{facts['class']}.convert({facts['class']}.java:{facts['line']})", red),
            ("    at com.acme.shop.OrderController.submit(OrderController.java:66)", red),
            ("    at java.base/java.lang.Thread.run(Thread.java:840)", red),
            (f"Caused by: {facts['cause']}: statement cancelled", red),
            (f"Query took {facts['elapsed']}, limit is 15000 ms", (20, 20, 20)),
            ("    ... 41 common frames omitted", red),
        ]
    ):
        page.text(24, 70 + 50 * index, words, 25, "mono", tint)
    return finished(page, facts)


def phone_alert(rng: Random) -> Document:
    """A payment failure in a Chinese phone app."""
    facts = {
        "amount": f"{rng.randint(120, 980)}.{rng.randint(10, 99)}",
        "bank": rng.choice(["工商银行储蓄卡", "交通银行信用卡"]),
        "tail": digits(rng, 4),
        "code": f"PAY_{digits(rng, 5)}",
        "order": digits(rng, 16),
        "reason": rng.choice(["银行卡余额不足", "超出单日支付限额"]),
        "time": f"2025年3月{rng.randint(10, 28)}日 21:{rng.randint(10, 59)}",
        "merchant": rng.choice(["鲜丰水果（大学城店）", "晨光文具旗舰店"]),
        "service": "95188",
    }
    page = Page(720, 1360, (240, 241, 244))
    page.text(40, 36, "21:47", 26, "sans-bold", anchor="lm")
    page.text(680, 36, "5G  62%", 24, "sans", anchor="rm")
    page.box(0, 64, 720, 150, WHITE, None)
    page.text(360, 107, "支付结果", 32, "sans-bold", anchor="mm")
    page.pen.ellipse((300, 200, 420, 320), fill=(238, 88, 64))
    page.text(360, 258, "!", 80, "sans-bold", WHITE, "mm")
    page.text(360, 376, "支付失败", 42, "sans-bold", anchor="mm")
    page.text(360, 436, facts["reason"], 28, fill=GREY, anchor="mm")
    page.box(40, 500, 680, 960, WHITE, None)
    for index, (key, value) in enumerate(
        [
            ("付款金额", f"￥{facts['amount']}"),
            ("收款商户", facts["merchant"]),
            ("付款方式", f"{facts['bank']}（{facts['tail']}）"),
            ("订单号", facts["order"]),
            ("失败时间", facts["time"]),
            ("错误码", facts["code"]),
        ]
    ):
        page.text(70, 548 + 74 * index, key, 26, fill=GREY, anchor="lm")
        page.text(650, 548 + 74 * index, value, 26, anchor="rm")
    page.box(60, 1020, 660, 1104, (22, 119, 255), None)
    page.text(360, 1062, "更换付款方式", 30, fill=WHITE, anchor="mm")
    page.text(360, 1170, f"如有疑问，请拨打{facts['service']}联系客服", 24, fill=GREY, anchor="mm")
    return finished(page, facts)


def web_denied(rng: Random) -> Document:
    """An English access-denied page of a CDN."""
    facts = {
        "ray": digits(rng, 3) + "e" + digits(rng, 8) + "bd",
        "ip": f"198.51.100.{rng.randint(11, 240)}",
        "status": "Error 1020",
        "site": rng.choice(["tickets.riverside-arena.com", "portal.greenfield-clinic.org"]),
        "time": f"2024-08-{rng.randint(10, 28)} 11:{rng.randint(10, 59)}:05 UTC",
        "mail": rng.choice(["security@riverside-arena.com", "webmaster@greenfield-clinic.org"]),
        "node": rng.choice(["Frankfurt", "Singapore"]),
    }
    page = Page(1280, 800, (250, 250, 252))
    page.text(120, 110, facts["status"], 64, "sans-bold", (60, 60, 70), "lm")
    page.text(120, 190, "Access denied", 40, "sans", (200, 70, 40), "lm")
    page.rule(120, 235, 1160, 235, fill=(214, 214, 220))
    page.text(120, 270, "What happened?", 30, "sans-bold")
    page.paragraph(
        120,
        320,
        (
            f"This website ({facts['site']}) is using a security service to "
            "protect itself. Your request was blocked by a firewall rule."
        ),
        1000,
        25,
    )
    page.text(120, 430, "What can I do?", 30, "sans-bold")
    page.paragraph(120, 480, f"Email the site owner at {facts['mail']} and include the Ray ID shown below.", 1000, 25)
    for index, (key, name) in enumerate(
        [("Ray ID", "ray"), ("Your IP address", "ip"), ("Edge location", "node"), ("Timestamp", "time")]
    ):
        page.text(120, 570 + 44 * index, f"{key}: {facts[name]}", 25, "sans", GREY)
    return finished(page, facts)


def blue_screen(rng: Random) -> Document:
    """A stop screen in traditional Chinese."""
    facts = {
        "stop": rng.choice(["CRITICAL_PROCESS_DIED", "MEMORY_MANAGEMENT"]),
        "driver": rng.choice(["nvlddmkm.sys", "rtwlane.sys"]),
        "done": f"{rng.randint(12, 88)}%",
        "code": f"0x000000{rng.choice(['EF', '1A'])}",
        "url": "https://www.windows.com/stopcode",
    }
    page = Page(1280, 720, (0, 102, 190))
    page.text(120, 80, ":(", 110, "sans", WHITE)
    for y, words, size in (
        (260, "您的電腦發生問題，因此必須重新啟動。", 32),
        (312, "我們正在收集一些錯誤資訊，接著您可以重新啟動。", 32),
        (390, f"已完成 {facts['done']}", 32),
        (470, f"如需詳細資訊，請造訪 {facts['url']}", 23),
        (530, "如果您致電支援人員，請提供以下資訊：", 23),
        (572, f"停止代碼：{facts['stop']}（{facts['code']}）", 23),
        (614, f"失敗的項目：{facts['driver']}", 23),
    ):
        page.text(120, y, words, size, "trad", WHITE)
    return finished(page, facts)


def form_joining(rng: Random) -> Document:
    """新员工入职登记表: a ruled grid with a photo cell and an education table."""
    facts = {
        "name": rng.choice(["欧阳若曦", "石磊"]),
        "gender": rng.choice(["女", "男"]),
        "nation": rng.choice(["汉族", "回族"]),
        "birth": f"199{rng.randint(1, 8)}年{rng.randint(1, 12)}月",
        "origin": rng.choice(["山西太原", "福建泉州"]),
        "marriage": rng.choice(["未婚", "已婚"]),
        "id": f"1401{digits(rng, 14)}",
        "phone": mobile(rng),
        "mail": f"{rng.choice(['ruoxi', 'shilei'])}{digits(rng, 3)}@example.cn",
        "address": rng.choice(["小店区长风街27号", "丰泽区津淮街106号"]),
        "join": f"2025年{rng.randint(2, 6)}月{rng.randint(10, 28)}日",
        "post": rng.choice(["财务主管", "采购专员"]),
        "dept": rng.choice(["财务管理中心", "供应链管理部"]),
        "family": rng.choice(["欧阳建设", "石国庆"]),
        "family_phone": mobile(rng),
        "school": rng.choice(["山西财经大学", "华侨大学"]),
        "major": rng.choice(["会计学", "物流管理"]),
        "middle": rng.choice(["太原市第五中学", "泉州市第七中学"]),
        "bankcard": f"6222 {digits(rng, 4)} {digits(rng, 4)} {digits(rng, 3)}",
    }
    return _form_joining_page(facts)


def _form_joining_page(facts: dict[str, str]) -> Document:
    page = Page(1240, 1240)
    page.text(620, 70, "新员工入职登记表", 42, "serif-bold", anchor="mm")
    lines = [
        ("姓名", "name", "性别", "gender"),
        ("民族", "nation", "出生年月", "birth"),
        ("籍贯", "origin", "婚姻状况", "marriage"),
        ("入职部门", "dept", "岗位", "post"),
    ]
    for index, line in enumerate(lines):
        for slot, (x0, x1) in enumerate(((90, 240), (240, 500), (500, 660), (660, 940))):
            page.box(x0, 120 + 66 * index, x1, 186 + 66 * index)
            page.text(
                (x0 + x1) / 2,
                153 + 66 * index,
                line[slot] if slot % 2 == 0 else facts[line[slot]],
                24,
                "serif-bold" if slot % 2 == 0 else "sans",
                anchor="mm",
            )
    page.box(940, 120, 1150, 384)
    page.text(1045, 250, "照片", 26, "serif", (150, 150, 150), "mm")
    for index, (key, name) in enumerate(
        [
            ("身份证号", "id"),
            ("手机号码", "phone"),
            ("电子邮箱", "mail"),
            ("现住址", "address"),
            ("工资卡号", "bankcard"),
            ("入职日期", "join"),
        ]
    ):
        page.box(90, 384 + 66 * index, 240, 450 + 66 * index)
        page.box(240, 384 + 66 * index, 1150, 450 + 66 * index)
        page.text(165, 417 + 66 * index, key, 24, "serif-bold", anchor="mm")
        page.text(265, 417 + 66 * index, facts[name], 24, anchor="lm")
    rows = [
        ["学校名称", "起止时间", "专业", "学历"],
        [facts["school"], "2012.09-2016.06", facts["major"], "本科"],
        [facts["middle"], "2009.09-2012.06", "", "高中"],
    ]
    bottom = table(page, 90, 790, [400, 300, 200, 160], rows, 62, Ruling(24, head_face="serif-bold"))
    rows = [["紧急联系人", "与本人关系", "联系电话"], [facts["family"], "父亲", facts["family_phone"]]]
    bottom = table(page, 90, bottom + 20, [360, 300, 400], rows, 62, Ruling(24, head_face="serif-bold"))
    page.text(90, bottom + 24, "本人承诺以上信息真实有效。　　签名：________", 24, "serif")
    return finished(page, facts)


def form_checkup(rng: Random) -> Document:
    """健康檢查報告 in traditional characters with a ruled result table."""
    facts = {
        "name": rng.choice(["劉建宏", "洪美玲"]),
        "no": f"HC{digits(rng, 6)}",
        "day": f"2024年{rng.randint(3, 9)}月{rng.randint(10, 28)}日",
        "age": f"{rng.randint(31, 68)}",
        "clinic": "仁愛聯合診所",
        "doctor": rng.choice(["簡志明醫師", "葉佩君醫師"]),
        "company": rng.choice(["宏遠電子", "大有貿易"]),
        "advice": rng.choice(["建議減重並於三個月後複檢血脂。", "建議低鹽飲食，半年後追蹤血壓。"]),
    }
    rows = [["檢查項目", "檢查值", "單位", "參考值"]]
    for key, name, low, high, scale, unit, wanted in [
        ("height", "身高", 1520, 1850, 10, "cm", "—"),
        ("weight", "體重", 480, 920, 10, "kg", "—"),
        ("systolic", "收縮壓", 102, 158, 1, "mmHg", "90-140"),
        ("sugar", "飯前血糖", 78, 126, 1, "mg/dL", "70-100"),
        ("cholesterol", "總膽固醇", 150, 262, 1, "mg/dL", "<200"),
        ("uric", "尿酸", 38, 88, 10, "mg/dL", "3.4-7.0"),
        ("pulse", "脈搏", 58, 97, 1, "次/分", "60-100"),
    ]:
        value = rng.randint(low, high)
        facts[key] = f"{value / scale:.1f}" if scale > 1 else str(value)
        rows.append([name, facts[key], unit, wanted])
    page = Page(1200, 1140)
    page.text(600, 70, f"{facts['clinic']}健康檢查報告", 40, "trad-bold", (10, 80, 60), "mm")
    for index, (key, name) in enumerate(
        [("受檢者", "name"), ("檢查編號", "no"), ("檢查日期", "day"), ("服務單位", "company")]
    ):
        page.text(100 + 520 * (index % 2), 140 + 52 * (index // 2), f"{key}：{facts[name]}", 26, "trad")
    bottom = table(
        page, 100, 260, [320, 220, 220, 240], rows, 66, Ruling(26, "trad", "trad-bold", (10, 80, 60), (222, 240, 232))
    )
    page.text(100, bottom + 30, f"醫師建議：{facts['advice']}", 26, "trad")
    page.text(100, bottom + 84, f"報告醫師：{facts['doctor']}", 26, "trad")
    return finished(page, facts)


def form_expenses(rng: Random) -> Document:
    """An English expense claim with boxes and a table."""
    spends = [("Taxi", 3400, 7200), ("Hotel", 14500, 32000), ("Meals", 2600, 8900), ("Parking", 900, 2800)]
    rows, total = [["Date", "Category", "Vendor", "Amount"]], 0
    facts = {
        "name": rng.choice(["Hannah Lindqvist", "Marcus Abara"]),
        "staff": f"E-{digits(rng, 5)}",
        "dept": rng.choice(["Field Engineering", "Public Relations"]),
        "trip": rng.choice(["Client visit in Toronto", "Trade fair in Rotterdam"]),
        "manager": rng.choice(["Olivia Brandt", "Keith Sorensen"]),
        "submitted": f"2025-01-{rng.randint(20, 30)}",
        "centre": f"CC-{digits(rng, 4)}",
    }
    for index, (kind, low, high) in enumerate(spends):
        cents = rng.randint(low, high)
        vendor = rng.choice(
            [
                ["City Cabs", "GreenRide"],
                ["Hotel Astoria", "Maple Inn"],
                ["Bistro 19", "Noodle Bar"],
                ["Central Garage", "P-Nord"],
            ][index]
        )
        rows.append([f"2025-01-{12 + index}", kind, vendor, money(cents)])
        facts |= {f"{kind}_amount": money(cents), f"{kind}_vendor": vendor}
        total += cents
    facts |= {"advance": money(20000), "total": money(total), "due": money(abs(total - 20000))}
    page = Page(1240, 1080, (255, 255, 255))
    page.text(80, 80, "EXPENSE CLAIM FORM", 40, "sans-bold", (40, 70, 60), "lm")
    for index, (key, name) in enumerate(
        [
            ("Employee", "name"),
            ("Staff number", "staff"),
            ("Department", "dept"),
            ("Cost centre", "centre"),
            ("Purpose of trip", "trip"),
            ("Submitted on", "submitted"),
        ]
    ):
        x, y = 80 + 550 * (index % 2), 140 + 100 * (index // 2)
        page.box(x, y, x + 530, y + 84, (246, 248, 246), (150, 165, 158))
        page.text(x + 14, y + 10, key, 19, "sans", GREY)
        page.text(x + 14, y + 40, facts[name], 26)
    bottom = table(
        page,
        80,
        460,
        [220, 260, 340, 260],
        rows,
        62,
        Ruling(25, line=(150, 165, 158), head_fill=(218, 230, 222), align="lllr"),
    )
    for index, (key, name) in enumerate([("Total expenses", "total"), ("Cash advance", "advance"), ("Balance", "due")]):
        page.text(900, bottom + 24 + 44 * index, key, 25, "sans-bold", anchor="ra")
        page.text(1150, bottom + 24 + 44 * index, f"EUR {facts[name]}", 25, anchor="ra")
    page.text(80, bottom + 180, f"Approved by: {facts['manager']}", 25)
    return finished(page, facts)


def receipt_taxi(rng: Random) -> Document:
    """出租车发票: a narrow printed slip."""
    facts = {
        "plate": f"京B·{rng.choice('TNQ')}{digits(rng, 4)}",
        "date": f"2024年{rng.randint(10, 12)}月{rng.randint(10, 28)}日",
        "up": f"07:{rng.randint(10, 29)}",
        "down": f"07:{rng.randint(40, 59)}",
        "price": "2.30",
        "km": f"{rng.randint(9, 28)}.{rng.randint(1, 9)}",
        "wait": f"00:0{rng.randint(2, 9)}:{rng.randint(10, 59)}",
        "fare": f"{rng.randint(31, 88)}.00",
        "surcharge": "1.00",
        "driver": digits(rng, 6),
        "code": "11" + digits(rng, 10),
        "number": digits(rng, 8),
        "phone": "96103",
    }
    page = Page(520, 1080, (251, 250, 247))
    page.text(260, 56, "北京市出租汽车专用发票", 32, "serif-bold", (150, 30, 30), "mm")
    page.text(260, 100, "发票联", 24, "serif", (150, 30, 30), "mm")
    for index, (key, value) in enumerate(
        [
            ("发票代码", facts["code"]),
            ("发票号码", facts["number"]),
            ("车号", facts["plate"]),
            ("证号", facts["driver"]),
            ("日期", facts["date"]),
            ("上车", facts["up"]),
            ("下车", facts["down"]),
            ("单价", f"{facts['price']}元/公里"),
            ("里程", f"{facts['km']}公里"),
            ("等候", facts["wait"]),
            ("金额", f"{facts['fare']}元"),
            ("燃油附加费", f"{facts['surcharge']}元"),
            ("投诉电话", facts["phone"]),
        ]
    ):
        page.text(60, 150 + 62 * index, key, 27, "serif", (60, 60, 66))
        page.text(460, 150 + 62 * index, value, 27, "sans", anchor="ra")
    page.text(260, 1010, "手写无效　报销凭证", 23, "serif", (150, 30, 30), "mm")
    return finished(page, facts)


def receipt_hotpot(rng: Random) -> Document:
    """火锅店结账单: dishes with counts, service fee and discount."""
    facts: dict[str, str] = {
        "shop": "巷子口老火锅",
        "desk": f"{rng.choice('ABC')}{rng.randint(10, 38)}",
        "people": f"{rng.randint(3, 8)}位",
        "waiter": rng.choice(["小芳", "阿强"]),
        "open": f"19:{rng.randint(10, 29)}",
        "bill": digits(rng, 10),
        "pay": rng.choice(["微信支付", "支付宝"]),
    }
    rows, total = [["菜品", "数量", "金额"]], 0
    for index, (name, price) in enumerate(
        rng.sample(
            [
                ("鸳鸯锅底", 5800),
                ("精品毛肚", 4900),
                ("手切羊肉", 5200),
                ("鲜鸭血", 1800),
                ("冰粉", 900),
                ("酸梅汤", 2600),
                ("土豆片", 1200),
            ],
            5,
        ),
        1,
    ):
        count = rng.randint(1, 3)
        rows.append([name, str(count), money(count * price)])
        facts |= {f"dish{index}": name, f"sum{index}": money(count * price)}
        total += count * price
    off = total * 12 // 100
    facts |= {"gross": money(total), "tea": money(1200), "off": money(off), "net": money(total + 1200 - off)}
    return _receipt_hotpot_page(facts, rows)


def _receipt_hotpot_page(facts: dict[str, str], rows: list[list[str]]) -> Document:
    page = Page(600, 1140, (253, 252, 248))
    page.text(300, 60, facts["shop"], 36, "sans-bold", anchor="mm")
    page.text(300, 108, "结 账 单", 28, anchor="mm")
    for index, (left, right) in enumerate(
        [
            (f"桌号：{facts['desk']}", f"人数：{facts['people']}"),
            (f"服务员：{facts['waiter']}", f"开台：{facts['open']}"),
            (f"流水号：{facts['bill']}", ""),
        ]
    ):
        page.text(40, 150 + 44 * index, left, 24)
        if right:
            page.text(360, 150 + 44 * index, right, 24)
    page.dashes(40, 560, 290)
    y = table(page, 40, 298, [280, 100, 140], rows, 54, Ruling(25, line=None, align="lcr"))
    page.dashes(40, 560, y + 6)
    for index, (key, name) in enumerate(
        [("消费合计", "gross"), ("茶位费", "tea"), ("会员折扣", "off"), ("实收金额", "net")]
    ):
        page.text(40, y + 24 + 48 * index, key, 26, "sans-bold" if name == "net" else "sans")
        page.text(
            550,
            y + 24 + 48 * index,
            ("-" if name == "off" else "") + facts[name],
            26,
            "sans-bold" if name == "net" else "sans",
            anchor="ra",
        )
    page.text(40, y + 230, f"支付方式：{facts['pay']}", 24)
    page.text(300, y + 300, "欢迎下次光临", 25, anchor="mm")
    return finished(page, facts)


def receipt_grocer(rng: Random) -> Document:
    """An English supermarket receipt with weights and savings."""
    facts: dict[str, str] = {
        "store": "Fairmount Market",
        "store_no": f"{digits(rng, 4)}",
        "register": f"{rng.randint(2, 9):02d}",
        "date": f"11/{rng.randint(10, 28)}/2024",
        "ref": digits(rng, 10),
        "member": f"****{digits(rng, 4)}",
        "cashier": rng.choice(["Denise", "Rahul"]),
    }
    lines, total = [], 0
    for index, (name, price) in enumerate(
        rng.sample(
            [
                ("Organic Bananas", 219),
                ("Whole Milk 1 gal", 429),
                ("Sourdough Loaf", 549),
                ("Cheddar Cheese", 687),
                ("Ground Coffee", 1099),
                ("Paper Towels", 1249),
                ("Greek Yogurt", 598),
            ],
            5,
        ),
        1,
    ):
        lines.append((name, money(price)))
        facts |= {f"item{index}": name, f"price{index}": money(price)}
        total += price
    tax, saved, cash = total * 6 // 100, rng.choice([135, 240, 310]), 6000
    facts |= {
        "subtotal": money(total),
        "tax": money(tax),
        "saved": money(saved),
        "total": money(total + tax),
        "cash": money(cash),
        "change": money(cash - total - tax),
    }
    return _receipt_grocer_page(facts, lines)


def _receipt_grocer_page(facts: dict[str, str], lines: list[tuple[str, str]]) -> Document:
    page = Page(620, 1200, (249, 249, 246))
    for index, (words, size) in enumerate(
        [
            (facts["store"], 36),
            (f"Store #{facts['store_no']}  Register {facts['register']}", 23),
            (f"Cashier {facts['cashier']}   {facts['date']}", 23),
        ]
    ):
        page.text(310, 60 + 46 * index, words, size, "sans-bold" if index == 0 else "mono", anchor="mm")
    pairs = [
        *lines,
        ("", ""),
        ("SUBTOTAL", facts["subtotal"]),
        ("SALES TAX 6%", facts["tax"]),
        ("BALANCE DUE", facts["total"]),
        ("CASH TENDERED", facts["cash"]),
        ("CHANGE", facts["change"]),
        ("", ""),
        ("YOU SAVED TODAY", facts["saved"]),
    ]
    for index, (key, value) in enumerate(pairs):
        if key:
            page.text(50, 210 + 52 * index, key, 25, "mono")
            page.text(570, 210 + 52 * index, value, 25, "mono", anchor="ra")
    page.text(50, 930, f"Rewards member {facts['member']}", 24, "mono")
    page.text(50, 972, f"Ref {facts['ref']}", 24, "mono")
    page.text(310, 1080, "Returns accepted within 30 days", 23, "mono", anchor="mm")
    return finished(page, facts)


def pdf_manual(rng: Random) -> Document:
    """An English product sheet of two pages as a PDF with a text layer."""
    facts = {
        "model": f"AR-{digits(rng, 3)}X",
        "power": f"{rng.choice([850, 1200, 1450])} W",
        "weight": f"{rng.randint(3, 8)}.{rng.randint(1, 9)} kg",
        "noise": f"{rng.randint(48, 66)} dB",
        "filter": f"every {rng.choice([4, 6, 9])} months",
        "temp": f"{rng.choice([35, 40, 45])} degrees Celsius",
        "warranty": rng.choice(["three years", "five years"]),
        "mail": "care@aerohome.example",
        "part": f"HF-{digits(rng, 4)}",
    }
    return text_pdf(
        [
            [
                "Air Purifier User Guide",
                f"Model: {facts['model']}",
                "",
                "Specifications",
                f"Rated power: {facts['power']}",
                f"Net weight: {facts['weight']}",
                f"Noise level: {facts['noise']}",
                "",
                "Safety",
                f"Do not operate the unit above {facts['temp']}.",
                "Keep the inlet at least 20 cm from walls.",
            ],
            [
                "Maintenance",
                f"Replace the main filter (part {facts['part']}) {facts['filter']}.",
                "Wipe the sensor with a dry cloth once a month.",
                "",
                "Warranty",
                f"The motor is covered for {facts['warranty']} from the date of purchase.",
                f"Contact: {facts['mail']}",
            ],
        ],
        facts,
    )


def pdf_minutes(rng: Random) -> Document:
    """会议纪要 scanned into a PDF without a text layer."""
    facts = {
        "date": f"2025年1月{rng.randint(8, 22)}日",
        "time": f"下午{rng.randint(2, 4)}:30",
        "room": f"三楼{rng.choice(['第二', '第五'])}会议室",
        "chair": rng.choice(["梁永健", "苏慧敏"]),
        "clerk": rng.choice(["薛冰", "尹航"]),
        "budget": f"{rng.choice([38, 52, 76])}万元",
        "deadline": f"2025年{rng.randint(3, 5)}月{rng.randint(10, 28)}日",
        "duty": rng.choice(["技术部贺伟", "运营部江楠"]),
        "next": f"2025年2月{rng.randint(10, 26)}日",
    }
    page = Page(1240, 1240)
    page.text(620, 100, "项目推进会会议纪要", 42, "serif-bold", anchor="mm")
    rows = [
        ["会议时间", f"{facts['date']}{facts['time']}", "会议地点", facts["room"]],
        ["主持人", facts["chair"], "记录人", facts["clerk"]],
    ]
    y = table(page, 110, 160, [180, 350, 180, 310], rows, 62, Ruling(24, "serif", "serif"))
    for words in (
        "会议议定事项如下：",
        f"1. 同意追加平台改造预算{facts['budget']}，由财务部在本月内完成拨付。",
        f"2. 支付模块由{facts['duty']}负责，须于{facts['deadline']}前完成联调测试。",
        "3. 各部门每周五下班前提交进度周报。",
        f"4. 下次会议定于{facts['next']}召开。",
    ):
        y = page.paragraph(110, y + 22, words, 1020, 27, "serif")
    return picture_pdf(finished(page, facts))
