//! The DHCP server of the simulated network (RFC 2131): one address, always the
//! same, and the provider's own options.

use crate::simulate::{DNS, GATEWAY, GUEST, NETMASK};

/// Length of a BOOTP message up to the options, magic number included.
const HEADER: usize = 240;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
const LEASE_SECONDS: u32 = 86400;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;
const INFORM: u8 = 8;

/// The option `code` of a message.
fn option(message: &[u8], code: u8) -> Option<&[u8]> {
    let mut rest = message.get(HEADER..)?;
    loop {
        match *rest.first()? {
            0 => rest = &rest[1..],
            255 => return None,
            found => {
                let len = usize::from(*rest.get(1)?);
                let value = rest.get(2..2 + len)?;
                if found == code {
                    return Some(value);
                }
                rest = &rest[2 + len..];
            }
        }
    }
}

/// The answer to a client's message, both as the payload of UDP. `extra` are
/// options to add (code, value); they replace options of the same code.
pub(super) fn answer(message: &[u8], hostname: &str, extra: &[(u8, Vec<u8>)]) -> Option<Vec<u8>> {
    let header = message.get(..HEADER)?;
    if header[0] != 1 || header[236..240] != MAGIC {
        return None;
    }
    let to_us = option(message, 54).is_none_or(|id| id == GATEWAY.octets());
    let kind = match option(message, 53)? {
        [DISCOVER] => OFFER,
        [REQUEST] if !to_us => return None,
        [REQUEST] => {
            // The address is in an option when selecting, in the header when renewing.
            let wanted = option(message, 50)
                .filter(|a| a.len() == 4)
                .unwrap_or(&header[12..16]);
            if wanted == GUEST.octets() { ACK } else { NAK }
        }
        [INFORM] => ACK,
        _ => return None,
    };

    let mut out = vec![0; HEADER];
    out[0] = 2;
    // Hardware type and length, transaction, flags, relay, hardware address.
    for range in [1..3, 4..8, 10..12, 24..44] {
        out[range.clone()].copy_from_slice(&header[range]);
    }
    if kind != NAK {
        out[12..16].copy_from_slice(&header[12..16]);
        out[16..20].copy_from_slice(&GUEST.octets());
        out[20..24].copy_from_slice(&GATEWAY.octets());
    }
    out[236..240].copy_from_slice(&MAGIC);

    let mut options: Vec<(u8, Vec<u8>)> = vec![(53, vec![kind]), (54, GATEWAY.octets().to_vec())];
    if kind != NAK {
        options.extend([
            (51, LEASE_SECONDS.to_be_bytes().to_vec()),
            (1, NETMASK.octets().to_vec()),
            (3, GATEWAY.octets().to_vec()),
            (6, DNS.octets().to_vec()),
        ]);
        if !hostname.is_empty() {
            options.push((12, hostname.as_bytes().to_vec()));
        }
        options.retain(|(code, _)| !extra.iter().any(|(c, _)| c == code));
        options.extend_from_slice(extra);
    }
    // RFC 6842: the client identifier comes back as it was.
    if let Some(id) = option(message, 61) {
        options.push((61, id.to_vec()));
    }
    for (code, value) in options {
        let value = &value[..value.len().min(255)];
        out.extend([code, value.len() as u8]);
        out.extend_from_slice(value);
    }
    out.push(255);
    // Some clients want a whole BOOTP message.
    out.resize(out.len().max(300), 0);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(options: &[u8]) -> Vec<u8> {
        let mut m = vec![0; HEADER];
        m[0] = 1;
        m[1] = 1;
        m[2] = 6;
        m[4..8].copy_from_slice(&[1, 2, 3, 4]);
        m[236..240].copy_from_slice(&MAGIC);
        m.extend_from_slice(options);
        m.push(255);
        m
    }

    #[test]
    fn discover_and_request() {
        let offer = answer(
            &message(&[0, 53, 1, DISCOVER, 61, 3, 9, 9, 9]),
            "host",
            &[(245, vec![168, 63, 129, 16])],
        )
        .unwrap();
        assert_eq!(option(&offer, 53), Some(&[OFFER][..]));
        assert_eq!(option(&offer, 61), Some(&[9, 9, 9][..]));
        assert_eq!(option(&offer, 245), Some(&[168, 63, 129, 16][..]));
        assert_eq!(option(&offer, 12), Some(&b"host"[..]));
        assert_eq!(
            (&offer[4..8], &offer[16..20]),
            (&[1, 2, 3, 4][..], &[10, 0, 2, 15][..])
        );

        let ack = answer(
            &message(&[53, 1, REQUEST, 50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2]),
            "",
            &[],
        )
        .unwrap();
        assert_eq!(option(&ack, 53), Some(&[ACK][..]));
        let nak = answer(&message(&[53, 1, REQUEST, 50, 4, 192, 168, 0, 1]), "", &[]).unwrap();
        assert_eq!(option(&nak, 53), Some(&[NAK][..]));
        assert_eq!(option(&nak, 3), None);
        // Another server was chosen.
        assert_eq!(
            answer(&message(&[53, 1, REQUEST, 54, 4, 1, 1, 1, 1]), "", &[]),
            None
        );
    }

    #[test]
    fn extra_options_replace() {
        let ack = answer(&message(&[53, 1, DISCOVER]), "", &[(3, vec![1, 2, 3, 4])]).unwrap();
        assert_eq!(option(&ack, 3), Some(&[1, 2, 3, 4][..]));
    }

    proptest! {
        #[test]
        fn never_panics(options in proptest::collection::vec(any::<u8>(), 0..64), cut in 0usize..320) {
            let mut m = message(&options);
            m.truncate(cut);
            answer(&m, "h", &[]);
        }
    }
}
