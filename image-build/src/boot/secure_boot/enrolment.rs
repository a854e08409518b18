//! What a firmware in setup mode takes its keys from: authenticated variables (UEFI
//! specification, 8.2.2: `EFI_VARIABLE_AUTHENTICATION_2`) that hold signature lists
//! (32.4.1: `EFI_SIGNATURE_LIST`) of X.509 certificates.

use std::time::Duration;

use der::DateTime;
use init::gpt::Guid;

use super::certificate::Certificate;
use super::pkcs7;
use super::signer::Signer;
use crate::error::{Error, Result};

/// A variable of the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// Platform key: may change KEK. Ends setup mode.
    Pk,
    /// Key exchange keys: may change db.
    Kek,
    /// Whose programs are run.
    Db,
}

/// `EFI_GLOBAL_VARIABLE`.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`.
const DATABASE: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";
/// `EFI_CERT_X509_GUID`.
const X509: &str = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072";
/// `EFI_CERT_TYPE_PKCS7_GUID`.
const PKCS7: &str = "4aafd29d-68df-49ee-8aa9-347d375665a7";
/// Non-volatile, for boot services and the running system, authenticated by time.
const ATTRIBUTES: u32 = 0x27;
/// `WIN_CERT_REVISION_2_0`, `WIN_CERT_TYPE_EFI_GUID`.
const CERTIFICATE_KIND: [u8; 4] = [0x00, 0x02, 0xf1, 0x0e];
const TIME: usize = 16;
const GUID: usize = 16;
const LIST_HEADER: usize = GUID + 12;

impl Variable {
    /// All, in the order in which they are enrolled.
    pub const ALL: [Variable; 3] = [Variable::Db, Variable::Kek, Variable::Pk];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Variable::Pk => "PK",
            Variable::Kek => "KEK",
            Variable::Db => "db",
        }
    }

    fn vendor(self) -> [u8; GUID] {
        disk(match self {
            Variable::Pk | Variable::Kek => GLOBAL,
            Variable::Db => DATABASE,
        })
    }

    /// What its signature is over.
    fn message(self, time: &[u8], list: &[u8]) -> Vec<u8> {
        let mut message: Vec<u8> = self.name().bytes().flat_map(|b| [b, 0]).collect();
        message.extend(self.vendor());
        message.extend(ATTRIBUTES.to_le_bytes());
        message.extend(time);
        message.extend(list);
        message
    }
}

/// A GUID as firmware stores it. The texts are constants of this file.
fn disk(text: &str) -> [u8; GUID] {
    text.parse::<Guid>().map(Guid::to_disk).unwrap_or_default()
}

/// A signature list of one certificate: the content of a variable, and what tools
/// call ESL. `owner` says who put it there.
pub fn list(certificate: &Certificate, owner: Guid) -> Vec<u8> {
    let entry = GUID + certificate.der().len();
    let mut list = disk(X509).to_vec();
    for number in [LIST_HEADER + entry, 0, entry] {
        list.extend((number as u32).to_le_bytes());
    }
    list.extend(owner.to_disk());
    list.extend(certificate.der());
    list
}

/// The file that sets a variable: time, signature, list. `time`, in seconds since the
/// epoch, must be later than that of what the firmware has.
pub fn authenticated(
    variable: Variable,
    list: &[u8],
    time: Duration,
    signer: &Signer,
) -> Result<Vec<u8>> {
    let time = efi_time(time)
        .map_err(|e| Error::input("the certificate's first day is no usable date").because(e))?;
    let signature = pkcs7::detached(signer, &variable.message(&time, list))?;
    let mut file = time.to_vec();
    file.extend((8 + GUID as u32 + signature.len() as u32).to_le_bytes());
    file.extend(CERTIFICATE_KIND);
    file.extend(disk(PKCS7));
    file.extend(signature);
    file.extend(list);
    Ok(file)
}

/// `EFI_TIME` in UTC.
fn efi_time(time: Duration) -> der::Result<[u8; TIME]> {
    let at = DateTime::from_unix_duration(time)?;
    let mut out = [0; TIME];
    out[..2].copy_from_slice(&at.year().to_le_bytes());
    out[2..7].copy_from_slice(&[at.month(), at.day(), at.hour(), at.minutes(), at.seconds()]);
    Ok(out)
}

/// The certificates of a file that [`authenticated`] made, and whether it sets
/// `variable` by a valid signature. An error says what is wrong with the file.
pub fn read(variable: Variable, file: &[u8]) -> std::result::Result<Vec<Vec<u8>>, String> {
    let short = || "it is cut short".to_owned();
    let (time, rest) = file.split_at_checked(TIME).ok_or_else(short)?;
    let header = rest.first_chunk::<8>().ok_or_else(short)?;
    let [a, b, c, d, kind @ ..] = *header;
    let end = u32::from_le_bytes([a, b, c, d]) as usize;
    if kind != CERTIFICATE_KIND || rest.get(8..8 + GUID) != Some(&disk(PKCS7)) {
        return Err("it is not a signed update of a firmware variable".to_owned());
    }
    let signature = rest.get(8 + GUID..end).ok_or_else(short)?;
    let list = rest.get(end..).ok_or_else(short)?;
    let message = pkcs7::open_detached(signature, &variable.message(time, list))
        .map_err(|e| e.to_string())?;
    if !message.intact {
        return Err(format!(
            "its signature does not hold for the variable {}",
            variable.name()
        ));
    }
    certificates(list).ok_or_else(|| "its signature list is damaged".to_owned())
}

/// Certificates of one or more signature lists.
fn certificates(mut lists: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    while !lists.is_empty() {
        let (header, _) = lists.split_at_checked(LIST_HEADER)?;
        let number = |at: usize| {
            let bytes = header.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(bytes) as usize)
        };
        let (len, skip, entry) = (number(16)?, number(20)?, number(24)?);
        let body = lists.get(LIST_HEADER.checked_add(skip)?..len)?;
        if header[..GUID] == disk(X509) && entry > GUID {
            found.extend(body.chunks_exact(entry).map(|entry| entry[GUID..].to_vec()));
        }
        lists = &lists[len..];
    }
    Some(found)
}
