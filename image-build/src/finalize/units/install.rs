//! The [Install] section of unit files (systemd.unit(5)).

/// What enabling a unit does.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Install {
    pub wanted_by: Vec<String>,
    pub required_by: Vec<String>,
    pub upheld_by: Vec<String>,
    pub alias: Vec<String>,
    pub also: Vec<String>,
    pub default_instance: Option<String>,
}

impl Install {
    /// Adds what a unit file or drop-in says.
    pub fn read(&mut self, text: &str) {
        let mut inside = false;
        let mut pending = String::new();
        for raw in text.lines() {
            let line = raw.trim();
            if line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(start) = line.strip_suffix('\\') {
                pending.push_str(start);
                pending.push(' ');
                continue;
            }
            let line = format!("{pending}{line}");
            pending.clear();
            if line.starts_with('[') {
                inside = line == "[Install]";
            } else if inside && let Some((key, value)) = line.split_once('=') {
                self.set(key.trim(), value.trim());
            }
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        let list = match key {
            "WantedBy" => &mut self.wanted_by,
            "RequiredBy" => &mut self.required_by,
            "UpheldBy" => &mut self.upheld_by,
            "Alias" => &mut self.alias,
            "Also" => &mut self.also,
            "DefaultInstance" => {
                self.default_instance = Some(value.to_owned()).filter(|v| !v.is_empty());
                return;
            }
            _ => return,
        };
        if value.is_empty() {
            list.clear();
        }
        list.extend(value.split_whitespace().map(str::to_owned));
    }

    /// True if enabling does nothing.
    pub fn is_empty(&self) -> bool {
        self.wanted_by.is_empty()
            && self.required_by.is_empty()
            && self.upheld_by.is_empty()
            && self.alias.is_empty()
            && self.also.is_empty()
    }
}

/// Expands the specifiers that make sense in [Install] for the unit `name`.
pub fn expand(text: &str, name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(s, _)| s);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('i' | 'I') => out.push_str(instance),
            Some('p' | 'P') => out.push_str(prefix),
            Some('n') => out.push_str(name),
            Some('N') => out.push_str(stem),
            Some('%') => out.push('%'),
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_sections() {
        let mut i = Install::default();
        i.read("[Unit]\nWantedBy=no\n[Install]\nWantedBy=a b\n# c\nWantedBy=c \\\n d\nAlias=\nDefaultInstance=x\n[Service]\nAlso=no");
        assert_eq!(i.wanted_by, ["a", "b", "c", "d"]);
        assert!(i.alias.is_empty() && i.also.is_empty());
        i.read("[Install]\nWantedBy=\nWantedBy=z");
        assert_eq!(i.wanted_by, ["z"]);
        assert_eq!(
            expand("sys-%i.device %% %n %p", "a@b.service"),
            "sys-b.device % a@b.service a"
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]Install\n=\\\\ #%a]{0,60}") {
            Install::default().read(&text);
            expand(&text, &text);
        }
    }
}
