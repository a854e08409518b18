//! `enable: true`: the links a unit's `[Install]` section asks for
//! (systemd.unit(5)), made as `systemctl enable --force` makes them.

use super::units::template_of;
use super::{Action, Builder, Origin};
use crate::error::Result;
use crate::root::Found;

/// Where units are looked for, strongest first.
const DIRS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];

/// Plans the links of `unit` and of what its `Also=` names.
pub(super) fn add(b: &mut Builder<'_>, origin: Origin, unit: &str, runtime: bool) -> Result<()> {
    let base = if runtime {
        "/run/systemd/system"
    } else {
        "/etc/systemd/system"
    };
    let mut todo = vec![unit.to_owned()];
    let mut done: Vec<String> = Vec::new();
    while let Some(name) = todo.pop() {
        if done.contains(&name) || done.len() > 50 {
            continue;
        }
        done.push(name.clone());
        let resource = format!("enable {name}");
        let Some((path, text)) = find(b, &name)? else {
            b.skip(
                resource,
                origin,
                "there is no such unit",
                Some("give it `content`, or correct its name".to_owned()),
            );
            continue;
        };
        let install = Install::parse(&text);
        let links = install.links(&name, &path, base);
        if links.is_empty() && install.also.is_empty() {
            b.skip(
                resource,
                origin,
                "the unit has no [Install] section to enable",
                Some(
                    "add `[Install]` with `WantedBy=multi-user.target`, or use `command: start`"
                        .to_owned(),
                ),
            );
        }
        for (path, target) in links {
            b.push(
                format!("enable {name}: link {path}"),
                origin,
                Action::Link { path, target },
            );
        }
        todo.extend(install.also);
    }
    Ok(())
}

/// Plans that the links of `unit` go, where they are.
pub(super) fn remove(b: &mut Builder<'_>, origin: Origin, unit: &str) -> Result<()> {
    let Some((path, text)) = find(b, unit)? else {
        return Ok(());
    };
    for (link, _) in Install::parse(&text).links(unit, &path, "/etc/systemd/system") {
        if let Found::Link(_) = b.look(&link)? {
            let resource = format!("disable {unit}: link {link}");
            b.push(resource, origin, Action::Remove { path: link });
        }
    }
    Ok(())
}

/// The unit's file (of its template, for an instance): path and text.
fn find(b: &Builder<'_>, name: &str) -> Result<Option<(String, String)>> {
    for candidate in std::iter::once(name.to_owned()).chain(template_of(name)) {
        for dir in DIRS {
            let path = format!("{dir}/{candidate}");
            if let Found::File { content, .. } = b.look(&path)? {
                return Ok(Some((path, String::from_utf8_lossy(&content).into_owned())));
            }
        }
    }
    Ok(None)
}

#[derive(Default)]
struct Install {
    wanted_by: Vec<String>,
    required_by: Vec<String>,
    upheld_by: Vec<String>,
    alias: Vec<String>,
    also: Vec<String>,
    default_instance: Option<String>,
}

impl Install {
    fn parse(text: &str) -> Install {
        let mut out = Install::default();
        let mut inside = false;
        let joined = text.replace("\\\n", " ");
        for line in joined.lines().map(str::trim) {
            if line.starts_with('[') {
                inside = line == "[Install]";
            }
            let Some((key, value)) = line
                .split_once('=')
                .filter(|_| inside && !line.starts_with(['#', ';']))
            else {
                continue;
            };
            let list = match key.trim() {
                "WantedBy" => &mut out.wanted_by,
                "RequiredBy" => &mut out.required_by,
                "UpheldBy" => &mut out.upheld_by,
                "Alias" => &mut out.alias,
                "Also" => &mut out.also,
                "DefaultInstance" => {
                    out.default_instance = Some(value.trim().to_owned());
                    continue;
                }
                _ => continue,
            };
            // An empty value resets the list.
            if value.trim().is_empty() {
                list.clear();
            }
            let names = value
                .split_whitespace()
                .filter(|n| !n.contains('/') && n.contains('.'));
            list.extend(names.map(str::to_owned));
        }
        out
    }

    fn links(&self, name: &str, path: &str, base: &str) -> Vec<(String, String)> {
        let instance = name
            .split_once('@')
            .and_then(|(_, r)| r.rsplit_once('.'))
            .map(|(i, _)| i.to_owned());
        let linked = match (&instance, &self.default_instance) {
            (Some(i), Some(default)) if i.is_empty() => {
                name.replacen("@.", &format!("@{default}."), 1)
            }
            _ => name.to_owned(),
        };
        let prefix = linked
            .split('@')
            .next()
            .and_then(|p| p.split('.').next())
            .unwrap_or_default();
        let expand = |s: &str| {
            let i = instance
                .as_deref()
                .filter(|i| !i.is_empty())
                .or(self.default_instance.as_deref())
                .unwrap_or_default();
            s.replace("%i", i)
                .replace("%I", i)
                .replace("%n", &linked)
                .replace("%p", prefix)
        };
        let mut links = Vec::new();
        for (list, suffix) in [
            (&self.wanted_by, "wants"),
            (&self.required_by, "requires"),
            (&self.upheld_by, "upholds"),
        ] {
            links.extend(list.iter().map(|t| {
                (
                    format!("{base}/{}.{suffix}/{linked}", expand(t)),
                    path.to_owned(),
                )
            }));
        }
        links.extend(
            self.alias
                .iter()
                .map(|a| expand(a))
                .filter(|a| a != name)
                .map(|a| (format!("{base}/{a}"), path.to_owned())),
        );
        links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn install_section_gives_links() {
        let text = "[Unit]\nWantedBy=no.target\n[Install]\nWantedBy=multi-user.target \\\n a.target\nAlias=b.service\nRequiredBy=c.target\n";
        let links = Install::parse(text).links(
            "x.service",
            "/etc/systemd/system/x.service",
            "/etc/systemd/system",
        );
        let paths: Vec<&str> = links
            .iter()
            .map(|(p, _)| p.trim_start_matches("/etc/systemd/system/"))
            .collect();
        assert_eq!(
            paths,
            [
                "multi-user.target.wants/x.service",
                "a.target.wants/x.service",
                "c.target.requires/x.service",
                "b.service"
            ]
        );
        let template = "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n";
        let links = Install::parse(template).links(
            "g@.service",
            "/usr/lib/systemd/system/g@.service",
            "/run/systemd/system",
        );
        assert_eq!(
            links[0].0,
            "/run/systemd/system/getty.target.wants/g@tty1.service"
        );
        assert!(
            Install::parse("[Install]\nWantedBy=../../x.target a/b.target\n")
                .wanted_by
                .is_empty()
        );
    }
}
