#!/bin/bash
# `make devcloud`, `make devcloud-down`, `make devcloud-clean`: a whole OpenStack on this machine, for tests and evaluation.
#   devcloud.sh up [fast|real]   until all services answer; run again, it changes nothing
#   devcloud.sh down             end it; keep its data
#   devcloud.sh clean            then remove every trace but Debian's packages
set -euo pipefail
cd "$(dirname "$0")/.."
export EDUBBA_INSTANCE=${EDUBBA_DEVCLOUD:-devcloud} # another name, another cloud: tests have their own
. playbooks/phases.sh

[[ $EUID -eq 0 ]] || fail "Namespaces, mounts and links are made by root: sudo make devcloud"

# The link's four addresses, and the floating ones. From the ranges kept for documentation, which nobody routes.
readonly LINK=${EDUBBA_DEVCLOUD_LINK:-198.51.100.0/30} FLOATING=${EDUBBA_DEVCLOUD_FLOATING:-198.18.0.0/24}
readonly VIRT_TYPE=${EDUBBA_DEVCLOUD_VIRT:-auto}

apply_cloud() {
    local variables base=${LINK%.*} last=${LINK##*.}
    last=${last%/30}
    variables=$(printf '{"devcloud_instance": "%s", "devcloud_host_address": "%s/30", "devcloud_address": "%s/30", "devcloud_floating": "%s", "devcloud_virt_type": "%s"}' \
        "$INSTANCE" "$base.$((last + 1))" "$base.$((last + 2))" "$FLOATING" "$VIRT_TYPE")
    ANSIBLE_CONFIG=playbooks/ansible.cfg ANSIBLE_CALLBACK_RESULT_FORMAT=yaml PYTHONUNBUFFERED=1 "$PREFIX/venv/bin/ansible-playbook" -i localhost, \
        -e "$variables" --tags "$1" playbooks/devcloud.yml
}

stop_cloud() {
    /usr/bin/python3 -IS "$PREFIX/lib/cloud" stop "$CONFIG/plan.json"
}

remove_files() {
    rm -rf "$PREFIX" "$CONFIG" "$RUN" "/var/lib/$INSTANCE" "/var/cache/$INSTANCE"
}

case ${1:-} in
up)
    tier=${2:-real}
    [[ $tier == fast || $tier == real ]] || fail "TIER is '$tier': fast or real"
    start=$SECONDS
    playbooks/bootstrap.sh devcloud
    phase "set up and start the services ($tier)" apply_cloud "$tier"
    if [[ -s $RUN/progress ]]; then sed 's/^/    · /' "$RUN/progress"; fi
    printf '  %-52s %4d s\n\n' "ready" $((SECONDS - start))
    printf 'export OS_CLIENT_CONFIG_FILE=%s OS_CLOUD=devcloud-admin\n%s/venv/bin/openstack service list\n' "$CONFIG/clouds.yaml" "$PREFIX"
    ;;
down | clean)
    if [[ -e $CONFIG/plan.json && -d $PREFIX/lib/cloud ]]; then phase "stop the cloud" stop_cloud; fi
    if [[ $1 == clean ]]; then
        phase "remove its files" remove_files
        rm -rf "/var/log/$INSTANCE"
    fi
    ;;
*) fail "up, down or clean" ;;
esac
