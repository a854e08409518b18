//! The initramfs' index of modules, and module files with an appended signature.
#![no_main]

use init::modules::{Index, matches, split_signature};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (module, signature) = split_signature(data);
    assert_eq!(module.len() + signature.len(), data.len());
    let text = String::from_utf8_lossy(data);
    let (pattern, alias) = text.split_once('\n').unwrap_or((&text, "pci:v0000"));
    // Patterns are short, and what a device says is, too.
    if pattern.len() < 256 && alias.len() < 256 {
        matches(pattern, alias);
    }
    if let Ok(index) = Index::decode(&text) {
        for name in index.names() {
            assert!(index.load_order(name).contains(&name));
        }
        index.find(alias);
        // A carriage return may stand before the end of the text, where it is not one of a line.
        if !text.contains('\r') {
            assert_eq!(Index::decode(&index.encode()), Ok(index));
        }
    }
});
