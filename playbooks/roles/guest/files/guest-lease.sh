#!/bin/busybox sh
# What udhcpc calls when the lease begins, is renewed or ends; it tells by variables.
# shellcheck shell=dash disable=SC2154
link="$interface"
route() { busybox ip route "$@" dev "$link" 2>/dev/null; }
case "$1" in
deconfig)
    busybox ip addr flush dev "$link"
    busybox ip link set "$link" up
    ;;
bound | renew)
    if [ -n "$mtu" ]; then busybox ip link set "$link" mtu "$mtu"; fi
    if ! busybox ip -4 addr show dev "$link" | busybox grep -q "inet $ip/$mask "; then
        busybox ip addr flush dev "$link"
        busybox ip addr add "$ip/$mask" dev "$link"
    fi
    # RFC 3442: with routes of this kind, those of the older one are not to be used.
    # shellcheck disable=SC2086  # a list of pairs
    if [ -n "$staticroutes" ]; then set -- $staticroutes; else set -- ${router:+0.0.0.0/0 ${router%% *}}; fi
    while [ $# -ge 2 ]; do
        to=$1 via=$2
        shift 2
        if [ "$to" = 169.254.169.254/32 ] && [ -e /run/edubba/metadata-is-closed ]; then continue; fi
        if [ "$via" = 0.0.0.0 ]; then route replace "$to" || route add "$to"; else
            route replace "$to" via "$via" || route add "$to" via "$via"
        fi
    done
    ;;
esac
exit 0
