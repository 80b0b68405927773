//! The names in a client's certificate, whose chain the handshake has checked: the subject's common name, and the DNS names, mail addresses
//! and URIs of its alternative names (RFC 5280, sections 4.1 and 4.2.1.6).

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
/// The extensions' tag in the signed part.
const EXTENSIONS: u8 = 0xa3;
/// Tags of `rfc822Name`, `dNSName` and `uniformResourceIdentifier`.
const TEXT_NAMES: [u8; 3] = [0x81, 0x82, 0x86];
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// All of them; none of a certificate that cannot be read.
#[must_use]
pub fn names(certificate: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(signed) = content(certificate, SEQUENCE).and_then(|certificate| content(certificate, SEQUENCE)) {
        let parts: Vec<(u8, &[u8])> = values(signed).collect();
        // The version, which may be left out, stands before serial number, algorithm, issuer, validity and subject.
        let first = usize::from(parts.first().is_some_and(|(tag, _)| *tag == 0xa0));
        if let Some((SEQUENCE, subject)) = parts.get(first + 4) {
            common_names(subject, &mut found);
        }
        if let Some((_, extensions)) = parts.iter().find(|(tag, _)| *tag == EXTENSIONS) {
            alternative_names(extensions, &mut found);
        }
    }
    found
}

fn common_names(subject: &[u8], found: &mut Vec<String>) {
    let attributes = values(subject).filter(|(tag, _)| *tag == SET).flat_map(|(_, set)| values(set));
    for (_, attribute) in attributes {
        let mut parts = values(attribute);
        if parts.next() == Some((OBJECT_IDENTIFIER, COMMON_NAME))
            && let Some((_, text)) = parts.next()
        {
            found.extend(std::str::from_utf8(text).map(str::to_owned));
        }
    }
}

fn alternative_names(extensions: &[u8], found: &mut Vec<String>) {
    let Some(list) = content(extensions, SEQUENCE) else { return };
    for (_, extension) in values(list) {
        let mut parts = values(extension);
        if parts.next() != Some((OBJECT_IDENTIFIER, ALTERNATIVE_NAMES)) {
            continue;
        }
        let Some((_, value)) = parts.find(|(tag, _)| *tag == OCTET_STRING) else { continue };
        let Some(names) = content(value, SEQUENCE) else { continue };
        let texts = values(names).filter(|(tag, _)| TEXT_NAMES.contains(tag));
        found.extend(texts.filter_map(|(_, text)| std::str::from_utf8(text).ok()).map(str::to_owned));
    }
}

/// The DER values that follow each other, as far as they can be read.
fn values(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let tag = *bytes.first()?;
        let (value, rest) = crate::tls::der(bytes, tag)?;
        bytes = rest;
        Some((tag, value))
    })
}

fn content(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    crate::tls::der(bytes, tag).map(|(content, _)| content)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::names;

    #[test]
    fn common_and_alternative_names() {
        let mut params = CertificateParams::new(vec!["db.example.com".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "example");
        params.distinguished_name.push(DnType::CommonName, "ann");
        params.subject_alt_names.push(SanType::Rfc822Name("ann@example.com".try_into().unwrap()));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(names(certificate.der()), ["ann", "db.example.com", "ann@example.com"]);
        assert!(names(b"").is_empty() && names(&[0x30, 0x82, 0xff]).is_empty());
    }
}
