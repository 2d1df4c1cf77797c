//! Small HTML pages: text of records is escaped, and a page runs and loads nothing.

use core::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::front::http::handle_json::json::value::ValueJson;
use crate::front::http::handle_json::reply;
use crate::front::http::transport::negotiation::vary_by_accept;
use crate::model::refusal::Failure;
use crate::model::value::Value;

/// Pages load and run nothing.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");

/// A page: a title, and markup that follows it. The title is escaped here, the markup by the caller.
pub(super) fn page(status: StatusCode, title: &str, markup: &str) -> Response {
    let title = escape(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\n\
         <style>body{{font-family:sans-serif;margin:2em}}td,th{{text-align:left;padding:.2em 1em;vertical-align:top;\
         overflow-wrap:anywhere}}</style>\n\
         <h1>{title}</h1>\n{markup}</html>\n"
    );
    let mut page = reply::respond(status, "text/html; charset=utf-8", html);
    let headers = page.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    vary_by_accept(headers);
    page
}

/// A page with one sentence.
pub(super) fn sentence(status: StatusCode, title: &str, sentence: &str) -> Response {
    page(status, title, &format!("<p>{}</p>\n", escape(sentence)))
}

/// A page that shows the values of a record.
pub(super) fn record(handle: &str, values: &[Value]) -> Result<Response, Failure> {
    let mut rows = String::new();
    for value in values {
        let shown = ValueJson::of(value).data_text()?;
        let (index, kind) = (value.index, escape(value.value_type.as_str()));
        // Writing to a String does not fail.
        let _written = writeln!(rows, "<tr><td>{index}<td>{kind}<td>{}", escape(&shown));
    }
    let table = format!("<table><tr><th>Index<th>Type<th>Data\n{rows}</table>\n");
    Ok(page(StatusCode::OK, handle, &table))
}

/// Text as it stands in markup.
pub(super) fn escape(text: &str) -> String {
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
