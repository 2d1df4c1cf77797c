//! `idnode key verify`: verifies the signatures of an identifier up to a root that the user trusts.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value as Json, json};

use super::file::AnyKey;
use super::publish::{now, parse_identifier, parse_identity, resolve};
use crate::cli::connection::{Connection, ConnectionArguments};
use crate::cli::display::{self, escape};
use crate::cli::error::Error;
use crate::cli::output::Output;
use crate::cli::question::Reach;
use crate::key::trust::{Report, Root, SIGNATURE_TYPE, TrustError, Verification};
use crate::model::identifier::Identifier;
use crate::model::identity::Identity;
use crate::model::value::Value;

/// Arguments of `idnode key verify`.
#[derive(Args, Debug)]
pub(in crate::cli) struct VerifyArguments {
    /// The identifier: prefix, '/', suffix
    #[arg(value_parser = parse_identifier)]
    identifier: Identifier,

    /// An identity that you trust, and the file with its public key; may be given several times
    #[arg(long = "root", value_name = "INDEX:IDENTIFIER=FILE", value_parser = parse_root, required = true)]
    roots: Vec<(Identity, PathBuf)>,

    /// Accept that signed values are not visible
    #[arg(long)]
    partial: bool,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

fn parse_root(text: &str) -> Result<(Identity, PathBuf), String> {
    let (identity, file) = text
        .rsplit_once('=')
        .ok_or("expected INDEX:IDENTIFIER=FILE, such as 301:88.111.1/0.0=root.pub.pem")?;
    Ok((parse_identity(identity)?, Path::new(file).to_owned()))
}

/// The result for one signature.
struct Outcome {
    index: u32,
    result: Result<Report, String>,
}

impl VerifyArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let load = |(identity, file): &(Identity, PathBuf)| {
            Ok(Root { identity: identity.clone(), key: AnyKey::load(file, None)?.public() })
        };
        let roots = self.roots.iter().map(load).collect::<Result<Vec<_>, Error>>()?;
        let connection = self.connection.connection()?;
        let (_, values) = resolve(&connection, &self.identifier, Reach::AnyNode).await?;
        let mut outcomes = Vec::new();
        for signature in values.iter().filter(|value| value.value_type.is(SIGNATURE_TYPE)) {
            let result = self.follow(&connection, &values, signature, &roots).await?;
            outcomes.push(Outcome { index: signature.index.get(), result });
        }
        let mut output = self.connection.output();
        print(&mut output, &self.identifier, &outcomes)?;
        output.flush()?;
        self.conclude(&outcomes)
    }

    /// Follows one signature to a root; the inner error is a sentence that says why it is not trusted.
    async fn follow(
        &self,
        connection: &Connection,
        values: &[Value],
        signature: &Value,
        roots: &[Root],
    ) -> Result<Result<Report, String>, Error> {
        let begun = Verification::begin(&self.identifier, values, &signature.data, roots, now());
        let mut verification = match begun {
            Ok(verification) => verification,
            Err(error) => return Ok(Err(sentence(&error))),
        };
        while let Some(wanted) = verification.wanted().cloned() {
            let supplied = match resolve(connection, &wanted, Reach::AnyNode).await {
                Ok((_, values)) => verification.supply(&values).map_err(|error| sentence(&error)),
                Err(Error::Missing(reason)) => {
                    Err(format!("the certificate of {wanted} is missing: {reason}"))
                }
                Err(other) => return Err(other),
            };
            if let Err(reason) = supplied {
                return Ok(Err(reason));
            }
        }
        Ok(verification.report().cloned().ok_or_else(|| "the chain does not lead to a root".to_owned()))
    }

    fn conclude(&self, outcomes: &[Outcome]) -> Result<(), Error> {
        let name = &self.identifier;
        let reports = || outcomes.iter().filter_map(|outcome| outcome.result.as_ref().ok());
        if reports().any(|report| report.missing.is_empty() || self.partial) {
            return Ok(());
        }
        if let Some(report) = reports().next() {
            return Err(Error::Incomplete(format!(
                "the signature of {name} is valid, but values that it covers are not visible: {}; they were removed, or \
                 this token may not see them (--partial accepts that)",
                list(&report.missing)
            )));
        }
        let reason = outcomes.iter().find_map(|outcome| outcome.result.as_ref().err());
        Err(match reason {
            Some(reason) => Error::Incomplete(format!("{name} is not trusted: {reason}")),
            None => Error::Missing(format!("{name} has no {SIGNATURE_TYPE} value: it is not signed")),
        })
    }
}

/// A reason as text, with formatted times.
fn sentence(error: &TrustError) -> String {
    match error {
        TrustError::OutOfDate { what, from, until, .. } => {
            let [from, until] = [from, until].map(|seconds| display::time(seconds.saturating_mul(1_000)));
            format!("{what} is valid from {from} to {until} only")
        }
        other => other.to_string(),
    }
}

fn print(output: &mut Output, identifier: &Identifier, outcomes: &[Outcome]) -> Result<(), Error> {
    if output.is_json() {
        let signatures: Vec<Json> = outcomes.iter().map(outcome_json).collect();
        return output.json(&json!({ "identifier": identifier.to_string(), "signatures": signatures }));
    }
    for outcome in outcomes {
        match &outcome.result {
            Ok(report) => print_report(output, outcome.index, report)?,
            Err(reason) => {
                output.line(&format!("signature {}: not trusted: {}", outcome.index, escape(reason)))?;
            }
        }
    }
    Ok(())
}

fn print_report(output: &mut Output, index: u32, report: &Report) -> Result<(), Error> {
    let path: Vec<String> = report.path.iter().map(|identity| escape(&identity.to_string()).into()).collect();
    output.line(&format!("signature {index}: trusted, by {}", path.join(" under ")))?;
    output.line(&format!("  signed and unchanged: {}", list(&report.signed)))?;
    for (words, indexes) in
        [("signed, but not visible", &report.missing), ("not covered by it", &report.unsigned)]
    {
        if !indexes.is_empty() {
            output.line(&format!("  {words}: {}", list(indexes)))?;
        }
    }
    Ok(())
}

fn list(indexes: &[u32]) -> String {
    indexes.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

fn outcome_json(outcome: &Outcome) -> Json {
    match &outcome.result {
        Ok(report) => json!({
            "index": outcome.index,
            "trusted": true,
            "path": report.path.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "signed": report.signed,
            "missing": report.missing,
            "unsigned": report.unsigned,
        }),
        Err(reason) => json!({ "index": outcome.index, "trusted": false, "reason": reason }),
    }
}
