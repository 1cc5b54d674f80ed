"""Answers are of the kind asked for: hours, times, a share, a tax amount, a file; never a label or a heading."""

from __future__ import annotations

import pytest

from sampan.engines.reader import Reader, Source
from sampan.engines.reader.demand import demanded, is_identifier, meets
from sampan.engines.reader.page import Box, Line, Page
from sampan.engines.reader.traces import codes_joined


def aligned(text: str) -> str:
    """Cells parted by bars, set in columns of 22 letters, a Chinese character being two wide."""
    rows = [[cell.strip() for cell in row.split("|")] for row in text.strip().splitlines()]
    wide = [[cell + " " * (22 - sum(1 + (char > "\u2e80") for char in cell)) for cell in row] for row in rows]
    return "\n".join("".join(row) if len(row) > 1 else row[0].rstrip() for row in wide)


VAT = aligned("""
上海增值税电子专用发票
No 26170172
购买方名称：无锡海棠科技有限公司
项目名称|规格型号|单位|数量|单价|金额|税率|税额
显示器|P27|台|2|1000.00|2000.00|13%|260.00
键盘|K1|个|10|80.00|800.00|13%|104.00
合    计| | | | |¥2800.00| |¥364.00
价税合计（大写）|叁仟壹佰陆拾肆元整|（小写）¥3164.00
""")
SALE = aligned("""
INVOICE
Item|Qty|Unit Price|Tax|Amount
Filing Cabinet|3|120.00|28.80|388.80
Desk Lamp|5|30.00|12.00|162.00
Total| | | |550.80
""")
LAB = aligned("""
檢驗報告
項目|結果|單位|參考值
尿酸|7.8|mg/dL|3.4-7.0
血糖|92|mg/dL|70-100
醫師建議：多喝水，三個月後複診。
""")
TRIP = "出差申请单\n姓名    刘洋    部门    市场部\nPurpose of trip    Attend supplier audit\nMode of travel    Train\n"
JOB = """劳动合同书
甲方：南京星河软件有限公司
二、工作内容。
乙方担任测试工程师，工作地点为南京。
三、工作时间。
每日工作八小时，每周最多工作四十小时。
"""
DESIGN = """設計委託書
總價新台幣820,000元，分兩期支付，第一期(410,000元)於簽約時支付，第二期(410,000元)於交付後支付。
圖面最多可以修改兩次，超過部分每次另計5,000元。
"""
STAFF = "员工信息表\n姓名：周琪    岗位：会计\n工资卡号：6217001320098765432\n基本工资：9500元\n里程（公里）：38200\n"
HIRE = """EQUIPMENT RENTAL AGREEMENT
The Renter pays $180.00 per day for the machine. If the machine is returned late, the Renter pays $240.00 per day.
The machine must be serviced every 250 hours and inspected every 9 months.
The Renter may postpone the delivery at most twice. A cancellation fee of 15 percent applies.
Any complaint should be sent in writing to Ms. Carol Hart at c.hart@brook.example.
"""
MEETING = """项目例会纪要
会议时间：2024年5月8日 14:00
讨论了上线进度，目前完成77%，剩余工作由李雷跟进。
下一次会议定于2024年5月22日下午3点召开。
"""
SCREEN = """您的裝置發生問題，因此需要重新啟動。
已完成 64%
停止代碼： VIDEO_TDR_
FAILURE
失敗的項目： nvlddmkm.sys
"""
PAY = "支付失败\n失败原因：银行卡余额不足\n订单号：329225453\n如需帮助请联系 help@shop.example\n"
RENT = "房屋租赁合同\n租期两年，每三个月支付一次租金，每月租金4500元。\n租金每年上调百分之五。\n"
LOG = """2024-06-11 09:14:32 INFO starting worker
2024-06-11 09:14:33 ERROR [pay] charge for order 329225453 failed: card declined by issuer
2024-06-11 09:14:34 INFO done
"""


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def ask(reader: Reader, question: str, text: str) -> str:
    return "".join(reader.answer(question, [Source("text", text.encode(), "messages.0.content.0")]))


@pytest.mark.parametrize(
    ("question", "text", "value"),
    [
        ("不含税金额合计", VAT, "¥2800.00"),
        ("这张专票的税额合计是多少", VAT, "¥364.00"),
        ("价税合计", VAT, "¥3164.00"),
        ("显示器的税额", VAT, "260.00"),
        ("What is the line total for the Filing Cabinet?", SALE, "388.80"),
        ("How much tax is there on the Desk Lamp?", SALE, "12.00"),
        ("Why was the trip made?", TRIP, "Attend supplier audit"),
        ("为什么出差", TRIP, "Attend supplier audit"),
        ("每周最多工作多少小时？", JOB, "四十小时"),
        ("每天工作几小时", JOB, "八小时"),
        ("圖面最多可以修改幾次？", DESIGN, "兩次"),
        ("跑了多少公里", STAFF, "38200"),
        ("工资多少", STAFF, "9500元"),
        ("How much per day if the machine comes back late?", HIRE, "$240.00"),
        ("How often must the machine be inspected?", HIRE, "every 9 months"),
        ("How many times may delivery be postponed?", HIRE, "twice"),
        ("What percentage is the cancellation fee?", HIRE, "15 percent"),
        ("Whom should I write to?", HIRE, "c.hart@brook.example"),
        ("下一次会议什么时候开？", MEETING, "2024年5月22日"),
        ("这次会议是什么时候", MEETING, "2024年5月8日 14:00"),
        ("进度完成了百分之几", MEETING, "77%"),
        ("停止代碼是什麼？", SCREEN, "VIDEO_TDR_FAILURE"),
        ("哪個檔案出了問題？", SCREEN, "nvlddmkm.sys"),
        ("進度百分之幾", SCREEN, "64%"),
        ("为什么没付成功", PAY, "银行卡余额不足"),
        ("哪个订单", PAY, "329225453"),
        ("Who should I contact?", PAY, "help@shop.example"),
        ("Which order failed?", LOG, "329225453"),
        ("多久付一次租金", RENT, "每三个月"),
        ("租金每年涨百分之几", RENT, "百分之五"),
        ("尿酸的參考值範圍是多少？", LAB, "3.4-7.0"),
        ("血糖的正常範圍", LAB, "70-100"),
    ],
)
def test_the_value_is_of_the_kind_asked_for(reader: Reader, question: str, text: str, value: str) -> None:
    assert ask(reader, question, text).startswith(value)


def test_a_title_is_no_job(reader: Reader) -> None:
    assert "测试工程师" in ask(reader, "担任什么岗位", JOB).splitlines()[0]


def test_each_amount_of_an_invoice_is_told_apart_in_one_question(reader: Reader) -> None:
    answer = ask(reader, "这张专票的不含税金额合计、税额合计和价税合计分别是多少", VAT)
    assert [value for value in ("2800.00", "364.00", "3164.00") if value not in answer] == []


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("期望薪资是多少", STAFF),
        ("視力檢查的結果", LAB),
        ("听力检查的结果", LAB),
        ("可以延期几次", JOB),
        ("How often is the fee paid?", TRIP),
        ("總共多少公里", DESIGN),
        ("完成了百分之几", STAFF),
    ],
)
def test_a_value_of_another_kind_is_no_answer(reader: Reader, question: str, text: str) -> None:
    answer = ask(reader, question, text)
    assert "读自" not in answer and "讀自" not in answer and "Read from" not in answer


def test_a_bare_number_counts_under_a_key_that_tells_its_unit() -> None:
    hours = demanded("总共多少小时")
    assert hours is not None
    assert meets("36", "工时", hours) and meets("八小时", "", hours)
    assert not meets("36", "编号", hours) and not meets("三、工作时间。", "", hours)
    assert demanded("什么时候开会") is None


def test_numbers_of_documents_and_cards_are_no_amounts() -> None:
    assert is_identifier("No 26170172") and is_identifier("6222 0210 0111 6543")
    assert not is_identifier("12,345,678.00") and not is_identifier("9500元")


def test_a_code_that_was_cut_is_made_whole_from_the_line_below_or_beside() -> None:
    below = Page((Line("DRIVER_IRQL_NOT_LESS", Box(0, 0, 200, 20)), Line("OR_EQUAL", Box(0, 24, 80, 44))), 400, 100)
    beside = Page((Line("CODE: VIDEO_TDR_", Box(0, 0, 160, 20)), Line("FAILURE", Box(166, 0, 230, 20))), 400, 100)
    apart = Page((Line("MAX_SIZE", Box(0, 0, 80, 20)), Line("ERROR", Box(0, 24, 50, 44))), 400, 100)
    assert [line.text for line in codes_joined(below).lines] == ["DRIVER_IRQL_NOT_LESS_OR_EQUAL"]
    assert [line.text for line in codes_joined(beside).lines] == ["CODE: VIDEO_TDR_FAILURE"]
    assert codes_joined(apart) is apart
