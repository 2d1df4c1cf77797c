//! Key: make, convert and publish keys; sign what an identifier holds, certify who may, and verify both.
//!
//! ```text
//!   file     make · convert                      key files on this machine, no node is asked
//!   publish  put · sign-record · issue-certificate   values HS_PUBKEY, HS_SIGNATURE, HS_CERT on identifiers
//!   verify   verify                              from values to a pinned root
//! ```
//! Private keys stay in their files on this machine; a node is only sent what everybody may read.

mod file;
mod publish;
mod verify;

use clap::Subcommand;

use super::error::Error;
use super::output::Form;

/// What may be done with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a private key and write it to a file that only its owner may read
    #[command(after_help = "\
Examples:
  idnode key make --algorithm sm2 --out signer.pem
  idnode key make --algorithm rsa --bits 3072 --out signer.pem

The file is PKCS#8 in PEM, as OpenSSL and the Handle SDKs read it. An existing file is never replaced.")]
    Make(file::MakeArguments),

    /// Write a key in another form: PEM, DER, Handle file or JSON Web Key
    #[command(after_help = "\
Examples:
  idnode key convert signer.pem --to pem --public
  idnode key convert admpriv.bin --to pem --out admin.pem
  idnode key convert signer.pem --to handle --public --out pubkey.bin

Reads every form, PKCS#1, SEC1 and key files of the Handle tools included, and finds out which it is. PEM and JWK go \
to standard output if no file is said.")]
    Convert(file::ConvertArguments),

    /// Put the public half of a key on an identifier (HS_PUBKEY), where it becomes an identity such as 300:88.118.8/it
    #[command(after_help = "\
Examples:
  idnode key put 0.NA/88.118.8 signer.pem
  idnode key put 88.118.8/alice --index 301 --replace alice.pem

Takes a private or a public key in any form; only the public half is sent.")]
    Put(publish::PutArguments),

    /// Sign the values that an identifier shows to the public (HS_SIGNATURE)
    #[command(after_help = "\
Examples:
  idnode key sign-record 88.118.8/SN1 --issuer 300:0.NA/88.118.8 --key signer.pem
  idnode key sign-record 88.118.8/SN1 --issuer 300:0.NA/88.118.8 --key signer.pem \\
      --only 1 --only 2 --index 402 --days 30

The signature holds for the values as they are now: sign again after a change, with --replace.")]
    SignRecord(publish::SignArguments),

    /// Certify the key of an identity, so that it may sign for identifiers (HS_CERT)
    #[command(after_help = "\
Examples:
  idnode key issue-certificate 300:0.NA/88.118.8 --issuer 301:88.111.1/0.0 \\
      --key root.pem --under-prefix 88.118.8
  idnode key issue-certificate 300:88.118.8/alice --issuer 300:0.NA/88.118.8 \\
      --key signer.pem --identifier 88.118.8/SN1

The certificate is put on the identity's identifier. A certificate never grants more than the one of its issuer does.")]
    IssueCertificate(publish::CertifyArguments),

    /// Verify who signed what an identifier holds, up to a root that you trust
    #[command(after_help = "\
Examples:
  idnode key verify 88.118.8/SN1 --root 301:88.111.1/0.0=root.pub.pem
  idnode key verify 88.118.8/SN1 --root 300:0.NA/88.118.8=signer.pem --partial --json

Ends with 0 when a signature holds and its certificates lead to a root, and with 1 otherwise, saying which link fails. \
Other nodes are asked for certificates through this node.")]
    Verify(verify::VerifyArguments),
}

impl KeyCommand {
    /// For whom the command prints.
    pub(super) fn form(&self) -> Form {
        match self {
            Self::Make(arguments) => arguments.form(),
            Self::Convert(arguments) => arguments.form(),
            Self::Put(arguments) => arguments.place.form(),
            Self::SignRecord(arguments) => arguments.place.form(),
            Self::IssueCertificate(arguments) => arguments.place.form(),
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
