//! Replies of this face, which alone know its statuses: redirects, and small HTML pages, which run and load nothing. The
//! text of records is escaped.

use core::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::front::http::handle_json::json::value::ValueJson;
use crate::front::http::transport::negotiation::vary_by_accept;
use crate::model::refusal::Failure;
use crate::model::uri::Uri;
use crate::model::value::Value;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// Pages load and run nothing.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");

/// A page that describes what was asked for. The title is escaped here, the markup by the caller.
pub(super) fn page(title: &str, markup: &str) -> Response {
    page_of(StatusCode::OK, title, markup)
}

/// A page with one sentence about what was asked for.
pub(super) fn sentence(title: &str, sentence: &str) -> Response {
    page(title, &paragraph(sentence))
}

/// A page that says where else a handle is registered.
pub(super) fn elsewhere(title: &str, sentence: &str) -> Response {
    page_of(StatusCode::MULTIPLE_CHOICES, title, &paragraph(sentence))
}

/// A page with the reason why a request was denied, and the status of the denial.
pub(super) fn denied(status: StatusCode, title: &str, sentence: &str) -> Response {
    page_of(status, title, &paragraph(sentence))
}

/// A temporary redirect, because the record may change.
pub(super) fn redirect(location: HeaderValue) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

fn paragraph(sentence: &str) -> String {
    format!("<p>{}</p>\n", escape(sentence))
}

fn page_of(status: StatusCode, title: &str, markup: &str) -> Response {
    let title = escape(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\n\
         <style>body{{font-family:sans-serif;margin:2em}}td,th{{text-align:left;padding:.2em 1em;vertical-align:top;\
         overflow-wrap:anywhere}}</style>\n\
         <h1>{title}</h1>\n{markup}</html>\n"
    );
    let mut page = (status, html).into_response();
    let headers = page.headers_mut();
    headers.insert(header::CONTENT_TYPE, HTML);
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    vary_by_accept(headers);
    page
}

/// A page that shows the values of a record; web addresses are links.
pub(super) fn record(handle: &str, values: &[Value]) -> Result<Response, Failure> {
    let mut rows = String::new();
    for value in values {
        let shown = escape(&ValueJson::of(value.clone()).data_text()?);
        let shown = match Uri::of_value(value).filter(Uri::is_web) {
            Some(uri) => format!("<a href=\"{}\" rel=\"noreferrer\">{shown}</a>", escape(uri.as_str())),
            None => shown,
        };
        let (index, kind) = (value.index, escape(value.value_type.as_str()));
        // Writing to a String does not fail.
        let _written = writeln!(rows, "<tr><td>{index}<td>{kind}<td>{shown}");
    }
    let table = format!("<table><tr><th>Index<th>Type<th>Data\n{rows}</table>\n");
    Ok(page(handle, &table))
}

/// Text as it stands in markup.
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
    use super::escape;

    #[test]
    fn text_of_a_record_is_no_markup() {
        assert_eq!(escape("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
    }
}
