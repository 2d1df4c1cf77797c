//! Publishing of keys, signatures and certificates: HS_PUBKEY, HS_SIGNATURE and HS_CERT values of identifiers.

use std::path::PathBuf;

use clap::Args;

use super::file::{AnyKey, load_private};
use crate::cli::change::{Subject, parse_index, print_receipt};
use crate::cli::connection::{Connection, ConnectionArguments, RequestArguments};
use crate::cli::error::Error;
use crate::cli::output::Form;
use crate::cli::question::{self, Reach};
use crate::daemon::{clock, entropy};
use crate::key::trust::{CERTIFICATE_TYPE, Grant, SIGNATURE_TYPE, Validity, certify, sign_values};
use crate::key::{KeyError, PrivateKey, PublicKey};
use crate::model::identifier::{Identifier, Prefix};
use crate::model::identity::Identity;
use crate::model::value::{Index, Permissions, Value};
use crate::wire::proto;
use crate::wire::proto::registration_service_client::RegistrationServiceClient;
use crate::wire::proto::resolution_service_client::ResolutionServiceClient;

/// Type of values that hold a public key.
pub(super) const PUBLIC_KEY_TYPE: &str = "HS_PUBKEY";
const SECONDS_OF_DAY: u64 = 86_400;
/// Maximum validity of a signature or certificate in days: a century.
const DAYS_MAX: u64 = 36_500;

//----------- Arguments ------------------------------------------------------

/// How a value is written, and to which node.
#[derive(Args, Debug)]
pub(super) struct TargetArguments {
    /// Replace the value at the index; without this, the index must be free
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    connection: ConnectionArguments,
}

/// The signer, and the validity.
#[derive(Args, Debug)]
struct IssuerArguments {
    /// The identity that signs; its public key is at this index of this identifier
    #[arg(long, value_name = "INDEX:IDENTIFIER", value_parser = parse_identity)]
    issuer: Identity,

    /// The file with the private key of the identity that signs
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// Validity in days from now
    #[arg(long, value_name = "NUMBER", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=DAYS_MAX))]
    days: u64,
}

impl IssuerArguments {
    /// Loads the private key. Where the node knows the identity's public key, the two must match: otherwise the signature
    /// could not be verified.
    async fn load_key(&self, connection: &Connection) -> Result<PrivateKey, Error> {
        let key = load_private(&self.key)?;
        match published_key(connection, &self.issuer).await {
            Ok(published) if published != key.public() => Err(Error::Input(format!(
                "{}: {} has another public key; name the identity of this key, or publish this key with `idnode \
                 key put --replace`",
                self.key.display(),
                self.issuer
            ))),
            // A root may be unreachable from this node, and its key need not be published.
            _ => Ok(key),
        }
    }

    fn validity(&self) -> Validity {
        Validity::new(now(), self.days * SECONDS_OF_DAY)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    clock()() / 1_000
}

/// Arguments of `idnode key put`.
#[derive(Args, Debug)]
pub(in crate::cli) struct PutArguments {
    /// The identifier: prefix, '/', suffix; 0.NA/PREFIX for the prefix itself
    identifier: String,

    /// The key file, private or public, in any format
    file: PathBuf,

    /// The index of the value; 300 by convention
    #[arg(long, value_name = "INDEX", value_parser = parse_index, default_value = "300")]
    index: Index,

    #[command(flatten)]
    pub(super) target: TargetArguments,
}

/// Arguments of `idnode key sign-record`.
#[derive(Args, Debug)]
pub(in crate::cli) struct SignArguments {
    /// The identifier whose values are signed
    #[arg(value_parser = parse_identifier)]
    identifier: Identifier,

    /// Sign the value at this index only; may be given several times
    #[arg(long, value_name = "INDEX", value_parser = parse_index)]
    only: Vec<Index>,

    /// The index of the signature; 401 and up by convention
    #[arg(long, value_name = "INDEX", value_parser = parse_index, default_value = "401")]
    index: Index,

    #[command(flatten)]
    issuer: IssuerArguments,

    #[command(flatten)]
    pub(super) target: TargetArguments,
}

/// Arguments of `idnode key issue-certificate`.
#[derive(Args, Debug)]
pub(in crate::cli) struct CertifyArguments {
    /// The identity that is certified
    #[arg(value_name = "INDEX:IDENTIFIER", value_parser = parse_identity)]
    subject: Identity,

    #[command(flatten)]
    grants: GrantArguments,

    /// The file with the identity's key; by default its HS_PUBKEY value is resolved
    #[arg(long, value_name = "FILE")]
    subject_key: Option<PathBuf>,

    /// The index of the certificate; 400 by convention
    #[arg(long, value_name = "INDEX", value_parser = parse_index, default_value = "400")]
    index: Index,

    #[command(flatten)]
    issuer: IssuerArguments,

    #[command(flatten)]
    pub(super) target: TargetArguments,
}

/// The scope of the certificate.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = true)]
struct GrantArguments {
    /// Let the identity sign for every identifier
    #[arg(long)]
    everything: bool,

    /// Let the identity sign for this identifier, and for 0.NA/PREFIX also for those under the prefix; may be given
    /// several times
    #[arg(long, value_name = "IDENTIFIER", value_parser = parse_identifier)]
    identifier: Vec<Identifier>,

    /// Let the identity sign for the identifiers under this prefix; may be given several times
    #[arg(long, value_name = "PREFIX", value_parser = parse_prefix)]
    under_prefix: Vec<Prefix>,

    /// Let the identity sign for the prefixes below this one and their identifiers; may be given several times
    #[arg(long, value_name = "PREFIX", value_parser = parse_prefix)]
    derived_prefixes: Vec<Prefix>,
}

impl GrantArguments {
    fn into_grants(self) -> Vec<Grant> {
        let everything = self.everything.then_some(Grant::Everything).into_iter();
        let identifiers = self.identifier.into_iter().map(Grant::Identifier);
        let under = self.under_prefix.into_iter().map(Grant::UnderPrefix);
        let derived = self.derived_prefixes.into_iter().map(Grant::DerivedPrefixes);
        everything.chain(identifiers).chain(under).chain(derived).collect()
    }
}

/// Parses `index:identifier`.
pub(super) fn parse_identity(text: &str) -> Result<Identity, String> {
    Identity::parse(text).map_err(|error| error.to_string())
}

/// Parses an identifier.
pub(super) fn parse_identifier(text: &str) -> Result<Identifier, String> {
    Identifier::parse(text).map_err(|error| error.to_string())
}

fn parse_prefix(text: &str) -> Result<Prefix, String> {
    Prefix::parse(text).map_err(|error| error.to_string())
}

//----------- Commands -------------------------------------------------------

impl PutArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let data = AnyKey::load(&self.file, None)?.public().encode_blob();
        let value = NewValue { index: self.index, value_type: PUBLIC_KEY_TYPE, data };
        self.target.put(&self.identifier, value, None).await
    }
}

impl SignArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let connection = self.target.connection.connection()?;
        let key = self.issuer.load_key(&connection).await?;
        let (version, values) = resolve(&connection, &self.identifier, Reach::ThisNode).await?;
        let values = self.chosen(values)?;
        let entropy = entropy();
        let issuer = (&self.issuer.issuer, &key);
        let signed =
            sign_values(issuer, &self.identifier, &values, self.issuer.validity(), &|bytes| entropy(bytes));
        let data = signed.map_err(|error| unsigned(&error))?.into_bytes();
        let value = NewValue { index: self.index, value_type: SIGNATURE_TYPE, data };
        // What was signed is what is stored: if it changed meanwhile, the node refuses.
        self.target.put(&self.identifier.to_string(), value, Some(version)).await
    }

    /// The values to sign: those named, or all public ones except signatures.
    fn chosen(&self, values: Vec<Value>) -> Result<Vec<Value>, Error> {
        if let Some(index) = self.only.iter().find(|index| !values.iter().any(|value| value.index == **index))
        {
            let index = index.get();
            return Err(Error::Missing(format!(
                "--only {index}: {} holds no value {index}",
                self.identifier
            )));
        }
        let is_chosen = |value: &Value| {
            if self.only.is_empty() {
                value.permissions.has(Permissions::PUBLIC_READ) && !value.value_type.is(SIGNATURE_TYPE)
            } else {
                self.only.contains(&value.index)
            }
        };
        let chosen: Vec<Value> = values.into_iter().filter(is_chosen).collect();
        if chosen.is_empty() {
            let sentence = format!("{} has no public values", self.identifier);
            return Err(Error::Missing(format!("{sentence}; name the values to sign with --only")));
        }
        Ok(chosen)
    }
}

impl CertifyArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let connection = self.target.connection.connection()?;
        let key = self.issuer.load_key(&connection).await?;
        let public = match &self.subject_key {
            Some(path) => AnyKey::load(path, None)?.public(),
            None => published_key(&connection, &self.subject).await?,
        };
        let entropy = entropy();
        let (issuer, subject) = ((&self.issuer.issuer, &key), (&self.subject, &public));
        let validity = self.issuer.validity();
        let certificate =
            certify(issuer, subject, &self.grants.into_grants(), validity, &|bytes| entropy(bytes));
        let data = certificate.map_err(|error| unsigned(&error))?.into_bytes();
        let value = NewValue { index: self.index, value_type: CERTIFICATE_TYPE, data };
        self.target.put(&self.subject.identifier.to_string(), value, None).await
    }
}

fn unsigned(error: &KeyError) -> Error {
    Error::Input(format!("the key cannot sign: {error}"))
}

/// The public key of an identity.
async fn published_key(connection: &Connection, identity: &Identity) -> Result<PublicKey, Error> {
    let (_, values) = resolve(connection, &identity.identifier, Reach::AnyNode).await?;
    let held = values.iter().find(|value| value.index.get() == identity.index);
    let held = held.filter(|value| value.value_type.is(PUBLIC_KEY_TYPE)).ok_or_else(|| {
        Error::Missing(format!(
            "{} has no HS_PUBKEY value at index {}; publish it with `idnode key put`, or use --subject-key",
            identity.identifier, identity.index
        ))
    })?;
    PublicKey::decode(&held.data).map_err(|error| Error::Input(format!("the key of {identity}: {error}")))
}

//----------- Asking and putting ---------------------------------------------

/// Version and values of an identifier.
pub(super) async fn resolve(
    connection: &Connection,
    identifier: &Identifier,
    reach: Reach,
) -> Result<(u64, Vec<Value>), Error> {
    let name = identifier.to_string();
    let question = proto::Question { identifier: name.clone(), indexes: Vec::new(), types: Vec::new() };
    let recursion = (reach == Reach::AnyNode).then(|| proto::Recursion { desired: true, path: Vec::new() });
    let request = proto::ResolveRequest { question: Some(question), recursion };
    let response = connection
        .ask(async |channel| ResolutionServiceClient::new(channel).resolve(connection.request(request)).await)
        .await?;
    let found = question::found(&name, reach, response.answer.and_then(|answer| answer.answer))?;
    let values = found.values.into_iter().map(Value::try_from).collect::<Result<Vec<_>, _>>();
    let values =
        values.map_err(|error| Error::BrokenOff(format!("the node's answer for {name}: {error}")))?;
    Ok((found.version, values))
}

/// A value to write.
struct NewValue {
    index: Index,
    value_type: &'static str,
    data: Vec<u8>,
}

impl TargetArguments {
    /// The output format that the arguments ask for.
    pub(super) fn form(&self) -> Form {
        self.connection.form()
    }

    /// Adds or replaces a value, if the identifier still has this version.
    async fn put(&self, identifier: &str, value: NewValue, version: Option<u64>) -> Result<(), Error> {
        let value = proto::Value {
            index: value.index.get(),
            r#type: value.value_type.to_owned(),
            data: value.data,
            ..proto::Value::default()
        };
        let (add, replace) = if self.replace { (vec![], vec![value]) } else { (vec![value], vec![]) };
        let request_id = self.request.request_id();
        let amendment = proto::Amendment {
            identifier: identifier.to_owned(),
            add,
            replace,
            remove: Vec::new(),
            precondition: version.map(proto::amendment::Precondition::Version),
        };
        let request = proto::AmendRequest { request_id: request_id.clone(), amendment: Some(amendment) };
        let connection = self.connection.connection()?;
        let response = connection
            .change(&request_id, async |channel| {
                let request = connection.request(request.clone());
                RegistrationServiceClient::new(channel).amend(request).await
            })
            .await?;
        print_receipt(&mut self.connection.output(), response.receipt, Subject::Identifier)
    }
}
