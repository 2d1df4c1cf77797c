//! Settings of backups.

use std::path::PathBuf;

use super::file::BackedUpFile;

/// Default size of a chunk before compression, in bytes.
pub const CHUNK_BYTES_DEFAULT: usize = 8 * 1024 * 1024;

/// Settings of backups.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directories that backups may be stored in; the schedule uses the first.
    pub directories: Vec<PathBuf>,
    /// The file with the encryption key; without it, backups are not encrypted.
    pub key_file: Option<PathBuf>,
    /// Number of full backups that the schedule retains, with their increments; 0 for all.
    pub keep_count: u32,
    /// Days for which the schedule retains a backup; 0 for no limit.
    pub keep_days: u32,
    /// Size of a chunk before compression, in bytes.
    pub chunk_bytes: usize,
    /// Small files of the data directory that are backed up with the store: the server key.
    pub files: Vec<BackedUpFile>,
    /// The program's version, for the manifest.
    pub node_version: String,
}
