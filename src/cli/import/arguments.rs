//! Arguments of the commands that read a file of identifiers, and the opened file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::error::Error;
use super::super::output::notice;
use super::accident::{Accident, Tolerance};
use super::ahead::Rows;
use super::duplicates::Duplicates;
use super::lines::Lines;
use super::mapping::{ColumnMapping, Mapping, TypePermissions, parse_mapping};
use super::reading::{Ends, Naming, Purpose, Reading};
use super::result::InputForm;
use super::row::Row;
use super::source::{Encoding, Packing, Source, Unsupported};
use super::table::Table;

//----------- FileArguments --------------------------------------------------

/// How a file of identifiers is read, and how its refused rows are reported.
#[derive(Args, Debug)]
pub(in super::super) struct FileArguments {
    /// The file format; by default from the file name (.csv, .jsonl, .ndjson)
    #[arg(long, value_enum, requires = "file")]
    format: Option<FileFormat>,

    /// Character encoding of the file
    #[arg(long, value_enum, default_value = "utf-8", requires = "file")]
    encoding: Encoding,

    /// Separator of the columns of a CSV file; by default the one that its line `sep=` names, or a comma
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter, requires = "file")]
    delimiter: Option<u8>,

    /// The prefix of all identifiers, where the file has a column `suffix` (后缀)
    #[arg(long, requires = "file")]
    prefix: Option<String>,

    /// What a column is, by its name in the header: [INDEX:]TYPE, identifier, suffix, or skip to leave it out; may be
    /// given several times
    #[arg(long, value_name = "COLUMN=MEANING", value_parser = parse_mapping, requires = "file")]
    map: Vec<ColumnMapping>,

    /// Remove blanks at both ends of headers, identifiers and cells, no-break and zero-width spaces included
    #[arg(long, requires = "file")]
    trim: bool,

    /// Take what looks like this kind of accident as it is; may be given several times
    #[arg(long, value_name = "KIND", value_enum, requires = "file")]
    accept: Vec<Accident>,

    /// Check the file, and what the node holds of it, without changing anything
    #[arg(long, requires = "file")]
    pub(super) dry_run: bool,

    /// The result file, with the refused rows and their reasons; by default FILE.result.csv or FILE.result.jsonl, and
    /// standard error for standard input. That of an earlier import gets the name RESULT.1, or the next free number
    #[arg(long, value_name = "RESULT", requires = "file")]
    result: Option<PathBuf>,
}

/// The format of a file of identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum FileFormat {
    /// Comma-separated values
    Csv,
    /// JSON lines
    Jsonl,
}

impl FileFormat {
    /// The format that a file name implies.
    pub(in super::super) fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "csv" | "tsv" | "txt" => Some(Self::Csv),
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if text == "\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err("write one character such as ; or \\t".into()),
    }
}

impl FileArguments {
    /// How rows are understood.
    fn reading(&self, purpose: Purpose, permissions: Vec<TypePermissions>) -> Result<Reading, Error> {
        let naming = match &self.prefix {
            None => Naming::Whole,
            Some(prefix) => Naming::Under { prefix: prefix.clone() },
        };
        Ok(Reading {
            purpose,
            naming,
            mapping: Mapping::new(&self.map).map_err(Error::Usage)?,
            permissions,
            tolerance: Tolerance::of(&self.accept),
            ends: if self.trim { Ends::Trimmed } else { Ends::AsTheyAre },
        })
    }

    /// Opens the file and reads its header; starts reading on a thread of its own, as fast as rows are received.
    pub(super) fn open(
        &self,
        path: &Path,
        purpose: Purpose,
        permissions: Vec<TypePermissions>,
    ) -> Result<OpenedFile, Error> {
        let reading = self.reading(purpose, permissions)?;
        let (input, bytes) = open(path)?;
        let opened = self.read(path, input, reading).map_err(|error| named(path, error))?;
        Ok(OpenedFile { bytes, ..opened })
    }

    fn read(&self, path: &Path, input: Box<dyn Read + Send>, reading: Reading) -> Result<OpenedFile, Error> {
        let format = self.format.or_else(|| FileFormat::of_name(path));
        let source = Source::new(input, self.encoding)
            .map_err(|found| self.unsupported(path, &reading.purpose, &found))?;
        let found = reading.tolerance.found(Accident::Encoding, "this is UTF-8, and not GB 18030");
        if let Some(found) = found.filter(|_| source.is_mistaken()) {
            return Err(Error::Input(found.sentence()));
        }
        let format = format.ok_or_else(|| {
            let name = path.display();
            Error::Usage(format!(
                "{name}: the file name does not determine the format; use --format csv or --format jsonl"
            ))
        })?;
        let mut form = InputForm { text: source.form(), table: None };
        let (path, tolerance) = (path.to_owned(), reading.tolerance.clone());
        let mut duplicates = Duplicates::default();
        let mut judged = move |row: Result<Option<Row>, Error>| -> Result<Option<Row>, Error> {
            let row = row.map_err(|error| named(&path, error))?;
            Ok(row.map(|row| checked(row, &mut duplicates, &tolerance)))
        };
        let rows = match format {
            FileFormat::Csv => {
                let mut table = Table::new(source, self.delimiter, reading)?;
                form.table = Some(table.form().clone());
                Rows::read_ahead(move || judged(table.next()))
            }
            FileFormat::Jsonl => {
                let mut lines = Lines::new(source, reading);
                Rows::read_ahead(move || {
                    let row = judged(lines.next())?;
                    if row.is_none() {
                        lines
                            .unused()
                            .iter()
                            .for_each(|unused| notice(&format!("idnode: warning: {unused}")));
                    }
                    Ok(row)
                })
            }
        };
        Ok(OpenedFile { rows, form, bytes: 0 })
    }

    /// The error about an input that is no text.
    fn unsupported(&self, path: &Path, purpose: &Purpose, found: &Unsupported) -> Error {
        let packing = match found {
            Unsupported::Unread(error) => return Error::file(path, error),
            Unsupported::Format(sentence) => return Error::Input((*sentence).to_owned()),
            Unsupported::Packed(packing) => packing,
        };
        let (Packing { format, unpack }, command) = (packing, purpose.command());
        if path == Path::new("-") {
            return Error::Input(format!("this is a {format} file; unpack it first: {unpack} | {command}"));
        }
        // The name of the packed file is that of the text with an end.
        let inner = self.format.or_else(|| FileFormat::of_name(Path::new(path.file_stem()?)));
        let inner = match inner {
            Some(FileFormat::Csv) => "csv",
            Some(FileFormat::Jsonl) => "jsonl",
            None => "csv (or jsonl)",
        };
        let name = quoted(&path.display().to_string());
        Error::Input(format!(
            "this is a {format} file; unpack it first: {unpack} {name} | {command} --format {inner}"
        ))
    }

    /// The path of the result file; none for lines on standard error.
    pub(super) fn result_path(&self, path: &Path, form: &InputForm) -> Result<Option<PathBuf>, Error> {
        let Some(result) = &self.result else {
            return Ok((path != Path::new("-")).then(|| {
                let mut name = path.to_owned().into_os_string();
                name.push(form.extension());
                name.into()
            }));
        };
        // The input may come from a file by its name, or by standard input.
        let path = if path == Path::new("-") { Path::new("/dev/stdin") } else { path };
        if let (Ok(input), Ok(output)) = (fs::metadata(path), fs::metadata(result))
            && output.is_file()
            && (input.dev(), input.ino()) == (output.dev(), output.ino())
        {
            return Err(Error::Usage(format!(
                "--result {}: this is the input file, which would be lost; name another",
                result.display()
            )));
        }
        Ok(Some(result.clone()))
    }
}

//----------- OpenedFile -----------------------------------------------------

/// A file of identifiers that is being read.
pub(super) struct OpenedFile {
    /// Its rows, in order; an error is the last item.
    pub(super) rows: Rows,
    /// Its form.
    pub(super) form: InputForm,
    /// Its bytes; 0 when unknown.
    pub(super) bytes: u64,
}

/// The input and its size; 0 when unknown.
fn open(path: &Path) -> Result<(Box<dyn Read + Send>, u64), Error> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), 0));
    }
    let file = File::open(path).map_err(|error| Error::file(path, &error))?;
    let metadata = file.metadata().map_err(|error| Error::file(path, &error))?;
    if metadata.is_dir() {
        return Err(Error::Usage(format!("{}: this is a directory; name a file", path.display())));
    }
    Ok((Box::new(file), metadata.len()))
}

/// Gives an error of the file its name.
fn named(path: &Path, error: Error) -> Error {
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    match error {
        Error::Input(sentence) => Error::Input(format!("{name}: {sentence}")),
        Error::File { cause, .. } => Error::File { path: name, cause },
        other => other,
    }
}

/// A word of a command line.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+,:@%".contains(letter);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// A row, refused when an earlier one that was not refused has its identifier.
fn checked(row: Row, duplicates: &mut Duplicates, tolerance: &Tolerance) -> Row {
    if row.content.is_err() {
        return row;
    }
    match duplicates.check(&row.identifier, row.number, tolerance) {
        Some(reason) => Row { content: Err(reason), ..row },
        None => row,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::super::reading::tests::plain;
    use super::{Encoding, FileArguments};

    const MIB: usize = 1024 * 1024;
    const ROWS: usize = 64;

    /// A file of rows of 1 MiB, and how much of it has been read.
    struct Wide {
        text: io::Cursor<Vec<u8>>,
        read: Arc<AtomicUsize>,
    }

    impl Read for Wide {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.text.read(out)?;
            self.read.fetch_add(count, Ordering::SeqCst);
            Ok(count)
        }
    }

    /// Rows are read ahead by bytes too: a thousand rows of 1 MiB would take gigabytes.
    #[tokio::test(flavor = "multi_thread")]
    async fn large_rows_are_read_as_far_ahead_as_their_bytes_allow() {
        let row = |number: usize| {
            let name = format!("88/{number:03},");
            [name.as_bytes(), &vec![b'x'; MIB - name.len() - 1], b"\n"].concat()
        };
        let text = [b"identifier,A\n".to_vec(), (0..ROWS).flat_map(row).collect()].concat();
        let (whole, read) = (text.len(), Arc::new(AtomicUsize::new(0)));
        let input = Wide { text: io::Cursor::new(text), read: Arc::clone(&read) };
        let arguments = FileArguments {
            format: None,
            encoding: Encoding::Utf8,
            delimiter: None,
            prefix: None,
            map: Vec::new(),
            trim: false,
            accept: Vec::new(),
            dry_run: false,
            result: None,
        };
        let opened = arguments.read(Path::new("wide.csv"), Box::new(input), plain()).expect("a table");
        let mut rows = opened.rows;
        for taken in 0..ROWS {
            let ahead = || read.load(Ordering::SeqCst) - taken * MIB;
            // There is no space for another row and its text, or all rows are read.
            let far = async {
                while rows.space_bytes() > 2 * MIB + 4_096 && read.load(Ordering::SeqCst) < whole {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), far).await.expect("rows are read ahead");
            assert!(ahead() <= 16 * MIB, "{} bytes are read ahead of row {taken}", ahead());
            rows.recv().await.expect("a row").expect("readable");
        }
        assert!(rows.recv().await.is_none());
    }
}
