//! The live page: which shard burns, and why, within two seconds. It is served from memory and asks nobody but us.
//!
//! It refuses to know the figures; `page.js` draws what the event stream tells.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// The page, with a way to the metrics at `telemetry_path`.
pub(super) fn html(telemetry_path: &str) -> Response {
    // Relative, for proxies that add a prefix; the path is of letters, digits and `-._/` alone.
    let metrics = format!("href=\"{}\"", telemetry_path.trim_start_matches('/'));
    let text = include_str!("page.html")
        .replace("href=\"metrics\"", &metrics)
        .replace("{version}", env!("CARGO_PKG_VERSION"));
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("page.css"))
}

pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("page.js"))
}

pub(super) async fn icon() -> Response {
    asset("image/svg+xml", include_str!("icon.svg"))
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
