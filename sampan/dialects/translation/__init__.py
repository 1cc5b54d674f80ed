"""From one wire to another, through the canonical form: Anthropic Messages for talk. Bytes in, bytes out, no I/O.

A *manner* is how a call in the caller's dialect is put to a server of the same or another dialect, and how the server's
answer is told to the caller. Same dialect on both sides: what came goes through, byte for byte but for `model`.

| caller ↓, server → | anthropic | openai-chat | openai-images | openai-embeddings |
|---|---|---|---|---|
| anthropic | as it is | translated | | |
| openai-chat | translated | as it is | | |
| openai-responses | translated | translated twice | | |
| openai-images | | | as it is | |
| openai-embeddings | | | | as it is |
"""
