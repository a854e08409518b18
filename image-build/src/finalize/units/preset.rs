//! systemd.preset(5).

use crate::tree::matches;

/// What presets say about a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Enable; for a template, these instances.
    Enable(Vec<String>),
    /// Leave it disabled.
    Disable,
}

/// Rules in order; the first that matches decides.
#[derive(Debug, Default)]
pub struct Presets {
    rules: Vec<(String, Decision)>,
}

impl Presets {
    /// Reads files in the order they apply.
    pub fn parse<'a>(files: impl Iterator<Item = &'a str>) -> Self {
        let mut rules = Vec::new();
        for line in files.flat_map(str::lines) {
            let mut words = line.split_whitespace();
            let decision = match words.next() {
                Some("enable") => Decision::Enable,
                Some("disable" | "ignore") => |_| Decision::Disable,
                _ => continue,
            };
            if let Some(pattern) = words.next() {
                rules.push((
                    pattern.to_owned(),
                    decision(words.map(str::to_owned).collect()),
                ));
            }
        }
        Presets { rules }
    }

    /// The decision for a unit file. Without any rule systemd would enable it; here
    /// the last rule is ours and matches everything.
    pub fn decide(&self, unit: &str) -> Decision {
        let rule = self
            .rules
            .iter()
            .find(|(pattern, _)| matches(pattern, unit));
        rule.map_or(Decision::Disable, |(_, decision)| decision.clone())
    }

    /// True if a rule forbids this unit by name, not merely as one of all.
    pub fn forbids(&self, unit: &str) -> bool {
        let rule = self
            .rules
            .iter()
            .find(|(pattern, _)| matches(pattern, unit));
        rule.is_some_and(|(pattern, decision)| pattern != "*" && *decision == Decision::Disable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_rule_wins() {
        let p = Presets::parse(
            [
                "# x\nenable a.service\nenable g@.service tty1 tty2\n",
                "disable c.*\ndisable *\nenable b.service",
            ]
            .into_iter(),
        );
        assert_eq!(p.decide("a.service"), Decision::Enable(vec![]));
        assert_eq!(
            p.decide("g@.service"),
            Decision::Enable(vec!["tty1".into(), "tty2".into()])
        );
        assert_eq!(p.decide("b.service"), Decision::Disable);
        assert!(p.forbids("c.socket") && !p.forbids("b.service") && !p.forbids("a.service"));
    }
}
