#!/bin/bash
# `make images`: prepare the images of the families named, or of all; those that are there are left.
# CLOUD=openstack: as disks for virtual machines.
set -euo pipefail
cd "$(dirname "$0")/.."
. playbooks/phases.sh

[[ $EUID -eq 0 ]] || fail "Roots of servers have owners of their own, which only root can give them: sudo make images"
[[ -x $PREFIX/venv/bin/ansible-playbook ]] || fail "The product is not installed: sudo make up"

CLOUD=${CLOUD:-local}
[[ $CLOUD == local || $CLOUD == openstack ]] || fail "There is no cloud $CLOUD. Those there are: local openstack"

prepare() {
    ANSIBLE_CONFIG=playbooks/ansible.cfg "$PREFIX/venv/bin/ansible-playbook" -i localhost, -e "$1" playbooks/images.yml
}

mapfile -t known < <(find playbooks/roles/image/files/families -name '*.json' -printf '%f\n' | sed 's/\.json$//' | sort)
if [[ $# -eq 0 ]]; then set -- "${known[@]}"; fi
for family in "$@"; do
    [[ " ${known[*]} " == *" $family "* ]] || fail "There is no family $family. Those there are: ${known[*]}"
    phase "prepare the image of $family" prepare \
        "{\"image_families\": [\"$family\"], \"image_state_dir\": \"/var/lib/$INSTANCE\", \"image_cache_dir\": \"/var/cache/$INSTANCE\", \"image_cloud\": \"$CLOUD\"}"
done
