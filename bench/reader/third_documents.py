"""Documents of the third set: invoices, bank and freight papers, contracts, statements."""

from collections.abc import Sequence
from random import Random

from bench.reader.amounts import capitals, credit_code, digits, grouped, mobile, money
from bench.reader.canvas import WHITE, Color, Document, Face, Page, Ruling, finished, table

BROWN: Color = (120, 66, 30)
GREEN: Color = (20, 96, 60)
GREY: Color = (104, 108, 116)
PLUM: Color = (92, 30, 84)


def invoice_vehicle(rng: Random) -> Document:
    """机动车销售统一发票: a ruled grid of keys and values, keys in the form's brown."""
    price = rng.choice([15680000, 21380000])
    net = price * 100 // 113
    facts = {
        "code": "1" + digits(rng, 11),
        "number": digits(rng, 8),
        "date": f"2025-03-{rng.randint(10, 28)}",
        "buyer": rng.choice(["宁波北仑海通物流有限公司", "绍兴越城区人民医院"]),
        "buyer_id": credit_code(rng),
        "type": "多用途乘用车",
        "model": rng.choice(["瑞驰牌RC6480", "风骏牌FJ6521"]),
        "origin": rng.choice(["重庆市", "柳州市"]),
        "certificate": f"WAB{digits(rng, 11)}",
        "engine": f"{digits(rng, 7)}K",
        "vin": f"LZWADAGA{digits(rng, 9)}",
        "seller": "宁波甬江汽车销售服务有限公司",
        "seller_id": credit_code(rng),
        "account": digits(rng, 19),
        "phone": f"0574-{digits(rng, 8)}",
        "bank": "中国银行宁波江北支行",
        "tax": grouped(price - net),
        "net": grouped(net),
        "total": grouped(price),
        "capitals": capitals(price),
        "weight": f"{rng.randint(1, 4)}.{rng.randint(11, 99)}吨",
        "seats": str(rng.choice([5, 7])),
        "drawer": "虞晓峰",
    }
    page = Page(1300, 1010, (253, 251, 247))
    page.text(650, 60, "机动车销售统一发票", 42, "serif-bold", BROWN, "mm")
    page.text(650, 108, "第一联　发票联（购货单位付款凭证）", 21, "serif", BROWN, "mm")
    page.text(80, 150, f"开票日期：{facts['date']}", 22)
    page.text(860, 130, f"发票代码：{facts['code']}", 22)
    page.text(860, 165, f"发票号码：{facts['number']}", 22)
    lines: list[list[tuple[str, str, float]]] = [
        [("购买方名称", "buyer", 2.0), ("身份证号码/组织机构代码", "buyer_id", 1.4)],
        [("车辆类型", "type", 1), ("厂牌型号", "model", 1), ("产地", "origin", 1)],
        [("合格证号", "certificate", 1), ("发动机号码", "engine", 1)],
        [("车辆识别代号/车架号码", "vin", 1)],
        [("价税合计", "capitals", 1.8), ("小写", "total", 1)],
        [("销货单位名称", "seller", 1.6), ("电话", "phone", 1)],
        [("纳税人识别号", "seller_id", 1), ("账号", "account", 1)],
        [("开户银行", "bank", 1), ("增值税税额", "tax", 1)],
        [("不含税价", "net", 1), ("吨位", "weight", 1), ("限乘人数", "seats", 1)],
    ]
    for index, line in enumerate(lines):
        _grid_line(page, 210 + 76 * index, [(key, facts[name], share) for key, name, share in line])
    page.text(80, 920, "增值税税率：13%", 22)
    page.text(500, 920, f"开票人：{facts['drawer']}", 22)
    page.text(900, 920, "销货单位（章）", 22)
    page.stamp(1130, 880, 84, "发票专用章")
    return finished(page, facts)


def _grid_line(page: Page, y: float, cells: Sequence[tuple[str, str, float]]) -> None:
    """One ruled line of key and value cells; values share what the keys leave of the width."""
    x, keys = 70.0, [max(130.0, 24 + 21 * len(key)) if "/" not in key else 210.0 for key, _, _ in cells]
    rest = (1160 - sum(keys)) / sum(share for _, _, share in cells)
    for (key, value, share), wide in zip(cells, keys, strict=True):
        page.box(x, y, x + wide, y + 76, None, BROWN)
        for part, words in enumerate(key.split("/")):
            at = y + 38 if "/" not in key else y + 24 + 28 * part
            page.text(x + wide / 2, at, words, 20, "serif", BROWN, "mm")
        page.box(x + wide, y, x + wide + rest * share, y + 76, None, BROWN)
        page.text(x + wide + 12, y + 38, value, 22, anchor="lm")
        x += wide + rest * share


def invoice_medical(rng: Random) -> Document:
    """医疗门诊收费票据（电子）: items in two columns side by side, then who pays which part."""
    items = [("挂号诊察费", 3000), ("血常规检验费", 2050), ("胸部CT平扫", 23600), ("头孢克肟胶囊", 4680)]
    total = sum(price for _, price in items)
    fund, account = total * 6 // 10, 5000
    facts = {
        "code": f"3306{digits(rng, 4)}",
        "number": f"00{digits(rng, 8)}",
        "check": f"{rng.choice('kmw')}{digits(rng, 5)}",
        "patient": rng.choice(["方秀兰", "邵国平"]),
        "day": f"2025年2月{rng.randint(10, 28)}日",
        "hospital": "绍兴市越州第二医院",
        "kind": "职工基本医疗保险",
        "insured": digits(rng, 10),
        "visit": digits(rng, 12),
        "gender": rng.choice(["男", "女"]),
        "total": money(total),
        "capitals": capitals(total),
        "fund": money(fund),
        "account": money(account),
        "cash": money(total - fund - account),
        "left": f"{rng.randint(2100, 7800)}.{rng.randint(11, 99)}",
        "cashier": rng.choice(["陈小芹", "骆一鸣"]),
    }
    page = Page(1280, 880, (250, 252, 255))
    page.text(640, 60, "浙江省医疗门诊收费票据（电子）", 38, "serif-bold", (150, 36, 44), "mm")
    heads = [("票据代码", "code"), ("票据号码", "number"), ("校验码", "check")]
    heads += [("交款人", "patient"), ("性别", "gender"), ("开票日期", "day")]
    for index, (key, name) in enumerate(heads):
        page.text(90 + 400 * (index % 3), 116 + 42 * (index // 3), f"{key}：{facts[name]}", 22)
    rows = [["项目名称", "数量/单位", "金额（元）", "项目名称", "数量/单位", "金额（元）"]]
    for left, right in ((items[0], items[1]), (items[2], items[3])):
        rows.append(
            [left[0], "1/次", money(left[1]), right[0], "1/项" if "费" in right[0] else "2/盒", money(right[1])]
        )
    y = table(page, 80, 215, [220, 150, 190, 220, 150, 190], rows, 60, Ruling(22, line=(150, 36, 44), align="lcrlcr"))
    page.text(90, y + 22, f"金额合计（大写）：{facts['capitals']}", 23)
    page.text(800, y + 22, f"（小写）：{facts['total']}", 23)
    page.rule(80, y + 66, 1200, y + 66, fill=(150, 36, 44))
    others = [("医保统筹基金支付", "fund"), ("个人账户支付", "account"), ("个人现金支付", "cash")]
    others += [("个人账户余额", "left"), ("医保类型", "kind"), ("医保编号", "insured"), ("门诊号", "visit")]
    for index, (key, name) in enumerate(others):
        page.text(90 + 400 * (index % 3), y + 86 + 46 * (index // 3), f"{key}：{facts[name]}", 22)
    page.text(90, y + 260, f"收款单位（章）：{facts['hospital']}", 22)
    page.text(800, y + 260, f"收款人：{facts['cashier']}", 22)
    return finished(page, facts)


def bank_slip(rng: Random) -> Document:
    """银行业务回单: payer left, payee right, the amount across."""
    cents = rng.choice([8642050, 23518000])
    facts = {
        "day": f"2025年01月{rng.randint(10, 28)}日",
        "number": digits(rng, 14),
        "payer": "佛山顺景五金制品有限公司",
        "payer_no": f"4408{digits(rng, 13)}",
        "payer_bank": "广发银行佛山南海支行",
        "payee": rng.choice(["东莞恒力模具钢材有限公司", "中山市小榄镇联丰电镀厂"]),
        "payee_no": f"7699{digits(rng, 12)}",
        "payee_bank": "招商银行东莞长安支行",
        "capitals": capitals(cents),
        "amount": grouped(cents),
        "use": rng.choice(["支付12月份材料款", "支付电镀加工费尾款"]),
        "fee": f"{rng.choice(['10.50', '15.50'])}",
        "channel": "企业网上银行",
        "teller": f"EB{digits(rng, 4)}",
        "serial": f"{digits(rng, 6)}-{digits(rng, 3)}",
    }
    page = Page(1300, 760, (255, 252, 250))
    red: Color = (176, 30, 40)
    page.text(650, 56, "广发银行　电子回单", 38, "serif-bold", red, "mm")
    page.text(70, 104, f"交易日期：{facts['day']}", 22)
    page.text(800, 104, f"回单编号：{facts['number']}", 22)
    rows = [
        ["付款方户名", facts["payer"], "收款方户名", facts["payee"]],
        ["付款方账号", facts["payer_no"], "收款方账号", facts["payee_no"]],
        ["付款方开户行", facts["payer_bank"], "收款方开户行", facts["payee_bank"]],
    ]
    look = Ruling(22, "sans", "sans", red, align="clcl")
    y = table(page, 60, 150, [170, 420, 170, 420], rows, 66, look)
    rows = [["交易金额（大写）", facts["capitals"]], ["交易金额（小写）", f"CNY {facts['amount']}"]]
    y = table(page, 60, y, [240, 940], rows, 62, Ruling(22, "sans", "sans", red, align="cl"))
    rows = [
        ["摘要用途", facts["use"], "手续费", facts["fee"]],
        ["交易渠道", facts["channel"], "柜员号", facts["teller"]],
    ]
    y = table(page, 60, y, [170, 420, 170, 420], rows, 62, look)
    page.text(70, y + 30, f"交易流水号：{facts['serial']}", 21, fill=GREY)
    page.text(70, y + 76, "重要提示：本回单不作为收款方发货依据，请勿重复记账。", 21, fill=GREY)
    page.stamp(1080, y + 60, 80, "电子回单专用章")
    return finished(page, facts)


def delivery_note(rng: Random) -> Document:
    """送货单: a table of materials with batches, quantities to deliver and received."""
    goods = [("M-20417", "阀体毛坯", "HT200"), ("M-31880", "轴承端盖", "45#钢"), ("M-10552", "调整垫片", "0.5mm")]
    rows = [["序号", "物料编码", "品名", "规格材质", "单位", "送货数量", "实收数量", "生产批号"]]
    sent_all = got_all = 0
    facts: dict[str, str] = {}
    for index, (code, name, spec) in enumerate(goods, 1):
        sent = rng.randint(21, 96) * 10
        got = sent - rng.choice([0, 3, 7]) - index
        batch = f"25{rng.choice('ABC')}{digits(rng, 4)}"
        rows.append([str(index), code, name, spec, "件" if index < 3 else "片", str(sent), str(got), batch])
        facts |= {f"code{index}": code, f"sent{index}": str(sent), f"got{index}": str(got), f"batch{index}": batch}
        sent_all, got_all = sent_all + sent, got_all + got
    rows.append(["", "合计", "", "", "", str(sent_all), str(got_all), ""])
    facts |= {
        "number": f"SH{digits(rng, 9)}",
        "order": f"CG-{digits(rng, 7)}",
        "day": f"2025/04/{rng.randint(10, 28)}",
        "supplier": rng.choice(["泊头市宏宇铸造有限公司", "沧州兴达精密铸件厂"]),
        "customer": "天津津南泵阀集团第三工厂",
        "place": f"津南区双港工业园{rng.randint(3, 19)}号B库西侧卸货口",
        "contact": rng.choice(["狄建军", "冉秋菊"]),
        "phone": mobile(rng),
        "plate": f"冀J·{digits(rng, 4)}挂",
        "driver": "霍长河",
        "sent_all": str(sent_all),
        "got_all": str(got_all),
        "remark": rng.choice(["短少部分三日内补送", "垫片外箱一处破损"]),
        "keeper": rng.choice(["米雪", "乔志刚"]),
    }
    page = Page(1360, 900)
    page.text(680, 56, facts["supplier"], 32, "sans-bold", anchor="mm")
    page.text(680, 106, "送　货　单", 36, "sans-bold", anchor="mm")
    heads = [("收货单位", "customer"), ("送货单号", "number"), ("收货地点", "place"), ("采购订单号", "order")]
    heads += [("收货联系人", "contact"), ("送货日期", "day"), ("联系电话", "phone"), ("车牌号", "plate")]
    for index, (key, name) in enumerate(heads):
        page.text(70 + 760 * (index % 2), 150 + 44 * (index // 2), f"{key}：{facts[name]}", 23)
    y = table(page, 60, 346, [80, 160, 200, 180, 90, 160, 160, 200], rows, 58, Ruling(22, head_fill=(235, 238, 240)))
    page.text(70, y + 26, f"备注：{facts['remark']}", 23)
    for x, key, name in ((70, "送货司机", "driver"), (520, "仓库验收", "keeper")):
        page.text(x, y + 84, f"{key}：{facts[name]}", 23)
    page.text(940, y + 84, "白联存根　红联客户", 21, fill=GREY)
    return finished(page, facts)


def waybill(rng: Random) -> Document:
    """货物托运单: two address blocks and the freight's lines."""
    facts = {
        "number": f"LY{digits(rng, 10)}",
        "from": "石家庄",
        "to": "乌鲁木齐",
        "sender": "裴文静",
        "sender_phone": mobile(rng),
        "sender_place": "长安区和平东路398号冀药大厦",
        "taker": rng.choice(["买买提·艾力", "蔺春生"]),
        "taker_phone": mobile(rng),
        "taker_place": f"新市区北京北路{rng.randint(110, 890)}号医药物流园7栋",
        "goods": rng.choice(["医用冷藏箱", "输液架"]),
        "pieces": f"{rng.randint(11, 48)}件",
        "weight": f"{rng.randint(310, 960)}公斤",
        "volume": f"{rng.randint(3, 9)}.{rng.randint(1, 9)}立方米",
        "insured": f"{rng.choice([30, 45, 60])}000元",
        "freight": f"{rng.randint(1200, 2900)}元",
        "collect": f"{rng.randint(5100, 9800)}元",
        "pay": rng.choice(["到付", "月结"]),
        "arrive": f"2025年6月{rng.randint(10, 28)}日",
        "hotline": f"400-{digits(rng, 3)}-{digits(rng, 4)}",
    }
    page = Page(1200, 860, (254, 254, 250))
    page.text(70, 60, "路远物流", 40, "sans-bold", GREEN, "lm")
    page.text(600, 60, "货 物 托 运 单", 36, "sans-bold", anchor="mm")
    page.text(1140, 60, f"运单号 {facts['number']}", 24, anchor="rm")
    page.text(70, 112, f"始发站：{facts['from']}　　　到达站：{facts['to']}　　　预计到达：{facts['arrive']}", 24)
    for x, side, who in ((60, "发货人", "sender"), (610, "收货人", "taker")):
        page.box(x, 160, x + 530, 350, None, GREEN)
        page.text(x + 16, 178, f"{side}：{facts[who]}", 24, "sans-bold")
        page.text(x + 16, 228, f"电话：{facts[who + '_phone']}", 23)
        page.text(x + 16, 274, "地址：", 23)
        page.paragraph(x + 92, 274, facts[f"{who}_place"], 420, 23)
    rows = [
        ["货物名称", "件数", "重量", "体积", "保价金额"],
        [facts["goods"], facts["pieces"], facts["weight"], facts["volume"], facts["insured"]],
    ]
    y = table(page, 60, 376, [280, 180, 200, 210, 210], rows, 62, Ruling(24, line=GREEN, head_fill=(226, 240, 230)))
    rows = [["运费", "付款方式", "代收货款"], [facts["freight"], facts["pay"], facts["collect"]]]
    y = table(page, 60, y + 16, [360, 360, 360], rows, 62, Ruling(24, line=GREEN, head_fill=(226, 240, 230)))
    page.text(70, y + 28, "托运须知：货物到站后请于五日内提取，逾期每日收取保管费20元。", 22)
    page.text(70, y + 72, f"查询热线：{facts['hotline']}", 23)
    page.text(760, y + 72, "托运人签字：________", 23)
    return finished(page, facts)


def purchase_order(rng: Random) -> Document:
    """An English purchase order of a factory."""
    goods = [("TB-0881", "Torque wrench 20-100 Nm", 8450), ("GL-1140", "Nitrile gloves, box of 100", 1175)]
    goods.append(("HX-2206", "Hex bolt M10x60, zinc", 38))
    rows, net = [["Item no.", "Description", "Quantity", "Unit price", "Amount"]], 0
    facts: dict[str, str] = {}
    for index, (code, name, price) in enumerate(goods, 1):
        count = rng.randint(12, 60) * (20 if price < 100 else 1)
        rows.append([code, name, str(count), grouped(price), grouped(price * count)])
        facts |= {f"code{index}": code, f"count{index}": str(count), f"amount{index}": grouped(price * count)}
        net += price * count
    freight = rng.choice([6500, 8800])
    facts |= {
        "number": f"45{digits(rng, 8)}",
        "date": f"{rng.randint(3, 14)} February 2025",
        "ship": f"{rng.randint(10, 28)} March 2025",
        "vendor": rng.choice(["Halvorsen Industrial Supply AS", "Brightwell Tools AS"]),
        "buyer": "Kestrel Marine Engines Ltd",
        "contact": rng.choice(["Fiona MacAllister", "Derek Osei"]),
        "terms": "Net 45 days",
        "incoterm": "DAP Greenock",
        "net": grouped(net),
        "freight": grouped(freight),
        "total": grouped(net + freight),
    }
    page = Page(1260, 1120)
    page.text(70, 80, "PURCHASE ORDER", 44, "sans-bold", PLUM, "lm")
    page.text(1190, 62, f"PO Number  {facts['number']}", 25, "sans-bold", anchor="rm")
    page.text(1190, 104, f"Order date  {facts['date']}", 25, anchor="rm")
    blocks = [
        ("VENDOR", facts["vendor"], "Dock Road 17, 5003 Bergen"),
        ("SHIP TO", facts["buyer"], "Pier 4, Greenock PA15"),
    ]
    for x, (head, name, place) in zip((70, 660), blocks, strict=True):
        page.box(x, 150, x + 530, 300, (247, 243, 247), None)
        page.text(x + 16, 164, head, 20, "sans-bold", PLUM)
        page.text(x + 16, 200, name, 25)
        page.text(x + 16, 246, place, 23)
    terms = [["Payment terms", "Delivery terms", "Required by", "Buyer contact"]]
    terms.append([facts["terms"], facts["incoterm"], facts["ship"], facts["contact"]])
    look = Ruling(23, line=(190, 176, 190), head_fill=(236, 226, 236))
    y = table(page, 70, 326, [260, 270, 280, 310], terms, 56, look)
    look = Ruling(23, line=(190, 176, 190), head_fill=(236, 226, 236), only_rows=True, align="llrrr")
    y = table(page, 70, y + 30, [170, 470, 140, 160, 180], rows, 60, look)
    for index, (key, name) in enumerate([("Goods total", "net"), ("Freight", "freight"), ("Order total USD", "total")]):
        page.text(960, y + 24 + 46 * index, key, 24, "sans-bold" if name == "total" else "sans", anchor="ra")
        page.text(1180, y + 24 + 46 * index, facts[name], 24, "sans-bold" if name == "total" else "sans", anchor="ra")
    page.text(70, y + 200, "Quote the PO number on all packages, invoices and delivery notes.", 23)
    page.text(70, y + 240, "Part shipments are not accepted without the buyer's prior consent.", 23)
    return finished(page, facts)


def contract_loan(rng: Random) -> Document:
    """个人消费借款合同 of a bank, in articles."""
    facts = {
        "number": f"ZX借字第{digits(rng, 8)}号",
        "lender": "湖州市清河村镇银行股份有限公司",
        "borrower": rng.choice(["柴玉琴", "应建波"]),
        "id": f"3305{digits(rng, 14)}",
        "amount": rng.choice(["贰拾万元整", "壹拾伍万元整"]),
        "use": rng.choice(["住房装修", "购置家用汽车"]),
        "months": rng.choice(["36个月", "24个月"]),
        "from": f"2024年9月{rng.randint(10, 28)}日",
        "rate": rng.choice(["4.35%", "5.10%"]),
        "method": rng.choice(["等额本息", "等额本金"]),
        "day": f"每月{rng.choice([15, 20, 25])}日",
        "penalty": rng.choice(["百分之五十", "百分之三十"]),
        "early": rng.choice(["提前十五日", "提前十个工作日"]),
        "surety": rng.choice(["应国强", "沈丽萍"]),
        "surety_years": rng.choice(["三年", "两年"]),
        "copies": "一式叁份",
    }
    page = Page(1240, 1640)
    page.text(620, 100, "个人消费借款合同", 46, "serif-bold", anchor="mm")
    page.text(1120, 154, f"合同号：{facts['number']}", 23, "serif", anchor="ra")
    heads = [f"贷款人：{facts['lender']}", f"借款人：{facts['borrower']}　　身份证件号码：{facts['id']}"]
    for index, line in enumerate([*heads, f"保证人：{facts['surety']}"]):
        page.text(120, 206 + 46 * index, line, 26, "serif")
    y = 364.0
    for clause in [
        f"第一条　贷款人同意向借款人发放贷款人民币{facts['amount']}，用途为{facts['use']}，借款人不得挪作他用。",
        f"第二条　借款期限为{facts['months']}，自{facts['from']}起算，实际放款日与此不符的，以借款凭证为准。",
        f"第三条　借款年利率为{facts['rate']}，合同期内利率不作调整。",
        f"第四条　借款人采用{facts['method']}方式还款，还款日为{facts['day']}，遇节假日不顺延。",
        f"第五条　借款人未按期还款的，自逾期之日起在约定利率基础上加收{facts['penalty']}计收罚息。",
        f"第六条　借款人提前还款的，应{facts['early']}向贷款人提出书面申请，贷款人不收取违约金。",
        f"第七条　保证人承担连带责任保证，保证期间为主债务履行期限届满之日起{facts['surety_years']}。",
        "第八条　借款人变更住所、工作单位或者联系方式的，应当在变更后五日内通知贷款人。",
        f"第九条　本合同{facts['copies']}，贷款人、借款人、保证人各执一份，自各方签字盖章之日起生效。",
    ]:
        y = page.paragraph(120, y + 14, clause, 1000, 26, "serif", 1.7)
    page.text(120, y + 70, "贷款人（公章）", 26, "serif")
    page.text(520, y + 70, f"借款人：{facts['borrower']}", 26, "serif")
    page.text(860, y + 70, f"保证人：{facts['surety']}", 26, "serif")
    page.stamp(300, y + 100, 88, "信贷专用章")
    return finished(page, facts)


def contract_upkeep(rng: Random) -> Document:
    """医疗设备维保服务协议: parties above, numbered terms with sub-points."""
    facts = {
        "number": f"WB-{digits(rng, 6)}",
        "hospital": "济宁市任城区中心医院",
        "company": rng.choice(["山东康维医疗器械服务有限公司", "青岛诺德影像技术有限公司"]),
        "machine": rng.choice(["1.5T磁共振成像系统", "64排螺旋CT"]),
        "serial": f"SN-{digits(rng, 8)}",
        "fee": f"人民币{rng.choice([268, 315, 398])},000元",
        "term": rng.choice(["壹年", "贰年"]),
        "answer": rng.choice(["30分钟", "60分钟"]),
        "arrive": rng.choice(["8小时", "24小时"]),
        "uptime": rng.choice(["95%", "97%"]),
        "checks": rng.choice(["每季度一次", "每两个月一次"]),
        "late": rng.choice(["每日1500元", "每日2000元"]),
        "first": rng.choice(["60%", "70%"]),
        "hotline": f"0537-{digits(rng, 7)}",
        "engineer": rng.choice(["颜廷海", "孔令梅"]),
        "court": "济宁市任城区人民法院",
    }
    page = Page(1240, 1560)
    page.text(620, 90, "医疗设备维保服务协议", 42, "sans-bold", anchor="mm")
    page.text(120, 150, f"协议编号：{facts['number']}", 24)
    page.text(120, 194, f"委托方（甲方）：{facts['hospital']}", 25)
    page.text(120, 238, f"服务方（乙方）：{facts['company']}", 25)
    y = 280.0
    for clause in [
        f"1. 服务标的：{facts['machine']}，设备序列号{facts['serial']}。",
        f"2. 服务期：{facts['term']}，自双方签字之日起计算。",
        f"3. 服务费用：{facts['fee']}，协议生效后十日内支付{facts['first']}，余款于服务期满验收后付清。",
        f"4. 故障响应：乙方接到报修电话后{facts['answer']}内响应，{facts['arrive']}内工程师到达现场。",
        f"5. 预防性保养：{facts['checks']}，每次出具保养报告并由使用科室签字确认。",
        f"6. 开机率：乙方保证设备年开机率不低于{facts['uptime']}，不达标的相应顺延服务期。",
        f"7. 违约责任：乙方未按时到达现场的，按{facts['late']}向甲方支付违约金。",
        "8. 备件：更换的备件为原厂全新件，价格已包含在服务费用内，球管除外。",
        f"9. 乙方指定{facts['engineer']}为驻点工程师，报修热线{facts['hotline']}。",
        f"10. 争议由双方协商解决，协商不成的，向{facts['court']}起诉。",
    ]:
        y = page.paragraph(120, y + 18, clause, 1000, 25, "sans", 1.6)
    page.text(120, y + 60, "甲方代表：________", 25)
    page.text(700, y + 60, "乙方代表：________", 25)
    return finished(page, facts)


def contract_secrecy(rng: Random) -> Document:
    """An English mutual non-disclosure agreement."""
    facts = {
        "date": f"{rng.randint(3, 27)} October 2024",
        "first": "Northgate Polymers plc",
        "second": rng.choice(["Aster Bioanalytics Ltd", "Quillon Data Systems Ltd"]),
        "purpose": rng.choice(["a joint tender for hospital packaging", "the pilot of a recycling line"]),
        "term": rng.choice(["two years", "three years"]),
        "after": rng.choice(["five years", "seven years"]),
        "return": rng.choice(["fourteen days", "twenty-one days"]),
        "mark": "Confidential",
        "damages": f"GBP {rng.choice([50, 75, 120])},000",
        "law": rng.choice(["Scotland", "Northern Ireland"]),
        "signer1": "Margaret Elphick",
        "title1": rng.choice(["Company Secretary", "Commercial Director"]),
        "signer2": rng.choice(["Tobias Renner", "Ayesha Khalid"]),
        "notice": "legal@northgate-polymers.example",
    }
    page = Page(1240, 1500, (254, 254, 252))
    page.text(620, 90, "MUTUAL NON-DISCLOSURE AGREEMENT", 34, "latin-bold", anchor="mm")
    y = page.paragraph(
        120,
        140,
        f"This agreement is dated {facts['date']} and made between {facts['first']} and {facts['second']}.",
        1000,
        26,
        "latin",
        1.45,
    )
    for clause in [
        f"1. Purpose. The parties wish to exchange information in connection with {facts['purpose']}.",
        f"2. Marking. Written information is protected only if it is marked “{facts['mark']}” when it is disclosed.",
        "3. Care. Each party shall protect the other's information with the care it uses for its own, and shall"
        " disclose it only to employees who need to know it.",
        f"4. Term. This agreement remains in force for {facts['term']} from its date.",
        f"5. Survival. The duty of confidence continues for {facts['after']} after the agreement ends.",
        f"6. Return. On request, the recipient shall return or destroy all copies within {facts['return']}.",
        f"7. Damages. A party in breach shall pay agreed damages of {facts['damages']} for each breach.",
        "8. No licence. Nothing in this agreement grants any right in a patent, trade mark or copyright.",
        f"9. Governing law. This agreement is governed by the law of {facts['law']}.",
        f"10. Notices. Notices to the first party are sent to {facts['notice']}.",
    ]:
        y = page.paragraph(120, y + 18, clause, 1000, 26, "latin", 1.45)
    for x, party, signer, title in (
        (120, "first", "signer1", facts["title1"]),
        (680, "second", "signer2", "Managing Director"),
    ):
        page.text(x, y + 60, f"For {facts[party]}", 25, "latin-bold")
        page.text(x, y + 106, f"Name: {facts[signer]}", 25, "latin")
        page.text(x, y + 146, f"Title: {title}", 25, "latin")
    return finished(page, facts)


def statement_hk(rng: Random) -> Document:
    """香港銀行綜合月結單 in traditional characters: a running list of transactions."""
    moves = [("02月03日", "承上結餘", 0), ("02月05日", "薪金入賬", 2865000), ("02月11日", "自動轉賬－電費", -64280)]
    moves += [("02月18日", "支票提款 004417", -1200000), ("02月24日", "利息收入", 315)]
    balance = rng.randint(18000, 52000) * 100 + 45
    facts = {
        "name": rng.choice(["黎穎琪", "區志恆"]),
        "account": f"{digits(rng, 3)}-{digits(rng, 6)}-{digits(rng, 3)}",
        "day": "2025年2月28日",
        "branch": rng.choice(["沙田分行", "荃灣分行"]),
        "points": f"{rng.randint(11, 48)},{digits(rng, 3)}",
        "hotline": f"2{digits(rng, 3)} {digits(rng, 4)}",
        "opening": grouped(balance),
    }
    rows = [["日期", "交易摘要", "存入", "支出", "結餘"]]
    for index, (day, words, cents) in enumerate(moves):
        balance += cents
        paid, drawn = grouped(cents) if cents > 0 else "", grouped(-cents) if cents < 0 else ""
        rows.append([day, words, paid, drawn, grouped(balance)])
        facts |= {f"balance{index}": grouped(balance)} if index else {}
    facts |= {"salary": grouped(2865000), "power": grouped(64280), "cheque": grouped(1200000), "limit": "HKD 80,000"}
    page = Page(1240, 1080)
    page.box(0, 0, 1240, 110, (0, 84, 96), None)
    page.text(60, 55, "海匯銀行　綜合月結單", 38, "trad-bold", WHITE, "lm")
    heads = [("客戶姓名", "name"), ("戶口號碼", "account"), ("結單日期", "day"), ("開戶分行", "branch")]
    for index, (key, name) in enumerate(heads):
        page.text(70 + 580 * (index % 2), 145 + 50 * (index // 2), f"{key}：{facts[name]}", 26, "trad")
    page.text(70, 262, "港元儲蓄戶口", 28, "trad-bold", (0, 84, 96))
    look = Ruling(25, "trad", "trad-bold", (170, 190, 194), (226, 238, 240), True, "llrrr")
    y = table(page, 60, 310, [170, 360, 190, 190, 210], rows, 62, look)
    page.text(70, y + 34, "信用卡信貸限額：HKD 80,000", 25, "trad")
    page.text(70, y + 82, f"獎賞積分結餘：{facts['points']}", 25, "trad")
    page.text(70, y + 150, f"如發現錯誤，請於90日內致電客戶服務熱線 {facts['hotline']} 通知本行。", 24, "trad")
    return finished(page, facts)


def bill_power(rng: Random) -> Document:
    """電費通知單 in traditional characters: boxes of keys over values."""
    used, base, share, saved = (rng.randint(*span) for span in ((318, 640), (9001, 18999), (111, 609), (201, 609)))
    facts = {
        "number": f"07-{digits(rng, 2)}-{digits(rng, 4)}-{digits(rng, 2)}-{rng.randint(1, 9)}",
        "name": rng.choice(["汪麗珠", "卓文欽"]),
        "place": rng.choice(["嘉義市西區垂楊路521號", "屏東縣潮州鎮延平路76號"]),
        "due": f"114年5月{rng.randint(12, 28)}日",
        "cycle": f"114年2月{rng.randint(14, 19)}日至114年4月{rng.randint(14, 19)}日",
        "used": f"{used}度",
        "last": f"{used - rng.randint(21, 80)}度",
        "base": f"{base / 10:.1f}元",
        "share": f"{share / 10:.1f}元",
        "saved": f"{saved / 10:.1f}元",
        "total": f"{(base + share - saved + 5) // 10}元",
        "next": f"114年6月{rng.randint(12, 18)}日",
        "meter": digits(rng, 8),
    }
    page = Page(1180, 900, (255, 255, 252))
    page.text(590, 60, "電費繳費通知單", 40, "trad-bold", (176, 90, 0), "mm")
    page.text(70, 110, f"用電戶名：{facts['name']}", 25, "trad")
    page.text(70, 154, f"用電地址：{facts['place']}", 25, "trad")
    cells = [("電號", "number"), ("繳費期限", "due"), ("應繳總金額", "total")]
    cells += [("計費期間", "cycle"), ("本期用電度數", "used"), ("去年同期度數", "last")]
    for index, (key, name) in enumerate(cells):
        wide = (440, 300, 300)[index % 3]
        x, y = (70, 510, 810)[index % 3], 206 + 120 * (index // 3)
        page.box(x, y, x + wide, y + 46, (252, 236, 212), (176, 90, 0))
        page.text(x + wide / 2, y + 23, key, 23, "trad-bold", anchor="mm")
        page.box(x, y + 46, x + wide, y + 110, None, (176, 90, 0))
        page.text(x + wide / 2, y + 78, facts[name], 24, "trad", anchor="mm")
    face: Face = "trad"
    for index, (key, name) in enumerate([("流動電費", "base"), ("公共設施分攤", "share"), ("節電獎勵扣減", "saved")]):
        page.text(90, 480 + 48 * index, key, 25, face)
        page.text(520, 480 + 48 * index, ("-" if name == "saved" else "") + facts[name], 25, face, anchor="ra")
    page.text(640, 480, f"電表號碼：{facts['meter']}", 25, face)
    page.text(640, 528, f"下次抄表日：{facts['next']}", 25, face)
    page.paragraph(
        70, 660, "逾期未繳者，自繳費期限翌日起按日加收遲延繳付費用；超過七日仍未繳清者，得停止供電。", 1040, 24, face
    )
    page.text(70, 790, "停電通報專線：1911", 26, "trad-bold", (176, 90, 0))
    return finished(page, facts)
