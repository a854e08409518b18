# Prints what the benchmark reads from the serial console. Only builtins and
# systemctl, so that both images can run it. Times are microseconds since the
# kernel's start.
prop() { systemctl show --property="$1" --value ${2:+"$2"}; }
# The kernel's messages must not come in the middle of a line.
echo 1 >/proc/sys/kernel/printk
say() { echo "holdfast-bench $*" >/dev/console; }

say "boot" \
    "init=$(prop InitRDTimestampMonotonic)" \
    "systemd=$(prop UserspaceTimestampMonotonic)" \
    "docker=$(prop ActiveEnterTimestampMonotonic docker.service)" \
    "unit=$(prop ActiveEnterTimestampMonotonic bench.service)" \
    "host=$(uname -n)"

# Idle: every job of the boot done, then some more seconds.
state=$(systemctl is-system-running --wait)
sleep 15
while read -r name value _; do
    case $name in
    MemTotal:) total=$value ;;
    MemAvailable:) available=$value ;;
    esac
done </proc/meminfo
say "memory" "total=$total" "available=$available" "state=$state" "failed=$(systemctl list-units --failed --plain --no-legend | while read -r unit _; do printf '%s,' "$unit"; done)"
say "end"
