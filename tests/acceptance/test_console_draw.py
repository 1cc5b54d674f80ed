"""The page Draw in a real browser, drawn by the real sketcher: masks by mouse, touch and numbers, and what they do."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from browsing import LANGUAGES, Visit, visiting
from clouds import Cloud
from gateway import Gateway, eventually
from PIL import Image, ImageChops
from playwright.sync_api import Browser, expect
from scenes_draw import PROMPT, choose, draw, finished, half, scenes, wish

Node = dict[str, Any]


def enter(visit: Visit) -> None:
    visit.sign_in()
    visit.go("/draw")
    expect(visit.page.locator(".examples button").first).to_be_enabled()


def kept(visit: Visit, pictures: int) -> list[Node]:
    """The pictures of the open drawing as the gateway keeps them, once there are so many."""

    def look() -> list[Node]:
        name = visit.page.url.rpartition("/")[2]
        if not name.startswith("paper_"):
            return []
        found: list[Node] = visit.page.request.get(f"{visit.gateway.url}/console/v1/papers/{name}").json()["body"][
            "nodes"
        ]
        return found if len(found) == pictures else []

    return eventually(look, what=f"{pictures} pictures kept")


def fetched(visit: Visit, sha256: str) -> bytes:
    answer = visit.page.request.get(f"{visit.gateway.url}/console/v1/pictures/{sha256}")
    assert answer.status == 200
    return answer.body()


def picture(visit: Visit, sha256: str) -> Image.Image:
    return Image.open(io.BytesIO(fetched(visit, sha256)))


def spot(visit: Visit, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the picture is on the screen."""
    canvas = visit.page.locator("canvas")
    box = canvas.bounding_box()
    scale, left, top = map(float, str(canvas.get_attribute("data-view")).split())
    assert box is not None
    return box["x"] + x * scale + left, box["y"] + y * scale + top


def drag(visit: Visit, *points: tuple[float, float]) -> None:
    """The mouse, pressed at the first of these pixels and let go at the last."""
    mouse = visit.page.mouse
    mouse.move(*spot(visit, *points[0]))
    mouse.down()
    for point in points[1:]:
        mouse.move(*spot(visit, *point), steps=4)
    mouse.up()


def share(visit: Visit) -> float:
    """Percent of the picture that is selected, as the page says."""
    text = visit.page.locator("[data-part=share]").inner_text()
    return float("".join(sign for sign in text if sign.isdigit() or sign == ".") or 0)


def same(one: Image.Image, other: Image.Image, box: Sequence[int]) -> bool:
    cuts = [each.convert("RGBA").crop(tuple(box)) for each in (one, other)]  # type: ignore[arg-type]
    return ImageChops.difference(*cuts).getbbox(alpha_only=False) is None


@pytest.mark.parametrize(("language", "scheme"), [("zh", "light"), ("en", "dark")])
def test_half_of_a_picture_is_redrawn_and_the_rest_stays(
    browser: Browser, console: Gateway, language: str, scheme: str
) -> None:
    with visiting(browser, console, language, scheme) as visit:
        enter(visit)
        page = visit.page
        draw(visit, visit.say(*PROMPT), 7)
        finished(visit, 1)
        expect(page.locator(".about")).to_contain_text(visit.say("降级", "Degraded"))
        page.keyboard.press("Escape")
        visit.button("矩形", "Rectangle").click()
        drag(visit, (512, -40), (1100, 1060))
        expect(page.locator("[data-part=share]")).to_have_text(visit.say("已选 50%", "50% selected"))
        visit.check_access()
        wish(visit).get_by_role("textbox").first.fill(visit.say("一棵绿色的树", "a green tree"))
        visit.button("重绘选区", "Redraw the selection").click()
        finished(visit, 2)
        expect(page.locator(".about .proof")).to_contain_text("524,288")
        first, second = kept(visit, 2)
        before, after, mask = (
            picture(visit, name) for name in (first["sha256"], second["sha256"], second["mask"]["sha256"])
        )
        left = second["mask"]["box"]["left"]
        assert left == 512 and second["parent"] == first["id"] and second["seed"] == 7
        assert mask.size == (1024, 1024) and mask.getchannel("A").getcolors() == [(524_288, 0), (524_288, 255)]
        assert same(before, after, (0, 0, left, 1024)) and not same(before, after, (left, 0, 1024, 1024))
        visit.check_access()


def test_lasso_eraser_undo_and_keys(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, "en") as visit:
        enter(visit)
        page = visit.page
        draw(visit, PROMPT[1], 3)
        finished(visit, 1)
        visit.button("套索", "Lasso").click()
        drag(visit, (100, 100), (900, 100), (900, 900), (100, 900))
        lassoed = share(visit)
        assert 60 <= lassoed <= 62, "800 by 800 of 1024 by 1024 is 61 %"
        visit.button("橡皮", "Eraser").click()
        drag(visit, (200, 500), (800, 500))
        erased = share(visit)
        assert lassoed - 6 < erased < lassoed - 2
        page.keyboard.press("Control+z")
        assert share(visit) == lassoed
        page.keyboard.press("Control+z")
        assert share(visit) == 0
        page.keyboard.press("Control+Shift+Z")
        visit.button("重做", "Redo").click()
        assert share(visit) == erased
        visit.button("反选", "Invert").click()
        assert share(visit) == pytest.approx(100 - erased, abs=0.11)
        # Nearer, elsewhere, and the mask is what it was.
        zoomed = page.locator("canvas").get_attribute("data-view")
        page.locator("canvas").focus()
        for key in ("+", "+", "ArrowLeft", "ArrowDown"):
            page.keyboard.press(key)
        expect(page.locator("canvas")).not_to_have_attribute("data-view", str(zoomed))
        assert share(visit) == pytest.approx(100 - erased, abs=0.11)
        page.keyboard.press("Escape")
        assert share(visit) == 0
        page.keyboard.press("b")
        expect(visit.button("画笔", "Brush")).to_have_attribute("aria-pressed", "true")
        # A rectangle by numbers, without a mouse.
        visit.button("按数字选区", "Select by numbers").press("Enter")
        form = page.locator("form.region")
        for label, number in (("Left", 16), ("Top", 32), ("Width", 64), ("Height", 128)):
            form.get_by_label(f"{label} (pixels)").fill(str(number))
        form.get_by_label("Height (pixels)").press("Enter")
        wish(visit).get_by_role("textbox").first.fill("a red star")
        visit.button("重绘选区", "Redraw the selection").click()
        finished(visit, 2)
        assert kept(visit, 2)[1]["mask"]["box"] == {"left": 16, "top": 32, "right": 80, "bottom": 160}


class Fingers:
    """What touches the screen, as the browser's own protocol has it: Playwright's taps never move."""

    def __init__(self, visit: Visit) -> None:
        self._session = visit.page.context.new_cdp_session(visit.page)

    def __call__(self, kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": x, "y": y, "id": index} for index, (x, y) in enumerate(points)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})


def test_on_a_phone_a_finger_paints_and_two_look_nearer(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, "zh", "dark", phone=True) as visit:
        enter(visit)
        page = visit.page
        draw(visit, PROMPT[0], 5)
        finished(visit, 1)
        page.locator("canvas").scroll_into_view_if_needed()
        touch = Fingers(visit)
        touch("touchStart", spot(visit, 700, 300))
        for y in range(350, 701, 50):
            touch("touchMove", spot(visit, 700, y))
        touch("touchEnd")
        painted = share(visit)
        assert painted > 1
        # The second finger takes back what the first began, and both look nearer.
        before = page.locator("canvas").get_attribute("data-view")
        one, other = spot(visit, 300, 500), spot(visit, 500, 500)
        touch("touchStart", one)
        touch("touchStart", one, other)
        touch("touchMove", (one[0] - 40, one[1]), (other[0] + 40, other[1]))
        touch("touchEnd")
        expect(page.locator("canvas")).not_to_have_attribute("data-view", str(before))
        assert share(visit) == painted
        visit.check_access()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it must not scroll sideways"
        wish(visit).get_by_role("textbox").first.fill("一颗黄色的星星")
        visit.button("重绘选区", "Redraw the selection").tap()
        finished(visit, 2)
        first, second = kept(visit, 2)
        mask = picture(visit, second["mask"]["sha256"]).getchannel("A")
        assert mask.getpixel((700, 500)) == 0 and mask.getpixel((300, 500)) == 255
        was, now = picture(visit, first["sha256"]).convert("RGB"), picture(visit, second["sha256"]).convert("RGB")
        assert ImageChops.composite(was, now, mask).tobytes() == now.tobytes(), "outside the mask nothing changed"


def test_a_canvas_grows_and_what_was_there_stays(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, "zh") as visit:
        enter(visit)
        page = visit.page
        draw(visit, PROMPT[0], 9)
        finished(visit, 1)
        choose(visit, "扩展", "Extend")
        to_right = page.get_by_label("向右", exact=True)
        to_right.fill("500")
        to_right.press("Tab")
        expect(to_right).to_have_value("512")
        # And by its frame, upwards.
        x, y = spot(visit, 700, 0)
        page.mouse.move(x, y)
        page.mouse.down()
        scale = float(str(page.locator("canvas").get_attribute("data-view")).split()[0])
        page.mouse.move(x, y - 64 * scale, steps=4)
        page.mouse.up()
        expect(page.get_by_label("向上", exact=True)).to_have_value("64")
        wish(visit).get_by_role("textbox").first.fill("一座红色的房子")
        visit.button("扩展画布", "Extend the canvas").click()
        finished(visit, 2)
        first, second = kept(visit, 2)
        assert (second["width"], second["height"]) == (1536, 1088) and second["outside"] == {
            "pixels": 1 << 20,
            "changed": 0,
        }
        before, after = picture(visit, first["sha256"]), picture(visit, second["sha256"])
        assert same(before, after.crop((0, 64, 1024, 1088)), (0, 0, 1024, 1024))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_history_branches_outlives_a_reload_and_draws_the_same_again(
    browser: Browser, console: Gateway, language: str
) -> None:
    with visiting(browser, console, language) as visit:
        enter(visit)
        page = visit.page
        page.locator(".examples button").first.click()
        finished(visit, 1)
        choose(visit, "修改", "Edit")
        wish(visit).get_by_role("textbox").first.fill(visit.say("把猫变成蓝色", "make the cat blue"))
        visit.button("修改图片", "Change the picture").click()
        finished(visit, 2)
        visit.button("对比", "Compare").click()
        line = page.get_by_role("slider", name=visit.say("对比分界线", "Line between before and after"))
        expect(line).to_have_value("0.5")
        line.press("ArrowRight")
        expect(line).to_have_value("0.51")
        visit.check_access()
        # From the first picture another branch.
        page.locator(".history li button").first.click()
        choose(visit, "变体", "Vary")
        visit.button("画变体", "Draw variations").click()
        finished(visit, 3)
        expect(page.locator(".history li[data-depth='1']")).to_have_count(2)
        nodes = kept(visit, 3)
        assert [node["operation"] for node in nodes] == ["create", "instruct", "vary"]
        page.reload()
        expect(page.locator(".history li")).to_have_count(3)
        page.locator(".history li button").first.click()
        visit.button("再画一次", "Draw again").click()
        finished(visit, 4)
        again = kept(visit, 4)[3]
        assert again["seed"] == nodes[0]["seed"] and again["sha256"] == nodes[0]["sha256"]
        with page.expect_download() as saved:
            visit.button("下载", "Download").click()
        assert Path(saved.value.path()).read_bytes() == fetched(visit, again["sha256"])
        expect(page.get_by_role("link", name=visit.say("在审计中查看", "Show in the audit"))).to_have_attribute(
            "href", f"#/audit/{again['request']}"
        )


def test_who_answered_is_shown_and_a_call_is_cancelled(browser: Browser, console: Gateway, cloud: Cloud) -> None:
    cell = cloud.cell("console-draw")
    with visiting(browser, console, "en") as visit:
        enter(visit)
        page = visit.page
        wish(visit).get_by_role("combobox").select_option("gpt-image-1")
        expect(page.locator("#draw-seed")).to_be_disabled()
        wish(visit).get_by_role("textbox").first.fill(PROMPT[1])
        try:
            cell.behaviour = "gated_middle"
            cell.gone.clear()
            visit.button("绘制", "Draw").click()
            expect(page.locator(".jobs img")).to_be_visible()
            visit.check_access()
            page.locator(".jobs").get_by_role("button", name="Cancel").click()
            expect(page.locator(".jobs")).to_have_count(0)
            assert cell.gone.wait(20), "the cloud is not left drawing for nobody"
            cell.behaviour = "healthy"
            visit.button("绘制", "Draw").click()
            finished(visit, 1)
            expect(page.locator(".about .kind")).to_contain_text("Cloud")
            cell.behaviour = "500"
            choose(visit, "新图", "New")
            visit.button("绘制", "Draw").click()
            finished(visit, 2)
            expect(page.locator(".about .kind")).to_contain_text("Degraded")
            expect(page.locator(".about")).to_contain_text("openai=")
            expect(page.locator(".about .note")).to_contain_text("did not answer")
        finally:
            cell.behaviour = "healthy"
        first, second = kept(visit, 2)
        assert (first["tier"], second["tier"], second["upstream"]) == ("cloud", "degraded", "sketcher")


def test_a_picture_of_ones_own_and_what_cannot_be_drawn(browser: Browser, console: Gateway, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (200, 120, 40)).save(tmp_path / "own.png")
    (tmp_path / "own.txt").write_text("no picture")
    with visiting(browser, console, "en") as visit:
        enter(visit)
        page = visit.page
        chooser = page.locator("input[type=file]").first
        chooser.set_input_files(tmp_path / "own.txt")
        expect(page.get_by_text("Only PNG, JPEG and WebP")).to_be_visible()
        chooser.set_input_files(tmp_path / "own.png")
        finished(visit, 1)
        half(visit)
        box = wish(visit).get_by_role("textbox").first
        box.fill("qwzx vbnk")
        visit.allowed.append("400")
        visit.button("重绘选区", "Redraw the selection").click()
        expect(page.locator(".jobs").get_by_role("alert")).to_contain_text("req_")
        visit.check_access()
        visit.button("知道了", "Dismiss").click()
        box.fill("a blue star")
        visit.button("重绘选区", "Redraw the selection").click()
        finished(visit, 2)
        first, second = kept(visit, 2)
        assert fetched(visit, first["sha256"]) == (tmp_path / "own.png").read_bytes(), "it is kept as it came"
        assert same(picture(visit, first["sha256"]), picture(visit, second["sha256"]), (0, 0, 150, 200))
        # The drawing has a name, another one can be begun, and this one is found again and deleted.
        page.get_by_label("Name", exact=True).fill("brought along, then deleted")
        page.get_by_label("Name", exact=True).press("Enter")
        visit.button("新画作", "New drawing").click()
        expect(page.locator(".examples")).to_be_visible()
        visit.button("我的画作", "My drawings").click()
        page.get_by_role("button", name="brought along, then deleted", exact=False).first.click()
        expect(page.locator(".history li")).to_have_count(2)
        visit.button("我的画作", "My drawings").click()
        visit.check_access()
        page.get_by_role("button", name="Delete: brought along, then deleted").click()
        page.get_by_role("dialog").last.get_by_role("button", name="Delete", exact=True).click()
        expect(page.get_by_role("button", name="Delete: brought along, then deleted")).to_have_count(0)


def test_several_at_once_in_a_size_of_ones_own(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, "en") as visit:
        enter(visit)
        page = visit.page
        choose(visit, "自定义", "Custom")
        page.get_by_label("Width (pixels)").fill("300")
        expect(wish(visit).get_by_role("status")).to_contain_text("multiples of 16")
        wish(visit).get_by_role("textbox").first.fill(PROMPT[1])
        expect(visit.button("绘制", "Draw")).to_be_disabled()
        page.get_by_label("Width (pixels)").fill("320")
        page.get_by_label("Height (pixels)").fill("256")
        wish(visit).get_by_text("3", exact=True).click()
        visit.button("掷一个新种子", "Roll a new seed").click()
        seed = int(page.locator("#draw-seed").input_value())
        visit.button("绘制", "Draw").click()
        finished(visit, 3)
        nodes = kept(visit, 3)
        assert (
            sorted(node["seed"] for node in nodes) == [(seed + number) % 2**32 for number in range(3)]
            or seed > 2**32 - 4
        )
        assert {(node["width"], node["height"], node["size"]) for node in nodes} == {(320, 256, "320x256")}


def test_every_scene_can_be_used_by_everybody(browser: Browser, console: Gateway) -> None:
    with visiting(browser, console, "en") as visit:
        visit.sign_in()
        names = []
        for name in scenes(visit):
            names.append(name)
            visit.check_access()
        assert len(names) == len(set(names)) == 6
