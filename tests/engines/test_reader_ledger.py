"""Questions about tables as data, numbered clauses, what is allowed, and logs: on pasted documents."""

from __future__ import annotations

import pytest

from sampan.engines.reader import Reader, Source

BILL = """HARBOUR LANE CAFE
Item                      Qty    Price    Amount
Caffe Latte (L)             2     4.20      8.40
Flat White                  1     3.80      3.80
Almond Croissant            3     2.95      8.85
Chicken Club Sandwich       1     9.50      9.50
Sparkling Water 500ml       2     1.75      3.50
Total                                      34.05
"""
LAB = """检验报告单
项目            结果     单位      参考范围
白细胞计数      11.8     10^9/L    3.5-9.5
血红蛋白        108      g/L       115-150
空腹血糖        5.4      mmol/L    3.9-6.1
"""
ROSTER = """三月值班表
日期      星期   早班     晚班     负责人
3月3日    周一   王磊     赵敏     刘芳
3月4日    周二   钱伟     孙丽     刘芳
3月5日    周三   周杰     吴桐     郑凯
3月6日    周四   王磊     孙丽     郑凯
"""
PRICES = """理发店价目表
洗剪吹        ¥68.00
烫发          ¥388.00
染发          ¥298.00
儿童剪发      ¥48.00
"""
PLANS = """云盘套餐对比
              免费版     个人版     团队版
价格          0元        15元/月    48元/月
存储空间      5GB        200GB      2TB
客服支持      社区       邮件       7×24电话
"""
CONTRACT = """房屋租赁合同
第一条 租赁期限
租赁期限为三年，自2025年4月1日起至2028年3月31日止。
第二条 租金
月租金为人民币28,500元，乙方应于每季度首月5日前支付。第二年起租金每年递增5%。
第三条 转租
未经甲方书面同意，乙方不得将房屋转租给第三人。
第四条 其他
本合同一式四份，甲乙双方各执两份，自双方签字盖章之日起生效。
"""
WORKS = """SERVICE AGREEMENT
1. Fees. The total fee is GBP 96,000, payable in three instalments: 40% upon signing, 35% upon delivery, 25% at the end.
2. Warranty. The Contractor warrants the works for 24 months from acceptance.
3. Subcontracting. The Contractor may not subcontract any part of the works without prior written approval.
"""
JAVA = """2025-03-02 14:22:07,318 ERROR [http-nio-8443-exec-7] c.acme.OrderController - request 7f3c-9921 failed
org.springframework.web.client.ResourceAccessException: I/O error on POST request for "http://stock.internal:9080/reserve"
    at com.acme.order.StockClient.reserve(StockClient.java:64)
    at com.acme.order.OrderService.place(OrderService.java:141)
Caused by: java.net.SocketTimeoutException: Read timed out
2025-03-02 14:22:07,325 WARN [http-nio-8443-exec-7] c.acme.RetryPolicy - giving up after 3 attempts, timeout=5000ms
"""


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def said(reader: Reader, question: str, text: str) -> str:
    """The answer without the lines that it was read from."""
    answer = "".join(reader.answer(question, [Source("text", text.encode(), "m")]))
    return "\n".join(line for line in answer.splitlines() if not line.startswith("  — "))


@pytest.mark.parametrize(
    ("question", "text", "held", "left"),
    [
        ("how much was the latte?", BILL, ["8.40"], []),
        ("拿铁多少钱", BILL, ["8.40"], []),
        ("买了几个羊角面包？", BILL, ["3"], []),
        ("What is the unit price of the second item?", BILL, ["3.80"], []),
        ("what was in row 4?", BILL, ["Chicken Club Sandwich"], []),
        ("which items cost more than 8?", BILL, ["Latte", "Croissant", "Sandwich"], ["Water", "Flat"]),
        ("Which items were bought twice?", BILL, ["Latte", "Water"], ["Flat", "Croissant"]),
        ("total quantity of all items", BILL, ["9"], []),
        ("average price of the items", BILL, ["4.44"], []),
        ("结果大于100的有哪些", LAB, ["血红蛋白"], ["空腹血糖"]),
        ("哪个项目的结果是5.4", LAB, ["空腹血糖"], ["白细胞"]),
        ("有几项不正常", LAB, ["2"], []),
        ("血红蛋白正常吗", LAB, ["偏低", "108"], []),
        ("Is the fasting glucose normal?", LAB, ["normal (within", "5.4"], []),
        ("谁在周三值早班", ROSTER, ["周杰"], ["吴桐"]),
        ("钱伟哪天值班", ROSTER, ["3月4日"], ["3月5日"]),
        ("刘芳负责几天", ROSTER, ["2"], []),
        ("Who is on the late shift on Tuesday?", ROSTER, ["孙丽"], []),
        ("最便宜的项目是什么", PRICES, ["儿童剪发"], []),
        ("超过200元的有哪些", PRICES, ["烫发", "染发"], ["洗剪吹"]),
        ("个人版的存储空间有多大", PLANS, ["200GB"], ["2TB"]),
        ("哪个版本有电话客服", PLANS, ["团队版"], ["免费版"]),
    ],
)
def test_a_table_is_asked_as_data(reader: Reader, question: str, text: str, held: list[str], left: list[str]) -> None:
    answer = said(reader, question, text)
    assert [value for value in held if value not in answer] == []
    assert [value for value in left if value in answer] == []


@pytest.mark.parametrize(("question", "text"), [("拿铁的热量是多少", BILL), ("周三的加班费是多少", ROSTER)])
def test_a_column_that_a_table_lacks_is_absent(reader: Reader, question: str, text: str) -> None:
    assert "没有找到" in said(reader, question, text)


@pytest.mark.parametrize(
    ("question", "text", "value"),
    [
        ("第三条说了什么", CONTRACT, "第三条转租"),
        ("第二条的标题是什么", CONTRACT, "租金"),
        ("哪一条讲转租", CONTRACT, "第三条"),
        ("What does clause 2 say?", WORKS, "2. Warranty"),
        ("能转租吗", CONTRACT, "不可以"),
        ("Can the contractor use subcontractors?", WORKS, "No"),
        ("租期多久", CONTRACT, "三年"),
        ("房租每年涨多少", CONTRACT, "5%"),
        ("合同一式几份", CONTRACT, "四份"),
        ("双方各拿几份", CONTRACT, "两份"),
        ("合同什么时候生效", CONTRACT, "自双方签字盖章之日"),
        ("how much is the second instalment", WORKS, "35%"),
        ("质保多久", WORKS, "24 months"),
    ],
)
def test_running_text_answers_with_the_value_first(reader: Reader, question: str, text: str, value: str) -> None:
    assert said(reader, question, text).startswith(value)


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("Which thread was it?", "http-nio-8443-exec-7"),
        ("what was the root cause?", "java.net.SocketTimeoutException"),
        ("什么时候报的错", "2025-03-02 14:22:07"),
        ("What URL was being called?", "http://stock.internal:9080/reserve"),
        ("what is the request id?", "7f3c-9921"),
        ("哪个端口", "9080"),
        ("超时时间是多少", "5000ms"),
        ("How many attempts were made?", "3"),
        ("What is the log level?", "ERROR"),
        ("Which line of OrderService.java?", "141"),
    ],
)
def test_a_log_is_asked_for_what_it_never_names(reader: Reader, question: str, value: str) -> None:
    assert said(reader, question, JAVA).startswith(value)


def test_a_question_may_name_the_file_that_it_is_about(reader: Reader) -> None:
    sources = [Source("text", f"编号：{code}".encode(), "m") for code in ("AA-1", "BB-2")]
    assert "".join(reader.answer("第二个文件的编号是多少", sources)).startswith("BB-2")
    assert "".join(reader.answer("the number on the first document", sources)).startswith("AA-1")
