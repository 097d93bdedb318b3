"""Hosts, ports, fingerprints and orders: what ranks know of each other before they join."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from src.engine.backend import Step, Token
from src.engine.ranks import leader, link
from src.engine.ranks.hosts import RankHost, is_here, read_hosts
from src.engine.ranks.steps import checksum
from src.errors import ModelLoadFailed
from src.ipc.messages.ranks import RankPrepared
from src.settings import rank_environment
from tests.conftest import MakeSettings

TWO = (RankHost("mac1", "10.0.0.1"), RankHost("mac2", "10.0.0.2"))


def test_hosts_are_names_or_a_hostfile_of_mlx_launch(make_settings: MakeSettings, tmp_path: Path) -> None:
    assert read_hosts(make_settings()) == ()
    pair = read_hosts(make_settings(engine_hosts="127.0.0.1, localhost"))
    assert [host.address for host in pair] == ["127.0.0.1", "127.0.0.1"]
    assert not is_here(pair[1], pair)
    file = tmp_path / "hosts.json"
    entries = [{"ssh": "a", "ips": ["10.0.0.1"], "rdma": [None, "en5"]}, {"ssh": "b", "ips": ["10.0.0.2"]}]
    for content in (entries, {"backend": "ring", "hosts": entries}):
        file.write_text(json.dumps(content))
        found = read_hosts(make_settings(engine_hosts=str(file)))
        assert found == (RankHost("a", "10.0.0.1", (None, "en5")), RankHost("b", "10.0.0.2"))


def test_a_hostfile_lies_below_home(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every relative path in settings; of a package the code's folder is site-packages."""
    monkeypatch.setenv("STOKER_HOME", str(tmp_path))
    (tmp_path / "hosts.json").write_text(json.dumps([{"ssh": name, "ips": ["10.0.0.1"]} for name in "ab"]))
    found = read_hosts(make_settings(engine_hosts="hosts.json"))
    assert [host.name for host in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("hosts", "content", "said"),
    [
        ("127.0.0.1", None, "names 1 rank"),
        ("127.0.0.1,no such host", None, "'no such host' has no address"),
        ("hosts.json", None, "cannot be read"),
        ("hosts.json", "{", "is no hostfile"),
        ("hosts.json", '[{"ssh": "a"}]', "is no hostfile"),
        ("hosts.json", '[{"ssh": "a", "ips": []}, 1]', "is no hostfile"),
    ],
)
def test_bad_hosts_are_named(
    hosts: str, content: str | None, said: str, make_settings: MakeSettings, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / hosts).write_text(content)
    named = str(tmp_path / hosts) if hosts.endswith(".json") else hosts
    with pytest.raises(ModelLoadFailed, match=said):
        read_hosts(make_settings(engine_hosts=named))


@pytest.mark.parametrize(
    ("first", "said"), [([], "names 0 RDMA devices"), (["en1", "en2"], "every rank but itself"), ([None, "en5"], None)]
)
def test_jaccl_needs_a_device_for_every_other_rank(
    first: list[str | None], said: str | None, make_settings: MakeSettings, tmp_path: Path
) -> None:
    file = tmp_path / "hosts.json"
    second = {"ssh": "b", "ips": ["10.0.0.2"], "rdma": ["en5", None]}
    file.write_text(json.dumps([{"ssh": "a", "ips": ["10.0.0.1"], "rdma": first}, second]))
    settings = make_settings(engine_hosts=str(file), engine_transport="jaccl")
    if said is None:
        assert len(read_hosts(settings)) == 2
        return
    with pytest.raises(ModelLoadFailed, match=said):
        read_hosts(settings)


def test_orders_have_the_variables_of_each_transport() -> None:
    ring = link.orders(TWO, [7, 8], "ring")
    assert [order.variables["MLX_RANK"] for order in ring] == ["0", "1"]
    assert json.loads(ring[1].files["MLX_HOSTFILE"]) == [["10.0.0.1:7"], ["10.0.0.2:8"]]
    wired = (RankHost("a", "10.0.0.1", (None, "en5")), RankHost("a", "10.0.0.1", ("en5", None)))
    jaccl = link.orders(wired, [7, 8], "jaccl")
    assert jaccl[0].variables["MLX_JACCL_COORDINATOR"] == "10.0.0.1:7"
    assert json.loads(jaccl[0].files["MLX_IBV_DEVICES"]) == [[None, "en5"], ["en5", None]]
    assert [order.ranks_here for order in (ring[0], jaccl[0])] == [1, 2]


def test_variables_name_files_while_ranks_join(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLX_RANK", "MLX_HOSTFILE"):
        monkeypatch.setenv(name, "")
    with link.applied(link.orders(TWO, [7, 8], "ring")[1]):
        assert os.environ["MLX_RANK"] == "1"
        assert json.loads(Path(os.environ["MLX_HOSTFILE"]).read_text())[1] == ["10.0.0.2:8"]


def test_ranks_that_look_for_ports_at_once_find_different_ones() -> None:
    assert link.free_port("127.0.0.1", "", 1, 2) > 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ModelLoadFailed, match=f"ENGINE_PORTS={port}-{port}"):
            link.free_port("127.0.0.1", f"{port}-{port}", 0, 2)
        found = link.free_port("127.0.0.1", f"{port}-{port + 40}", 0, 2)
        assert found > port
        assert (found - port) % 2 == 0


def test_a_fingerprint_is_of_contents_not_of_times(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"w" * (3 << 20))
    (tmp_path / "config.json").write_text("{}")
    before = link.fingerprint(tmp_path)
    os.utime(weights, (1, 1))
    assert link.fingerprint(tmp_path) == before
    (tmp_path / "config.json").write_text("[]")
    assert link.fingerprint(tmp_path) != before


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (RankPrepared("1.0", "f", 1), None),
        (RankPrepared("0.9", "f", 1), "it has MLX 0.9, this machine 1.0"),
        (RankPrepared("1.0", "g", 1), "its files of 'demo' are others"),
        (RankPrepared(problem="No model 'demo'"), "No model 'demo'"),
    ],
)
def test_a_rank_must_have_the_same_mlx_and_files(other: RankPrepared, said: str | None) -> None:
    found = leader.difference("demo", RankPrepared("1.0", "f", 1), other)
    assert found is None if said is None else said in str(found)


@pytest.mark.parametrize(
    ("config", "parallel", "said"),
    [
        ({"num_attention_heads": 4, "num_key_value_heads": 2}, "tensor", None),
        ({"num_attention_heads": 4, "num_key_value_heads": 1}, "tensor", "num_key_value_heads is 1"),
        ({"num_hidden_layers": 1}, "pipeline", "1 layers"),
        ({}, "tensor", None),
    ],
)
def test_a_model_must_come_out_even(config: dict[str, int], parallel: str, said: str | None) -> None:
    found = leader.why_indivisible(config, parallel, 2)
    assert found is None if said is None else said in str(found)


def test_a_step_has_one_checksum_on_all_ranks() -> None:
    step = Step([Token(1, 5)], {3: 7, 2: 0})
    assert checksum(step) == checksum(Step([Token(1, 5)], {2: 0, 3: 7}, times={"decode": 1.0}))
    assert checksum(step) != checksum(Step([Token(1, 6)], {2: 0, 3: 7}))


def test_other_machines_are_told_no_secret(make_settings: MakeSettings) -> None:
    told = rank_environment(make_settings(upstream_api_key="k", upstream_url="http://x", max_num_seqs=3))
    assert told["MAX_NUM_SEQS"] == "3"
    assert not {"UPSTREAM_API_KEY", "UPSTREAM_URL", "API_KEYS"} & told.keys()
