//! Time is linear in the length of the text, whatever is in it. Measured is the
//! processor time of this thread, which other load leaves alone; eight times the
//! text may take at most sixteen times as long, where quadratic work takes 64.

use super::*;
use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// The least of some runs.
fn cost(text: &str) -> Duration {
    let clock = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let run = |_| {
        let start = clock();
        let checked = check(text.as_bytes(), &Metadata::default(), &mut Offline);
        let shown = checked.text("f", false);
        let json = serde_json::to_string(&checked.json("f", false)).unwrap();
        assert!(!shown.is_empty() && !json.is_empty());
        clock() - start
    };
    (0..3).map(run).min().unwrap()
}

fn lines(head: &str, n: usize, line: impl Fn(usize) -> String) -> String {
    let body: String = (0..n).map(line).collect();
    format!("#cloud-config\n{head}{body}")
}

/// A text of a shape, some `n` long.
type Shape = (&'static str, usize, fn(usize) -> String);

const SHAPES: &[Shape] = &[
    ("files", 150, |n| {
        lines("write_files:\n", n, |i| {
            format!(
                "- path: /etc/f{i}\n  content: |\n    {}\n",
                "text ".repeat(40)
            )
        })
    }),
    ("units", 150, |n| {
        lines("coreos:\n  units:\n", n, |i| {
            format!("  - name: a{i}.service\n    drop-ins: [{{name: a.conf, content: x}}]\n")
        })
    }),
    ("users who import keys, and mounts", 100, |n| {
        let users = lines("disk_setup: {/dev/vdb: {layout: true}}\nusers:\n", n, |i| {
            format!("- {{name: u{i}, ssh_import_id: gh:u{i}}}\n")
        });
        (0..n).fold(users + "mounts:\n", |text, i| {
            text + &format!("- [/dev/vdb{i}, /srv/{i}]\n")
        })
    }),
    ("keys", 300, |n| {
        lines("ssh_authorized_keys:\n", n, |i| {
            format!("- ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA{i} a\n")
        })
    }),
    ("unknown keys", 1000, |n| {
        lines("", n, |i| format!("hostnam{i}: a\n"))
    }),
    ("the same key", 1000, |n| {
        lines("", n, |_| "hostname: a\n".to_owned())
    }),
    ("unknown words", 200, |n| {
        lines("coreos:\n  units:\n", n, |i| {
            format!("  - {{name: a.service, command: strat{i}}}\n")
        })
    }),
    ("one line of findings", 1000, |n| {
        let items: String = (0..n).map(|i| format!("{{name: ü{i}}}, ")).collect();
        format!("#cloud-config\nusers: [{items}]\n")
    }),
    ("one long line", 20_000, |n| {
        format!(
            "#cloud-config\nhostname: a\nfinal_message: \"{}\"\n",
            "$ö{ ".repeat(n)
        )
    }),
    ("one long block", 4000, |n| {
        lines("final_message: |\n", n, |_| {
            "  text and more text\n".to_owned()
        })
    }),
    ("search domains", 1000, |n| {
        let items: String = (0..n).map(|i| format!("d{i}.example, ")).collect();
        format!(
            "#cloud-config\nmanage_resolv_conf: true\nresolv_conf: {{searchdomains: [{items}]}}\n"
        )
    }),
    ("kinds of host keys", 1000, |n| {
        format!(
            "#cloud-config\nssh_genkeytypes: [{}]\n",
            "rsa, ecdsa, ".repeat(n)
        )
    }),
    ("aliases", 300, |n| {
        lines(
            "base: &b {name: a.service, command: start}\ncoreos:\n  units:\n",
            n,
            |_| "  - {<<: *b, enable: true}\n".to_owned(),
        )
    }),
    ("groups", 300, |n| {
        lines("groups:\n", n, |i| format!("- g{i}: [a, b, c]\n"))
    }),
    ("commands", 300, |n| {
        lines("runcmd:\n", n, |i| {
            format!("- echo {i}\n- [echo, \"it's\"]\n")
        })
    }),
    ("comments", 5000, |n| {
        lines("", n, |i| format!("# comment {i}\n"))
    }),
    ("broken at the end", 500, |n| {
        lines("", n, |i| format!("hostname{i}: a\n")) + "bad: [\n"
    }),
    ("broken everywhere", 500, |n| {
        lines("", n, |i| format!("a{i}: [}}\n"))
    }),
    ("broken keys", 300, |n| {
        lines("ssh_authorized_keys:\n", n, |i| {
            format!("- ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA{i} a\n\t\"\n")
        })
    }),
    ("a script", 5000, |n| {
        let body: String = (0..n).map(|i| format!("echo {i}\n")).collect();
        format!("#!/bin/sh\n{body}")
    }),
];

#[test]
fn time_is_linear() {
    let mut slow = Vec::new();
    for (name, n, shape) in SHAPES {
        // What is disturbed once is measured again.
        let far = |_| {
            let (once, eightfold) = (cost(&shape(*n)), cost(&shape(8 * n)));
            eightfold.as_secs_f64() / once.as_secs_f64()
        };
        let ratio = (0..3).map(far).find(|ratio| *ratio < 16.0);
        if ratio.is_none() {
            slow.push(name);
        }
    }
    assert!(slow.is_empty(), "more than linear: {slow:?}");
}

/// The figures of this program: `cargo test --release -p oem --lib -- --ignored
/// --nocapture figures`.
#[test]
#[ignore = "prints figures, of use in a release build only"]
fn figures() {
    let wall = |text: &str| {
        let run = |_| {
            let start = Instant::now();
            let checked = check(text.as_bytes(), &Metadata::default(), &mut Offline);
            assert!(checked.findings.is_empty());
            start.elapsed()
        };
        (0..7).map(run).min().unwrap()
    };
    let files = |n: usize, bytes: usize| {
        lines("write_files:\n", n, |i| {
            let text = "    some text of a file: 32 bytes\n".repeat(bytes / 32);
            format!("- path: /etc/f{i}\n  content: |\n{text}")
        })
    };
    let small = files(2, 64) + "hostname: web-1\nmanage_etc_hosts: localhost\n";
    for (name, text) in [
        ("small", small),
        ("200 files, 444 KB", files(200, 2200)),
        ("200 files, 10 MB", files(200, 50_000)),
        ("10000 files, 10 MB", files(10_000, 1000)),
    ] {
        let (wall, cost) = (wall(&text), cost(&text));
        println!("{name}: {} bytes, {wall:?}, processor {cost:?}", text.len());
    }
    for (name, n, shape) in SHAPES {
        let (text, twice) = (shape(8 * n), shape(16 * n));
        let (once, double) = (cost(&text), cost(&twice));
        let ratio = double.as_secs_f64() / once.as_secs_f64();
        println!(
            "{name}: {} bytes {once:?}, twice {ratio:.2} times",
            text.len()
        );
    }
}
