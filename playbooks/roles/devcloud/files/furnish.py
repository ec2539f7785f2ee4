"""Put into the cloud what its clients need, if it isn't there, and look whether it works.

    furnish.py catalogue FILE   which services there are; the account that they use
    furnish.py furnish FILE     Edubba's domain, account and role, the public network, sizes
    furnish.py verify FILE      ask each service as each client; wait until servers can be placed

Prints what it made; FILE is the JSON that the role wrote.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import openstack
from keystoneauth1.exceptions import ClientException
from openstack.config import OpenStackConfig
from openstack.exceptions import SDKException

NAMES = {"image": "glance", "placement": "placement", "compute": "nova", "network": "neutron"}
VERIFY_SECONDS = 60.0  # nova-compute reports every 10 s
PLACEMENT_STEP_SECONDS = 1.0
ROLE = "edubba"  # in each tenant's project: a member that sets the quotas


def connect(facts: dict[str, Any], name: str) -> Any:
    """Return a connection as one of the clients in clouds.yaml."""
    config = OpenStackConfig(config_files=[facts["clouds"]], load_envvars=False)
    return openstack.connection.Connection(config=config.get_one(cloud=name))


def ensure(kind: str, found: Any, make: Callable[[], Any]) -> Any:
    """Return what was found, or what is made now."""
    if found is not None:
        return found
    made = make()
    print(f"made {kind}")
    return made


def catalogue(facts: dict[str, Any]) -> None:
    """Register the services, and the one account by which they ask each other."""
    identity = connect(facts, "devcloud-admin").identity
    project = ensure(
        "project service",
        identity.find_project("service"),
        lambda: identity.create_project(name="service", domain_id="default"),
    )
    password = (Path(facts["secrets"]) / "services").read_text().strip()
    user = ensure(
        "user services",
        identity.find_user("services"),
        lambda: identity.create_user(name="services", password=password, domain_id="default"),
    )
    for name in ("admin", "service"):
        role = ensure_role(identity, name)
        identity.assign_project_role_to_user(project, user, role)
    for kind, url in facts["endpoints"].items():
        register(identity, kind, url, facts["region"])


def register(identity: Any, kind: str, url: str, region: str) -> None:
    """Have the catalogue say where a kind of service answers."""
    service = ensure(
        f"service {kind}",
        identity.find_service(NAMES[kind]),
        lambda: identity.create_service(name=NAMES[kind], type=kind),
    )
    present = {point.interface for point in identity.endpoints(service_id=service.id)}
    for interface in {"public", "internal"} - present:
        identity.create_endpoint(
            service_id=service.id, interface=interface, url=url, region_id=region
        )


def ensure_role(identity: Any, name: str) -> Any:
    """Return the role, made if it isn't there."""
    return ensure(f"role {name}", identity.find_role(name), lambda: identity.create_role(name=name))


def furnish(facts: dict[str, Any]) -> None:
    """Make what clients take for granted."""
    admin = connect(facts, "devcloud-admin")
    furnish_edubba(admin.identity, facts)
    furnish_public(admin.network, IPv4Network(facts["floating"]))
    present = {flavor.name for flavor in admin.compute.flavors()}
    for vcpus, memory_mib, disk_gib in facts["flavors"]:
        name = f"edubba-{vcpus}-{memory_mib}-{disk_gib}"
        if name not in present:
            admin.compute.create_flavor(name=name, vcpus=vcpus, ram=memory_mib, disk=disk_gib)
            print(f"made flavor {name}")


def furnish_edubba(identity: Any, facts: dict[str, Any]) -> None:
    """Make Edubba's domain, account and role: manager of the domain, administrator of nothing."""
    domain_id = facts["domain_id"]  # clouds.yaml names it already
    ensure(
        "domain edubba",
        identity.find_domain("edubba"),
        lambda: identity.post(
            "/domains", json={"domain": {"name": "edubba", "explicit_domain_id": domain_id}}
        ).raise_for_status(),
    )
    password = (Path(facts["secrets"]) / "edubba").read_text().strip()
    user = ensure(
        "user edubba",
        identity.find_user("edubba", domain_id=domain_id),
        lambda: identity.create_user(name="edubba", password=password, domain_id=domain_id),
    )
    roles = {name: ensure_role(identity, name).id for name in ("manager", "member", ROLE)}
    for path in (
        f"/domains/{domain_id}/users/{user.id}/roles/{roles['manager']}",
        f"/roles/{roles[ROLE]}/implies/{roles['member']}",
    ):
        if not identity.head(path).ok:  # an implied role can't be set twice
            identity.put(path).raise_for_status()


def furnish_public(network: Any, floating: IPv4Network) -> None:
    """Make the network from which floating addresses come."""
    public = ensure(
        "network public",
        network.find_network("public"),
        lambda: network.create_network(
            name="public",
            is_router_external=True,
            provider_network_type="flat",
            provider_physical_network="public",
        ),
    )
    ensure(
        "subnet public",
        network.find_subnet("public", network_id=public.id),
        lambda: network.create_subnet(
            name="public",
            network_id=public.id,
            ip_version=4,
            cidr=str(floating),
            gateway_ip=str(floating[1]),
            enable_dhcp=False,
        ),
    )


def verify(facts: dict[str, Any]) -> None:
    """Ask every service as each client; wait for the compute service, up to the bound."""
    admin = connect(facts, "devcloud-admin")
    for answer in (admin.image.images(), connect(facts, "edubba").identity.projects()):
        list(answer)  # there may be none; whoever doesn't answer raises
    for service, answer in (
        ("nova", admin.compute.flavors()),
        ("neutron", admin.network.networks(name="public")),
    ):
        if not list(answer):
            raise SystemExit(f"{service} shows nothing of what has to be there.")
    began = datetime.now(UTC).replace(tzinfo=None)  # nova's times are naive
    deadline = time.monotonic() + VERIFY_SECONDS
    while why := why_not_placed(admin, facts["compute_host"], began):
        if time.monotonic() > deadline:
            raise SystemExit(f"After {VERIFY_SECONDS:.0f} s, {why}")
        time.sleep(PLACEMENT_STEP_SECONDS)


def why_not_placed(admin: Any, host: str, since: datetime) -> str:
    """Return why no server can be placed; empty if one can."""
    services = list(admin.compute.services(binary="nova-compute", host=host))
    if not services:
        return f"nova knows no nova-compute on {host}."
    state = (services[0].state, services[0].status)
    if state != ("up", "enabled"):
        return f"nova-compute on {host} is {' and '.join(state)}."
    if datetime.fromisoformat(services[0].updated_at) < since:  # it may have died since it reported
        return f"nova-compute on {host} has not reported since {services[0].updated_at}."
    if not list(admin.placement.resource_providers()):
        return "placement knows no hypervisor."
    dead = [agent.binary for agent in admin.network.agents() if not agent.is_alive]
    return f"these agents of the network are dead: {', '.join(dead)}." if dead else ""


def main(verb: str, path: str) -> None:
    """Do what the command line says; end with a sentence where the cloud refuses or is gone."""
    facts = json.loads(Path(path).read_text())
    verbs = {"catalogue": catalogue, "furnish": furnish, "verify": verify}
    try:
        verbs[verb](facts)
    except (SDKException, ClientException) as error:
        status = json.loads(Path(facts["status"]).read_text())
        raise SystemExit(f"{error}\nThe cloud is {status['state']}. {status['reason']}") from error


if __name__ == "__main__":
    main(*sys.argv[1:])
