//! User-data: unpacked, told apart, parsed, shown, planned.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oem::cloudconfig::{parse, render};
use oem::error::Result;
use oem::metadata::Metadata;
use oem::plan::{Input, Layer, build};
use oem::root::{Found, SystemView};
use oem::userdata::{Part, decode};

/// A machine with nothing on it but one user.
struct Bare;

impl SystemView for Bare {
    fn look(&self, _: &str) -> Result<Found> {
        Ok(Found::Missing)
    }
    fn owners(&self) -> bool {
        true
    }
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok((path == "/etc/passwd").then(|| b"core:x:1000:1000::/home/core:/bin/bash\n".to_vec()))
    }
}

fuzz_target!(|data: &[u8]| {
    for part in decode(data).unwrap_or_default() {
        let (config, scripts) = match part {
            Part::CloudConfig(text) => {
                let (config, findings) = parse(&text);
                render("user-data", &text, &findings);
                (config, Vec::new())
            }
            Part::Script(script) => (Default::default(), vec![script]),
            Part::Refused(_) => continue,
        };
        let input = Input {
            layer: Layer::UserData,
            config,
            scripts,
        };
        build(&[input], &Metadata::default(), &Bare).expect("the machine can be looked at");
    }
});
