//! Key files: generated, read in any format, converted to another.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use crate::cli::error::Error;
use crate::cli::output::{Form, Output};
use crate::daemon::entropy;
use crate::key::public::KEY_BYTES_MAX;
use crate::key::{KeyError, PrivateKey, PublicKey};

/// File mode of a file with a secret.
const OWNER_ONLY: u32 = 0o600;
/// File mode of a public file.
const PUBLIC: u32 = 0o644;
/// Default size of an RSA key.
const RSA_BITS_DEFAULT: usize = 2_048;

//----------- MakeArguments --------------------------------------------------

/// Arguments of `idnode key make`.
#[derive(Args, Debug)]
pub(in crate::cli) struct MakeArguments {
    /// The kind of key: sm2 for the national clients, rsa for all others
    #[arg(long, value_enum, value_name = "ALGORITHM")]
    algorithm: Algorithm,

    /// Size of an RSA key: 2048 to 8192; 2048 by default
    #[arg(long, value_name = "NUMBER")]
    bits: Option<usize>,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Print JSON, one document a line, for scripts
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// An algorithm of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    Rsa,
    Sm2,
}

impl MakeArguments {
    /// The output format that the arguments ask for.
    pub(super) fn form(&self) -> Form {
        form(self.json)
    }

    pub(super) fn run(self) -> Result<(), Error> {
        let entropy = entropy();
        let random = |bytes: &mut [u8]| entropy(bytes);
        let key = match (self.algorithm, self.bits) {
            (Algorithm::Sm2, None) => PrivateKey::generate_sm2(&random),
            (Algorithm::Sm2, Some(_)) => {
                return Err(Error::Usage("--bits: all SM2 keys are of one size; leave it out".into()));
            }
            (Algorithm::Rsa, bits) => {
                let bits = bits.unwrap_or(RSA_BITS_DEFAULT);
                let made = PrivateKey::generate_rsa(bits, &random);
                made.map_err(|error| Error::Usage(format!("--bits {bits}: {error}")))?
            }
        };
        save_new(&self.out, key.to_pem().as_bytes(), OWNER_ONLY)?;
        let mut output = Output::new(self.form());
        let kind = key.public().kind();
        if output.is_json() {
            output.json(&json!({
                "file": self.out,
                "algorithm": kind,
                "public": key.public().to_jwk(),
            }))?;
        } else {
            output.line(&format!("created a private {kind} key in {}", self.out.display()))?;
        }
        output.flush()
    }
}

fn form(json: bool) -> Form {
    if json { Form::Json } else { Form::Text }
}

//----------- ConvertArguments -----------------------------------------------

/// Arguments of `idnode key convert`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ConvertArguments {
    /// The key file to read, in any format
    file: PathBuf,

    /// The format to write
    #[arg(long, value_enum, value_name = "FORM")]
    to: Spelling,

    /// Only the public half of a private key
    #[arg(long)]
    public: bool,

    /// The file to write; standard output by default
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// A file with the pass phrase of a Handle key file, on its first line
    #[arg(long, value_name = "FILE")]
    pass_phrase_file: Option<PathBuf>,

    /// Print errors as JSON, for scripts
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// A format of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Spelling {
    /// PKCS#8 or X.509 as text
    Pem,
    /// PKCS#8 or X.509 in binary (DER)
    Der,
    /// HS_PUBKEY data, or the private key file of the Handle tools
    Handle,
    /// JSON Web Key
    Jwk,
}

impl ConvertArguments {
    /// The output format that the arguments ask for.
    pub(super) fn form(&self) -> Form {
        form(self.json)
    }

    pub(super) fn run(self) -> Result<(), Error> {
        let pass_phrase = self.pass_phrase_file.as_deref().map(load).transpose()?;
        let pass_phrase = pass_phrase.as_deref().map(first_line);
        let key = match AnyKey::load(&self.file, pass_phrase)? {
            AnyKey::Private(key) if self.public => AnyKey::Public(key.public()),
            other => other,
        };
        let content = key.encode(self.to).map_err(|error| wrong(&self.file, &error))?;
        let is_binary = matches!(self.to, Spelling::Der | Spelling::Handle);
        match &self.out {
            Some(path) => save_new(path, &content, key.permissions()),
            None if is_binary => Err(Error::Usage("this format is binary; use --out FILE".into())),
            None => {
                let mut output = Output::new(Form::Text);
                output.line(String::from_utf8_lossy(&content).trim_end())?;
                output.flush()
            }
        }
    }
}

fn first_line(content: &[u8]) -> &[u8] {
    content.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default()
}

//----------- AnyKey ---------------------------------------------------------

/// The key in a file.
pub(super) enum AnyKey {
    /// A private key.
    Private(PrivateKey),
    /// A public key.
    Public(PublicKey),
}

impl AnyKey {
    /// Reads a key file in any format.
    pub(super) fn load(path: &Path, pass_phrase: Option<&[u8]>) -> Result<Self, Error> {
        let content = load(path)?;
        Self::decode(&content, pass_phrase).map_err(|error| wrong(path, &error))
    }

    fn decode(content: &[u8], pass_phrase: Option<&[u8]>) -> Result<Self, KeyError> {
        if content.trim_ascii_start().starts_with(b"{") {
            let jwk: Json = serde_json::from_slice(content)
                .map_err(|_| KeyError::Malformed { wanted: "a JSON Web Key" })?;
            return match PrivateKey::is_in_jwk(&jwk) {
                true => PrivateKey::from_jwk(&jwk).map(Self::Private),
                false => PublicKey::from_jwk(&jwk).map(Self::Public),
            };
        }
        match (PrivateKey::unlock(content, pass_phrase), PublicKey::decode(content)) {
            (Ok(key), _) => Ok(Self::Private(key)),
            (_, Ok(key)) => Ok(Self::Public(key)),
            (Err(KeyError::Locked), _) => Err(KeyError::Locked),
            (Err(private), _) if PrivateKey::is_key_file(content) => Err(private),
            // What is neither PEM nor DER was parsed as a Handle blob; the position of that error does not help users.
            (_, Err(KeyError::Decode(_))) => {
                Err(KeyError::Malformed { wanted: "a key: PEM, DER, JWK or Handle form" })
            }
            (Err(private), Err(public)) => {
                let names_private = String::from_utf8_lossy(content).contains("PRIVATE KEY");
                Err(if names_private { private } else { public })
            }
        }
    }

    /// The public half of the key.
    pub(super) fn public(&self) -> PublicKey {
        match self {
            Self::Private(key) => key.public(),
            Self::Public(key) => key.clone(),
        }
    }

    fn permissions(&self) -> u32 {
        match self {
            Self::Private(_) => OWNER_ONLY,
            Self::Public(_) => PUBLIC,
        }
    }

    fn encode(&self, form: Spelling) -> Result<Vec<u8>, KeyError> {
        Ok(match (self, form) {
            (Self::Private(key), Spelling::Pem) => key.to_pem().into_bytes(),
            (Self::Private(key), Spelling::Der) => key.to_der(),
            (Self::Private(key), Spelling::Handle) => key.encode_file()?,
            (Self::Private(key), Spelling::Jwk) => key.to_jwk()?.to_string().into_bytes(),
            (Self::Public(key), Spelling::Pem) => key.to_pem().into_bytes(),
            (Self::Public(key), Spelling::Der) => key.to_der(),
            (Self::Public(key), Spelling::Handle) => key.encode_blob(),
            (Self::Public(key), Spelling::Jwk) => key.to_jwk().to_string().into_bytes(),
        })
    }
}

/// Reads a key and returns its public half.
pub(in crate::cli) fn load_public(path: &Path) -> Result<PublicKey, Error> {
    Ok(AnyKey::load(path, None)?.public())
}

/// Reads a private key, for signing.
pub(super) fn load_private(path: &Path) -> Result<PrivateKey, Error> {
    match AnyKey::load(path, None)? {
        AnyKey::Private(key) => Ok(key),
        AnyKey::Public(_) => Err(Error::Input(format!(
            "{}: this is only the public half; signing needs the private key",
            path.display()
        ))),
    }
}

fn wrong(path: &Path, error: &KeyError) -> Error {
    let advice = match error {
        KeyError::Locked => {
            "; `idnode key convert FILE --to pem --pass-phrase-file FILE --out FILE` writes the key without encryption"
        }
        _ => "",
    };
    Error::Input(format!("{}: {error}{advice}", path.display()))
}

//----------- Files ----------------------------------------------------------

fn load(path: &Path) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    let bound = u64::try_from(KEY_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    let read = File::open(path).and_then(|file| file.take(bound).read_to_end(&mut content));
    read.map_err(|error| Error::file(path, &error))?;
    Ok(content)
}

/// Writes a file that does not exist yet; removes it when it is incomplete.
fn save_new(path: &Path, content: &[u8], permissions: u32) -> Result<(), Error> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(permissions).open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::File {
            path: path.display().to_string(),
            cause: "exists and is not replaced; choose another file, or move this one".into(),
        },
        _ => Error::file(path, &error),
    })?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // An incomplete file is useless. If it cannot be removed either, the same error reports it.
        let _left = fs::remove_file(path);
        Error::file(path, &error)
    })
}
