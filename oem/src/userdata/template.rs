//! `## template: jinja`: instance data put into any other format, before it is
//! looked at. Names are cloud-init's.

use crate::cloudconfig::{Diagnostic, Spot};
use crate::metadata::Metadata;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use std::collections::BTreeMap;
use std::io::{self, Write};

mod growth;

/// Largest template, in bytes: what it is compiled to takes some fifty times as much.
const MAX_SOURCE: usize = 512 << 10;
/// Largest text a template may grow to, in bytes.
const MAX_OUTPUT: usize = super::unpack::MAX as usize;
/// Instructions a template may take: some hundred milliseconds.
const FUEL: u64 = 2_000_000;

/// Fills in `text`, whose first line names the language. Lines keep their
/// numbers as far as the template keeps them: the first becomes an empty one.
///
/// # Errors
/// What is wrong with the template, and where.
pub fn fill_in(text: &str, metadata: &Metadata) -> Result<String, Diagnostic> {
    let (first, body) = text.split_once('\n').unwrap_or((text, ""));
    let language = first.split_once(':').map_or("", |(_, l)| l).trim();
    if !language.eq_ignore_ascii_case("jinja") && !language.eq_ignore_ascii_case("jinja2") {
        let spot = Spot { line: 1, column: 1 };
        let message = format!("templates in {language:?} are not filled in");
        return Err(Diagnostic::error(spot, "", message)
            .hint("write `## template: jinja`, and the template in Jinja"));
    }
    let limited = |line: u32, what: &str, hint: &str| {
        let message = format!("the template cannot be filled in: {what}");
        Diagnostic::error(Spot { line, column: 1 }, "", message).hint(hint)
    };
    if body.len() > MAX_SOURCE {
        let what = format!("it is larger than {} KiB", MAX_SOURCE >> 10);
        let hint = "send what needs no filling in as a part of its own";
        return Err(limited(1, &what, hint));
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    add_filters(&mut environment);
    // As cloud-init sets them. This cannot fail: no delimiter is changed.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .keep_trailing_newline(true)
        .build();
    environment.set_syntax(syntax.unwrap_or_default());
    let source = format!("\n{body}");
    let data = instance_data(metadata);
    growth::check(&source, data.to_string().len()).map_err(|r| limited(r.line, r.what, r.hint))?;
    let mut out = Capped(Vec::new());
    let filled = environment
        .template_from_str(&source)
        .and_then(|t| t.render_captured_to(data, &mut out));
    if let Err(e) = filled {
        return Err(explain(&e, &source));
    }
    String::from_utf8(out.0).map_err(|_| limited(1, "it is not text", ""))
}

/// The filters and tests that templates of instance data use. All that the
/// library has would be a twentieth of this program.
fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("default", |value: Value, other: Option<Value>| {
        match value.is_undefined() || value.is_none() {
            true => other.unwrap_or_else(|| Value::from("")),
            false => value,
        }
    });
    environment.add_filter("lower", |text: String| text.to_lowercase());
    environment.add_filter("upper", |text: String| text.to_uppercase());
    environment.add_filter("trim", |text: String| text.trim().to_owned());
    environment.add_filter("replace", |text: String, from: String, to: String| {
        let grown = text.matches(&from).count().saturating_mul(to.len());
        capped(text.len().saturating_add(grown))?;
        Ok::<_, minijinja::Error>(text.replace(&from, &to))
    });
    environment.add_filter("length", |value: Value| value.len());
    environment.add_filter("first", |value: Value| value.get_item_by_index(0));
    environment.add_filter("join", |value: Value, by: Option<String>| {
        let by = by.unwrap_or_default();
        let mut out = String::new();
        for (i, item) in value.try_iter()?.enumerate() {
            if i > 0 {
                out.push_str(&by);
            }
            out.push_str(&item.to_string());
            capped(out.len())?;
        }
        Ok::<_, minijinja::Error>(out)
    });
    environment.add_test("defined", |value: Value| !value.is_undefined());
    environment.add_test("undefined", |value: Value| value.is_undefined());
}

/// Refuses texts that a filter makes too large.
fn capped(bytes: usize) -> Result<(), minijinja::Error> {
    if bytes <= growth::MAX_FILTERED {
        return Ok(());
    }
    let what = format!("a text grows over {} KiB", growth::MAX_FILTERED >> 10);
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, what))
}

fn explain(e: &minijinja::Error, source: &str) -> Diagnostic {
    let line = e.line().and_then(|l| u32::try_from(l).ok()).unwrap_or(1);
    let spot = Spot { line, column: 1 };
    let what = match (e.kind(), e.detail()) {
        (ErrorKind::OutOfFuel, _) => "it does not come to an end".to_owned(),
        (ErrorKind::WriteFailure, _) => format!("it grows over {} MiB", MAX_OUTPUT >> 20),
        (ErrorKind::UndefinedError, _) => {
            let text = source.lines().nth(line.saturating_sub(1) as usize);
            format!("{} has no value", names(text.unwrap_or_default()))
        }
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    let d = Diagnostic::error(
        spot,
        "",
        format!("the template cannot be filled in: {what}"),
    );
    match e.kind() {
        ErrorKind::UndefinedError => d.hint(
            "this provider does not tell it (see `oem fetch`); write e.g. `{{ v1.region | default('none') }}`",
        ),
        ErrorKind::SyntaxError => d.hint("to keep `{{` as it is, write `{% raw %}..{% endraw %}`"),
        _ => d,
    }
}

/// What is between braces on a line, up to the first filter: names, no secrets.
fn names(line: &str) -> String {
    let mut all = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("{{").or_else(|| rest.find("{%")) {
        rest = rest.get(at + 2..).unwrap_or_default();
        let end = rest.find(['|', '}', '%']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let plain = |c: &char| !c.is_control();
        let name: String = name.trim().chars().filter(plain).take(60).collect();
        all.push(format!("`{name}`"));
        rest = after;
    }
    match all.is_empty() {
        true => "something".to_owned(),
        false => all.join(" or "),
    }
}

/// Refuses to grow.
struct Capped(Vec<u8>);

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Map = BTreeMap<String, Value>;

/// `v1` and its keys without it, `ds.meta_data`: only what is known, and each
/// name with a dash also with `_`.
fn instance_data(m: &Metadata) -> Value {
    let mut ds = Map::new();
    for (name, value) in &m.attributes {
        put(&mut ds, name, Some(value));
    }
    put(&mut ds, "instance-id", m.instance_id.as_ref());
    put(&mut ds, "local-hostname", m.hostname.as_ref());
    put(&mut ds, "hostname", m.hostname.as_ref());
    put(
        &mut ds,
        "public-ipv4",
        m.public_ipv4.map(|a| a.to_string()).as_ref(),
    );
    put(
        &mut ds,
        "local-ipv4",
        m.private_ipv4.map(|a| a.to_string()).as_ref(),
    );
    put(
        &mut ds,
        "public-ipv6",
        m.public_ipv6.map(|a| a.to_string()).as_ref(),
    );
    put(
        &mut ds,
        "local-ipv6",
        m.private_ipv6.map(|a| a.to_string()).as_ref(),
    );

    let mut v1 = Map::new();
    let attribute = |names: &[&str]| names.iter().find_map(|n| m.attributes.get(*n));
    let provider = Some(&m.provider).filter(|p| !p.is_empty());
    put(&mut v1, "cloud-name", provider);
    put(&mut v1, "cloud-id", provider);
    put(&mut v1, "platform", provider);
    put(&mut v1, "instance-id", m.instance_id.as_ref());
    put(&mut v1, "local-hostname", m.hostname.as_ref());
    let zone = attribute(&["availability-zone", "availability_zone", "zone"]);
    put(&mut v1, "availability-zone", zone);
    put(&mut v1, "region", attribute(&["region"]));
    put(&mut v1, "distro", Some(&"holdfast".to_owned()));
    put(&mut v1, "machine", Some(&std::env::consts::ARCH.to_owned()));
    put(
        &mut v1,
        "system-platform",
        Some(&std::env::consts::OS.to_owned()),
    );
    let keys: Vec<Value> = m.ssh_keys.iter().map(|k| Value::from(k.as_str())).collect();
    v1.insert("public_ssh_keys".to_owned(), Value::from(keys));

    let mut all = v1.clone();
    all.insert("v1".to_owned(), Value::from(v1));
    let meta_data = Map::from([("meta_data".to_owned(), Value::from(ds))]);
    all.insert("ds".to_owned(), Value::from(meta_data));
    Value::from(all)
}

fn put(map: &mut Map, name: &str, value: Option<&String>) {
    if let Some(value) = value {
        let value = Value::from(value.as_str());
        map.insert(name.replace('-', "_"), value.clone());
        map.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn metadata() -> Metadata {
        Metadata {
            provider: "ec2".into(),
            instance_id: Some("i-1".into()),
            hostname: Some("web".into()),
            private_ipv4: Some([10, 0, 0, 5].into()),
            ssh_keys: vec!["ssh-ed25519 AAAA".into()],
            attributes: BTreeMap::from([("instance-type".into(), "m5".into())]),
            ..Metadata::default()
        }
    }

    #[test]
    fn names_of_cloud_init_are_known() {
        for (template, want) in [
            ("{{ v1.local_hostname }}", "web"),
            ("{{ v1['local-hostname'] }}", "web"),
            ("{{ local_hostname | upper }}", "WEB"),
            ("{{ ds.meta_data.instance_type }}", "m5"),
            ("{{ ds['meta_data']['local_ipv4'] }}", "10.0.0.5"),
            ("{{ v1.region | default('nowhere') }}", "nowhere"),
            ("{% if v1.region %}a{% else %}b{% endif %}", "b"),
            (
                "{% for k in v1.public_ssh_keys %}- {{ k }}\n{% endfor %}",
                "- ssh-ed25519 AAAA\n",
            ),
            ("{% if cloud_name == 'ec2' %}x\n{% endif %}", "x\n"),
            ("{% if v1.region is defined %}a{% else %}b{% endif %}", "b"),
            (
                "{{ v1.public_ssh_keys | length }}{{ v1.public_ssh_keys | join(',') }}",
                "1ssh-ed25519 AAAA",
            ),
            (
                "{{ cloud_name | replace('ec', 'x') | trim }}{{ public_ssh_keys | first | lower }}",
                "x2ssh-ed25519 aaaa",
            ),
            ("a\n", "a\n"),
        ] {
            let text = format!("## template: jinja\n{template}");
            let filled = fill_in(&text, &metadata()).unwrap();
            assert_eq!(filled, format!("\n{want}"), "{template}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let many = format!("[{}]", "1,".repeat(200));
        let nested = |inside: &str| {
            format!(
                "## template: jinja\n{}{inside}{}",
                format!("{{% for a in {many} %}}").repeat(3),
                "{% endfor %}".repeat(3)
            )
        };
        let (endless, large) = (nested(""), nested(&"x".repeat(9999)));
        let long = format!("## template: jinja\n{}", "x".repeat(600_000));
        let replaced = format!(
            "## template: jinja\n{{{{ '{}' | replace('x', '{}') }}}}",
            "x".repeat(300),
            "y".repeat(300)
        );
        for (text, line, word) in [
            (
                "## template: jinja\n\n{{ v1.region }}",
                3,
                "`v1.region` has no value",
            ),
            (
                "## template: jinja\na: {{ nope.x }}",
                2,
                "`nope.x` has no value",
            ),
            ("## template: jinja\n{% if", 2, "syntax"),
            ("## template: mako\n", 1, "mako"),
            ("## template: jinja\n{{ range(9) }}", 2, "range"),
            ("## template: jinja\n{{ 'x' * 9999 }}", 2, "`*`"),
            (
                "## template: jinja\n{{ 'xx' | replace('x', 'y') }}\n{% set a %}",
                3,
                "block",
            ),
            (&long, 1, "512 KiB"),
            (&endless, 2, "end"),
            (&large, 1, "grows"),
            (&replaced, 2, "grows over 64 KiB"),
        ] {
            let d = fill_in(text, &metadata()).unwrap_err();
            assert!(d.message.contains(word), "{text}: {}", d.message);
            assert_eq!(d.spot.line, line, "{text}: {}", d.message);
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(\\{\\{|\\}\\}|\\{%|%\\}|v1|\\.|\\||for|in|if|endif|endfor|range\\(9\\)|[()'\\[\\] \n]|x)*") {
            let _ = fill_in(&format!("## template: jinja\n{text}"), &metadata());
        }
    }
}
