"""The last resort: a field or a sentence told by the words that it shares with a question, or words near to them."""

from __future__ import annotations

import pytest

from sampan.engines.contract import Source
from sampan.engines.reader import Reader

NOTICE = """关于小区二次供水设备检修的通知
为保障用水安全,物业服务中心定于2025年10月12日8:30至16:00对3号楼、5号楼的水箱进行清洗和消毒,届时暂停供水。
如遇降雨天气,检修工作顺延至10月19日进行。
恢复供水初期可能出现短时水质浑浊,请放水约5分钟后再使用。
金陵雅苑物业服务中心
2025年10月8日
"""
SLIP = """Opening hours: 12:00 - 22:30
转账渠道:企业网银
送货日期:2025年9月18日
送货单号:HT-SH-20250918-037
直属上级:耿丽娟
活动地点:总馆多功能教室
收件人:隋明月 18640193352
收件地址:沈阳市铁西区兴华南街58号
"""


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def _asked(reader: Reader, text: str, question: str) -> str:
    return "".join(reader.answer(question, [Source(kind="text", data=text.encode(), where="messages.0")]))


@pytest.mark.parametrize(
    ("text", "question", "wanted"),
    [
        (SLIP, "通过什么渠道转的账?", "企业网银"),
        (SLIP, "货是哪天送的", "2025年9月18日"),
        (SLIP, "领导是谁?", "耿丽娟"),
        (SLIP, "包裹寄给谁?", "隋明月"),
        (SLIP, "活动在哪里举办?", "总馆多功能教室"),
        (SLIP, "When does it close?", "22:30"),
        (NOTICE, "要是下雨改到哪天?", "10月19日"),
        (NOTICE, "为什么要停水?", "清洗"),
        (NOTICE, "通知是谁发的?", "金陵雅苑物业服务中心"),
    ],
)
def test_everyday_words_find_what_the_document_says_otherwise(
    reader: Reader, text: str, question: str, wanted: str
) -> None:
    assert wanted in _asked(reader, text, question).splitlines()[0]


@pytest.mark.parametrize(
    ("text", "question"),
    [
        (NOTICE, "停电时间是什么时候?"),
        (NOTICE, "住房公积金交多少?"),
        (SLIP, "车牌号是多少?"),
        (SLIP, "What is the customer's loyalty card number?"),
    ],
)
def test_what_shares_too_few_words_is_absent(reader: Reader, text: str, question: str) -> None:
    answer = _asked(reader, text, question)
    assert "没有找到" in answer or "Not found" in answer
