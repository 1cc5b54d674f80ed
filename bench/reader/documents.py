"""Documents of the development set: invoices and contracts here, the rest in `everyday`; `draw` finds any of them."""

from collections.abc import Callable
from random import Random

from bench.reader.amounts import capitals, credit_code, digits, grouped, mobile, money
from bench.reader.canvas import Color, Document, Page, Ruling, finished, table

BROWN: Color = (140, 72, 30)
BLUE: Color = (20, 60, 150)

Template = Callable[[Random], Document]


def _party_block(page: Page, box: tuple[int, int, int, int], label: str, lines: list[tuple[str, str]]) -> None:
    """The invoice's party cell: a vertical label in a narrow column, then key and value lines."""
    x0, y0, x1, y1 = box
    page.box(x0, y0, x1, y1, outline=BROWN)
    page.rule(x0 + 40, y0, x0 + 40, y1, fill=BROWN)
    step = (y1 - y0 - 16) / len(label)
    for index, letter in enumerate(label):
        page.text(x0 + 20, y0 + 8 + step * (index + 0.5), letter, 20, "serif", BROWN, "mm")
    page.strings.append(label)
    tall = (y1 - y0) / len(lines)
    for index, (key, value) in enumerate(lines):
        at = y0 + tall * (index + 0.5)
        end = page.text(x0 + 50, at, key, 19, "serif", BROWN, "lm")
        page.text(end + 4, at, value, 20, "sans", anchor="lm")


def invoice_classic(rng: Random) -> Document:
    """增值税电子普通发票: ruled in brown, one to three items, seal over the seller's corner."""
    goods = rng.sample(
        [
            ("*纸制品*A4复印纸", "70g", "箱", 16800, 13),
            ("*计算机外部设备*激光打印机", "HL-2260D", "台", 129900, 13),
            ("*文具*中性笔", "0.5mm", "盒", 2350, 13),
            ("*家具*办公椅", "网布款", "把", 45900, 13),
            ("*信息技术服务*软件维护费", "", "次", 350000, 6),
            ("*电子元件*硬盘", "2TB", "块", 48800, 13),
        ],
        3,
    )
    rows = [["货物或应税劳务、服务名称", "规格型号", "单位", "数量", "单价", "金额", "税率", "税额"]]
    net = tax = 0
    facts: dict[str, str] = {}
    for index, (name, spec, unit, price, rate) in enumerate(goods, 1):
        count = rng.randint(2, 9)
        rows.append(
            [
                name,
                spec,
                unit,
                str(count),
                money(price),
                money(price * count),
                f"{rate}%",
                money(price * count * rate // 100),
            ]
        )
        facts |= {f"item{index}": name, f"price{index}": money(price), f"sum{index}": money(price * count)}
        net, tax = net + price * count, tax + price * count * rate // 100
    facts |= {
        "code": "0" + digits(rng, 11),
        "number": digits(rng, 8),
        "check": f"{digits(rng, 5)} {digits(rng, 5)} {digits(rng, 5)} {digits(rng, 5)}",
        "date": f"202{rng.randint(3, 5)}年{rng.randint(1, 12):02d}月{rng.randint(1, 28):02d}日",
        "buyer": rng.choice(["杭州云舟信息技术有限公司", "苏州青禾教育咨询有限公司", "成都锦里餐饮管理有限公司"]),
        "buyer_tax": credit_code(rng),
        "seller": rng.choice(["上海墨香办公用品有限公司", "南京瑞达电子商行", "广州恒信数码科技有限公司"]),
        "seller_tax": credit_code(rng),
        "buyer_phone": f"0571-{digits(rng, 8)}",
        "seller_phone": f"021-{digits(rng, 8)}",
        "bank": "招商银行上海张江支行",
        "account": digits(rng, 15),
        "total": money(net + tax),
        "net": money(net),
        "tax": money(tax),
        "capitals": capitals(net + tax),
        "payee": rng.choice(["王丽", "赵敏"]),
        "reviewer": rng.choice(["陈建国", "孙晓东"]),
        "drawer": rng.choice(["李文静", "周海燕"]),
    }
    return _classic_page(facts, rows)


def _classic_head(page: Page, facts: dict[str, str]) -> None:
    page.text(660, 60, "上海增值税电子普通发票", 40, "serif-bold", BROWN, "mm")
    page.rule(420, 90, 900, 90, fill=BROWN)
    page.rule(420, 97, 900, 97, fill=BROWN)
    for index, (key, name) in enumerate(
        [("发票代码:", "code"), ("发票号码:", "number"), ("开票日期:", "date"), ("校 验 码:", "check")]
    ):
        end = page.text(940, 30 + 32 * index, key, 20, "serif", BROWN)
        page.text(end + 6, 30 + 32 * index, facts[name], 20)
    page.text(60, 130, "机器编号:499099774813", 20, "serif", BROWN)


def _classic_goods(page: Page, rows: list[list[str]]) -> None:
    widths = [330, 130, 70, 80, 140, 180, 100, 230]
    page.box(50, 310, 1310, 600, outline=BROWN)
    x = 50
    for column, width in enumerate(widths):
        if column:
            page.rule(x, 310, x, 600, fill=BROWN)
        for number, row in enumerate(rows):
            if row[column]:
                anchor, at = (
                    ("mm", x + width / 2)
                    if number == 0 or 0 < column < 4
                    else (("lm", x + 8) if column == 0 else ("rm", x + width - 8))
                )
                page.text(
                    at,
                    332 + 42 * number,
                    row[column],
                    19,
                    "serif" if number == 0 else "sans",
                    BROWN if number == 0 else (24, 24, 28),
                    anchor,
                )
        x += width


def _classic_page(facts: dict[str, str], rows: list[list[str]]) -> Document:
    page = Page(1360, 880, (252, 252, 250))
    _classic_head(page, facts)
    _party_block(
        page,
        (50, 170, 860, 310),
        "购买方",
        [
            ("名        称:", facts["buyer"]),
            ("纳税人识别号:", facts["buyer_tax"]),
            ("地 址、电 话:", f"滨江区江南大道588号 {facts['buyer_phone']}"),
            ("开户行及账号:", ""),
        ],
    )
    page.box(860, 170, 1310, 310, outline=BROWN)
    page.rule(900, 170, 900, 310, fill=BROWN)
    for index, letter in enumerate("密码区"):
        page.text(880, 195 + 42 * index, letter, 20, "serif", BROWN, "mm")
    for index, line in enumerate(
        ["03*8<9/7+>2<64*+5-8/1>", "9<+7/>48-*02+35<6>8*1-", "4>2-+/6*<7183>+9-05*</", "*8+6<0/>57-3*29+<4>1/8"]
    ):
        page.text(915, 178 + 32 * index, line, 20, "mono")
    _classic_goods(page, rows)
    page.text(215, 578, "合        计", 20, "serif", BROWN, "mm")
    page.text(972, 578, f"¥{facts['net']}", 20, anchor="rm")
    page.text(1302, 578, f"¥{facts['tax']}", 20, anchor="rm")
    page.box(50, 600, 1310, 650, outline=BROWN)
    page.rule(380, 600, 380, 650, fill=BROWN)
    page.text(215, 625, "价税合计(大写)", 20, "serif", BROWN, "mm")
    page.text(400, 625, f"⊗ {facts['capitals']}", 22, anchor="lm")
    page.text(940, 625, "(小写)", 20, "serif", BROWN, "lm")
    page.text(1010, 625, f"¥{facts['total']}", 22, anchor="lm")
    _party_block(
        page,
        (50, 650, 860, 790),
        "销售方",
        [
            ("名        称:", facts["seller"]),
            ("纳税人识别号:", facts["seller_tax"]),
            ("地 址、电 话:", f"浦东新区碧波路690号 {facts['seller_phone']}"),
            ("开户行及账号:", f"{facts['bank']} {facts['account']}"),
        ],
    )
    page.box(860, 650, 1310, 790, outline=BROWN)
    page.text(880, 665, "备注", 20, "serif", BROWN)
    for x, key, name in ((60, "收 款 人:", "payee"), (370, "复 核:", "reviewer"), (660, "开 票 人:", "drawer")):
        end = page.text(x, 805, key, 20, "serif", BROWN)
        page.text(end + 6, 805, facts[name], 20)
    page.text(1000, 805, "销售方:(章)", 20, "serif", BROWN)
    page.stamp(1130, 735, 66, "发票专用章")
    return finished(page, facts)


def invoice_digital(rng: Random) -> Document:
    """电子发票(普通发票), the fully digital layout: no code, a twenty-digit number, parties side by side."""
    count, price = rng.randint(2, 6), rng.choice([28000, 36500, 41200])
    net = count * price
    tax = net * 6 // 100
    facts = {
        "number": "24" + digits(rng, 18),
        "date": f"2024年{rng.randint(1, 12):02d}月{rng.randint(1, 28):02d}日",
        "buyer": rng.choice(["北京远帆科技有限公司", "深圳市蓝鲸网络有限公司"]),
        "buyer_tax": credit_code(rng),
        "seller": rng.choice(["三亚海韵酒店管理有限公司", "厦门鹭岛会展服务有限公司"]),
        "seller_tax": credit_code(rng),
        "item": "*住宿服务*住宿费",
        "count": str(count),
        "price": money(price),
        "net": money(net),
        "tax": money(tax),
        "total": money(net + tax),
        "capitals": capitals(net + tax),
        "drawer": rng.choice(["林小雨", "何嘉怡"]),
        "stay": f"入住日期 2024-0{rng.randint(1, 9)}-{rng.randint(10, 28)}",
    }
    page = Page(1300, 840)
    red: Color = (150, 30, 40)
    page.text(650, 58, "电子发票(普通发票)", 38, "serif-bold", red, "mm")
    page.rule(430, 90, 870, 90, fill=red)
    page.text(900, 50, f"发票号码:{facts['number']}", 20)
    page.text(900, 84, f"开票日期:{facts['date']}", 20)
    for x, label, who in ((40, "购买方信息", "buyer"), (650, "销售方信息", "seller")):
        page.box(x, 140, x + 610, 270, outline=red)
        page.rule(x + 36, 140, x + 36, 270, fill=red)
        for index, letter in enumerate(label):
            page.text(x + 18, 155 + index * 25, letter, 18, "serif", red, "mm")
        end = page.text(x + 48, 160, "名称:", 20, "serif", red)
        page.text(end, 160, facts[who], 20)
        end = page.text(x + 48, 222, "统一社会信用代码/纳税人识别号:", 18, "serif", red)
        page.text(end, 221, facts[f"{who}_tax"], 18)
    rows = [
        ["项目名称", "规格型号", "单位", "数量", "单价", "金额", "税率/征收率", "税额"],
        [facts["item"], "", "天", facts["count"], facts["price"], facts["net"], "6%", facts["tax"]],
    ]
    page.box(40, 270, 1260, 560, outline=red)
    table(page, 40, 275, [290, 130, 80, 100, 160, 170, 150, 140], rows, 48, Ruling(20, "sans", "serif", None))
    page.text(160, 530, "合        计", 20, "serif", red, "mm")
    page.text(960, 530, f"¥{facts['net']}", 20, anchor="rm")
    page.text(1240, 530, f"¥{facts['tax']}", 20, anchor="rm")
    page.box(40, 560, 1260, 612, outline=red)
    page.rule(330, 560, 330, 612, fill=red)
    page.text(185, 586, "价税合计(大写)", 20, "serif", red, "mm")
    page.text(350, 586, facts["capitals"], 22, anchor="lm")
    page.text(880, 586, f"(小写)¥{facts['total']}", 22, anchor="lm")
    page.box(40, 612, 1260, 740, outline=red)
    page.text(60, 625, "备注", 20, "serif", red)
    page.text(130, 625, facts["stay"], 20)
    page.text(90, 770, f"开票人:{facts['drawer']}", 20)
    return finished(page, facts)


def contract_purchase(rng: Random) -> Document:
    """采购合同: numbered clauses, a goods table, signatures."""
    units, price = rng.randint(12, 60), rng.choice([268000, 319900, 455000])
    total = units * price
    facts = {
        "number": f"CG-2024-{digits(rng, 4)}",
        "date": f"2024年{rng.randint(3, 11)}月{rng.randint(2, 27)}日",
        "place": "武汉市洪山区",
        "buyer": "武汉江城智造有限公司",
        "supplier": "东莞市力源机电有限公司",
        "item": "伺服电机",
        "units": f"{units}台",
        "price": f"{money(price)}元",
        "total": grouped(total),
        "capitals": capitals(total),
        "deposit": f"{rng.choice([20, 25, 30])}%",
        "days": f"{rng.choice([15, 20, 45])}个工作日",
        "penalty": rng.choice(["千分之三", "万分之五"]),
        "warranty": f"{rng.choice([12, 18, 24])}个月",
        "court": "武汉仲裁委员会",
        "agent": rng.choice(["刘志强", "马俊峰"]),
        "seller_agent": rng.choice(["黄伟明", "郑少华"]),
        "phone": mobile(rng),
    }
    return _contract_purchase_page(facts)


def _contract_purchase_page(facts: dict[str, str]) -> Document:
    page = Page(1240, 1754)
    page.text(620, 110, "设备采购合同", 46, "serif-bold", anchor="mm")
    page.text(760, 165, f"合同编号:{facts['number']}", 24, "serif")
    page.text(110, 215, f"甲方(采购方):{facts['buyer']}", 26, "serif")
    page.text(110, 260, f"乙方(供应方):{facts['supplier']}", 26, "serif")
    page.text(110, 305, f"签订地点:{facts['place']}", 26, "serif")
    page.text(700, 305, f"签订日期:{facts['date']}", 26, "serif")
    y = page.paragraph(
        110,
        370,
        "根据《中华人民共和国民法典》及有关规定,甲乙双方经友好协商,就设备采购事宜达成如下协议:",
        1020,
        25,
        "serif",
    )
    y = page.paragraph(110, y + 6, "第一条 标的物", 1020, 26, "serif-bold")
    rows = [
        ["品名", "型号", "数量", "单价", "金额(元)"],
        [facts["item"], "SGM7J-04", facts["units"], facts["price"], facts["total"]],
    ]
    y = table(page, 110, y + 4, [220, 220, 160, 200, 220], rows, 50, Ruling(24, "serif", "serif-bold")) + 20
    clauses = [
        (
            "第二条 合同价款",
            f"本合同总价为人民币{facts['total']}元(大写:{facts['capitals']}),该价格已包含运输费及增值税。",
        ),
        (
            "第三条 付款方式",
            f"合同生效后五日内,甲方向乙方支付合同总价的{facts['deposit']}作为预付款;货物验收合格后三十日内付清余款。",
        ),
        ("第四条 交货", f"乙方应于收到预付款之日起{facts['days']}内将货物送达甲方指定仓库,运输途中的风险由乙方承担。"),
        (
            "第五条 质量保证",
            f"质保期自验收合格之日起计{facts['warranty']},质保期内出现质量问题的,乙方应免费维修或更换。",
        ),
        ("第六条 违约责任", f"乙方逾期交货的,每逾期一日应按合同总价的{facts['penalty']}向甲方支付违约金。"),
        ("第七条 争议解决", f"因本合同引起的争议,双方协商不成的,提交{facts['court']}仲裁。"),
        ("第八条 其他", "本合同一式四份,双方各执两份,自双方签字盖章之日起生效。"),
    ]
    for head, body in clauses:
        y = page.paragraph(110, y + 6, head, 1020, 26, "serif-bold")
        y = page.paragraph(110, y, "    " + body, 1020, 25, "serif")
    for x, who, name in ((110, "甲方(盖章):", "agent"), (680, "乙方(盖章):", "seller_agent")):
        page.text(x, y + 50, who, 26, "serif")
        page.text(x, y + 105, f"委托代理人:{facts[name]}", 26, "serif")
    page.text(110, y + 160, f"联系电话:{facts['phone']}", 26, "serif")
    page.stamp(330, y + 70, 84, "合同专用章")
    page.stamp(900, y + 70, 84, "合同专用章")
    return finished(page, facts)


def contract_lease(rng: Random) -> Document:
    """房屋租賃契約書 in traditional characters."""
    rent = rng.choice([18500, 22000, 26800, 31500])
    facts = {
        "landlord": rng.choice(["陳淑芬", "張國棟"]),
        "tenant": rng.choice(["林冠宇", "吳佩珊"]),
        "address": "臺北市大安區復興南路一段293號7樓",
        "rent": f"{rent:,}元",
        "deposit": f"{rent * 2:,}元",
        "start": f"民國113年{rng.randint(1, 9)}月1日",
        "end": f"民國115年{rng.randint(1, 9)}月30日",
        "payday": f"每月{rng.choice([3, 5, 10])}日",
        "bank": "玉山銀行",
        "account": f"0521-{digits(rng, 3)}-{digits(rng, 6)}",
        "id": f"A2{digits(rng, 8)}",
        "notice": rng.choice(["一個月", "兩個月"]),
        "utilities": "水費、電費及瓦斯費由乙方負擔,管理費由甲方負擔",
    }
    page = Page(1240, 1500)
    page.text(620, 110, "房屋租賃契約書", 48, "trad-bold", anchor="mm")
    y = page.paragraph(
        120,
        190,
        (
            f"立契約書人:出租人 {facts['landlord']}(以下簡稱甲方),承租人 "
            f"{facts['tenant']}(以下簡稱乙方),茲因房屋租賃事宜,雙方同意訂立條款如下:"
        ),
        1000,
        26,
        "trad-serif",
    )
    clauses = [
        f"第一條 租賃標的:{facts['address']}。",
        f"第二條 租賃期限:自{facts['start']}起至{facts['end']}止。",
        (
            f"第三條 租金:每月新臺幣{facts['rent']},"
            f"乙方應於{facts['payday']}以前匯入甲方帳戶({facts['bank']},帳號{facts['account']})。"
        ),
        f"第四條 押金:乙方應於簽約時給付甲方押金新臺幣{facts['deposit']},租期屆滿交還房屋時無息返還。",
        f"第五條 費用負擔:{facts['utilities']}。",
        "第六條 使用限制:房屋僅供住家使用,乙方不得將房屋轉租、出借或飼養大型寵物。",
        f"第七條 提前終止:任何一方欲提前終止租約者,應於{facts['notice']}前以書面通知他方,並賠償他方一個月租金。",
        "第八條 修繕:房屋因自然損壞有修繕必要時,由甲方負責修繕。",
    ]
    for clause in clauses:
        y = page.paragraph(120, y + 14, clause, 1000, 26, "trad-serif")
    for index, line in enumerate(
        [f"甲方(出租人):{facts['landlord']}", f"乙方(承租人):{facts['tenant']}", f"乙方身分證字號:{facts['id']}"]
    ):
        page.text(120, y + 60 + 52 * index, line, 26, "trad")
    page.stamp(760, y + 110, 60, "印")
    return finished(page, facts)


def contract_services(rng: Random) -> Document:
    """An English services agreement of one page."""
    fee = rng.choice([485000, 720000, 1250000])
    facts = {
        "client": "Northwind Analytics LLC",
        "provider": rng.choice(["Harbor Lane Studio, Inc.", "Blue Alder Consulting Ltd."]),
        "date": rng.choice(["March 14, 2024", "September 2, 2024", "January 27, 2025"]),
        "fee": f"${fee // 100:,}",
        "hours": f"{rng.choice([60, 80, 120])} hours",
        "net": f"{rng.choice([15, 30, 45])} days",
        "late": f"{rng.choice(['1.5', '2.0'])}%",
        "notice": rng.choice(["thirty (30) days", "sixty (60) days"]),
        "law": rng.choice(["State of Oregon", "State of Delaware"]),
        "term": rng.choice(["twelve (12) months", "twenty-four (24) months"]),
        "cap": f"${fee * 6 // 100:,}",
        "signer": rng.choice(["Margaret Holloway", "Daniel Okafor"]),
        "role": "Chief Operating Officer",
        "number": f"MSA-{digits(rng, 5)}",
    }
    return _services_page(facts)


def _services_page(facts: dict[str, str]) -> Document:
    page = Page(1240, 1650)
    page.text(620, 110, "CONSULTING SERVICES AGREEMENT", 40, "latin-bold", anchor="mm")
    page.text(620, 160, f"Agreement No. {facts['number']}", 26, "latin", anchor="mm")
    y = page.paragraph(
        120,
        210,
        (
            f"This Agreement is made on {facts['date']} (the “Effective Date”) between "
            f"{facts['client']} (the “Client”) and {facts['provider']} (the “Consultant”)."
        ),
        1000,
        27,
        "latin",
    )
    clauses = [
        (
            "1. Services. The Consultant shall provide data engineering services "
            f"for up to {facts['hours']} per month, as described in Schedule A."
        ),
        (
            "2. Fees. The Client shall pay the Consultant a monthly fee of "
            f"{facts['fee']}. Travel expenses are reimbursed at cost against receipts."
        ),
        (
            f"3. Payment. Invoices are due within {facts['net']} of receipt. "
            f"Overdue amounts bear interest at {facts['late']} per month."
        ),
        (
            "4. Term. This Agreement begins on the Effective Date and "
            f"continues for {facts['term']} unless terminated earlier."
        ),
        f"5. Termination. Either party may terminate this Agreement upon {facts['notice']} prior written notice.",
        (
            "6. Confidentiality. Each party shall keep the other party’s "
            "information confidential for five years after termination."
        ),
        f"7. Liability. The total liability of the Consultant shall not exceed {facts['cap']}.",
        f"8. Governing Law. This Agreement is governed by the laws of the {facts['law']}.",
    ]
    for clause in clauses:
        y = page.paragraph(120, y + 18, clause, 1000, 27, "latin", 1.45)
    page.text(120, y + 50, "IN WITNESS WHEREOF the parties have executed this Agreement.", 26, "latin")
    for x, lines in (
        (120, ["CLIENT", f"Name: {facts['signer']}", f"Title: {facts['role']}"]),
        (680, ["CONSULTANT", "Name: Priya Raman", "Title: Managing Partner"]),
    ):
        page.rule(x, y + 170, x + 380, y + 170)
        for index, line in enumerate(lines):
            page.text(x, y + 180 + 40 * index, line, 26, "latin-bold" if index == 0 else "latin")
    return finished(page, facts)
