//! The host, so that figures can be judged.

use std::fs;

/// Processor, number of CPUs, memory, kernel, and how busy the host is.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let field = |text: &str, name: &str| {
        let value = text.lines().find_map(|l| {
            l.strip_prefix(name)?
                .split_once(':')
                .map(|(_, v)| v.trim().to_owned())
        });
        value.unwrap_or_else(|| "unknown".to_owned())
    };
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let memory = memory
        .trim_end_matches(" kB")
        .parse::<u64>()
        .map_or(memory.clone(), |kb| format!("{} MiB", kb / 1024));
    let load = read("/proc/loadavg")
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    format!(
        "{}, {cpus} CPUs, {memory}, Linux {}, load {load} at the end",
        field(&cpuinfo, "model name"),
        read("/proc/sys/kernel/osrelease").trim()
    )
}
