//! Software bill of materials: SPDX 2.3 JSON, one entry for each Debian package
//! and for the image itself. Its bytes depend on the lock and the image alone.

use serde::Serialize;

use crate::archive::lock::Lock;
use crate::time::rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    spdx_version: &'a str,
    data_license: &'a str,
    #[serde(rename = "SPDXID")]
    id: &'a str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    version_info: String,
    download_location: &'static str,
    files_analyzed: bool,
    license_concluded: &'static str,
    license_declared: &'static str,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

const IMAGE: &str = "SPDXRef-Image";
const NONE: &str = "NOASSERTION";

/// The SBOM of an image. `root_hash` is the verity root hash of its /usr
/// (SHA-256, lower-case hexadecimal).
pub fn spdx(name: &str, version: &str, lock: &Lock, root_hash: &str) -> Vec<u8> {
    let package = |id, name: &str, version: &str, sum: &str| Package {
        id,
        name: name.to_owned(),
        version_info: version.to_owned(),
        download_location: NONE,
        files_analyzed: false,
        license_concluded: NONE,
        license_declared: NONE,
        copyright_text: NONE,
        source_info: None,
        checksums: vec![Checksum {
            algorithm: "SHA256",
            checksum_value: sum.to_owned(),
        }],
        external_refs: Vec::new(),
    };
    let mut packages = vec![package(
        IMAGE.to_owned(),
        &format!("holdfast-{name}"),
        version,
        root_hash,
    )];
    let mut relationships = vec![Relationship {
        spdx_element_id: "SPDXRef-DOCUMENT".to_owned(),
        relationship_type: "DESCRIBES",
        related_spdx_element: IMAGE.to_owned(),
    }];
    for p in &lock.packages {
        // SPDX identifiers allow letters, digits, `.` and `-` only.
        let id = format!("SPDXRef-deb-{}", p.name.replace('+', "-plus"));
        let mut entry = package(id.clone(), &p.name, &p.version, &p.sha256);
        entry.source_info = Some(format!("built from source package {}", p.source));
        entry.external_refs = vec![ExternalRef {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: format!(
                "pkg:deb/debian/{}@{}?arch={}&distro={}",
                percent(&p.name),
                percent(&p.version),
                p.architecture,
                lock.suite
            ),
        }];
        packages.push(entry);
        relationships.push(Relationship {
            spdx_element_id: IMAGE.to_owned(),
            relationship_type: "CONTAINS",
            related_spdx_element: id,
        });
    }
    let document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: "SPDXRef-DOCUMENT",
        name: format!("holdfast-{name}-{version}"),
        document_namespace: format!("https://holdfast.invalid/spdx/{name}-{version}-{root_hash}"),
        creation_info: CreationInfo {
            created: rfc3339(lock.epoch),
            creators: vec![format!("Tool: image-build-{}", env!("CARGO_PKG_VERSION"))],
        },
        packages,
        relationships,
    };
    let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Percent-encodes what a package URL (purl) reserves.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::lock::{LockedPackage, Pocket};

    #[test]
    fn lists_every_package_once() {
        let lock = Lock {
            version: 1,
            suite: "trixie".into(),
            architecture: "amd64".into(),
            epoch: 1_764_000_000,
            requested: vec!["libstdc++6".into()],
            packages: vec![LockedPackage {
                name: "libstdc++6".into(),
                version: "14.2.0-19+b1".into(),
                architecture: "amd64".into(),
                source: "gcc-14".into(),
                pocket: Pocket::Main,
                path: "pool/x.deb".into(),
                size: 1,
                sha256: "ab".into(),
            }],
            tools: Vec::new(),
        };
        let bytes = spdx("docker", "1", &lock, "cd");
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        assert_eq!(
            json["packages"][1]["SPDXID"],
            "SPDXRef-deb-libstdc-plus-plus6"
        );
        assert_eq!(
            json["packages"][1]["externalRefs"][0]["referenceLocator"],
            "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19%2Bb1?arch=amd64&distro=trixie"
        );
        assert_eq!(json["creationInfo"]["created"], "2025-11-24T16:00:00Z");
        assert_eq!(bytes, spdx("docker", "1", &lock, "cd"));
    }
}
