//! Damaged backups: every changed bit is found, and the finding names the file.

use std::fs;

use super::{Bench, EngineKind, Error, Kind, RestoreRequest, files, name_of, refused, verdict};
use crate::backup::list_directory;
use crate::backup::manifest::Manifest;

fn random() -> usize {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("randomness");
    usize::from_le_bytes(bytes)
}

/// A random bit of each file in turn, encrypted or not, in a full backup and in one that continues it.
#[tokio::test]
async fn one_flipped_bit_in_any_file_is_named_by_verify_and_refused_by_restore() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..150).await;
    bench.create(Kind::Full).await;
    bench.write(100..250).await;
    let made = bench.create(Kind::Incremental).await;
    assert_eq!(made.kind, Kind::Incremental);
    let mut tried = 0;
    for summary in list_directory(&bench.path("backups"), None).expect("the backups").backups {
        let folder = summary.directory.join(&summary.name);
        for file in files(&folder) {
            let whole = fs::read(&file).expect("a file");
            let (place, bit) = (random() % whole.len(), random() % 8);
            let mut harmed = whole.clone();
            harmed[place] ^= 1 << bit;
            fs::write(&file, &harmed).expect("space on disk");
            let what = format!("{}, byte {place}, bit {bit}", file.display());
            let found = verdict(&folder).await.findings;
            assert_eq!(found.len(), 1, "{what}: {found:?}");
            assert_eq!(found[0].file, name_of(&file), "{what}");
            let error = refused(bench.request(&made.name, "again")).await;
            let Error::NotWhole { found } = &error else {
                panic!("{what}: {error}");
            };
            assert!(found[0].file.ends_with(&name_of(&file)), "{what}: {error}");
            fs::write(&file, &whole).expect("space on disk");
            tried += 1;
        }
        assert!(verdict(&folder).await.is_whole());
    }
    assert!(tried > 10, "{tried} files");
}

#[tokio::test]
async fn cut_missing_exchanged_and_strange_files_are_named() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..300).await;
    let made = bench.create(Kind::Full).await;
    let folder = bench.path("backups").join(&made.name);
    let (first, second) = (folder.join("journal-000001.zst"), folder.join("journal-000002.zst"));
    let (one, two) = (fs::read(&first).expect("a chunk"), fs::read(&second).expect("a chunk"));
    let cases: [(&[u8], &[u8], &str); 4] = [
        (&one[..one.len() - 1], &two, "journal-000001.zst: it was cut"),
        (&one, b"", "journal-000002.zst: it was cut: 0 of"),
        (&[&one[..], b"x"].concat(), &two, "journal-000001.zst: bytes follow"),
        (&two, &one, "journal-000001.zst: "),
    ];
    for (one, two, expected) in cases {
        fs::write(&first, one).expect("space on disk");
        fs::write(&second, two).expect("space on disk");
        let found = verdict(&folder).await.findings;
        assert!(found.iter().any(|finding| finding.to_string().starts_with(expected)), "{found:?}");
        let error = refused(bench.request(&made.name, "again")).await.to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs::write(&first, &one).expect("space on disk");
    fs::remove_file(&second).expect("a chunk");
    let error = refused(bench.request(&made.name, "again")).await.to_string();
    assert!(error.contains("journal-000002.zst: the file is missing"), "{error}");
    fs::write(&second, &two).expect("space on disk");
    fs::write(folder.join("notes.txt"), "hello").expect("space on disk");
    let found = verdict(&folder).await.findings;
    assert_eq!(found[0].to_string(), "notes.txt: it is not part of this backup");
    fs::remove_file(folder.join("notes.txt")).expect("a file");
    fs::remove_file(folder.join("manifest.json")).expect("the manifest");
    let found = verdict(&folder).await.findings;
    assert!(found[0].to_string().starts_with("manifest.json: cannot be read"), "{found:?}");
    let listing = list_directory(&bench.path("backups"), None).expect("the directory");
    assert_eq!(listing.backups, []);
    let found: Vec<String> = listing.findings.into_iter().map(|finding| finding.file).collect();
    assert_eq!(found, [folder.join("manifest.json").display().to_string()]);
}

/// An attacker who can write files but does not have the key cannot replace the manifest.
#[tokio::test]
async fn a_manifest_of_an_encrypted_backup_cannot_be_written_anew_without_the_key() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..10).await;
    let key = bench.path("key");
    fs::write(&key, [9; 32]).expect("space on disk");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    let options = super::Options { key_file: Some(key.clone()), ..super::options(bench.scratch.path()) };
    let made = bench.backups_with(options).create(None, Kind::Full, &|_| {}).await.expect("it is made");
    let folder = bench.path("backups").join(&made.name);
    let mut manifest = Manifest::load_proved(&folder, None).expect("the manifest").0;
    manifest.chunks.pop();
    fs::write(folder.join("manifest.json"), manifest.encode(None).expect("it encodes")).expect("space");
    let request = RestoreRequest { key_file: Some(key), ..bench.request(&made.name, "again") };
    let error = refused(request).await.to_string();
    assert!(error.contains("manifest.json: it was not sealed with this backup's key"), "{error}");
}
