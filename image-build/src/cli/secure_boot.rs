//! `image-build keys secure-boot`: the keys of a firmware.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::boot::secure_boot::certificate::Certificate;
use crate::boot::secure_boot::keyset::{self, Db};
use crate::error::{Context, Error, Result};

/// Arguments of `keys secure-boot`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    image-build keys secure-boot firmware --name 'Example Ltd'\n  \
    image-build keys secure-boot firmware --certificate hsm.pem -- sign-with-hsm --slot 3\n\n\
    The folder gets PK, KEK and db, each as .key (private, PKCS#8), .pem and .cer\n\
    (certificate), .auth and .esl (for firmware and clouds). Only db signs images; keep\n\
    PK.key and KEK.key elsewhere. In the recipe:\n\n  \
    secure_boot: {key: firmware/db.key, certificate: firmware/db.pem, enroll: {keys: firmware}}")]
pub struct Args {
    /// Folder for keys and certificates; made if it does not exist
    folder: PathBuf,

    /// Whose keys they are; part of the certificates' names
    #[arg(long, default_value = "Holdfast", value_parser = name)]
    name: String,

    /// Certificate (PEM) of the key that PROGRAM signs images with (HSM, KMS); without
    /// it a key is made
    #[arg(long, value_name = "FILE", requires = "command")]
    certificate: Option<PathBuf>,

    /// Program and arguments: gets the bytes to sign on standard input, answers with the
    /// RSA signature (PKCS#1 v1.5, SHA-256)
    #[arg(last = true, requires = "certificate", value_name = "PROGRAM")]
    command: Vec<String>,
}

/// A name of at most 64 characters with the longest addition (RFC 5280, upper bounds).
fn name(text: &str) -> std::result::Result<String, String> {
    let plain = !text.chars().any(char::is_control);
    if text.trim() == text && plain && (1..=60).contains(&text.chars().count()) {
        return Ok(text.to_owned());
    }
    Err("1 to 60 characters are wanted".to_owned())
}

pub(super) fn main(args: &Args) -> Result<()> {
    let db = match &args.certificate {
        None => Db::New,
        Some(path) => {
            let what = || format!("reading the certificate {}", path.display());
            let text = std::fs::read_to_string(path).input(what)?;
            let certificate =
                Certificate::from_pem(&text).map_err(|e| Error::input(what()).because(e))?;
            Db::Command(certificate, args.command.clone())
        }
    };
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .environment(|| "asking the clock".to_owned())?;
    let files = keyset::make(&args.folder, &args.name, now, db)?;
    for file in files {
        println!("{}", args.folder.join(file).display());
    }
    Ok(())
}
