#!/bin/sh
# Write to the file named whether KVM boots this machine's own kernel: `kvm` if it does, else `lxc`.
# A device /dev/kvm proves nothing: behind it, firmware may run and a kernel hang.
set -eu
accelerator=${2:-kvm}
result=lxc
kernel=$(find /boot -name 'vmlinuz-*' | sort -V | tail -n 1)
if [ -c /dev/kvm ] && [ -n "$kernel" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    mkdir "$folder/root"
    cp /bin/busybox "$folder/root/"
    printf '#!/busybox sh\n/busybox echo KVM runs a kernel\n/busybox poweroff -f\n' >"$folder/root/init"
    chmod 0755 "$folder/root/init"
    (cd "$folder/root" && find . | cpio --quiet --create --format=newc) >"$folder/initrd"
    timeout 60 qemu-system-x86_64 -accel "$accelerator" -m 512 -display none -serial stdio -no-reboot -kernel "$kernel" \
        -initrd "$folder/initrd" -append 'console=ttyS0 quiet panic=-1' </dev/null >"$folder/said" 2>&1 || true
    if grep -q 'KVM runs a kernel' "$folder/said"; then result=kvm; fi
fi
echo "$result" >"$1"
