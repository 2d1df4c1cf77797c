//! Text files of JSON that end with a SHA-256 of all lines before, and with a seal where there is a key.

use sha2::{Digest as _, Sha256};

const DIGEST: &str = ",\n  \"sha256\": \"";
const SEAL: &str = ",\n  \"seal\": \"";

/// A text with the digest and seal that its file ends with.
pub(super) struct Signed {
    /// The JSON object, without digest and seal.
    pub(super) text: String,
    /// The SHA-256 of the text, in hexadecimal digits.
    pub(super) digest: String,
    /// The seal, if there is one.
    pub(super) seal: Option<Vec<u8>>,
}

/// Encodes the file of a JSON object; the seal is made of the digest.
pub(super) fn encode(mut text: String, seal: impl FnOnce(&str) -> Option<Vec<u8>>) -> Vec<u8> {
    // The object is left open; the lines that close it cover all lines before.
    text.truncate(text.trim_end_matches(['}', '\n']).len());
    let digest = digest(&text);
    let seal = seal(&digest).map(|seal| data_encoding::HEXLOWER.encode(&seal));
    text.push_str(&closing(&digest, seal.as_deref()));
    text.into_bytes()
}

/// Decodes a file and checks its digest; the seal is not checked.
pub(super) fn decode(bytes: &[u8]) -> Result<Signed, String> {
    let text = str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let missing = || "its last lines are not those of such a file: it was cut or changed".to_owned();
    let (open, last) = text.rsplit_once(DIGEST).ok_or_else(missing)?;
    let (found, rest) = last.split_once('"').ok_or_else(missing)?;
    let seal = rest.strip_prefix(SEAL).and_then(|rest| rest.split_once('"')).map(|(seal, _)| seal);
    let right = digest(open);
    if found != right || last != closing(found, seal).trim_start_matches(DIGEST) {
        return Err(format!("its SHA-256 is {right}, not the one in its last lines: it was changed"));
    }
    let seal = seal.map(|seal| data_encoding::HEXLOWER.decode(seal.as_bytes())).transpose();
    let seal = seal.map_err(|error| error.to_string())?;
    Ok(Signed { text: format!("{open}\n}}"), digest: right, seal })
}

/// The lines that end a file.
fn closing(digest: &str, seal: Option<&str>) -> String {
    let seal = seal.map(|seal| format!("{SEAL}{seal}\"")).unwrap_or_default();
    format!("{DIGEST}{digest}\"{seal}\n}}\n")
}

fn digest(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text))
}
