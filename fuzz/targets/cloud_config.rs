//! One cloud-config: every key, parsed, shown, planned; nothing leads out of where it may.
#![no_main]

use fuzz::{Bare, assert_inside};
use libfuzzer_sys::fuzz_target;
use oem::cloudconfig::{parse, render};
use oem::metadata::Metadata;
use oem::plan::{Input, Layer, build};

fuzz_target!(|data: &[u8]| {
    let text = format!("#cloud-config\n{}", String::from_utf8_lossy(data));
    let (config, findings) = parse(&text);
    assert!(findings.len() <= 201);
    render("user-data", &text, &findings);
    let input = Input {
        sender: Layer::UserData.into(),
        config,
        script: None,
    };
    let metadata = Metadata {
        public_ipv4: Some([192, 0, 2, 1].into()),
        ..Metadata::default()
    };
    assert_inside(&build(&[input], &metadata, &Bare).expect("the machine can be looked at"));
});
