//! `ssh_import_id`, `coreos_ssh_import_github` and their like: keys that others
//! keep for a user, fetched anew at every boot. A fetch that fails leaves the keys
//! of the last one.

use super::CloudConfig;
use super::diag::{At, Spot};
use super::read::{Fields, Reader};
use super::schema::{Section, WORDS, key};
use super::shell::quote;
use super::tasks::{Frequency, Phase, Task};

pub(super) const SECTION: Section = Section {
    title: "Keys kept elsewhere",
    keys: &[key(
        "ssh_import_id",
        WORDS,
        "`gh:NAME` or `lp:NAME`: that user's keys, for core, are fetched",
    )
    .each(Frequency::Boot)],
    example: EXAMPLE,
    read: |f, config, r| {
        let mut urls = Vec::new();
        ids(f, &mut urls, r);
        push(urls, "core", f.spot, config);
    },
};

const EXAMPLE: &str = "\
ssh_import_id: [gh:octocat, lp:alice]
";

/// Reads the fields of one user.
pub(super) fn read(f: &Fields<'_>, user: &str, config: &mut CloudConfig, r: &mut Reader) {
    let mut urls = Vec::new();
    ids(f, &mut urls, r);
    let mut names: Vec<At<String>> = f.line("coreos_ssh_import_github", r).into_iter().collect();
    if let Some(n) = f.get("coreos_ssh_import_github_users") {
        names.extend(r.lines(n, &f.key("coreos_ssh_import_github_users")));
    }
    for name in names {
        url_of(
            &format!("gh:{}", name.value),
            name.spot,
            &f.path,
            &mut urls,
            r,
        );
    }
    if let Some(url) = f.line("coreos_ssh_import_url", r) {
        let known = ["https://", "http://"]
            .iter()
            .any(|s| url.value.starts_with(s));
        if known {
            urls.push(url.value);
        } else {
            let key = f.key("coreos_ssh_import_url");
            r.error(
                url.spot,
                &key,
                "not a web address",
                "start it with `https://`",
            );
        }
    }
    push(urls, user, f.spot, config);
}

fn ids(f: &Fields<'_>, urls: &mut Vec<String>, r: &mut Reader) {
    if let Some(n) = f.get("ssh_import_id") {
        let path = f.key("ssh_import_id");
        for id in r.words(n, &path) {
            url_of(&id.value, id.spot, &path, urls, r);
        }
    }
}

fn url_of(id: &str, spot: Spot, path: &str, urls: &mut Vec<String>, r: &mut Reader) {
    let (site, name) = id.split_once(':').unwrap_or(("lp", id));
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b));
    match site {
        "gh" if plain => urls.push(format!("https://github.com/{name}.keys")),
        "lp" if plain => urls.push(format!("https://launchpad.net/~{name}/+sshkeys")),
        _ => r.error(
            spot,
            path,
            "not an id",
            "write `gh:NAME` (GitHub) or `lp:NAME` (Launchpad)",
        ),
    }
}

fn push(urls: Vec<String>, user: &str, spot: Spot, config: &mut CloudConfig) {
    if urls.is_empty() {
        return;
    }
    let file = format!("/etc/ssh/authorized_keys.d/{user}");
    let urls: Vec<String> = urls.iter().map(|u| quote(u)).collect();
    // What the image itself has for the user stays; what is no key is left out.
    let body = format!(
        "set -eu\n\
         umask 022\n\
         new={file}.new\n\
         mkdir -p /etc/ssh/authorized_keys.d\n\
         cat /usr/share/holdfast{file} > \"$new\" 2>/dev/null || : > \"$new\"\n\
         for url in {}; do\n\
         \tcurl -fsSL --retry 5 --retry-connrefused --max-time 60 \"$url\" > \"$new.answer\"\n\
         \ttr '{{}}\"' '\\n\\n\\n' < \"$new.answer\" | grep -E '^(ssh|ecdsa|sk)-[a-z0-9@.-]+ +[A-Za-z0-9+/=]{{16,}}' >> \"$new\"\n\
         done\n\
         rm -f \"$new.answer\"\n\
         mv -f \"$new\" {file}\n",
        urls.join(" ")
    );
    let name = format!("ssh-import-{user}");
    let about = format!("Fetch public keys of {user}");
    let task = Task::shell(&name, &about, &body, Frequency::Boot, Phase::Late);
    config.tasks.push(task.at(spot));
}
