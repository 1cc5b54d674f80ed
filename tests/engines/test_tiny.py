"""Tiny checkpoints are what the real libraries take for a checkpoint from the hub, and behave like one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy
import pytest
import torch
import transformers
from PIL import Image, ImageDraw

from sampan.engines.tiny import KINDS, make
from sampan.engines.tiny.__main__ import main
from sampan.engines.tiny.talkers import TALKERS
from sampan.engines.tiny.tokens import QWEN2, QWEN2_5, QWEN3, train

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    into = tmp_path_factory.mktemp("tiny")
    for kind in KINDS:
        make(kind, into)
    yield into
    torch.set_num_threads(threads)


def picture(colour: str) -> Image.Image:
    image = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(image).ellipse((60, 40, 240, 160), fill=colour)
    return image


class Chat:
    """A checkpoint loaded as users load one, asked one question about a picture."""

    def __init__(self, folder: Path) -> None:
        self.model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype="auto").eval()
        self.words = transformers.AutoTokenizer.from_pretrained(folder)
        self.look = transformers.AutoImageProcessor.from_pretrained(folder)

    def ask(self, image: Image.Image, limit: int, **settings: Any) -> str:
        """What the model says, its marks left in."""
        seen = self.look(images=[image], return_tensors="pt")
        content = [{"type": "image"}, {"type": "text", "text": "图中有几个人？"}]
        turns = [{"role": "user", "content": content}]
        prompt = self.words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        pads = int(seen["image_grid_thw"].prod()) // 4
        assert pads <= 64
        given = self.words(prompt.replace("<|image_pad|>", "<|image_pad|>" * pads), return_tensors="pt")
        kinds = (given["input_ids"] == self.words.convert_tokens_to_ids("<|image_pad|>")).int()
        with torch.inference_mode():
            said = self.model.generate(
                **given,
                mm_token_type_ids=kinds,
                pixel_values=seen["pixel_values"].to(self.model.dtype),
                image_grid_thw=seen["image_grid_thw"],
                max_new_tokens=limit,
                repetition_penalty=1.0,
                **settings,
            )
        return str(self.words.decode(said[0, given["input_ids"].shape[1] :]))


@pytest.mark.parametrize("kind", TALKERS)
def test_a_talker_sees_and_speaks_and_comes_to_an_end(made: Path, kind: str) -> None:
    folder = made / kind
    assert len(list(folder.glob("model-*.safetensors"))) >= 2
    assert (folder / "model.safetensors.index.json").is_file()
    chat = Chat(folder)
    best = chat.ask(picture("red"), 16, do_sample=False)
    assert len(best) >= 16  # it does not stop at once: every token is at least a character
    assert best.isprintable()  # and every token is text
    assert "\N{REPLACEMENT CHARACTER}" not in best
    assert chat.ask(picture("navy"), 16, do_sample=False) != best
    torch.manual_seed(0)
    said = [chat.ask(picture("red"), 48, do_sample=True, temperature=1.0, top_k=0, top_p=1.0) for _ in range(6)]
    ended = [text.removesuffix("<|im_end|>") for text in said if text.endswith("<|im_end|>")]
    assert ended
    assert all(text[-1] in "。." for text in ended)
    assert any(len(text) > 20 for text in said)


def test_a_seed_makes_the_same_files_and_another_makes_others(made: Path, tmp_path: Path) -> None:
    def weights(root: Path) -> bytes:
        return b"".join(path.read_bytes() for path in sorted((root / "qwen3-vl").glob("*.safetensors")))

    make("qwen3-vl", tmp_path / "again")
    assert weights(tmp_path / "again") == weights(made)
    make("qwen3-vl", tmp_path / "other", seed=1)
    assert weights(tmp_path / "other") != weights(made)


@pytest.mark.parametrize(("specials", "known"), [(QWEN2, 14), (QWEN2_5, 22), (QWEN3, 26)])
def test_marks_are_one_token_each_inside_the_vocabulary(specials: tuple[str, ...], known: int) -> None:
    vocabulary = train(specials)
    assert len(specials) == known
    for token in specials:
        assert vocabulary.trained.encode(token).ids == [vocabulary.id(token)]
        assert vocabulary.id(token) < vocabulary.size


def test_the_sentences_before_a_prompt_are_as_long_as_the_pipelines_think(made: Path) -> None:
    words = transformers.AutoTokenizer.from_pretrained(made / "qwen-image" / "tokenizer")
    for kind, length in (("QwenImagePipeline", 34), ("QwenImageEditPlusPipeline", 64)):
        pipeline = getattr(diffusers, kind)(None, None, None, None, *([None] * (kind != "QwenImagePipeline")), None)
        assert pipeline.prompt_template_encode_start_idx == length
        before = pipeline.prompt_template_encode.partition("{}")[0]
        assert len(words(before)["input_ids"]) == length


def test_templates_say_what_the_families_say(made: Path) -> None:
    def render(kind: str, messages: list[dict[str, Any]], **given: Any) -> str:
        words = transformers.AutoTokenizer.from_pretrained(made / kind)
        return str(words.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **given))

    hello = {"role": "user", "content": "hello"}
    for kind in ("qwen2-vl", "qwen2.5-vl"):
        said = render(kind, [hello])
        assert said.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nhello")
        assert "<tools>" not in render(kind, [hello], tools=[TOOL])  # nor do the real ones
    assert render("qwen3-vl", [hello]) == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    assert render("qwen3-vl-thinking", [hello]).endswith("<|im_start|>assistant\n<think>\n")
    call = {"function": {"name": "weather", "arguments": {"city": "上海"}}}
    turns = [
        {"role": "system", "content": "Be short."},
        hello,
        {"role": "assistant", "content": "", "reasoning_content": "Rain?", "tool_calls": [call, call]},
        {"role": "tool", "content": "rain"},
        {"role": "tool", "content": "sun"},
    ]
    said = render("qwen3-vl", turns, tools=[TOOL])
    assert "<|im_start|>system\nBe short.\n\n# Tools\n" in said
    assert f"<tools>\n{json.dumps(TOOL)}\n</tools>" in said
    one = '<tool_call>\n{"name": "weather", "arguments": {"city": "上海"}}\n</tool_call>'
    assert f"<|im_start|>assistant\n{one}\n{one}<|im_end|>\n" in said
    answers = (
        "<|im_start|>user\n<tool_response>\nrain\n</tool_response>\n<tool_response>\nsun\n</tool_response><|im_end|>\n"
    )
    assert said.endswith(answers + "<|im_start|>assistant\n")
    assert "<|im_start|>assistant\n<think>\nRain?\n</think>\n\n<tool_call>" in render("qwen3-vl-thinking", turns)


def test_a_painter_draws_by_prompt_and_seed_and_lora(made: Path) -> None:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(made / "qwen-image", dtype=torch.float32)
    assert type(pipeline) is diffusers.QwenImagePipeline
    pipeline.set_progress_bar_config(disable=True)

    def draw(prompt: str, seed: int) -> Any:
        dice = torch.Generator().manual_seed(seed)
        drawn = pipeline(
            prompt, negative_prompt=" ", height=64, width=128, num_inference_steps=3, generator=dice
        ).images[0]
        assert drawn.size == (128, 64)
        return numpy.asarray(drawn).astype(int)

    cat = draw("a cat", 0)
    assert cat.std() > 10
    assert (draw("a cat", 0) == cat).all()
    assert abs(draw("一条小船", 0) - cat).mean() > 1
    assert abs(draw("a cat", 1) - cat).mean() > 1
    for lora in ("qwen-image-lightning", "qwen-image-style"):
        pipeline.load_lora_weights(made / lora, weight_name="pytorch_lora_weights.safetensors", adapter_name=lora)
        pipeline.set_adapters([lora])
        assert abs(draw("a cat", 0) - cat).mean() > 1
    pipeline.unload_lora_weights()
    assert (draw("a cat", 0) == cat).all()


def test_the_editor_has_the_painters_weights_and_a_processor(made: Path) -> None:
    paint, edit = made / "qwen-image", made / "qwen-image-edit"
    for part in ("text_encoder", "transformer", "vae"):
        for path in (paint / part).glob("*.safetensors"):
            assert (edit / part / path.name).read_bytes() == path.read_bytes()
    assert json.loads((edit / "model_index.json").read_text())["_class_name"] == "QwenImageEditPlusPipeline"
    seen = transformers.AutoImageProcessor.from_pretrained(edit / "processor")(images=[picture("red")])
    assert seen["pixel_values"].shape[1] == 1176
    assert len(transformers.AutoTokenizer.from_pretrained(edit / "processor")) == len(
        train(QWEN2_5).trained.get_vocab()
    )


def test_the_command_makes_what_is_not_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(tmp_path), "--kind", "qwen-image-style", "--seed", "3"]
    main(given)
    first = capsys.readouterr().out
    assert first.startswith("qwen-image-style: ")
    assert "was there" not in first
    main(given)
    assert "was there" in capsys.readouterr().out
    (tmp_path / "qwen-image-style" / ".whole").unlink()  # as an interrupted run leaves it
    main(given)
    assert "was there" not in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["qwen-image-style"]
    with pytest.raises(ValueError, match="'gpt' is unknown; there are qwen2-vl"):
        make("gpt", tmp_path)
