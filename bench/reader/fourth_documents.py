"""Documents of the fourth set: invoices, contracts and forms."""

from random import Random

from bench.reader.amounts import capitals, credit_code, digits, grouped, mobile, money
from bench.reader.canvas import Color, Document, Page, Ruling, finished, table

MAROON: Color = (128, 30, 36)
NAVY: Color = (22, 44, 92)
TEAL: Color = (0, 98, 104)
GREY: Color = (104, 108, 116)
PALE: Color = (236, 240, 246)


def invoice_lease(rng: Random) -> Document:
    """电子发票（增值税专用发票） for rent: two parties, two rents, a remark box about the building."""
    area, office, lots, lot = rng.randint(160, 420), rng.choice([8850, 11260]), rng.randint(2, 6), 285000
    nets = (area * office, lots * lot)
    taxes = tuple(net * 9 // 100 for net in nets)
    total = sum(nets) + sum(taxes)
    facts = {
        "number": f"2444{digits(rng, 16)}",
        "date": f"2024年07月{rng.randint(10, 28)}日",
        "buyer": rng.choice(["成都澜舟软件技术有限公司", "成都蜀信会计师事务所"]),
        "buyer_id": credit_code(rng),
        "seller": "成都高新锦城置业运营有限公司",
        "seller_id": credit_code(rng),
        "area": str(area),
        "office": money(office),
        "office_net": money(nets[0]),
        "office_tax": money(taxes[0]),
        "lot_net": money(nets[1]),
        "lot_tax": money(taxes[1]),
        "net": money(sum(nets)),
        "tax": money(sum(taxes)),
        "total": money(total),
        "capitals": capitals(total),
        "place": f"四川省成都市高新区府城大道西段{rng.randint(105, 690)}号2栋{rng.randint(8, 26)}层",
        "from": "2024-07-01",
        "to": rng.choice(["2024-09-30", "2024-12-31"]),
        "deed": f"川(2019)成都市不动产权第0{digits(rng, 6)}号",
        "drawer": rng.choice(["魏若楠", "唐启明"]),
    }
    page = Page(1360, 940, (255, 254, 252))
    page.text(630, 62, "电子发票(增值税专用发票)", 40, "serif", MAROON, "mm")
    page.box(370, 94, 890, 101, None, MAROON)
    page.text(80, 60, "不动产经营租赁服务", 22, "sans-bold", MAROON)
    page.text(950, 44, f"发票号码：{facts['number']}", 21)
    page.text(950, 82, f"开票日期：{facts['date']}", 21)
    for x, head, side in ((60, "购买方信息", "buyer"), (680, "销售方信息", "seller")):
        page.box(x, 130, x + 620, 262, None, MAROON)
        page.text(x + 16, 140, head, 20, "serif", MAROON)
        page.text(x + 16, 174, f"名称：{facts[side]}", 22)
        page.text(x + 16, 216, f"统一社会信用代码/纳税人识别号：{facts[side + '_id']}", 21)
    rows = [["项目名称", "单位", "数量", "单价", "金额", "税率/征收率", "税额"]]
    rows.append(["*经营租赁*写字楼租金", "平方米", facts["area"], facts["office"], facts["office_net"], "9%"])
    rows.append(["*经营租赁*地下车位租金", "个", str(lots), money(lot), facts["lot_net"], "9%"])
    rows.append(["合　计", "", "", "", f"￥{facts['net']}", "", f"￥{facts['tax']}"])
    for row, name in zip(rows[1:3], ("office_tax", "lot_tax"), strict=True):
        row.append(facts[name])
    look = Ruling(21, "sans", "serif", MAROON, None, True, "lcrrrcr")
    y = table(page, 60, 276, [360, 110, 120, 160, 180, 160, 150], rows, 56, look)
    page.box(60, y, 1300, y + 62, None, MAROON)
    page.text(80, y + 31, "价税合计（大写）", 21, "serif", MAROON, "lm")
    page.text(290, y + 31, facts["capitals"], 23, anchor="lm")
    page.text(900, y + 31, "（小写）", 21, "serif", MAROON, "lm")
    page.text(1010, y + 31, f"￥{facts['total']}", 23, anchor="lm")
    page.box(60, y + 62, 1300, y + 240, None, MAROON)
    page.text(80, y + 74, "备注", 21, "serif", MAROON)
    remarks = [f"不动产地址：{facts['place']}", f"租赁期起止：{facts['from']} 至 {facts['to']}　　跨地(市)标志：否"]
    for index, words in enumerate([*remarks, f"产权证书号：{facts['deed']}", "面积单位：平方米"]):
        page.text(160, y + 74 + 40 * index, words, 21)
    page.text(80, y + 262, f"开票人：{facts['drawer']}", 22)
    return finished(page, facts)


def invoice_triplicate(rng: Random) -> Document:
    """三聯式統一發票 of Taiwan: buyer above, goods, sums, the seller in a stamped box."""
    goods = [("人體工學椅", 4200), ("鋼製檔案櫃", 5850), ("白板架", 1350)]
    counts = [rng.randint(2, 9) for _ in goods]
    net = sum(count * price for count, (_, price) in zip(counts, goods, strict=True))
    tax = (net * 5 + 50) // 100
    facts = {
        "number": f"{rng.choice(['RK', 'TD'])}-{digits(rng, 8)}",
        "date": f"114年4月{rng.randint(3, 28)}日",
        "buyer": rng.choice(["鼎岳工程顧問有限公司", "雲起室內裝修股份有限公司"]),
        "buyer_id": digits(rng, 8),
        "place": f"台中市西屯區市政北二路{rng.randint(110, 480)}號9樓",
        "seller": "禾順辦公家具行",
        "seller_id": digits(rng, 8),
        "owner": rng.choice(["簡淑芬", "游俊德"]),
        "phone": f"04-2{digits(rng, 3)}-{digits(rng, 4)}",
        "shop": "台中市南屯區大墩路88號",
        "net": f"{net:,}",
        "tax": f"{tax:,}",
        "total": f"{net + tax:,}",
    }
    rows = [["品　名", "數　量", "單　價", "金　額", "備　註"]]
    for index, (count, (name, price)) in enumerate(zip(counts, goods, strict=True)):
        rows.append([name, str(count), f"{price:,}", f"{count * price:,}", "灰色" if index == 1 else ""])
        facts[f"amount{index}"] = f"{count * price:,}"
    page = Page(1240, 1060, (250, 253, 250))
    page.text(620, 56, "統一發票（三聯式）", 38, "trad-serif", TEAL, "mm")
    page.text(620, 104, "中華民國一一四年三、四月份", 24, "trad-serif", TEAL, "mm")
    page.text(1170, 56, facts["number"], 30, "latin-bold", MAROON, "rm")
    for index, (key, name) in enumerate([("買　受　人", "buyer"), ("統一編號", "buyer_id"), ("地　　　址", "place")]):
        page.text(80, 140 + 44 * index, f"{key}：{facts[name]}", 25, "trad")
    page.text(1160, 140, facts["date"], 25, "trad", anchor="ra")
    look = Ruling(25, "trad", "trad-serif", TEAL, None, False, "lcrrc")
    y = table(page, 70, 288, [400, 150, 180, 200, 170], rows, 60, look)
    for index, (key, name) in enumerate([("銷售額合計", "net"), ("營業稅（應稅 5%）", "tax"), ("總　　計", "total")]):
        top = y + 56 * index
        page.box(70, top, 620, top + 56, None, TEAL)
        page.text(90, top + 28, key, 24, "trad-serif", TEAL, "lm")
        page.text(600, top + 28, facts[name], 26, "trad", anchor="rm")
    page.box(620, y, 1170, y + 280, None, TEAL)
    page.text(640, y + 14, "營業人蓋用統一發票專用章", 22, "trad-serif", TEAL)
    page.box(700, y + 56, 1110, y + 268, None, MAROON)
    stamp = [facts["seller"], f"統一編號 {facts['seller_id']}", f"負責人 {facts['owner']}"]
    for index, words in enumerate([*stamp, f"電話 {facts['phone']}", facts["shop"]]):
        page.text(905, y + 80 + 40 * index, words, 23, "trad", MAROON, "mm")
    page.text(80, y + 220, "第三聯　收執聯", 22, "trad-serif", TEAL)
    page.text(80, y + 320, "本發票如有塗改，應作廢重開。", 22, "trad-serif", TEAL)
    return finished(page, facts)


def invoice_vat(rng: Random) -> Document:
    """A British joiner's VAT invoice with two rates, a rate summary and a deposit taken off."""
    hours, rate, panes, pane, locks, lock = rng.randint(11, 38), 4650, rng.randint(3, 9), 18400, rng.randint(2, 7), 3925
    fitting, glass, iron = hours * rate, panes * pane, locks * lock
    full, low = (fitting + iron) // 5, glass // 20
    total, paid = fitting + glass + iron + full + low, 60000
    facts = {
        "number": f"PJ/{digits(rng, 5)}",
        "point": f"{rng.randint(4, 27)} November 2024",
        "due": f"{rng.randint(4, 21)} December 2024",
        "reference": f"WH-{digits(rng, 3)}",
        "vat_no": f"GB {digits(rng, 3)} {digits(rng, 4)} {digits(rng, 2)}",
        "customer": rng.choice(["Wharf House Management Ltd", "St Anselm's Almshouse Trust"]),
        "fitting": grouped(fitting),
        "glass": grouped(glass),
        "iron": grouped(iron),
        "full": grouped(full),
        "low": grouped(low),
        "net": grouped(fitting + glass + iron),
        "vat": grouped(full + low),
        "total": grouped(total),
        "paid": grouped(paid),
        "owing": grouped(total - paid),
        "sort": f"{digits(rng, 2)}-{digits(rng, 2)}-{digits(rng, 2)}",
        "account": digits(rng, 8),
        "phone": f"01736 {digits(rng, 6)}",
    }
    page = Page(1240, 1340)
    page.text(80, 70, "Penhallow Joinery & Glazing", 40, "latin-bold", NAVY)
    page.text(80, 124, "Unit 6, Longrock Yard, Penzance TR20 8AB", 24, "latin")
    page.text(80, 158, f"Tel. {facts['phone']}   VAT Reg. No. {facts['vat_no']}", 24, "latin")
    page.text(1160, 80, "VAT INVOICE", 34, "latin-bold", GREY, "ra")
    page.rule(80, 206, 1160, 206, 3, NAVY)
    page.text(80, 230, "To:", 24, "latin-bold")
    page.text(80, 264, facts["customer"], 26, "latin")
    page.text(80, 300, "14 Quay Street, Falmouth TR11 3HL", 26, "latin")
    heads = [("Invoice", "number"), ("Tax point", "point"), ("Payable by", "due"), ("Job reference", "reference")]
    for index, (key, name) in enumerate(heads):
        page.text(760, 230 + 40 * index, key, 24, "latin-bold")
        page.text(1160, 230 + 40 * index, facts[name], 24, "latin", anchor="ra")
    rows = [["Work and materials", "Quantity", "Each", "VAT", "Net £"]]
    rows.append(["Fitting on site, hours", str(hours), grouped(rate), "20%", facts["fitting"]])
    rows.append(["Double-glazed sash pane", str(panes), grouped(pane), "5%", facts["glass"]])
    rows.append(["Brass sash lock", str(locks), grouped(lock), "20%", facts["iron"]])
    look = Ruling(25, "latin", "latin-bold", NAVY, PALE, True, "lcrcr")
    y = table(page, 80, 430, [470, 140, 160, 120, 190], rows, 58, look)
    summary = [["VAT rate", "Goods £", "VAT £"], ["20%", grouped(fitting + iron), facts["full"]]]
    summary.append(["5%", facts["glass"], facts["low"]])
    table(page, 80, y + 40, [140, 170, 170], summary, 50, Ruling(23, "latin", "latin-bold", GREY, align="crr"))
    sums = [("Net total", "net"), ("VAT total", "vat"), ("Invoice total", "total")]
    for index, (key, name) in enumerate([*sums, ("Less deposit received", "paid"), ("Amount outstanding", "owing")]):
        face = "latin-bold" if name == "owing" else "latin"
        page.text(720, y + 44 + 46 * index, key, 26, "latin-bold" if face == "latin-bold" else "latin")
        page.text(1150, y + 44 + 46 * index, "£" + facts[name], 26, "latin", anchor="ra")
    page.box(80, y + 330, 1160, y + 450, PALE, None)
    page.text(100, y + 344, "Pay by bank transfer to Cornish Mutual Bank", 25, "latin-bold")
    page.text(100, y + 392, f"Sort code {facts['sort']}      Account number {facts['account']}", 25, "latin")
    page.text(80, y + 490, "Our work is guaranteed for ten years against defects in the timber.", 24, "latin")
    return finished(page, facts)


def contract_fitout(rng: Random) -> Document:
    """家庭居室装饰装修施工合同: headed articles with numbered points."""
    facts = {
        "number": f"JZ-2025-{digits(rng, 4)}",
        "owner": rng.choice(["祝雅宁", "谭志远"]),
        "builder": "长沙梧桐里装饰工程有限公司",
        "place": f"长沙市雨花区香樟路{rng.randint(210, 880)}号书香苑{rng.randint(2, 9)}栋{rng.randint(5, 29)}02室",
        "area": f"{rng.randint(86, 143)}平方米",
        "mode": "包工、部分包料",
        "price": f"{rng.randint(96, 188)},600元",
        "start": f"2025年5月{rng.randint(6, 18)}日",
        "end": f"2025年9月{rng.randint(6, 28)}日",
        "manager": rng.choice(["易国平", "龙小军"]),
        "phone": mobile(rng),
        "first": "30%",
        "second": rng.choice(["40%", "35%"]),
        "late": rng.choice(["150元", "260元"]),
        "water": rng.choice(["五年", "八年"]),
        "keep": rng.choice(["二年", "三年"]),
        "quiet": rng.choice(["12时至14时30分", "12时至14时"]),
        "air": rng.choice(["交付后七日内", "交付后十日内"]),
        "panel": "长沙仲裁委员会",
    }
    page = Page(1240, 1700)
    page.text(620, 90, "家庭居室装饰装修施工合同", 42, "serif-bold", anchor="mm")
    page.text(120, 140, f"合同编号：{facts['number']}", 24, "serif")
    page.text(120, 184, f"发包人（甲方）：{facts['owner']}", 25, "serif")
    page.text(620, 184, f"承包人（乙方）：{facts['builder']}", 25, "serif")
    y = 226.0
    for words in (
        "第一条　工程概况",
        f"1.1 工程地点：{facts['place']}，建筑面积{facts['area']}。",
        f"1.2 承包方式：{facts['mode']}。主材由甲方选购并按进度送到现场。",
        f"1.3 工期：{facts['start']}开工，{facts['end']}竣工。",
        "第二条　价款与付款",
        f"2.1 工程总价款为人民币{facts['price']}，增减项目以双方签字的变更单为准。",
        f"2.2 合同签订当日付{facts['first']}，水电隐蔽工程验收合格后付{facts['second']}，余款竣工验收后结清。",
        "第三条　施工",
        f"3.1 乙方指派{facts['manager']}为项目经理，联系电话{facts['phone']}，未经甲方同意不得更换。",
        f"3.2 每日{facts['quiet']}以及18时以后不得进行有噪声的作业。",
        "第四条　质量与保修",
        f"4.1 室内空气质量由双方认可的机构在{facts['air']}检测，不合格的由乙方负责治理。",
        f"4.2 装修工程保修期为{facts['keep']}，有防水要求的厨房、卫生间保修期为{facts['water']}。",
        "第五条　违约与争议",
        f"5.1 因乙方原因延误工期的，每延误一日，乙方向甲方支付违约金{facts['late']}。",
        "5.2 甲方未按期付款的，工期相应顺延。",
        f"5.3 发生争议，协商不成的，提交{facts['panel']}裁决。",
    ):
        if words.startswith("第"):
            page.text(120, y + 18, words, 27, "serif-bold")
            y += 58
        else:
            y = page.paragraph(150, y + 8, words, 970, 25, "serif", 1.55)
    page.text(120, y + 60, "甲方（签字）：________", 25, "serif")
    page.text(680, y + 60, "乙方（盖章）：________", 25, "serif")
    page.stamp(900, y + 60, 86, "合同专用章")
    return finished(page, facts)


def contract_distribution(rng: Random) -> Document:
    """An English exclusive distribution agreement with headed clauses."""
    facts = {
        "date": f"{rng.randint(3, 27)} February 2025",
        "maker": "Tamarind Cycle Works Pte Ltd",
        "dealer": rng.choice(["Velodrome Nordic AB", "Fjellsykkel Import AS"]),
        "area": rng.choice(["Sweden, Denmark and Finland", "Norway, Iceland and Estonia"]),
        "goods": rng.choice(["folding bicycles", "cargo bicycles"]),
        "minimum": f"{rng.choice([450, 620, 850])} units",
        "credit": rng.choice(["forty-five days", "sixty days"]),
        "interest": rng.choice(["1.25 per cent", "0.75 per cent"]),
        "defects": rng.choice(["ten working days", "fifteen working days"]),
        "term": rng.choice(["four years", "six years"]),
        "notice": rng.choice(["ninety days", "one hundred and twenty days"]),
        "repair": rng.choice(["two years", "thirty months"]),
        "budget": rng.choice(["3 per cent", "5 per cent"]),
        "seat": rng.choice(["Singapore", "Stockholm"]),
        "signer": rng.choice(["Wei Lin Goh", "Prakash Nair"]),
    }
    page = Page(1240, 1640, (255, 255, 253))
    page.text(120, 70, "EXCLUSIVE DISTRIBUTION AGREEMENT", 36, "sans-bold", NAVY)
    page.text(120, 124, f"Made on {facts['date']}", 24)
    page.text(120, 170, f"Manufacturer   {facts['maker']}", 25)
    page.text(120, 210, f"Distributor   {facts['dealer']}", 25)
    page.rule(120, 258, 1120, 258, 3, NAVY)
    y = 264.0
    for head, words in [
        ("Appointment", f"The Distributor is the only distributor of {facts['goods']} in {facts['area']}."),
        (
            "Purchases",
            f"The Distributor shall buy at least {facts['minimum']} in each calendar year. A shortfall in two"
            " successive years ends the exclusivity.",
        ),
        (
            "Payment",
            f"Invoices are payable within {facts['credit']} of shipment. Overdue sums bear interest at"
            f" {facts['interest']} a month.",
        ),
        (
            "Inspection",
            f"The Distributor shall report any defect within {facts['defects']} after the goods arrive.",
        ),
        (
            "Guarantee",
            f"The Manufacturer repairs or replaces defective frames for {facts['repair']} after retail sale.",
        ),
        ("Advertising", f"The Distributor shall spend at least {facts['budget']} of its turnover on advertising."),
        (
            "Duration",
            f"This agreement lasts for {facts['term']}. Either party may end it earlier by giving {facts['notice']}'"
            " notice in writing.",
        ),
        ("Disputes", f"Disputes are settled by a sole arbitrator sitting in {facts['seat']}, in English."),
    ]:
        page.text(120, y + 22, head, 25, "sans-bold", NAVY)
        y = page.paragraph(120, y + 58, words, 1000, 24, "sans", 1.5)
    page.text(120, y + 60, f"Signed for the Manufacturer: {facts['signer']}", 24)
    page.text(120, y + 104, "Signed for the Distributor: ______________", 24)
    return finished(page, facts)


def contract_gym(rng: Random) -> Document:
    """健身中心會籍合約 in traditional characters: a card of particulars over the terms."""
    facts = {
        "number": f"MB{digits(rng, 7)}",
        "member": rng.choice(["溫倩儀", "甘浩賢"]),
        "plan": rng.choice(["十二個月計劃", "十八個月計劃"]),
        "begin": f"2025年6月{rng.randint(3, 19)}日",
        "monthly": f"港幣{rng.choice([468, 538, 698])}元",
        "join": f"港幣{rng.choice([280, 350])}元",
        "branch": rng.choice(["觀塘分店", "北角分店"]),
        "consultant": rng.choice(["阿Ken", "Mandy"]),
        "quit": rng.choice(["三十日", "四十五日"]),
        "pause": rng.choice(["三個月", "四個月"]),
        "pause_fee": f"港幣{rng.choice([60, 80])}元",
        "coach": f"港幣{rng.choice([520, 650])}元",
        "cool": rng.choice(["七日", "五日"]),
        "age": rng.choice(["十六歲", "十八歲"]),
        "lost": f"港幣{rng.choice([100, 120])}元",
    }
    page = Page(1200, 1300)
    page.box(0, 0, 1200, 104, TEAL, None)
    page.text(60, 52, "躍動健身中心　會籍合約", 36, "trad-bold", (255, 255, 255), "lm")
    rows = [
        ["會員編號", facts["number"], "會員姓名", facts["member"]],
        ["會籍計劃", facts["plan"], "生效日期", facts["begin"]],
        ["每月月費", facts["monthly"], "入會費", facts["join"]],
        ["所屬分店", facts["branch"], "會籍顧問", facts["consultant"]],
    ]
    y = table(page, 60, 130, [160, 380, 160, 380], rows, 60, Ruling(24, "trad", "trad", TEAL, align="clcl"))
    page.text(60, y + 26, "條款及細則", 28, "trad-bold", TEAL)
    y += 66
    for words in (
        f"一、會員須年滿{facts['age']}，並確認身體狀況適合運動。",
        f"二、會員可於簽約後{facts['cool']}內取消合約，本中心將全數退回已繳費用。",
        f"三、會籍期滿前如欲退會，須於{facts['quit']}前以書面通知本中心，月費照收至通知期滿為止。",
        f"四、會員每年可申請暫停會籍一次，最長{facts['pause']}，期間每月收取行政費{facts['pause_fee']}。",
        f"五、私人教練課程每節{facts['coach']}，須提前二十四小時預約；缺席者當作已上課論。",
        f"六、會員證如有遺失，補領須繳付{facts['lost']}。",
        "七、會員須自備毛巾，使用器械後須抹拭乾淨。",
    ):
        y = page.paragraph(60, y + 16, words, 1080, 25, "trad", 1.6)
    page.text(60, y + 60, "會員簽署：____________", 25, "trad")
    page.text(660, y + 60, "中心代表：____________", 25, "trad")
    return finished(page, facts)


def form_seal(rng: Random) -> Document:
    """用印申请单: a ruled form with tick boxes for the seal and opinions with names."""
    deed, use, where = rng.choice(
        [
            ("2025年度办公耗材框架协议", "与供应商签订年度协议", "重庆嘉陵文具商贸公司"),
            ("职工体检服务补充协议", "调整体检套餐价格", "重庆渝中康泰体检中心"),
        ]
    )
    facts = {
        "number": f"YY{digits(rng, 8)}",
        "office": rng.choice(["行政管理部", "人力资源部"]),
        "asker": rng.choice(["冷静怡", "向大川"]),
        "day": f"2025-03-{rng.randint(10, 28)}",
        "deed": deed,
        "use": use,
        "where": where,
        "copies": f"{rng.choice([4, 6])}份",
        "pages": f"{rng.randint(11, 38)}页",
        "money": f"{rng.randint(21, 88)}0,000元",
        "head": rng.choice(["盛怀远", "侯佩珊"]),
        "lawyer": rng.choice(["幸琳", "蒲晓松"]),
        "advice": rng.choice(["条款已审，同意用印", "按修改稿用印"]),
        "keeper": rng.choice(["代红梅", "胥永胜"]),
        "stamped": f"2025-03-{rng.randint(29, 31)} 15:{rng.randint(10, 59)}",
    }
    page = Page(1240, 1060)
    page.text(620, 56, "用 印 申 请 单", 40, "sans-bold", anchor="mm")
    page.text(1170, 98, f"单号：{facts['number']}", 22, anchor="ra")
    plain = Ruling(24, head_face="sans", align="clcl")
    rows = [["申请部门", facts["office"], "申请人", facts["asker"]]]
    rows.append(["申请日期", facts["day"], "涉及金额", facts["money"]])
    y = table(page, 70, 136, [180, 370, 180, 370], rows, 64, plain)
    rows = [["文件名称", facts["deed"]], ["用印事由", facts["use"]], ["报送单位", facts["where"]]]
    y = table(page, 70, y, [180, 920], rows, 64, Ruling(24, head_face="sans", align="cl"))
    y = table(page, 70, y, [180, 370, 180, 370], [["用印份数", facts["copies"], "每份页数", facts["pages"]]], 64, plain)
    page.box(70, y, 1170, y + 70)
    page.rule(250, y, 250, y + 70)
    page.text(160, y + 35, "印章种类", 24, anchor="mm")
    for x, seal, on in ((280, "公司公章", False), (520, "合同专用章", True), (790, "法定代表人名章", False)):
        page.box(x, y + 22, x + 26, y + 48)
        if on:
            page.rule(x + 4, y + 34, x + 11, y + 44, 4)
            page.rule(x + 11, y + 44, x + 30, y + 16, 4)
        page.text(x + 40, y + 35, seal, 24, anchor="lm")
    rows = [["部门负责人意见", f"情况属实。　　签字：{facts['head']}"]]
    rows.append(["法务意见", f"{facts['advice']}。　　签字：{facts['lawyer']}"])
    rows.append(["监印人", f"{facts['keeper']}　　盖章时间：{facts['stamped']}"])
    y = table(page, 70, y + 70, [240, 860], rows, 84, Ruling(24, head_face="sans", align="cl"))
    page.text(70, y + 24, "说明：用印文件须留存复印件一份，由档案室保管。", 21, fill=GREY)
    return finished(page, facts)


def form_claim(rng: Random) -> Document:
    """机动车保险索赔申请书: underlined fields, the course of the accident in a box."""
    what, where = rng.choice(
        [("道路右侧的水泥隔离墩", "滨河东路与学府街交叉口"), ("路边的共享单车停放架", "南内环街地下通道出口")]
    )
    facts = {
        "policy": f"PDAA{digits(rng, 14)}",
        "report": f"RDAA{digits(rng, 12)}",
        "insured": rng.choice(["山西晋原物业服务有限公司", "太原汾水园林绿化有限公司"]),
        "plate": f"晋A·{digits(rng, 4)}{rng.choice('BDE')}",
        "driver": rng.choice(["荆海东", "畅小燕"]),
        "license": f"1401{digits(rng, 8)}",
        "when": f"2025年1月{rng.randint(10, 28)}日7时{rng.randint(12, 55)}分",
        "where": where,
        "what": what,
        "part": rng.choice(["右前大灯及保险杠", "右后视镜及前车门"]),
        "loss": f"{rng.randint(2100, 8800)}元",
        "garage": rng.choice(["平阳路汽修中心", "和平北路4S店"]),
        "payee": f"6217{digits(rng, 15)}",
        "bank": "晋商银行太原并州支行",
        "phone": mobile(rng),
        "signed": f"2025年2月{rng.randint(1, 9)}日",
    }
    page = Page(1240, 1180, (255, 255, 252))
    page.text(620, 64, "机动车保险索赔申请书", 40, "serif-bold", anchor="mm")
    pairs = [("保险单号", "policy"), ("报案号", "report"), ("被保险人", "insured"), ("车牌号码", "plate")]
    pairs += [("驾驶人", "driver"), ("驾驶证号", "license"), ("出险时间", "when"), ("联系电话", "phone")]
    for index, (key, name) in enumerate(pairs):
        x, y = 80 + 560 * (index % 2), 130 + 60 * (index // 2)
        page.text(x, y, key, 24, "serif-bold")
        page.text(x + 130, y, facts[name], 24, "serif")
        page.rule(x + 126, y + 38, x + 520, y + 38, 1)
    page.text(80, 370, "出险地点", 24, "serif-bold")
    page.text(210, 370, facts["where"], 24, "serif")
    page.rule(206, 408, 1160, 408, 1)
    page.box(80, 440, 1160, 720)
    page.text(100, 454, "事故经过", 24, "serif-bold")
    story = (
        f"当日早上送员工上班，行至{facts['where']}时，因避让突然变道的电动车向右打方向，车辆右前部撞上{facts['what']}，"
    )
    story += f"造成本车{facts['part']}损坏，无人员受伤。驾驶人随即报警并拨打保险公司电话报案，交警认定本车负全部责任。"
    page.paragraph(100, 500, story, 1040, 24, "serif", 1.7)
    rows = [
        ["估计损失", facts["loss"], "送修单位", facts["garage"]],
        ["赔款账号", facts["payee"], "开户银行", facts["bank"]],
    ]
    look = Ruling(24, "serif", "serif", align="clcl")
    end = table(page, 80, 750, [150, 390, 150, 390], rows, 66, look)
    page.paragraph(
        80, end + 24, "本人声明以上填写内容真实无误，如有虚假，愿承担由此产生的一切法律责任。", 1080, 23, "serif"
    )
    page.text(80, end + 100, "申请人签章：________", 24, "serif")
    page.text(760, end + 100, f"填表日期：{facts['signed']}", 24, "serif")
    return finished(page, facts)


def form_patient(rng: Random) -> Document:
    """An English registration form for new patients: small captions over boxed entries."""
    facts = {
        "surname": rng.choice(["Okonjo", "Brannigan"]),
        "given": rng.choice(["Helen Adaeze", "Marcus Ivo"]),
        "born": f"{rng.randint(3, 28)} August 19{rng.randint(61, 94)}",
        "place": f"{rng.randint(11, 96)} Larch Grove, Dunleary",
        "code": f"A96 {rng.choice(['X4K7', 'T2H9'])}",
        "mobile": f"087 {digits(rng, 3)} {digits(rng, 4)}",
        "mail": f"reg{digits(rng, 4)}@postbox.example",
        "kin": rng.choice(["Thomas Reidy", "Chidi Afolabi"]),
        "relation": rng.choice(["brother", "brother-in-law"]),
        "kin_phone": f"01 {digits(rng, 3)} {digits(rng, 4)}",
        "old": rng.choice(["Seapoint Family Practice", "Monkstown Medical Centre"]),
        "drug": rng.choice(["Ramipril 5 mg, once daily", "Levothyroxine 75 mcg, mornings"]),
        "allergy": rng.choice(["codeine", "trimethoprim"]),
        "card": f"MC{digits(rng, 6)}",
        "speaks": rng.choice(["Igbo", "Irish"]),
    }
    page = Page(1240, 1160, (254, 255, 255))
    page.text(80, 60, "Harbour Road Surgery", 36, "sans-bold", TEAL)
    page.text(80, 112, "New patient registration", 28)
    fields: list[list[tuple[str, str, float]]] = [
        [("Surname", "surname", 1), ("Given names", "given", 1), ("Date of birth", "born", 1)],
        [("Home address", "place", 2), ("Eircode", "code", 1)],
        [("Mobile telephone", "mobile", 1), ("E-mail", "mail", 1.4), ("Medical card no.", "card", 0.8)],
        [("Emergency contact", "kin", 1), ("Relationship to you", "relation", 1), ("Their telephone", "kin_phone", 1)],
        [("Previous practice", "old", 1), ("Language spoken at home", "speaks", 1)],
        [("Current medication", "drug", 1), ("Allergies", "allergy", 1)],
    ]
    for index, line in enumerate(fields):
        x, y, shares = 80.0, 176 + 122 * index, sum(share for _, _, share in line)
        for key, name, share in line:
            wide = 1080 * share / shares
            page.box(x, y, x + wide, y + 104, None, TEAL)
            page.text(x + 12, y + 8, key, 19, "sans", TEAL)
            page.text(x + 14, y + 46, facts[name], 26)
            x += wide
    page.text(80, 930, "May we send you text message reminders?", 24)
    for x, words, on in ((720, "Yes", True), (860, "No", False)):
        page.box(x, 930, x + 28, 958)
        if on:
            page.rule(x + 4, 934, x + 24, 954, 4)
            page.rule(x + 24, 934, x + 4, 954, 4)
        page.text(x + 42, 928, words, 24)
    page.text(80, 990, "Please bring photographic identification to your first appointment.", 23)
    page.text(80, 1050, "Signature ______________________", 24)
    return finished(page, facts)
