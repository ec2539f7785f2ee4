"""What is wished for in a region: names, tags, rules, sizes."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from control_plane.kit.errors import Refused
from control_plane.ports.cloud.openstack.wishes import (
    RegionSettings,
    Rule,
    base_rules,
    choose_flavor,
    epoch_of,
    wire_ends,
    wire_rules,
    wire_tag,
)
from control_plane.ports.cloud.port import Limits, WireSpec

EDGE, WORKER = IPv4Network("192.0.2.1/32"), IPv4Network("192.0.2.2/32")
SETTINGS = RegionSettings("ur", 3, "public", edge=(EDGE,), configurator=(WORKER,))
WIRE = WireSpec("att_1", "ten_1", "hst_a", "hst_b", 5432)
FLAVORS = [
    {"name": "large", "ram": 4096, "vcpus": 4, "disk": 40},
    {"name": "small", "ram": 512, "vcpus": 1, "disk": 5},
    {"name": "flat", "ram": 512, "vcpus": 1, "disk": 0},
]


def a_seen_rule(**changes: object) -> dict[str, object]:
    rule = Rule("ingress", "192.0.2.1/32", 80).document("group")
    return {**rule, "remote_group_id": None, **changes}


def test_only_the_edge_and_the_configurator_get_in_and_only_the_clouds_own_is_reached() -> None:
    assert {(one.direction, one.peer, one.port) for one in base_rules(SETTINGS)} == {
        ("ingress", "192.0.2.1/32", 80),
        ("ingress", "192.0.2.2/32", 22),
        ("egress", "169.254.169.254/32", 80),
        ("egress", "255.255.255.255/32", 67),
        ("egress", "100.127.255.254/32", 67),
    }


def test_a_rule_is_known_again_however_its_network_is_written() -> None:
    assert Rule.seen(a_seen_rule()) == Rule("ingress", "192.0.2.1/32", 80)
    assert Rule.seen(a_seen_rule(remote_ip_prefix="192.0.2.1")) == Rule(
        "ingress", "192.0.2.1/32", 80
    )


@pytest.mark.parametrize(
    "change",
    [
        {"ethertype": "IPv6"},
        {"protocol": None},
        {"port_range_max": 90},
        {"remote_ip_prefix": None},
        {"remote_group_id": "other"},
    ],
)
def test_a_rule_that_was_never_ours_is_told_from_ours(change: dict[str, object]) -> None:
    assert Rule.seen(a_seen_rule(**change)) is None


def test_a_wire_opens_one_port_of_one_server_to_the_other() -> None:
    asking, answering = IPv4Address("100.64.0.6"), IPv4Address("100.64.0.10")
    assert wire_rules(WIRE, asking, answering) == {
        Rule("egress", "100.64.0.10/32", 5432),
        Rule("ingress", "100.64.0.6/32", 5432),
    }


def test_a_tag_names_installation_epoch_and_a_wires_ends() -> None:
    assert SETTINGS.tag == "edubba:ur:3"
    tag = wire_tag(SETTINGS, WIRE)
    assert (epoch_of(tag), wire_ends(tag)) == (3, ("hst_a", "hst_b", "5432"))
    assert SETTINGS.is_ours(tag)
    assert not SETTINGS.is_ours("edubba:uruk:3")
    assert epoch_of("somebody else's words") == 0


def test_the_smallest_flavor_that_holds_a_server_is_taken() -> None:
    limits = Limits(memory_mib=256, cpu_millis=500, pids=64, disk_mib=2048)
    assert choose_flavor(FLAVORS, limits)["name"] == "small"


def test_a_server_that_no_flavor_holds_is_refused_with_what_it_needs() -> None:
    limits = Limits(memory_mib=8192, cpu_millis=1500, pids=64, disk_mib=1)
    with pytest.raises(Refused) as refused:
        choose_flavor(FLAVORS, limits)
    assert refused.value.code == "flavor_missing"
    assert refused.value.facts == {"memory_mib": 8192, "cores": 2, "disk_gib": 1}
