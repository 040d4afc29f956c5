//! Who may ask for what: what stays closed to strangers, and what another site's page may not do with a visitor's browser.

use std::net::IpAddr;

use axum::http::header::{HOST, HeaderMap, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

/// A request that is turned away, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("user and password, please")]
    Password,
    #[error(
        "page and API show keys and client addresses and anyone can reach this address; listen on 127.0.0.1, ask for passwords (web.config.file) or set web.allow_unauthenticated; metrics and health answer everybody"
    )]
    Unauthenticated,
    #[error("this host name is none of ours; set web.external_url to the address you use")]
    Host,
    #[error("another site may not ask for this; set web.external_url if this is the page's own address")]
    Origin,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = format!("{self}\n");
        match self {
            Self::Password => {
                let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"hotshard\"")];
                (StatusCode::UNAUTHORIZED, challenge, text).into_response()
            }
            Self::Unauthenticated | Self::Host | Self::Origin => (StatusCode::FORBIDDEN, text).into_response(),
        }
    }
}

/// The host names a request may come under: addresses, `localhost`, and those the operator named.
#[derive(Clone, Debug)]
pub(super) struct Names {
    listening: Vec<String>,
    /// Of the address people use, where that isn't one we listen on.
    external: Option<String>,
}

impl Names {
    pub(super) fn new<'a>(listening: impl IntoIterator<Item = &'a str>, external: Option<&str>) -> Self {
        Self {
            listening: listening.into_iter().map(str::to_ascii_lowercase).collect(),
            external: external.map(str::to_ascii_lowercase),
        }
    }

    /// A site whose name someone else points at our address must not read what we say, so the name itself is looked at.
    pub(super) fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = headers.get(HOST).and_then(host_of).ok_or(Refusal::Host)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let known = bare.parse::<IpAddr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.listening.iter().chain(&self.external).any(|name| *name == host);
        known.then_some(()).ok_or(Refusal::Host)
    }

    /// Browsers say where a request comes from; programs don't and pass.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if headers
            .get("sec-fetch-site")
            .is_some_and(|site| site == "cross-site" || site == "same-site")
        {
            return Err(Refusal::Origin);
        }
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(());
        };
        let origin: Uri = origin
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(Refusal::Origin)?;
        let authority = origin.authority().ok_or(Refusal::Origin)?;
        let same = headers
            .get(HOST)
            .is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()));
        // A proxy may have put a name of its own into Host.
        let external = self.external.as_deref();
        let named = external.is_some_and(|name| name.eq_ignore_ascii_case(authority.host()));
        (same || named).then_some(()).ok_or(Refusal::Origin)
    }
}

fn host_of(value: &HeaderValue) -> Option<String> {
    let authority: axum::http::uri::Authority = value.to_str().ok()?.parse().ok()?;
    Some(authority.host().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>, expected: (bool, bool)) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().expect("a test's header"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().expect("a test's header"));
        }
        let names = Names::new(["127.0.0.1", "monitor-7"], Some("hotshard.example.com"));
        let outcome = (names.check_host(&headers).is_ok(), names.check_origin(&headers).is_ok());
        assert_eq!(outcome, expected, "{host} {origin:?}");
    }

    #[test]
    fn a_name_that_someone_else_points_at_us_is_refused() {
        check("127.0.0.1:9468", None, (true, true));
        check("[::1]:9468", None, (true, true));
        check("LOCALHOST:9468", None, (true, true));
        check("hotshard.example.com", None, (true, true));
        check("Monitor-7:9468", None, (true, true));
        check("evil.example:9468", None, (false, true));
        check("", None, (false, true));
    }

    #[test]
    fn another_sites_page_is_refused() {
        check("localhost:9468", Some("http://localhost:9468"), (true, true));
        check("localhost:9468", Some("http://localhost:8000"), (true, false));
        check("10.0.0.1", Some("https://hotshard.example.com"), (true, true));
        check("127.0.0.1:9468", Some("http://127.0.0.1:8000"), (true, false));
        check("localhost:9468", Some("null"), (true, false));
        check("localhost:9468", Some("http://evil.example"), (true, false));
    }
}
