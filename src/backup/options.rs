//! What backups need to know.

use std::path::PathBuf;

use super::file::BackedUpFile;

/// Bytes of a chunk before it is compressed, by default.
pub const CHUNK_BYTES_DEFAULT: usize = 8 * 1024 * 1024;

/// What backups need to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directories of backups; the schedule uses the first.
    pub directories: Vec<PathBuf>,
    /// The file of the key that they are encrypted with; plain without.
    pub key_file: Option<PathBuf>,
    /// Full backups that the schedule keeps, with their increments; 0 for all.
    pub keep_count: u32,
    /// Days that the schedule keeps a backup; 0 for ever.
    pub keep_days: u32,
    /// Bytes of a chunk before it is compressed.
    pub chunk_bytes: usize,
    /// Small files of the data directory that are backed up with the store: the server key.
    pub files: Vec<BackedUpFile>,
    /// The program's version, for the manifest.
    pub node_version: String,
}
