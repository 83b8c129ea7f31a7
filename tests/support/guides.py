"""Runs the blocks of a section of the documentation, as a reader does.

- A block after a line that ends in "`name.ext`:" is the content of that file.
- Other blocks of Python are one program, which runs in the test's process with the names that it is given.
- In blocks of the console, `$ command` runs in the shell, and the lines below it occur in its output in this
  order; `...` stands for anything. A command that ends in ` &` runs until the test ends. `curl` and
  `promtool query` are repeated until the server answers, and without a body until the answer is the one that
  is shown. `pip install` only checks that the packages are there, and `python -m venv` is left out.
- Addresses and ports are replaced by those of the test, everywhere.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.docs import page
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.programs import PLACES

CLIENT_PAGE = "exporter/client/README.md"
EXPORTER_PORT = 19464
# Ports of the documentation's servers.
PORTS = (EXPORTER_PORT, 3000, 5000, 5001, 8000, 8080, 8081, 8082, 9090)
STOP_SECONDS = 20.0
HOSTS = ("localhost", "127.0.0.1", "exporter")
PORT = re.compile(r"(127\.0\.0\.1:|\bport\W{1,3}|_port\W{1,3})(\d{4,5})\b")
ASKS = re.compile(r"\b(curl|promtool query) ")
FINAL = re.compile(r"returned error: (401|403|405|413|415|422)")  # no server that is still starting
RUN = ("python", "console")  # languages of blocks that are run; others are files, or only shown
BLOCK = re.compile(r"(?:`(?P<file>[\w./-]+)`:\n\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """Fenced block; `file` is the name of the file that it is the content of, if it is one."""

    language: str
    text: str
    file: str


@dataclass(frozen=True)
class Command:
    """Shell command, and the lines that it is shown to print."""

    line: str
    shown: tuple[str, ...]

    @property
    def background(self) -> bool:
        return self.line.endswith(" &")


def sections(text: str) -> dict[str, str]:
    """Return the parts of a page by their headings of the second level, without code of headings."""
    parts = re.split(r"^## (.+)$", text, flags=re.M)
    return {heading.replace("`", ""): part for heading, part in zip(parts[1::2], parts[2::2], strict=True)}


def read_blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a text."""
    return [Block(found["language"], found["text"], found["file"] or "") for found in BLOCK.finditer(text)]


def read_commands(text: str) -> list[Command]:
    """Return the commands of a block of the console; one with an open quotation or `\\` goes on below."""
    commands, lines = list[Command](), text.splitlines()
    while lines:
        line = lines.pop(0)
        assert line.startswith("$ "), f"no command: {line}"
        line = line[2:]
        while lines and _is_open(line):
            line += "\n" + lines.pop(0)
        shown = list[str]()
        while lines and not lines[0].startswith("$ "):
            shown.append(lines.pop(0))
        commands.append(Command(line, tuple(shown)))
    return commands


def _is_open(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return True
    return command.endswith("\\")


def is_shown(shown: tuple[str, ...], output: str) -> bool:
    """Return true if the lines occur in the output, in their order."""
    lines = iter(output.splitlines())
    for line in shown:
        pattern = re.compile(".*".join(map(re.escape, re.split(r"\.{3,}", line.rstrip()))))
        if not any(pattern.fullmatch(found.rstrip()) for found in lines):
            return False
    return True


class Guide:
    """A section's blocks, run in `directory`.

    Args:
        name: heading of the section, for messages.
        text: of the section.
        directory: where files are written and commands run.
        ports: of the test, by those of the documentation.
        replaced: further texts of the documentation, and those of the test.
        stack: ends the programs that run in the background.
        programs: directory of `python` and other programs that comes before the PATH.
        environment: variables beside the test's own.
    """

    def __init__(
        self,
        name: str,
        text: str,
        directory: Path,
        ports: Mapping[int, int],
        replaced: Mapping[str, str],
        stack: ExitStack,
        programs: str,
        environment: Mapping[str, str],
    ) -> None:
        self.name = name
        self.directory = directory
        self.ports = ports
        self.replaced = replaced
        self.blocks = read_blocks(text)
        self.log = directory / "guide.log"
        (directory / ".curlrc").write_text("fail-with-body\nshow-error\n")
        self.started: list[subprocess.Popen[bytes]] = []
        self._stack = stack
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
            "PYTHONUNBUFFERED": "1",
            "CURL_HOME": str(directory),
            **environment,
        }

    def run(self, **given: Any) -> dict[str, Any]:
        """Run all blocks in order; return the names of the Python ones, which begin with those `given`."""
        assert any(block.language in RUN for block in self.blocks), f"nothing to run in {self.name}"
        for block in self.blocks:
            if block.file:
                path = self.directory / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.localized(block.text))
            elif block.language == "python":
                exec(compile(self.localized(block.text), f"<{self.name}>", "exec"), given)
            elif block.language == "console":
                for command in read_commands(self.localized(block.text)):
                    self._run(command)
        return given

    def localized(self, text: str) -> str:
        """Return the text with the test's addresses for those of the documentation."""
        for said, meant in self.replaced.items():
            text = text.replace(said, meant)
        text = re.sub(rf"\b(?:{'|'.join(HOSTS)}):(?=\d)", "127.0.0.1:", text)
        return PORT.sub(lambda found: found[1] + str(self.ports.get(int(found[2]), found[2])), text)

    def _run(self, command: Command) -> None:
        if command.line.startswith("export "):
            self.environment |= dict(word.split("=", 1) for word in shlex.split(command.line)[1:])
        elif "venv" in command.line:
            return  # the test's own is there
        elif command.line.startswith("pip install"):
            self._check_installed(command.line)
        elif command.background:
            self._start(command.line.removesuffix(" &"))
        else:
            asks, sends = ASKS.search(command.line) is not None, " -d " in command.line
            deadline, pause = time.monotonic() + TIMEOUT_SECONDS, 0.1
            while True:
                done = subprocess.run(
                    ["bash", "-c", command.line],
                    cwd=self.directory,
                    env=self.environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=2 * TIMEOUT_SECONDS,
                )
                if done.returncode == 0 and is_shown(command.shown, done.stdout):
                    return
                started = self.log.read_text() if self.log.exists() else ""
                refused = sends and (done.returncode == 0 or FINAL.search(done.stdout) is not None)
                ended = not asks or refused or time.monotonic() > deadline
                assert not ended, (
                    f"{command.line}\nexit status {done.returncode}\n{done.stdout}\n{started[-5000:]}"
                )
                time.sleep(pause)
                pause = min(1.2 * pause, 1.0)

    def _start(self, line: str) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                ["bash", "-c", line],
                cwd=self.directory,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # servers start workers, which have to end with them
            )
        self.started.append(process)
        self._stack.callback(_stop, process)

    def _check_installed(self, line: str) -> None:
        named = [word for word in shlex.split(line)[2:] if re.match(r"\w", word)]
        names = [re.split(r"[\[<>=!~]", Path(word).name)[0] for word in named]
        look = "import sys; from importlib.metadata import version; [version(name) for name in sys.argv[1:]]"
        subprocess.run(["python", "-c", look, *names], env=self.environment, check=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            while time.monotonic() < deadline:
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(0.05)
    process.wait()


OpenGuide = Callable[..., Guide]


@pytest.fixture
def open_guide(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[OpenGuide]:
    """`open_guide("FastAPI", exporter.url)`: a section of the client's page, run against this exporter.

    Without a section it is the whole page `name`.
    """
    with ExitStack() as stack:

        def open_one(
            section: str,
            exporter_url: str,
            *,
            name: str = CLIENT_PAGE,
            place: str = "",
            environment: Mapping[str, str] | None = None,
            replaced: Mapping[str, str] | None = None,
        ) -> Guide:
            others = [port for port in PORTS if port != EXPORTER_PORT]
            mapped = dict(zip(others, free_ports(len(others)), strict=True))
            mapped[EXPORTER_PORT] = int(exporter_url.rpartition(":")[2])
            programs = PLACES[place] if place else str(Path(sys.executable).parent)
            text = sections(page(name))[section] if section else page(name)
            return Guide(section, text, tmp_path, mapped, replaced or {}, stack, programs, environment or {})

        yield open_one
