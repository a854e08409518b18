//! User-data: opened, told apart, parsed, shown, planned.
#![no_main]

use fuzz::Bare;
use libfuzzer_sys::fuzz_target;
use oem::cloudconfig::render;
use oem::configure::Intake;
use oem::metadata::Metadata;
use oem::plan::Layer;
use oem::plan::build;
use oem::userdata::{Absent, Around, Fetch, Wanted, open};

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
    let mut mirror = Mirror(data);
    let mut parts = open(data, &mut Around::new(&metadata, &mut mirror));
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
