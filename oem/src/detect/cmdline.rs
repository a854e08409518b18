//! The kernel command line, as far as it concerns detection.

use serde::Serialize;

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cmdline {
    /// Provider named by `holdfast.provider=`, `coreos.oem.id=`,
    /// `flatcar.oem.id=` or `ignition.platform.id=`, with the key that named it.
    pub provider: Option<(String, String)>,
    /// `ds=nocloud...`, as cloud-init reads it.
    pub nocloud: Option<Seed>,
}

/// A NoCloud seed: `ds=nocloud[;s=URL][;i=INSTANCE-ID][;h=HOSTNAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Seed {
    /// Prefix of the documents, e.g. `http://192.0.2.1/seed/`.
    pub url: Option<String>,
    /// Instance id that needs no document.
    pub instance_id: Option<String>,
    /// Host name that needs no document.
    pub hostname: Option<String>,
}

/// Keys that name a provider, most specific first.
const PIN_KEYS: [&str; 4] = [
    "holdfast.provider",
    "flatcar.oem.id",
    "coreos.oem.id",
    "ignition.platform.id",
];

/// Parses `/proc/cmdline`. Of repeated keys the last wins, as for the kernel.
pub fn parse(text: &str) -> Cmdline {
    let mut out = Cmdline::default();
    let words = split(text);
    let value = |key: &str| {
        words
            .iter()
            .rev()
            .find_map(|w| w.split_once('=').filter(|(k, _)| *k == key))
            .map(|w| w.1)
    };
    out.provider = PIN_KEYS.iter().find_map(|&key| {
        let name = value(key).filter(|v| !v.is_empty())?;
        Some((name.to_owned(), format!("kernel command line `{key}=`")))
    });
    out.nocloud = ["ds", "ci.ds", "ci.datasource"]
        .iter()
        .find_map(|key| seed(value(key)?));
    out
}

/// Parses the value of `ds=`; `None` when it is for another source.
pub fn seed(value: &str) -> Option<Seed> {
    let mut fields = value.trim().split(';');
    let kind = fields.next()?.to_ascii_lowercase();
    if !matches!(kind.as_str(), "nocloud" | "nocloud-net") {
        return None;
    }
    let mut seed = Seed::default();
    for (key, value) in fields.filter_map(|f| f.split_once('=')) {
        let slot = match key.trim() {
            "s" | "seedfrom" => &mut seed.url,
            "i" | "instance-id" => &mut seed.instance_id,
            "h" | "local-hostname" => &mut seed.hostname,
            _ => continue,
        };
        *slot = Some(value.trim().to_owned()).filter(|v| !v.is_empty());
    }
    Some(seed)
}

/// Splits at blanks outside double quotes, and drops the quotes, like the kernel.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|w| !w.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pins_in_order_of_precision() {
        let c = parse("quiet coreos.oem.id=ec2 holdfast.provider=cloudstack ro\n");
        assert_eq!(c.provider.unwrap().0, "cloudstack");
        assert_eq!(
            parse("coreos.oem.id=a coreos.oem.id=b").provider.unwrap().0,
            "b"
        );
        assert_eq!(parse("holdfast.provider= x=y").provider, None);
    }

    #[test]
    fn nocloud_seed() {
        let c =
            parse(r#"console=ttyS0 "ds=nocloud;s=http://192.0.2.1:8000/x/;h=web 1" root=/dev/vda"#);
        let seed = c.nocloud.unwrap();
        assert_eq!(seed.url.as_deref(), Some("http://192.0.2.1:8000/x/"));
        assert_eq!(seed.hostname.as_deref(), Some("web 1"));
        assert_eq!(parse("ds=nocloud").nocloud, Some(Seed::default()));
        assert_eq!(
            parse("ds=nocloud-net;seedfrom=http://a/")
                .nocloud
                .unwrap()
                .url
                .unwrap(),
            "http://a/"
        );
        assert_eq!(parse("ds=ec2").nocloud, None);
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            parse(&text);
        }
    }
}
