//! User-data: opened, told apart, parsed, shown, planned.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oem::cloudconfig::render;
use oem::configure::Intake;
use oem::error::Result;
use oem::metadata::Metadata;
use oem::plan::Layer;
use oem::plan::build;
use oem::root::{Found, SystemView};
use oem::userdata::{Absent, Around, Fetch, Wanted, open};

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

/// Every URL has what was sent: lists include themselves under other names.
struct Mirror<'a>(&'a [u8]);

impl Fetch for Mirror<'_> {
    fn fetch(&mut self, wanted: &Wanted) -> std::result::Result<Vec<u8>, Absent> {
        match wanted.once {
            true => Err(Absent::Later("once")),
            false => Ok(self.0.to_vec()),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let metadata = Metadata {
        hostname: Some("fuzz".into()),
        ..Metadata::default()
    };
    let mut around = Around {
        metadata: &metadata,
        fetch: &mut Mirror(data),
    };
    let mut parts = open(data, &mut around);
    let mut intake = Intake::default();
    intake.take(Layer::UserData, &mut parts);
    for (sender, finding) in &intake.findings {
        let part = &parts[sender.number()];
        render(
            &sender.to_string(),
            &part.text(),
            std::slice::from_ref(finding),
        );
    }
    build(&intake.inputs, &metadata, &Bare).expect("the machine can be looked at");
});
