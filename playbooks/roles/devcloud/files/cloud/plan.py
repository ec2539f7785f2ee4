"""What the cloud is told: its places, its link, its services in the order of their stages."""

import json
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Service:
    """A program: one that goes on, or a job that ends by itself with 0."""

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    is_job: bool
    once: Path | None  # a job that has left this file isn't run again
    answers: str  # "port 5000", "http 5000 /v3", "file /run/x"; empty: it only has to go on
    within_s: float

    @classmethod
    def parse(cls, facts: dict[str, Any]) -> Self:
        """Return the service that the role described."""
        once = facts.get("once")
        return cls(
            name=facts["name"],
            argv=tuple(facts["argv"]),
            environment=dict(facts.get("environment", {})),
            is_job=facts.get("job", False),
            once=Path(once) if once else None,
            answers=facts.get("answers", ""),
            within_s=float(facts.get("within", 90)),
        )


@dataclass(frozen=True)
class Stage:
    """Services that start side by side; the next stage waits for all of them."""

    name: str
    services: tuple[Service, ...]


@dataclass(frozen=True)
class Plan:
    """The whole cloud."""

    name: str
    run_dir: Path
    log_dir: Path
    state_dir: Path
    host_address: IPv4Interface
    address: IPv4Interface
    floating: IPv4Network
    binds: dict[str, str]  # what the cloud sees at a path instead of the machine's own
    environment: dict[str, str]
    stages: tuple[Stage, ...]

    @classmethod
    def parse(cls, facts: dict[str, Any]) -> Self:
        """Return the plan that the role wrote."""
        return cls(
            name=facts["name"],
            run_dir=Path(facts["run_dir"]),
            log_dir=Path(facts["log_dir"]),
            state_dir=Path(facts["state_dir"]),
            host_address=IPv4Interface(facts["host_address"]),
            address=IPv4Interface(facts["address"]),
            floating=IPv4Network(facts["floating"]),
            binds=dict(facts["binds"]),
            environment=dict(facts["environment"]),
            stages=tuple(
                Stage(stage["name"], tuple(Service.parse(service) for service in stage["services"]))
                for stage in facts["stages"]
            ),
        )

    @property
    def status_path(self) -> Path:
        """Where both sides say how it is."""
        return self.run_dir / "status.json"

    @property
    def progress_path(self) -> Path:
        """What happened so far, a line each."""
        return self.run_dir / "progress"

    @property
    def link(self) -> str:
        """The host's end of the link; at most 15 characters (a name has at most 8)."""
        return f"{self.name}-link"

    @property
    def gateway(self) -> IPv4Interface:
        """The first floating address: the cloud's router to the host."""
        return IPv4Interface(f"{self.floating[1]}/{self.floating.prefixlen}")


@dataclass(frozen=True)
class Status:
    """How the cloud is: starting, ready, failed or stopped, and why."""

    state: str
    reason: str = ""

    def write(self, plan: Plan) -> None:
        """Replace what was said before, at once."""
        part = plan.status_path.with_suffix(".part")
        part.write_text(json.dumps({"state": self.state, "reason": self.reason}))
        part.replace(plan.status_path)

    @classmethod
    def read(cls, plan: Plan) -> Self:
        """Return what was said last; a cloud that never ran is stopped."""
        try:
            facts = json.loads(plan.status_path.read_text())
        except FileNotFoundError:
            return cls("stopped")
        return cls(facts["state"], facts["reason"])
