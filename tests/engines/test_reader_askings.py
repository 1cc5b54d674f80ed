"""Everyday ways of asking, which name no key of the document, in both languages and across them."""

from __future__ import annotations

import re

import pytest

from sampan.engines.reader import Reader, Source
from sampan.engines.reader.aliases import askings, concepts
from sampan.engines.reader.capitals import worth
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.sharing import spread

FOLIO = """金陵雅居酒店 结账单
房号：1806          房型：豪华大床房
客人姓名：顾思源     证件号码：320106198803124418
入住日期：2025-03-02 14:20    离店日期：2025-03-05 11:45
房价：￥468.00/晚    间夜数：3
消费合计：￥1480.00
预付押金：￥2000.00
应退：￥520.00
支付方式：支付宝
前台：沈小雨
酒店电话：025-84561230
地址：南京市玄武区中山东路301号
"""
CLINIC = """仁和医院门诊病历
姓名：彭建国    性别：男    年龄：52岁
科别：心内科    就诊时间：2025年1月8日
主诉：胸闷、气短3天
查体：T 36.7℃ P 84次/分 R 18次/分 BP 152/96mmHg
初步诊断：高血压病2级
过敏史：青霉素
医师签名：郑文涛
"""
JAVA = """2025-06-11 09:14:32.507 ERROR [order-worker-7] c.a.shop.OrderService - Failed to submit order 88231
java.net.SocketTimeoutException: Read timed out after 30000 ms
    at com.acme.http.ApiClient.post(ApiClient.java:214)
    at com.acme.shop.OrderService.submit(OrderService.java:97)
Request: POST https://pay.acme.io/v2/charge
"""
BILL = """CITY POWER & LIGHT  Electricity Bill
Account holder: Gerald Okafor       Account number: 5508-22917-3
Billing period: Mar 4 - Apr 3, 2025     Bill date: Apr 7, 2025
Previous reading: 48,210      Current reading: 48,927      Usage: 717 kWh
Amount due: $124.65      Due date: Apr 28, 2025
Customer service: 1-800-555-0199
"""
POLICY = """机动车商业保险单
投保人：山东远航物流有限公司
保险费合计（人民币大写）：陆仟贰佰壹拾伍元伍角整   （¥：6215.50元）
保险期间：自2025年4月1日0时起至2026年3月31日24时止
保险人：泰和财产保险股份有限公司济南分公司
"""
DELIVERY = """送貨單
收貨單位：高雄市立左營高中     聯絡人：蔡佩珊
送貨地址：高雄市左營區海功路55號  電話：07-5822010
出貨單位：宏碩文具股份有限公司
送貨司機：林志豪    車號：KLE-7792
"""
INVOICE = """电子发票（普通发票）
发票号码：25322000000087651234    开票日期：2025年05月19日
购买方信息    名称：徐州海川机械制造有限公司
销售方信息    名称：常州润泽包装材料有限公司
开票人：祝敏
"""
NDA = """NON-DISCLOSURE AGREEMENT
This Agreement is made on 3 February 2025 between Kestrel Optics Ltd ("Disclosing Party")
and Morgan Hale ("Receiving Party").
1. Term. Information stays confidential for five (5) years.
2. Governing law. This Agreement is governed by the laws of England and Wales.
"""


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon()


def ask(reader: Reader, question: str, text: str) -> str:
    return "".join(reader.answer(question, [Source("text", text.encode(), "messages.0.content.0")]))


@pytest.mark.parametrize(
    ("question", "text", "value"),
    [
        ("这单花了多少", FOLIO, "￥1480.00"),
        ("退回来多少？", FOLIO, "￥520.00"),
        ("押了多少钱？", FOLIO, "￥2000.00"),
        ("住了几晚？", FOLIO, "3"),
        ("一晚上多少钱", FOLIO, "￥468.00"),
        ("这次住酒店的是谁", FOLIO, "顾思源"),
        ("他什么时候走的", FOLIO, "2025-03-05 11:45"),
        ("想投诉的话打什么电话", FOLIO, "025-84561230"),
        ("What time did the guest leave?", FOLIO, "2025-03-05 11:45"),
        ("看的哪个科", CLINIC, "心内科"),
        ("医生怎么说", CLINIC, "高血压病2级"),
        ("血压多少", CLINIC, "152/96mmHg"),
        ("给他看病的大夫是谁", CLINIC, "郑文涛"),
        ("What did the doctor find?", CLINIC, "高血压病2级"),
        ("哪个线程出的错", JAVA, "order-worker-7"),
        ("等了多久才超时", JAVA, "30000 ms"),
        ("Which service was being called?", JAVA, "https://pay.acme.io/v2/charge"),
        ("Whose bill is this?", BILL, "Gerald Okafor"),
        ("By when must I pay?", BILL, "Apr 28, 2025"),
        ("最晚什么时候交钱", BILL, "Apr 28, 2025"),
        ("What was the meter reading last time?", BILL, "48,210"),
        ("哪家公司保的", POLICY, "泰和财产保险股份有限公司济南分公司"),
        ("保到什么时候", POLICY, "自2025年4月1日0时起至2026年3月31日24时止"),
        ("东西送到哪儿", DELIVERY, "高雄市左營區海功路55號"),
        ("誰發的貨", DELIVERY, "宏碩文具股份有限公司"),
        ("Who drove the truck?", DELIVERY, "林志豪"),
        ("这张票是谁开的", INVOICE, "祝敏"),
        ("When was the agreement signed?", NDA, "3 February 2025"),
    ],
)
def test_a_question_in_everyday_words_is_answered(reader: Reader, question: str, text: str, value: str) -> None:
    assert ask(reader, question, text).startswith(value)


@pytest.mark.parametrize(
    ("question", "text", "held"),
    [
        ("出错的是哪个文件第几行", JAVA, ("ApiClient.java", "214")),
        ("房间号、房型还有每晚的价格", FOLIO, ("1806", "豪华大床房", "468.00")),
        ("购销双方分别是谁", INVOICE, ("徐州海川机械制造有限公司", "常州润泽包装材料有限公司")),
        ("Who are the two parties?", NDA, ("Kestrel Optics Ltd", "Morgan Hale")),
        ("1. 客人是谁 2. 住哪个房间 3. 怎么付的款", FOLIO, ("顾思源", "1806", "支付宝")),
        ("保费和传真号码是多少", POLICY, ("6215.50", "没有找到")),
    ],
)
def test_what_stands_under_one_head_is_answered_part_by_part(
    reader: Reader, question: str, text: str, held: tuple[str, ...]
) -> None:
    answer = ask(reader, question, text)
    assert [value for value in held if value not in answer] == []


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("谁复核的", INVOICE),
        ("收款人是谁", INVOICE),
        ("发票抬头是什么", FOLIO),
        ("Who is the cashier?", JAVA),
        ("水费是多少", BILL),
        ("How much gas was used?", BILL),
        ("看病花了多少钱", CLINIC),
        ("試用期多長", DELIVERY),
        ("Which flight is it?", BILL),
    ],
)
def test_an_everyday_question_about_what_is_not_there_is_refused(reader: Reader, question: str, text: str) -> None:
    assert re.search("没有找到|沒有找到|Not found", ask(reader, question, text))


def test_amounts_are_given_in_digits_unless_words_are_asked_for(reader: Reader) -> None:
    assert ask(reader, "保费一共多少", POLICY).startswith("6215.50")
    assert "6215.50" in ask(reader, "How much is the premium altogether?", POLICY)
    assert ask(reader, "保费的大写是什么", POLICY).startswith("陆仟贰佰壹拾伍元伍角整")


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("陆仟贰佰壹拾伍元伍角整", 6215.5),
        ("人民币壹拾贰万元整", 120000.0),
        ("捌仟柒佰贰拾叁圆陆角玖分", 8723.69),
        ("壹亿零伍拾元整", 100000050.0),
        ("拾元整", 10.0),
        ("陆仟", None),
        ("六千元", None),
    ],
)
def test_capital_numerals_are_worth_what_they_say(text: str, amount: float | None) -> None:
    assert worth(text) == amount


def test_questions_are_spread_over_their_parts() -> None:
    assert spread("甲乙双方的电话") == "甲方的电话;乙方的电话"
    assert spread("when and where was it signed") == "when was it signed;where was it signed"
    assert spread("什么时候在哪里签的") == "什么时候签的;在哪里签的"
    assert spread("谁卖给谁的") == "销售方是谁;购买方是谁"
    assert spread("发票号码是多少") == "发票号码是多少"


def test_every_way_of_asking_means_something_that_documents_name(lexicon: Lexicon) -> None:
    keys = {key for rule in askings() for key in rule.keys if "{x}" not in key}
    assert len(keys) > 200
    nothing = sorted(key for key in keys if not lexicon.phrase(key).names and key not in {"赠品"})
    assert nothing == []


def test_a_strict_concept_is_not_answered_by_its_broader_one(lexicon: Lexicon) -> None:
    assert {"reviewer", "payee", "mother"} <= {concept.name for concept in concepts() if concept.strict}
    assert lexicon.relation("reviewer", "name") < 0.5 < lexicon.relation("name", "reviewer")
