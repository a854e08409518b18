//! Content that is in its own address: RFC 2397.

/// What a URL `data:[TYPE][;base64],DATA` holds. None if it is no such URL.
pub fn decode(url: &str) -> Option<Vec<u8>> {
    let rest = url
        .get(..5)
        .filter(|s| s.eq_ignore_ascii_case("data:"))
        .and(url.get(5..))?;
    let (kind, data) = rest.split_once(',')?;
    let bytes = super::unpack::escapes(data.as_bytes(), b'%');
    if kind.trim_end().to_ascii_lowercase().ends_with(";base64") {
        super::unpack::decode_base64(&bytes)
    } else {
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls_are_decoded() {
        for (url, want) in [
            ("data:,hello%20there%0a", Some(&b"hello there\n"[..])),
            (
                "DATA:text/plain;charset=utf-8,%c3%a9%zz",
                Some("é%zz".as_bytes()),
            ),
            ("data:;base64,aGk=", Some(b"hi")),
            ("data:text/plain;base64,aG%6b", Some(b"hi")),
            ("data:", None),
            ("data:;base64,%%", None),
            ("http://x/,", None),
            ("dat", None),
        ] {
            assert_eq!(decode(url).as_deref(), want, "{url}");
        }
    }
}
