"""Limits of control groups, as kernels and container runtimes show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.client.cgroup_limits import read_cpu_quota, read_memory_limit

V2 = "31 23 0:28 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
CPU = "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
MEMORY = "33 31 0:30 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
DISK = "22 1 8:1 / / rw - ext4 /dev/sda1 rw"


def machine(root: Path, cgroup: str, mounts: list[str], files: dict[str, str]) -> Path:
    """Write what a process sees, with files below `sys/fs/cgroup`."""
    process = root / "proc" / "self"
    process.mkdir(parents=True)
    (process / "cgroup").write_text(cgroup)
    (process / "mountinfo").write_text("\n".join([DISK, *mounts]) + "\n")
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


@pytest.mark.parametrize(
    ("cgroup", "mounts", "files", "cores"),
    [
        pytest.param("0::/\n", [V2.format(root="/")], {"cpu.max": "150000 100000"}, 1.5, id="container-v2"),
        pytest.param("0::/\n", [V2.format(root="/")], {"cpu.max": "max 100000"}, None, id="unlimited-v2"),
        pytest.param(
            "0::/kubepods/pod1/app\n",
            [V2.format(root="/")],
            {
                "kubepods/cpu.max": "max 100000",
                "kubepods/pod1/cpu.max": "200000 100000",
                "kubepods/pod1/app/cpu.max": "400000 100000",
            },
            2.0,
            id="a-group-above-is-tighter",
        ),
        pytest.param(
            "0::/../../other\n",
            [V2.format(root="/")],
            {"cpu.max": "50000 100000"},
            0.5,
            id="outside-of-the-namespace",
        ),
        pytest.param(
            "5:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n",
            [CPU.format(root="/docker/ab")],
            {"cpu,cpuacct/cpu.cfs_quota_us": "300000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            3.0,
            id="container-v1",
        ),
        pytest.param(
            "5:cpu,cpuacct:/user\n",
            [CPU.format(root="/")],
            {"cpu,cpuacct/user/cpu.cfs_quota_us": "-1", "cpu,cpuacct/user/cpu.cfs_period_us": "100000"},
            None,
            id="unlimited-v1",
        ),
        pytest.param(
            "5:cpu,cpuacct:/job\n0::/job\n",
            [V2.format(root="/").replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified"), CPU.format(root="/")],
            {"cpu,cpuacct/job/cpu.cfs_quota_us": "80000", "cpu,cpuacct/job/cpu.cfs_period_us": "100000"},
            0.8,
            id="hybrid",
        ),
        pytest.param("0::/\n", [V2.format(root="/")], {"cpu.max": "what"}, None, id="unreadable"),
        pytest.param("0::/\n", [], {}, None, id="nothing-mounted"),
    ],
)
def test_the_quota_is_the_least_on_the_way_up(
    tmp_path: Path, cgroup: str, mounts: list[str], files: dict[str, str], cores: float | None
) -> None:
    assert read_cpu_quota(machine(tmp_path, cgroup, mounts, files)) == cores


@pytest.mark.parametrize(
    ("cgroup", "mounts", "files", "limit"),
    [
        pytest.param("0::/\n", [V2.format(root="/")], {"memory.max": "1048576"}, 2**20, id="v2"),
        pytest.param("0::/\n", [V2.format(root="/")], {"memory.max": "max"}, None, id="unlimited-v2"),
        pytest.param(
            "4:memory:/docker/ab\n",
            [MEMORY.format(root="/docker/ab")],
            {"memory/memory.limit_in_bytes": "1048576"},
            2**20,
            id="v1",
        ),
        pytest.param(
            "4:memory:/\n",
            [MEMORY.format(root="/")],
            {"memory/memory.limit_in_bytes": "9223372036854771712"},
            None,
            id="unlimited-v1",
        ),
    ],
)
def test_the_memory_limit(
    tmp_path: Path, cgroup: str, mounts: list[str], files: dict[str, str], limit: int | None
) -> None:
    assert read_memory_limit(machine(tmp_path, cgroup, mounts, files)) == limit


def test_a_machine_without_proc_has_no_limits(tmp_path: Path) -> None:
    assert (read_cpu_quota(tmp_path), read_memory_limit(tmp_path)) == (None, None)
