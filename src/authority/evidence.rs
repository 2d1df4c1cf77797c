//! Records that decisions rest on: read here with their versions, or at other nodes within bounds.

use tokio::time::{Instant, timeout_at};

use crate::model::identifier::{CanonicalIdentifier, Identifier};
use crate::model::limits::RECORDS_ELSEWHERE_MAX;
use crate::model::refusal::Failure;
use crate::model::value::{Value, ValueType};
use crate::store::directory::Directory;
use crate::store::entry::IdentifierEntry;
use crate::telemetry::bug;

use super::administration::Record;
use super::prefix::RecordSource;
use super::remote::{ELSEWHERE_MAX, RemoteQuestion};
use super::{Authority, unread};

//----------- Evidence -------------------------------------------------------

/// What a decision rests on.
pub(crate) struct Evidence {
    /// Records of this node that were read.
    pub(crate) read: Vec<ReadVersion>,
    until: Instant,
    elsewhere_left: usize,
    pub(super) unread: Option<Failure>,
}

impl Default for Evidence {
    fn default() -> Self {
        let until = Instant::now() + ELSEWHERE_MAX;
        Self { read: Vec::new(), until, elsewhere_left: RECORDS_ELSEWHERE_MAX, unread: None }
    }
}

/// A version that a decision is bound to; 0 where nothing was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadVersion {
    pub(crate) identifier: Identifier,
    pub(crate) name: CanonicalIdentifier,
    pub(crate) version: u64,
    /// Whether the record is that of a revoked prefix, and was read for its removal.
    is_withdrawn: bool,
}

impl ReadVersion {
    /// Whether the record would be read at the same version, and in the same way.
    pub(crate) fn stands(&self, version: u64, directory: &Directory) -> bool {
        let source = RecordSource::of(&self.identifier, directory);
        let is_same =
            if self.is_withdrawn { source == RecordSource::Withdrawn } else { source.includes_here() };
        self.version == version && is_same
    }
}

/// One record as read.
pub(crate) struct ReadRecord {
    pub(crate) identifier: Identifier,
    /// State of the record at this node, tombstones included.
    pub(crate) entry: Option<IdentifierEntry>,
    /// Values that another node shows; none when it is to be asked and could not be.
    remote: Option<Vec<Value>>,
}

impl ReadRecord {
    /// The record as decisions see it.
    pub(crate) fn record(&self) -> Record<'_> {
        let here = self.entry.as_ref().and_then(|entry| entry.values.as_ref());
        // What the site of a delegated prefix shows takes the place of what is left of the record here.
        let values = match (here, self.remote.as_deref()) {
            (Some(values), Some([])) => values.as_slice(),
            (_, Some(remote)) => remote,
            // What is here may have been replaced there, and does not count while that cannot be known.
            (_, None) => &[],
        };
        Record { identifier: &self.identifier, values }
    }

    /// The values of this node, whatever another node shows.
    pub(crate) fn own_values(&self) -> &[Value] {
        let here = self.entry.as_ref().and_then(|entry| entry.values.as_ref());
        here.map(|values| values.as_slice()).unwrap_or_default()
    }

    /// Whether the record exists.
    pub(crate) fn exists(&self) -> bool {
        self.entry.as_ref().is_some_and(IdentifierEntry::is_live)
            || self.remote.as_ref().is_some_and(|remote| !remote.is_empty())
    }
}

//----------- Reading --------------------------------------------------------

impl Authority {
    /// Reads records, those of this node in one read, in the order asked.
    pub(crate) async fn read(
        &self,
        wanted: &[Identifier],
        evidence: &mut Evidence,
    ) -> Result<Vec<ReadRecord>, Failure> {
        let directory = self.store.directory();
        let sources: Vec<RecordSource> = wanted.iter().map(|one| RecordSource::of(one, &directory)).collect();
        let here = wanted.iter().zip(&sources).filter(|(_, source)| source.includes_here());
        let names: Vec<CanonicalIdentifier> =
            here.map(|(identifier, _)| identifier.canonical(self.store.folding())).collect();
        let entries = self.store.identifiers(&names).await.map_err(|error| unread(&error))?;
        let mut entries = names.into_iter().zip(entries);
        let mut records = Vec::with_capacity(wanted.len());
        for (identifier, source) in wanted.iter().zip(sources) {
            let remote = Some(Vec::new());
            let mut record = ReadRecord { identifier: identifier.clone(), entry: None, remote };
            if source.includes_here() {
                let read = entries.next();
                let (name, entry) = read.ok_or_else(|| bug("one entry for each name read"))?;
                let version = entry.as_ref().map_or(0, |entry| entry.version);
                evidence.read.push(ReadVersion {
                    identifier: identifier.clone(),
                    name,
                    version,
                    is_withdrawn: false,
                });
                record.entry = entry;
            }
            if let RecordSource::Both | RecordSource::Elsewhere = source {
                record.remote = self.read_elsewhere(identifier, &directory, evidence).await;
            }
            records.push(record);
        }
        Ok(records)
    }

    /// Reads the record of a revoked prefix from this node's store, for its removal: to everything else it is not there.
    pub(crate) async fn read_withdrawn(
        &self,
        identifier: &Identifier,
        evidence: &mut Evidence,
    ) -> Result<ReadRecord, Failure> {
        let name = identifier.canonical(self.store.folding());
        let read = self.store.identifiers(std::slice::from_ref(&name)).await;
        let entry = read.map_err(|error| unread(&error))?.into_iter().flatten().next();
        let version = entry.as_ref().map_or(0, |entry| entry.version);
        let identifier = identifier.clone();
        evidence.read.push(ReadVersion { identifier: identifier.clone(), name, version, is_withdrawn: true });
        Ok(ReadRecord { identifier, entry, remote: Some(Vec::new()) })
    }

    /// Administrators and lists that another node shows of a record; none when it could not be asked. A failure is noted: it
    /// matters only if nothing else allows what is asked.
    async fn read_elsewhere(
        &self,
        identifier: &Identifier,
        directory: &Directory,
        evidence: &mut Evidence,
    ) -> Option<Vec<Value>> {
        if !self.remote.are_read() {
            return Some(Vec::new());
        }
        if evidence.elsewhere_left == 0 {
            return None;
        }
        evidence.elsewhere_left -= 1;
        let types = [ValueType::HS_ADMIN, ValueType::HS_VLIST];
        let question = RemoteQuestion {
            identifier: identifier.clone(),
            indexes: Vec::new(),
            types: types.iter().filter_map(|name| ValueType::new(name).ok()).collect(),
            own: self.store.head().incarnation,
            deadline: evidence.until,
        };
        let detail = match timeout_at(evidence.until, self.remote.read(question, directory)).await {
            Ok(Ok(values)) => return Some(values),
            // A record that no node has names no administrator.
            Ok(Err(error)) if error.means_no_record() => return Some(Vec::new()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the time for asking other nodes is over".to_owned(),
        };
        evidence.unread = Some(Failure::AdministratorsUnread { list: identifier.to_string(), detail });
        None
    }
}
