#!/bin/bash
# `make up`: from a bare Debian 12 to a live site. Run again, it looks, mends what stopped and is quick.
set -euo pipefail
cd "$(dirname "$0")/.."
. playbooks/phases.sh

[[ $EUID -eq 0 ]] || fail "Users, mounts and namespaces are made by root: sudo make up"

# Where servers are made, as JSON for the playbooks. A development cloud of this machine tells all that is asked.
describe_cloud() {
    if [[ $CLOUD == local ]]; then
        printf '"platform_cloud": "local"'
        return
    fi
    printf '"platform_cloud": "openstack", "platform_images_entry": "%s"' "${EDUBBA_CLOUD_IMAGES_ENTRY:-$EDUBBA_CLOUD_ENTRY}"
    printf ', "platform_clouds_file": "%s", "platform_cloud_entry": "%s", "platform_cloud_role": "%s"' \
        "$EDUBBA_CLOUDS_FILE" "$EDUBBA_CLOUD_ENTRY" "$EDUBBA_CLOUD_ROLE"
    printf ', "platform_cloud_external_network": "%s", "platform_cloud_addresses": "%s", "platform_cloud_edge": "%s", "platform_cloud_configurator": "%s"' \
        "$EDUBBA_CLOUD_EXTERNAL_NETWORK" "$EDUBBA_CLOUD_ADDRESSES" "$EDUBBA_CLOUD_EDGE" "$EDUBBA_CLOUD_CONFIGURATOR"
    printf ', "platform_regions_file": "%s"' "${EDUBBA_REGIONS_FILE:-}"
}

# Whose tokens the API takes beside its own, as JSON too.
describe_keystone() {
    printf '"platform_keystone_url": "%s", "platform_keystone_ca_file": "%s"' \
        "${EDUBBA_KEYSTONE_URL:-}" "${EDUBBA_KEYSTONE_CA_FILE:-}"
    printf ', "platform_keystone_clouds_file": "%s", "platform_keystone_entry": "%s"' \
        "${EDUBBA_KEYSTONE_CLOUDS_FILE:-}" "${EDUBBA_KEYSTONE_ENTRY:-edubba-web}"
}

CLOUD=${CLOUD:-local}
readonly TOLD=/etc/${EDUBBA_DEVCLOUD:-devcloud}/edubba.env
case $CLOUD in
local) ;;
openstack)
    # shellcheck source=/dev/null  # `make devcloud` writes it
    if [[ -z ${EDUBBA_CLOUDS_FILE:-} && -r $TOLD ]]; then . "$TOLD"; fi
    for name in CLOUDS_FILE CLOUD_ENTRY CLOUD_ROLE CLOUD_EXTERNAL_NETWORK CLOUD_ADDRESSES CLOUD_EDGE CLOUD_CONFIGURATOR; do
        name=EDUBBA_$name
        [[ -n ${!name:-} ]] || fail "$name is not set: docs/openstack.md says what it names. \`make devcloud\` brings up a cloud to try."
    done
    export OS_CLIENT_CONFIG_FILE=$EDUBBA_CLOUDS_FILE
    export EDUBBA_CLOUD_NOTIFICATIONS_URL=${EDUBBA_CLOUD_NOTIFICATIONS_URL:-} # it has a password: never an argument
    [[ -r $EDUBBA_CLOUDS_FILE ]] || fail "There is no file $EDUBBA_CLOUDS_FILE (EDUBBA_CLOUDS_FILE)"
    ;;
*) fail "There is no cloud $CLOUD. Those there are: local openstack" ;;
esac

# Whether what is installed was applied, and runs.
is_up() {
    [[ $(cat "$CONFIG/applied" 2>/dev/null) == "$release" ]] || return 1
    local status
    status=$("$PREFIX/venv/bin/supervisorctl" -c "$CONFIG/supervisord.conf" status) || return 1
    ! grep -qv ' RUNNING ' <<<"$status"
}

# The name of each task is shown while it runs, where somebody watches.
apply_site() {
    ANSIBLE_CONFIG=playbooks/ansible.cfg PYTHONUNBUFFERED=1 "$PREFIX/venv/bin/ansible-playbook" -i localhost, \
        -e "$variables" playbooks/site.yml |
        while IFS= read -r line; do
            printf '%s\n' "$line"
            if [[ $line == 'TASK ['* && -w /dev/tty && $watched == yes ]]; then
                line=${line#TASK \[}
                line=${line#* : }
                printf '\r\033[K  · %.70s' "${line%%] \**}" >/dev/tty
            fi
        done
    if [[ $watched == yes ]]; then printf '\r\033[K  %-52s ' "set up users, settings, database and processes" >/dev/tty; fi
}

watched=no
if [[ -t 1 ]]; then watched=yes; fi
start=$SECONDS
printf 'Edubba on %s\n' "$(hostname)"
playbooks/bootstrap.sh product
release=$({
    printf '%s %s %s %s' "$(cat "$PREFIX/installed")" "$(digest_of playbooks)" "$(describe_cloud), $(describe_keystone)" "${EDUBBA_CLOUD_NOTIFICATIONS_URL:-}"
    cat "${EDUBBA_KEYSTONE_CA_FILE:-/dev/null}" "${EDUBBA_KEYSTONE_CLOUDS_FILE:-/dev/null}"
} | sha256sum | cut -d ' ' -f 1)
variables=$(printf '{"platform_instance": "%s", "platform_release": "%s", "platform_http_port": %d, "platform_https_port": %d, "platform_web_port": %d, "platform_worker_metrics_port": %d, "platform_edge_metrics_port": %d, %s}' \
    "$INSTANCE" "$release" "${EDUBBA_EDGE_HTTP_PORT:-80}" "${EDUBBA_EDGE_HTTPS_PORT:-443}" "${EDUBBA_BIND_PORT:-8600}" "${EDUBBA_WORKER_METRICS_PORT:-8601}" "${EDUBBA_EDGE_METRICS_PORT:-8605}" "$(describe_cloud), $(describe_keystone)")
if is_up; then
    printf '  %-52s\n' "installed and running; nothing to set up"
else
    phase "look at the machine" "$PREFIX/venv/bin/edubba" doctor --machine
    phase "set up users, settings, database and processes" apply_site
fi
printf '  %-52s %4d s\n\n' "ready" $((SECONDS - start))

# The main job, by the commands that a person would type.
set -a
# shellcheck source=/dev/null  # the platform role writes it
. "$CONFIG/worker.env"
EDUBBA_BIND_PORT=${EDUBBA_BIND_PORT:-8600}
set +a
exec "$PREFIX/venv/bin/python" -I -m control_plane.cli.tour tenants/examples/health
