//! Users and groups: base-passwd's masters, then sysusers.d(5), evaluated at build
//! time. Ids are the same in every release: those that Debian does not fix come
//! from a table, unknown names from their own spelling.

use std::collections::BTreeMap;

use super::Context;
use crate::error::{Error, Result};
use crate::tree::{Kind, Tree};

/// Ids for names whose owners leave them to chance. Never change or reuse one.
const IDS: [(&str, u32); 26] = [
    ("messagebus", 201),
    ("sshd", 202),
    ("systemd-network", 203),
    ("systemd-resolve", 204),
    ("systemd-timesync", 205),
    ("systemd-journal", 206),
    ("input", 207),
    ("sgx", 208),
    ("clock", 209),
    ("kvm", 210),
    ("render", 211),
    ("_ssh", 212),
    ("polkitd", 213),
    ("systemd-coredump", 214),
    ("systemd-oom", 215),
    ("tss", 216),
    ("_chrony", 217),
    ("ntpsec", 218),
    ("uuidd", 219),
    ("tcpdump", 220),
    ("_rpc", 221),
    ("statd", 222),
    ("crontab", 223),
    ("dnsmasq", 224),
    ("etcd", 232),
    ("docker", 233),
];

/// sysusers lines that a package's script stands for.
const NEEDS: [(&str, &str); 3] = [
    ("docker.io", "g docker - -"),
    ("etcd-server", "u etcd - \"etcd\" /var/lib/etcd"),
    ("cron", "g crontab - -"),
];

/// Range for names that are in no table.
const HASHED: std::ops::Range<u32> = 300..900;

/// The accounts of an image.
#[derive(Debug, Default)]
pub struct Accounts {
    pub users: Vec<UserEntry>,
    pub groups: Vec<GroupEntry>,
}

/// A line of passwd(5) with its shadow password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEntry {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub comment: String,
    pub home: String,
    pub shell: String,
    pub password: String,
}

/// A line of group(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEntry {
    pub name: String,
    pub gid: u32,
    pub members: Vec<String>,
}

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    let accounts = &mut context.accounts;
    for line in tree
        .text("usr/share/base-passwd/group.master")?
        .unwrap_or_default()
        .lines()
    {
        let fields: Vec<&str> = line.split(':').collect();
        if let [name, _, gid, ..] = fields.as_slice() {
            accounts.add_group(name, number(gid, line)?)?;
        }
    }
    for line in tree
        .text("usr/share/base-passwd/passwd.master")?
        .unwrap_or_default()
        .lines()
    {
        if let [name, _, uid, gid, comment, home, shell] =
            line.split(':').collect::<Vec<_>>().as_slice()
        {
            let (uid, gid) = (number(uid, line)?, number(gid, line)?);
            accounts.add_user(UserEntry::system(name, uid, gid, comment, home, shell))?;
        }
    }
    tree.remove("usr/share/base-passwd");
    let mut lines = Vec::new();
    for (package, line) in NEEDS {
        if context.packages.contains_key(package) {
            lines.push(parse(line, package)?);
        }
    }
    // A file in /etc replaces one of the same name in /usr.
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for dir in ["usr/lib/sysusers.d", "etc/sysusers.d"] {
        for (name, node) in tree.children(dir) {
            if name.ends_with(".conf") && matches!(node.kind, Kind::File(_)) {
                files.insert(
                    name.to_owned(),
                    tree.text(&format!("{dir}/{name}"))?.unwrap_or_default(),
                );
            }
        }
    }
    for (name, text) in &files {
        for line in text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
        {
            lines.push(parse(line, name)?);
        }
    }
    context.accounts.apply(&lines, &mut context.warnings)
}

/// One line of a sysusers.d file.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    kind: char,
    name: String,
    id: String,
    comment: String,
    home: String,
    shell: String,
    from: String,
}

fn parse(line: &str, from: &str) -> Result<Line> {
    let bad = |why: &str| Error::input(format!("sysusers.d file {from}: {why} in {line:?}"));
    let mut fields = words(line).ok_or_else(|| bad("open quote"))?.into_iter();
    let mut next = || fields.next().filter(|f| f != "-").unwrap_or_default();
    let kind = next();
    let kind = match kind.trim_end_matches('!') {
        "u" => 'u',
        "g" => 'g',
        "m" => 'm',
        "r" => 'r',
        _ => return Err(bad("unknown line type")),
    };
    let name = next();
    if name.is_empty() && kind != 'r' || name.contains([':', '/', ',']) {
        return Err(bad("not an account name"));
    }
    Ok(Line {
        kind,
        name,
        id: next(),
        comment: next(),
        home: next(),
        shell: next(),
        from: from.to_owned(),
    })
}

/// Fields, with quotes as in systemd's own files.
fn words(line: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let Some(first) = chars.peek().copied() else {
            return Some(out);
        };
        let mut word = String::new();
        if first == '"' || first == '\'' {
            chars.next();
            loop {
                match chars.next()? {
                    c if c == first => break,
                    c => word.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                word.push(c);
            }
        }
        out.push(word);
    }
}

fn number(text: &str, line: &str) -> Result<u32> {
    text.parse()
        .map_err(|_| Error::input(format!("{text:?} in {line:?} is not an id")))
}

impl UserEntry {
    fn system(name: &str, uid: u32, gid: u32, comment: &str, home: &str, shell: &str) -> Self {
        UserEntry {
            name: name.to_owned(),
            uid,
            gid,
            comment: comment.to_owned(),
            home: home.to_owned(),
            shell: shell.to_owned(),
            password: "*".to_owned(),
        }
    }
}

impl Accounts {
    /// Number of a user.
    pub fn uid(&self, name: &str) -> Option<u32> {
        self.users.iter().find(|u| u.name == name).map(|u| u.uid)
    }

    /// Number of a group.
    pub fn gid(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|g| g.name == name).map(|g| g.gid)
    }

    /// Adds a group, unless there is one of that name.
    pub fn add_group(&mut self, name: &str, gid: u32) -> Result<()> {
        if self.gid(name).is_some() {
            return Ok(());
        }
        if let Some(other) = self.groups.iter().find(|g| g.gid == gid) {
            return Err(Error::input(format!(
                "groups {} and {name} both have id {gid}",
                other.name
            )));
        }
        self.groups.push(GroupEntry {
            name: name.to_owned(),
            gid,
            members: Vec::new(),
        });
        Ok(())
    }

    /// Adds a user, unless there is one of that name.
    pub fn add_user(&mut self, user: UserEntry) -> Result<()> {
        if self.uid(&user.name).is_some() {
            return Ok(());
        }
        if let Some(other) = self.users.iter().find(|u| u.uid == user.uid) {
            return Err(Error::input(format!(
                "users {} and {} both have id {}",
                other.name, user.name, user.uid
            )));
        }
        self.users.push(user);
        Ok(())
    }

    /// Adds a user to a group that exists.
    pub fn add_member(&mut self, user: &str, group: &str) -> Result<()> {
        let entry = self
            .groups
            .iter_mut()
            .find(|g| g.name == group)
            .ok_or_else(|| {
                Error::input(format!(
                    "user {user} cannot be in group {group}: there is no such group"
                ))
            })?;
        if !entry.members.iter().any(|m| m == user) {
            entry.members.push(user.to_owned());
        }
        Ok(())
    }

    fn apply(&mut self, lines: &[Line], warnings: &mut Vec<String>) -> Result<()> {
        let mut sorted: Vec<&Line> = lines.iter().collect();
        sorted.sort_by(|a, b| {
            (order(a.kind), a.id.is_empty(), &a.name).cmp(&(
                order(b.kind),
                b.id.is_empty(),
                &b.name,
            ))
        });
        for line in sorted {
            match line.kind {
                'g' if self.gid(&line.name).is_none() => {
                    let gid = if line.id.is_empty() {
                        self.choose(&line.name)
                    } else {
                        self.fixed(&line.id, line, warnings)?
                    };
                    self.add_group(&line.name, gid)?;
                }
                'u' if self.uid(&line.name).is_none() => self.sysuser(line, warnings)?,
                'm' => {
                    if self.gid(&line.id).is_none() {
                        let gid = self.choose(&line.id);
                        self.add_group(&line.id, gid)?;
                    }
                    self.add_member(&line.name, &line.id)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn sysuser(&mut self, line: &Line, warnings: &mut Vec<String>) -> Result<()> {
        let (uid, group) = line
            .id
            .split_once(':')
            .map_or((line.id.as_str(), None), |(u, g)| (u, Some(g)));
        let uid = match uid {
            "" | "-" => self.choose(&line.name),
            fixed => self.fixed(fixed, line, warnings)?,
        };
        let gid = match group {
            Some(group) => match (group.parse(), self.gid(group)) {
                (Ok(gid), _) | (_, Some(gid)) => gid,
                _ => {
                    return Err(Error::input(format!(
                        "sysusers.d file {}: user {} needs group {group}, which nothing makes",
                        line.from, line.name
                    )));
                }
            },
            None => match self.gid(&line.name) {
                Some(gid) => gid,
                None => {
                    self.add_group(&line.name, uid)?;
                    uid
                }
            },
        };
        let or = |text: &str, default: &str| {
            if text.is_empty() {
                default.to_owned()
            } else {
                text.to_owned()
            }
        };
        self.add_user(UserEntry::system(
            &line.name,
            uid,
            gid,
            &line.comment,
            &or(&line.home, "/"),
            &or(&line.shell, "/usr/sbin/nologin"),
        ))
    }

    fn fixed(&self, id: &str, line: &Line, warnings: &mut Vec<String>) -> Result<u32> {
        if id.starts_with('/') {
            warnings.push(format!(
                "sysusers.d file {}: the id of {} from {id} is chosen instead",
                line.from, line.name
            ));
            return Ok(self.choose(&line.name));
        }
        number(id, &line.name)
    }

    /// The id of a name that fixes none: from the table, else from its spelling.
    fn choose(&self, name: &str) -> u32 {
        if let Some((_, id)) = IDS.iter().find(|(n, _)| *n == name) {
            return *id;
        }
        let free = |id: &u32| {
            self.users.iter().all(|u| u.uid != *id || u.name == name)
                && self.groups.iter().all(|g| g.gid != *id || g.name == name)
        };
        // FNV-1a: the same everywhere, for ever.
        let hash = name.bytes().fold(0x811c_9dc5_u32, |h, b| {
            (h ^ u32::from(b)).wrapping_mul(0x0100_0193)
        });
        let size = HASHED.end - HASHED.start;
        (0..size)
            .map(|i| HASHED.start + (hash % size + i) % size)
            .find(free)
            .unwrap_or(HASHED.end)
    }
}

/// Groups before the users and members that need them.
fn order(kind: char) -> u8 {
    match kind {
        'g' => 0,
        'u' => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn applied(text: &str) -> Accounts {
        let mut accounts = Accounts::default();
        let lines: Vec<Line> = text.lines().map(|l| parse(l, "t").unwrap()).collect();
        accounts.apply(&lines, &mut Vec::new()).unwrap();
        accounts
    }

    #[test]
    fn evaluates_sysusers() {
        let a = applied(
            "u! systemd-network - \"systemd Network Management\"\nu sshd -:nogroup \"sshd user\" /run/sshd\ng nogroup 65534 -\nm sshd adm\nu x 77:88\nu app - 'An App' /var/lib/app /bin/sh",
        );
        assert_eq!(a.uid("systemd-network"), Some(203));
        assert_eq!(a.gid("systemd-network"), Some(203));
        let sshd = a.users.iter().find(|u| u.name == "sshd").unwrap();
        assert_eq!(
            (sshd.uid, sshd.gid, sshd.home.as_str()),
            (202, 65534, "/run/sshd")
        );
        assert_eq!(
            a.groups.iter().find(|g| g.name == "adm").unwrap().members,
            ["sshd"]
        );
        assert_eq!(
            (
                a.uid("x"),
                a.users.iter().find(|u| u.name == "x").unwrap().gid
            ),
            (Some(77), 88)
        );
        let app = a.users.iter().find(|u| u.name == "app").unwrap();
        assert_eq!(
            (app.comment.as_str(), app.shell.as_str()),
            ("An App", "/bin/sh")
        );
    }

    #[test]
    fn ids_do_not_depend_on_neighbours() {
        let alone = applied("u app -").uid("app").unwrap();
        assert!(HASHED.contains(&alone));
        assert_eq!(
            applied("u other -\nu app -\ng more -").uid("app"),
            Some(alone)
        );
        let mut ids: Vec<u32> = IDS.iter().map(|(_, id)| *id).collect();
        ids.dedup();
        assert_eq!(ids.len(), IDS.len(), "an id is used twice");
    }

    #[test]
    fn refuses_nonsense() {
        assert!(parse("x name", "t").is_err());
        assert!(parse("u \"open", "t").is_err());
        assert!(parse("u a:b", "t").is_err());
        let lines = [parse("u a -:nowhere", "t").unwrap()];
        assert!(Accounts::default().apply(&lines, &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(line in "[ugmr!]{0,2}[ a-z\"'0-9:/-]{0,40}") {
            if let Ok(line) = parse(&line, "t") {
                let _ = Accounts::default().apply(&[line], &mut Vec::new());
            }
        }
    }
}
