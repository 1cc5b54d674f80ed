"""Documents of the held-out set: invoices and contracts."""

from random import Random

from bench.reader.amounts import capitals, credit_code, digits, grouped, money
from bench.reader.canvas import WHITE, Color, Document, Page, Ruling, finished, table

TEAL: Color = (16, 92, 110)
NAVY: Color = (26, 42, 92)


def invoice_special(rng: Random) -> Document:
    """增值税专用发票: teal ink, big number, two or more goods."""
    goods = rng.sample(
        [
            ("*金属制品*不锈钢法兰", "DN50", "件", 8600),
            ("*润滑油*液压油", "46#", "桶", 62000),
            ("*通用设备*离心泵", "IS65-50", "台", 418000),
            ("*塑料制品*密封圈", "Φ80", "只", 1250),
        ],
        3,
    )
    rows, net, tax = [["货物或应税劳务、服务名称", "规格型号", "单位", "数量", "单价", "金额", "税率", "税额"]], 0, 0
    facts: dict[str, str] = {}
    for index, (name, spec, unit, price) in enumerate(goods, 1):
        count = rng.randint(11, 48)
        rows.append(
            [name, spec, unit, str(count), money(price), money(count * price), "13%", money(count * price * 13 // 100)]
        )
        facts |= {
            f"name{index}": name,
            f"count{index}": str(count),
            f"net{index}": money(count * price),
            f"tax{index}": rows[-1][-1],
        }
        net, tax = net + count * price, tax + count * price * 13 // 100
    facts |= {
        "code": "32" + digits(rng, 8),
        "number": digits(rng, 8),
        "date": f"2023年{rng.randint(10, 12)}月{rng.randint(10, 28)}日",
        "buyer": "无锡锡惠流体设备制造有限公司",
        "buyer_tax": credit_code(rng),
        "buyer_bank": f"中国农业银行无锡梁溪支行 {digits(rng, 17)}",
        "buyer_address": f"无锡市梁溪区运河东路{rng.randint(20, 300)}号 0510-{digits(rng, 8)}",
        "seller": rng.choice(["常州天宁泵业股份有限公司", "扬州广陵机械配件厂"]),
        "seller_tax": credit_code(rng),
        "seller_bank": f"中国建设银行常州延陵支行 {digits(rng, 17)}",
        "net": money(net),
        "tax": money(tax),
        "total": money(net + tax),
        "capitals": capitals(net + tax),
        "payee": "葛红梅",
        "reviewer": "史文博",
        "drawer": rng.choice(["殷素珍", "钱永康"]),
        "note": f"订单号 PO-{digits(rng, 6)}",
    }
    return _invoice_special_page(facts, rows)


def _invoice_special_page(facts: dict[str, str], rows: list[list[str]]) -> Document:
    page = Page(1400, 920, (249, 252, 250))
    page.text(90, 60, facts["code"], 30, "sans", TEAL)
    page.text(700, 66, "江苏增值税专用发票", 42, "serif-bold", TEAL, "mm")
    page.text(700, 118, "发 票 联", 24, "serif", TEAL, "mm")
    page.rule(470, 96, 930, 96, fill=TEAL)
    page.text(1060, 46, f"No {facts['number']}", 36, "latin-bold", NAVY)
    page.text(1060, 110, "开票日期：", 21, "serif", TEAL)
    page.text(1170, 110, facts["date"], 22)
    _side(
        page,
        150,
        "购货单位",
        [
            ("名    称：", facts["buyer"]),
            ("纳税人识别号：", facts["buyer_tax"]),
            ("地址、电话：", facts["buyer_address"]),
            ("开户行及账号：", facts["buyer_bank"]),
        ],
    )
    page.box(60, 298, 1340, 640, None, TEAL)
    table(
        page,
        60,
        300,
        [330, 140, 80, 100, 160, 190, 100, 180],
        rows,
        50,
        Ruling(20, "sans", "serif", None, align="lcccrrcr"),
    )
    page.text(220, 615, "合    计", 21, "serif", TEAL, "mm")
    page.text(1050, 615, "￥" + facts["net"], 21, anchor="rm")
    page.text(1330, 615, "￥" + facts["tax"], 21, anchor="rm")
    page.box(60, 640, 1340, 694, None, TEAL)
    page.text(225, 667, "价税合计（大写）", 21, "serif", TEAL, "mm")
    page.text(420, 667, facts["capitals"], 23, anchor="lm")
    page.text(1000, 667, "（小写）￥" + facts["total"], 22, anchor="lm")
    _side(
        page,
        694,
        "销货单位",
        [
            ("名    称：", facts["seller"]),
            ("纳税人识别号：", facts["seller_tax"]),
            ("地址、电话：", "天宁区东方东路101号 0519-88120346"),
            ("开户行及账号：", facts["seller_bank"]),
        ],
    )
    page.text(980, 706, "备注", 21, "serif", TEAL)
    page.text(980, 744, facts["note"], 21)
    for x, words in (
        (80, f"收款人：{facts['payee']}"),
        (400, f"复核：{facts['reviewer']}"),
        (720, f"开票人：{facts['drawer']}"),
        (1040, "销货单位：（章）"),
    ):
        page.text(x, 856, words, 21)
    return finished(page, facts)


def _side(page: Page, y: int, label: str, lines: list[tuple[str, str]]) -> None:
    page.box(60, y, 1340, y + 148, None, TEAL)
    page.rule(110, y, 110, y + 148, fill=TEAL)
    page.rule(960, y, 960, y + 148, fill=TEAL)
    for index, letter in enumerate(label):
        page.text(85, y + 22 + index * 34, letter, 22, "serif", TEAL, "mm")
    for index, (key, value) in enumerate(lines):
        end = page.text(122, y + 22 + index * 35, key, 20, "serif", TEAL, "lm")
        page.text(end, y + 22 + index * 35, value, 20, anchor="lm")


def invoice_roll(rng: Random) -> Document:
    """增值税普通发票（卷票）: a narrow strip of key-value lines."""
    price, count = rng.choice([3980, 5600, 12800]), rng.randint(2, 5)
    facts = {
        "code": "0" + digits(rng, 11),
        "number": digits(rng, 8),
        "machine": "66" + digits(rng, 10),
        "shop": rng.choice(["合肥市庐阳区好运来图书城", "长沙市芙蓉区阿婆粉店"]),
        "shop_tax": credit_code(rng),
        "date": f"2022-{rng.randint(10, 12)}-{rng.randint(10, 28)}",
        "cashier": rng.choice(["汪倩", "龚丽"]),
        "buyer": rng.choice(["安徽徽风文化传播有限公司", "湖南橘洲广告有限公司"]),
        "item": "图书",
        "price": money(price),
        "count": str(count),
        "total": money(price * count),
        "capitals": capitals(price * count),
        "check": digits(rng, 20),
    }
    page = Page(620, 1180, (252, 251, 246))
    page.text(310, 60, "增值税普通发票", 34, "serif-bold", NAVY, "mm")
    page.text(310, 104, "发 票 联", 24, "serif", NAVY, "mm")
    pairs = [
        ("发票代码", "code"),
        ("发票号码", "number"),
        ("机打号码", "number"),
        ("机器编号", "machine"),
        ("销售方名称", "shop"),
        ("纳税人识别号", "shop_tax"),
        ("开票日期", "date"),
        ("收款员", "cashier"),
        ("购买方名称", "buyer"),
    ]
    for index, (key, name) in enumerate(pairs):
        page.text(40, 150 + 46 * index, f"{key}：{facts[name]}", 24)
    page.dashes(40, 580, 580)
    bottom = table(
        page,
        40,
        590,
        [180, 130, 100, 130],
        [["项目", "单价", "数量", "金额"], [facts["item"], facts["price"], facts["count"], facts["total"]]],
        54,
        Ruling(24, line=None, align="lrrr"),
    )
    page.dashes(40, 580, bottom + 40)
    page.text(40, bottom + 66, f"合计金额（小写）：￥{facts['total']}", 25)
    page.text(40, bottom + 118, "合计金额（大写）：", 25)
    page.text(40, bottom + 164, facts["capitals"], 25)
    page.text(40, bottom + 222, f"校验码：{facts['check']}", 24)
    page.stamp(470, bottom + 310, 76, "发票专用章")
    return finished(page, facts)


def invoice_abroad(rng: Random) -> Document:
    """An English VAT invoice with bill-to, ship-to and a striped table."""
    goods = rng.sample(
        [
            ("Oak Bookshelf 180cm", 18900),
            ("Desk Lamp, brass", 6450),
            ("Swivel Chair", 21500),
            ("Wool Rug 2x3m", 34000),
            ("Filing Cabinet", 15750),
        ],
        3,
    )
    rows, net = [["Description", "Qty", "Unit price", "Line total"]], 0
    facts: dict[str, str] = {}
    for index, (name, price) in enumerate(goods, 1):
        count = rng.randint(2, 7)
        rows.append([name, str(count), "£" + grouped(price), "£" + grouped(price * count)])
        facts |= {f"name{index}": name, f"count{index}": str(count), f"line{index}": grouped(price * count)}
        net += price * count
    vat = net // 5
    facts |= {
        "number": f"INV-{rng.randint(2022, 2025)}-{digits(rng, 4)}",
        "issued": f"{rng.randint(2, 14)} May 2025",
        "due": f"{rng.randint(2, 14)} June 2025",
        "seller": "Thornbury Furniture Co.",
        "buyer": rng.choice(["Calder & Finch Architects", "Penrose Dental Group"]),
        "vat_no": f"GB {digits(rng, 3)} {digits(rng, 4)} {digits(rng, 2)}",
        "net": grouped(net),
        "vat": grouped(vat),
        "total": grouped(net + vat),
        "iban": f"GB29 NWBK {digits(rng, 4)} {digits(rng, 4)} {digits(rng, 4)} {digits(rng, 2)}",
        "po": f"PO {digits(rng, 5)}",
    }
    return _invoice_abroad_page(facts, rows)


def _invoice_abroad_page(facts: dict[str, str], rows: list[list[str]]) -> Document:
    page = Page(1240, 1340)
    page.box(0, 0, 1240, 130, NAVY, None)
    page.text(70, 65, facts["seller"], 40, "latin-bold", WHITE, "lm")
    page.text(1170, 65, "VAT INVOICE", 36, "latin-bold", WHITE, "rm")
    for index, line in enumerate(["Bill to", facts["buyer"], "14 Castle Street", "Bristol BS1 3XD"]):
        page.text(70, 180 + 38 * index, line, 26, "latin-bold" if index == 0 else "latin")
    for index, (key, name) in enumerate(
        [
            ("Invoice no.", "number"),
            ("Date of issue", "issued"),
            ("Payment due", "due"),
            ("Your reference", "po"),
            ("VAT registration", "vat_no"),
        ]
    ):
        page.text(700, 180 + 40 * index, key, 26, "latin-bold")
        page.text(1170, 180 + 40 * index, facts[name], 26, "latin", anchor="ra")
    y = table(
        page,
        70,
        440,
        [520, 120, 220, 240],
        rows,
        60,
        Ruling(26, "latin", "latin-bold", (180, 186, 205), (222, 227, 240), True, "lcrr"),
    )
    for index, (key, name) in enumerate([("Net amount", "net"), ("VAT 20%", "vat"), ("Amount due", "total")]):
        page.text(720, y + 40 + 48 * index, key, 28, "latin-bold" if name == "total" else "latin")
        page.text(
            1160, y + 40 + 48 * index, "£" + facts[name], 28, "latin-bold" if name == "total" else "latin", anchor="ra"
        )
    page.text(70, y + 260, f"Please pay by bank transfer to IBAN {facts['iban']}", 25, "latin")
    page.text(70, y + 300, "Goods remain the property of the seller until paid in full.", 24, "latin")
    return finished(page, facts)


def contract_labour(rng: Random) -> Document:
    """劳动合同 in running clauses."""
    pay = rng.choice([860000, 1120000, 1350000])
    facts = {
        "company": rng.choice(["青岛海澜软件有限公司", "西安秦岭生物科技有限公司"]),
        "worker": rng.choice(["贾雨桐", "方泽宇"]),
        "id": f"3702{digits(rng, 14)}",
        "post": rng.choice(["前端开发工程师", "实验室研究员"]),
        "city": rng.choice(["青岛市崂山区", "西安市高新区"]),
        "from": f"2024年{rng.randint(3, 8)}月1日",
        "to": f"2027年{rng.randint(3, 8)}月30日",
        "trial": rng.choice(["三个月", "六个月"]),
        "pay": f"{grouped(pay)}元",
        "trial_pay": f"{grouped(pay * 8 // 10)}元",
        "payday": f"{rng.choice([8, 12, 18])}日",
        "hours": "四十小时",
        "leave": rng.choice(["提前三十日", "提前四十五日"]),
        "secret": rng.choice(["离职后二年", "离职后三年"]),
        "ban": f"{rng.choice([50, 80, 100])},000元",
        "number": f"LD{digits(rng, 7)}",
        "copies": "一式三份",
    }
    page = Page(1240, 1700)
    page.text(620, 100, "劳 动 合 同 书", 48, "serif-bold", anchor="mm")
    page.text(1120, 160, f"编号：{facts['number']}", 24, "serif", anchor="ra")
    for index, line in enumerate(
        [
            f"用人单位（甲方）：{facts['company']}",
            f"劳动者（乙方）：{facts['worker']}",
            f"居民身份证号码：{facts['id']}",
        ]
    ):
        page.text(120, 210 + 46 * index, line, 26, "serif")
    clauses = [
        f"一、合同期限。本合同为固定期限劳动合同，自{facts['from']}起至{facts['to']}止，其中试用期为{facts['trial']}。",
        f"二、工作内容和地点。乙方担任{facts['post']}岗位，工作地点为{facts['city']}。",
        f"三、工作时间。甲方实行标准工时制，乙方每周工作时间不超过{facts['hours']}。",
        (
            f"四、劳动报酬。乙方转正后月工资为人民币{facts['pay']}，试用期月工资为{facts['trial_pay']}，"
            f"甲方于每月{facts['payday']}前以银行转账方式发放上月工资。"
        ),
        "五、社会保险。甲乙双方依法参加社会保险，个人应缴部分由甲方从乙方工资中代扣代缴。",
        f"六、解除。乙方解除本合同应{facts['leave']}以书面形式通知甲方，试用期内应提前三日通知。",
        f"七、保密与竞业。乙方在职期间及{facts['secret']}内不得泄露甲方商业秘密，违反的应支付违约金{facts['ban']}。",
        f"八、本合同{facts['copies']}，甲方两份，乙方一份，具有同等法律效力。",
    ]
    y = 370.0
    for clause in clauses:
        y = page.paragraph(120, y + 12, clause, 1000, 26, "serif", 1.7)
    page.text(120, y + 70, "甲方（公章）", 26, "serif")
    page.text(720, y + 70, f"乙方（签字）：{facts['worker']}", 26, "serif")
    page.stamp(360, y + 90, 92, "合同专用章")
    return finished(page, facts)


def contract_design(rng: Random) -> Document:
    """室內設計委託合約 in traditional characters with a payment schedule."""
    total = rng.choice([480000, 650000, 820000])
    facts = {
        "owner": rng.choice(["鄭雅文", "謝承翰"]),
        "firm": rng.choice(["木又寸空間設計有限公司", "光合室內裝修股份有限公司"]),
        "site": rng.choice(["新竹縣竹北市光明六路88號12樓", "高雄市左營區博愛二路366號"]),
        "area": f"{rng.randint(21, 58)}坪",
        "total": f"{total:,}元",
        "first": f"{total * 3 // 10:,}元",
        "second": f"{total // 2:,}元",
        "last": f"{total // 5:,}元",
        "finish": f"民國114年{rng.randint(5, 9)}月{rng.randint(10, 28)}日",
        "late": rng.choice(["千分之一", "千分之二"]),
        "warranty": rng.choice(["壹年", "貳年"]),
        "changes": rng.choice(["三次", "兩次"]),
        "court": rng.choice(["臺灣新竹地方法院", "臺灣高雄地方法院"]),
        "phone": f"(03){digits(rng, 3)}-{digits(rng, 4)}",
        "taxid": digits(rng, 8),
    }
    return _contract_design_page(facts)


def _contract_design_page(facts: dict[str, str]) -> Document:
    page = Page(1240, 1560, (254, 253, 250))
    page.text(620, 100, "室內設計委託合約書", 44, "trad-bold", anchor="mm")
    for index, line in enumerate(
        [
            f"委託人：{facts['owner']}（甲方）",
            f"受託人：{facts['firm']}（乙方）　統一編號：{facts['taxid']}",
            f"工程地點：{facts['site']}　室內面積：{facts['area']}",
        ]
    ):
        page.text(110, 170 + 48 * index, line, 25, "trad")
    y = page.paragraph(
        110, 330, f"第一條　設計總價為新臺幣{facts['total']}（含稅），付款方式如下表。", 1020, 26, "trad-serif"
    )
    rows = [
        ["期別", "付款時點", "比例", "金額"],
        ["第一期", "簽約時", "30%", facts["first"]],
        ["第二期", "設計圖確認後", "50%", facts["second"]],
        ["尾款", "驗收合格後", "20%", facts["last"]],
    ]
    y = (
        table(
            page,
            110,
            y + 10,
            [180, 380, 160, 300],
            rows,
            56,
            Ruling(25, "trad", "trad-bold", head_fill=(240, 236, 226)),
        )
        + 24
    )
    for clause in [
        f"第二條　乙方應於{facts['finish']}前交付全部施工圖說。",
        f"第三條　甲方得於圖面確認前要求修改，以{facts['changes']}為限，逾次數者另行計費。",
        f"第四條　乙方如有遲延，每逾一日按設計總價{facts['late']}計付違約金。",
        f"第五條　乙方對設計內容負保固責任，期間為驗收後{facts['warranty']}。",
        "第六條　設計圖說之著作權歸乙方所有，甲方得為本案施工之目的使用。",
        f"第七條　因本合約涉訟時，雙方同意以{facts['court']}為第一審管轄法院。",
    ]:
        y = page.paragraph(110, y + 12, clause, 1020, 26, "trad-serif")
    page.text(110, y + 60, f"乙方聯絡電話：{facts['phone']}", 25, "trad")
    page.text(110, y + 120, f"甲方簽章：{facts['owner']}", 25, "trad")
    page.text(680, y + 120, f"乙方簽章：{facts['firm']}", 25, "trad")
    return finished(page, facts)


def contract_rental(rng: Random) -> Document:
    """An English equipment rental agreement with a heading block and lettered sections."""
    rate = rng.choice([1450, 2300, 3875])
    facts = {
        "owner": rng.choice(["Redwood Lift & Crane LLC", "Summit Tool Hire Ltd."]),
        "renter": rng.choice(["Garrison Builders Inc.", "Milltown Roofing Co."]),
        "machine": rng.choice(["JLG 600S boom lift", "Caterpillar 305 excavator"]),
        "serial": f"SN {digits(rng, 7)}",
        "rate": f"${rate:,}.00",
        "deposit": f"${rate * 2:,}.00",
        "from": f"April {rng.randint(2, 12)}, 2025",
        "to": f"July {rng.randint(14, 30)}, 2025",
        "late": f"${rng.choice([125, 175, 240])}.00",
        "insurance": f"${rng.choice([1, 2])},000,000",
        "county": rng.choice(["Maricopa County, Arizona", "Lane County, Oregon"]),
        "hours": f"{rng.choice([160, 176, 200])} hours",
        "officer": rng.choice(["Eleanor Whitfield", "Samuel Ortega"]),
        "yard": "2207 Foundry Road",
    }
    page = Page(1240, 1600)
    page.box(90, 60, 1150, 150, (232, 232, 228), None)
    page.text(620, 105, "EQUIPMENT RENTAL AGREEMENT", 38, "latin-bold", anchor="mm")
    for index, (key, name) in enumerate(
        [
            ("Owner:", "owner"),
            ("Renter:", "renter"),
            ("Equipment:", "machine"),
            ("Serial number:", "serial"),
            ("Rental period:", ""),
        ]
    ):
        page.text(110, 185 + 42 * index, key, 26, "latin-bold")
        page.text(340, 185 + 42 * index, facts[name] if name else f"{facts['from']} to {facts['to']}", 26, "latin")
    y = 420.0
    for clause in [
        f"A. Rent. Renter shall pay {facts['rate']} per month, in advance, on the first business day of each month.",
        (
            f"B. Deposit. A refundable security deposit of {facts['deposit']} is payable on "
            "signing and will be returned within ten days after the equipment is inspected."
        ),
        (
            f"C. Usage. The rent covers up to {facts['hours']} of "
            "operation a month; excess use is charged at a pro rata rate."
        ),
        (
            "D. Late return. If the equipment is not returned on time,"
            f" Renter shall pay {facts['late']} for each day of delay."
        ),
        (
            "E. Insurance. Renter shall maintain liability insurance of "
            f"at least {facts['insurance']} for the whole rental period."
        ),
        f"F. Delivery. The equipment is collected from and returned to the Owner’s yard at {facts['yard']}.",
        "G. Maintenance. Owner performs scheduled maintenance; Renter checks oil and coolant daily.",
        f"H. Disputes. Any action shall be brought in the courts of {facts['county']}.",
    ]:
        y = page.paragraph(110, y + 20, clause, 1020, 27, "latin", 1.45)
    page.text(110, y + 80, f"Signed for the Owner by {facts['officer']}, General Manager", 26, "latin")
    page.text(110, y + 140, "Signed for the Renter by Thomas Bergmann, Site Supervisor", 26, "latin")
    return finished(page, facts)
