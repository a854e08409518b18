//! `groups`.

use super::diag::At;
use super::node::{Kind, Node};
use super::read::{Reader, shorten};
use super::schema::Type::{Either, List, Map, Text};
use super::schema::{Section, WORDS, key};
use super::users::is_name;

/// One group to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Users who join it.
    pub members: Vec<String>,
}

pub(super) const SECTION: Section = Section {
    title: "Groups",
    keys: &[key(
        "groups",
        Either(&[List(&Either(&[Text, Map(&WORDS)])), Map(&WORDS), Text]),
        "groups to add, with users who join them",
    )],
    example: EXAMPLE,
    read: |f, config, r| {
        let Some(node) = f.get("groups") else {
            return;
        };
        match &node.kind {
            Kind::Map(_) => mapping(node, "groups", &mut config.groups, r),
            Kind::Scalar { .. } => {
                for name in r.words(node, "groups") {
                    config.groups.extend(group(name, Vec::new(), "groups", r));
                }
            }
            Kind::Seq(items) => {
                for (i, item) in items.iter().enumerate() {
                    let path = format!("groups[{i}]");
                    if let Kind::Map(_) = item.kind {
                        mapping(item, &path, &mut config.groups, r);
                    } else if let Some(name) = r.line(item, &path) {
                        config.groups.extend(group(name, Vec::new(), &path, r));
                    }
                }
            }
        }
    },
};

const EXAMPLE: &str = "\
groups:
  - admins
  - operators: [alice, bob]
";

fn mapping(node: &Node, path: &str, out: &mut Vec<At<Group>>, r: &mut Reader) {
    let Kind::Map(entries) = &node.kind else {
        return;
    };
    for (name, members) in entries {
        let Some(name) = r.line(name, path) else {
            continue;
        };
        let path = format!("{path}.{}", shorten(&name.value));
        let members = if members.is_null() {
            Vec::new()
        } else {
            r.words(members, &path)
        };
        out.extend(group(name, members, &path, r));
    }
}

fn group(
    name: At<String>,
    members: Vec<At<String>>,
    path: &str,
    r: &mut Reader,
) -> Option<At<Group>> {
    if !is_name(&name.value) {
        r.error(name.spot, path, "not a group name", "");
        return None;
    }
    let mut good = Vec::new();
    for member in members {
        if is_name(&member.value) {
            good.push(member.value);
        } else {
            r.error(member.spot, path, "not a user name", "");
        }
    }
    Some(At {
        spot: name.spot,
        value: Group {
            name: name.value,
            members: good,
        },
    })
}
