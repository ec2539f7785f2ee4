"""The text of haproxy's configuration, as a pure function, and the files that go with it.

Whatever differs between two starts (descriptors, the limit of connections) comes from the
environment that the launcher sets; whatever changes while it runs lies in the map and the list.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from control_plane.ports.edge import pages
from control_plane.ports.edge.pages import Page
from control_plane.ports.edge.port import RouteState

CONFIGURATION = "haproxy.cfg"
ROUTES = "routes.map"
CERTIFICATE_LIST = "crt-list"
_SAFE_PATH = re.compile(r"/[A-Za-z0-9._/-]+")
_REQUEST_ID = "%[unique-id]"
_HTTPS = 443
TENANTS = IPv4Network("100.64.0.0/10")  # RFC 6598: no visitor's network routes it


@dataclass(frozen=True, slots=True)
class EdgeConfiguration:
    """What one installation's edge is told when it is installed.

    `state_dir` holds the map, the list and the certificates, written by the worker;
    `configuration_dir` this text and the pages, written by root; `https_port` is the one that
    visitors type, if it isn't 443; nothing outside `tenant_networks` is ever asked.
    """

    state_dir: Path
    configuration_dir: Path
    https_port: int = _HTTPS
    tenant_networks: tuple[IPv4Network, ...] = (TENANTS,)

    def __post_init__(self) -> None:
        for path in (self.state_dir, self.configuration_dir):
            if _SAFE_PATH.fullmatch(str(path)) is None:
                raise ValueError(f"haproxy can't be given the path {path}")


def write_configuration(configuration: EdgeConfiguration) -> Path:
    """Write the configuration and its pages; return the path for the launcher.

    To be called by root when the product is installed: the launcher refuses a configuration that
    another user could write.
    """
    folder = configuration.configuration_dir
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for page in pages.PAGES:
        html = pages.render(page, "\x00").replace("%", "%%").replace("\x00", _REQUEST_ID)
        _write(folder / f"{page.name}.html", html)
    path = folder / CONFIGURATION
    _write(path, new_configuration(configuration))
    return path


def new_configuration(configuration: EdgeConfiguration) -> str:
    """Return the text of haproxy.cfg (haproxy 2.6)."""
    parts = (
        _GLOBAL,
        _defaults(configuration),
        _http(configuration),
        _https(configuration),
        _servers(configuration),
        _METRICS,
    )
    return "\n".join(part.strip("\n") + "\n" for part in parts)


_GLOBAL = """
global
    log stdout format raw daemon info
    maxconn "${EDUBBA_EDGE_MAXCONN}"
    hard-stop-after 30s
    stats socket "fd@${EDUBBA_EDGE_ADMIN_FD}" level admin
    stats timeout 10s
    # Mozilla's intermediate profile without DHE: forward secrecy and AEAD only.
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256
    ssl-default-bind-curves X25519:P-256:P-384
    # A request's line and headers fit one buffer without its reserve: 15 KiB, 100 headers.
    tune.bufsize 16384
    tune.maxrewrite 1024
    tune.http.maxhdr 100
    tune.h2.max-concurrent-streams 100
"""  # noqa: E501  # haproxy's lines can't be folded


def _defaults(configuration: EdgeConfiguration) -> str:
    errors = "\n".join(
        f"    http-error status {status} {_answer(configuration, page)}"
        for status, page in (
            (400, pages.MALFORMED),
            (408, pages.MALFORMED),
            (500, pages.FAILED),
            (502, pages.UNREACHABLE),
            (503, pages.UNREACHABLE),
            (504, pages.UNREACHABLE),
        )
    )
    return f"""
defaults
    mode http
    log global
    option dontlognull
    option dontlog-normal
    option http-ignore-probes
    option http-restrict-req-hdr-names delete
    log-format '{{"event":"edge_request","request":"%ID","host":"%[var(txn.host),json]",\
"status":%ST,"ended":"%ts","ms":%Ta}}'
    error-log-format '{{"event":"edge_connection_failed","reason":"%[fc_err_str,json]",\
"tls":"%[ssl_fc_err_str,json]"}}'
    unique-id-format %[uuid()]
    retries 2
    timeout http-request 10s
    timeout http-keep-alive 15s
    timeout client 30s
    timeout client-fin 5s
    timeout connect 3s
    timeout queue 10s
    timeout server 60s
    timeout server-fin 5s
    timeout tunnel 1h
{errors}
"""


def _read_host(configuration: EdgeConfiguration) -> str:
    routes = configuration.state_dir / ROUTES
    return f"""
    http-request set-var(txn.host) req.hdr(host),host_only,lower,rtrim(.)
    http-request set-var(txn.route) var(txn.host),map_str({routes},unknown)
    http-request set-var(txn.state) var(txn.route),field(1,:)
    http-request set-log-level silent unless {{ var(txn.state) -m str {RouteState.SERVING} }}
    http-request {_return(configuration, pages.MALFORMED)} \
if !{{ var(txn.host) -m reg ^[a-z0-9.-]+$ }} or {{ method CONNECT TRACE }}
""".strip("\n")


def _http(configuration: EdgeConfiguration) -> str:
    port = "" if configuration.https_port == _HTTPS else f":{configuration.https_port}"
    return f"""
frontend http
    bind "fd@${{EDUBBA_EDGE_HTTP_FD}}"
    http-after-response set-header x-request-id {_REQUEST_ID}
{_read_host(configuration)}
    http-request {_return(configuration, pages.UNKNOWN)} if {{ var(txn.state) -m str unknown }}
    http-request redirect location https://%[var(txn.host)]{port}%[pathq] code 308
"""


def _https(configuration: EdgeConfiguration) -> str:
    states = "\n".join(
        f"    http-request {_return(configuration, page)} if {{ var(txn.state) -m str {state} }}"
        for state, page in (("unknown", pages.UNKNOWN), *pages.STATE_PAGES.items())
    )
    crt_list = configuration.state_dir / CERTIFICATE_LIST
    return f"""
frontend https
    bind "fd@${{EDUBBA_EDGE_HTTPS_FD}}" ssl crt-list {crt_list} strict-sni alpn h2,http/1.1
    http-after-response set-header strict-transport-security "max-age=31536000"
    http-after-response set-header x-request-id {_REQUEST_ID}
{_read_host(configuration)}
    # A browser may use one connection for all names of a wildcard; any other name is a mistake.
    http-request set-var(txn.sni) ssl_fc_sni,lower
    http-request set-var(txn.sni_parent) 'var(txn.sni),regsub(^[^.]*,)'
    http-request set-var(txn.host_parent) 'var(txn.host),regsub(^[^.]*,)'
    acl is_same_name var(txn.sni),strcmp(txn.host) eq 0
    acl is_same_parent var(txn.sni_parent),strcmp(txn.host_parent) eq 0
    http-request {_return(configuration, pages.MISDIRECTED)} if !is_same_name !is_same_parent
{states}
    default_backend servers
"""


def _servers(configuration: EdgeConfiguration) -> str:
    port = "" if configuration.https_port == _HTTPS else f":{configuration.https_port}"
    networks = " ".join(str(one) for one in configuration.tenant_networks)
    removed = "\n".join(f"    http-request del-header {name}" for name in _CLAIMS_OF_CLIENTS)
    return f"""
backend servers
    http-request set-var(txn.address) var(txn.route),field(2,:)
    http-request set-var(txn.port) var(txn.route),field(3,:)
    # Never anything but a tenant, whatever a map says: above all not the edge itself.
    http-request {_return(configuration, pages.FAILED)} \
unless {{ var(txn.address) -m ip {networks} }}
    http-request set-dst var(txn.address)
    http-request set-dst-port var(txn.port)
{removed}
    http-request set-header host %[var(txn.host)]{port}
    http-request set-header x-forwarded-for %[src]
    http-request set-header x-forwarded-proto https
    http-request set-header x-forwarded-host %[var(txn.host)]{port}
    http-request set-header x-request-id {_REQUEST_ID}
    server any 0.0.0.0:0
"""


_CLAIMS_OF_CLIENTS = (
    "forwarded",
    "x-forwarded -m beg",
    "x-real-ip",
    "x-request-id",
    "proxy",  # becomes HTTP_PROXY in CGI programs (httpoxy)
)

_METRICS = """
frontend metrics
    bind "fd@${EDUBBA_EDGE_METRICS_FD}"
    http-request use-service prometheus-exporter if { path /metrics }
    http-request deny deny_status 404
"""


def _return(configuration: EdgeConfiguration, page: Page) -> str:
    return f"return status {page.status} {_answer(configuration, page)}"


def _answer(configuration: EdgeConfiguration, page: Page) -> str:
    path = configuration.configuration_dir / f"{page.name}.html"
    headers = " ".join(f'hdr {name} "{value}"' for name, value in pages.headers_of(page).items())
    return f'content-type "{pages.CONTENT_TYPE}" lf-file {path} {headers}'


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o644)
    draft.replace(path)
