//! passwd(5), shadow(5), group(5) and gshadow(5) as text: users and groups are
//! looked up, added and changed; every other line stays as it is. Pure.

use crate::cloudconfig::Group;
use crate::error::{Error, Result};
use crate::root::SystemView;
use std::collections::HashSet;

/// The files.
pub const FILES: [&str; 4] = ["/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow"];

/// What is wanted of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Numeric id of a new user.
    pub uid: Option<u32>,
    /// Full name.
    pub gecos: Option<String>,
    /// Password hash.
    pub password: Option<String>,
    /// Home directory.
    pub home: Option<String>,
    /// Make the home directory of a new user.
    pub create_home: bool,
    /// Primary group.
    pub primary_group: Option<String>,
    /// Further groups.
    pub groups: Vec<String>,
    /// Make a group of the user's name.
    pub user_group: bool,
    /// Low uid.
    pub system: bool,
    /// Login shell.
    pub shell: Option<String>,
    /// Last day of a new user's account, counted from 1970.
    pub expires: Option<u64>,
    /// Days until a new user's expired password locks the account.
    pub inactive: Option<u32>,
}

/// A user as the files tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Numeric id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
}

/// The four files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Db {
    group: Vec<String>,
    gshadow: Option<Vec<String>>,
    passwd: Vec<String>,
    shadow: Option<Vec<String>>,
}

impl Db {
    /// Reads the files.
    pub fn read(view: &dyn SystemView) -> Result<Db> {
        let lines = |path: &str| -> Result<Option<Vec<String>>> {
            let Some(bytes) = view.read(path)? else {
                return Ok(None);
            };
            let text = String::from_utf8(bytes).map_err(|_| {
                Error::environment(format!("{path} is not UTF-8")).hint("repair the file by hand")
            })?;
            Ok(Some(text.lines().map(str::to_owned).collect()))
        };
        let [group, gshadow, passwd, shadow] = FILES;
        Ok(Db {
            group: lines(group)?.unwrap_or_default(),
            gshadow: lines(gshadow)?,
            passwd: lines(passwd)?.unwrap_or_default(),
            shadow: lines(shadow)?,
        })
    }

    /// Text of each file in the order of [`FILES`]; `None` for one that does
    /// not exist and is not needed.
    pub fn render(&self) -> [Option<String>; 4] {
        let text = |lines: &Vec<String>| lines.iter().map(|l| format!("{l}\n")).collect::<String>();
        [
            Some(text(&self.group)),
            self.gshadow.as_ref().map(text),
            Some(text(&self.passwd)),
            self.shadow.as_ref().map(text),
        ]
    }

    /// Finds a user.
    pub fn user(&self, name: &str) -> Option<User> {
        let f: Vec<&str> = find(&self.passwd, name)?.split(':').collect();
        Some(User {
            uid: f.get(2)?.parse().ok()?,
            gid: f.get(3)?.parse().ok()?,
            home: (*f.get(5)?).to_owned(),
        })
    }

    /// Whether a directory is somebody's home.
    pub fn is_home(&self, directory: &str) -> bool {
        let home = |l: &String| l.split(':').nth(5) == Some(directory);
        self.passwd.iter().any(home)
    }

    /// Finds a group's number.
    pub fn group(&self, name: &str) -> Option<u32> {
        find(&self.group, name)?.split(':').nth(2)?.parse().ok()
    }

    /// Resolves `user`, `user:group` and numbers, as chown(1) does.
    pub fn owner(&self, text: &str) -> Option<(u32, u32)> {
        let (user, group) = text
            .split_once(':')
            .map_or((text, None), |(u, g)| (u, Some(g)));
        let (uid, login_gid) = match (self.user(user), user.parse::<u32>()) {
            (Some(u), _) => (u.uid, u.gid),
            (None, Ok(n)) => (n, 0),
            (None, Err(_)) if user.is_empty() => (0, 0),
            _ => return None,
        };
        let gid = match group {
            None | Some("") => login_gid,
            Some(g) => self.group(g).or_else(|| g.parse().ok())?,
        };
        Some((uid, gid))
    }

    /// Brings the files in line with `want`; says what changed. `today` is
    /// days since 1970, for shadow(5).
    pub fn ensure(&mut self, want: &Account, today: u64) -> Result<Vec<String>> {
        let mut changes = Vec::new();
        if self.user(&want.name).is_none() {
            self.add_user(want, today, &mut changes)?;
        } else if let Some(hash) = &want.password {
            changes.extend(self.set_password(&want.name, hash, today));
        }
        for group in &want.groups {
            if self.group(group).is_none() {
                let gid = self.free_id(want.system, None)?;
                self.add_group(group, gid, &mut changes);
            }
            self.join(group, &want.name, &mut changes);
        }
        Ok(changes)
    }

    /// Adds a group and its members; says what changed.
    pub fn ensure_group(&mut self, want: &Group) -> Result<Vec<String>> {
        let mut changes = Vec::new();
        if self.group(&want.name).is_none() {
            let gid = self.free_id(false, None)?;
            self.add_group(&want.name, gid, &mut changes);
        }
        for user in &want.members {
            if self.user(user).is_none() {
                return Err(Error::input(format!("there is no user {user}"))
                    .hint("add the user under `users`"));
            }
            self.join(&want.name, user, &mut changes);
        }
        Ok(changes)
    }

    fn add_user(&mut self, want: &Account, today: u64, changes: &mut Vec<String>) -> Result<()> {
        let uid = match want.uid {
            Some(uid) => self.given_id(uid)?,
            None => match self.group(&want.name).filter(|_| want.user_group) {
                // The group of a user's name has the user's number, also where a power
                // failure came between the two.
                Some(gid) if self.given_id(gid).is_ok() => gid,
                _ => self.free_id(want.system, None)?,
            },
        };
        let own_group = || want.user_group.then_some(want.name.as_str());
        let gid = match want.primary_group.as_deref().or_else(own_group) {
            Some(group) => match self.group(group) {
                Some(gid) => gid,
                None => {
                    let gid = self.free_id(want.system, Some(uid))?;
                    self.add_group(group, gid, changes);
                    gid
                }
            },
            None => self.group("users").unwrap_or(100),
        };
        let home = want
            .home
            .clone()
            .unwrap_or_else(|| format!("/home/{}", want.name));
        let gecos = want.gecos.as_deref().unwrap_or_default();
        let default_shell = if want.system {
            "/usr/sbin/nologin"
        } else {
            "/bin/bash"
        };
        let shell = want.shell.as_deref().unwrap_or(default_shell);
        self.passwd.push(format!(
            "{}:x:{uid}:{gid}:{gecos}:{home}:{shell}",
            want.name
        ));
        let hash = want.password.as_deref().unwrap_or("*");
        let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        let line = format!(
            "{}:{hash}:{today}:0:99999:7:{}:{}:",
            want.name,
            number(want.inactive.map(u64::from)),
            number(want.expires)
        );
        let shadow = self.shadow.get_or_insert_default();
        shadow.retain(|l| name_of(l) != want.name);
        shadow.push(line);
        changes.push(format!("user {} added, uid {uid}, gid {gid}", want.name));
        Ok(())
    }

    /// Sets a password hash; says what changed. `day` is when it was set, counted
    /// from 1970; 0 makes it to be changed at the next login.
    pub fn set_password(&mut self, name: &str, hash: &str, day: u64) -> Option<String> {
        let shadow = self.shadow.get_or_insert_default();
        match shadow.iter_mut().find(|l| name_of(l) == name) {
            Some(line) => {
                let mut f: Vec<String> = line.split(':').map(str::to_owned).collect();
                f.resize(9, String::new());
                if f[1] == hash {
                    return None;
                }
                f[1] = hash.to_owned();
                f[2] = day.to_string();
                *line = f.join(":");
            }
            None => shadow.push(format!("{name}:{hash}:{day}:0:99999:7:::")),
        }
        Some(format!("password of {name} set"))
    }

    fn given_id(&self, uid: u32) -> Result<u32> {
        let taken = |l: &String| l.split(':').nth(2) == Some(&uid.to_string());
        match self.passwd.iter().find(|l| taken(l)) {
            None => Ok(uid),
            Some(line) => Err(
                Error::input(format!("uid {uid} is {}'s already", name_of(line)))
                    .hint("choose another, or leave `uid` out"),
            ),
        }
    }

    fn add_group(&mut self, name: &str, gid: u32, changes: &mut Vec<String>) {
        self.group.push(format!("{name}:x:{gid}:"));
        if let Some(gshadow) = &mut self.gshadow {
            gshadow.retain(|l| name_of(l) != name);
            gshadow.push(format!("{name}:!::"));
        }
        changes.push(format!("group {name} added, gid {gid}"));
    }

    fn join(&mut self, group: &str, user: &str, changes: &mut Vec<String>) {
        if add_member(&mut self.group, group, user) {
            changes.push(format!("{user} joined group {group}"));
        }
        if let Some(gshadow) = &mut self.gshadow {
            add_member(gshadow, group, user);
        }
    }

    /// A number free as uid and gid alike: `wish` if it is, else the one after
    /// the highest in use (the lowest one below, for system accounts).
    fn free_id(&self, system: bool, wish: Option<u32>) -> Result<u32> {
        let number = |l: &String| l.split(':').nth(2).and_then(|n| n.parse::<u32>().ok());
        let uids = self.passwd.iter().filter_map(number);
        let gids: HashSet<u32> = self.group.iter().filter_map(number).collect();
        if let Some(w) = wish.filter(|w| !gids.contains(w)) {
            return Ok(w);
        }
        let used: HashSet<u32> = uids.chain(gids.iter().copied()).collect();
        let free = if system {
            (100..1000).rev().find(|n| !used.contains(n))
        } else {
            let next = used
                .iter()
                .copied()
                .filter(|n| (1000..60000).contains(n))
                .max()
                .map_or(1000, |n| n + 1);
            (next..60000).chain(1000..next).find(|n| !used.contains(n))
        };
        free.ok_or_else(|| {
            Error::environment("no user or group number is free")
                .hint("remove users that are not needed")
        })
    }
}

fn name_of(line: &str) -> &str {
    line.split(':').next().unwrap_or_default()
}

fn find<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines
        .iter()
        .find(|l| name_of(l) == name)
        .map(String::as_str)
}

/// Adds to the member list, the last field of group(5) and gshadow(5).
fn add_member(lines: &mut [String], group: &str, user: &str) -> bool {
    let Some(line) = lines.iter_mut().find(|l| name_of(l) == group) else {
        return false;
    };
    let members = line.rsplit(':').next().unwrap_or_default();
    if members.split(',').any(|m| m == user) {
        return false;
    }
    if !members.is_empty() {
        line.push(',');
    }
    line.push_str(user);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn db() -> Db {
        let lines = |t: &str| t.lines().map(str::to_owned).collect::<Vec<_>>();
        Db {
            group: lines("root:x:0:\nsudo:x:27:core\ndocker:x:999:\ncore:x:1000:\nusers:x:100:"),
            gshadow: Some(lines(
                "root:*::\nsudo:*::core\ndocker:!::\ncore:!::\nusers:*::",
            )),
            passwd: lines(
                "root:x:0:0:root:/root:/bin/bash\ncore:x:1000:1000::/home/core:/bin/bash",
            ),
            shadow: Some(lines("root:*:1:0:99999:7:::\ncore:!:1:0:99999:7:::")),
        }
    }

    #[test]
    fn adds_once() {
        let mut d = db();
        let want = Account {
            name: "elroy".into(),
            groups: vec!["docker".into(), "sudo".into(), "new".into()],
            password: Some("$6$x$y".into()),
            user_group: true,
            ..Account::default()
        };
        let changes = d.ensure(&want, 20000).unwrap();
        assert_eq!(
            changes[..2],
            [
                "group elroy added, gid 1001",
                "user elroy added, uid 1001, gid 1001"
            ]
        );
        let [group, gshadow, passwd, shadow] = d.render().map(Option::unwrap);
        assert!(passwd.ends_with("elroy:x:1001:1001::/home/elroy:/bin/bash\n"));
        assert!(shadow.ends_with("elroy:$6$x$y:20000:0:99999:7:::\n"));
        assert!(
            group.contains("sudo:x:27:core,elroy\ndocker:x:999:elroy\n")
                && group.ends_with("new:x:1002:elroy\n")
        );
        assert!(gshadow.contains("sudo:*::core,elroy\n") && gshadow.ends_with("new:!::elroy\n"));
        let before = d.clone();
        assert!(d.ensure(&want, 20001).unwrap().is_empty());
        assert_eq!(d, before);
    }

    #[test]
    fn existing_user_keeps_all_but_password_and_groups() {
        let mut d = db();
        let want = Account {
            name: "core".into(),
            password: Some("$y$z".into()),
            shell: Some("/bin/sh".into()),
            ..Account::default()
        };
        assert_eq!(d.ensure(&want, 5).unwrap(), ["password of core set"]);
        assert!(
            d.render()[2]
                .as_ref()
                .unwrap()
                .contains("core:x:1000:1000::/home/core:/bin/bash")
        );
        assert!(d.render()[3].as_ref().unwrap().contains("core:$y$z:5:0:"));
    }

    #[test]
    fn system_users_and_owners() {
        let mut d = db();
        let want = Account {
            name: "svc".into(),
            system: true,
            ..Account::default()
        };
        d.ensure(&want, 5).unwrap();
        // 999 is docker's.
        assert_eq!(
            d.user("svc"),
            Some(User {
                uid: 998,
                gid: 100,
                home: "/home/svc".into()
            })
        );
        assert_eq!(d.owner("core"), Some((1000, 1000)));
        assert_eq!(d.owner("core:docker"), Some((1000, 999)));
        assert_eq!(d.owner("root:5"), Some((0, 5)));
        assert_eq!(d.owner("77"), Some((77, 0)));
        assert_eq!(d.owner("nobody-here"), None);
        assert_eq!(d.owner("core:nope"), None);
    }
}
