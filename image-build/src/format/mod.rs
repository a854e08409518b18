//! Output formats. Each is one file and one line in [`Format::ALL`]: a pure
//! conversion of the sparse raw image.

pub mod qcow2;
pub mod sparse;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};
use sparse::Sparse;

/// A format that images are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The disk's bytes, with holes.
    Raw,
    /// QEMU's format, version 3, compressed.
    Qcow2,
}

/// What one format is and does.
struct Row {
    format: Format,
    name: &'static str,
    extension: &'static str,
    write: fn(&Sparse, &Path) -> Result<()>,
}

const TABLE: [Row; 2] = [
    Row {
        format: Format::Raw,
        name: "raw",
        extension: "raw",
        write: sparse::copy,
    },
    Row {
        format: Format::Qcow2,
        name: "qcow2",
        extension: "qcow2",
        write: qcow2::write,
    },
];

impl Format {
    /// All formats.
    pub const ALL: [Format; 2] = [Format::Raw, Format::Qcow2];

    fn row(self) -> &'static Row {
        // The table has a row for each format; a test makes sure of it.
        TABLE
            .iter()
            .find(|row| row.format == self)
            .unwrap_or(&TABLE[0])
    }

    /// Name on the command line and in recipes.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Name of the file for an image called `image`.
    pub fn file_name(self, image: &str) -> String {
        format!("{image}.{}", self.row().extension)
    }

    /// Writes the raw image `from` to `to` in this format.
    pub fn write(self, from: &Path, to: &Path) -> Result<()> {
        (self.row().write)(&Sparse::open(from)?, to)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let found = TABLE
            .iter()
            .find(|row| row.name == text)
            .map(|row| row.format);
        found.ok_or_else(|| {
            let names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
            Error::usage(format!("unknown format `{text}`"))
                .hint(format!("formats: {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for format in Format::ALL {
            assert_eq!(format.row().format, format);
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
        }
        assert_eq!(Format::Qcow2.file_name("docker"), "docker.qcow2");
        assert!("vhd5".parse::<Format>().is_err());
    }
}
