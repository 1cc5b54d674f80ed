"""Documents of the third set: hospital, school and shop-floor papers, slips, screenshots and PDFs."""

from collections.abc import Sequence
from random import Random

from bench.reader.amounts import digits, money
from bench.reader.canvas import WHITE, Color, Document, Page, Ruling, finished, table
from bench.reader.pdfs import _assembled, picture_pdf, text_pdf

GREY: Color = (104, 108, 116)
BLUE: Color = (24, 74, 140)


def quality_report(rng: Random) -> Document:
    """原材料检验报告: what a steel coil should have and what it has."""
    facts = {
        "number": f"QC-{digits(rng, 8)}",
        "material": rng.choice(["冷轧钢带SPCC-SD", "镀锌板DX51D+Z"]),
        "heat": f"{rng.choice('KHT')}{digits(rng, 7)}",
        "supplier": rng.choice(["马鞍山长江板材有限公司", "唐山德龙钢带厂"]),
        "size": f"{rng.choice(['0.8', '1.2'])}×1250×C",
        "weight": f"{rng.randint(5, 19)}.{rng.randint(110, 980)}吨",
        "sampled": f"2025-05-{rng.randint(10, 18)}",
        "reported": f"2025-05-{rng.randint(19, 29)}",
        "verdict": "让步接收",
        "inspector": rng.choice(["苗春雷", "滕丽娟"]),
        "approver": rng.choice(["康伯林", "宗庆海"]),
        "reason": "表面局部划伤，仅限用于内衬件",
    }
    rows = [["检验项目", "标准要求", "实测值", "检验方法", "单项判定"]]
    for key, name, low, high, scale, wanted, method in (
        ("tensile", "抗拉强度（MPa）", 281, 345, 1, "≥270", "GB/T 228.1"),
        ("yield", "屈服强度（MPa）", 182, 236, 1, "140～240", "GB/T 228.1"),
        ("stretch", "断后伸长率（%）", 381, 440, 10, "≥37.0", "GB/T 228.1"),
        ("hard", "硬度（HV）", 92, 112, 1, "≤115", "GB/T 4340.1"),
        ("thick", "厚度偏差（mm）", 11, 48, 1000, "±0.060", "千分尺"),
    ):
        value = rng.randint(low, high)
        facts[key] = str(value) if scale == 1 else f"{value / scale:.{len(str(scale)) - 1}f}"
        rows.append([name, wanted, facts[key], method, "合格"])
    rows.append(["表面质量", "无划伤", "局部划伤", "目视", "不合格"])
    page = Page(1260, 1060)
    page.text(630, 64, "原材料进厂检验报告", 40, "sans-bold", anchor="mm")
    heads = [("报告编号", "number"), ("材料名称", "material"), ("炉批号", "heat"), ("供应商", "supplier")]
    heads += [("规格", "size"), ("到货重量", "weight"), ("取样日期", "sampled"), ("报告日期", "reported")]
    for index, (key, name) in enumerate(heads):
        page.text(80 + 580 * (index % 2), 120 + 46 * (index // 2), f"{key}：{facts[name]}", 24)
    y = table(page, 70, 316, [290, 210, 190, 230, 190], rows, 62, Ruling(23, head_fill=(228, 234, 240)))
    page.text(80, y + 28, f"综合结论：{facts['verdict']}（{facts['reason']}）", 25, "sans-bold")
    page.text(80, y + 88, f"检验员：{facts['inspector']}", 24)
    page.text(520, y + 88, f"批准：{facts['approver']}", 24)
    page.stamp(1090, y + 100, 80, "检验专用章")
    return finished(page, facts)


def transcript(rng: Random) -> Document:
    """学生学业成绩表: two terms of courses side by side."""
    courses = [
        ("高等数学（上）", "大学物理"),
        ("工程制图", "理论力学"),
        ("大学英语一", "大学英语二"),
        ("体育", "C语言程序设计"),
    ]
    points = [("5.0", "4.0"), ("3.5", "4.5"), ("3.0", "2.5"), ("1.0", "2.0")]
    rows = [["第一学期课程", "学分", "成绩", "第二学期课程", "学分", "成绩"]]
    marks = rng.sample(range(61, 98), 8)
    facts: dict[str, str] = {}
    for index, (pair, credit) in enumerate(zip(courses, points, strict=True)):
        first, second = str(marks[2 * index]), str(marks[2 * index + 1])
        rows.append([pair[0], credit[0], first, pair[1], credit[1], second])
        facts |= {f"mark{index}a": first, f"mark{index}b": second}
    facts |= {
        "name": rng.choice(["阿依努尔", "卢思远"]),
        "number": f"2023{digits(rng, 7)}",
        "school": "兰州陇原理工学院",
        "college": rng.choice(["机电工程学院", "土木工程学院"]),
        "class": f"机制23{rng.randint(10, 19)}班",
        "gpa": f"3.{rng.randint(11, 88)}",
        "rank": f"{rng.randint(4, 29)}/{rng.randint(46, 58)}",
        "credits": "25.5",
        "minor": rng.choice(["工业设计", "工商管理"]),
        "printed": f"2024年7月{rng.randint(10, 28)}日",
        "dean": rng.choice(["窦永红", "莫志诚"]),
    }
    page = Page(1240, 900, (255, 254, 250))
    page.text(620, 62, f"{facts['school']}学生成绩表", 38, "serif-bold", anchor="mm")
    heads = [("姓名", "name"), ("学号", "number"), ("班级", "class")]
    for index, (key, name) in enumerate(heads):
        page.text(80 + 400 * index, 116, f"{key}：{facts[name]}", 24, "serif")
    page.text(80, 162, f"学院：{facts['college']}　　学年：2023—2024", 24, "serif")
    y = table(
        page, 70, 216, [320, 110, 120, 320, 110, 120], rows, 64, Ruling(24, "serif", "serif-bold", align="lcclcc")
    )
    heads = [("平均学分绩点", "gpa"), ("已获学分", "credits"), ("班级排名", "rank"), ("辅修专业", "minor")]
    for index, (key, name) in enumerate(heads):
        page.text(80 + 580 * (index % 2), y + 30 + 52 * (index // 2), f"{key}：{facts[name]}", 25, "serif")
    page.text(80, y + 160, f"教务处负责人：{facts['dean']}", 24, "serif")
    page.text(700, y + 160, f"打印日期：{facts['printed']}", 24, "serif")
    return finished(page, facts)


def payslip(rng: Random) -> Document:
    """工资条: four workers, a line each, with deductions."""
    people = [("靳海涛", "装配"), ("宁彩霞", "质检"), ("车福生", "热处理"), ("戚小曼", "仓储")]
    rows = [["工号", "姓名", "班组", "基本工资", "加班费", "社保扣款", "应发合计", "实发工资"]]
    month = rng.randint(3, 5)
    facts = {"month": f"2025年{month}月", "plant": "芜湖弋江电机厂", "maker": "俞敏", "pay": f"{month + 1}月10日"}
    paid = 0
    for index, (name, team) in enumerate(people):
        base, extra, social = rng.randint(38, 56) * 10000, rng.randint(300, 1900) * 100, rng.randint(401, 620) * 100
        number = f"G{digits(rng, 4)}"
        gross, net = base + extra, base + extra - social
        rows.append([number, name, team, money(base), money(extra), money(social), money(gross), money(net)])
        facts |= {f"number{index}": number, f"extra{index}": money(extra), f"social{index}": money(social)}
        facts[f"net{index}"] = money(net)
        paid += net
    rows.append(["合计", "", "", "", "", "", "", money(paid)])
    facts["paid"] = money(paid)
    page = Page(1380, 640)
    page.text(690, 60, f"{facts['plant']}{facts['month']}工资发放表", 36, "sans-bold", anchor="mm")
    page.text(70, 110, f"制表：{facts['maker']}　　　发放日期：{facts['pay']}　　　单位：元", 23)
    y = table(page, 60, 160, [120, 130, 140, 170, 150, 170, 190, 190], rows, 60, Ruling(23, head_fill=(255, 242, 204)))
    page.text(70, y + 26, "如有疑问请于发放后3个工作日内到人力资源部查询，过期不候。", 22)
    return finished(page, facts)


def roster(rng: Random) -> Document:
    """科室值班表: days across, shifts down."""
    staff = ["薄建英", "修明哲", "纪晓燕", "晏冬梅", "郝志强", "魏小兰", "庞国栋", "童雅琴"]
    rng.shuffle(staff)
    rows = [["班次", "周一", "周二", "周三", "周四", "周五"]]
    facts = {
        "ward": rng.choice(["呼吸内科", "神经外科"]),
        "week": f"2025年第{rng.randint(21, 29)}周",
        "head": "阎素萍",
        "phone": f"8{digits(rng, 3)}",
        "lead": f"1{rng.choice('38')}{digits(rng, 9)}",
    }
    for number, (shift, hours) in enumerate(
        [("白班", "08:00-16:00"), ("小夜", "16:00-24:00"), ("大夜", "00:00-08:00")]
    ):
        turn = [staff[(3 * number + day) % 8] for day in range(5)]
        rows.append([f"{shift}{hours}", *turn])
        facts |= {f"{shift}{day}": who for day, who in enumerate(turn)}
    page = Page(1280, 600)
    page.text(640, 60, f"{facts['ward']}护理值班表（{facts['week']}）", 36, "sans-bold", BLUE, "mm")
    look = Ruling(25, line=BLUE, head_fill=(220, 232, 246))
    y = table(page, 60, 110, [310, 170, 170, 170, 170, 170], rows, 72, look)
    page.text(
        70, y + 28, f"护士长：{facts['head']}　　　护士站内线：{facts['phone']}　　　总值班手机：{facts['lead']}", 24
    )
    page.text(70, y + 76, "调班须提前一天填写调班申请单，经护士长同意后生效。", 24)
    return finished(page, facts)


def work_order(rng: Random) -> Document:
    """设备维修工单: keys in a grid, then what was wrong and what was done."""
    machine, shop, symptom, cause, action = rng.choice(
        [
            ("3号注塑机", "一车间", "合模时异响，油温升至72℃报警", "油泵联轴器弹性块磨损", "更换弹性块并重新校正"),
            ("2号空压机", "动力车间", "排气压力只到0.4MPa，机头漏油", "最小压力阀密封圈老化", "更换密封圈并补加冷却油"),
        ]
    )
    facts = {
        "number": f"WX{digits(rng, 8)}",
        "machine": machine,
        "asset": f"EQ-{digits(rng, 4)}-{rng.choice('ABD')}",
        "shop": shop,
        "caller": rng.choice(["郎宏亮", "占美凤"]),
        "reported": f"2025-07-{rng.randint(10, 28)} 09:{rng.randint(10, 59)}",
        "ended": f"14:{rng.randint(10, 59)}",
        "fixer": rng.choice(["厉学兵", "边立军"]),
        "level": rng.choice(["紧急", "一般"]),
        "stopped": f"{rng.randint(3, 5)}.{rng.randint(1, 9)}小时",
        "symptom": symptom,
        "cause": cause,
        "action": action,
        "cost": f"{rng.randint(210, 980)}.00元",
    }
    page = Page(1200, 1000, (253, 253, 250))
    page.text(600, 60, "设备维修工单", 40, "sans-bold", anchor="mm")
    rows = [
        ["工单号", facts["number"], "紧急程度", facts["level"]],
        ["设备名称", facts["machine"], "资产编号", facts["asset"]],
        ["使用部门", facts["shop"], "报修人", facts["caller"]],
        ["报修时间", facts["reported"], "修复时间", facts["ended"]],
        ["维修人", facts["fixer"], "停机时长", facts["stopped"]],
    ]
    y = table(page, 70, 110, [170, 360, 170, 360], rows, 66, Ruling(24, head_face="sans", align="clcl"))
    rows = [["故障现象", facts["symptom"]], ["故障原因", facts["cause"]], ["处理措施", facts["action"]]]
    rows += [["备件费用", facts["cost"]], ["用户确认", "已恢复生产　　签字：________"]]
    y = table(page, 70, y, [170, 890], rows, 76, Ruling(24, head_face="sans", align="cl"))
    page.text(70, y + 24, "本工单一式两联，第一联设备科留存，第二联使用部门留存。", 21, fill=GREY)
    return finished(page, facts)


def pos_slip(rng: Random) -> Document:
    """银联POS签购单: narrow, keys in Chinese with English in brackets."""
    facts = {
        "merchant": rng.choice(["贵阳花果园口腔门诊部", "遵义汇川区康佰家大药房"]),
        "merchant_no": digits(rng, 15),
        "terminal": digits(rng, 8),
        "issuer": rng.choice(["贵州银行", "邮储银行"]),
        "acquirer": "银联商务",
        "card": f"621799******{digits(rng, 4)}",
        "kind": "消费撤销",
        "batch": f"000{digits(rng, 3)}",
        "voucher": f"00{digits(rng, 4)}",
        "auth": digits(rng, 6),
        "reference": digits(rng, 12),
        "when": f"2025/01/{rng.randint(10, 28)} 17:{rng.randint(10, 59)}:36",
        "amount": f"{rng.randint(260, 990)}.{rng.randint(11, 99)}",
        "operator": f"0{rng.randint(2, 9)}",
        "old": f"00{digits(rng, 4)}",
    }
    page = Page(600, 1180, (250, 250, 248))
    page.text(300, 56, "银联商务　签购单", 34, "sans-bold", anchor="mm")
    page.text(300, 100, "商户存根　请妥善保管", 22, anchor="mm")
    page.dashes(40, 560, 128)
    pairs = [("商户名称", "merchant"), ("商户编号", "merchant_no"), ("终端编号", "terminal"), ("操作员号", "operator")]
    pairs += [("发卡行", "issuer"), ("收单行", "acquirer"), ("卡号", "card"), ("交易类型", "kind"), ("批次号", "batch")]
    pairs += [("凭证号", "voucher"), ("授权码", "auth"), ("参考号", "reference"), ("日期/时间", "when")]
    for index, (key, name) in enumerate(pairs):
        page.text(40, 146 + 52 * index, f"{key}：{facts[name]}", 25)
    page.dashes(40, 560, 832)
    page.text(40, 850, "金额", 28, "sans-bold")
    page.text(560, 850, f"RMB -{facts['amount']}", 32, "sans-bold", anchor="ra")
    page.dashes(40, 560, 908)
    page.text(40, 926, f"备注：原凭证号 {facts['old']}", 24)
    page.text(40, 978, "持卡人签名", 25)
    page.rule(200, 1060, 560, 1060)
    page.text(300, 1110, "本人确认以上交易，同意将其记入本卡账户", 21, anchor="mm")
    return finished(page, facts)


def hotel_folio(rng: Random) -> Document:
    """An English guest folio: charges by day, then the settlement."""
    rate = rng.choice([16800, 19400])
    laundry, dinner = rng.randint(1200, 2900), rng.randint(4100, 8900)
    charges = [("08 Sep", "Room charge", rate), ("08 Sep", "Restaurant Tern", dinner), ("09 Sep", "Room charge", rate)]
    charges += [("09 Sep", "Laundry", laundry), ("10 Sep", "City tax", 900)]
    total = sum(cents for _, _, cents in charges)
    facts = {
        "guest": rng.choice(["Ms Ingrid Vasquez", "Mr Desmond Achebe"]),
        "room": str(rng.randint(311, 689)),
        "folio": f"F-{digits(rng, 6)}",
        "arrival": "08 September 2024",
        "departure": "10 September 2024",
        "company": rng.choice(["Larkfield Instruments", "Monteith Shipping"]),
        "clerk": rng.choice(["Bettina", "Osman"]),
        "rate": money(rate),
        "dinner": money(dinner),
        "laundry": money(laundry),
        "tax": "9.00",
        "total": money(total),
        "deposit": money(20000),
        "balance": money(total - 20000),
        "card": f"ending in {digits(rng, 4)}",
        "wifi": f"tern{digits(rng, 4)}",
    }
    rows = [["Date", "Description", "Charges EUR"], *([day, words, money(cents)] for day, words, cents in charges)]
    page = Page(1180, 1160, (254, 252, 248))
    page.text(590, 66, "HARBOUR TERN HOTEL", 40, "latin-bold", (20, 60, 80), "mm")
    page.text(590, 112, "Guest Folio", 28, "latin", anchor="mm")
    heads = [("Guest", "guest"), ("Folio number", "folio"), ("Room", "room"), ("Company", "company")]
    heads += [("Arrival", "arrival"), ("Departure", "departure")]
    for index, (key, name) in enumerate(heads):
        end = page.text(80 + 560 * (index % 2), 160 + 46 * (index // 2), f"{key}: ", 26, "latin-bold")
        page.text(end, 160 + 46 * (index // 2), facts[name], 26, "latin")
    look = Ruling(26, "latin", "latin-bold", (150, 160, 166), (226, 234, 238), True, "llr")
    y = table(page, 70, 320, [200, 580, 260], rows, 58, look)
    for index, (key, name) in enumerate(
        [("Total charges", "total"), ("Deposit received", "deposit"), ("Balance", "balance")]
    ):
        face = "latin-bold" if name == "balance" else "latin"
        page.text(640, y + 26 + 46 * index, key, 27, "latin-bold" if face == "latin-bold" else "latin")
        page.text(
            1100, y + 26 + 46 * index, facts[name], 27, "latin-bold" if face == "latin-bold" else "latin", anchor="ra"
        )
    page.text(80, y + 196, f"Settled by card {facts['card']}. You were served by {facts['clerk']}.", 25, "latin")
    page.text(80, y + 240, f"Wireless password during your stay: {facts['wifi']}", 25, "latin")
    page.text(80, y + 284, "Check-out is at 11:00. Lost property is kept for sixty days.", 25, "latin")
    return finished(page, facts)


def screen_erp(rng: Random) -> Document:
    """A message window of a Chinese ERP program over a form."""
    facts = {
        "code": f"MM-{digits(rng, 4)}",
        "bill": f"CGRK{digits(rng, 9)}",
        "material": f"03.{digits(rng, 2)}.{digits(rng, 5)}",
        "store": rng.choice(["辅料仓", "半成品仓"]),
        "stock": str(rng.randint(102, 180)),
        "wanted": str(rng.randint(210, 480)),
        "user": rng.choice(["wangxl", "zhaoqm"]),
        "server": f"10.20.{rng.randint(2, 30)}.{rng.randint(11, 240)}",
        "period": f"2025年第{rng.randint(3, 8)}期",
        "admin": f"分机{digits(rng, 4)}",
    }
    page = Page(1280, 760, (228, 232, 238))
    page.box(0, 0, 1280, 50, (44, 62, 92), None)
    page.text(20, 25, "云岭ERP　供应链 - 采购入库单 - 修改", 22, "sans", WHITE, "lm")
    page.text(30, 74, f"单据编号：{facts['bill']}", 22)
    page.text(480, 74, f"仓库：{facts['store']}", 22)
    page.text(800, 74, f"会计期间：{facts['period']}", 22)
    page.box(220, 150, 1060, 620, WHITE, (90, 100, 120))
    page.box(220, 150, 1060, 200, (206, 214, 226), (90, 100, 120))
    page.text(240, 175, "系统提示", 22, "sans-bold", anchor="lm")
    page.text(260, 236, "审核失败：库存不足", 30, "sans-bold", (190, 30, 40))
    message = f"物料{facts['material']}在{facts['store']}的可用库存为{facts['stock']}，本次需要{facts['wanted']}，"
    message += "不允许负库存出库。"
    y = page.paragraph(260, 296, message, 760, 24)
    page.text(260, y + 14, f"错误编号：{facts['code']}", 24)
    page.text(260, y + 58, f"如需强制审核，请联系系统管理员（{facts['admin']}）授权。", 24)
    for x, words in ((640, "查看明细"), (850, "确定")):
        page.box(x, 540, x + 170, 594, (236, 240, 246), (90, 100, 120))
        page.text(x + 85, 567, words, 23, anchor="mm")
    page.box(0, 716, 1280, 760, (210, 216, 226), None)
    page.text(20, 738, f"用户：{facts['user']}　　服务器：{facts['server']}　　版本：V8.6.2", 20, anchor="lm")
    return finished(page, facts)


def screen_pods(rng: Random) -> Document:
    """A dark terminal with a container that keeps being killed."""
    tail = rng.choice(["x7k2p", "q9d4m"])
    facts = {
        "pod": f"billing-worker-6c9f-{tail}",
        "space": rng.choice(["finance-prod", "payments-stage"]),
        "node": f"ip-172-31-{rng.randint(10, 40)}-{rng.randint(100, 240)}",
        "image": f"registry.local/billing:2.{rng.randint(10, 30)}.{rng.randint(1, 9)}",
        "reason": "OOMKilled",
        "exit": "137",
        "restarts": str(rng.randint(14, 61)),
        "limit": f"{rng.choice([384, 768])}Mi",
        "event": f"{rng.randint(2, 9)}m{rng.randint(10, 59)}s",
    }
    page = Page(1240, 700, (22, 24, 30))
    light: Color = (214, 218, 224)
    lines = [
        (f"$ kubectl describe pod {facts['pod']}", (120, 220, 140)),
        (f"Name:           {facts['pod']}", light),
        (f"Namespace:      {facts['space']}", light),
        (f"Node:           {facts['node']}", light),
        (f"Image:          {facts['image']}", light),
        ("Last State:     Terminated", light),
        (f"  Reason:       {facts['reason']}", (240, 120, 110)),
        (f"  Exit Code:    {facts['exit']}", (240, 120, 110)),
        (f"Restart Count:  {facts['restarts']}", light),
        (f"Memory limit:   {facts['limit']}", light),
        (f"Warning  BackOff  {facts['event']} ago  Back-off restarting failed container", (230, 200, 110)),
    ]
    for index, (words, tint) in enumerate(lines):
        page.text(30, 40 + 56 * index, words, 26, "mono", tint)
    return finished(page, facts)


def notice_school(rng: Random) -> Document:
    """學校通告 in traditional characters with a reply slip."""
    facts = {
        "number": f"第{rng.randint(41, 98)}號",
        "day": f"2025年4月{rng.randint(10, 14)}日",
        "trip": f"2025年5月{rng.randint(6, 23)}日",
        "place": rng.choice(["米埔自然保護區", "香港科學園"]),
        "form": rng.choice(["中二級", "中三級"]),
        "meet": f"上午8時{rng.randint(10, 40)}分",
        "leave": f"下午{rng.choice(['三', '四'])}時半",
        "fee": f"港幣{rng.choice([85, 120, 145])}元",
        "reply": f"4月{rng.randint(22, 29)}日",
        "teacher": rng.choice(["麥嘉欣老師", "古兆麟老師"]),
        "phone": f"2{digits(rng, 3)} {digits(rng, 4)}",
        "head": "鄺綺雯",
        "wear": "整齊體育服及運動鞋",
    }
    page = Page(1200, 1420, (255, 255, 253))
    page.text(600, 70, "沙田循德書院", 40, "trad-bold", anchor="mm")
    page.text(600, 126, f"通告{facts['number']}　戶外學習日", 30, "trad-bold", anchor="mm")
    page.text(100, 170, "敬啟者：", 26, "trad-serif")
    y = 206.0
    for words in (
        f"　　本校定於{facts['trip']}為{facts['form']}學生舉辦戶外學習日，前往{facts['place']}考察，"
        "藉此加深學生對自然科學的認識。",
        f"　　學生須於當日{facts['meet']}在學校禮堂集合，{facts['leave']}返抵學校後自行放學。",
        f"　　費用每位{facts['fee']}，包括車資、入場費及午餐，將於學生智能卡戶口扣除。",
        f"　　當日學生須穿著{facts['wear']}，並自備雨具及清水。如當日早上六時懸掛三號或以上風球，活動取消。",
        f"　　請家長於{facts['reply']}或之前將回條交回班主任。查詢請致電{facts['phone']}與{facts['teacher']}聯絡。",
    ):
        y = page.paragraph(100, y + 14, words, 1000, 26, "trad-serif", 1.65)
    page.text(100, y + 30, "此致　　貴家長", 26, "trad-serif")
    page.text(1100, y + 76, f"校長　{facts['head']}　謹啟", 26, "trad-serif", anchor="ra")
    page.text(1100, y + 120, facts["day"], 26, "trad-serif", anchor="ra")
    page.dashes(80, 1120, y + 190, GREY)
    page.text(600, y + 226, "回　條", 30, "trad-bold", anchor="mm")
    page.text(100, y + 264, "本人 □同意 □不同意 敝子弟參加上述活動。", 26, "trad-serif")
    page.text(100, y + 316, "學生姓名：________　　班別：____　　家長簽署：________", 26, "trad-serif")
    return finished(page, facts)


def pdf_discharge(rng: Random) -> Document:
    """出院小结 scanned into a PDF of two pages without a text layer."""
    diagnosis, surgery, clinic, drug, dose = rng.choice(
        [
            ("急性阑尾炎伴局限性腹膜炎", "腹腔镜下阑尾切除术", "普外科门诊", "头孢地尼分散片", "每次100mg，每日三次"),
            ("右侧股骨颈骨折", "人工股骨头置换术", "骨科门诊", "利伐沙班片", "每次10mg，每日一次"),
        ]
    )
    came, left = rng.randint(2, 9), rng.randint(15, 28)
    facts = {
        "name": rng.choice(["巩玉兰", "鲍永年"]),
        "age": f"{rng.randint(52, 79)}岁",
        "record": digits(rng, 8),
        "bed": f"{rng.randint(10, 48)}床",
        "in": f"2025年3月{came}日",
        "out": f"2025年3月{left}日",
        "days": f"{left - came}天",
        "diagnosis": diagnosis,
        "surgery": surgery,
        "doctor": rng.choice(["谷成林", "隋爱民"]),
        "white": f"{rng.randint(11, 18)}.{rng.randint(1, 9)}×10^9/L",
        "allergy": rng.choice(["青霉素", "磺胺类药物"]),
        "drug": drug,
        "dose": dose,
        "rest": rng.choice(["休息四周", "休息六周"]),
        "review": rng.choice(["出院后两周", "出院后一个月"]),
        "clinic": clinic,
        "phone": f"0378-{digits(rng, 7)}",
    }
    first, second = Page(1240, 1300), Page(1240, 900)
    first.text(620, 90, "开封汴西医院出院小结", 42, "serif-bold", anchor="mm")
    heads = [("姓名", "name"), ("年龄", "age"), ("住院号", "record"), ("床号", "bed")]
    heads += [("入院日期", "in"), ("出院日期", "out"), ("住院天数", "days"), ("过敏史", "allergy")]
    for index, (key, name) in enumerate(heads):
        first.text(120 + 520 * (index % 2), 160 + 50 * (index // 2), f"{key}：{facts[name]}", 26, "serif")
    y = 380.0
    for words in (
        f"入院诊断：{facts['diagnosis']}",
        f"入院情况：患者因疼痛加重两日入院，查血白细胞{facts['white']}，体温38.4℃，神志清楚，心肺听诊未见异常。",
        f"诊疗经过：完善检查后于入院次日在全身麻醉下行{facts['surgery']}，手术顺利，术中出血约50ml，术后予抗感染、补液治疗。",
        "出院情况：一般情况好，切口甲级愈合，已拆线，饮食及大小便正常。",
    ):
        y = first.paragraph(120, y + 16, words, 1000, 26, "serif", 1.7)
    second.text(120, 90, "出院医嘱", 32, "serif-bold")
    y = 150.0
    for words in (
        f"1. {facts['rest']}，避免重体力劳动，加强营养。",
        f"2. 口服{facts['drug']}，{facts['dose']}，连服七天。",
        f"3. {facts['review']}到{facts['clinic']}复查，携带本小结及影像资料。",
        "4. 如出现发热、切口红肿渗液，请立即就诊。",
    ):
        y = second.paragraph(120, y + 16, words, 1000, 26, "serif", 1.7)
    second.text(120, y + 40, f"病区电话：{facts['phone']}", 26, "serif")
    second.text(720, y + 40, f"经治医师：{facts['doctor']}", 26, "serif")
    both = Document((first.image, second.image), (*first.strings, *second.strings), facts)
    return picture_pdf(both)


def pdf_tender(rng: Random) -> Document:
    """A Chinese tender notice of three pages as a PDF with a text layer."""
    facts = {
        "number": f"HZCG-2025-{digits(rng, 4)}",
        "project": rng.choice(["学生宿舍空调采购及安装", "实训楼数控机床采购"]),
        "buyer": "菏泽曹州职业技术学院",
        "budget": f"{rng.randint(210, 480)}.60万元",
        "ceiling": f"{rng.randint(150, 205)}.80万元",
        "sale": f"2025年8月{rng.randint(4, 8)}日至8月{rng.randint(11, 15)}日",
        "price": f"每份{rng.choice([300, 500])}元",
        "close": f"2025年9月{rng.randint(2, 9)}日上午9时30分",
        "room": f"公共资源交易中心{rng.randint(2, 6)}楼第{rng.choice(['三', '七'])}开标室",
        "bond": f"{rng.choice([40000, 60000])}元",
        "finish": rng.choice(["合同签订后45日内", "合同签订后60日内"]),
        "agent": "山东明正招标代理有限公司",
        "person": rng.choice(["解思雨", "卞海峰"]),
        "phone": f"0530-{digits(rng, 7)}",
        "mail": f"zb{digits(rng, 4)}@mingzheng.example",
    }
    pages = [
        [
            f"{facts['project']}公开招标公告",
            f"项目编号：{facts['number']}",
            f"采购人：{facts['buyer']}",
            f"预算金额：{facts['budget']}",
            f"最高限价：{facts['ceiling']}",
            "本项目不接受联合体投标，不允许转包。",
        ],
        [
            "一、招标文件的获取",
            f"获取时间为{facts['sale']}，售价{facts['price']}，售后不退。",
            "二、投标截止与开标",
            f"投标文件递交截止时间：{facts['close']}",
            f"开标地点：{facts['room']}",
            f"投标人须在截止时间前缴纳投标保证金{facts['bond']}。",
        ],
        [
            "三、其他事项",
            f"供货及安装期限：{facts['finish']}完成并通过验收。",
            "公告期限为五个工作日。",
            "四、联系方式",
            f"采购代理机构：{facts['agent']}",
            f"联系人：{facts['person']}　　电话：{facts['phone']}",
            f"电子邮箱：{facts['mail']}",
        ],
    ]
    return _chinese_pdf(pages, facts)


def _chinese_pdf(pages: Sequence[Sequence[str]], facts: dict[str, str]) -> Document:
    """A4 pages of Chinese lines (the first of all as a title) in a font that is named, not embedded.

    ISO 32000-1, 9.7.5.2: with a predefined CMap the text can be extracted without the font.
    """
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UTF16-H /DescendantFonts [4 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /DW 1000 /W [1 95 500] /FontDescriptor 5 0 R"
        b" /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 4 >> >>",
        b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880] /ItalicAngle 0"
        b" /Ascent 880 /Descent -120 /CapHeight 880 /StemV 93 >>",
    ]
    kids = []
    for number, lines in enumerate(pages):
        stream = b"BT 60 770 Td 30 TL\n"
        for index, line in enumerate(lines):
            size = 18 if number == index == 0 else 13
            stream += b"/F1 %d Tf <%s> Tj T*\n" % (size, line.encode("utf-16-be").hex().encode("ascii"))
        stream += b"ET"
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    return Document((), tuple(line for lines in pages for line in lines), facts, _assembled(objects))


def pdf_safety(rng: Random) -> Document:
    """English laboratory safety rules of three pages as a PDF with a text layer."""
    facts = {
        "edition": f"Edition {rng.randint(4, 9)}",
        "valid": f"{rng.randint(10, 28)} January 2026",
        "officer": rng.choice(["Dr. Lena Hofstad", "Dr. Imran Qadir"]),
        "office": f"Room B{rng.randint(110, 290)}",
        "emergency": f"extension {digits(rng, 4)}",
        "shower": rng.choice(["every week", "every fortnight"]),
        "eyes": rng.choice(["15 minutes", "20 minutes"]),
        "store": f"{rng.choice([5, 10, 25])} litres",
        "hours": rng.choice(["after 19:00", "after 20:30"]),
        "train": rng.choice(["every two years", "every three years"]),
        "report": rng.choice(["within 24 hours", "within 48 hours"]),
        "form": f"form HS-{digits(rng, 2)}",
        "waste": rng.choice(["Tuesday", "Thursday"]),
    }
    pages: Sequence[Sequence[str]] = [
        [
            "Laboratory Safety Rules",
            facts["edition"],
            f"Valid until: {facts['valid']}",
            f"Safety officer: {facts['officer']}",
            f"Office: {facts['office']}",
            "",
            "1. Training",
            f"All users repeat the safety course {facts['train']}.",
            f"Nobody works alone in the laboratory {facts['hours']}.",
        ],
        [
            "2. Chemicals",
            f"No bench may hold more than {facts['store']} of flammable solvent.",
            f"Solvent waste is collected every {facts['waste']}.",
            "",
            "3. Emergency equipment",
            f"Safety showers are tested {facts['shower']} by the technicians.",
            f"After contact with a chemical, rinse the eyes for at least {facts['eyes']}.",
        ],
        [
            "4. Accidents",
            f"In an emergency call {facts['emergency']}.",
            f"Every accident must be reported {facts['report']} on {facts['form']}.",
            "Near misses are reported in the same way.",
        ],
    ]
    return text_pdf(pages, facts)
