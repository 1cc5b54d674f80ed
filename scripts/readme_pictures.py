"""Makes docs/img/working-{zh,en}.png: a real gateway whose cloud is unreachable, and what two SDK calls get from it.

Needs Chromium, a CJK font and the development environment: `.venv/bin/python scripts/readme_pictures.py`.
"""

from __future__ import annotations

import base64
import html
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import anthropic
import openai

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "img"
KEY = "sk-sampan-readme-pictures"
CONFIG = """
[server]
listen = "127.0.0.1:0"
[upstreams.claude]
dialect = "anthropic"
base_url = "http://127.0.0.1:{closed}"
[upstreams.openai]
dialect = "openai-images"
base_url = "http://127.0.0.1:{closed}/v1"
"""
WORDS = {
    "zh": {
        "ask": "签订日期、合同总价和质保期分别是多少?",
        "draw": "左边红猫,右边蓝车,星空背景",
        "down": "# 云端:连接被拒绝。代码没有改,只有 base_url 指向舢板",
        "document": "问的是这一页",
        "picture": "画出来的是这一张",
    },
    "en": {
        "ask": "What are the signing date, the total price and the contract number?",
        "draw": "a red cat on the left and a blue car on the right, starry night",
        "down": "# the cloud: connection refused. The code is as it was, but for base_url",
        "document": "asked about this page",
        "picture": "drawn for this prompt",
    },
}
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 28px; background: #eef1f5; font: 15px/1.55 "Noto Sans CJK SC", sans-serif; width: 1324px;
  display: flex; gap: 24px; align-items: stretch }}
pre {{ flex: 1; margin: 0; padding: 22px 24px; border-radius: 12px; background: #14181f; color: #d6dde8;
  font: 15px/1.6 "Noto Sans Mono CJK SC", monospace; white-space: pre-wrap; word-break: break-word }}
b {{ color: #7ee0a1; font-weight: 500 }} i {{ color: #8793a6; font-style: normal }}
u {{ color: #f2c46d; text-decoration: none }}
figure {{ margin: 0 0 18px; width: 392px; background: #fff; border-radius: 12px; overflow: hidden }}
figure div {{ height: 246px; background-size: cover; background-position: top }}
figcaption {{ padding: 8px 14px; color: #4a5568 }} aside {{ margin-bottom: -18px }}
</style><pre>{text}</pre><aside>
<figure><div style="background-image:url(data:image/png;base64,{document})"></div>
<figcaption>{said_document}</figcaption></figure>
<figure><div style="background-image:url(data:image/png;base64,{picture})"></div>
<figcaption>{said_picture}</figcaption></figure>
</aside>"""


def headers(answer: object) -> str:
    found = getattr(answer, "headers", {})
    names = ("x-sampan-upstream", "x-sampan-tier", "x-sampan-attempts")
    return "\n".join(f"<i>{name}:</i> <u>{html.escape(found[name])}</u>" for name in names)


def story(url: str, words: dict[str, str]) -> tuple[str, bytes]:
    """The terminal's text as HTML, and the drawn picture."""
    contract = base64.b64encode((IMAGES / "contract.png").read_bytes()).decode()
    source = {"type": "base64", "media_type": "image/png", "data": contract}
    content = [{"type": "image", "source": source}, {"type": "text", "text": words["ask"]}]
    talk = anthropic.Anthropic(base_url=url, api_key=KEY).messages.with_raw_response.create(
        model="claude-sonnet-5-5", max_tokens=600, messages=[{"role": "user", "content": content}]
    )
    draw = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY).images.with_raw_response.generate(
        model="chatgpt-image-latest", prompt=words["draw"], size="1024x1024"
    )
    drawn = draw.parse().data[0]
    lines = [
        f"<i>{html.escape(words['down'])}</i>",
        "",
        f'<b>&gt;&gt;&gt;</b> client.messages.create(model=<u>"claude-sonnet-5-5"</u>, … <u>"{words["ask"]}"</u>)',
        headers(talk),
        html.escape(talk.parse().content[0].text.strip()),
        "",
        f'<b>&gt;&gt;&gt;</b> client.images.generate(prompt=<u>"{words["draw"]}"</u>)',
        headers(draw),
        html.escape(drawn.revised_prompt or ""),
    ]
    return "\n".join(lines), base64.b64decode(drawn.b64_json or "")


def photograph(language: str, text: str, picture: bytes) -> None:
    words = WORDS[language]
    page = PAGE.format(
        text=text,
        document=base64.b64encode((IMAGES / "contract.png").read_bytes()).decode(),
        picture=base64.b64encode(picture).decode(),
        said_document=words["document"],
        said_picture=words["picture"],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(page)
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [
            "--disable-background-networking",
            "--disable-component-update",
            f"--user-data-dir={folder}/profile",
        ]
        command += ["--window-size=1380,664", f"--screenshot={IMAGES}/working-{language}.png", path.as_uri()]
        subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and never listening: whoever connects is refused
        (Path(folder) / "sampan.toml").write_text(CONFIG.format(closed=held.getsockname()[1]))
        server = subprocess.Popen(
            [sys.executable, "-m", "sampan", "serve"],
            cwd=folder,
            env={**os.environ, "SAMPAN_ADMIN_KEY": KEY},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        url = ""
        for line in server.stdout:
            url = line.split()[1] if line.startswith("URL:") else url
            if line.startswith("Ready"):
                break
        for language, words in WORDS.items():
            photograph(language, *story(url, words))
        server.send_signal(signal.SIGINT)
        server.wait()


if __name__ == "__main__":
    main()
