//! PEM texts (RFC 7468), read leniently: any line length, CRLF, and text around them.

use data_encoding::BASE64;

use super::KeyError;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// Characters of a line.
const LINE: usize = 64;

/// Whether the bytes hold a PEM text rather than something binary.
pub(super) fn is_pem(data: &[u8]) -> bool {
    core::str::from_utf8(data).is_ok_and(|text| text.contains(BEGIN))
}

/// The label and the content of the first PEM text.
pub(super) fn parse(data: &[u8]) -> Result<(&str, Vec<u8>), KeyError> {
    const WRONG: KeyError = KeyError::Malformed { wanted: "a PEM text with its BEGIN and END lines" };
    let text = core::str::from_utf8(data).map_err(|_| WRONG)?;
    // Some tools write the name of the curve as a separate PEM text before the key, which also holds it.
    let text = text.split_once("-----END EC PARAMETERS-----").map_or(text, |(_, after)| after);
    let (_, after) = text.split_once(BEGIN).ok_or(WRONG)?;
    let (label, after) = after.split_once(DASHES).ok_or(WRONG)?;
    let (body, _) = after.split_once(END).ok_or(WRONG)?;
    let digits: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let content =
        BASE64.decode(&digits).map_err(|_| KeyError::Malformed { wanted: "base64 inside a PEM text" })?;
    Ok((label, content))
}

/// A PEM text with lines of 64 characters.
pub(super) fn display(label: &str, content: &[u8]) -> String {
    let digits = BASE64.encode(content);
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    for line in digits.as_bytes().chunks(LINE) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text + END + label + DASHES + "\n"
}

#[cfg(test)]
mod tests {
    use super::{display, is_pem, parse};

    #[test]
    fn a_text_reads_back_with_any_line_ends_and_text_around_it() {
        let text = display("PUBLIC KEY", &[7; 100]);
        assert_eq!(text.lines().map(str::len).max(), Some(64));
        for spelled in [text.clone(), text.replace('\n', "\r\n"), format!("a comment\n{text}\n\n")] {
            assert!(is_pem(spelled.as_bytes()));
            assert_eq!(parse(spelled.as_bytes()), Ok(("PUBLIC KEY", vec![7; 100])));
        }
        let one_line = format!("-----BEGIN X-----{}-----END X-----", data_encoding::BASE64.encode(&[7; 100]));
        assert_eq!(parse(one_line.as_bytes()), Ok(("X", vec![7; 100])));
    }

    #[test]
    fn a_text_without_its_end_is_refused() {
        assert!(parse(b"-----BEGIN PUBLIC KEY-----\nAAAA\n").is_err());
        assert!(parse(b"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----").is_err());
    }
}
