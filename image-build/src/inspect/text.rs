//! What was found, for people.

use std::fmt::Write as _;

use super::Found;

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl Found {
    /// A disk map and what is on it, lines ending with a newline.
    pub fn text(&self) -> String {
        // Writing to a String cannot fail.
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{} image, disk of {}, partition table: {}",
            self.format,
            mib(self.disk_bytes),
            self.table
        );
        let _ = writeln!(
            out,
            "\n  #  {:>12} {:>12}  {:<12} {:<28} PARTUUID",
            "start", "size", "type", "name"
        );
        for p in &self.partitions {
            let (start, size) = (mib(p.start), mib(p.bytes));
            let _ = writeln!(
                out,
                " {:>2}  {start:>12} {size:>12}  {:<12} {:<28} {}",
                p.number, p.kind, p.name, p.guid
            );
        }
        let end = self
            .partitions
            .iter()
            .map(|p| p.start + p.bytes)
            .max()
            .unwrap_or(0);
        let free = self.disk_bytes.saturating_sub(end);
        let _ = writeln!(
            out,
            "     {:>12} {:>12}  free, for root",
            mib(end),
            mib(free)
        );
        for slot in &self.slots {
            let state = match slot.verified {
                Some(true) => ", verified",
                Some(false) => ", NOT what its root hash says",
                None => "",
            };
            let _ = writeln!(
                out,
                "\nrelease {} in partition {}: {}{state}",
                slot.version,
                slot.partition,
                mib(slot.used_bytes)
            );
            let _ = writeln!(out, "  root hash {}", slot.root_hash);
        }
        for uki in &self.ukis {
            let size = self.esp.get(&uki.path).copied().unwrap_or(0);
            let _ = writeln!(
                out,
                "\n{}: {}, kernel {}",
                uki.path,
                mib(size),
                uki.kernel.as_deref().unwrap_or("unknown")
            );
            let part = |name: &str| mib(uki.sections.get(name).copied().unwrap_or(0));
            let _ = writeln!(
                out,
                "  kernel {}, initrd {}",
                part(".linux"),
                part(".initrd")
            );
            let _ = writeln!(
                out,
                "  {}",
                uki.cmdline.as_deref().unwrap_or("no command line")
            );
            if !uki.usr_present {
                let _ = writeln!(out, "  no slot has the /usr it names");
            }
        }
        let _ = writeln!(out, "\nSecure Boot:");
        for (path, signatures) in &self.programs {
            if signatures.is_empty() {
                let _ = writeln!(out, "  {path}: not signed");
            }
            for signature in signatures {
                let state = if signature.intact {
                    "signed by"
                } else {
                    "CHANGED since it was signed by"
                };
                let _ = writeln!(
                    out,
                    "  {path}: {state} {} (SHA-256 {})",
                    signature.subject, signature.fingerprint
                );
            }
        }
        let _ = writeln!(out, "\nESP, {} free:", mib(self.esp_free));
        for (path, size) in &self.esp {
            let _ = writeln!(out, "  {size:>10}  {path}");
        }
        let _ = writeln!(out, "\nOEM:");
        for (path, size) in &self.oem {
            let _ = writeln!(out, "  {size:>10}  {path}");
        }
        let env: Vec<String> = self
            .grubenv
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let _ = writeln!(out, "\nGRUB: {}", env.join(", "));
        out
    }
}
