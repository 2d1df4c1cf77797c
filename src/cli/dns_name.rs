//! `idnode dns-name`: computes the DNS name of an identifier without a node.

use clap::Args;
use serde_json::json;

use super::change::parse_index;
use super::error::Error;
use super::output::{Form, Output};
use crate::config::Config;
use crate::model::identifier::{Folding, Identifier};
use crate::model::value::Index;
use crate::wire::dns::name::Naming;

/// Arguments of `idnode dns-name`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode dns-name 88.118.8/SN000123
  dig @127.0.0.1 -p 5300 TXT $(idnode dns-name 88.118.8/a+b:c)

The name is computed by the rule that all nodes share, without a node. The root and the case of suffixes are those \
of the node's configuration (dns.root, store.case_sensitive_suffix).")]
pub(super) struct DnsNameArguments {
    /// The identifier: prefix, '/', suffix
    identifier: String,

    /// Print the name of the value at this index
    #[arg(long, value_name = "INDEX", value_parser = parse_index)]
    index: Option<Index>,

    /// The root name of the tree of prefixes; id.internal by default
    #[arg(long, env = "IDNODE_DNS_ROOT", value_name = "NAME")]
    root: Option<String>,

    /// Suffixes are case-sensitive
    #[arg(long)]
    case_sensitive_suffix: bool,

    /// Print JSON for scripts, one document per line
    #[arg(long, help_heading = "Output")]
    json: bool,
}

impl DnsNameArguments {
    /// The output format that the arguments ask for.
    pub(super) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }

    pub(super) fn run(self) -> Result<(), Error> {
        let form = self.form();
        let identifier = Identifier::parse(&self.identifier).map_err(|wrong| usage(&wrong))?;
        let folding =
            if self.case_sensitive_suffix { Folding::SuffixSensitive } else { Folding::Insensitive };
        let root = self.root.unwrap_or_else(|| Config::default().dns.root);
        let naming = Naming::new(&root, folding).map_err(|wrong| usage(&wrong))?;
        let named = match self.index {
            Some(index) => naming.value_name(&identifier, index),
            None => naming.identifier_name(&identifier),
        };
        let name = named.map_err(|wrong| usage(&wrong))?.to_string();
        let mut output = Output::new(form);
        if output.is_json() {
            let index = self.index.map(Index::get);
            output.json(&json!({ "identifier": self.identifier, "index": index, "name": name }))?;
        } else {
            output.line(&name)?;
        }
        output.flush()
    }
}

fn usage(wrong: &dyn core::fmt::Display) -> Error {
    Error::Usage(wrong.to_string())
}
