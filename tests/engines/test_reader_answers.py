"""Questions about pasted documents: what the reader answers, and that it says so when something is not there."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from sampan.core import Usage
from sampan.engines.reader import Reader, Source

SLIP = """维修工单
工单编号：WX-20240611-083        报修日期：2024-06-11
报修单位：星辉物业管理有限公司    报修人：周小川
联系电话：13800138000            楼层：12F
人工费：200.00元                 材料费：85.50元
合计费用：285.50元
"""
LEASE = """RESIDENTIAL LEASE AGREEMENT
This Lease is entered into on June 1, 2024 between Maria Gonzalez ("Landlord") and Peter Chang ("Tenant").
1. Term. The lease begins on July 1, 2024 and ends on June 30, 2025.
2. Rent. The Tenant shall pay monthly rent of $2,150. A late fee of $75 applies if rent is five days late.
3. Pets. No pets are allowed without the Landlord's written consent.
"""
RECEIPT = """川味小馆
桌号: A12    人数: 4
时间: 2024-05-01 19:42
品名      数量   单价    金额
水煮鱼     1     88.00   88.00
麻婆豆腐   1     28.00   28.00
米饭       4     3.00    12.00
合计:                128.00
实收:                120.00
支付方式: 微信支付
"""
CONTRACT = """第一条 付款
甲方应在合同签订后10个工作日内支付合同总额的30%作为预付款。
第二条 违约责任
乙方逾期交货的，每逾期一日应按合同总价的千分之三支付违约金。
第三条 争议解决
协商不成的，提交武汉仲裁委员会仲裁。
"""
TRACE = """Traceback (most recent call last):
  File "/srv/app/run.py", line 27, in main
  File "/srv/app/export.py", line 205, in flush
redis.exceptions.ConnectionError: could not connect to server
"""
PARTIES = """甲方：北京云帆信息技术有限公司
联系电话：010-88886666
乙方：杭州海豚软件有限公司
联系电话：0571-66668888
備註：發票號碼 AB12345678
"""


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def ask(reader: Reader, question: str, text: str) -> str:
    return "".join(reader.answer(question, [Source("text", text.encode(), "messages.0.content.0")]))


def finish(run: Generator[str, None, Usage]) -> tuple[str, Usage]:
    pieces = []
    while True:
        try:
            pieces.append(next(run))
        except StopIteration as end:
            assert isinstance(end.value, Usage)
            return "".join(pieces), end.value


@pytest.mark.parametrize(
    ("question", "text", "value"),
    [
        ("工单编号是什么？", SLIP, "WX-20240611-083"),
        ("是谁报修的？", SLIP, "周小川"),
        ("How much is the labour fee?", SLIP, "200.00元"),
        ("What is the late fee?", LEASE, "$75"),
        ("When does the lease end?", LEASE, "June 30, 2025"),
        ("租客是谁", LEASE, "Peter Chang"),
        ("麻婆豆腐多少钱", RECEIPT, "28.00"),
        ("实际付了多少钱？", RECEIPT, "120.00"),
        ("How was it paid?", RECEIPT, "微信支付"),
        ("第三道菜是什么", RECEIPT, "米饭"),
        ("最贵的菜是什么", RECEIPT, "水煮鱼"),
        ("一共点了几道菜", RECEIPT, "3"),
        ("在多少日内付预付款？", CONTRACT, "10个工作日"),
        ("乙方逾期交货要付多少违约金？", CONTRACT, "千分之三"),
        ("On which line of export.py did it fail?", TRACE, "205"),
        ("抛出的异常类型是什么？", TRACE, "redis.exceptions.ConnectionError"),
        ("乙方的联系电话", PARTIES, "0571-66668888"),
        ("甲方電話是多少？", PARTIES, "010-88886666"),
        ("發票號碼是多少？", PARTIES, "AB12345678"),
    ],
)
def test_a_value_stands_first_as_it_is_written(reader: Reader, question: str, text: str, value: str) -> None:
    assert ask(reader, question, text).startswith(value)


@pytest.mark.parametrize(
    ("question", "text", "held"),
    [
        ("人工费和材料费各是多少？", SLIP, ("200.00元", "85.50元")),
        ("When does it start and when does the lease end?", LEASE, ("July 1, 2024", "June 30, 2025")),
        ("甲方和乙方分别是谁？", PARTIES, ("北京云帆信息技术有限公司", "杭州海豚软件有限公司")),
        ("合计、实收和支付方式分别是什么", RECEIPT, ("128.00", "120.00", "微信支付")),
        ("争议怎么解决？", CONTRACT, ("武汉仲裁委员会",)),
    ],
)
def test_every_part_of_a_question_is_answered(reader: Reader, question: str, text: str, held: tuple[str, ...]) -> None:
    answer = ask(reader, question, text)
    assert [value for value in held if value not in answer] == []


@pytest.mark.parametrize(
    ("question", "text", "says"),
    [
        ("传真号码是多少？", SLIP, "没有找到"),
        ("發票號碼是多少？", SLIP, "沒有找到"),
        ("What is the parking fee?", LEASE, "Not found"),
        ("税额是多少", RECEIPT, "没有找到"),
        ("试用期多久", CONTRACT, "没有找到"),
        ("Does the lease mention parking?", LEASE, "not found"),
        ("有没有提到不可抗力？", CONTRACT, "没有提到"),
    ],
)
def test_what_is_not_there_is_said_to_be_absent(reader: Reader, question: str, text: str, says: str) -> None:
    answer = ask(reader, question, text)
    assert says in answer
    assert "读自" not in answer and "Read from" not in answer


def test_a_mention_is_quoted(reader: Reader) -> None:
    answer = ask(reader, "有没有提到仲裁？", CONTRACT)
    assert answer.startswith("有") and "武汉仲裁委员会" in answer


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("你好，讲个笑话", "离线降级阅读器"),
        ("Translate this into French", "degraded reader"),
        ("幫我翻譯這份文件", "離線降級閱讀器"),
    ],
)
def test_what_it_cannot_do_is_refused_in_the_language_of_the_question(reader: Reader, question: str, says: str) -> None:
    assert says in ask(reader, question, SLIP)


def test_without_a_document_it_says_what_to_send(reader: Reader) -> None:
    assert "attach" in "".join(reader.answer("What is the total?", []))


def test_reading_aloud_writes_tables_as_markdown(reader: Reader) -> None:
    for question in ("提取文字", "OCR", "Read this", ""):
        answer = ask(reader, question, RECEIPT)
        assert "| 麻婆豆腐 | 1 | 28.00 | 28.00 |" in answer
        assert answer.index("川味小馆") < answer.index("麻婆豆腐") < answer.index("微信支付")


def test_an_empty_field_is_said_to_be_blank(reader: Reader) -> None:
    assert "空的" in ask(reader, "传真是多少", "姓名：王芳\n传真：______\n电话：010-12345678\n")


def test_usage_counts_what_was_read_and_said_and_count_agrees(reader: Reader) -> None:
    sources = [Source("text", "编号：A1\ntotal four".encode(), "m")]
    answer, usage = finish(reader.answer("编号", sources))
    assert usage.input_tokens == reader.count("编号", sources) == 2 + 4 + 2 + 1
    assert usage.output_tokens > 0 and answer.startswith("A1")


def test_an_answer_ends_early_when_the_caller_has_left(reader: Reader) -> None:
    answer, usage = finish(reader.answer("提取文字", [Source("text", SLIP.encode(), "m")], lambda: True))
    assert answer == "" and usage.output_tokens == 0


@pytest.mark.parametrize("question", ["日期和金额是多少?", "What are the date and the amount?"])
def test_how_long_something_may_take_is_no_date(reader: Reader, question: str) -> None:
    terms = "合同生效后五日内，甲方向乙方支付合同总价的20%作为预付款。"
    answer = ask(reader, question, f"签订日期：2024年6月22日\n{terms}\n合同金额：163,149.00元\n")
    assert "2024年6月22日" in answer and "163,149.00" in answer
