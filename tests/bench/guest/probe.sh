# Prints what the benchmark reads from the serial console. Only builtins and
# systemd's programs, so that both images can run it. Times are microseconds since the
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
# When the initrd handed over to the real system's systemd: the kernel's log for ours.
{
    dmesg
    journalctl -b -o short-monotonic --no-pager _PID=1
} | while read -r line; do
    case $line in
    *"Switching root."* | *"init"*" usr "*" root "*" total "*" ms")
        line=${line#[}
        say "handed" "over=$(echo ${line%%]*})"
        ;;
    esac
done
say "end"
