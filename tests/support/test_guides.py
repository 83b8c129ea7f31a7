"""Blocks of the documentation are read and run as its conventions say."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.guides import Block, Command, Guide, is_shown, read_blocks, read_commands, sections

PAGE = """# Title
## `one` way

`service.py`:

```python
url = "http://exporter:19464"  # beside 19464 rows
```

```python
seen = given
```

```console
$ cat service.py
url = "http://127.0.0.1:7777"  # beside ... rows
```

## Another
"""


def make_guide(directory: Path, text: str) -> Guide:
    return Guide("one", text, directory, {19464: 7777}, {}, ExitStack(), "/usr/bin", {})


def test_a_page_has_sections_with_blocks() -> None:
    found = sections(PAGE)
    assert list(found) == ["one way", "Another"]
    file, program, console = read_blocks(found["one way"])
    assert file == Block("python", 'url = "http://exporter:19464"  # beside 19464 rows\n', "service.py")
    assert (program.file, console.language) == ("", "console")


def test_a_section_is_run_with_the_ports_of_the_test(tmp_path: Path) -> None:
    names = make_guide(tmp_path, sections(PAGE)["one way"]).run(given=7)
    assert names["seen"] == 7
    assert "beside 19464 rows" in (tmp_path / "service.py").read_text()


@pytest.mark.parametrize(
    ("shown", "output", "expected"),
    [
        (("a", "c"), "a\nb\nc\n", True),
        (("c", "a"), "a\nb\nc\n", False),
        (("a...c",), "abbc", True),
        (("a",), "ab", False),
        ((), "anything", True),
    ],
    ids=["in order", "out of order", "wildcard", "part of a line", "nothing shown"],
)
def test_shown_lines_occur_in_their_order(shown: tuple[str, ...], output: str, expected: bool) -> None:
    assert is_shown(shown, output) is expected


def test_a_command_goes_on_while_a_quotation_is_open() -> None:
    assert read_commands("$ a 'b\nc'\nd\n$ e &\n") == [Command("a 'b\nc'", ("d",)), Command("e &", ())]


@pytest.mark.parametrize(
    "text",
    ["$ exit 3", "$ echo one\ntwo", "$ curl -s --max-time 1 -d 1 file:///etc/hostname\nnever"],
    ids=["status", "output", "an answer that is another one"],
)
def test_a_command_that_does_not_do_what_is_shown_fails(tmp_path: Path, text: str) -> None:
    with pytest.raises(AssertionError, match="exit status"):
        make_guide(tmp_path, f"```console\n{text}\n```\n").run()


def test_a_section_without_blocks_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="nothing to run"):
        make_guide(tmp_path, "Text.").run()
