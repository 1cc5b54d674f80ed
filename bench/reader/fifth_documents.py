"""Documents of the fifth set: invoices and contracts."""

from random import Random

from bench.reader.amounts import capitals, credit_code, digits, grouped, mobile, money
from bench.reader.canvas import Color, Document, Face, Page, Ruling, finished, table

RUST: Color = (150, 66, 30)
INDIGO: Color = (40, 52, 120)
FOREST: Color = (24, 92, 58)
GREY: Color = (100, 104, 112)
MIST: Color = (234, 239, 244)


def _stacked(page: Page, x: float, y0: float, y1: float, letters: str, tint: Color) -> None:
    """A label set downwards, as invoices have it beside the parties."""
    step = (y1 - y0) / len(letters)
    for index, letter in enumerate(letters):
        page.text(x, y0 + step * (index + 0.5), letter, 20, "serif", tint, "mm")


def invoice_meeting(rng: Random) -> Document:
    """增值税电子普通发票 of a conference hotel: code and number, three services at 6 %, a remark."""
    goods = [("*会议展览服务*会议服务费", "次", 1, 1850000), ("*餐饮服务*会议用餐", "人", 46, 12800)]
    goods.append(("*住宿服务*住宿费", "间", 12, 43600))
    nets = [count * price for _, _, count, price in goods]
    taxes = [net * 6 // 100 for net in nets]
    total = sum(nets) + sum(taxes)
    facts = {
        "code": "0330024" + digits(rng, 5),
        "number": digits(rng, 8),
        "date": "2024年11月18日",
        "check": f"{digits(rng, 5)} {digits(rng, 5)} {digits(rng, 5)} {digits(rng, 5)}",
        "buyer": "宁波甬晟医疗器械股份有限公司",
        "buyer_id": credit_code(rng),
        "seller": "绍兴镜湖国际会议中心有限公司",
        "seller_id": credit_code(rng),
        "phone": f"0575-8{digits(rng, 7)}",
        "bank": "中国农业银行绍兴镜湖支行",
        "account": digits(rng, 17),
        "meal": money(nets[1]),
        "bed": money(nets[2]),
        "bed_tax": money(taxes[2]),
        "net": money(sum(nets)),
        "tax": money(sum(taxes)),
        "total": money(total),
        "capitals": capitals(total),
        "payee": "沈雅琴",
        "reviewer": "钱国梁",
        "drawer": "傅小婷",
        "remark": "2024年经销商大会 11月14日至16日",
    }
    return _invoice_meeting_page(facts, goods, nets, taxes)


def _invoice_meeting_page(
    facts: dict[str, str], goods: list[tuple[str, str, int, int]], nets: list[int], taxes: list[int]
) -> Document:
    page = Page(1380, 920, (254, 253, 250))
    page.text(640, 56, "浙江增值税电子普通发票", 40, "serif-bold", RUST, "mm")
    page.rule(430, 88, 850, 88, fill=RUST)
    page.rule(430, 95, 850, 95, fill=RUST)
    heads = [("发票代码：", "code"), ("发票号码：", "number"), ("开票日期：", "date"), ("校 验 码：", "check")]
    for index, (key, name) in enumerate(heads):
        end = page.text(950, 24 + 32 * index, key, 20, "serif", RUST)
        page.text(end + 4, 24 + 32 * index, facts[name], 20)
    for label, y, side in (("购买方", 166.0, "buyer"), ("销售方", 640.0, "seller")):
        page.box(50, y, 850, y + 150, outline=RUST)
        page.rule(92, y, 92, y + 150, fill=RUST)
        _stacked(page, 71, y + 10, y + 140, label, RUST)
        words = [("名　　　　称：", facts[side]), ("纳税人识别号：", facts[f"{side}_id"])]
        words.append(("地 址、电 话：", "" if side == "buyer" else f"越城区洋江西路588号 {facts['phone']}"))
        words.append(("开户行及账号：", "" if side == "buyer" else f"{facts['bank']} {facts['account']}"))
        for index, (key, value) in enumerate(words):
            end = page.text(102, y + 20 + 37 * index, key, 19, "serif", RUST, "lm")
            page.text(end, y + 20 + 37 * index, value, 19, anchor="lm")
    page.box(850, 166, 1330, 316, outline=RUST)
    _stacked(page, 871, 176, 306, "密码区", RUST)
    page.rule(892, 166, 892, 316, fill=RUST)
    for index, line in enumerate(
        ["67>+3*91<8/02-7+46>5*", "<2/89*+1-6>30<74+/52>", "+4*7<16>-8/93+0<25*61", "8-30>5/*+<72961>4-/+3"]
    ):
        page.text(906, 176 + 34 * index, line, 20, "mono")
    rows = [["货物或应税劳务、服务名称", "规格型号", "单位", "数量", "单价", "金额", "税率", "税额"]]
    for (name, unit, count, price), net, tax in zip(goods, nets, taxes, strict=True):
        rows.append([name, "", unit, str(count), money(price), money(net), "6%", money(tax)])
    rows.append(["合　　计", "", "", "", "", f"￥{facts['net']}", "", f"￥{facts['tax']}"])
    look = Ruling(20, "sans", "serif", RUST, align="lcccrrcr")
    y = table(page, 50, 316, [350, 130, 80, 90, 150, 190, 100, 190], rows, 53, look)
    page.box(50, y, 1330, 640, outline=RUST)
    page.text(70, y + 28, "价税合计（大写）", 20, "serif", RUST, "lm")
    page.text(290, y + 28, f"⊗ {facts['capitals']}", 22, anchor="lm")
    page.text(930, y + 28, "（小写）", 20, "serif", RUST, "lm")
    page.text(1020, y + 28, f"￥{facts['total']}", 22, anchor="lm")
    page.box(850, 640, 1330, 790, outline=RUST)
    page.text(866, 650, "备注", 20, "serif", RUST)
    page.text(920, 684, facts["remark"], 20)
    for x, key, name in ((70, "收款人：", "payee"), (400, "复核：", "reviewer"), (680, "开票人：", "drawer")):
        end = page.text(x, 810, key, 20, "serif", RUST)
        page.text(end, 810, facts[name], 20)
    page.text(960, 810, "销售方：（章）", 20, "serif", RUST)
    page.stamp(1190, 786, 66, "发票专用章")
    return finished(page, facts)


def invoice_spares(rng: Random) -> Document:
    """增值税专用发票 on paper: machine spares at 13 %, addresses and banks of both parties."""
    goods = [("*轴承*深沟球轴承", "6308-2RS", "套", 120, 4650), ("*通用设备*液压缸", "HOB63×200", "件", 8, 128000)]
    goods.append(("*橡胶制品*同步带", "HTD8M-1200", "条", 35, 9880))
    nets = [count * price for _, _, _, count, price in goods]
    taxes = [net * 13 // 100 for net in nets]
    total = sum(nets) + sum(taxes)
    facts = {
        "code": digits(rng, 10),
        "number": digits(rng, 8),
        "date": "2024年08月06日",
        "buyer": "徐州恒拓工程机械有限公司",
        "buyer_id": credit_code(rng),
        "buyer_place": "徐州经济技术开发区驮蓝山路26号",
        "buyer_phone": f"0516-8{digits(rng, 7)}",
        "buyer_bank": "江苏银行徐州科技支行",
        "buyer_account": digits(rng, 16),
        "seller": "无锡锡东传动件有限公司",
        "seller_id": credit_code(rng),
        "seller_place": "无锡市锡山区东亭中路91号",
        "seller_phone": f"0510-8{digits(rng, 7)}",
        "seller_bank": "交通银行无锡东亭支行",
        "seller_account": digits(rng, 19),
        "cylinder": money(nets[1]),
        "belt_tax": money(taxes[2]),
        "bearing": money(nets[0]),
        "net": money(sum(nets)),
        "tax": money(sum(taxes)),
        "total": money(total),
        "capitals": capitals(total),
        "order": f"订单号 XG{digits(rng, 6)}",
        "payee": "蒋丽君",
        "reviewer": "顾卫东",
        "drawer": "许晓岚",
    }
    return _invoice_spares_page(facts, goods, nets, taxes)


def _invoice_spares_page(
    facts: dict[str, str], goods: list[tuple[str, str, str, int, int]], nets: list[int], taxes: list[int]
) -> Document:
    page = Page(1400, 940, (253, 253, 251))
    page.text(660, 58, "江苏增值税专用发票", 42, "serif-bold", FOREST, "mm")
    page.text(660, 108, "发 票 联", 24, "serif", FOREST, "mm")
    page.text(120, 58, facts["code"], 30, "mono", anchor="lm")
    page.text(1000, 50, f"№ {facts['number']}", 32, "mono", INDIGO, "lm")
    end = page.text(1000, 96, "开票日期：", 20, "serif", FOREST)
    page.text(end, 96, facts["date"], 20)
    for label, y, side in (("购买方", 140.0, "buyer"), ("销售方", 632.0, "seller")):
        page.box(60, y, 900, y + 156, outline=FOREST)
        page.rule(104, y, 104, y + 156, fill=FOREST)
        _stacked(page, 82, y + 10, y + 146, label, FOREST)
        words = [("名　　　　称：", facts[side]), ("纳税人识别号：", facts[f"{side}_id"])]
        words.append(("地 址、电 话：", f"{facts[f'{side}_place']} {facts[f'{side}_phone']}"))
        words.append(("开户行及账号：", f"{facts[f'{side}_bank']} {facts[f'{side}_account']}"))
        for index, (key, value) in enumerate(words):
            end = page.text(116, y + 22 + 38 * index, key, 20, "serif", FOREST, "lm")
            page.text(end, y + 22 + 38 * index, value, 20, anchor="lm")
    page.box(900, 140, 1340, 296, outline=FOREST)
    for index, line in enumerate(
        ["2+<9/41*-87>06+3<5*/9", ">17-*5/+<83>2640-9/+1", "*6>83<+0/5-29*174>/<6", "-9/04+<7*61>+58-23>/*"]
    ):
        page.text(924, 154 + 34 * index, line, 20, "mono")
    rows = [["货物或应税劳务名称", "规格型号", "单位", "数量", "单价", "金额", "税率", "税额"]]
    for (name, model, unit, count, price), net, tax in zip(goods, nets, taxes, strict=True):
        rows.append([name, model, unit, str(count), money(price), money(net), "13%", money(tax)])
    rows.append(["合　　计", "", "", "", "", f"￥{facts['net']}", "", f"￥{facts['tax']}"])
    look = Ruling(20, "sans", "serif", FOREST, align="lccrrrcr")
    y = table(page, 60, 296, [330, 190, 80, 100, 150, 170, 90, 170], rows, 56, look)
    page.box(60, y, 1340, 632, outline=FOREST)
    page.text(80, y + 28, "价税合计（大写）", 20, "serif", FOREST, "lm")
    page.text(300, y + 28, f"⊗ {facts['capitals']}", 22, anchor="lm")
    page.text(960, y + 28, "（小写）", 20, "serif", FOREST, "lm")
    page.text(1050, y + 28, f"￥{facts['total']}", 22, anchor="lm")
    page.box(900, 632, 1340, 788, outline=FOREST)
    page.text(916, 644, "备注", 20, "serif", FOREST)
    page.text(980, 676, facts["order"], 21)
    for x, key, name in ((80, "收款人：", "payee"), (390, "复核：", "reviewer"), (680, "开票人：", "drawer")):
        end = page.text(x, 806, key, 21, "serif", FOREST)
        page.text(end, 806, facts[name], 21)
    page.stamp(1190, 760, 70, "发票专用章")
    return finished(page, facts)


def invoice_studio(rng: Random) -> Document:
    """An American design studio's invoice: hours and prints, sales tax, terms of payment."""
    hours, flyers, banners = rng.randint(21, 44), rng.randint(6, 18) * 100, rng.randint(3, 9)
    lines = [hours * 9500, flyers * 38, banners * 11250]
    net = sum(lines)
    tax = (lines[1] + lines[2]) * 8 // 100
    facts = {
        "number": f"INV-{digits(rng, 5)}",
        "issued": "June 12, 2025",
        "due": "July 12, 2025",
        "po": f"PO-{digits(rng, 6)}",
        "client": "Larkspur Credit Union",
        "contact": "Denise Halvorsen",
        "design": grouped(lines[0]),
        "flyer": grouped(lines[1]),
        "banner": grouped(lines[2]),
        "net": grouped(net),
        "tax": grouped(tax),
        "total": grouped(net + tax),
        "ein": f"{digits(rng, 2)}-{digits(rng, 7)}",
        "routing": digits(rng, 9),
        "account": digits(rng, 10),
        "mail": "billing@inkwellstudio.example",
        "late": "1.5% per month",
    }
    return _invoice_studio_page(facts, hours, flyers, banners)


def _invoice_studio_page(facts: dict[str, str], hours: int, flyers: int, banners: int) -> Document:
    page = Page(1240, 1300)
    page.text(80, 70, "INKWELL STUDIO", 44, "sans-bold", INDIGO)
    page.text(80, 130, "2214 Alder Street, Boise, ID 83702", 22)
    page.text(80, 162, f"EIN {facts['ein']}", 22)
    page.text(1160, 70, "INVOICE", 44, "sans-bold", GREY, "ra")
    for index, (key, name) in enumerate(
        [("Invoice #", "number"), ("Date", "issued"), ("Due date", "due"), ("PO number", "po")]
    ):
        page.text(780, 140 + 40 * index, key, 23, fill=GREY)
        page.text(1160, 140 + 40 * index, facts[name], 23, anchor="ra")
    page.text(80, 240, "BILL TO", 20, "sans-bold", GREY)
    page.text(80, 270, facts["client"], 26)
    page.text(80, 306, f"Attn: {facts['contact']}", 24)
    page.text(80, 342, "905 Main Avenue, Twin Falls, ID 83301", 24)
    rows = [["Description", "Qty", "Rate", "Amount"]]
    rows.append(["Brand refresh, design hours", str(hours), "$95.00", f"${facts['design']}"])
    rows.append(["Tri-fold flyers, printed", f"{flyers:,}", "$0.38", f"${facts['flyer']}"])
    rows.append(["Vinyl banners, 3 x 8 ft", str(banners), "$112.50", f"${facts['banner']}"])
    y = table(
        page,
        80,
        420,
        [560, 140, 180, 200],
        rows,
        60,
        Ruling(24, line=INDIGO, head_fill=MIST, only_rows=True, align="lrrr"),
    )
    for index, (key, name) in enumerate(
        [("Subtotal", "net"), ("Sales tax (8% on printed goods)", "tax"), ("Balance due", "total")]
    ):
        face: Face = "sans-bold" if name == "total" else "sans"
        page.text(940, y + 40 + 48 * index, key, 25, face, anchor="ra")
        page.text(
            1150,
            y + 40 + 48 * index,
            f"${facts[name]}",
            25,
            face,
            anchor="ra",
        )
    page.text(80, y + 230, "Payment", 26, "sans-bold", INDIGO)
    page.text(80, y + 272, f"ACH routing {facts['routing']}     Account {facts['account']}", 24)
    page.text(80, y + 310, f"Questions about this invoice: {facts['mail']}", 24)
    words = f"Payment is due within 30 days. Balances unpaid after the due date are charged {facts['late']}."
    words += " Print files are kept for two years and sent again free of charge on request."
    page.paragraph(80, y + 370, words, 1080, 23)
    return finished(page, facts)


def _articles(page: Page, y: float, lines: tuple[str, ...], width: float, size: int = 25) -> float:
    """Chinese articles: a line that begins with 第 and holds no full stop is a heading."""
    for words in lines:
        if words.startswith("第") and "。" not in words:
            page.text(110, y + 16, words, size + 2, "serif-bold")
            y += size * 2.2
        else:
            y = page.paragraph(110, y + 8, words, width, size, "serif", 1.6)
    return y


def contract_miniapp(rng: Random) -> Document:
    """软件开发合同: a mini program ordered by a chain of bakeries, paid in three parts."""
    total = rng.randint(182, 268) * 100000
    facts = {
        "number": f"RJ2025-{digits(rng, 4)}",
        "client": "青岛麦香村食品连锁有限公司",
        "maker": "济南泉码软件科技有限公司",
        "date": "2025年2月21日",
        "place": "青岛市市南区",
        "product": "麦香村会员商城小程序",
        "total": grouped(total),
        "capitals": capitals(total),
        "days": "九十个工作日",
        "trial": "十五日",
        "warranty": "十二个月",
        "response": "四小时",
        "late": "千分之二",
        "cap": "百分之十",
        "secret": "三年",
        "owner": "甲方",
        "court": "青岛市市南区人民法院",
        "lead": "牟海峰",
        "phone": mobile(rng),
        "mail": "mouhf@quanma.example",
    }
    return _contract_miniapp_page(facts)


def _contract_miniapp_page(facts: dict[str, str]) -> Document:
    page = Page(1240, 1720)
    page.text(620, 96, "软件开发合同", 46, "serif-bold", anchor="mm")
    page.text(1130, 150, f"合同编号：{facts['number']}", 24, "serif", anchor="ra")
    page.text(110, 196, f"委托方（甲方）：{facts['client']}", 26, "serif")
    page.text(110, 240, f"受托方（乙方）：{facts['maker']}", 26, "serif")
    page.text(110, 284, f"签订地点：{facts['place']}", 26, "serif")
    page.text(660, 284, f"签订日期：{facts['date']}", 26, "serif")
    y = _articles(
        page,
        330,
        (
            "第一条　开发内容",
            f"甲方委托乙方开发“{facts['product']}”，包括会员、优惠券、预订和门店管理四个模块，具体功能以附件一为准。",
            "第二条　开发期限",
            f"乙方应在收到首付款之日起{facts['days']}内完成开发并交付甲方测试。"
            f"甲方应在交付后{facts['trial']}内完成验收，逾期未提出书面意见的视为验收合格。",
            "第三条　费用及支付",
            f"开发费用总额为人民币{facts['total']}元（大写：{facts['capitals']}）。"
            "合同签订后七日内支付30%，测试版交付后支付50%，验收合格后十日内支付20%。",
            "第四条　知识产权与保密",
            f"软件的著作权归{facts['owner']}所有。双方对合作中知悉的对方商业秘密负有保密义务，"
            f"保密期为合同终止后{facts['secret']}。",
            "第五条　维护",
            f"乙方自验收合格之日起提供{facts['warranty']}的免费维护。系统出现故障时，"
            f"乙方应在接到通知后{facts['response']}内响应。",
            "第六条　违约责任",
            f"乙方逾期交付的，每逾期一日按合同总额的{facts['late']}支付违约金，累计不超过合同总额的{facts['cap']}。",
            "第七条　其他",
            f"乙方项目负责人为{facts['lead']}，电话{facts['phone']}，邮箱{facts['mail']}。"
            f"因本合同发生的争议，由{facts['court']}管辖。",
        ),
        1020,
    )
    page.text(110, y + 60, "甲方（盖章）：", 26, "serif")
    page.text(680, y + 60, "乙方（盖章）：", 26, "serif")
    page.stamp(380, y + 100, 84, "合同专用章")
    page.stamp(950, y + 100, 84, "合同专用章")
    return finished(page, facts)


def contract_shop(rng: Random) -> Document:
    """商铺租赁合同: rent by the month, a rent-free period, who pays what."""
    rent = rng.randint(86, 142) * 10000
    facts = {
        "lessor": "昆明滇池物产经营有限公司",
        "lessee": "杨雪梅",
        "identity": f"53010219{rng.randint(80, 95)}0{rng.randint(1, 9)}1{rng.randint(1, 9)}{digits(rng, 3)}X",
        "place": f"昆明市五华区文林街{rng.randint(21, 180)}号一层B{rng.randint(11, 39)}铺",
        "area": f"{rng.randint(41, 96)}.5平方米",
        "use": "烘焙及咖啡零售",
        "start": "2025年4月1日",
        "end": "2028年3月31日",
        "free": "四十五日",
        "rent": f"{grouped(rent)}元",
        "rise": "5%",
        "deposit": f"{grouped(rent * 2)}元",
        "payday": "每月25日前",
        "late": "万分之六",
        "power": "每度1.05元",
        "sublet": "经甲方书面同意",
        "notice": "提前六十日",
        "refund": "十个工作日",
        "phone": mobile(rng),
    }
    page = Page(1240, 1640)
    page.text(620, 92, "商铺租赁合同", 44, "serif-bold", anchor="mm")
    page.text(110, 150, f"出租方（甲方）：{facts['lessor']}", 26, "serif")
    page.text(110, 194, f"承租方（乙方）：{facts['lessee']}", 26, "serif")
    page.text(560, 194, f"身份证号：{facts['identity']}", 26, "serif")
    page.text(110, 238, f"联系电话：{facts['phone']}", 26, "serif")
    y = _articles(
        page,
        286,
        (
            "第一条　租赁物",
            f"甲方将位于{facts['place']}的商铺出租给乙方，建筑面积{facts['area']}，用途为{facts['use']}，"
            "未经甲方同意不得改变。",
            "第二条　租期",
            f"租期自{facts['start']}起至{facts['end']}止，其中前{facts['free']}为装修免租期。",
            "第三条　租金与押金",
            f"月租金为{facts['rent']}，自第二年起每年在上一年基础上递增{facts['rise']}。"
            f"乙方应于{facts['payday']}支付下月租金。",
            f"乙方应在签订合同时向甲方支付押金{facts['deposit']}，租期届满且乙方无欠费的，"
            f"甲方在{facts['refund']}内无息退还。",
            f"乙方逾期支付租金的，每逾期一日，按欠付金额的{facts['late']}支付滞纳金。",
            "第四条　费用",
            f"电费按{facts['power']}计收，水费由乙方按表缴纳；物业管理费由甲方承担。",
            "第五条　转租与解除",
            f"乙方{facts['sublet']}后方可转租。任何一方要求提前解除合同的，"
            f"应{facts['notice']}书面通知对方，并支付相当于两个月租金的违约金。",
            "第六条　房屋维修",
            "屋顶及主体结构的维修由甲方负责，乙方自行添置的设备由乙方维护。",
        ),
        1020,
    )
    page.text(110, y + 60, "甲方（盖章）：", 26, "serif")
    page.text(680, y + 60, "乙方（签字）：", 26, "serif")
    page.stamp(400, y + 90, 82, "合同专用章")
    return finished(page, facts)


def contract_employment(rng: Random) -> Document:
    """劳动合同书: particulars of both sides, then numbered clauses on time, pay and leave."""
    facts = {
        "employer": "厦门海沧锦禾包装有限公司",
        "boss": "洪文斌",
        "worker": "罗晓燕",
        "gender": "女",
        "identity": f"35052119{rng.randint(88, 98)}0{rng.randint(1, 9)}2{rng.randint(1, 8)}{digits(rng, 4)}",
        "home": f"福建省惠安县螺城镇中山南路{rng.randint(16, 240)}号",
        "phone": mobile(rng),
        "start": "2025年3月17日",
        "end": "2028年3月16日",
        "trial": "三个月",
        "post": "质量检验员",
        "site": "厦门市海沧区新阳工业区",
        "pay": f"{rng.randint(52, 68)}00元",
        "trial_pay": f"{rng.randint(45, 51)}00元",
        "payday": "每月12日",
        "hours": "标准工时制",
        "meal": "每日25元",
        "leave": "五天",
        "quit": "三十日",
        "train": "两年",
    }
    page = Page(1240, 1560)
    page.text(620, 92, "劳 动 合 同 书", 44, "serif-bold", anchor="mm")
    rows = [["用人单位（甲方）", facts["employer"], "法定代表人", facts["boss"]]]
    rows.append(["劳动者（乙方）", facts["worker"], "性　　别", facts["gender"]])
    rows.append(["身份证号码", facts["identity"], "联系电话", facts["phone"]])
    y = table(page, 100, 146, [230, 400, 160, 250], rows, 60, Ruling(23, "serif", "serif", align="clcl"))
    page.text(100, y + 18, f"户籍地址：{facts['home']}", 24, "serif")
    y += 60
    for words in (
        f"一、合同期限：本合同为固定期限劳动合同，自{facts['start']}起至{facts['end']}止，其中试用期{facts['trial']}。",
        f"二、工作内容和地点：乙方担任{facts['post']}，工作地点为{facts['site']}。",
        f"三、工作时间：甲方安排乙方执行{facts['hours']}，每日工作八小时，每周休息两天。",
        f"四、劳动报酬：乙方月基本工资为{facts['pay']}，试用期工资为{facts['trial_pay']}，"
        f"甲方于{facts['payday']}以转账方式支付上月工资。",
        f"五、福利：甲方按出勤天数发放餐补，标准为{facts['meal']}；乙方工作满一年后享受带薪年休假{facts['leave']}。",
        "六、社会保险：双方依法参加社会保险，个人应缴部分由甲方代扣代缴。",
        f"七、合同解除：乙方提前{facts['quit']}以书面形式通知甲方，可以解除劳动合同；试用期内提前三日通知即可。",
        f"八、培训与服务期：甲方出资对乙方进行专项技术培训的，乙方服务期不少于{facts['train']}，"
        "违反的应按比例返还培训费用。",
        "九、本合同一式两份，甲乙双方各执一份，自双方签字或盖章之日起生效。",
    ):
        y = page.paragraph(100, y + 16, words, 1040, 25, "serif", 1.6)
    page.text(100, y + 70, "甲方（公章）：", 25, "serif")
    page.text(660, y + 70, "乙方（签字）：", 25, "serif")
    page.stamp(360, y + 90, 84, "人事专用章")
    return finished(page, facts)


def contract_translator(rng: Random) -> Document:
    """翻譯委任合約 in traditional characters: a publisher in Taiwan and its translator."""
    facts = {
        "number": f"TR-114-{digits(rng, 3)}",
        "house": "晨星海出版股份有限公司",
        "person": "柯郁婷",
        "book": "《海鹽的旅程》",
        "length": "約十二萬字",
        "rate": "每千字新臺幣七百八十元",
        "deadline": "民國114年10月31日",
        "first": "新臺幣三萬元",
        "proof": "二十日",
        "copies": "十冊",
        "late": "百分之一",
        "royalty": "百分之二",
        "term": "八年",
        "court": "臺灣臺北地方法院",
        "signed": "民國114年5月9日",
    }
    page = Page(1200, 1340)
    page.text(600, 90, "翻譯委任合約書", 42, "trad-serif", anchor="mm")
    page.text(1100, 140, f"合約編號：{facts['number']}", 24, "trad-serif", anchor="ra")
    page.text(100, 184, f"委任人：{facts['house']}（以下稱甲方）", 26, "trad-serif")
    page.text(100, 228, f"受任人：{facts['person']}（以下稱乙方）", 26, "trad-serif")
    y = 270.0
    for words in (
        f"第一條　甲方委任乙方將義大利文著作{facts['book']}翻譯為正體中文，全書{facts['length']}。",
        f"第二條　乙方應於{facts['deadline']}以前交付完整譯稿之電子檔。",
        f"第三條　翻譯酬勞以{facts['rate']}計算，依譯稿實際字數結算；簽約時甲方先付預付款{facts['first']}。",
        f"第四條　乙方應於收到校對稿後{facts['proof']}內完成校閱並交還甲方。",
        f"第五條　譯稿遲延交付者，每逾一週扣減酬勞{facts['late']}；逾期兩個月以上者，甲方得終止合約。",
        f"第六條　本書出版後甲方贈送乙方樣書{facts['copies']}；銷售超過五千冊之部分，"
        f"另付定價{facts['royalty']}之版稅。",
        f"第七條　甲方就本譯作享有專屬出版權，期間自出版日起{facts['term']}。",
        f"第八條　因本合約涉訟時，雙方同意以{facts['court']}為第一審管轄法院。",
    ):
        y = page.paragraph(100, y + 16, words, 1000, 26, "trad-serif", 1.6)
    page.text(100, y + 50, "甲方（簽章）：", 25, "trad-serif")
    page.text(620, y + 50, "乙方（簽章）：", 25, "trad-serif")
    page.text(100, y + 130, f"中華{facts['signed']}", 25, "trad-serif")
    return finished(page, facts)


def contract_consulting(rng: Random) -> Document:
    """An English consulting agreement with numbered sections."""
    facts = {
        "date": "9 September 2024",
        "client": "Brackenfell Foods Limited",
        "consultant": "Oriel Logistics Advisers LLP",
        "task": "a review of its cold storage network",
        "report": "29 November 2024",
        "fee": f"GBP {rng.randint(38, 72)},500",
        "daily": f"GBP {rng.choice([840, 960])} a day",
        "expenses": "GBP 3,000",
        "pay": "twenty-one days",
        "staff": "Imogen Castell",
        "secret": "five years",
        "liability": "twice the fee",
        "notice": "fourteen days",
        "poach": "nine months",
        "law": "Scotland",
        "reference": f"OLA-{digits(rng, 4)}",
    }
    return _contract_consulting_page(facts)


def _contract_consulting_page(facts: dict[str, str]) -> Document:
    page = Page(1240, 1600)
    page.text(620, 90, "CONSULTING AGREEMENT", 40, "latin-bold", anchor="mm")
    page.text(110, 140, f"Reference: {facts['reference']}", 25, "latin")
    page.text(1130, 140, f"Date: {facts['date']}", 25, "latin", anchor="ra")
    page.text(110, 186, f"Client: {facts['client']}", 26, "latin")
    page.text(110, 226, f"Consultant: {facts['consultant']}", 26, "latin")
    y = 270.0
    for head, words in (
        (
            "1. Services",
            f"The Client engages the Consultant to carry out {facts['task']} and to deliver a written "
            f"report by {facts['report']}. The work is led by {facts['staff']}, who may be replaced only "
            "with the Client's consent.",
        ),
        (
            "2. Fee",
            f"The Client pays a fixed fee of {facts['fee']}. Additional work agreed in writing is charged "
            f"at {facts['daily']}.",
        ),
        (
            "3. Expenses",
            f"Reasonable travel expenses are repaid against receipts, up to a total of {facts['expenses']}.",
        ),
        (
            "4. Invoices",
            "Half of the fee is invoiced on signature and half on delivery of the report. Each invoice is "
            f"payable within {facts['pay']} of receipt.",
        ),
        (
            "5. Confidentiality",
            "Each party keeps the other's confidential information secret during this agreement and for "
            f"{facts['secret']} after it ends.",
        ),
        (
            "6. Liability",
            f"The total liability of the Consultant under this agreement is limited to {facts['liability']}.",
        ),
        (
            "7. Termination",
            f"Either party may end this agreement by giving {facts['notice']}' written notice. Work done "
            "until then is paid for.",
        ),
        (
            "8. Staff",
            "Neither party may hire an employee of the other during this agreement or for "
            f"{facts['poach']} afterwards.",
        ),
        ("9. Law", f"This agreement is governed by the law of {facts['law']}."),
    ):
        page.text(110, y + 18, head, 26, "latin-bold")
        y = page.paragraph(110, y + 54, words, 1020, 25, "latin", 1.45)
    page.text(110, y + 60, "For the Client: ________________", 25, "latin")
    page.text(660, y + 60, "For the Consultant: ________________", 25, "latin")
    return finished(page, facts)
