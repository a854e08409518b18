#!/bin/sh
# Installs the bundle at URL $1 with the rauc that runs as unit bench-rauc; then
# prints the largest resident set of each of its processes, in KiB.
set -eu
procs=/sys/fs/cgroup/system.slice/bench-rauc.service/cgroup.procs
seen=$(mktemp -d)
rauc install "$1" >"$seen/log" 2>&1 &
install=$!
while kill -0 $install 2>/dev/null; do
    for pid in $(cat $procs); do
        sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" >"$seen/new" 2>/dev/null || continue
        # Nothing is written for a process that ended just now.
        [ ! -s "$seen/new" ] || cp "$seen/new" "$seen/$pid.kb"
    done
    sleep 1
done
wait $install || { cat "$seen/log" >&2; journalctl -u bench-rauc -n 40 --no-pager >&2; exit 1; }
sync
cat "$seen"/*.kb
