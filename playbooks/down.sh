#!/bin/bash
# `make down` and `make clean`.
#   down.sh         stop all that runs, tenants too; keep the data
#   down.sh clean   then remove every trace but Debian's packages
set -euo pipefail
cd "$(dirname "$0")/.."
. playbooks/phases.sh

[[ $EUID -eq 0 ]] || fail "What root started, root stops: sudo make ${1:-down}"

readonly LOCALD=$PREFIX/venv/lib/python3.11/site-packages/control_plane/locald

stop_processes() {
    if [[ -d /run/systemd/system && -e "/etc/systemd/system/$INSTANCE.service" ]]; then
        systemctl stop "$INSTANCE"
        return
    fi
    local pid deadline=$((SECONDS + 90))
    pid=$(cat "$RUN/supervisord.pid" 2>/dev/null) || return 0
    "$PREFIX/venv/bin/supervisorctl" -c "$CONFIG/supervisord.conf" shutdown
    while [[ -e /proc/$pid ]]; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

# OpenSSH keeps a connection into a server for some seconds after its last use.
retry() {
    local tries
    for ((tries = 0; tries < 25; tries++)); do
        if "$@"; then return; fi
        sleep 1
    done
    return 1
}

remove_users() {
    local user
    for user in "$INSTANCE-web" "$INSTANCE-worker" "$INSTANCE-edge" "$INSTANCE-runner"; do
        if getent passwd "$user"; then retry userdel "$user"; fi
        if getent group "$user"; then groupdel "$user"; fi
    done
    if getent group "$INSTANCE"; then groupdel "$INSTANCE"; fi
}

remove_files() {
    local hosts
    if [[ -e /etc/systemd/system/$INSTANCE.service ]]; then systemctl disable "$INSTANCE"; fi
    rm -f "/etc/systemd/system/$INSTANCE.service" "/etc/tmpfiles.d/$INSTANCE.conf" "/usr/local/bin/$INSTANCE"
    hosts=$(sed "/^# BEGIN $INSTANCE\$/,/^# END $INSTANCE\$/d" /etc/hosts)
    cat <<<"$hosts" >/etc/hosts # written in place: in a container it is a mount
    rm -rf "$CONFIG" "$RUN" "/var/lib/$INSTANCE" "/var/cache/$INSTANCE" "$PREFIX"
}

# Containers, mounts, loop devices, cgroups and namespaces, as far as there are any.
stop_tenants() {
    /usr/bin/python3 -IS "$LOCALD/clean.py" --instance "$INSTANCE" "$@"
}

if [[ -e "$RUN/supervisord.pid" ]]; then phase "stop the processes" stop_processes; fi
if [[ ${1:-} == clean ]]; then
    if [[ -d $LOCALD ]]; then phase "remove the tenants" stop_tenants --data --images; fi
    phase "remove files and settings" remove_files
    phase "remove users" remove_users
    rm -rf "/var/log/$INSTANCE"
elif [[ -d $LOCALD ]]; then
    phase "stop the tenants" stop_tenants
fi
