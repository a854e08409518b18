//! Reading recipe files and following `extends`.

use std::path::{Path, PathBuf};

use super::raw::RawRecipe;
use super::{Recipe, builtin, closest, secure_boot};
use crate::error::{Context, Error, Result};

/// A recipe file larger than this is a mistake.
const MAX_RECIPE: u64 = 4 << 20;
/// Longest chain of `extends`.
const MAX_CHAIN: usize = 16;

/// Where a recipe comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Builtin(String),
    File(PathBuf),
}

impl Origin {
    fn describe(&self) -> String {
        match self {
            Origin::Builtin(name) => format!("built-in recipe {name}"),
            Origin::File(path) => path.display().to_string(),
        }
    }
}

impl Recipe {
    /// Loads a built-in recipe by name, or a recipe file by path.
    pub fn load(name_or_path: &str) -> Result<Recipe> {
        let first = find(name_or_path, None)?;
        let mut seen: Vec<Origin> = Vec::new();
        let mut chain: Vec<RawRecipe> = Vec::new();
        let mut next = Some(first.clone());
        while let Some(origin) = next {
            if seen.contains(&origin) || seen.len() == MAX_CHAIN {
                let names: Vec<String> = seen.iter().map(Origin::describe).collect();
                return Err(Error::input(format!(
                    "{} extends itself ({} -> ...)",
                    origin.describe(),
                    names.join(" -> ")
                ))
                .hint("remove one of the `extends` lines"));
            }
            let raw = read(&origin)?;
            next = raw
                .extends
                .as_deref()
                .map(|e| find(e, Some(&origin)))
                .transpose()?;
            seen.push(origin);
            chain.push(raw);
        }
        let mut merged = RawRecipe::default();
        for raw in chain.into_iter().rev() {
            merged = raw.over(merged);
        }
        Recipe::check(merged).map_err(|e| {
            let mut out = Error::input(format!("{}: {}", first.describe(), e.chain()));
            if let Some(hint) = e.hint_text() {
                out = out.hint(hint);
            }
            out
        })
    }

    /// Checks a recipe given as text that may extend built-in recipes only.
    pub fn parse(text: &str) -> Result<Recipe> {
        let raw = parse(text, "recipe")?;
        let base = match raw.extends.as_deref() {
            None => RawRecipe::default(),
            Some(name) => {
                let Origin::Builtin(name) = find(name, None)? else {
                    return Err(Error::input(format!(
                        "`extends: {name}` is not a built-in recipe"
                    )));
                };
                let mut base = RawRecipe::default();
                let mut chain = Vec::new();
                let mut at = Some(name);
                while let Some(name) = at {
                    let raw = read(&Origin::Builtin(name))?;
                    at = raw.extends.clone();
                    chain.push(raw);
                }
                for raw in chain.into_iter().rev() {
                    base = raw.over(base);
                }
                base
            }
        };
        Recipe::check(raw.over(base))
    }
}

fn find(name: &str, from: Option<&Origin>) -> Result<Origin> {
    if builtin::get(name).is_some() {
        return Ok(Origin::Builtin(name.to_owned()));
    }
    let path = match from {
        Some(Origin::File(parent)) => parent.parent().unwrap_or(Path::new("")).join(name),
        _ => PathBuf::from(name),
    };
    if path.is_file() {
        return path
            .canonicalize()
            .map(Origin::File)
            .environment(|| format!("opening {}", path.display()));
    }
    let names = builtin::BUILTIN.map(|(n, _)| n);
    let error = Error::input(format!(
        "there is no recipe {name:?}: neither a file nor a built-in one"
    ));
    Err(match closest(name, names) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("built-in recipes: {}", names.join(", "))),
    })
}

fn read(origin: &Origin) -> Result<RawRecipe> {
    match origin {
        Origin::Builtin(name) => parse(builtin::get(name).unwrap_or_default(), &origin.describe()),
        Origin::File(path) => {
            let mut raw = parse(&read_text(path)?, &origin.describe())?;
            for file in &mut raw.files {
                if let Some(source) = file.source.take() {
                    if file.content.is_some() {
                        return Err(Error::input(format!(
                            "{}: file {} has both `content` and `source`",
                            origin.describe(),
                            file.path
                        )));
                    }
                    file.content = Some(read_text(
                        &path.parent().unwrap_or(Path::new("")).join(source),
                    )?);
                }
            }
            if let Some(root) = raw.update.as_mut().and_then(|update| update.root.as_mut()) {
                *root = read_text(&path.parent().unwrap_or(Path::new("")).join(&*root))?;
            }
            if let Some(keys) = &mut raw.secure_boot {
                secure_boot::read(keys, path.parent().unwrap_or(Path::new("")))?;
            }
            Ok(raw)
        }
    }
}

pub(super) fn read_text(path: &Path) -> Result<String> {
    let what = || format!("reading {}", path.display());
    let size = std::fs::metadata(path).input(what)?.len();
    if size > MAX_RECIPE {
        return Err(Error::input(format!(
            "{} is larger than 4 MiB",
            path.display()
        )));
    }
    std::fs::read_to_string(path).input(what)
}

/// One file's text. Errors have the form `FILE:LINE:COLUMN: what`.
fn parse(text: &str, name: &str) -> Result<RawRecipe> {
    if text
        .lines()
        .all(|l| l.trim().is_empty() || l.trim_start().starts_with('#'))
    {
        return Err(Error::input(format!("{name} is empty"))
            .hint("start with `extends: docker` and add what you need"));
    }
    serde_saphyr::from_str::<RawRecipe>(text).map_err(|e| {
        use serde_saphyr::Error as Yaml;
        let e = e.without_snippet();
        let at = e
            .location()
            .map(|l| format!(":{}:{}", l.line(), l.column()))
            .unwrap_or_default();
        match e {
            Yaml::SerdeUnknownField {
                field, expected, ..
            } => {
                let error = Error::input(format!("{name}{at}: unknown key `{field}`"));
                match closest(field, expected.iter().copied()) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("keys allowed here: {}", expected.join(", "))),
                }
            }
            Yaml::SerdeUnknownVariant {
                variant, expected, ..
            } => {
                let error = Error::input(format!("{name}{at}: `{variant}` is not allowed here"));
                match closest(variant, expected.iter().copied()) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("allowed: {}", expected.join(", "))),
                }
            }
            other => {
                let text = other.to_string();
                let text = text.lines().next().unwrap_or("not valid YAML");
                // The place is said already, in the form that editors know.
                let text = text.split(" at line ").next().unwrap_or(text);
                Error::input(format!("{name}{at}: {text}")).hint("correct that line of the recipe")
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use updater::tuf::{Role, Time, sign};

    #[test]
    fn builtin_recipes_are_valid() {
        for (name, _) in builtin::BUILTIN {
            let recipe = Recipe::load(name).unwrap_or_else(|e| panic!("{name}: {}", e.chain()));
            assert_eq!(recipe.name, name);
            assert!(recipe.packages.contains("systemd"));
            serde_json::to_string(&recipe).unwrap();
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        let e = Recipe::parse("extends: docker\npakages: [a]\n").unwrap_err();
        assert_eq!(e.to_string(), "recipe:2:1: unknown key `pakages`");
        assert_eq!(e.hint_text(), Some("did you mean `packages`?"));
        let e = Recipe::parse("extends: dokcer\n").unwrap_err();
        assert_eq!(e.hint_text(), Some("did you mean `docker`?"));
        let e = Recipe::parse("extends: docker\nkernel: clod\n").unwrap_err();
        assert!(e.to_string().starts_with("recipe:2:9: "), "{e}");
        assert_eq!(e.hint_text(), Some("did you mean `cloud`?"));
        let e = Recipe::parse("extends: docker\nsizes: {usr: lots}\n").unwrap_err();
        assert!(e.to_string().contains("is not a size"), "{e}");
    }

    #[test]
    fn extends_merges_and_refuses_cycles() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name).to_str().unwrap().to_owned()
        };
        write("motd", "hello\n");
        let base = write(
            "base.yaml",
            "extends: docker\nname: base\npackages: [vim-tiny]\n",
        );
        let top = write(
            "top.yaml",
            "extends: base.yaml\nname: top\nremove_packages: [vim-tiny, docker.io]\ndisable: [docker.service]\nfiles: [{path: /etc/motd, source: motd}]\n",
        );
        assert!(Recipe::load(&base).unwrap().packages.contains("vim-tiny"));
        let recipe = Recipe::load(&top).unwrap();
        assert!(!recipe.packages.contains("vim-tiny") && !recipe.packages.contains("docker.io"));
        assert!(!recipe.enable.contains("docker.service"));
        assert_eq!(recipe.files["etc/motd"].content, "hello\n");
        write("a.yaml", "extends: b.yaml\n");
        let b = write("b.yaml", "extends: a.yaml\n");
        assert!(
            Recipe::load(&b)
                .unwrap_err()
                .to_string()
                .contains("extends itself")
        );
    }

    #[test]
    fn updates_need_a_root_of_trust() {
        let dir = tempfile::tempdir().unwrap();
        let mut keyring = sign::Keyring::open(&dir.path().join("keys")).unwrap();
        let roles = Role::ALL
            .into_iter()
            .map(|role| (role, (vec![keyring.generate(role).unwrap()], 1)))
            .collect();
        let policy = sign::Policy::default();
        let now = Time::now();
        sign::Repository::create(dir.path(), keyring, policy, now, &roles).unwrap();
        let load = |update: &str| {
            let path = dir.path().join("recipe.yaml");
            let text = format!("extends: minimal\nname: x\nupdate: {update}\n");
            std::fs::write(&path, text).unwrap();
            Recipe::load(path.to_str().unwrap())
        };
        let good = "{url: \"https://updates.example.org/x\", root: 1.root.json}";
        let update = load(good).unwrap().update.unwrap();
        assert_eq!(update.channel, "stable");
        assert!(update.root.contains("signatures"));
        for bad in [
            "{url: \"https://updates.example.org\"}",
            "{root: timestamp.json}",
            "{root: missing.json}",
            "{url: \"updates.example.org\", root: 1.root.json}",
            "{channel: a/b, root: 1.root.json}",
        ] {
            assert!(load(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z:\\[\\]{}&*!|> \n\"'-]{0,80}") {
            let _ = parse(&text, "x");
        }
    }
}
