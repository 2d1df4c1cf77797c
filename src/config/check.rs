//! Checks that need the whole configuration: values that contradict each other, and files that cannot be read.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, ConfigProblem};
use super::options::Config;
use crate::backup;
use crate::telemetry::Chain;

impl Config {
    /// Checks the configuration without starting: relations between values, and that named files can be read.
    pub fn check(&self) -> Result<(), ConfigError> {
        let problems = self.problems();
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }

    pub(super) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        self.check_listeners(&mut problems);
        self.check_tls(&mut problems);
        self.check_upper(&mut problems);
        self.check_retention(&mut problems);
        self.check_backups(&mut problems);
        problems.extend(self.named_files().into_iter().filter_map(|(key, file)| unreadable(key, file)));
        problems
    }

    /// The files that the configuration names, and the keys that name them.
    pub(super) fn named_files(&self) -> Vec<(&'static str, &Path)> {
        let files = [
            ("tls.certificate", &self.tls.certificate),
            ("tls.key", &self.tls.key),
            ("upper.token_file", &self.upper.token_file),
            ("upper.tls_ca", &self.upper.tls_ca),
            ("recursion.tls_ca", &self.recursion.tls_ca),
            ("backup.key_file", &self.backup.key_file),
        ];
        files.into_iter().filter_map(|(key, file)| Some((key, file.as_deref()?))).collect()
    }

    /// Backups are lost together with the store when they are within its directory.
    fn check_backups(&self, problems: &mut Vec<ConfigProblem>) {
        let data = absolute(&self.store.directory);
        for directory in &self.backup.directories {
            let directory = absolute(directory);
            if directory.starts_with(&data) || data.starts_with(&directory) {
                let reason = format!(
                    "backup directory {} and data directory {}: one is inside the other; name a backup directory outside the \
                     data directory, preferably on another disk",
                    directory.display(),
                    data.display()
                );
                problems.push(relation("backup.directories", &reason));
            }
        }
        let key_file = self.backup.key_file.as_deref().filter(|file| file.is_file());
        // A file that cannot be read is reported with those of other keys.
        if let Some(Err(error @ backup::Error::Key { .. })) = key_file.map(backup::check_key_file) {
            problems.push(relation("backup.key_file", &Chain(&error).to_string()));
        }
    }

    /// Every front end listens on TCP, so one address serves one of them, once. Port 0 is another port each time.
    fn check_listeners(&self, problems: &mut Vec<ConfigProblem>) {
        let front_ends = [
            ("grpc.listen", &self.grpc.listen),
            ("dns.listen", &self.dns.listen),
            ("handle.listen", &self.handle.listen),
            ("http.listen", &self.http.listen),
        ];
        let mut taken = BTreeMap::new();
        for (key, listen) in front_ends {
            for address in listen.iter().filter(|address| address.port() != 0) {
                if let Some(first) = taken.insert(*address, key) {
                    let reason = format!("{address} is in {first} already; give each front end its own port");
                    problems.push(relation(key, &reason));
                }
            }
        }
    }

    fn check_tls(&self, problems: &mut Vec<ConfigProblem>) {
        match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => problems.push(relation(
                "tls.key",
                "missing: tls.certificate is set, and a certificate needs its private key",
            )),
            (None, Some(_)) => problems.push(relation(
                "tls.certificate",
                "missing: tls.key is set, and a private key needs its certificate",
            )),
            (Some(certificate), Some(key)) if certificate.is_file() && key.is_file() => {
                if let Err(error) = self.tls.load_identity() {
                    problems.push(relation("tls.certificate", &Chain(&error).to_string()));
                }
            }
            // Files that do not exist are reported together with those of other keys.
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn check_upper(&self, problems: &mut Vec<ConfigProblem>) {
        let upper = &self.upper;
        let Some(address) = &upper.address else {
            let orphans = [
                ("upper.token_file", upper.token_file.is_some()),
                ("upper.tls_ca", upper.tls_ca.is_some()),
                ("upper.tls_host_name", upper.tls_host_name.is_some()),
            ];
            let given = orphans.into_iter().filter(|(_, given)| *given);
            problems.extend(given.map(|(key, _)| {
                relation(key, "set without upper.address; name the upper node, or remove this")
            }));
            return;
        };
        if upper.token_file.is_none() {
            problems.push(relation(
                "upper.token_file",
                "missing: upper.address is set, and the upper node requires the peer token that it issued",
            ));
        }
        if address.starts_with("http://") && !is_loopback(address) && !upper.allow_token_in_plain_text {
            problems.push(relation(
                "upper.address",
                "the token would cross the network in plain text; write https://, or set upper.allow_token_in_plain_text = true",
            ));
        }
        if address.starts_with("http://") && upper.tls_ca.is_some() {
            problems.push(relation(
                "upper.tls_ca",
                "set together with an http:// address; write https:// in upper.address",
            ));
        }
    }

    fn check_retention(&self, problems: &mut Vec<ConfigProblem>) {
        let store = &self.store;
        if store.headers_days > 0 && (store.bodies_days == 0 || store.bodies_days > store.headers_days) {
            problems.push(relation(
                "store.bodies_days",
                "bodies cannot be retained longer than the headers that carry them; write at most store.headers_days",
            ));
        }
        let shortest = [store.bodies_days, store.headers_days].into_iter().filter(|days| *days > 0).min();
        if shortest.is_some_and(|days| days < store.request_window_days) {
            problems.push(relation(
                "store.request_window_days",
                "longer than the journal is retained; write at most store.bodies_days and store.headers_days",
            ));
        }
    }
}

/// A path from the root, with links followed where it exists.
fn absolute(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.canonicalize().unwrap_or(absolute)
}

pub(super) fn relation(key: &str, reason: &str) -> ConfigProblem {
    ConfigProblem::Relation { key: key.into(), reason: reason.into() }
}

fn unreadable(key: &str, file: &Path) -> Option<ConfigProblem> {
    let reason = match File::open(file).and_then(|open| open.metadata()) {
        Ok(metadata) if metadata.is_file() => return None,
        Ok(_) => "it is not a file".to_owned(),
        Err(error) => error.to_string(),
    };
    Some(ConfigProblem::Relation {
        key: key.into(),
        reason: format!("{} cannot be read: {reason}", file.display()),
    })
}

fn is_loopback(address: &str) -> bool {
    let host = address.strip_prefix("http://").and_then(|rest| rest.rsplit_once(':')).map(|(host, _)| host);
    host.is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}
