//! What a secret looks like where it stands in a URL or in a header.

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Fewer characters may be there by chance.
const SHORTEST: usize = 6;

/// Returns `secret` as it is, percent-encoded, and as it stands within base64.
pub(super) fn disguises(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned()];
    let escaped: String = secret.bytes().map(escape).collect();
    all.extend([escaped.to_lowercase(), escaped]);
    for before in 0..3 {
        let encoded = within_base64(secret.as_bytes(), before);
        if encoded.len() >= SHORTEST {
            all.extend([encoded.replace('+', "-").replace('/', "_"), encoded]);
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).into()
    } else {
        format!("%{byte:02X}")
    }
}

/// Returns what of `bytes` is the same whatever stands around them, where so many do before them, modulo
/// three.
fn within_base64(bytes: &[u8], before: usize) -> String {
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    // The first character that has no bit of what stands before.
    let first = (before * 8).div_ceil(6) * 6 - before * 8;
    let digits = (first..bytes.len() * 8).collect::<Vec<_>>();
    let digits = digits.chunks_exact(6);
    digits.map(|at| at.iter().fold(0, |digit, &at| digit << 1 | bit(at))).map(letter).collect()
}

fn letter(digit: u8) -> char {
    BASE64[usize::from(digit)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_however_it_is_told() {
        let told = [
            "the password is hunter+2",
            "redis://app:hunter%2B2@host",
            "redis://app:hunter%2b2@host",
            // `hunter+2`, `:hunter+2`, `app:hunter+2` and `ab:hunter+2!`
            "Basic aHVudGVyKzI=",
            "Basic Omh1bnRlcisy",
            "Basic YXBwOmh1bnRlcisy",
            "Basic YWI6aHVudGVyKzIh",
        ];
        let disguises = disguises("hunter+2");
        for words in told {
            assert!(disguises.iter().any(|secret| words.contains(secret)), "{words} {disguises:?}");
        }
        for words in ["the password was denied", "Basic YXBwOmh1bnRlcg=="] {
            assert!(!disguises.iter().any(|secret| words.contains(secret)), "{words}");
        }
    }
}
