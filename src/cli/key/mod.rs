//! `idnode key`: generates, converts and publishes keys; signs the values of identifiers, issues certificates, and
//! verifies both.
//!
//! ```text
//!   file     make · convert                      key files on this machine, without a node
//!   publish  put · sign-record · issue-certificate   values HS_PUBKEY, HS_SIGNATURE, HS_CERT on identifiers
//!   verify   verify                              from values to a pinned root
//! ```
//! Private keys remain in their files on this machine; only public data is sent to a node.

mod file;
mod publish;
mod verify;

use clap::Subcommand;

use super::error::Error;
use super::output::Form;

pub(super) use self::file::load_public;

/// Subcommands of `idnode key`.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Generate a private key and write it to a file that only its owner may read
    #[command(after_help = "\
Examples:
  idnode key make --algorithm sm2 --out signer.pem
  idnode key make --algorithm rsa --bits 3072 --out signer.pem

The file is PKCS#8 in PEM, as OpenSSL and the Handle SDKs read it. An existing file is never replaced.")]
    Make(file::MakeArguments),

    /// Convert a key to another format: PEM, DER, Handle file or JSON Web Key
    #[command(after_help = "\
Examples:
  idnode key convert signer.pem --to pem --public
  idnode key convert admpriv.bin --to pem --out admin.pem
  idnode key convert signer.pem --to handle --public --out pubkey.bin

Reads every format, including PKCS#1, SEC1 and key files of the Handle tools, and detects which it is. PEM and JWK go \
to standard output by default.")]
    Convert(file::ConvertArguments),

    /// Publish the public half of a key at an identifier (HS_PUBKEY), as an identity such as 300:88.118.8/it
    #[command(after_help = "\
Examples:
  idnode key put 0.NA/88.118.8 signer.pem
  idnode key put 88.118.8/alice --index 301 --replace alice.pem

Accepts a private or a public key in any format; only the public half is sent.")]
    Put(publish::PutArguments),

    /// Sign the public values of an identifier (HS_SIGNATURE)
    #[command(after_help = "\
Examples:
  idnode key sign-record 88.118.8/SN1 --issuer 300:0.NA/88.118.8 --key signer.pem
  idnode key sign-record 88.118.8/SN1 --issuer 300:0.NA/88.118.8 --key signer.pem \\
      --only 1 --only 2 --index 402 --days 30

The signature covers the present values: after a change, sign again with --replace.")]
    SignRecord(publish::SignArguments),

    /// Certify the key of an identity, so that it may sign for identifiers (HS_CERT)
    #[command(after_help = "\
Examples:
  idnode key issue-certificate 300:0.NA/88.118.8 --issuer 301:88.111.1/0.0 \\
      --key root.pem --under-prefix 88.118.8
  idnode key issue-certificate 300:88.118.8/alice --issuer 300:0.NA/88.118.8 \\
      --key signer.pem --identifier 88.118.8/SN1

The certificate is stored at the identity's identifier. It never grants more than the certificate of its issuer.")]
    IssueCertificate(publish::CertifyArguments),

    /// Verify the signatures of an identifier, up to a root that you trust
    #[command(after_help = "\
Examples:
  idnode key verify 88.118.8/SN1 --root 301:88.111.1/0.0=root.pub.pem
  idnode key verify 88.118.8/SN1 --root 300:0.NA/88.118.8=signer.pem --partial --json

Exits with 0 when a signature is valid and its certificates lead to a root, and with 1 otherwise, naming the failed link. \
Other nodes are asked for certificates through this node.")]
    Verify(verify::VerifyArguments),
}

impl KeyCommand {
    /// The output format that the arguments ask for.
    pub(super) fn form(&self) -> Form {
        match self {
            Self::Make(arguments) => arguments.form(),
            Self::Convert(arguments) => arguments.form(),
            Self::Put(arguments) => arguments.target.form(),
            Self::SignRecord(arguments) => arguments.target.form(),
            Self::IssueCertificate(arguments) => arguments.target.form(),
            Self::Verify(arguments) => arguments.connection.form(),
        }
    }

    pub(super) async fn run(self) -> Result<(), Error> {
        match self {
            Self::Make(arguments) => arguments.run(),
            Self::Convert(arguments) => arguments.run(),
            Self::Put(arguments) => arguments.run().await,
            Self::SignRecord(arguments) => arguments.run().await,
            Self::IssueCertificate(arguments) => arguments.run().await,
            Self::Verify(arguments) => arguments.run().await,
        }
    }
}
