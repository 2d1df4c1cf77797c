//! Lists and their cursors: every name once, from wherever a page ended, and nothing else is taken for a cursor.

use std::collections::BTreeSet;

use super::{change, commit, identifier, opened, present};
use crate::model::identifier::{Identifier, Prefix};
use crate::model::limits::IDENTIFIER_BYTES_MAX;
use crate::store::error::Error;
use crate::store::names::NameRange;
use crate::store::open::Opened;
use crate::store::writer::{JournalWriter, Proposed};
use crate::store::{Cursor, EngineKind, Store};

//----------- A small language -----------------------------------------------

fn own() -> Prefix {
    Prefix::parse("88.1").expect("a prefix")
}

/// A store with these names under `88.1`.
async fn store_of(engine: EngineKind, names: &[String]) -> (tempfile::TempDir, Opened) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut opened = opened(directory.path(), engine).await;
    for part in names.chunks(250) {
        commit(&mut opened.writer, part.iter().map(|name| change(name, Some(b"x"), 1, None)).collect()).await;
    }
    (directory, opened)
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("88.1/S{number:04}")).collect()
}

async fn remove(store: &Store, writer: &mut JournalWriter, names: &[String]) {
    let mut removals: Vec<Proposed> = Vec::new();
    for name in names {
        let entry = present(store, name).await.expect("it was registered");
        removals.push(change(name, None, entry.version + 1, Some(entry.mark())));
    }
    commit(writer, removals).await;
}

fn texts(names: &[Identifier]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// The names of one page of a list.
#[derive(Clone, Copy, Debug)]
enum Listing {
    Entries,
    Names,
}

impl Listing {
    const ALL: [Self; 2] = [Self::Entries, Self::Names];

    async fn page(
        self,
        store: &Store,
        after: Option<&Cursor>,
        limit: usize,
    ) -> (Vec<String>, Option<Cursor>) {
        match self {
            Self::Entries => {
                let page = store.list(&own(), after, limit).await.expect("the list reads");
                let names = page.items.into_iter().map(|entry| entry.identifier.to_string());
                (names.collect(), page.next)
            }
            Self::Names => {
                let range = NameRange { after, skip: 0, limit };
                let page = store.names(&own(), range).await.expect("the names read");
                (texts(&page.items), page.next)
            }
        }
    }

    /// All names, page by page.
    async fn whole(self, store: &Store, limit: usize) -> Vec<String> {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = self.page(store, after.as_ref(), limit).await;
            assert!(page.len() <= limit);
            names.extend(page);
            if next.is_none() {
                return names;
            }
            after = next;
        }
    }
}

//----------- Pages ----------------------------------------------------------

#[tokio::test]
async fn the_last_page_has_no_cursor_and_every_other_one_is_full() {
    for engine in EngineKind::ALL {
        let names = numbered(130);
        let (_directory, Opened { store, .. }) = store_of(engine, &names).await;
        for (listing, limit) in Listing::ALL.into_iter().flat_map(|listing| [(listing, 65), (listing, 129)]) {
            let (first, next) = listing.page(&store, None, limit).await;
            assert_eq!(first, names[..limit], "{engine}, {listing:?}");
            let (rest, end) = listing.page(&store, next.as_ref(), limit).await;
            assert_eq!((rest.as_slice(), end), (&names[limit..], None), "{engine}, {listing:?}");
        }
        assert_eq!(
            Listing::Names.page(&store, None, 130).await,
            (names, None),
            "{engine}: no empty page follows"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_meet_every_surviving_name_once_while_others_are_removed() {
    for engine in EngineKind::ALL {
        let names = numbered(1_000);
        let (_directory, Opened { store, mut writer, .. }) = store_of(engine, &names).await;
        let removed: Vec<String> = names.iter().skip(1).step_by(3).cloned().collect();
        let surviving: Vec<&String> = names.iter().filter(|name| !removed.contains(name)).collect();
        let removing = tokio::spawn({
            let (store, removed) = (store.clone(), removed.clone());
            async move {
                for part in removed.chunks(5) {
                    remove(&store, &mut writer, part).await;
                }
            }
        });
        let mut turns = Listing::ALL.into_iter().cycle();
        loop {
            let is_last = removing.is_finished();
            let listing = turns.next().expect("it goes round");
            let met = listing.whole(&store, 37).await;
            let met_once: BTreeSet<&String> = met.iter().collect();
            assert_eq!(met.len(), met_once.len(), "{engine}, {listing:?}: a name was met twice");
            let met: Vec<&String> = met.iter().filter(|name| !removed.contains(name)).collect();
            assert_eq!(met, surviving, "{engine}, {listing:?}");
            if is_last {
                break;
            }
        }
        removing.await.expect("the names were removed");
        assert_eq!(
            Listing::Entries.whole(&store, 37).await.iter().collect::<Vec<_>>(),
            surviving,
            "{engine}"
        );
    }
}

//----------- Cursors --------------------------------------------------------

#[tokio::test]
async fn a_cursor_goes_on_at_the_right_name_after_its_own_was_removed_and_the_store_reopened() {
    for engine in EngineKind::ALL {
        let names = numbered(10);
        let (directory, Opened { store, mut writer, .. }) = store_of(engine, &names).await;
        let (_, next) = Listing::Names.page(&store, None, 4).await;
        let cursor = next.expect("more follow");
        // The cursor's own name, the ones around it, and a new one behind it.
        remove(&store, &mut writer, &names[2..5]).await;
        commit(&mut writer, vec![change("88.1/S0004a", Some(b"x"), 1, None)]).await;
        store.close(writer).await.expect("the store closes");

        let Opened { store, .. } = opened(directory.path(), engine).await;
        let cursor = store.cursor(&own(), cursor.as_bytes()).expect("it is valid for ever");
        for listing in Listing::ALL {
            let (page, _) = listing.page(&store, Some(&cursor), 3).await;
            assert_eq!(page, ["88.1/S0004a", "88.1/S0005", "88.1/S0006"], "{engine}, {listing:?}");
        }
    }
}

/// The bytes of a cursor on the embedded engines are those that clients hold from the first release on.
#[tokio::test]
async fn the_bytes_of_a_cursor_are_the_last_name_as_it_was_spelled() {
    for engine in EngineKind::ALL {
        let names = ["88.1/a", "88.1/B", "88.1/c"].map(str::to_owned);
        let (_directory, Opened { store, .. }) = store_of(engine, &names).await;
        let (_, next) = Listing::Entries.page(&store, None, 2).await;
        let next = next.expect("more follow");
        assert_eq!(next.as_bytes(), b"88.1/B", "{engine}");
        assert_eq!(
            store.cursor_after(&identifier("88.1/B")).await.expect("the store reads"),
            next,
            "{engine}"
        );
        for bytes in [&b"88.1/B"[..], b"88.1/b", b"88.1/aa"] {
            let cursor = store.cursor(&own(), bytes).expect("a cursor");
            assert_eq!(cursor.as_bytes(), bytes);
            let (page, _) = Listing::Entries.page(&store, Some(&cursor), 1).await;
            let expected = if bytes == b"88.1/aa" { "88.1/B" } else { "88.1/c" };
            assert_eq!(page, [expected], "{engine}");
        }
    }
}

#[tokio::test]
async fn what_is_no_cursor_of_the_list_is_refused() {
    for engine in EngineKind::ALL {
        let (_directory, Opened { store, .. }) = store_of(engine, &numbered(3)).await;
        let long = [b"88.1/".as_slice(), &vec![b'x'; IDENTIFIER_BYTES_MAX]].concat();
        let wrong: [&[u8]; 8] =
            [b"", b"88.1", b"88.1/", b"88.2/S0001", b"88.1.2/S0001", b"no cursor", b"88.1/\xff", &long];
        for bytes in wrong {
            assert_eq!(store.cursor(&own(), bytes), None, "{engine}: {bytes:?}");
        }
        let other = Prefix::parse("88.2").expect("a prefix");
        let cursor = store.cursor(&other, b"88.2/S0001").expect("a cursor of another list");
        let list = store.list(&own(), Some(&cursor), 1).await;
        assert!(matches!(&list, Err(Error::OtherList { prefix }) if *prefix == own()), "{engine}: {list:?}");
        let range = NameRange { after: Some(&cursor), skip: 0, limit: 1 };
        let names = store.names(&own(), range).await;
        assert!(
            matches!(&names, Err(Error::OtherList { prefix }) if *prefix == own()),
            "{engine}: {names:?}"
        );
    }
}
