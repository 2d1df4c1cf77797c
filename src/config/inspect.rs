//! Inspection: problems that `idnode config check` finds on the machine beyond the configuration itself. A node would start
//! with them, or fail for reasons that only the user it runs as can see.

use super::access::User;
use super::check::relation;
use super::error::{ConfigError, ConfigProblem};
use super::options::Config;

impl Config {
    /// Checks the certificate at a time in seconds since 1970, and what a user may read and write when one is given.
    pub fn inspect(&self, user: Option<&User>, now_seconds: u64) -> Result<(), ConfigError> {
        let mut problems = self.certificate_problems(now_seconds);
        problems.extend(user.into_iter().flat_map(|user| self.access_problems(user)));
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }

    fn certificate_problems(&self, now_seconds: u64) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        // What cannot be read was reported before.
        let Ok(Some(identity)) = self.tls.load_identity() else { return problems };
        if let Some((from, until)) = identity.validity() {
            if now_seconds < from.seconds {
                let reason = format!("the certificate is not valid before {}; check the clock", from.text);
                problems.push(relation("tls.certificate", &reason));
            }
            if now_seconds > until.seconds {
                let reason =
                    format!("the certificate expired at {}; clients refuse it: replace it", until.text);
                problems.push(relation("tls.certificate", &reason));
            }
        }
        let host_name = self.site.host_name.as_deref();
        if let Some(name) = host_name.filter(|name| !identity.names(name)) {
            let reason = format!(
                "the certificate of tls.certificate does not name {name:?}, and clients that are referred to this node \
                 refuse it; replace the certificate by one with this name as subjectAltName, or correct site.host_name"
            );
            problems.push(relation("site.host_name", &reason));
        }
        problems
    }

    fn access_problems(&self, user: &User) -> Vec<ConfigProblem> {
        let files = self.named_files();
        let files = files.into_iter().map(|(key, file)| (key, user.check_read(file)));
        let directories = self.backup_directories();
        let uses_backups = !self.backup.directories.is_empty() || self.backup.schedule.is_some();
        let backups = directories.iter().filter(|_| uses_backups);
        let backups = backups.map(|directory| ("backup.directories", user.check_directory(directory)));
        let data = ("store.directory", user.check_directory(&self.store.directory));
        let checked = files.chain([data]).chain(backups);
        checked.filter_map(|(key, checked)| Some(relation(key, &checked.err()?))).collect()
    }
}
