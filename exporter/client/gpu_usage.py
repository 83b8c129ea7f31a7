"""Use of the GPUs that a process works on, by NVML, where its Python binding `pynvml` is installed."""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

MAX_GPUS = 16


def read_gpus(root: Path) -> list[dict[str, object]]:
    """Return name, utilization (0 to 1), used memory and memory (bytes) of each device; empty without NVML.

    The figures are of the whole device, by all its processes. The devices are those on which NVML sees this
    process. In a container it may not know its number; then they are all that the container sees, if the
    process has loaded CUDA.
    """
    nvml = _start_nvml(os.getpid())
    if nvml is None:
        return []
    devices = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    used = [device for device in devices if _is_ours(nvml, device)]
    if not used and _has_loaded_cuda(root):
        used = devices
    return [_figures(nvml, device) for device in used[:MAX_GPUS]]


@lru_cache(maxsize=1)
def _start_nvml(process: int) -> Any:
    """Return the started library; None if it or its driver is missing. A forked child starts its own."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # noqa: BLE001 - no driver, no permission, another module of this name
        return None
    return nvml


def _is_ours(nvml: Any, device: Any) -> bool:
    for ask in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
        with suppress(nvml.NVMLError):
            if any(process.pid == os.getpid() for process in ask(device)):
                return True
    return False


def _has_loaded_cuda(root: Path) -> bool:
    try:
        return "/libcuda.so" in (root / "proc/self/maps").read_text(errors="replace")
    except OSError:
        return False


def _figures(nvml: Any, device: Any) -> dict[str, object]:
    name = nvml.nvmlDeviceGetUUID(device)
    figures: dict[str, object] = {"gpu": name.decode() if isinstance(name, bytes) else name}
    with suppress(nvml.NVMLError):  # a part of a device (MIG) does not tell it
        figures["utilization_ratio"] = nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100
    with suppress(nvml.NVMLError):
        memory = nvml.nvmlDeviceGetMemoryInfo(device)
        figures |= {"memory_bytes": int(memory.used), "memory_limit_bytes": int(memory.total)}
    return figures
