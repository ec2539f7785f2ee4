"""The verbs that a client may use: each reads its fields, checks the fence, does one thing."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from control_plane.locald import checks
from control_plane.locald.execution import Command, Execution, Outcome, Streams, kill_leftovers
from control_plane.locald.faults import Refusal, Trouble
from control_plane.locald.images import Image, get_image, list_images
from control_plane.locald.names import Names
from control_plane.locald.runs import Runs, Ticket
from control_plane.locald.servers import Servers
from control_plane.locald.state import Fences, Locks
from control_plane.locald.wires import Wires

Request = Mapping[str, Any]
RECEIVER = "/usr/lib/edubba/receive"
RECEIVE_TIMEOUT_S = 1800.0  # 10 GB at 6 MB/s
EXEC_TIMEOUT_MAX_S = 3600
ARGUMENTS_MAX, ARGUMENT_MAX = 64, 4096
RUN_MAX_S = 2 * 3600
RUN_COMMAND_MAX = 32_768  # characters of a shell's command line; longer things come on the pipe
RUN_VERB = "exec_run"
# Of the lock on all wires: it may be taken while a server's is held, never the other way round.
_WIRES = "wires"
_LOOKING = frozenset({"missing", "check", "probe", "inspect", "logs"})
_CHANGING = frozenset({"put", "assemble", "switch", "prune"})


class Verbs:
    """What one instance's daemon does for its clients."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._fences = Fences(names.fences_dir)
        self._locks = Locks()
        self._runs = Runs(self._fences)
        self._servers = Servers(names, self._runs.is_commanded)
        self._wires = Wires(names, self._servers)
        self._records = self._servers.records
        self._execution = Execution(names, self._servers.containers)
        self._verbs: dict[str, Callable[[Request, list[int]], Any]] = {
            "ping": self._ping,
            "ensure_tenant": self._ensure_tenant,
            "destroy_tenant": self._destroy_tenant,
            "ensure_server": self._ensure_server,
            "observe_server": self._observe_server,
            "stop_server": self._stop_server,
            "destroy_server": self._destroy_server,
            "ensure_wire": self._ensure_wire,
            "observe_wire": self._observe_wire,
            "remove_wire": self._remove_wire,
            "list_objects": self._list_objects,
            "list_images": self._list_images,
            "probe": self._probe,
            "receive": self._receive,
            "exec": self._exec,
            "open_run": self._open_run,
            "close_run": self._close_run,
        }

    def begin(self) -> None:
        """End what a daemon before this one has left running."""
        kill_leftovers(self._names)

    def do_for_run(self, request: Request, handles: list[int], has_gone: Callable[[], bool]) -> Any:
        """Do the one thing that a runner may ask for: command a server for an open run.

        The command ends when the client `has_gone`. Raises as `do`.
        """
        if request.get("verb") != RUN_VERB:
            raise Refusal("not_allowed", verb=str(request.get("verb"))[:32])
        return self._exec_run(request, handles, has_gone)

    def do(self, request: Request, handles: list[int]) -> Any:
        """Do what a request asks; handles that a verb took are no longer in the list.

        Raises Refusal or Trouble, and CommandFailed or OSError where the machine fails.
        """
        verb = self._verbs.get(checks.text(request, "verb", 32))
        if verb is None:
            raise Refusal("bad_request", field="verb")
        return verb(request, handles)

    @contextmanager
    def _fenced(self, request: Request, name: str) -> Iterator[None]:
        """Hold a lock, and the request's fence to be the newest of its life."""
        fence = checks.mapping(request, "fence")
        checks.only(fence, "life_id", "counter")
        life = checks.identity(fence, "life_id", "life")
        counter = checks.number(fence, "counter", 0, 1 << 62)
        with self._locks.held(name):
            self._fences.check(life, counter)
            yield

    def _ping(self, request: Request, _: list[int]) -> dict[str, str]:
        checks.only(request)
        return {"instance": self._names.instance}

    def _ensure_tenant(self, request: Request, _: list[int]) -> None:
        checks.only(request, "spec", "fence")
        spec = checks.mapping(request, "spec")
        checks.only(spec, "tenant_id", "agency_id", "epoch")
        tenant = checks.identity(spec, "tenant_id", "tenant")
        agency = checks.identity(spec, "agency_id", "agency")
        epoch = checks.number(spec, "epoch", 0, 1 << 40)
        with self._fenced(request, tenant):
            known = self._records.find_tenant(tenant)
            if known and known["agency_id"] != agency:
                raise Refusal("tenant_identity_changed", tenant=tenant)
            self._records.save_tenant(tenant, agency, epoch)

    def _destroy_tenant(self, request: Request, _: list[int]) -> None:
        checks.only(request, "tenant_id", "fence")
        tenant = checks.identity(request, "tenant_id", "tenant")
        with self._fenced(request, tenant):
            left = [s.server_id for s in self._records.list_servers() if s.tenant_id == tenant]
            if left:
                raise Refusal("tenant_not_empty", tenant=tenant, servers=len(left))
            self._records.forget_tenant(tenant)

    def _ensure_server(self, request: Request, _: list[int]) -> dict[str, Any]:
        checks.only(request, "spec", "fence")
        spec = checks.server(request)
        with self._fenced(request, spec.server_id):
            with self._locks.held(spec.tenant_id):
                self._servers.accept(spec)
            return asdict(self._servers.ensure(spec))

    def _observe_server(self, request: Request, _: list[int]) -> dict[str, Any]:
        checks.only(request, "server_id")
        return asdict(self._servers.observe(checks.identity(request, "server_id", "server")))

    def _stop_server(self, request: Request, _: list[int]) -> None:
        checks.only(request, "server_id", "fence")
        server = checks.identity(request, "server_id", "server")
        with self._fenced(request, server):
            self._servers.stop(server)
            with self._locks.held(_WIRES):
                self._wires.drop_of(server)

    def _destroy_server(self, request: Request, _: list[int]) -> None:
        checks.only(request, "server_id", "fence")
        server = checks.identity(request, "server_id", "server")
        with self._fenced(request, server):
            self._servers.destroy(server)
            with self._locks.held(_WIRES):
                self._wires.remove_of(server)

    def _ensure_wire(self, request: Request, _: list[int]) -> dict[str, Any]:
        checks.only(request, "spec", "fence")
        wish = checks.wire(request)
        with self._fenced(request, _WIRES):
            return asdict(self._wires.ensure(wish))

    def _observe_wire(self, request: Request, _: list[int]) -> dict[str, Any]:
        checks.only(request, "spec")
        return asdict(self._wires.observe(checks.wire(request)))

    def _remove_wire(self, request: Request, _: list[int]) -> None:
        checks.only(request, "wire_id", "fence")
        wire = checks.identity(request, "wire_id", "wire")
        with self._fenced(request, _WIRES):
            self._wires.remove(wire)

    def _list_objects(self, request: Request, _: list[int]) -> list[dict[str, Any]]:
        checks.only(request)
        tenants = [
            {
                "kind": "tenant",
                "object_id": tenant["tenant_id"],
                "tenant_id": tenant["tenant_id"],
                "epoch": tenant["epoch"],
                "holds_data": False,
            }
            for tenant in self._records.list_tenants()
        ]
        return tenants + [
            {
                "kind": "server",
                "object_id": server.server_id,
                "tenant_id": server.tenant_id,
                "epoch": server.epoch,
                "holds_data": self._records.holds_data(server.server_id),
            }
            for server in self._records.list_servers()
        ]

    def _list_images(self, request: Request, _: list[int]) -> list[dict[str, str]]:
        checks.only(request)
        images = list_images(self._names.images_dir)
        return [{"family": image.family, "digest": image.digest} for image in images]

    def _probe(self, request: Request, _: list[int]) -> dict[str, Any]:
        checks.only(request, "server_id", "targets")
        server = checks.identity(request, "server_id", "server")
        return asdict(self._servers.probe(server, checks.targets(request)))

    def _image_of_running(self, server_id: str) -> Image:
        """Return a running server's image. Raises Refusal or Trouble."""
        spec = self._records.find_server(server_id)
        if spec is None:
            raise Trouble("server_unreachable", server=server_id)
        found = self._servers.containers.find(server_id)
        if found is None or found.status != "running":
            raise Trouble("server_unreachable", server=server_id)
        return get_image(self._names.images_dir, spec.image)

    def _receive(self, request: Request, handles: list[int]) -> dict[str, Any]:
        """Call the server's receiver, its input and output on the two pipes of the client."""
        checks.only(request, "server_id", "call", "arguments", "fence")
        server = checks.identity(request, "server_id", "server")
        call = checks.text(request, "call", 16)
        arguments = checks.strings(request, "arguments", 2, ARGUMENT_MAX)
        if call not in _LOOKING | _CHANGING or len(handles) != 2:  # noqa: PLR2004  # in and out
            raise Refusal("bad_request", field="call")
        if call in _CHANGING:
            with self._fenced(request, server):
                image = self._image_of_running(server)
                self._records.mark_data(server)
                command = self._receiver(image, call, arguments)
                if call != "put":  # long, and harmless if it comes late: blobs name themselves
                    return self._run(server, command, handles)
        else:
            command = self._receiver(self._image_of_running(server), call, arguments)
        return self._run(server, command, handles)

    def _receiver(self, image: Image, call: str, arguments: list[str]) -> Command:
        argv = [RECEIVER, call, *arguments]
        return Command(argv, image.receiver_uid, image.receiver_gid, RECEIVE_TIMEOUT_S)

    def _exec(self, request: Request, handles: list[int]) -> dict[str, Any]:
        """Run one command in one server; its input may come on a pipe, its output comes back."""
        checks.only(request, "server_id", "argv", "uid", "timeout_s", "fence")
        server = checks.identity(request, "server_id", "server")
        argv = checks.strings(request, "argv", ARGUMENTS_MAX, ARGUMENT_MAX)
        uid = checks.number(request, "uid", 0, 65535)
        timeout_s = checks.number(request, "timeout_s", 1, EXEC_TIMEOUT_MAX_S)
        if not argv or len(handles) > 1:
            raise Refusal("bad_request", field="argv")
        with self._fenced(request, server):
            self._image_of_running(server)
            self._records.mark_data(server)
        return self._run(server, Command(argv, uid, uid, float(timeout_s)), handles)

    def _open_run(self, request: Request, _: list[int]) -> dict[str, str]:
        """Let a run command a server, for a time: whoever has the ticket speaks for the run."""
        checks.only(request, "run_id", "server_id", "lasts_s", "fence")
        run = checks.identity(request, "run_id", "run")
        server = checks.identity(request, "server_id", "server")
        lasts_s = checks.number(request, "lasts_s", 1, RUN_MAX_S)
        with self._fenced(request, server):
            self._image_of_running(server)
            self._records.mark_data(server)  # here, under the lock: commands come side by side
            fence = checks.mapping(request, "fence")
            ends_at = time.monotonic() + lasts_s
            ticket = Ticket(run, server, fence["life_id"], fence["counter"], ends_at)
            token = self._runs.open(ticket)
            self._servers.set_limits(server)
            return {"ticket": token}

    def _close_run(self, request: Request, _: list[int]) -> None:
        """End a run's rights, and what is still being done for it."""
        checks.only(request, "run_id", "fence")
        run = checks.identity(request, "run_id", "run")
        with self._fenced(request, run):
            servers = self._runs.close(run)
        for server in servers:
            with self._locks.held(server):
                self._servers.set_limits(server)

    def _exec_run(
        self, request: Request, handles: list[int], has_gone: Callable[[], bool]
    ) -> dict[str, Any]:
        """Run one shell command as root inside the server, its input and output on two pipes."""
        checks.only(request, "run_id", "server_id", "ticket", "command", "timeout_s")
        run = checks.identity(request, "run_id", "run")
        server = checks.identity(request, "server_id", "server")
        ticket = checks.text(request, "ticket", 128)
        argv = ["/bin/sh", "-c", checks.text(request, "command", RUN_COMMAND_MAX)]
        timeout_s = checks.number(request, "timeout_s", 1, EXEC_TIMEOUT_MAX_S)
        if len(handles) != 2:  # noqa: PLR2004  # in and out
            raise Refusal("bad_request", field="handles")
        with self._runs.command(run, server, ticket) as held:
            self._image_of_running(server)

            def is_wanted() -> bool:
                return self._runs.is_wanted(held) and not has_gone()

            return self._run(server, Command(argv, 0, 0, float(timeout_s), is_wanted), handles)

    def _run(self, server_id: str, command: Command, handles: list[int]) -> dict[str, Any]:
        taken = [handles.pop(0) for _ in range(len(handles))]
        streams = Streams(*taken)
        outcome: Outcome = self._execution.run(server_id, command, streams)
        return {
            "code": outcome.code,
            "timed_out": outcome.timed_out,
            "out": outcome.out.decode(errors="replace"),
            "err": outcome.err.decode(errors="replace"),
        }
