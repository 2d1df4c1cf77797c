//! What the commands share that work on a node of this machine directly and not as its client.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use crate::config::Sources;

//----------- LocalArguments -------------------------------------------------

/// Configuration of a node of this machine.
#[derive(Args, Debug)]
pub(super) struct LocalArguments {
    /// Configuration file; config/idnode.toml documents every key
    #[arg(long, value_name = "FILE", env = "IDNODE_CONFIG")]
    config: Option<PathBuf>,

    /// Data directory (store.directory)
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<String>,

    /// Any key of the configuration; may be given several times. Lists are separated by commas
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = pair)]
    keys: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(key, _)| key.contains('.'));
    split
        .map(|(key, value)| (key.trim().to_owned(), value.to_owned()))
        .ok_or_else(|| "expected SECTION.KEY=VALUE, such as dns.listen=127.0.0.1:53".into())
}

impl LocalArguments {
    /// The sources of the configuration: file, environment, these arguments.
    pub(super) fn sources(&self) -> Sources {
        let data = self.data.iter().map(|data| ("store.directory".to_owned(), data.clone()));
        Sources {
            file: self.config.clone(),
            arguments: data.chain(self.keys.iter().cloned()).collect(),
            ..Sources::of_process()
        }
    }
}

/// Writes a line for people to standard error.
pub(super) fn notice(text: &str) {
    // A failure to write to standard error cannot be reported anywhere.
    let _unread = writeln!(io::stderr(), "{text}");
}
