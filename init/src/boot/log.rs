//! One line a message, to the kernel's log, which also shows it on the consoles.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;

static KMSG: OnceLock<File> = OnceLock::new();

/// Opens the kernel log and lifts its rate limit for user space. Messages before that go to standard error.
pub fn open() {
    if let Ok(file) = OpenOptions::new().write(true).open("/dev/kmsg") {
        // Without it the kernel drops all but ten messages in five seconds. It wants the line end.
        let _ = std::fs::write("/proc/sys/kernel/printk_devkmsg", "on\n");
        let _ = KMSG.set(file);
    }
}

fn write(level: u8, text: &str) {
    let text = text.replace('\n', " ");
    let line = format!("<{level}>init: {text}\n");
    let written = KMSG.get().map(|mut file| file.write_all(line.as_bytes()));
    if !matches!(written, Some(Ok(()))) {
        eprintln!("init: {text}");
    }
}

/// Progress.
pub fn info(text: &str) {
    write(6, text);
}

/// Something the operator should know.
pub fn warning(text: &str) {
    write(4, text);
}

/// Why the boot fails: shown on the console even when the kernel is told to be quiet.
pub fn critical(text: &str) {
    write(2, text);
    let printk = std::fs::read_to_string("/proc/sys/kernel/printk").unwrap_or_default();
    let shown = printk
        .split_whitespace()
        .next()
        .and_then(|level| level.parse().ok())
        .is_none_or(|level: u8| level > 2);
    if !shown && let Ok(mut console) = OpenOptions::new().write(true).open("/dev/console") {
        let _ = writeln!(console, "init: {text}");
    }
}
