"""Documents of the fifth set: forms, a quotation, lists of goods and a notice."""

from random import Random

from bench.reader.amounts import capitals, digits, grouped, mobile, money
from bench.reader.canvas import Color, Document, Page, Ruling, finished, table

FOREST: Color = (24, 92, 58)
INDIGO: Color = (40, 52, 120)
GREY: Color = (100, 104, 112)
RED: Color = (200, 46, 46)
MIST: Color = (234, 239, 244)
PALE: Color = (240, 243, 247)


def form_trip(rng: Random) -> Document:
    """差旅费报销单: the journey in a ruled table, sums, advance and signatures."""
    legs = [("05-12", "合肥", "郑州", "高铁", 29600, 0, 10000), ("05-13", "郑州", "郑州", "市内", 8600, 36800, 10000)]
    legs += [("05-14", "郑州", "西安", "高铁", 23900, 42500, 10000), ("05-16", "西安", "合肥", "飞机", 76000, 0, 10000)]
    totals = [sum(column) for column in zip(*(leg[4:] for leg in legs), strict=True)]
    whole = sum(totals)
    facts = {
        "number": f"BX{digits(rng, 9)}",
        "dept": "华中销售部",
        "name": "汪立群",
        "post": "区域经理",
        "filled": "2025年05月20日",
        "reason": "拜访郑州、西安客户并签订年度框架协议",
        "fare": money(totals[0]),
        "bed": money(totals[1]),
        "allowance": money(totals[2]),
        "plane": "760.00",
        "xian": "425.00",
        "whole": money(whole),
        "capitals": capitals(whole),
        "advance": "1500.00",
        "rest": money(whole - 150000),
        "papers": "11张",
        "boss": "项国平",
        "finance": "谷月华",
        "cashier": "陶思琪",
    }
    return _form_trip_page(facts, legs)


def _form_trip_page(facts: dict[str, str], legs: list[tuple[str, str, str, str, int, int, int]]) -> Document:
    page = Page(1300, 920)
    page.text(650, 56, "差旅费报销单", 40, "sans-bold", anchor="mm")
    page.text(1230, 40, f"单据编号：{facts['number']}", 21, anchor="ra")
    page.text(70, 96, f"填报日期：{facts['filled']}", 22)
    page.text(1230, 96, f"附件：{facts['papers']}", 22, anchor="ra")
    look = Ruling(22, head_face="sans", align="cccccc")
    y = table(
        page,
        70,
        134,
        [140, 247, 140, 247, 140, 246],
        [["部门", facts["dept"], "姓名", facts["name"], "职务", facts["post"]]],
        54,
        look,
    )
    y = table(page, 70, y, [140, 1020], [["出差事由", facts["reason"]]], 54, Ruling(22, head_face="sans", align="cl"))
    rows = [["日期", "出发地", "到达地", "交通工具", "交通费", "住宿费", "伙食补助"]]
    for day, here, there, way, fare, bed, food in legs:
        rows.append([day, here, there, way, money(fare), money(bed) if bed else "", money(food)])
    rows.append(["合计", "", "", "", facts["fare"], facts["bed"], facts["allowance"]])
    y = table(page, 70, y, [140, 170, 170, 170, 170, 170, 170], rows, 52, Ruling(22, align="ccccrrr"))
    y = table(
        page,
        70,
        y,
        [200, 560, 160, 240],
        [["报销总额（大写）", facts["capitals"], "小写", f"￥{facts['whole']}"]],
        56,
        Ruling(22, head_face="sans"),
    )
    y = table(
        page,
        70,
        y,
        [200, 380, 200, 380],
        [["预借金额", facts["advance"], "应补金额", facts["rest"]]],
        56,
        Ruling(22, head_face="sans"),
    )
    for x, key, name in (
        (70, "部门负责人：", "boss"),
        (420, "财务审核：", "finance"),
        (740, "出纳：", "cashier"),
        (1010, "报销人：", "name"),
    ):
        end = page.text(x, y + 30, key, 22)
        page.text(end, y + 30, facts[name], 22, "serif")
    return finished(page, facts)


def form_hire(rng: Random) -> Document:
    """员工入职登记表: particulars in a ruled form, education and past work as small tables."""
    facts = {
        "number": f"GH{digits(rng, 6)}",
        "name": "钟雨晴",
        "gender": "女",
        "born": "1996年07月",
        "origin": "江西赣州",
        "folk": "汉族",
        "marriage": "未婚",
        "identity": f"3607021996{rng.choice(['0709', '0718'])}{digits(rng, 4)}",
        "phone": mobile(rng),
        "mail": f"zhongyq{digits(rng, 2)}@mail.example",
        "live": f"深圳市南山区西丽街道留仙苑{rng.randint(2, 9)}栋{rng.randint(5, 26)}03",
        "dept": "供应链管理部",
        "post": "采购专员",
        "day": "2025年06月09日",
        "salary_card": f"6225{digits(rng, 12)}",
        "school": "江西财经大学",
        "major": "物流管理",
        "old": "惠州市德锐电子有限公司",
        "old_why": "公司搬迁",
        "kin": "钟建民",
        "kin_rel": "父亲",
        "kin_phone": mobile(rng),
    }
    page = Page(1240, 1180)
    page.text(620, 60, "员工入职登记表", 40, "sans-bold", anchor="mm")
    page.text(70, 104, f"工号：{facts['number']}", 23)
    page.text(1170, 104, f"入职日期：{facts['day']}", 23, anchor="ra")
    plain = Ruling(23, head_face="sans", align="cccccc")
    rows = [["姓名", facts["name"], "性别", facts["gender"], "出生年月", facts["born"]]]
    rows.append(["籍贯", facts["origin"], "民族", facts["folk"], "婚姻状况", facts["marriage"]])
    y = table(page, 70, 144, [140, 250, 120, 200, 150, 240], rows, 58, plain)
    rows = [
        ["身份证号", facts["identity"], "手机号码", facts["phone"]],
        ["入职部门", facts["dept"], "岗位", facts["post"]],
    ]
    rows.append(["电子邮箱", facts["mail"], "工资卡号", facts["salary_card"]])
    y = table(page, 70, y, [140, 410, 140, 410], rows, 58, Ruling(23, head_face="sans"))
    y = table(page, 70, y, [140, 960], [["现住址", facts["live"]]], 58, Ruling(23, head_face="sans", align="cl"))
    page.text(620, y + 32, "教育经历", 24, "sans-bold", anchor="mm")
    rows = [["起止时间", "学校", "专业", "学历"], ["2014.09-2018.07", facts["school"], facts["major"], "本科"]]
    rows.append(["2011.09-2014.06", "赣州市第三中学", "——", "高中"])
    y = table(page, 70, y + 62, [270, 360, 270, 200], rows, 54, Ruling(23))
    page.text(620, y + 32, "工作经历", 24, "sans-bold", anchor="mm")
    rows = [["起止时间", "工作单位", "职务", "离职原因"]]
    rows.append(["2018.08-2021.03", "东莞市立讯精工厂", "计划员", "个人发展"])
    rows.append(["2021.04-2025.05", facts["old"], "采购助理", facts["old_why"]])
    y = table(page, 70, y + 62, [270, 400, 200, 230], rows, 54, Ruling(23))
    page.text(70, y + 26, f"紧急联系人：{facts['kin']}", 24)
    page.text(440, y + 26, f"关系：{facts['kin_rel']}", 24)
    page.text(720, y + 26, f"联系电话：{facts['kin_phone']}", 24)
    page.text(70, y + 80, "本人保证以上内容真实。　签名：____________", 24)
    return finished(page, facts)


def form_travel_en(rng: Random) -> Document:
    """An English travel request: labels over lines, a cost table, an approval box."""
    costs = [("Flights", 64200), ("Hotel, 3 nights", 48750), ("Ground transport", 9600), ("Conference fee", 55000)]
    total = sum(value for _, value in costs)
    facts = {
        "number": f"TR-{digits(rng, 5)}",
        "name": "Beatriz Carmona",
        "staff": digits(rng, 6),
        "team": "Customer Research",
        "manager": "Oliver Stanhope",
        "where": "Gothenburg, Sweden",
        "leave": "13 October 2025",
        "back": "17 October 2025",
        "why": "Nordic Usability Conference",
        "centre": f"CC-{digits(rng, 4)}",
        "flights": "642.00",
        "hotel": "487.50",
        "fee": "550.00",
        "total": grouped(total),
        "submitted": "2 September 2025",
        "passport": f"P{digits(rng, 8)}",
        "seat": "aisle",
    }
    page = Page(1240, 1060)
    page.box(0, 0, 1240, 96, INDIGO, None)
    page.text(70, 48, "Business travel request", 36, "sans-bold", (255, 255, 255), "lm")
    page.text(1170, 48, facts["number"], 26, "sans", (255, 255, 255), "rm")
    pairs = [("Employee", "name"), ("Staff number", "staff"), ("Team", "team"), ("Line manager", "manager")]
    pairs += [("Destination", "where"), ("Purpose", "why"), ("Departure", "leave"), ("Return", "back")]
    pairs += [("Cost centre", "centre"), ("Passport number", "passport")]
    for index, (key, name) in enumerate(pairs):
        x, y = 70 + 560 * (index % 2), 126.0 + 84 * (index // 2)
        page.text(x, y, key, 19, fill=GREY)
        page.text(x, y + 28, facts[name], 25)
        page.rule(x, y + 66, x + 520, y + 66, 1, GREY)
    rows = [["Estimated costs", "EUR"], *([name, money(value)] for name, value in costs), ["Total", facts["total"]]]
    y = table(page, 70, 570, [420, 180], rows, 54, Ruling(24, head_fill=MIST, align="lr"))
    page.text(760, 580, "Seat preference", 22, fill=GREY)
    for index, (words, on) in enumerate([("window", False), ("aisle", True), ("no preference", False)]):
        at = 630 + 46 * index
        page.box(760, at, 786, at + 26)
        if on:
            page.rule(764, at + 12, 771, at + 22, 4)
            page.rule(771, at + 22, 792, at - 6, 4)
        page.text(806, at - 3, words, 24)
    page.text(760, 800, f"Submitted on {facts['submitted']}", 24)
    page.text(70, y + 40, "Requests must reach the travel desk at least ten working days before departure.", 23)
    page.text(70, y + 86, "Approved by: ______________________", 24)
    return finished(page, facts)


def note_delivery(rng: Random) -> Document:
    """送货单: a wholesaler's list with totals, driver and signatures."""
    goods = [
        ("304不锈钢螺栓 M10×40", "盒", 40, 3650),
        ("尼龙扎带 4×200", "包", 150, 880),
        ("PVC线槽 40×20", "米", 260, 590),
    ]
    goods += [("绝缘胶带 黑色", "卷", 300, 245), ("防水接线盒", "个", 48, 1160)]
    sums = [count * price for _, _, count, price in goods]
    facts = {
        "number": f"SH{digits(rng, 8)}",
        "client": "佛山顺德立丰电器厂",
        "contact": "区志坚",
        "phone": f"0757-2{digits(rng, 7)}",
        "place": "顺德区容桂街道红旗中路66号2号仓",
        "day": "2025年8月14日",
        "order": f"LF-{digits(rng, 6)}",
        "trough": money(sums[2]),
        "tape": money(sums[3]),
        "box": money(sums[4]),
        "total": money(sum(sums)),
        "capitals": capitals(sum(sums)),
        "driver": "覃师傅",
        "plate": f"粤X{digits(rng, 4)}8",
        "maker": "黎小敏",
        "settle": "月结30天",
    }
    page = Page(1280, 860, (255, 254, 250))
    page.text(640, 52, "广州穗联五金电料商行送货单", 36, "sans-bold", anchor="mm")
    page.text(1220, 90, f"NO. {facts['number']}", 25, "sans", RED, "ra")
    heads = [
        ("收货单位", "client"),
        ("送货日期", "day"),
        ("联系人", "contact"),
        ("电话", "phone"),
        ("送货地址", "place"),
        ("订单号", "order"),
    ]
    for index, (key, name) in enumerate(heads):
        x, y = 60 + 700 * (index % 2), 130.0 + 42 * (index // 2)
        page.text(x, y, f"{key}：{facts[name]}", 23)
    rows = [["序号", "品名规格", "单位", "数量", "单价", "金额"]]
    for index, ((name, unit, count, price), value) in enumerate(zip(goods, sums, strict=True), 1):
        rows.append([str(index), name, unit, str(count), money(price), money(value)])
    rows.append(["合计", f"大写：{facts['capitals']}", "", "", "", facts["total"]])
    y = table(page, 60, 268, [90, 470, 100, 150, 150, 200], rows, 56, Ruling(23, align="clcrrr"))
    page.text(60, y + 20, f"结算方式：{facts['settle']}", 23)
    page.text(460, y + 20, f"司机：{facts['driver']}", 23)
    page.text(800, y + 20, f"车牌：{facts['plate']}", 23)
    page.text(60, y + 62, f"制单：{facts['maker']}", 23)
    page.text(460, y + 62, "收货人（签字）：__________", 23)
    page.text(60, y + 104, "货到请当面点清，如有短缺请在24小时内来电。", 22, fill=GREY)
    return finished(page, facts)


def list_packing(rng: Random) -> Document:
    """An English packing list of an exporter: cartons, quantities, weights."""
    lines = [("Ceramic mug, blue glaze", "MUG-14", 36, 864, 412), ("Dinner plate 27 cm", "PLT-27", 52, 624, 738)]
    lines += [("Soup bowl 16 cm", "BWL-16", 28, 672, 355), ("Teapot with lid", "TPT-09", 17, 102, 163)]
    totals = [sum(column) for column in zip(*(line[2:] for line in lines), strict=True)]
    facts = {
        "number": f"PL-{digits(rng, 6)}",
        "invoice": f"EX-{digits(rng, 5)}",
        "day": "26 May 2025",
        "exporter": "Chaozhou Lantian Ceramics Co., Ltd.",
        "consignee": "Holloway & Birch Tableware Inc.",
        "vessel": "MV Coral Meridian",
        "voyage": f"0{digits(rng, 2)}W",
        "port": "Shantou",
        "landing": "Savannah",
        "container": f"TCLU{digits(rng, 7)}",
        "seal": f"SL{digits(rng, 6)}",
        "cartons": str(totals[0]),
        "pieces": f"{totals[1]:,}",
        "weight": f"{totals[2]:,}",
        "volume": "11.84 CBM",
    }
    page = Page(1280, 960)
    page.text(640, 60, "PACKING LIST", 42, "sans-bold", anchor="mm")
    heads = [
        ("Packing list no.", "number"),
        ("Date", "day"),
        ("Exporter", "exporter"),
        ("Invoice no.", "invoice"),
        ("Consignee", "consignee"),
        ("Container no.", "container"),
    ]
    heads += [
        ("Vessel", "vessel"),
        ("Seal no.", "seal"),
        ("Port of loading", "port"),
        ("Voyage", "voyage"),
        ("Port of discharge", "landing"),
    ]
    for index, (key, name) in enumerate(heads):
        x, y = 70 + 720 * (index % 2), 110.0 + 44 * (index // 2)
        page.text(x, y, f"{key}: ", 22, "sans-bold")
        page.text(x + (215 if x < 100 else 185), y, facts[name], 22)
    rows = [["Item", "Article", "Cartons", "Pieces", "Gross weight (kg)"]]
    rows += [[name, code, str(cartons), str(pieces), str(kilos)] for name, code, cartons, pieces, kilos in lines]
    rows.append(["Total", "", facts["cartons"], facts["pieces"], facts["weight"]])
    y = table(page, 70, 400, [400, 180, 160, 160, 240], rows, 56, Ruling(23, head_fill=PALE, align="lcrrr"))
    page.text(70, y + 30, f"Total measurement: {facts['volume']}", 23)
    page.paragraph(
        70,
        y + 74,
        "Every carton is marked with the article number and the words FRAGILE, THIS SIDE UP. Cartons rest "
        "on heat-treated pallets.",
        1140,
        22,
    )
    return finished(page, facts)


def notice_move(rng: Random) -> Document:
    """An office notice on one page: the company moves, with dates, duties and contacts."""
    facts = {
        "number": f"行政〔2025〕{rng.randint(12, 48)}号",
        "from": "科创大厦12层",
        "to": "西溪谷G座7层",
        "day": "2025年9月20日（星期六）",
        "first": "9月22日",
        "pack": "9月19日17时前",
        "boxes": "每人三个",
        "network": "9月19日18时至9月21日12时",
        "label": "姓名、部门和新工位号",
        "parking": "每月300元",
        "bus": "园区正门与文三路地铁站之间",
        "bus_time": "每十五分钟一班",
        "plants": "9月26日",
        "person": "裘丹丹",
        "extension": f"{digits(rng, 4)}",
        "it": "陆一鸣",
        "issued": "2025年9月8日",
    }
    page = Page(1240, 1460)
    page.text(620, 96, "关于公司办公地点搬迁的通知", 42, "serif-bold", anchor="mm")
    page.text(620, 152, facts["number"], 24, "serif", anchor="mm")
    page.text(110, 196, "各部门：", 26, "serif")
    y = 236.0
    for words in (
        f"　　因业务发展需要，公司将由{facts['from']}迁至{facts['to']}，搬迁日定于{facts['day']}，"
        f"{facts['first']}起在新址正常办公。现将有关事项通知如下：",
        f"　　一、请各位同事在{facts['pack']}完成个人物品打包，纸箱由行政部统一发放，{facts['boxes']}，"
        f"箱面注明{facts['label']}。贵重物品请自行携带，公司不负责保管。",
        f"　　二、{facts['network']}，公司网络和内部系统将中断，请提前下载所需资料。"
        f"电脑主机由信息部统一搬运，如有问题请联系{facts['it']}。",
        f"　　三、新址地下停车位有限，需要车位的同事按先到先得的原则申请，费用为{facts['parking']}，从工资中扣除。",
        f"　　四、公司将在{facts['bus']}开通接驳班车，早晚高峰{facts['bus_time']}，凭工牌乘坐。",
        f"　　五、旧址留存的绿植和家具可由员工认领，逾{facts['plants']}无人认领的统一处理。",
        f"　　其他事宜请咨询行政部{facts['person']}，内线{facts['extension']}。",
    ):
        y = page.paragraph(110, y + 16, words, 1020, 26, "serif", 1.65)
    page.text(1130, y + 60, "杭州云栖数据服务有限公司", 26, "serif", anchor="ra")
    page.text(1130, y + 106, facts["issued"], 26, "serif", anchor="ra")
    page.stamp(960, y + 90, 90, "行政专用章")
    return finished(page, facts)


def quotation_kitchen(rng: Random) -> Document:
    """報價單 of a Hong Kong kitchen supplier in traditional characters."""
    goods = [
        ("四頭煮食爐連焗爐", 2, 18600),
        ("不銹鋼雙星盆", 3, 4280),
        ("座地雪櫃（四門）", 1, 23900),
        ("抽油煙罩", 2, 7350),
    ]
    sums = [count * price for _, count, price in goods]
    total = sum(sums)
    facts = {
        "number": f"QT-{digits(rng, 5)}",
        "date": "2025年3月7日",
        "client": "喜悅茶餐廳",
        "contact": "鄧美玲小姐",
        "phone": f"2{digits(rng, 3)} {digits(rng, 4)}",
        "sales": "何志輝",
        "stove": f"{sums[0]:,}",
        "sink": f"{sums[1]:,}",
        "hood": f"{sums[3]:,}",
        "sum": f"{total:,}",
        "off": "2,600",
        "total": f"{total - 2600:,}",
        "valid": "三十天",
        "deposit": "百分之四十",
        "delivery": "收到訂金後四星期",
        "warranty": "十八個月",
        "fee": "港幣850元",
    }
    return _quotation_kitchen_page(facts, goods, sums)


def _quotation_kitchen_page(facts: dict[str, str], goods: list[tuple[str, int, int]], sums: list[int]) -> Document:
    page = Page(1240, 1240)
    page.text(80, 60, "永興廚具工程有限公司", 38, "trad-bold", FOREST)
    page.text(80, 114, "九龍長沙灣青山道489號地下", 23, "trad")
    page.text(1160, 60, "報 價 單", 42, "trad-bold", anchor="ra")
    heads = [
        ("報價單編號", "number"),
        ("日期", "date"),
        ("客戶名稱", "client"),
        ("聯絡人", "contact"),
        ("電話", "phone"),
        ("營業代表", "sales"),
    ]
    for index, (key, name) in enumerate(heads):
        x, y = 80 + 560 * (index % 2), 180.0 + 46 * (index // 2)
        page.text(x, y, f"{key}：{facts[name]}", 25, "trad")
    rows = [["項目", "貨品", "數量", "單價（HK$）", "金額（HK$）"]]
    for index, ((name, count, price), value) in enumerate(zip(goods, sums, strict=True), 1):
        rows.append([str(index), name, str(count), f"{price:,}", f"{value:,}"])
    y = table(
        page, 80, 350, [100, 420, 120, 210, 230], rows, 58, Ruling(25, "trad", "trad-bold", FOREST, MIST, align="clcrr")
    )
    for index, (key, name) in enumerate([("合計", "sum"), ("折扣", "off"), ("應付總額", "total")]):
        page.text(900, y + 20 + 44 * index, key, 26, "trad", anchor="ra")
        page.text(1150, y + 20 + 44 * index, ("-" if name == "off" else "") + facts[name], 26, "trad", anchor="ra")
    page.text(80, y + 180, "備註", 27, "trad-bold", FOREST)
    y += 214
    for words in (
        f"1. 本報價單有效期為{facts['valid']}，逾期價格另議。",
        f"2. 客戶確認訂購時須繳付貨款{facts['deposit']}作為訂金，餘款於安裝妥當後即日付清。",
        f"3. 交貨期為{facts['delivery']}內，包送貨及基本安裝，不包拆除舊爐具。",
        f"4. 所有爐具保用{facts['warranty']}，保用期內上門檢查不另收費；其後每次上門收取{facts['fee']}。",
    ):
        y = page.paragraph(80, y + 14, words, 1080, 24, "trad", 1.6)
    page.text(80, y + 60, "客戶簽署及蓋章：____________", 25, "trad")
    page.text(760, y + 60, "日期：____________", 25, "trad")
    return finished(page, facts)
