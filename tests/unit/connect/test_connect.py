"""What `run.py connect` tells each client, and how it is merged into a file that is there."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from src.commands import connect as command
from src.connect import jsonc
from src.connect.clients import CLIENTS, KEY, ConnectedClient, Endpoint, named
from src.connect.merge import Unmergeable, merged, shown_diff
from src.settings import Settings

OPEN = Endpoint("http://127.0.0.1:8000", "org/model", 8192)
KEYED = Endpoint("http://127.0.0.1:8000", "org/model", 8192, keyed=True)
MERGED = [client for client in CLIENTS if client.file is not None]
SECRET = "sk-of-another-service"  # noqa: S105  # it only looks like one


def client(name: str) -> ConnectedClient:
    found = named(name)
    assert found is not None
    return found


def parsed(one: ConnectedClient, text: str) -> Any:
    if one.format == "toml":
        return tomllib.loads(text)
    return json.loads(text) if one.format == "json" else YAML(typ="safe").load(text)


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in strings(one)]
    return [text for one in value for text in strings(one)] if isinstance(value, list) else [str(value)]


def test_the_clients_of_the_issue_are_all_there() -> None:
    names = {"codex", "claude-code", "opencode", "qwen-code", "aider", "open-webui", "continue", "zed", "langchain"}
    assert {one.name for one in CLIENTS} == {*names, "litellm"}


@pytest.mark.parametrize("one", CLIENTS, ids=lambda one: one.name)
@pytest.mark.parametrize("endpoint", [OPEN, KEYED], ids=["open", "keyed"])
def test_each_client_is_told_url_and_model(one: ConnectedClient, endpoint: Endpoint) -> None:
    text = one.text(endpoint) if one.text else merged("", one, endpoint)
    assert "http://127.0.0.1:8000" in text
    assert "org/model" in text
    assert "None" not in text
    if one.file is not None:
        assert parsed(one, text)


@pytest.mark.parametrize("one", CLIENTS, ids=lambda one: one.name)
def test_a_key_is_named_where_there_is_one_and_else_a_placeholder_suffices(one: ConnectedClient) -> None:
    def said(at: Endpoint) -> str:
        return str(one.exports(at)) + (one.text(at) if one.text else merged("", one, at))

    assert KEY in said(KEYED)
    # Zed and Qwen Code know a key by its variable alone; Codex needs none
    assert "unused" in said(OPEN) or one.name == "codex"
    assert KEY not in said(OPEN) or one.name in ("zed", "qwen-code")


@pytest.mark.parametrize("one", MERGED, ids=lambda one: one.name)
@pytest.mark.parametrize("endpoint", [OPEN, KEYED], ids=["open", "keyed"])
def test_merging_twice_changes_nothing(one: ConnectedClient, endpoint: Endpoint) -> None:
    once = merged("", one, endpoint)
    assert merged(once, one, endpoint) == once


@pytest.mark.parametrize("one", MERGED, ids=lambda one: one.name)
def test_a_key_that_nobody_needs_any_more_goes(one: ConnectedClient) -> None:
    again = merged(merged("", one, KEYED), one, OPEN)
    assert parsed(one, again) == parsed(one, merged("", one, OPEN))


def test_toml_keeps_comments_and_other_providers() -> None:
    before = (
        '# mine\napproval_policy = "never"  # no questions\n\n[model_providers.other]\n'
        'base_url = "https://example.com"  # theirs\n\n[mcp_servers.files]\ncommand = "files"\n'
    )
    after = merged(before, client("codex"), KEYED)
    assert "# mine\n" in after
    assert "# no questions" in after
    assert "# theirs" in after
    read = tomllib.loads(after)
    assert read["model"] == "org/model"
    assert read["approval_policy"] == "never"
    assert read["mcp_servers"] == {"files": {"command": "files"}}
    assert set(read["model_providers"]) == {"other", "stoker"}


@pytest.mark.parametrize("indent", ["  ", ""])
def test_yaml_keeps_comments_quotes_and_the_way_its_lists_stand(indent: str) -> None:
    before = f'name: "Mine"  # my own\nversion: 1.0.0\nmodels:\n{indent}- name: Other  # kept\n{indent}  model: x\n'
    after = merged(before, client("continue"), OPEN)
    assert after.startswith(before)
    assert [one["name"] for one in YAML(typ="safe").load(after)["models"]] == ["Other", "Stoker: org/model"]


def test_yaml_of_comments_alone_keeps_them() -> None:
    after = merged("# aider's sample\n#model: xxx\n", client("aider"), OPEN)
    assert after.startswith("# aider's sample\n#model: xxx\nmodel: openai/org/model\n")


def test_json_keeps_order_indent_and_other_settings() -> None:
    before = '{\n    "theme": "dark",\n    "env": {\n        "FOO": "ü"\n    }\n}\n'
    after = merged(before, client("claude-code"), KEYED)
    assert after.startswith('{\n    "theme": "dark",\n    "env": {\n        "FOO": "ü",\n')
    assert json.loads(after)["env"]["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8000"


def test_entries_of_a_list_are_replaced_by_name() -> None:
    zed = client("zed")
    again = merged(merged("", zed, OPEN), zed, Endpoint(OPEN.url, OPEN.model, 4096))
    models = json.loads(again)["language_models"]["openai_compatible"]["Stoker"]["available_models"]
    assert [(one["name"], one["max_tokens"]) for one in models] == [("org/model", 4096)]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("zed", '{"a": 1 /* open }', "no JSON: unexpected text in line 1"),
        ("zed", '{"a": 1,, "b": 2}', "no JSON: unexpected text in line 1"),
        ("zed", "// mine\n[1]\n", "no JSON object"),
        ("zed", '{"agent": 1, // mine\n}', "'agent'"),
        ("zed", "[" * 200, "deep"),
        ("opencode", "{broken", "no JSON"),
        ("opencode", "[1]", "no JSON object"),
        ("claude-code", '{"env": "x"}', "'env'"),
        ("codex", "a = ", "no TOML"),
        ("aider", "a: [", "no YAML"),
        ("aider", "- a\n", "no YAML mapping"),
    ],
)
def test_a_file_that_would_lose_something_is_left_alone(name: str, text: str, why: str) -> None:
    with pytest.raises(Unmergeable, match=why):
        merged(text, client(name), OPEN)


ZED = """// Zed settings
{
  // how it looks
  "theme": "One Dark", // mine
  "agent": {
    "default_model": { "provider": "x", "model": "y" }, /* theirs */
    "play_sound": true // kept
  },
  "language_models": {
    "openai_compatible": {
      "Other": { "api_url": "https://example.com//v1", "available_models": [] },
    },
  },
}
"""


def test_json_with_comments_keeps_them() -> None:
    """As Zed's own file: what we set changes, and nothing else does."""
    zed = client("zed")
    after = merged(ZED, zed, OPEN)
    for comment in ("// Zed settings\n{", "  // how it looks\n", "// mine\n", "/* theirs */", "true // kept\n"):
        assert comment in after
    read = jsonc.parse(after).value
    assert read["theme"] == "One Dark"
    assert read["agent"] == {"default_model": {"provider": "Stoker", "model": "org/model"}, "play_sound": True}
    compatible = read["language_models"]["openai_compatible"]
    assert compatible["Other"]["api_url"] == "https://example.com//v1"
    assert compatible["Stoker"]["api_url"] == OPEN.v1
    assert merged(after, zed, OPEN) == after
    wider = merged(after, zed, Endpoint(OPEN.url, OPEN.model, 4096))
    assert jsonc.parse(wider).value["language_models"]["openai_compatible"]["Stoker"]["available_models"][0] == {
        **compatible["Stoker"]["available_models"][0],
        "max_tokens": 4096,
    }
    shown = shown_diff(after, wider, "settings.json").splitlines()
    assert sum(line.startswith("+") and not line.startswith("+++") for line in shown) == 1


@pytest.mark.parametrize("one", [one for one in MERGED if one.format == "json"], ids=lambda one: one.name)
@pytest.mark.parametrize(
    "before",
    [
        "{ // nothing\n}",
        "{}  // no",
        '{"a": 1 // one\n}',
        '{\n\t"a": [1, 2,], // tabs\n}',
        "/* a */ { /* b */ } // c",
        "// none",
    ],
)
def test_comments_may_stand_anywhere(one: ConnectedClient, before: str) -> None:
    """Whatever the file is like, it holds what a file without comments would; a key that goes takes its comma along."""
    keyed = merged(before, one, KEYED)
    old = {} if jsonc.is_empty(before) else jsonc.parse(before).value
    assert {**jsonc.parse(keyed).value, "x": 1} == json.loads(merged(json.dumps({**old, "x": 1}), one, KEYED))
    opened = merged(keyed, one, OPEN)
    assert jsonc.parse(opened).value == json.loads(merged(json.dumps(jsonc.parse(keyed).value), one, OPEN))
    assert opened.count("//") - opened.count("://") == before.count("//")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{\n  "a": 1, // one\n  "b": 2\n}', '{\n  // one\n  "b": 2\n}'),
        ('{\n  "b": 2, // two\n  "a": 1\n}', '{\n  "b": 2 // two\n}'),
        ('{ "a": 1, }', "{  }"),
    ],
)
def test_a_member_goes_with_its_comma(before: str, after: str) -> None:
    gone = jsonc.removed(before, ("a",))
    assert jsonc.parse(gone).value == jsonc.parse(after).value
    assert [line.strip() for line in gone.splitlines()] == [line.strip() for line in after.splitlines()]


def test_a_diff_shows_no_key() -> None:
    before = f'{{\n  "env": {{\n    "ANTHROPIC_AUTH_TOKEN": "{SECRET}"\n  }}\n}}\n'
    shown = shown_diff(before, merged(before, client("claude-code"), KEYED), "settings.json")
    assert SECRET not in shown
    assert '"ANTHROPIC_AUTH_TOKEN": "********' in shown
    assert f"printenv {KEY}" in shown


def run(settings: Settings, *argv: str) -> int:
    from src.cli import make_parser

    return int(command.run(make_parser().parse_args(["connect", *argv]), settings))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(runtime_dir=tmp_path, port=8123, default_model="demo")


def test_alone_it_lists(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(settings) == 0
    out = capsys.readouterr().out
    assert all(one.name in out and one.title in out for one in CLIENTS)


def test_printed_text_is_what_a_file_would_hold(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(settings, "codex") == 0
    out = capsys.readouterr().out
    assert tomllib.loads(out)["model_providers"]["stoker"]["base_url"] == "http://127.0.0.1:8123/v1"


def test_writing_shows_a_diff_and_keeps_a_private_backup(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text('model = "gpt"\n')
    real.chmod(0o600)
    link = tmp_path / "config.toml"
    link.symlink_to(real)
    assert run(settings, "codex", "--write", "--file", str(link), "--model", "m", "--url", "https://llm.lan/v1/") == 0
    out = capsys.readouterr().out
    assert '-model = "gpt"\n+model = "m"\n' in out
    (backup,) = tmp_path.glob("dotfiles.toml.*.bak")
    assert backup.read_text() == 'model = "gpt"\n'
    assert link.is_symlink()
    assert {stat.S_IMODE(one.stat().st_mode) for one in (real, backup)} == {0o600}
    assert tomllib.loads(real.read_text())["model_providers"]["stoker"]["base_url"] == "https://llm.lan/v1"
    assert run(settings, "codex", "--write", "--file", str(link), "--model", "m", "--url", "https://llm.lan/v1/") == 0
    assert len(list(tmp_path.glob("*.bak"))) == 1


def test_what_cannot_be_merged_is_not_touched(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.json"
    file.write_text('// mine\n{"theme": One}\n')
    assert run(settings, "zed", "--write", "--file", str(file)) == 1
    said = capsys.readouterr()
    assert "was not written: it is no JSON: unexpected text in line 2. These settings belong into it:" in said.err
    assert json.loads(said.out)["agent"]["default_model"] == {"provider": "Stoker", "model": "demo"}
    assert file.read_text() == '// mine\n{"theme": One}\n'
    assert list(tmp_path.glob("*.bak")) == []
    assert run(settings, "langchain", "--write") == 1


def test_the_context_is_known_without_an_engine(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """From the model's files, also under an alias, MAX_MODEL_LEN or --context; else it is said to be missing."""
    elsewhere = settings.model_copy(update={"default_model": "org/elsewhere", "model_aliases": "gpt-*=demo"})
    limited = elsewhere.model_copy(update={"max_model_len": 4096})
    for given, argv, context in (
        (settings, (), 2048),
        (elsewhere, ("--model", "gpt-5"), 2048),
        (limited, (), 4096),
        (elsewhere, ("--context", "8192"), 8192),
    ):
        assert run(given, "codex", *argv) == 0
        said = capsys.readouterr()
        assert tomllib.loads(said.out)["model_context_window"] == context
        assert "context" not in said.err
    assert run(elsewhere, "codex") == 0
    said = capsys.readouterr()
    assert "model_context_window" not in said.out
    assert "Codex CLI is not told the model's context" in said.err
    assert run(elsewhere, "aider") == 0
    assert "context" not in capsys.readouterr().err


def test_no_key_is_printed(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    key = "k" * 43
    keyed = settings.model_copy(update={"api_keys": f"me:user:{key}"})
    for one in CLIENTS:
        assert run(keyed, one.name) == 0
    said = capsys.readouterr()
    assert key not in said.out + said.err


def test_a_key_with_an_escape_that_json_has_not_is_no_jsonc() -> None:
    with pytest.raises(jsonc.NotJsonc):
        jsonc.parse('{"C:\\proj": 1} // mine\n')
