"""Parts of a checkpoint as ONNX or OpenVINO files, and what runs them in torch's place.

A **part** is one network of a checkpoint (the transformer of Qwen-Image, the decoder of its VAE, the language model of
Qwen-VL). What cannot be exported is **refused** with a sentence. **Samples** are inputs with what torch makes of them;
they lie beside the graph. `export.json` is the **manifest**: each part's files with their SHA-256, and by how much the
part differs from torch.
"""
