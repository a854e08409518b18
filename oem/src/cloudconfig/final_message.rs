//! `final_message`: a line on the console when all is done, in every boot.

use super::CloudConfig;
use super::read::{Fields, Reader};
use super::schema::Type::Text;
use super::schema::{Section, key};
use super::shell::quote;
use super::tasks::{Frequency, Phase, Task};

/// Words of the text, with what the shell puts in their place.
const WORDS: [(&str, &str); 4] = [
    ("version", "$(oem --version)"),
    ("timestamp", "$(date -R)"),
    ("datasource", "$DATASOURCE"),
    ("uptime", "$(cut -d' ' -f1 /proc/uptime)"),
];

pub(super) const SECTION: Section = Section {
    title: "Final message",
    keys: &[key("final_message", Text, "shown on the console when all is done; $version, $timestamp, $datasource and $uptime in it are replaced").each(Frequency::Boot)],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
final_message: up after $UPTIME seconds
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some((spot, node)) = f.entry("final_message") else {
        return;
    };
    let Some(text) = r
        .string(node, "final_message")
        .filter(|t| !t.value.trim().is_empty())
    else {
        return;
    };
    let body = format!(
        "printf '%s\\n' {} > /dev/console\n",
        expand(text.value.trim_end())
    );
    let about = "Show the final message";
    let task = Task::shell("final-message", about, &body, Frequency::Boot, Phase::Last);
    config.tasks.push(task.at(spot));
}

/// The text as one word of sh, with its words replaced when it runs.
fn expand(text: &str) -> String {
    let mut out = String::new();
    let (mut plain, mut rest) = (String::new(), text);
    let forms: Vec<(String, &str)> = WORDS
        .iter()
        .flat_map(|(name, value)| {
            [
                format!("${name}"),
                format!("${}", name.to_ascii_uppercase()),
                format!("${{{name}}}"),
                format!("{{{{ {name} }}}}"),
                format!("{{{{{name}}}}}"),
            ]
            .map(|form| (form, *value))
        })
        .collect();
    while let Some(at) = rest.find(['$', '{']) {
        plain += &rest[..at];
        rest = &rest[at..];
        let found = forms
            .iter()
            .find_map(|(form, value)| Some((rest.strip_prefix(form.as_str())?, value)));
        let Some((after, value)) = found else {
            plain += &rest[..1];
            rest = &rest[1..];
            continue;
        };
        if !plain.is_empty() {
            out += &quote(&std::mem::take(&mut plain));
        }
        out += &format!("\"{value}\"");
        rest = after;
    }
    plain += rest;
    if !plain.is_empty() {
        out += &quote(&plain);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn words_are_replaced_and_the_rest_is_quoted() {
        assert_eq!(
            expand("it's up after $UPTIME s; $(rm -rf /) {{uptime}}"),
            "'it'\\''s up after '\"$(cut -d' ' -f1 /proc/uptime)\"' s; $(rm -rf /) '\"$(cut -d' ' -f1 /proc/uptime)\""
        );
    }
}
