"""The scorecard as one page of HTML that needs nothing else: a picture first, every number behind it."""

from __future__ import annotations

from html import escape

from sampan.drill.phrases import PROMISES, Phrases
from sampan.drill.report import Column, Report, answered_by, first_event, touches
from sampan.drill.scorecard import Card
from sampan.drill.table import notes
from sampan.drill.troubles import Trouble, When

STYLE = """
:root { color-scheme: light dark; --page: #f4f6f9; --card: #fff; --ink: #16202c; --soft: #5c6b7c; --line: #dde3ea;
  --good: #2f9e6e; --good-soft: #d6f0e4; --bad: #cf3f4a; --bad-soft: #fbdcdf; --warn: #b9831c; --warn-soft: #f8ecd0;
  --none: #e9edf2 }
@media (prefers-color-scheme: dark) { :root { --page: #10151c; --card: #18202a; --ink: #e6edf5; --soft: #93a3b5;
  --line: #2a3542; --good: #52c796; --good-soft: #163b2c; --bad: #ff7f88; --bad-soft: #4a1d23; --warn: #e3b04b;
  --warn-soft: #41341a; --none: #202a35 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif }
main { max-width: 1180px; margin: 0 auto; padding: 36px 20px 60px }
h1 { font-size: 17px; font-weight: 500; color: var(--soft); margin: 0 }
h2 { font-size: 17px; margin: 36px 0 12px }
.verdict { font-size: 34px; font-weight: 650; line-height: 1.25; margin: 2px 0 12px; color: var(--good) }
.verdict.bad { color: var(--bad) }
.note { color: var(--soft); margin: 0 0 2px; max-width: 90ch }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 22px 0 16px }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 10px 18px; min-width: 128px }
.tile b { display: block; font-size: 24px; font-weight: 600; font-variant-numeric: tabular-nums }
.tile span { color: var(--soft); font-size: 13px }
.sheet { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 14px 16px; overflow-x: auto }
table { border-collapse: separate; border-spacing: 3px; width: 100% }
.grid th { font-weight: 500; font-size: 12px; color: var(--soft); padding: 2px 4px; vertical-align: bottom;
  line-height: 1.3 }
.grid th.route { color: var(--ink); font-size: 13px; border-bottom: 2px solid var(--line) }
.grid th.fault { text-align: left; white-space: nowrap; font-size: 13px; color: var(--ink); min-width: 238px }
.grid th.fault small { display: block; color: var(--soft); font-size: 12px; line-height: 1.25 }
.grid tr.moment th { text-align: left; padding-top: 12px; color: var(--soft); font-size: 12px; letter-spacing: .02em }
.cell { height: 34px; width: 60px; min-width: 46px; border-radius: 6px; text-align: center;
  font-size: 12px; line-height: 1.15;
  font-variant-numeric: tabular-nums; padding: 0 }
.cell i { font-style: normal; font-size: 14px; display: block }
.kept { background: var(--good-soft); color: var(--good) }
.broken { background: var(--bad-soft); color: var(--bad); font-weight: 600 }
.alone { background: var(--warn-soft); color: var(--warn) }
.none { background: none; color: var(--line) }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; font-size: 12px;
  color: var(--soft); padding: 0 6px }
.legend { display: flex; flex-wrap: wrap; gap: 6px 20px; color: var(--soft); font-size: 13px; margin-top: 10px }
.legend em { font-style: normal; margin-left: auto }
.legend span::before { content: ""; display: inline-block; width: 12px; height: 12px; border-radius: 3px;
  background: var(--box); margin-right: 6px; vertical-align: -1px }
ul.broke { padding: 0; list-style: none; margin: 0 }
ul.broke li { background: var(--bad-soft); border-radius: 8px; padding: 8px 12px; margin-bottom: 6px }
ul.broke b { font-weight: 600 }
ol { padding-left: 22px; margin: 0; max-width: 90ch }
details summary { cursor: pointer; color: var(--soft); padding: 4px 0 }
.all { border-spacing: 0; font-size: 13px }
.all th { text-align: left; color: var(--soft); font-weight: 500; padding: 6px 10px 6px 0;
  border-bottom: 1px solid var(--line) }
.all td { padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums }
"""


def draw(report: Report, words: Phrases, lang: str) -> str:
    """The whole page."""
    head = (
        f'<!doctype html><html lang="{"zh-CN" if lang == "zh" else "en"}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{words['title']}</title><style>{STYLE}</style></head><body><main>"
    )
    parts = [head, _top(report, words), _grid(report, words, lang), _broken(report, words)]
    parts += [_promises(words, lang), _details(report, words, lang), "</main></body></html>\n"]
    return "\n".join(parts)


def _top(report: Report, words: Phrases) -> str:
    if report.kept:
        said, mood = words["all kept"], "verdict"
    else:
        said, mood = words["broken"].format(count=len(report.broken), all=len(report.cards)), "verdict bad"
    tiles = (
        (str(len(report.cards)), "scenes"),
        (str(len(report.rows)), "faults"),
        (str(report.calls), "calls"),
        (f"{report.slowest_detection:.1f} s", "slowest detection"),
        (f"{report.slowest_recovery:.1f} s", "slowest recovery"),
    )
    drawn = "".join(f'<div class="tile"><b>{value}</b><span>{words[name]}</span></div>' for value, name in tiles)
    lines = "".join(f'<p class="note">{escape(line)}</p>' for line in notes(report, words))
    return f'<h1>{words["title"]}</h1><p class="{mood}">{said}</p>{lines}<div class="tiles">{drawn}</div>'


def _grid(report: Report, words: Phrases, lang: str) -> str:
    columns = report.columns
    rows = [_headings(columns, words)]
    moment: When | None = None
    for trouble, cards in report.rows:
        if trouble.when is not moment:
            moment = trouble.when
            rows.append(f'<tr class="moment"><th colspan="{len(columns) + 3}">{words[moment.value]}</th></tr>')
        rows.append(_row(trouble, cards, columns, words, lang))
    legend = (("kept", "--good-soft"), ("nobody", "--warn-soft"), ("not kept", "--bad-soft"))
    boxes = "".join(f'<span style="--box: var({colour})">{words[name]}</span>' for name, colour in legend)
    boxes += f"<em>{words['number']}</em>"
    return f'<div class="sheet"><table class="grid">{"".join(rows)}</table><div class="legend">{boxes}</div></div>'


def _headings(columns: list[Column], words: Phrases) -> str:
    """Two rows: the routes over their columns, then operation and form."""
    routes: dict[tuple[str, bool], int] = {}
    for route, operation, _ in columns:
        key = (route, operation in ("generate", "edit"))
        routes[key] = routes.get(key, 0) + 1
    above = "".join(f'<th class="route" colspan="{width}">{escape(route)}</th>' for (route, _), width in routes.items())
    below = "".join(
        f"<th>{words[operation]}<br>{words['stream' if stream else 'whole']}</th>" for _, operation, stream in columns
    )
    return f"<tr><th></th>{above}<th></th><th></th></tr><tr><th></th>{below}{_number_heads(words)}</tr>"


def _number_heads(words: Phrases) -> str:
    return f"<th>{words['detected']}</th><th>{words['recovered']}</th>"


def _row(trouble: Trouble, cards: dict[Column, Card], columns: list[Column], words: Phrases, lang: str) -> str:
    told = escape(trouble.zh if lang == "zh" else trouble.en)
    cells = "".join(_cell(cards.get(column), words) for column in columns)
    detected = [card.observed.detect for card in cards.values() if card.observed.detect is not None]
    back = [card.observed.recovery for card in cards.values() if card.observed.recovery is not None]
    worst = (f"{max(detected):.2f} s" if detected else "–", f"{max(back):.1f} s" if back else "–")
    numbers = "".join(f'<td class="number">{each}</td>' for each in worst)
    return f'<tr><th class="fault">{told}<small>{escape(trouble.name)}</small></th>{cells}{numbers}</tr>'


def _cell(card: Card | None, words: Phrases) -> str:
    if card is None:
        return f'<td class="cell none" title="{words["not rehearsed"]}">·</td>'
    mood, mark = ("alone", "!") if card.observed.alone else ("kept", "✓")
    if not card.kept:
        mood, mark = "broken", "✗"
    title = escape(_told(card, words), quote=True)
    return f'<td class="cell {mood}" title="{title}"><i>{mark}</i>{first_event(card):.1f} s</td>'


def _told(card: Card, words: Phrases) -> str:
    """What a pointer over a cell shows."""
    lines = [
        card.observed.scene.name,
        f"{words['answered by']}: {_by(card, words)}",
        f"{words['first event']}: {first_event(card):.2f} s",
        f"{words['touched']}: {' '.join(map(str, touches(card)))}",
        *(f"✗ {promise.value}: {note}" for promise, note in card.broken.items()),
    ]
    return "\n".join(lines)


def _by(card: Card, words: Phrases) -> str:
    name = answered_by(card)
    return words.get(name, name)


def _broken(report: Report, words: Phrases) -> str:
    if report.kept:
        return ""
    items = "".join(
        f"<li><b>{escape(card.observed.scene.name)}</b> {promise.value}: {escape(note)}</li>"
        for card in report.broken
        for promise, note in card.broken.items()
    )
    return f'<h2>{words["what broke"]}</h2><ul class="broke">{items}</ul>'


def _promises(words: Phrases, lang: str) -> str:
    items = "".join(f"<li><b>{promise.value}</b>: {text}</li>" for promise, text in PROMISES[lang].items())
    return f"<h2>{words['promises']}</h2><ol>{items}</ol>"


def _details(report: Report, words: Phrases, lang: str) -> str:
    names = ("fault", "route", "operation", "answered by", "first event", "detected", "touched", "recovered", "verdict")
    head = "".join(f"<th>{words[name]}</th>" for name in names)
    rows = "".join(_line(card, words) for card in report.cards)
    count = f"{len(report.cards)} {words['scenes']}"
    return (
        f'<h2>{words["details"]}</h2><div class="sheet"><details><summary>{count}</summary>'
        f'<table class="all"><tr>{head}</tr>{rows}</table></details></div>'
    )


def _line(card: Card, words: Phrases) -> str:
    observed, scene = card.observed, card.observed.scene
    form = words["stream" if scene.shape.stream else "whole"]
    detected = "–" if observed.detect is None else f"{observed.detect:.2f} s"
    back = "–" if observed.recovery is None else f"{observed.recovery:.1f} s"
    cells = (
        scene.trouble.name,
        scene.route,
        f"{words[scene.shape.operation.value]}, {form}",
        _by(card, words),
        f"{first_event(card):.2f} s",
        detected,
        " ".join(map(str, touches(card))),
        back,
        words["kept" if card.kept else "not kept"],
    )
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
