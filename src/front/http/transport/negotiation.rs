//! Which representation a client prefers: the header `Accept` (RFC 9110 section 12.5.1).
//!
//! Nothing is answered by 406: a client whose header names nothing that we have gets what it would get without the header,
//! as section 12.5.1 allows.

use axum::http::{HeaderMap, HeaderValue, header};

/// Ranges of one request that are looked at; the rest of a longer header is ignored.
const RANGES_MAX: usize = 64;

//----------- Preference -----------------------------------------------------

/// Which of our representations a client prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front::http) enum Preference {
    /// HTML, for people.
    Page,
    /// The representation for programs.
    Data,
}

impl Preference {
    /// The preference that the headers of a request state. A page must be asked for by name: `*/*` is what programs send.
    pub(in crate::front::http) fn of(headers: &HeaderMap) -> Self {
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
        let fields: Vec<String> = headers.get_all(header::ACCEPT).iter().map(text).collect();
        let ranges: Vec<Range> = fields
            .iter()
            .flat_map(|field| members(field))
            .take(RANGES_MAX)
            .filter_map(Range::parse)
            .collect();
        let (page, data) = (quality(&ranges, ("text", "html")), quality(&ranges, ("application", "json")));
        let is_named = page.is_some_and(|page| page.precision > Precision::Anything);
        let rank = |found: Option<Quality>| found.map_or(0, |found| found.thousandths);
        if is_named && rank(page) > 0 && rank(page) >= rank(data) { Self::Page } else { Self::Data }
    }
}

/// Notes that a response depends on `Accept`, for caches.
pub(in crate::front::http) fn vary_by_accept(headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Accept"));
}

//----------- Range ----------------------------------------------------------

/// One media range and its quality.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    main: String,
    sub: String,
    has_parameters: bool,
    thousandths: u16,
}

/// How precisely a range names a representation; the most precise one decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Anything,
    Main,
    Exact,
    ExactWithParameters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quality {
    precision: Precision,
    thousandths: u16,
}

impl Range {
    /// Parses one member of the list; none when it is no media range.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = split_unquoted(text, ';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        let (main, sub) = (main.trim().to_ascii_lowercase(), sub.trim().to_ascii_lowercase());
        if main.is_empty() || sub.is_empty() || (main == "*" && sub != "*") {
            return None;
        }
        let mut range = Self { main, sub, has_parameters: false, thousandths: 1_000 };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (name.trim(), value.trim());
            if name.eq_ignore_ascii_case("q") {
                range.thousandths = parse_weight(value)?;
                // Parameters after the weight are extensions, none of which is defined.
                break;
            }
            let is_ours =
                name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8");
            if !name.is_empty() && !is_ours {
                // It names a variant of the type that we do not have.
                return None;
            }
            range.has_parameters |= is_ours;
        }
        Some(range)
    }

    fn precision(&self, (main, sub): (&str, &str)) -> Option<Precision> {
        match (self.main == main, self.sub == sub) {
            (true, true) if self.has_parameters => Some(Precision::ExactWithParameters),
            (true, true) => Some(Precision::Exact),
            (true, false) if self.sub == "*" => Some(Precision::Main),
            (false, false) if self.main == "*" && self.sub == "*" => Some(Precision::Anything),
            _ => None,
        }
    }
}

/// The quality of a media type by the most precise range that names it.
fn quality(ranges: &[Range], media: (&str, &str)) -> Option<Quality> {
    let matching = ranges.iter().filter_map(|range| {
        let precision = range.precision(media)?;
        Some(Quality { precision, thousandths: range.thousandths })
    });
    matching.max_by_key(|quality| (quality.precision, quality.thousandths))
}

/// A weight from 0 to 1 with at most three decimals (RFC 9110 section 12.4.2).
fn parse_weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

//----------- Lists ----------------------------------------------------------

/// The members of a comma-separated field, blanks around them left out.
pub(super) fn members(field: &str) -> impl Iterator<Item = &str> {
    split_unquoted(field, ',').map(str::trim).filter(|member| !member.is_empty())
}

/// Splits at a separator that stands outside quoted strings.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '"' if !was_escaped => is_quoted = !is_quoted,
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            _ => return c == separator && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::Preference;

    fn preference(fields: &[&'static str]) -> Preference {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::ACCEPT, HeaderValue::from_static(field));
        }
        Preference::of(&headers)
    }

    #[test]
    fn the_most_precise_range_decides_and_then_the_weight() {
        for (accept, expected) in [
            ("text/html", Preference::Page),
            ("TEXT/HTML", Preference::Page),
            ("text/html;charset=UTF-8", Preference::Page),
            ("text/*", Preference::Page),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Preference::Page),
            ("text/html, application/json", Preference::Page),
            ("application/json;q=0.5, text/html;q=0.6", Preference::Page),
            ("text/*;q=0.1, text/html", Preference::Page),
            ("text/html;q=\"\", text/html", Preference::Page),
            ("x/y;p=\"a,text/plain;q=0\", text/html", Preference::Page),
            ("application/json, text/html;q=0.9", Preference::Data),
            ("text/html;q=0", Preference::Data),
            ("text/html;q=0, */*", Preference::Data),
            ("text/html;Q=0.000, text/*", Preference::Data),
            ("application/vnd.text/html+x", Preference::Data),
            ("x/y;p=\"text/html\"", Preference::Data),
            ("text/html5", Preference::Data),
            ("text/html;level=1", Preference::Data),
            ("text/html;q=2", Preference::Data),
            ("*/html", Preference::Data),
            ("*/*", Preference::Data),
            ("", Preference::Data),
        ] {
            assert_eq!(preference(&[accept]), expected, "{accept}");
        }
        assert_eq!(preference(&[]), Preference::Data);
        assert_eq!(preference(&["application/json;q=0.1", "text/html;q=0.2"]), Preference::Page);
    }
}
