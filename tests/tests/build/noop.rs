//! Nothing changed: nothing is written.

use image_build::error::{Context, Result};
use tests::fixture::{build_docker, build_image, fixture};

#[test]
fn a_second_build_writes_nothing() -> Result<()> {
    let image = &fixture()?.image;
    let modified = || {
        std::fs::metadata(image)
            .and_then(|m| m.modified())
            .environment(|| "reading the image's time".into())
    };
    let before = modified()?;
    build_docker()?;
    assert_eq!(before, modified()?);
    Ok(())
}

/// `inspect` reads back what was built, hashes all of /usr and agrees.
#[test]
fn inspect_agrees_with_the_report() -> Result<()> {
    let fixture = fixture()?;
    let report = std::fs::read(fixture.image.with_file_name("docker.report.json"))
        .environment(|| "reading the report".into())?;
    let report: serde_json::Value =
        serde_json::from_slice(&report).environment(|| "reading the report".into())?;
    for image in [&fixture.image, &fixture.raw] {
        let found = build_image(&["inspect", "--verify", "--json", &image.to_string_lossy()])?;
        let found: serde_json::Value =
            serde_json::from_str(&found).environment(|| "reading inspect's output".into())?;
        let slot = &found["slots"][0];
        assert_eq!(slot["root_hash"], report["root_hash"]);
        assert_eq!(slot["version"], report["version"]);
        assert_eq!(slot["verified"], true);
        assert_eq!(found["ukis"][0]["usr_present"], true);
    }
    Ok(())
}
