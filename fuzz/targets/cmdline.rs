//! The kernel's command line, as `init` and `oem` read it; records of failed boots.
#![no_main]

use init::cmdline::Cmdline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    init::boot::record::decode(data);
    let text = String::from_utf8_lossy(data);
    let line = Cmdline::parse(&text);
    let _ = (line.usrhash(), line.verity_options(), line.panic_timeout());
    let _ = line.seconds("holdfast.device_timeout");
    let _ = (line.blacklist().count(), line.forced_modules().count());
    line.module_parameters("virtio_blk");
    oem::detect::cmdline::parse(&text);
    oem::detect::cmdline::seed(&text);
});
