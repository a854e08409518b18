#!/bin/sh
# enter.sh TREE WORK CMD..: runs CMD in TREE, with WORK as /peer, in a mount
# namespace of its own. mkosi pivots its root, so a chroot would not do.
set -eu
if [ "${HOLDFAST_BENCH_NS:-}" != 1 ]; then
    HOLDFAST_BENCH_NS=1 exec unshare --mount --propagation private "$0" "$@"
fi
tree=$1 work=$2
shift 2
mount --bind "$tree" "$tree"
mkdir -p "$tree/peer"
for dir in proc sys dev; do mount --rbind "/$dir" "$tree/$dir"; done
mount -t tmpfs tmpfs "$tree/run"
mount --bind "$work" "$tree/peer"
if [ -e "$tree/etc/resolv.conf" ]; then mount --bind /etc/resolv.conf "$tree/etc/resolv.conf"; fi
cd "$tree"
pivot_root . mnt
umount -l /mnt
cd /peer
unset HOLDFAST_BENCH_NS
exec "$@"
