"""What the reader says, in the language of the question."""

from __future__ import annotations

from sampan.engines.reader.finding import Evidence, Finding
from sampan.engines.reader.folding import traditional
from sampan.engines.reader.layout import paragraphs, rows
from sampan.engines.reader.page import Line, Page, Table, is_cjk
from sampan.engines.reader.question import Language
from sampan.engines.reader.tables import markdown, unstacked

LONGEST_QUOTE = 160

SAYINGS: dict[str, tuple[str, str]] = {
    "note": (
        "（离线降级阅读器：只用文字识别和规则，没有语言模型，请对照原文核对。）",
        "(Offline degraded reader: text recognition and rules only, no language model. Please check"
        " against the original.)",
    ),
    "absent": ("文档中没有找到“{asked}”。", "Not found in the document: “{asked}”."),
    "blank": ("“{label}”一栏是空的，没有填写。", "The field “{label}” is blank in the document."),
    "source": ("读自{place}“{line}”", "Read from {place}“{line}”"),
    "box": ("，位置 {box}", ", box {box}"),
    "page": ("第 {page} 页", "page {page} "),
    "picture": ("第 {picture} 个文件", "file {picture} "),
    "mentioned": ("有。文中写道：“{line}”", "Yes. The document says: “{line}”"),
    "unmentioned": ("没有，文档中没有提到“{asked}”。", "No, not found: the document does not mention “{asked}”."),
    "empty": (
        "没有在图片里认出文字。我是离线降级阅读器，只能读文字：请发送更清楚的文档照片、截图或 PDF"
        "；我不能描述没有文字的画面。",
        "No text was recognised in the picture. I am the offline degraded reader and can only read"
        " text: please send a clearer photo of a document, a screenshot or a PDF. I cannot describe"
        " a scene.",
    ),
    "refused": (
        "这件事我做不到：我是离线降级阅读器，没有语言模型，不能聊天、翻译、总结、推理或描述画面"
        "。我能读出文档图片或 PDF 里的文字，并回答其中写明的内容，例如“开票日期是哪天？”“合同总"
        "金额是多少？”“提取文字”。",
        "I cannot do that: I am the offline degraded reader without a language model, so I do not"
        " chat, translate, summarise, reason or describe scenes. I can read the text of a document"
        " picture or PDF and answer what is written in it, for example “What is the invoice date?”"
        " or “Read this”.",
    ),
    "nothing": (
        "没有收到文档。我是离线降级阅读器，没有语言模型：请附上文档图片、PDF 或粘贴文字，再问其中写明的内容。",
        "There is no document to read. I am the offline degraded reader without a language model:"
        " please attach a picture of a document, a PDF or pasted text, and ask what is written in"
        " it.",
    ),
    "capped": ("（只读了前 {read} 页，共 {count} 页。）", "(Only the first {read} of {count} pages were read.)"),
}


class Voice:
    """Says things in one language."""

    def __init__(self, language: Language) -> None:
        self._language = language

    def say(self, name: str, **values: object) -> str:
        """One of `SAYINGS` with its values put in; what is quoted from the document stays as it is written there."""
        chinese, english = SAYINGS[name]
        if self._language is Language.ENGLISH:
            return english.format(**values)
        frame = traditional(chinese) if self._language is Language.TRADITIONAL else chinese
        return frame.format(**values)

    def found(self, finding: Finding, asked: str, *, alone: bool, sources: int) -> str:
        """One answered ask: the value first when it stands alone, under its name when it is one of several."""
        head = finding.value
        if not head:
            head = self.say("blank", label=finding.label or asked)
        name = "" if alone else f"{asked}{self._colon()}"
        where = "；".join(self.source(evidence, sources) for evidence in finding.evidence)
        return f"{name}{head}\n  — {where}\n"

    def source(self, evidence: Evidence, sources: int) -> str:
        """The line that was read, its page or file where there are several, and its box where it has one."""
        page = evidence.page
        place = ""
        if sources > 1:
            place += self.say("picture", picture=page.source)
        if page.number:
            place += self.say("page", page=page.number)
        quoted = (
            evidence.line.text if len(evidence.line.text) <= LONGEST_QUOTE else evidence.line.text[:LONGEST_QUOTE] + "…"
        )
        said = self.say("source", place=place, line=quoted)
        if page.pictured:
            said += self.say("box", box=list(page.in_source(evidence.line.box)))
        return said

    def _colon(self) -> str:
        return ": " if self._language is Language.ENGLISH else "："


def transcript(page: Page, tables: list[Table]) -> str:
    """The whole text of a page in reading order, its tables as Markdown."""
    taken = [table for table in tables if _is_shown(table, tables)]
    inside = {id(line) for table in taken for row in table.rows for cell in row for line in cell.lines}
    loose = [line for line in page.lines if id(line) not in inside]
    blocks = [(table.box.top, table.box.left, markdown(table)) for table in taken]
    blocks += _texts(loose)
    return "\n".join(text for _, _, text in sorted(blocks, key=lambda block: (block[0], block[1])))


def _is_shown(table: Table, tables: list[Table]) -> bool:
    """Whether a table reads best as one: not a frame that another table, or a whole form, stands in."""
    if any(
        other is not table and not other.ruled and table.box.holds(other.box.centre, other.box.middle)
        for other in tables
    ):
        return False
    return all(len(cell.lines) <= 8 for row in table.rows for split in unstacked(row) for cell in split)


def _texts(loose: list[Line]) -> list[tuple[float, float, str]]:
    """Rows of short lines side by side, and running text joined to paragraphs."""
    made: list[tuple[float, float, str]] = []
    running = [p for p in paragraphs(loose) if len(p.lines) >= 2]
    joined = {id(line) for paragraph in running for line in paragraph.lines}
    for paragraph in running:
        first = paragraph.lines[0].box
        made.append((first.top, first.left, paragraph.text))
    for row in rows([line for line in loose if id(line) not in joined]):
        made.append((row.box.top, row.box.left, row.text))
    return made


def units(text: str) -> int:
    """Tokens of a text as this engine counts them: each Chinese character is one, other text one per four characters,
    rounded up per run."""
    count, run = 0, 0
    for char in text:
        if is_cjk(char):
            count += 1 + (run + 3) // 4
            run = 0
        elif char.isspace():
            count += (run + 3) // 4
            run = 0
        else:
            run += 1
    return count + (run + 3) // 4
