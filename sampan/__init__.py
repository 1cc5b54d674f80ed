"""Sampan: a self-hosted multimodal AI gateway that keeps answering when the cloud does not."""

__version__ = "0.1.0"
