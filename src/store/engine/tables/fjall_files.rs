//! The files of fjall, read without fjall: it deletes what it does not recognize as soon as it opens.
//!
//! ```text
//!   version                   by which fjall recognizes a database
//!   <n>.jnl                   journals; numbers rise without gaps, the last one is written, the others wait for tables
//!   keyspaces/<id>/current    which version of the keyspace is present, and its checksum; replaced atomically
//!   keyspaces/<id>/v<n>       that version: a list of tables; numbers rise
//!   keyspaces/<id>/tables/    sorted tables; those that the version does not list are deleted when fjall opens
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::EngineError;
use super::files::sync_directory;
use super::fjall_journal::Journal;
use super::fjall_version;
use super::survey::{Earlier, Rising};

/// The file by which fjall recognizes a database.
pub(super) const MAIN_FILE: &str = "version";
/// Bytes of that file.
const MAIN_FILE_BYTES: u64 = 4;
/// Keyspaces that a store of any release has: fjall's own, and those of the tables that the first release had. Tables that were
/// added since are made when an older store is opened, and have the numbers after these.
const FIRST_KEYSPACES: u64 = 12;
/// The folder of keyspaces.
const KEYSPACES: &str = "keyspaces";
/// The file in a keyspace that names its present version.
pub(super) const CURRENT: &str = "current";
/// How the name of a journal ends.
pub(super) const JOURNAL: &str = ".jnl";
/// Under this name the highest journal number is noted.
const JOURNALS: &str = "*.jnl";
/// Bytes of the file that names the present version: its number, its checksum, the kind of checksum.
const CURRENT_BYTES: usize = 25;

/// Reads what the files show; what contradicts itself or is missing is damage.
pub(super) fn survey(folder: &Path, earlier: Earlier<'_>) -> Result<Rising, EngineError> {
    let mut rising = Rising::new();
    let journals = journal_numbers(folder)?;
    let keyspaces = keyspace_ids(folder)?;
    if !matches!(earlier, Earlier::Incomplete) {
        check_main_file(folder)?;
        check_journals(folder, &journals)?;
        check_batches(folder, &journals)?;
    }
    if matches!(earlier, Earlier::Complete)
        && let Some(missing) = (0..FIRST_KEYSPACES).find(|id| !keyspaces.contains(id))
    {
        return Err(EngineError::damaged(&keyspace(folder, missing), "the folder is missing"));
    }
    if let Some(last) = journals.last() {
        rising.insert(JOURNALS.to_owned(), *last);
    }
    for id in keyspaces {
        let name = current_name(id);
        match read_current(folder, id)? {
            Some(current) => {
                check_version(folder, id, &current)?;
                rising.insert(name, current.version);
            }
            None if may_be_uninitialized(folder, id, &name, earlier)? => {}
            None => return Err(EngineError::damaged(&folder.join(name), "the file is missing")),
        }
    }
    Ok(rising)
}

/// Reads what the files of an open database show. The names behind these numbers are on disk when this returns, given that
/// those behind the numbers noted before are.
pub(super) fn note(folder: &Path, noted: &Rising) -> Result<Rising, EngineError> {
    let (rising, changed) = changed_folders(folder, noted)?;
    changed.iter().try_for_each(|folder| sync_directory(folder))?;
    Ok(rising)
}

/// What the files show, and the folders in which that is no longer what was noted.
fn changed_folders(folder: &Path, noted: &Rising) -> Result<(Rising, Vec<PathBuf>), EngineError> {
    let (mut rising, mut changed) = (Rising::new(), Vec::new());
    let mut look = |name: String, number: u64, folder: PathBuf| {
        if noted.get(&name) != Some(&number) {
            changed.push(folder);
        }
        rising.insert(name, number);
    };
    if let Some(last) = journal_numbers(folder)?.last() {
        look(JOURNALS.to_owned(), *last, folder.to_owned());
    }
    for id in keyspace_ids(folder)? {
        if let Some(current) = read_current(folder, id)? {
            look(current_name(id), current.version, keyspace(folder, id));
        }
    }
    Ok((rising, changed))
}

/// Removes what fjall had made before it wrote its main file: an empty journal and an empty folder.
pub(super) fn clear_unfinished(folder: &Path) -> Result<(), EngineError> {
    let main = folder.join(MAIN_FILE);
    if has_main_file(folder) || !keyspace_ids(folder)?.is_empty() {
        return Ok(());
    }
    let journals: Vec<PathBuf> = journal_numbers(folder)?
        .into_iter()
        .map(|number| folder.join(format!("{number}{JOURNAL}")))
        .collect();
    for journal in &journals {
        if !begins_with_zero(journal).map_err(|error| EngineError::from_io(journal, error))? {
            return Ok(());
        }
    }
    for path in journals.into_iter().chain([main]) {
        unless_absent(fs::remove_file(&path)).map_err(|error| EngineError::from_io(&path, error))?;
    }
    let keyspaces = folder.join(KEYSPACES);
    unless_absent(fs::remove_dir(&keyspaces)).map_err(|error| EngineError::from_io(&keyspaces, error))
}

fn unless_absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Whether the file by which fjall recognizes a database was written to its end.
pub(super) fn has_main_file(folder: &Path) -> bool {
    fs::metadata(folder.join(MAIN_FILE)).is_ok_and(|facts| facts.len() >= MAIN_FILE_BYTES)
}

/// Whether a journal holds nothing: it is allocated as zeros, and no entry begins with zero.
fn begins_with_zero(journal: &Path) -> io::Result<bool> {
    let mut byte = [0];
    let read = io::Read::read(&mut fs::File::open(journal)?, &mut byte)?;
    Ok(read == 0 || byte == [0])
}

//----------- Parts ----------------------------------------------------------

fn check_main_file(folder: &Path) -> Result<(), EngineError> {
    let main = folder.join(MAIN_FILE);
    match fs::metadata(&main) {
        Ok(facts) if facts.len() >= MAIN_FILE_BYTES => Ok(()),
        Ok(_) => Err(EngineError::damaged(&main, "the file is cut off")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(EngineError::damaged(&main, "the file is missing"))
        }
        Err(error) => Err(EngineError::from_io(&main, error)),
    }
}

/// There is a journal, and none is missing in between: fjall removes the oldest first.
fn check_journals(folder: &Path, numbers: &[u64]) -> Result<(), EngineError> {
    if numbers.is_empty() {
        let detail = "the journal is missing, and with it the latest changes";
        return Err(EngineError::damaged(&folder.join(JOURNALS), detail));
    }
    for pair in numbers.windows(2) {
        if let [before, after] = pair
            && before + 1 < *after
        {
            let missing = folder.join(format!("{}{JOURNAL}", before + 1));
            return Err(EngineError::damaged(&missing, "the file is missing"));
        }
    }
    Ok(())
}

/// No journal is broken with whole batches behind it: fjall would delete those.
fn check_batches(folder: &Path, numbers: &[u64]) -> Result<(), EngineError> {
    for number in numbers {
        let path = folder.join(format!("{number}{JOURNAL}"));
        let journal = Journal::read(&path).map_err(|error| EngineError::from_io(&path, error))?;
        if let Some(position) = journal.broken_at() {
            let detail = format!("it is broken at byte {position}, and changes follow that can be read");
            return Err(EngineError::damaged(&path, detail));
        }
    }
    Ok(())
}

/// The numbers of the journals, in order.
pub(super) fn journal_numbers(folder: &Path) -> Result<Vec<u64>, EngineError> {
    let mut numbers: Vec<u64> = names(folder)?
        .iter()
        .filter_map(|name| name.strip_suffix(JOURNAL).and_then(|number| number.parse().ok()))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn keyspace_ids(folder: &Path) -> Result<Vec<u64>, EngineError> {
    let mut ids: Vec<u64> =
        names(&folder.join(KEYSPACES))?.iter().filter_map(|name| name.parse().ok()).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// The names in a folder; none when there is no such folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, EngineError> {
    let failed = |error| EngineError::from_io(folder, error);
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    files.map(|file| Ok(file.map_err(failed)?.file_name().to_string_lossy().into_owned())).collect()
}

/// The files that a failed write or sync may concern: journals, and of each keyspace the present version and the file that names it.
pub(super) fn unsettled(folder: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let mut found: Vec<PathBuf> =
        journal_numbers(folder)?.into_iter().map(|number| folder.join(format!("{number}.jnl"))).collect();
    for id in keyspace_ids(folder)? {
        if let Some(current) = read_current(folder, id)? {
            let keyspace = keyspace(folder, id);
            found.extend([keyspace.join(format!("v{}", current.version)), keyspace.join(CURRENT)]);
        }
    }
    Ok(found)
}

pub(super) fn keyspace(folder: &Path, id: u64) -> PathBuf {
    folder.join(KEYSPACES).join(id.to_string())
}

fn current_name(id: u64) -> String {
    format!("{KEYSPACES}/{id}/{CURRENT}")
}

/// The present version of a keyspace, and the checksum of its file.
pub(super) struct Current {
    pub(super) version: u64,
    pub(super) checksum: u128,
}

impl Current {
    /// The content of the file that names the present version.
    pub(super) fn encode(&self, checksum_kind: u8) -> Vec<u8> {
        let mut content = self.version.to_le_bytes().to_vec();
        content.extend_from_slice(&self.checksum.to_le_bytes());
        content.push(checksum_kind);
        content
    }
}

pub(super) fn read_current(folder: &Path, id: u64) -> Result<Option<Current>, EngineError> {
    let path = keyspace(folder, id).join(CURRENT);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(EngineError::from_io(&path, error)),
    };
    let whole: Option<[u8; CURRENT_BYTES]> = bytes.as_slice().try_into().ok();
    let Some([a, b, c, d, e, f, g, h, checksum @ .., _kind]) = whole else {
        let detail = format!("it has {} bytes; {CURRENT_BYTES} are right", bytes.len());
        return Err(EngineError::damaged(&path, detail));
    };
    let version = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    Ok(Some(Current { version, checksum: u128::from_le_bytes(checksum) }))
}

/// The file of the present version is there, and as it was written.
pub(super) fn check_version(folder: &Path, id: u64, current: &Current) -> Result<(), EngineError> {
    let path = keyspace(folder, id).join(format!("v{}", current.version));
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(EngineError::damaged(&path, "the file is missing"));
        }
        Err(error) => return Err(EngineError::from_io(&path, error)),
    };
    if xxhash_rust::xxh3::xxh3_128(&bytes) != current.checksum {
        return Err(EngineError::damaged(&path, "it does not have the checksum that was noted for it"));
    }
    Ok(())
}

/// A table that no present version lists, if there is one: fjall deletes such tables when it opens.
pub(super) fn unlisted_table(folder: &Path) -> Result<Option<PathBuf>, EngineError> {
    for id in keyspace_ids(folder)? {
        let Some(current) = read_current(folder, id)? else { continue };
        let path = keyspace(folder, id).join(format!("v{}", current.version));
        let version = fs::read(&path).map_err(|error| EngineError::from_io(&path, error))?;
        let Some(listed) = fjall_version::tables(&version) else {
            return Err(EngineError::damaged(&path, "its list of tables cannot be read"));
        };
        let tables = keyspace(folder, id).join("tables");
        let present = names(&tables)?;
        let is_unlisted = |name: &&String| name.parse::<u64>().is_ok_and(|number| !listed.contains(&number));
        if let Some(name) = present.iter().find(is_unlisted) {
            return Ok(Some(tables.join(name)));
        }
    }
    Ok(None)
}

/// Whether a keyspace without a present version may be one that was being made when the process ended.
fn may_be_uninitialized(
    folder: &Path,
    id: u64,
    name: &str,
    earlier: Earlier<'_>,
) -> Result<bool, EngineError> {
    match earlier {
        Earlier::Incomplete => Ok(true),
        Earlier::Complete => Ok(false),
        Earlier::Noted(noted) if noted.contains_key(name) => Ok(false),
        Earlier::Noted(_) => Ok(names(&keyspace(folder, id).join("tables"))?.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::{JOURNAL, Path, changed_folders, fs, keyspace};

    fn set_current(folder: &Path, id: u64, version: u64) {
        fs::create_dir_all(keyspace(folder, id)).expect("made");
        let content = super::Current { version, checksum: 0 }.encode(0);
        fs::write(keyspace(folder, id).join(super::CURRENT), content).expect("space on disk");
    }

    #[test]
    fn only_folders_that_changed_are_synced_when_their_numbers_are_noted() {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = directory.path();
        fs::write(folder.join(format!("3{JOURNAL}")), "").expect("space on disk");
        set_current(folder, 1, 7);
        set_current(folder, 2, 9);
        let (noted, changed) = changed_folders(folder, &super::Rising::new()).expect("readable");
        assert_eq!(changed, [folder.to_owned(), keyspace(folder, 1), keyspace(folder, 2)]);
        assert_eq!(changed_folders(folder, &noted).expect("readable"), (noted.clone(), Vec::new()));
        set_current(folder, 2, 10);
        let (_, changed) = changed_folders(folder, &noted).expect("readable");
        assert_eq!(changed, [keyspace(folder, 2)]);
    }
}
