//! What a secret looks like where it stands in a URL or in a header.

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Fewer characters may be there by chance.
const SHORTEST: usize = 6;

/// Returns `secret` as it is, percent-encoded, and as it stands within base64.
pub(super) fn disguises(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned()];
    let escaped = |is_lower| secret.bytes().map(|byte| escape(byte, is_lower)).collect();
    all.extend([false, true].map(escaped));
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

/// The digits may be in either case; what is not escaped is as it is.
fn escape(byte: u8, is_lower: bool) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).into()
    } else if is_lower {
        format!("%{byte:02x}")
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
    fn a_secret_that_is_escaped_in_lower_case_is_found_whatever_its_letters_are() {
        let disguises = disguises("Hunter+2/B");
        for told in ["redis://app:Hunter%2b2%2fB@host", "redis://app:Hunter%2B2%2FB@host"] {
            assert!(disguises.iter().any(|secret| told.contains(secret)), "{told} {disguises:?}");
        }
    }

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
