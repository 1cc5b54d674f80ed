"""The states of the page Draw that are worth showing: for screenshots, and for looking at them."""

from __future__ import annotations

from collections.abc import Iterator

from browsing import Visit
from playwright.sync_api import Locator, expect

PROMPT = ("左边红猫，右边蓝车", "a red cat on the left, a blue car on the right")
INSTEAD = ("三棵绿色的树", "three green trees")


def wish(visit: Visit) -> Locator:
    """The form on the left."""
    return visit.page.locator("form.wish")


def choose(visit: Visit, chinese: str, english: str) -> None:
    """One of the choices that look like switches."""
    wish(visit).get_by_text(visit.say(chinese, english), exact=True).click()


def finished(visit: Visit, pictures: int) -> None:
    """Waits until so many pictures stand in the history, and the newest is open and kept."""
    expect(visit.page.locator(".history li")).to_have_count(pictures)
    expect(visit.page.locator(".jobs")).to_have_count(0)
    expect(visit.page.locator("canvas")).to_be_visible()


def draw(visit: Visit, prompt: str, seed: int) -> None:
    """A new picture in the drawing that is open."""
    choose(visit, "新图", "New")
    wish(visit).get_by_role("textbox").first.fill(prompt)
    wish(visit).locator("#draw-seed").fill(str(seed))
    visit.button("绘制", "Draw").click()


def half(visit: Visit) -> None:
    """Selects the right half by the dialog of numbers."""
    visit.button("按数字选区", "Select by numbers").click()
    visit.button("右半边", "Right half").click()
    visit.page.keyboard.press("Escape")
    visit.button("按数字选区", "Select by numbers").click()
    expect(visit.page.locator("form.region")).to_have_count(0)


def scenes(visit: Visit) -> Iterator[str]:
    """Brings a visit that is signed in to each state; yields its name."""
    page = visit.page
    visit.go("/draw")
    expect(page.locator(".examples button").first).to_be_enabled()
    yield "draw-empty"
    draw(visit, visit.say(*PROMPT), 7)
    finished(visit, 1)
    yield "draw-picture"
    half(visit)
    wish(visit).get_by_role("textbox").first.fill(visit.say(*INSTEAD))
    yield "draw-mask"
    visit.button("重绘选区", "Redraw the selection").click()
    finished(visit, 2)
    visit.button("对比", "Compare").click()
    yield "draw-compare"
    visit.button("结束对比", "End the comparison").click()
    choose(visit, "扩展", "Extend")
    page.get_by_label(visit.say("向右", "To the right"), exact=True).fill("512")
    page.get_by_label(visit.say("向右", "To the right"), exact=True).press("Tab")
    wish(visit).get_by_role("textbox").first.fill(visit.say("一座红色的房子", "a red house"))
    yield "draw-extend"
    visit.button("扩展画布", "Extend the canvas").click()
    finished(visit, 3)
    page.locator(".history li button").first.click()
    choose(visit, "修改", "Edit")
    wish(visit).get_by_role("textbox").first.fill(visit.say("把猫变成蓝色", "make the cat blue"))
    visit.button("修改图片", "Change the picture").click()
    finished(visit, 4)
    yield "draw-history"
