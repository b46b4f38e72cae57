//! Certificates of X.509 version 1, as old scripts make them: made from one of version 3.

use rcgen::{KeyPair, SigningKey};

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
/// The tags of the two fields that version 1 does not have.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// The certificate, self-signed with `key`, without its version and extensions, in PEM.
pub(crate) fn pem(certificate: &[u8], key: &KeyPair) -> String {
    let outer = elements(contents(certificate));
    let (to_be_signed, algorithm) = (outer[0], outer[1]);
    let fields: Vec<&[u8]> = elements(contents(to_be_signed))
        .into_iter()
        .filter(|field| ![VERSION, EXTENSIONS].contains(&field[0]))
        .collect();
    let to_be_signed = element(SEQUENCE, &fields.concat());
    let signature = key.sign(&to_be_signed).expect("the key can sign");
    // A bit string begins with the number of bits that its last byte leaves unused.
    let signature = element(BIT_STRING, &[&[0], &signature[..]].concat());
    let certificate = element(
        SEQUENCE,
        &[&to_be_signed[..], algorithm, &signature].concat(),
    );
    let text = base64(&certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n")
}

/// The length of an element's head, and that of its contents.
fn lengths(der: &[u8]) -> (usize, usize) {
    match der[1] {
        short if short < 0x80 => (2, usize::from(short)),
        long => {
            let count = usize::from(long & 0x7f);
            let digits = der[2..2 + count].iter();
            let length = digits.fold(0, |sum, &digit| (sum << 8) | usize::from(digit));
            (2 + count, length)
        }
    }
}

fn contents(der: &[u8]) -> &[u8] {
    let (head, length) = lengths(der);
    &der[head..head + length]
}

fn elements(mut der: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (head, length) = lengths(der);
        let (first, rest) = der.split_at(head + length);
        found.push(first);
        der = rest;
    }
    found
}

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).expect("a certificate is short");
    let [high, low] = length.to_be_bytes();
    // DER allows the shortest form of a length only.
    let mut der = match length {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    der.extend_from_slice(contents);
    der
}

/// In lines of 64 characters, each ended.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for line in bytes.chunks(48) {
        for group in line.chunks(3) {
            let mut padded = [0; 4];
            padded[1..=group.len()].copy_from_slice(group);
            let bits = u32::from_be_bytes(padded);
            for place in 0..4 {
                let digit = DIGITS[((bits >> (18 - 6 * place)) & 63) as usize];
                text.push(if place > group.len() {
                    '='
                } else {
                    digit.into()
                });
            }
        }
        text.push('\n');
    }
    text
}
