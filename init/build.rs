//! In images nothing unwinds: a panic ends the program (`panic = "abort"`, which build scripts are not told; the size as
//! the aim is what only that profile has). The linker leaves out the index for it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("OPT_LEVEL").as_deref() == Ok("s") {
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
}
