"""Documents of the fifth set: screenshots, receipts and PDFs."""

from collections.abc import Sequence
from random import Random

from bench.reader.amounts import capitals, credit_code, digits, money
from bench.reader.canvas import WHITE, Color, Document, Face, Page, finished
from bench.reader.pdfs import _assembled, picture_pdf, text_pdf

GREY: Color = (108, 112, 120)
RED: Color = (200, 46, 46)
BLUE: Color = (26, 86, 180)
PALE: Color = (240, 243, 247)


def screen_ledger(rng: Random) -> Document:
    """A Chinese ERP window with a failed posting: a dialog over a form, details below."""
    facts = {
        "code": f"GL-{digits(rng, 4)}",
        "voucher": f"记-{digits(rng, 4)}",
        "period": "2025年04期间",
        "user": "fanglei",
        "when": "2025-05-06 17:42:09",
        "account": "660203 业务招待费",
        "server": "erp-app02",
        "database": "ORA-02291",
        "debit": "18,640.00",
        "credit": "18,460.00",
        "gap": "180.00",
        "version": "V8.3.21",
        "line": f"{rng.randint(118, 690)}",
        "support": "分机 8066",
    }
    page = Page(1240, 860, (226, 230, 236))
    page.box(0, 0, 1240, 54, (52, 70, 104), None)
    page.text(24, 27, f"智衡财务管理系统 {facts['version']} - 凭证录入", 23, "sans", WHITE, "lm")
    page.text(1216, 27, f"操作员：{facts['user']}", 20, "sans", WHITE, "rm")
    page.text(24, 76, "文件(F)　　编辑(E)　　凭证(V)　　账簿(B)　　帮助(H)", 20)
    page.box(120, 130, 1120, 800, WHITE, (120, 130, 150))
    page.box(120, 130, 1120, 182, (232, 236, 242), (120, 130, 150))
    page.text(144, 156, "系统提示", 23, "sans-bold", anchor="lm")
    page.pen.ellipse((160, 214, 226, 280), fill=RED)
    page.rule(178, 232, 208, 262, 7, WHITE)
    page.rule(208, 232, 178, 262, 7, WHITE)
    page.text(260, 214, f"凭证 {facts['voucher']} 保存失败！", 29, "sans-bold")
    page.paragraph(
        260,
        266,
        f"借贷不平衡：借方合计{facts['debit']}，贷方合计{facts['credit']}，差额{facts['gap']}。"
        f"请检查科目“{facts['account']}”所在分录后重新保存。",
        820,
        23,
    )
    page.rule(140, 362, 1100, 362, 1, GREY)
    pairs = [("错误代码", "code"), ("会计期间", "period"), ("发生时间", "when"), ("应用服务器", "server")]
    for index, (key, name) in enumerate(pairs):
        page.text(160, 386 + 42 * index, f"{key}：", 22, fill=GREY)
        page.text(320, 386 + 42 * index, facts[name], 22)
    page.text(160, 566, "详细信息", 21, "sans-bold")
    page.box(160, 600, 1080, 712, PALE, GREY)
    page.text(176, 612, f"{facts['database']}: integrity constraint (FIN.FK_DEPT) violated", 20, "mono")
    page.text(176, 642, f"at VoucherService.save(VoucherService.java:{facts['line']})", 20, "mono")
    page.text(176, 672, "at LedgerController.post(LedgerController.java:77)", 20, "mono")
    page.text(160, 752, f"如需协助请联系信息中心，{facts['support']}", 21, fill=GREY, anchor="lm")
    for x, words in ((820, "复制详情"), (960, "确定")):
        page.box(x, 730, x + 120, 776, WHITE, BLUE)
        page.text(x + 60, 753, words, 21, "sans", BLUE, "mm")
    return finished(page, facts)


def screen_phone_pay(rng: Random) -> Document:
    """A phone screenshot: a payment that failed in a Chinese shopping app."""
    facts = {
        "clock": "21:36",
        "amount": f"{rng.randint(312, 899)}.80",
        "merchant": "拾光家居旗舰店",
        "goods": "北欧风落地灯 暖光款",
        "order": digits(rng, 18),
        "way": f"建设银行储蓄卡（{digits(rng, 4)}）",
        "reason": "银行卡当日累计支付金额已超过限额",
        "code": f"PAY_LIMIT_{digits(rng, 3)}",
        "when": "2025-03-29 21:35:47",
        "deadline": "22:05",
        "hotline": "95533",
    }
    page = Page(720, 1380, (245, 246, 248))
    page.text(40, 24, facts["clock"], 26, "sans-bold")
    page.text(680, 24, "5G  78%", 24, anchor="ra")
    page.text(360, 100, "支付结果", 30, "sans-bold", anchor="mm")
    page.text(40, 100, "‹", 40, anchor="lm")
    page.pen.ellipse((310, 170, 410, 270), fill=(240, 140, 40))
    page.text(360, 218, "!", 64, "sans-bold", WHITE, "mm")
    page.text(360, 318, "支付失败", 38, "sans-bold", anchor="mm")
    page.text(360, 382, f"￥{facts['amount']}", 46, "sans-bold", anchor="mm")
    page.paragraph(70, 430, f"{facts['reason']}，请更换支付方式或明日再试。", 580, 26)
    page.box(30, 540, 690, 1010, WHITE, None)
    pairs = [
        ("商户名称", "merchant"),
        ("商品", "goods"),
        ("付款方式", "way"),
        ("订单编号", "order"),
        ("交易时间", "when"),
        ("失败代码", "code"),
    ]
    for index, (key, name) in enumerate(pairs):
        page.text(56, 586 + 72 * index, key, 25, fill=GREY, anchor="lm")
        page.text(664, 586 + 72 * index, facts[name], 25, anchor="rm")
    page.paragraph(
        50,
        1036,
        f"订单将为您保留至{facts['deadline']}，超时未支付将自动取消。如有疑问请拨打发卡银行客服{facts['hotline']}。",
        620,
        24,
    )
    page.box(50, 1180, 670, 1256, (240, 120, 40), None)
    page.text(360, 1218, "更换支付方式", 30, "sans-bold", WHITE, "mm")
    page.text(360, 1310, "查看订单", 27, "sans", BLUE, "mm")
    return finished(page, facts)


def screen_installer(rng: Random) -> Document:
    """An English installer that stopped: a dialog with a message, a code and a log path."""
    facts = {
        "product": "Meridian CAD 2025",
        "code": f"0x8007{rng.choice(['0643', '0652'])}",
        "step": "Step 4 of 6",
        "file": "libgeometry-core.dll",
        "need": "14.2 GB",
        "free": "9.7 GB",
        "log": rf"C:\ProgramData\Meridian\setup_{digits(rng, 6)}.log",
        "article": f"KB-{digits(rng, 5)}",
        "build": f"25.1.{digits(rng, 4)}",
        "user": "CORP\\hferris",
        "when": "11/03/2025 08:17 AM",
    }
    page = Page(1180, 780, (0, 92, 140))
    page.box(110, 80, 1070, 710, WHITE, GREY)
    page.box(110, 80, 1070, 130, PALE, GREY)
    page.text(130, 105, f"{facts['product']} Setup", 22, anchor="lm")
    page.text(1046, 105, "×", 28, anchor="rm")
    page.text(150, 156, "Installation could not be completed", 32, "sans-bold", RED)
    page.text(150, 208, f"{facts['step']}: Copying program files", 23, fill=GREY)
    page.paragraph(
        150,
        250,
        f"There is not enough space on drive C: to finish copying {facts['file']}. Setup needs {facts['need']}"
        f" of free space, but only {facts['free']} is available. Free some space and choose Retry.",
        880,
        23,
    )
    pairs = [("Error code", "code"), ("Build", "build"), ("Account", "user"), ("Time", "when"), ("Log file", "log")]
    for index, (key, name) in enumerate(pairs):
        page.text(150, 404 + 38 * index, f"{key}:", 22, "sans-bold")
        page.text(310, 404 + 38 * index, facts[name], 22)
    page.text(150, 606, f"For help, see article {facts['article']} in the support centre.", 22, fill=BLUE)
    for x, words in ((760, "Retry"), (910, "Cancel")):
        page.box(x, 648, x + 130, 692, PALE, GREY)
        page.text(x + 65, 670, words, 21, anchor="mm")
    return finished(page, facts)


def receipt_corner_shop(rng: Random) -> Document:
    """超市购物小票: goods over two lines, a discount, points, payment by phone."""
    goods = [
        ("金龙鱼调和油5L", 1, 6990),
        ("光明鲜牛奶950ml", 3, 1580),
        ("土鸡蛋30枚", 2, 2680),
        ("心相印抽纸24包", 1, 4590),
    ]
    goods.append(("赣南脐橙2.5kg", 2, 1990))
    sums = [count * price for _, count, price in goods]
    whole, off = sum(sums), 1500
    facts = {
        "shop": "联佳生活超市（湖滨路店）",
        "slip": digits(rng, 12),
        "till": "收银台：07",
        "clerk": "工号2038",
        "when": "2025-01-18 19:24:51",
        "milk": money(sums[1]),
        "eggs": money(sums[2]),
        "orange": money(sums[4]),
        "whole": money(whole),
        "off": money(off),
        "paid": money(whole - off),
        "member": f"{digits(rng, 3)}****{digits(rng, 4)}",
        "gained": "238",
        "points": str(rng.randint(2100, 6900)),
        "pay": "支付宝",
        "trade": digits(rng, 20),
        "phone": f"0592-5{digits(rng, 6)}",
    }
    return _receipt_corner_shop_page(facts, goods, sums)


def _receipt_corner_shop_page(facts: dict[str, str], goods: list[tuple[str, int, int]], sums: list[int]) -> Document:
    page = Page(640, 1240, (252, 252, 250))
    page.text(320, 60, facts["shop"], 32, "sans-bold", anchor="mm")
    page.text(320, 108, "欢迎光临", 25, anchor="mm")
    page.text(40, 140, f"小票号：{facts['slip']}", 24)
    page.text(40, 176, facts["till"], 24)
    page.text(330, 176, f"收银员：{facts['clerk']}", 24)
    page.text(40, 212, f"时间：{facts['when']}", 24)
    page.dashes(40, 600, 256)
    page.text(40, 270, "商品名称", 24)
    for x, words in ((360, "数量"), (470, "单价"), (600, "金额")):
        page.text(x, 270, words, 24, anchor="ra")
    y = 312
    for (name, count, price), value in zip(goods, sums, strict=True):
        page.text(40, y, name, 25)
        page.text(360, y + 36, str(count), 25, anchor="ra")
        page.text(470, y + 36, money(price), 25, anchor="ra")
        page.text(600, y + 36, money(value), 25, anchor="ra")
        y += 78
    page.dashes(40, 600, y + 6)
    for key, amount in (
        ("件数", str(sum(count for _, count, _ in goods))),
        ("合计", facts["whole"]),
        ("优惠", f"-{facts['off']}"),
        ("实付金额", facts["paid"]),
    ):
        page.text(40, y + 20, key, 27, "sans-bold" if key == "实付金额" else "sans")
        page.text(600, y + 20, amount, 27, "sans-bold" if key == "实付金额" else "sans", anchor="ra")
        y += 42
    page.dashes(40, 600, y + 30)
    for words in (
        f"付款方式：{facts['pay']}",
        f"交易号：{facts['trade']}",
        f"会员卡号：{facts['member']}",
        f"本次积分：{facts['gained']}　累计积分：{facts['points']}",
    ):
        page.text(40, y + 46, words, 24)
        y += 38
    page.dashes(40, 600, y + 62)
    page.text(320, y + 96, "七日内凭小票退换，生鲜商品除外", 24, anchor="mm")
    page.text(320, y + 134, f"服务热线 {facts['phone']}", 24, anchor="mm")
    return finished(page, facts)


def receipt_fuel(rng: Random) -> Document:
    """加油站小票: pump, grade, litres, price, the card's balance."""
    litres, price = rng.randint(3120, 5240), 783
    whole = litres * price // 100
    facts = {
        "station": "中原石油第118加油站",
        "number": digits(rng, 10),
        "when": "2025-07-02 07:58:13",
        "pump": "6号枪",
        "grade": "92号车用汽油",
        "litres": money(litres),
        "price": money(price),
        "whole": money(whole),
        "off": "12.00",
        "paid": money(whole - 1200),
        "plate": f"豫A{digits(rng, 4)}K",
        "card": f"9010{digits(rng, 12)}",
        "left": money(rng.randint(61000, 148000)),
        "clerk": "马金凤",
        "tax_site": "凭此票30天内到站内换开发票",
    }
    page = Page(620, 1060, (253, 253, 252))
    page.text(310, 60, facts["station"], 32, "sans-bold", anchor="mm")
    page.text(310, 106, "加油凭证（顾客联）", 26, anchor="mm")
    page.dashes(40, 580, 142)
    pairs = [("流水号", "number"), ("时间", "when"), ("油枪", "pump"), ("油品", "grade"), ("车牌号", "plate")]
    pairs += [
        ("加油量（升）", "litres"),
        ("单价（元/升）", "price"),
        ("金额（元）", "whole"),
        ("优惠（元）", "off"),
        ("实收（元）", "paid"),
    ]
    pairs += [("加油卡号", "card"), ("卡内余额（元）", "left"), ("加油员", "clerk")]
    for index, (key, name) in enumerate(pairs):
        y = 164 + 52 * index
        face: Face = "sans-bold" if name == "paid" else "sans"
        page.text(40, y, key, 26, face)
        page.text(580, y, facts[name], 26, face, anchor="ra")
    page.dashes(40, 580, 860)
    page.text(310, 900, facts["tax_site"], 24, anchor="mm")
    page.text(310, 944, "请当面核对，离站概不负责", 24, anchor="mm")
    return finished(page, facts)


def receipt_einvoice(rng: Random) -> Document:
    """電子發票證明聯 of a bookshop in Taiwan with its sales list."""
    goods = [("繪本 小熊找朋友", 1, 320), ("A5方格筆記本", 4, 65), ("0.38黑色中性筆", 6, 25), ("環保購物袋", 1, 15)]
    sums = [count * price for _, count, price in goods]
    facts = {
        "shop": "青鳥書房　公館店",
        "period": "114年07-08月",
        "number": f"XN-{digits(rng, 8)}",
        "when": "2025-08-09 15:47:26",
        "random": digits(rng, 4),
        "seller": digits(rng, 8),
        "book": str(sums[1]),
        "pens": str(sums[2]),
        "total": str(sum(sums)),
        "cash": "1000",
        "change": str(1000 - sum(sums)),
        "clerk": "葉小姐",
        "phone": f"02-2{digits(rng, 3)}-{digits(rng, 4)}",
        "points": "7點",
    }
    page = Page(620, 1180)
    page.text(310, 64, facts["shop"], 36, "trad-bold", anchor="mm")
    page.text(310, 126, "電子發票證明聯", 40, "trad-bold", anchor="mm")
    page.text(310, 186, facts["period"], 42, "trad-bold", anchor="mm")
    page.text(310, 246, facts["number"], 44, "trad-bold", anchor="mm")
    page.text(50, 286, facts["when"], 26, "trad")
    page.text(50, 326, f"隨機碼：{facts['random']}", 26, "trad")
    page.text(570, 326, f"總計：{facts['total']}", 26, "trad", anchor="ra")
    page.text(50, 366, f"賣方：{facts['seller']}", 26, "trad")
    for index in range(58):
        if rng.random() < 0.55:
            page.box(50 + index * 9, 416, 54 + index * 9, 476, (24, 24, 28), None)
    page.dashes(40, 580, 506)
    page.text(310, 540, "銷貨明細", 28, "trad-bold", anchor="mm")
    y = 574
    for (name, count, price), value in zip(goods, sums, strict=True):
        page.text(50, y, name, 26, "trad")
        page.text(430, y, f"{price}x{count}", 26, "trad", anchor="ra")
        page.text(570, y, f"{value}TX", 26, "trad", anchor="ra")
        y += 46
    page.dashes(40, 580, y + 10)
    for key, name in (("合計", "total"), ("現金", "cash"), ("找零", "change")):
        page.text(50, y + 28, key, 27, "trad")
        page.text(570, y + 28, f"${facts[name]}", 27, "trad", anchor="ra")
        y += 44
    page.dashes(40, 580, y + 34)
    page.text(50, y + 52, f"店員：{facts['clerk']}", 25, "trad")
    page.text(50, y + 92, f"本次集點：{facts['points']}", 25, "trad")
    page.text(50, y + 132, f"門市電話：{facts['phone']}", 25, "trad")
    page.text(50, y + 172, "商品如有瑕疵，請於十日內攜本聯至門市更換。", 24, "trad")
    return finished(page, facts)


def receipt_pharmacy(rng: Random) -> Document:
    """An English chemist's receipt: medicines, a loyalty discount, cash and change."""
    goods = [("Paracetamol 500mg x16", 2, 95), ("Throat lozenges honey", 1, 425), ("Sunscreen SPF50 200ml", 1, 1150)]
    goods.append(("Plasters assorted x40", 3, 275))
    sums = [count * price for _, count, price in goods]
    off = 180
    total = sum(sums) - off
    facts = {
        "shop": "Greenway Pharmacy",
        "branch": "31 Castle Street, Norwich",
        "phone": f"01603 {digits(rng, 6)}",
        "when": "14/06/2025 16:52",
        "till": "Till 3",
        "clerk": "Priya",
        "slip": f"0{digits(rng, 5)}",
        "plasters": money(sums[3]),
        "sub": money(sum(sums)),
        "off": money(off),
        "total": money(total),
        "cash": "30.00",
        "change": money(3000 - total),
        "card": f"GW{digits(rng, 7)}",
        "points": str(rng.randint(120, 480)),
        "vat": f"GB {digits(rng, 3)} {digits(rng, 4)} {digits(rng, 2)}",
    }
    return _receipt_pharmacy_page(facts, goods, sums)


def _receipt_pharmacy_page(facts: dict[str, str], goods: list[tuple[str, int, int]], sums: list[int]) -> Document:
    page = Page(620, 1060, (253, 253, 251))
    page.text(310, 60, facts["shop"], 36, "sans-bold", anchor="mm")
    page.text(310, 106, facts["branch"], 24, anchor="mm")
    page.text(310, 140, f"Tel {facts['phone']}", 24, anchor="mm")
    page.text(310, 174, f"VAT No. {facts['vat']}", 24, anchor="mm")
    page.text(40, 210, facts["when"], 24)
    page.text(580, 210, f"{facts['till']}  Receipt {facts['slip']}", 24, anchor="ra")
    page.text(40, 246, f"Served by {facts['clerk']}", 24)
    page.dashes(40, 580, 290)
    y = 306
    for (name, count, _), value in zip(goods, sums, strict=True):
        page.text(40, y, f"{count}  {name}", 25)
        page.text(580, y, money(value), 25, anchor="ra")
        y += 46
    page.dashes(40, 580, y + 8)
    for key, name in (
        ("Subtotal", "sub"),
        ("Loyalty discount", "off"),
        ("TOTAL GBP", "total"),
        ("Cash", "cash"),
        ("Change", "change"),
    ):
        face: Face = "sans-bold" if name == "total" else "sans"
        page.text(40, y + 24, key, 27, face)
        page.text(
            580,
            y + 24,
            ("-" if name == "off" else "") + facts[name],
            27,
            face,
            anchor="ra",
        )
        y += 46
    page.dashes(40, 580, y + 34)
    page.text(40, y + 52, f"Loyalty card {facts['card']}", 24)
    page.text(40, y + 90, f"Points balance {facts['points']}", 24)
    page.paragraph(
        40,
        y + 140,
        "Unopened items may be returned within 28 days with this receipt. Medicines cannot be returned.",
        540,
        23,
    )
    return finished(page, facts)


def _typeset_pdf(size: tuple[int, int], lines: Sequence[tuple[int, int, int, str]], facts: dict[str, str]) -> Document:
    """One page of Chinese with a text layer from (x, y from the top, points, words); CMap of ISO 32000-1, 9.7.5.2."""
    stream = b"BT\n"
    for x, y, points, words in lines:
        place = b"/F1 %d Tf 1 0 0 1 %d %d Tm " % (points, x, size[1] - y)
        stream += place + b"<%s> Tj\n" % words.encode("utf-16-be").hex().encode("ascii")
    stream += b"ET"
    about = b"/CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> /FontDescriptor 5 0 R"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [7 0 R] /Count 1 >>",
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H /DescendantFonts [4 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light " + about + b" /DW 1000 /W [1 95 500] >>",
        b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880] /ItalicAngle 0"
        b" /Ascent 880 /Descent -120 /CapHeight 880 /StemV 93 >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 6 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
        % size,
    ]
    return Document((), tuple(words for *_, words in lines), facts, _assembled(objects))


def pdf_freight(rng: Random) -> Document:
    """电子发票（增值税专用发票） for carriage of goods as the PDF that the tax office hands out."""
    nets = (rng.randint(41, 68) * 10000, rng.randint(12, 26) * 10000)
    taxes = tuple(net * 9 // 100 for net in nets)
    total = sum(nets) + sum(taxes)
    facts = {
        "number": f"2537{digits(rng, 16)}",
        "date": "2025年05月28日",
        "buyer": "烟台海岳果蔬保鲜有限公司",
        "buyer_id": credit_code(rng),
        "seller": "临沂鲁通冷链运输有限公司",
        "seller_id": credit_code(rng),
        "fare": money(nets[0]),
        "fare_tax": money(taxes[0]),
        "second": money(nets[1]),
        "net": money(sum(nets)),
        "tax": money(sum(taxes)),
        "total": money(total),
        "capitals": capitals(total),
        "plate": f"鲁Q{digits(rng, 5)}",
        "plate2": f"鲁Q{digits(rng, 5)}",
        "start": "山东省烟台市栖霞市",
        "end": "上海市浦东新区",
        "end2": "江苏省苏州市",
        "goods": "冷藏苹果",
        "goods2": "速冻玉米",
        "drawer": "房秀云",
        "order": f"运单号 LT{digits(rng, 7)}",
    }
    lines = [(230, 40, 16, "电子发票（增值税专用发票）"), (40, 30, 9, "货物运输服务")]
    lines += [(450, 34, 9, f"发票号码：{facts['number']}"), (450, 52, 9, f"开票日期：{facts['date']}")]
    for x, side in ((40, "buyer"), (330, "seller")):
        lines.append((x, 84, 9, "购买方信息" if side == "buyer" else "销售方信息"))
        lines.append((x, 102, 9, f"名称：{facts[side]}"))
        lines.append((x, 120, 9, f"统一社会信用代码/纳税人识别号：{facts[f'{side}_id']}"))
    stops = (40, 190, 250, 310, 380, 450, 540)
    rows = [("项目名称", "单位", "数量", "单价", "金额", "税率", "税额")]
    rows.append(("*运输服务*国内公路运费", "趟", "1", facts["fare"], facts["fare"], "9%", facts["fare_tax"]))
    rows.append(("*运输服务*国内公路运费", "趟", "1", facts["second"], facts["second"], "9%", money(taxes[1])))
    rows.append(("合　计", "", "", "", f"￥{facts['net']}", "", f"￥{facts['tax']}"))
    for index, row in enumerate(rows):
        lines += [(x, 150 + 18 * index, 9, cell) for x, cell in zip(stops, row, strict=True) if cell]
    places = (40, 150, 250, 380, 510)
    ways = [("运输工具种类", "运输工具牌号", "起运地", "到达地", "运输货物名称")]
    ways.append(("公路运输", facts["plate"], facts["start"], facts["end"], facts["goods"]))
    ways.append(("公路运输", facts["plate2"], facts["start"], facts["end2"], facts["goods2"]))
    for index, way in enumerate(ways):
        lines += [(x, 238 + 18 * index, 9, cell) for x, cell in zip(places, way, strict=True)]
    lines += [(40, 306, 9, "价税合计（大写）"), (140, 306, 10, facts["capitals"])]
    lines += [(400, 306, 9, "（小写）"), (450, 306, 10, f"￥{facts['total']}")]
    lines += [(40, 332, 9, f"备注：{facts['order']}"), (40, 374, 9, f"开票人：{facts['drawer']}")]
    return _typeset_pdf((620, 400), lines, facts)


def pdf_award(rng: Random) -> Document:
    """成交结果公告 scanned into a PDF of two pages without a text layer."""
    facts = {
        "number": f"JXCG-2025-{digits(rng, 4)}",
        "project": "市图书馆自助借还设备采购",
        "buyer": "嘉兴市图书馆",
        "agent": "浙江明诚招标代理有限公司",
        "winner": "杭州阅达智能科技有限公司",
        "price": f"{rng.randint(862, 948)},000元",
        "budget": "980,000元",
        "opened": "2025年6月11日9时30分",
        "room": "嘉兴市公共资源交易中心第三开标室",
        "bidders": "五家",
        "score": f"{rng.randint(86, 94)}.35",
        "experts": "郎国庆、姚慧芬、费一鸣",
        "objection": "七个工作日",
        "sign": "三十日",
        "install": "四十五个日历天",
        "bond": "合同金额的1%",
        "person": "屠佳妮",
        "phone": f"0573-82{digits(rng, 6)}",
        "fee": f"{rng.randint(8, 9)},{rng.randint(120, 890)}元",
    }
    first, second = Page(1240, 1100), Page(1240, 900)
    first.text(620, 90, "成交结果公告", 44, "serif-bold", anchor="mm")
    for index, (key, name) in enumerate(
        [("项目编号", "number"), ("项目名称", "project"), ("采购人", "buyer"), ("采购代理机构", "agent")]
    ):
        first.text(120, 150 + 46 * index, f"{key}：{facts[name]}", 26, "serif")
    y = 334.0
    for words in (
        f"　　一、{facts['opened']}，上述项目在{facts['room']}公开开标，共有{facts['bidders']}供应商递交了响应文件。",
        f"　　二、经评审小组评审，成交供应商为{facts['winner']}，综合得分{facts['score']}分，"
        f"成交金额为人民币{facts['price']}，项目预算为{facts['budget']}。",
        f"　　三、评审小组成员：{facts['experts']}。",
        f"　　四、代理服务费{facts['fee']}，由成交供应商支付。",
    ):
        y = first.paragraph(120, y + 18, words, 1000, 26, "serif", 1.7)
    first.text(620, 1050, "第 1 页 共 2 页", 20, "serif", GREY, "mm")
    y = 70.0
    for words in (
        "　　五、供应商认为成交结果使自己的权益受到损害的，"
        f"可以在本公告期限届满之日起{facts['objection']}内以书面形式提出质疑。",
        f"　　六、成交供应商应在成交通知书发出之日起{facts['sign']}内与采购人签订合同，"
        f"合同签订后{facts['install']}内完成安装调试。",
        f"　　七、履约保证金为{facts['bond']}，可以保函形式提交。",
    ):
        y = second.paragraph(120, y + 18, words, 1000, 26, "serif", 1.7)
    second.text(120, y + 40, f"联系人：{facts['person']}", 26, "serif")
    second.text(560, y + 40, f"联系电话：{facts['phone']}", 26, "serif")
    second.text(1120, y + 130, "2025年6月13日", 26, "serif", anchor="ra")
    second.stamp(980, y + 130, 90, "业务专用章")
    second.text(620, 850, "第 2 页 共 2 页", 20, "serif", GREY, "mm")
    both = Document((first.image, second.image), (*first.strings, *second.strings), facts)
    return picture_pdf(both)


def pdf_leave(rng: Random) -> Document:
    """An English leave policy of two pages as a PDF with a text layer."""
    facts = {
        "owner": "Rosalind Teague",
        "version": f"{rng.randint(3, 8)}.{rng.randint(1, 9)}",
        "valid": "1 January 2025",
        "annual": "26 days",
        "carry": "six days",
        "carry_by": "31 March",
        "ask": "two weeks",
        "sick": "before 9:30 a.m.",
        "note": "more than seven days",
        "sick_pay": "ten weeks",
        "parent": "eighteen weeks",
        "second": "four weeks",
        "tell": "fifteen weeks before the due date",
        "grief": "five paid days",
        "jury": "full pay",
        "unpaid": "twelve weeks",
        "mail": "people.desk@northquay.example",
        "phone": f"extension {digits(rng, 4)}",
    }
    pages: Sequence[Sequence[str]] = [
        [
            "Northquay Insurance: Leave Policy",
            f"Version {facts['version']}, valid from {facts['valid']}",
            f"Policy owner: {facts['owner']}",
            "",
            "1. Annual leave",
            f"Full-time employees have {facts['annual']} of paid leave a year, besides public holidays.",
            f"Up to {facts['carry']} may be carried over and must be used by {facts['carry_by']}.",
            f"Leave of more than three days is requested at least {facts['ask']} in advance.",
            "",
            "2. Sickness",
            f"Call your line manager {facts['sick']} on the first day.",
            f"A doctor's certificate is needed for absences of {facts['note']}.",
            f"Full salary is paid for up to {facts['sick_pay']} in any twelve months.",
        ],
        [
            "3. Parental leave",
            f"The parent giving birth or the main adopter takes up to {facts['parent']} at full pay.",
            f"The other parent takes {facts['second']}, in one block or two.",
            f"Please tell us {facts['tell']}.",
            "",
            "4. Other leave",
            f"Bereavement: {facts['grief']} for a close relative.",
            f"Jury service: {facts['jury']} for as long as the court requires.",
            f"Unpaid leave: up to {facts['unpaid']} after two years of service.",
            "",
            f"Questions: {facts['mail']} or {facts['phone']}",
        ],
    ]
    return text_pdf(pages, facts)
