"""The kernel's pressure files, and the kernels that have none."""
from __future__ import annotations

import pytest

from heartbeat.pressure import Pressure, read

SOME = "some avg10={} avg60=0.09 avg300=0.27 total=16412235\n"
FULL = "full avg10={} avg60=0.04 avg300=0.17 total=13174188\n"


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "pressure").mkdir()
    for number, name in enumerate(("cpu", "memory", "io")):
        (tmp_path / "pressure" / name).write_text(SOME.format(f"{number}1.50") + FULL.format(f"{number}0.25"))
    return tmp_path


def test_processors_tell_of_some_and_memory_and_disks_of_all(proc):
    assert read(str(proc)) == Pressure(cpu=1.5, memory=10.25, io=20.25)


def test_a_kernel_without_pressure_files_knows_of_no_pressure(tmp_path):
    assert read(str(tmp_path)) == (0, 0, 0)


@pytest.mark.parametrize("content", ["", "\n", "some\n", "some avg10\n", "some avg10=\n", "some avg10=x\n",
                                     "some avg60=3.00\n", "full avg10=9.00\n", "some avg10=1.0 a=b=c " + "x" * 9999])
def test_a_file_that_says_something_else_is_no_pressure(proc, content):
    (proc / "pressure/cpu").write_text(content)
    assert read(str(proc)) == Pressure(0, 10.25, 20.25)


def test_this_kernel_is_understood():
    assert all(0 <= value <= 100 for value in read())
