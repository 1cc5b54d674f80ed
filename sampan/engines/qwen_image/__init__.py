"""Draws and edits pictures with Qwen-Image and Qwen-Image-Edit, by diffusers, on an accelerator or (tiny) on a CPU.

`painter` takes the calls, `recipe` settles how, `scene` what goes where, `studio` whose turn it is, `sheet` does the
steps; `checkpoint` and `loading` bring the model into memory. Nothing heavy is imported before that.
"""

from sampan.engines.qwen_image.painter import QwenImage

__all__ = ["QwenImage"]
