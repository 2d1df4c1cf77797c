//! A handle as a web address: `/{handle}` leads a browser to what the handle's URL value names, as a proxy does.
//!
//! With `noredirect`, and where there is no URL value, the record itself is shown: as a page to browsers, as JSON to
//! programs. Text of a record is escaped, and a page runs no script.

use core::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Shared;
use super::asked::Asked;
use super::denial::{Denial, DoorRefusal};
use super::described::Flag;
use super::handles::{self, parse_handle};
use super::reply;
use super::value_json::ValueJson;
use crate::model::value::{Value, ValueType};
use crate::resolver::answer::{Answer, Found};

/// What must be escaped in an address that is otherwise left as the record spells it.
const IN_ADDRESS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'`');
/// What must be escaped in one path of our own; slashes stay.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~').remove(b':');
/// Pages load and run nothing.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");

/// Leads to what the handle's URL value names, or shows the record.
#[utoipa::path(get, path = "/{handle}", tag = "handles", operation_id = "visit",
    params(
        ("handle" = String, Path, description = "The handle; its slash may be percent-encoded.",
            example = "88.118.8/SN000123"),
        ("noredirect" = Option<Flag>, Query, description = "Shows the record instead."),
        ("auth" = Option<Flag>, Query, description = "Asks no other node.")),
    responses(
        (status = 200, description = "The record, as a page or as JSON.",
            content((reply::HandleReply = "application/json"), (String = "text/html"))),
        (status = 302, description = "To what the URL value names; without one, to the record.",
            headers(("location" = String, description = "Where to go."))),
        (status = 300, description = "Another service answers.", body = reply::HandleReply),
        (status = 400, description = "No handle of a prefix that this node answers for.", body = reply::HandleReply),
        (status = 401, description = "The proof is not accepted.", body = reply::HandleReply),
        (status = 404, description = "There is no such handle.", body = reply::HandleReply),
        (status = 500, description = "The node, or another that it asked, failed.", body = reply::HandleReply),
        (status = 503, description = "The node is too busy, or stopping.", body = reply::HandleReply)))]
pub(super) async fn show(shared: &Shared, asked: &Asked, handle: &str) -> Result<Response, Denial> {
    let Ok(identifier) = parse_handle(handle) else {
        return Err(DoorRefusal::NoPage.into());
    };
    let wants_record = asked.query.flag("noredirect").unwrap_or(false);
    if wants_record && !wants_page(asked) {
        return handles::resolve(shared, asked, handle).await;
    }
    let found = match handles::ask(shared, asked, identifier).await? {
        Answer::Values(found) => found,
        // Without a slash it looks like any other path that is not there.
        Answer::Absent(_) | Answer::Referral(_) | Answer::NotResponsible(_) if !handle.contains('/') => {
            return Err(DoorRefusal::NoPage.into());
        }
        Answer::Absent(_) | Answer::Referral(_) | Answer::NotResponsible(_) => {
            return handles::resolve(shared, asked, handle).await;
        }
    };
    if wants_record {
        return Ok(record_page(handle, &found));
    }
    let location = address_of(&found).unwrap_or_else(|| record_path(handle));
    Ok(reply::redirect(location))
}

fn wants_page(asked: &Asked) -> bool {
    asked.header(header::ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

/// What the URL value of the lowest index names, when a header can carry it.
fn address_of(found: &Found) -> Option<HeaderValue> {
    let is_url = |value: &&Value| value.value_type.is(ValueType::URL);
    let text = core::str::from_utf8(&found.values.iter().find(is_url)?.data).ok()?.trim();
    let escaped = utf8_percent_encode(text, IN_ADDRESS).to_string();
    HeaderValue::from_str(&escaped).ok().filter(|_| !text.is_empty())
}

fn record_path(handle: &str) -> HeaderValue {
    let path = format!("/api/handles/{}", utf8_percent_encode(handle, IN_PATH));
    HeaderValue::from_str(&path).unwrap_or(HeaderValue::from_static("/api/handles/"))
}

fn record_page(handle: &str, found: &Found) -> Response {
    let name = escape(handle);
    let mut rows = String::new();
    for value in &found.values {
        let data = serde_json::to_value(ValueJson::of(value)).unwrap_or_default();
        let data = data.pointer("/data/value").cloned().unwrap_or_default();
        let shown = data.as_str().map_or_else(|| data.to_string(), str::to_owned);
        let (index, kind) = (value.index, escape(value.value_type.as_str()));
        // Writing to a String does not fail.
        let _written = writeln!(rows, "<tr><td>{index}<td>{kind}<td>{}", escape(&shown));
    }
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{name}</title>\n\
         <style>body{{font-family:sans-serif}}td,th{{text-align:left;padding:.2em 1em;vertical-align:top;\
         overflow-wrap:anywhere}}</style>\n\
         <h1>{name}</h1>\n<table><tr><th>Index<th>Type<th>Data\n{rows}</table></html>\n"
    );
    let mut page = reply::respond(StatusCode::OK, "text/html; charset=utf-8", html);
    page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    page
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escape, record_path};

    #[test]
    fn text_of_a_record_is_no_markup() {
        assert_eq!(escape("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
    }

    #[test]
    fn a_handle_stays_one_path() {
        assert_eq!(record_path("88.118.8/零?a#b%"), "/api/handles/88.118.8/%E9%9B%B6%3Fa%23b%25");
    }
}
