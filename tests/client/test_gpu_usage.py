"""GPUs of a process, by an NVML with the functions and errors of `nvidia-ml-py`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from exporter.client import gpu_usage
from exporter.client.process_usage import read_usage


class NVMLError(Exception):
    pass


class FakeNvml(ModuleType):
    """Devices with the processes that are on them; `broken` cannot be started."""

    NVMLError = NVMLError

    def __init__(self, *processes: tuple[int, ...], broken: bool = False) -> None:
        super().__init__("pynvml")
        self._processes = processes
        self._broken = broken

    def nvmlInit(self) -> None:  # noqa: N802
        if self._broken:
            raise NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self._processes)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetComputeRunningProcesses(self, device: int) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in self._processes[device]]

    def nvmlDeviceGetGraphicsRunningProcesses(self, device: int) -> list[Any]:  # noqa: N802
        raise NVMLError("Not Supported")

    def nvmlDeviceGetUUID(self, device: int) -> str:  # noqa: N802
        return f"GPU-{device}"

    def nvmlDeviceGetUtilizationRates(self, device: int) -> Any:  # noqa: N802
        if device == 1:
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=40, memory=12)

    def nvmlDeviceGetMemoryInfo(self, device: int) -> Any:  # noqa: N802
        return SimpleNamespace(used=3_000_000_000, total=16_000_000_000, free=13_000_000_000)


MEMORY = {"memory_bytes": 3_000_000_000, "memory_limit_bytes": 16_000_000_000}
FIRST = {"gpu": "GPU-0", "utilization_ratio": 0.4, **MEMORY}
SECOND = {"gpu": "GPU-1", **MEMORY}  # does not tell its utilization


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    gpu_usage._start_nvml.cache_clear()
    yield
    gpu_usage._start_nvml.cache_clear()


def use(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml | None) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)


def machine(root: Path, *, cuda: bool) -> Path:
    (root / "proc" / "self").mkdir(parents=True)
    loaded = "7f0 r-xp 00000000 08:01 12 /usr/lib/x86_64-linux-gnu/libcuda.so.1\n" if cuda else ""
    (root / "proc" / "self" / "maps").write_text(loaded)
    return root


def test_the_devices_are_those_that_the_process_is_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, FakeNvml((1, os.getpid()), (1,)))
    assert gpu_usage.read_gpus(machine(tmp_path, cuda=True)) == [FIRST]


def test_where_the_process_has_another_number_they_are_all_if_it_uses_cuda(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, FakeNvml((), ()))
    assert gpu_usage.read_gpus(machine(tmp_path / "a", cuda=True)) == [FIRST, SECOND]
    assert gpu_usage.read_gpus(machine(tmp_path / "b", cuda=False)) == []
    assert gpu_usage.read_gpus(tmp_path) == []


@pytest.mark.parametrize("nvml", [None, FakeNvml(broken=True)], ids=["not-installed", "no-driver"])
def test_without_nvml_there_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nvml: FakeNvml | None
) -> None:
    use(monkeypatch, nvml)
    assert gpu_usage.read_gpus(tmp_path) == []


def test_a_failing_library_costs_only_its_own_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeNvml((os.getpid(),)))
    monkeypatch.delattr(FakeNvml, "nvmlDeviceGetUUID")
    usage = read_usage()
    assert "gpus" not in usage
    assert "memory_bytes" in usage
