//! History: the changes of one identifier, the newest first, found by following links through the journal.

use crate::authority::caller::Caller;
use crate::authority::unread;
use crate::authority::visibility::Visibility;
use crate::model::identifier::Identifier;
use crate::model::limits::PAGE_ITEMS_MAX;
use crate::model::position::Position;
use crate::model::refusal::{Problem, Refusal};
use crate::store::entry::Change;
use crate::store::journal::{Header, JournalEntry, Subject};

use super::Resolver;
use super::answer::{History, HistoryChange};

impl Resolver {
    /// Changes of an identifier, the newest first, before `before`; for readers of its prefix.
    pub async fn history(
        &self,
        caller: &Caller,
        identifier: &Identifier,
        before: Option<Position>,
        limit: usize,
    ) -> Result<History, Problem> {
        self.authority.check_reader(caller, &identifier.governing_prefix())?;
        let canonical = identifier.canonical(self.store.folding());
        let present = self.store.identifiers(std::slice::from_ref(&canonical)).await;
        let present =
            present.map_err(|error| unread(&error))?.into_iter().flatten().next().ok_or(Refusal::Absent)?;
        let subject = Subject::Identifier(canonical);
        let start = match before {
            None => self.store.lineage().position_of(present.sequence),
            Some(before) => self.previous(before, &subject).await?,
        };
        let (headers, next) = self.walk(start, &subject, limit.clamp(1, PAGE_ITEMS_MAX)).await?;
        let entries = self.store.with_bodies(headers).await.map_err(|error| unread(&error))?;
        Ok(History {
            changes: entries.into_iter().map(show).collect(),
            next,
            complete_from: self.store.complete_from(),
        })
    }

    /// The link of the entry that was returned last. An entry of another identifier is refused.
    async fn previous(&self, before: Position, subject: &Subject) -> Result<Option<Position>, Problem> {
        let header = self.header(before).await?;
        match header {
            Some(header) if header.subject == *subject => Ok(self.link(&header)),
            _ => {
                let reason =
                    "the page token is not one of this identifier's history; begin without one".to_owned();
                Err(Refusal::CommandInvalid { reason }.into())
            }
        }
    }

    /// Follows links; returns the headers, and the entry before which the next page begins.
    async fn walk(
        &self,
        start: Option<Position>,
        subject: &Subject,
        limit: usize,
    ) -> Result<(Vec<Header>, Option<Position>), Problem> {
        let mut headers: Vec<Header> = Vec::new();
        let mut link = start;
        while let Some(position) = link {
            if headers.len() == limit {
                let next = headers.last().map(|header| header.position);
                return Ok((headers, next));
            }
            let header = self.header(position).await?;
            let Some(header) = header.filter(|header| header.subject == *subject) else {
                break;
            };
            link = self.link(&header);
            headers.push(header);
        }
        Ok((headers, None))
    }

    /// The position of the change before this one.
    fn link(&self, header: &Header) -> Option<Position> {
        self.store.lineage().position_of(header.previous?)
    }

    async fn header(&self, position: Position) -> Result<Option<Header>, Problem> {
        Ok(self.store.header(position).await.map_err(|error| unread(&error))?)
    }
}

fn show(entry: JournalEntry) -> HistoryChange {
    let JournalEntry { header, body } = entry;
    let values = body.and_then(|body| match body.change {
        Change::Identifier(change) => {
            let mut values = change.values.map(|values| values.into_vec()).unwrap_or_default();
            values.retain(|value| Visibility::Restricted.shows(value));
            Some(values)
        }
        Change::Prefix(_) | Change::Token(_) | Change::Note(_) | Change::Incarnation(_) => None,
    });
    HistoryChange {
        position: header.position,
        time_ms: header.time_ms,
        operation: header.operation,
        version: header.version,
        caller: header.caller,
        values,
    }
}
