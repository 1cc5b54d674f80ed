"""From a torch module to files: ONNX by torch's own exporter, OpenVINO's form from that, each checked against torch."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sampan.engines.export.manifest import ExportError, Part, Target, hashed
from sampan.engines.export.runtime import Network, quiet_openvino

_OPSET = 20
_SAMPLES = ".samples.npz"
# Of torch's largest output. fp32 sums in another order differ by some 1e-6 of it for each layer.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Sample:
    """Inputs by name, in the order of the module's arguments, and what the library's own model makes of them."""

    inputs: Mapping[str, Any]
    wanted: tuple[Any, ...]


@dataclass(frozen=True)
class Draft:
    """A network ready to be exported: `module` takes the inputs of a sample and returns `outputs`.

    `free` names the dimensions that may be of any size, by input. The first of `samples` is what the exporter follows;
    the others are of other sizes.
    """

    name: str
    module: Any
    outputs: tuple[str, ...]
    free: Mapping[str, Mapping[int, str]]
    samples: Sequence[Sample]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> Mapping[str, Any]:
        return self.samples[0].inputs


def convert(draft: Draft, to: Target, folder: Path) -> Part:
    """Writes a network's files into `folder`, what torch makes of the samples too, and compares the two.

    Raises `ExportError` when the exporter cannot, or when what it wrote computes something else.
    """
    _write_onnx(draft, folder / f"{draft.name}.onnx")
    _write_samples(draft, folder / f"{draft.name}{_SAMPLES}")
    part = Part(draft.name, (), tuple(draft.inputs), draft.outputs, 0.0, 0.0, draft.settings)
    return _finish(part, to, folder)


def reconvert(part: Part, source: Path, folder: Path) -> Part:
    """Turns a part of an ONNX export into one for OpenVINO; what torch said lies beside it, torch is not needed."""
    for file in part.files:
        shutil.copyfile(source / file.path, folder / file.path)
    return _finish(part, "openvino", folder)


def _finish(part: Part, to: Target, folder: Path) -> Part:
    graph = folder / f"{part.name}.onnx"
    if to == "openvino":
        graph = _write_openvino(graph, part.name)
    difference, largest = _compare(Network(graph, to, part.inputs, part.outputs), folder / f"{part.name}{_SAMPLES}")
    if not difference <= _TOLERANCE * max(largest, 1e-6):  # written so that NaN is refused
        raise ExportError(
            f"the exported {part.name} differs from torch by {difference:g} where outputs reach {largest:g}"
        )
    paths = sorted(folder.glob(f"{part.name}.*"), key=lambda path: (path != graph, path.name))
    files = tuple(hashed(path, folder) for path in paths)
    return replace(part, files=files, difference=difference, largest=largest)


def versions(to: Target) -> dict[str, str]:
    """The libraries that had a hand in an export."""
    names = ("torch", "onnx", "onnxscript", "onnxruntime") + (("openvino",) if to == "openvino" else ())
    return {name: version(name) for name in names}


def _write_onnx(draft: Draft, path: Path) -> None:
    import torch

    dimensions = {name: torch.export.Dim(name, min=1) for names in draft.free.values() for name in names.values()}
    shapes = tuple({axis: dimensions[name] for axis, name in draft.free[given].items()} for given in draft.inputs)
    try:
        # The exporter warns about names of axes and about its own internals; nothing there is for the operator.
        with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                draft.module.eval(),
                tuple(draft.inputs.values()),
                path,
                dynamo=True,
                opset_version=_OPSET,
                dynamic_shapes=shapes,
                input_names=list(draft.inputs),
                output_names=list(draft.outputs),
                external_data=True,  # one protobuf holds 2 GB at most
                verbose=False,
            )
    except Exception as error:  # the exporter has dozens of its own
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(f"torch could not export the {draft.name}: {said[0][:200]}") from error


def _write_openvino(graph: Path, name: str) -> Path:
    """Turns an ONNX file into OpenVINO's two; the ONNX file goes."""
    quiet_openvino()
    import openvino

    path = graph.with_suffix(".xml")
    try:
        openvino.save_model(openvino.convert_model(graph), path, compress_to_fp16=False)
    except Exception as error:  # the frontend raises RuntimeError and kinds of its own
        raise ExportError(f"OpenVINO could not take the {name}: {str(error).strip()[:200]}") from error
    for left in graph.parent.glob(f"{graph.name}*"):
        left.unlink()
    return path


def _write_samples(draft: Draft, path: Path) -> None:
    """The samples as an archive of numpy's: `number/input or output/name`."""
    import numpy

    arrays: dict[str, Any] = {}
    for number, sample in enumerate(draft.samples):
        arrays |= {f"{number}/input/{name}": tensor.numpy() for name, tensor in sample.inputs.items()}
        wanted = zip(draft.outputs, sample.wanted, strict=True)
        arrays |= {f"{number}/output/{name}": tensor.numpy() for name, tensor in wanted}
    numpy.savez_compressed(path, **arrays)


def _compare(network: Any, samples: Path) -> tuple[float, float]:
    """The largest difference between what a network makes of the samples and what torch did, and torch's largest."""
    import numpy

    difference = largest = 0.0
    with numpy.load(samples, allow_pickle=False) as arrays:
        for number in sorted({key.partition("/")[0] for key in arrays.files}):
            got = network.run({name: arrays[f"{number}/input/{name}"] for name in network.inputs})
            for name in network.outputs:
                wanted = arrays[f"{number}/output/{name}"]
                difference = max(difference, float(numpy.abs(got[name] - wanted).max()))
                largest = max(largest, float(numpy.abs(wanted).max()))
    return difference, largest
