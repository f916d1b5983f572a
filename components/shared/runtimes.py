"""What runs `model.onnx`: ONNX Runtime or OpenVINO behind one interface, so that every user of a model can choose."""

from __future__ import annotations

import queue
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from belisha.components.shared.errors import ContractError, InputError

FloatTensor = npt.NDArray[np.float32]

ONNX_RUNTIME = "onnxruntime"
OPENVINO = "openvino"
CPU_PROVIDERS = ("CPUExecutionProvider",)
# Name of the output `(1, e)` that describes the whole picture; older models have none.
EMBEDDING_OUTPUT = "embedding"
_CUDA = "CUDAExecutionProvider"


class Runtime(Protocol):
    """A loaded model. Safe to call from several threads."""

    @property
    def name(self) -> str:
        """The runtime and where it computes, for logs and metrics."""
        ...

    def run(self, tensor: FloatTensor) -> tuple[FloatTensor, FloatTensor]:
        """The model's first output for one input tensor, and its embedding `(e,)`, of length 0 where it has none."""
        ...


def open_runtime(
    name: str, path: Path, *, threads: int = 1, concurrency: int = 1, providers: tuple[str, ...] = CPU_PROVIDERS
) -> Runtime:
    """Load a model.

    Args:
        name: `onnxruntime` or `openvino`.
        path: of `model.onnx`.
        threads: CPU threads for one inference.
        concurrency: inferences that may run at once; more wait for a place where the runtime needs one.
        providers: ONNX Runtime execution providers, best first.

    Raises:
        InputError: no runtime has that name, or it is not installed.
        ContractError: the file is no model that the runtime can load.
    """
    try:
        if name == ONNX_RUNTIME:
            return _OnnxRuntime(path, threads, providers)
        if name == OPENVINO:
            return _OpenVino(path, threads, concurrency)
    except ImportError as error:
        raise InputError(f"runtime {name} is not installed here ({error}): choose another") from None
    except Exception as error:  # runtimes raise types of their own, which differ by version
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise ContractError(
            f"{path} cannot be loaded by {name} ({reason}): export the model again, or take another version"
        ) from error
    raise InputError(f"runtime {name!r} is not known: choose {ONNX_RUNTIME} or {OPENVINO}")


def gpu_providers() -> tuple[str, ...]:
    """ONNX Runtime's providers with CUDA first where it is built for it and a GPU is there; else the CPU alone."""
    import onnxruntime

    return (_CUDA, *CPU_PROVIDERS) if _CUDA in onnxruntime.get_available_providers() else CPU_PROVIDERS


class _OnnxRuntime:
    def __init__(self, path: Path, threads: int, providers: tuple[str, ...]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # TF32 would move boxes by pixels for speed that a detector of this size does not need.
        chosen = [(name, {"use_tf32": "0"}) if name == _CUDA else name for name in providers]
        self._session = onnxruntime.InferenceSession(str(path), options, providers=chosen)
        self._input_name: str = self._session.get_inputs()[0].name
        self._embedding = _place_of_embedding([output.name for output in self._session.get_outputs()])

    @property
    def name(self) -> str:
        cuda = _CUDA in self._session.get_providers()
        return f"{ONNX_RUNTIME}-cuda" if cuda else ONNX_RUNTIME

    def run(self, tensor: FloatTensor) -> tuple[FloatTensor, FloatTensor]:
        found = self._session.run(None, {self._input_name: tensor})
        return np.asarray(found[0]), _embedding_in(found, self._embedding)


class _OpenVino:
    """OpenVINO on the CPU; an infer request serves one caller at a time, so there is one for each place."""

    name = OPENVINO

    def __init__(self, path: Path, threads: int, concurrency: int) -> None:
        settings = {
            # Its default on newer processors is bfloat16, which moves boxes.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads * concurrency,
            "NUM_STREAMS": concurrency,
        }
        compiled = _openvino().Core().compile_model(str(path), "CPU", settings)
        names = [next(iter(output.get_names()), "") for output in compiled.outputs]
        self._embedding = _place_of_embedding(names)
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(concurrency):
            self._requests.put(compiled.create_infer_request())

    def run(self, tensor: FloatTensor) -> tuple[FloatTensor, FloatTensor]:
        request = self._requests.get()
        try:
            found = request.infer([tensor], share_inputs=True)
            # The output tensors belong to the request and are overwritten by its next caller.
            return np.array(found[0]), _embedding_in(found, self._embedding).copy()
        finally:
            self._requests.put(request)


def _place_of_embedding(names: Sequence[str]) -> int | None:
    return names.index(EMBEDDING_OUTPUT) if EMBEDDING_OUTPUT in names else None


def _embedding_in(outputs: Any, place: int | None) -> FloatTensor:
    return np.zeros(0, np.float32) if place is None else np.asarray(outputs[place], np.float32).ravel()


def _openvino() -> Any:
    """OpenVINO without its telemetry, which would report the mere import to its maker."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
