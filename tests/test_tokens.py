"""Files of tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.tokens import MAX_FILE_BYTES, SCOPES, find_token, load_tokens

SECRET = "Zk4uW8eRm2aTq6Ns"


def load(directory: Path, text: str, single: str = "") -> dict[str, frozenset[str]]:
    (directory / "tokens").write_text(text)
    (directory / "token").write_text(single)
    found = load_tokens(str(directory / "token") if single else "", str(directory / "tokens"))
    return {token.name: token.scopes for token in found}


def test_lines_have_a_name_a_token_and_scopes(tmp_path: Path) -> None:
    text = f"""
    # who does what
    alertmanager: {SECRET} alerts
    grace@example.org:{SECRET}2\tapprove , audit
    looker: {SECRET}:3
    """
    assert load(tmp_path, text) == {
        "alertmanager": {"alerts"},
        "grace@example.org": {"approve", "audit"},
        "looker": frozenset(),
    }


def test_a_token_is_found_by_its_whole_text(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"a: {SECRET}1 ingest\nb: {SECRET}2 admin\n")
    tokens = load_tokens("", str(tmp_path / "tokens"))
    found = find_token(tokens, f"{SECRET}2")
    assert found
    assert (found.name, [scope for scope in (*SCOPES, None) if found.may(scope)]) == ("b", [*SCOPES, None])
    first = find_token(tokens, f"{SECRET}1")
    assert first
    assert [scope for scope in (*SCOPES, None) if first.may(scope)] == ["ingest", None]
    for given in ("", SECRET, f"{SECRET}3", f"{SECRET}1 ", "é"):
        assert find_token(tokens, given) is None


def test_no_token_is_kept_in_memory_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"a: {SECRET}\n")
    assert SECRET not in repr(load_tokens("", str(tmp_path / "tokens")))


MISTAKES = {
    "a line without a colon": (f"grace {SECRET}", ":1: no `name: token`"),
    "no name": (f": {SECRET}", ":1: the name has to begin with a letter"),
    "a name with a blank": (f"grace hopper: {SECRET}", ":1: the name has to begin with a letter"),
    "a name that has a meaning": (f"# who\nSystem: {SECRET}", ":2: System means something else"),
    "no token": ("grace:", ":1: the token of grace has to be 16 or more"),
    "a short token": (f"grace: {SECRET[:15]}", ":1: the token of grace has to be 16 or more"),
    "a token that is not ASCII": (f"grace: {SECRET}é", ":1: the token of grace has to be"),
    "an unknown scope": (f"grace: {SECRET} approve,root", ":1: grace has an unknown scope; known are"),
    "scopes without a comma": (f"grace: {SECRET} approve audit", ":1: grace has an unknown scope"),
    "a name twice": (f"grace: {SECRET}\ngrace: {SECRET}2", ": grace is there twice"),
    "a token twice": (f"grace: {SECRET}\nada: {SECRET}", ": grace and ada share a token"),
    "no line": ("# nothing\n\n", " has no token"),
    "too many": ("".join(f"n{i}: {SECRET}{i}\n" for i in range(1001)), " has 1001 tokens, at most 1000"),
    "a large file": ("#" * (MAX_FILE_BYTES + 1), " is larger than 1048576 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_without_the_token(tmp_path: Path, mistake: str) -> None:
    text, said = MISTAKES[mistake]
    with pytest.raises(ConfigError) as found:
        load(tmp_path, text)
    assert str(found.value).startswith(f"EXPORTER_API_TOKENS_FILE {tmp_path / 'tokens'}{said}")
    assert SECRET[:15] not in str(found.value)


def test_a_named_token_may_not_be_the_single_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="default and grace share a token"):
        load(tmp_path, f"grace: {SECRET} approve", SECRET)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="EXPORTER_API_TOKENS_FILE /nowhere cannot be read: No such file"):
        load_tokens("", "/nowhere")
    (tmp_path / "tokens").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="tokens is no text"):
        load_tokens("", str(tmp_path / "tokens"))
