use super::*;
use crate::metadata::Metadata;
use base64::Engine as _;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Write as _;

#[derive(Default)]
struct Table(BTreeMap<&'static str, Vec<u8>>);

impl Fetch for Table {
    fn fetch(&mut self, wanted: &Wanted) -> Result<Vec<u8>, Absent> {
        let missing = || Absent::Failed(crate::error::Error::environment("HTTP status 404"));
        self.0.get(wanted.url.as_str()).cloned().ok_or_else(missing)
    }
}

fn opened(bytes: &[u8]) -> Vec<Part> {
    with(bytes, &mut Offline)
}

fn with(bytes: &[u8], fetch: &mut dyn Fetch) -> Vec<Part> {
    let metadata = &Metadata {
        hostname: Some("web".into()),
        ..Metadata::default()
    };
    open(bytes, &mut Around::new(metadata, fetch))
}

/// Name, line and beginning of each part.
fn shown(parts: &[Part]) -> Vec<String> {
    let one = |p: &Part| {
        let what = match &p.content {
            Content::Ignition(text, _) | Content::CloudConfig(text) => {
                text.trim().replace('\n', "|")
            }
            Content::Script(s) => format!("{:?} {}", s.when, p.text().trim().replace('\n', "|")),
            Content::Refused(r) => format!("refused: {}", r.what),
        };
        format!("{}:{} {what}", p.name, p.line)
    };
    parts.iter().map(one).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    e.write_all(bytes).unwrap();
    e.finish().unwrap()
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn mime(parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|p| format!("--==\n{p}\n")).collect();
    format!("Content-Type: multipart/mixed; boundary=\"==\"\nMIME-Version: 1.0\n\n{parts}--==--\n")
}

#[test]
fn wrappings_give_the_same_text() {
    let text = b"#cloud-config\r\nhostname: a\r\n";
    let want = Content::CloudConfig(String::from_utf8(text.to_vec()).unwrap());
    let b64 = |b: &[u8]| base64(b).into_bytes();
    for bytes in [
        text.to_vec(),
        gzip(text),
        b64(text),
        b64(&gzip(text)),
        gzip(&b64(text)),
        [b"\xef\xbb\xbf", &text[..]].concat(),
        gzip(&[b"\xef\xbb\xbf", &text[..]].concat()),
    ] {
        let parts = opened(&bytes);
        assert_eq!((parts.len(), &parts[0].content), (1, &want));
        assert_eq!((parts[0].name.as_str(), parts[0].line), ("", 1));
    }
    assert_eq!(opened(b" \n\n"), vec![]);
}

#[test]
fn what_is_not_applied_is_named() {
    for (text, word) in [
        ("#cloud-config-jsonp\n[]", "JSON patch"),
        ("#part-handler\n", "part handler"),
        ("#cloud_config\n", "like, but not"),
        ("hostname: a\n", "no known format"),
        ("{\"hostname\": \"a\"}", "JSON"),
        ("#cloud-boothook\necho\n", "boothook without"),
        ("#include\nfile:///etc/shadow\n", "line 2"),
        ("## template: mako\n", "mako"),
    ] {
        let parts = opened(text.as_bytes());
        let [
            Part {
                content: Content::Refused(r),
                ..
            },
        ] = &parts[..]
        else {
            panic!("{text}: {parts:?}")
        };
        assert!(r.what.contains(word), "{text}: {}", r.what);
        assert!(!r.hint.is_empty() && !r.later);
    }
}

#[test]
fn multipart_is_opened_in_order_with_names_and_lines() {
    let zipped = base64(&gzip(b"#cloud-config\nhostname: z\n"));
    let inner =
        mime(&["Content-Type: text/x-shellscript-per-boot\n\n#!/bin/sh\n3"]).replace("==", "in");
    let text = mime(&[
        "Content-Type: text/cloud-config\nContent-Disposition: attachment; filename=\"a/b.yaml\"\nX-Merge-Type: list(append)\n\nhostname: a",
        "Content-Type: text/x-shellscript\n\n#!/bin/sh\n2",
        &inner,
        &format!("Content-Type: application/x-gzip\nContent-Transfer-Encoding: base64\n\n{zipped}"),
        "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n#cloud-config=0Ahost=\nname: q",
        "Content-Type: text/x-shellscript\n\n#cloud-boothook\n#!/bin/sh\n6",
        "Content-Type: application/node.eks.aws\n\n---\nkind: NodeConfig\n",
        "Content-Type: text/x-shellscript\n\necho",
    ]);
    let parts = opened(text.as_bytes());
    assert_eq!(
        shown(&parts),
        [
            "a_b.yaml:9 hostname: a",
            "part-002:13 Instance #!/bin/sh|2",
            "part-003/part-001:22 Boot #!/bin/sh|3",
            "part-004:0 #cloud-config|hostname: z",
            "part-005:0 #cloud-config|hostname: q",
            "part-006:40 Boothook #!/bin/sh|6",
            "part-007:46 refused: text of no known format",
            "part-008:52 refused: a script without a `#!` line",
        ]
    );
    for part in parts.iter().filter(|p| p.line > 0 && p.name != "part-006") {
        let line = text.lines().nth(part.line as usize - 1).unwrap();
        let first = part.text().lines().next().unwrap_or_default().to_owned();
        assert!(first.is_empty() || first == line, "{}: {line:?}", part.name);
    }
    assert_eq!(parts[0].merge.as_deref(), Some("list(append)"));
    assert!(parts[6].notes[0].message.contains("node.eks.aws"));
    let cut = opened(text.trim_end().trim_end_matches("--").as_bytes());
    assert!(
        cut[7]
            .notes
            .iter()
            .any(|d| d.message.contains("is missing"))
    );
    let crlf = opened(text.replace('\n', "\r\n").as_bytes());
    assert_eq!(crlf.len(), parts.len());
    assert!(shown(&crlf)[1].ends_with("2"));
}

#[test]
fn archives_and_templates_are_opened() {
    let text = "#cloud-config-archive\n- |\n  #!/bin/sh\n  1\n- type: text/cloud-config\n  filename: x\n  content: \"hostname: a\"\n- [1]\n";
    assert_eq!(
        shown(&opened(text.as_bytes())),
        [
            ":1 refused: not every entry of the archive can be used",
            "part-001:3 Instance #!/bin/sh|1",
            "x:7 hostname: a",
        ]
    );
    let text = "## template: jinja\n#cloud-config\nhostname: {{ v1.local_hostname }}-1\n";
    assert_eq!(
        shown(&opened(text.as_bytes())),
        [":1 #cloud-config|hostname: web-1"]
    );
    // Lines count as in the file.
    assert_eq!(
        opened(text.as_bytes())[0].text().lines().nth(2),
        Some("hostname: web-1")
    );
    let text =
        mime(&["Content-Type: text/jinja2\n\n## template: jinja\n#!/bin/sh\n{{ local_hostname }}"]);
    assert_eq!(
        shown(&opened(text.as_bytes())),
        ["part-001:7 Instance #!/bin/sh|web"]
    );
}

#[test]
fn lists_of_urls_are_fetched_once_round() {
    let list = "#include\nhttp://h/a.yaml\nhttp://h/gone\n#include-once\nhttp://h/list\n";
    let mut table = Table::default();
    table
        .0
        .insert("http://h/a.yaml", b"#cloud-config\nhostname: a".to_vec());
    table.0.insert(
        "http://h/list",
        gzip(b"#include http://h/list\nhttp://h/s\n"),
    );
    table.0.insert("http://h/s", b"#!/bin/sh".to_vec());
    assert_eq!(
        shown(&with(list.as_bytes(), &mut table)),
        [
            "a.yaml:0 #cloud-config|hostname: a",
            ":1 refused: line 3 of an include list: HTTP status 404"
                .replacen(':', "gone:", 1)
                .replace(":1", ":0")
                .as_str(),
            "list/list:0 refused: line 1 of an include list: it includes itself",
            "list/s:0 Instance #!/bin/sh",
        ]
    );
    let later = opened(b"#include\nhttp://h/a\n");
    assert!(matches!(&later[0].content, Content::Refused(r) if r.later));
    let many = "#include\n".to_owned() + &"http://h/s\n".repeat(100);
    let parts = with(many.as_bytes(), &mut table);
    let scripts = parts
        .iter()
        .filter(|p| matches!(p.content, Content::Script(_)));
    assert_eq!((scripts.count(), parts.len()), (64, 100));
}

#[test]
fn bombs_are_limited() {
    let says = |bytes: &[u8], word: &str| {
        let parts = opened(bytes);
        let found = parts
            .iter()
            .any(|p| matches!(&p.content, Content::Refused(r) if r.what.contains(word)));
        assert!(
            found,
            "{word}: {:?}",
            shown(&parts[parts.len().saturating_sub(3)..])
        );
        parts.len()
    };
    let big = gzip(&vec![b' '; 6 << 20]);
    says(&gzip(&vec![0u8; 11 << 20]), "larger than");
    says(&vec![b' '; 11 << 20], "larger than");
    says(&gzip(b"#cloud-config\n")[..12], "damaged");
    // Each fits, both together do not.
    let part = format!("Content-Transfer-Encoding: base64\n\n{}", base64(&big));
    says(mime(&[&part, &part]).as_bytes(), "larger than");
    // More gzip layers than are opened.
    let deep = (0..20).fold(b"#cloud-config\n".to_vec(), |b, _| gzip(&b));
    says(&deep, "wrapped more than");
    let deep = (0..20).fold("#!/bin/sh".to_owned(), |b, i| {
        format!("Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n{b}\n--b{i}--\n")
    });
    says(deep.as_bytes(), "wrapped more than");
    let wide = mime(&vec!["\n#!/bin/sh"; 5000]);
    assert_eq!(says(wide.as_bytes(), "more than 256 parts"), 257);
    let inner = mime(&vec!["\n#!/bin/sh"; 200]);
    let wide = mime(&[inner.replace("==", "i").as_str(); 20]);
    assert_eq!(says(wide.as_bytes(), "more than 256 parts"), 257);
    says(
        &b"Content-Type: multipart/mixed; boundary=b\n".repeat(100_000),
        "header over",
    );
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = opened(&bytes);
        let _ = opened(&[b"\x1f\x8b", &bytes[..]].concat());
    }
    #[test]
    fn text_never_panics(text in "(#include|-once|http://h/|#cloud-config|-archive|## template: jinja\n|\\{\\{|#!|#cloud-boothook|Content-Type: |multipart/mixed|text/jinja2|; boundary=b|--b|--|- |content: |[\r\n \":]|é)*") {
        let _ = opened(text.as_bytes());
    }
}
