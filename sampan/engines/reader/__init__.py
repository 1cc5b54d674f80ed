"""The reader: answers questions about pictures of documents without a language model.

Words used here: a *picture* is decoded pixels; a *line* is one run of text with its box; a *page* is the lines of one
picture or PDF page in flat coordinates (turned upright, deskewed), with the way back to the source's pixels; a
*fact* is a key with its value and where it stands; an *ask* is one thing that a question wants to know.
"""

from sampan.engines.contract import Source
from sampan.engines.reader.reader import Reader

__all__ = ["Reader", "Source"]
