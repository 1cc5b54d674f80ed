"""Forms set in columns, tables side by side, blocks of signatures, and values that are none."""

import pytest

from sampan.engines.reader import Reader, Source
from sampan.engines.reader.ocr import _lettered

ORDER = """PURCHASE ORDER
Payment terms    Delivery terms    Required by    Buyer contact
Net 30 days    FCA Leeds    4 March 2026    Ruth Sayer
Item    Description    Quantity    Unit price    Amount
A-1    Hinge, brass    40    2.50    100.00
A-2    Latch    10    4.00    40.00
"""
MARKS = """成绩单
上学期课程    学分          成绩          下学期课程    学分          成绩
线性代数      3.0           71            概率论        4.0           88
英语一        2.0           80            英语二        2.5           90
体育          1.0           92            金工实习      1.5           77
"""
DEED = """This agreement is made between Oakfield Ltd and Brightwater plc.
For Oakfield Ltd    For Brightwater plc
Name: Hugh Mallory    Name: Ines Duarte
Title: Chairman    Title: Finance Director
"""
TESTED = """检验报告
检验项目      标准要求      实测值        单项判定
抗压强度      30~50         41            合格
外观          无裂纹        有裂纹        不合格
吸水率        8.0           5.2           合格
"""
SCREEN = """保存失败：磁盘已满
错误编号：E-204
"""


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def said(reader: Reader, text: str, question: str) -> str:
    return "".join(reader.answer(question, [Source(kind="text", data=text.encode(), where="test")]))


@pytest.mark.parametrize(
    ("text", "question", "value"),
    [
        (ORDER, "Payment terms?", "Net 30 days"),
        (ORDER, "When do they need the goods?", "4 March 2026"),
        (MARKS, "概率论考了多少分？", "88"),
        (MARKS, "英语二是几个学分", "2.5"),
        (TESTED, "抗压强度测出来多少", "41"),
        (TESTED, "哪一项没通过？", "外观"),
        (SCREEN, "为什么保存不成功？", "磁盘已满"),
        (DEED, "Who signed for Brightwater?", "Ines Duarte"),
        (DEED, "Who signed for Oakfield and what is their title?", "Chairman"),
    ],
)
def test_a_value_is_read_from_where_the_layout_puts_it(reader: Reader, text: str, question: str, value: str) -> None:
    told = [line for line in said(reader, text, question).splitlines() if not line.startswith("  — ")]
    assert value in "".join(told)


@pytest.mark.parametrize(
    ("text", "question", "never"),
    [
        (ORDER, "Payment terms?", "Delivery terms"),
        (ORDER, "Who is the carrier?", "Amount"),
        (TESTED, "氯离子含量高不高", "外观"),
    ],
)
def test_the_name_of_another_field_is_never_a_value(reader: Reader, text: str, question: str, never: str) -> None:
    assert never not in said(reader, text, question)


@pytest.mark.parametrize(
    ("read", "meant"),
    [("Back0ff", "BackOff"), ("O0MKilled", "OOMKilled"), ("SH0474740979", "SH0474740979"), ("x0a1b2", "x0a1b2")],
)
def test_a_nought_alone_inside_a_word_is_a_letter(read: str, meant: str) -> None:
    assert "".join(char for char, _ in _lettered([(char, at) for at, char in enumerate(read)])) == meant
