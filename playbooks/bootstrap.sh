#!/bin/bash
# Bring a bare Debian 12 to the point where Ansible and the tests can take over.
#   bootstrap.sh product   Debian packages, and the product in its root-owned prefix
#   bootstrap.sh dev       Debian packages, and the environment of the checks in .venv
#   bootstrap.sh devcloud  OpenStack's programs and Ansible, in the root-owned prefix of the development cloud
# Run again, it changes nothing and takes a second.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PYTHON=/usr/bin/python3 # never the first on PATH: pyenv's can't be run by others
readonly MODE="${1:?product, dev or devcloud}"
. playbooks/phases.sh
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV
export UV_PYTHON=$PYTHON UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1
export UV_LINK_MODE=copy # a link into a person's cache could be written by that person

as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

require_debian() {
    # shellcheck source=/dev/null
    . /etc/os-release
    [[ ${ID:-} == debian && ${VERSION_ID:-0} == 12 ]] ||
        fail "This is ${PRETTY_NAME:-an unknown system}. Edubba is installed on Debian 12; on another system, use the Vagrantfile: vagrant up"
}

# The packages of the given profiles that are not installed.
list_lacking() {
    local wanted package
    wanted=$(sed 's/#.*//' bindep.txt | awk -v profiles="$*" '
        BEGIN { split(profiles, want, " ") }
        NF { line = $0; gsub(/[\[\]]/, " ", line)
             for (i in want) if (line ~ (" " want[i] "( |$)")) { print $1; next } }')
    for package in $wanted; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
    done
}

# Debian starts what it installs. These are ours to start, in our way: nothing of them may run or start at boot.
install_packages() {
    local policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.d/edubba.conf put_policy=no
    export DEBIAN_FRONTEND=noninteractive
    if [[ ! -e $policy ]]; then
        put_policy=yes
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 0755 $policy
    fi
    install -D -m 0644 /dev/stdin $cluster <<<'create_main_cluster = false'
    # Expanded now: the locals are gone when it runs.
    # shellcheck disable=SC2064
    trap "rm -f $cluster; [[ $put_policy == no ]] || rm -f $policy" EXIT
    local apt=(apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    "${apt[@]}" update
    "${apt[@]}" install --no-install-recommends "$@"
    forbid_autostart "$@"
}

forbid_autostart() {
    local package
    for package in "$@"; do
        case $package in
        haproxy | postgresql | prometheus | rabbitmq-server)
            if command -v systemctl >/dev/null; then systemctl disable "$package"; fi
            if [[ -e /etc/init.d/$package ]]; then update-rc.d "$package" disable; fi
            ;;
        esac
    done
}

ensure_packages() {
    local lacking
    mapfile -t lacking < <(list_lacking "$@")
    if [[ ${#lacking[@]} -eq 0 ]]; then return; fi
    if [[ $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
        fail "These Debian packages are missing, and there is no sudo. As root: apt-get install --no-install-recommends ${lacking[*]}"
    fi
    if [[ $EUID -ne 0 ]]; then
        as_root true # ask for the password before the log takes the terminal
        phase "install ${#lacking[@]} Debian packages" as_root bash "$0" packages "${lacking[@]}"
    else
        phase "install ${#lacking[@]} Debian packages" install_packages "${lacking[@]}"
    fi
}

# ensure_uv DIRECTORY: an environment with the pinned uv.
ensure_uv() {
    local directory=$1
    if ! cmp -s playbooks/bootstrap.txt "$directory/installed"; then
        phase "get uv, pinned by digest" install_uv "$directory"
    fi
    UV=$directory/bin/uv
}

install_uv() {
    rm -rf "$1"
    $PYTHON -m venv "$1"
    "$1/bin/python" -m pip install -q --require-hashes --only-binary :all: -r playbooks/bootstrap.txt
    cp playbooks/bootstrap.txt "$1/installed"
}

ensure_product() {
    local digest
    umask 022
    ensure_uv "$PREFIX/bootstrap"
    digest=$(digest_of control_plane tenants monitoring playbooks pyproject.toml uv.lock README.md)
    if [[ $(cat "$PREFIX/installed" 2>/dev/null) == "$digest" ]]; then return; fi
    phase "install the product into $PREFIX" install_product "$digest"
}

install_product() {
    UV_PROJECT_ENVIRONMENT="$PREFIX/venv" "$UV" sync --frozen --no-dev --no-editable --compile-bytecode --reinstall-package edubba
    chown -R root:root "$PREFIX"
    chmod -R go-w "$PREFIX"
    echo "$1" >"$PREFIX/installed"
}

# The Debian root of all images takes longest of all and needs nothing of the product: it is made meanwhile.
# Nobody waits for it here; who needs it waits for its lock, and tells what went wrong.
begin_base_image() {
    $PYTHON -IS playbooks/roles/image/files/make_image.py base --cache "/var/cache/$INSTANCE" >>"$LOG" 2>&1 &
}

ensure_dev() {
    local digest
    mkdir -p .cache
    ensure_uv .cache/bootstrap
    digest=$(digest_of pyproject.toml uv.lock)
    if [[ $(cat .venv/installed 2>/dev/null) == "$digest" ]]; then return; fi
    phase "make the environment of the checks in .venv" install_dev "$digest"
}

install_dev() {
    UV_PROJECT_ENVIRONMENT=.venv "$UV" sync --frozen --no-install-project
    echo "$1" >.venv/installed
}

ensure_openstack() {
    local digest
    umask 022
    ensure_uv "$PREFIX/bootstrap"
    digest=$(digest_of playbooks/roles/devcloud/files/requirements.txt)
    if [[ $(cat "$PREFIX/installed" 2>/dev/null) == "$digest" ]]; then return; fi
    phase "install OpenStack's programs into $PREFIX" install_openstack "$digest"
}

install_openstack() {
    rm -rf "$PREFIX/venv"
    $PYTHON -m venv --without-pip "$PREFIX/venv"
    "$UV" pip install --python "$PREFIX/venv/bin/python" --require-hashes --compile-bytecode \
        -r playbooks/roles/devcloud/files/requirements.txt
    chown -R root:root "$PREFIX"
    chmod -R go-w "$PREFIX"
    echo "$1" >"$PREFIX/installed"
}

case $MODE in
packages)
    shift
    install_packages "$@"
    ;;
product)
    require_debian
    [[ $EUID -eq 0 ]] || fail "The product is installed by root: sudo make up"
    ensure_packages runtime
    begin_base_image
    ensure_product
    ;;
devcloud)
    require_debian
    [[ $EUID -eq 0 ]] || fail "OpenStack's programs are installed by root: sudo make devcloud"
    ensure_packages devcloud
    ensure_openstack
    ;;
dev)
    require_debian
    ensure_packages runtime test
    ensure_dev
    ;;
*) fail "unknown mode $MODE: product, dev or devcloud" ;;
esac
