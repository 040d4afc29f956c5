//! Every route, and what stands before it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use super::events::Feed;
use super::guard::{Names, Refusal};
use super::order::Order;
use super::rounds::Shelf;
use super::security::Security;
use super::settings::{ExternalUrl, WebSettings};
use super::statement::{self, Desk};
use super::{api, events, health, rounds};
use crate::export::open::OpenWindows;
use crate::export::page;
use crate::export::prometheus::{Format, Pages};
use crate::metrics::published::Published;

/// What a request's body may hold; nothing here takes more than a few words.
const BODY_MAX: usize = 16 * 1024;
/// How long an answer may take; event streams are outside.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);

/// What the handlers share.
#[derive(Clone)]
pub(super) struct App {
    pub(super) settings: Arc<WebSettings>,
    security: Security,
    pub(super) published: Published,
    pub(super) pages: Pages,
    pub(super) feed: Feed,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) shutdown: CancellationToken,
    pub(super) shelf: Shelf,
    pub(super) desk: Desk,
    names: Names,
}

impl App {
    pub(super) fn new(
        settings: WebSettings,
        security: Security,
        published: Published,
        orders: mpsc::Sender<Order>,
        shutdown: CancellationToken,
    ) -> Self {
        let external = settings.external_url.as_ref().map(ExternalUrl::host);
        let listening = settings.listen_address.iter().map(|address| address.host());
        let names = Names::new(listening, external);
        Self {
            settings: Arc::new(settings),
            security,
            pages: Pages::new(published.clone()),
            feed: Feed::new(published.clone(), OpenWindows::default()),
            published,
            orders,
            shutdown,
            shelf: Shelf::new(None),
            desk: Desk::new(None),
            names,
        }
    }

    /// With what is kept in this file.
    pub(super) fn keeping(mut self, archive: Option<&Path>) -> Self {
        self.shelf = Shelf::new(archive);
        self.desk = Desk::new(archive);
        self
    }

    /// With what these windows see while they are open.
    pub(super) fn watching(mut self, windows: OpenWindows) -> Self {
        self.feed = Feed::new(self.published.clone(), windows);
        self
    }
}

/// Who can reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposure {
    /// This machine alone.
    Loopback,
    /// Others too.
    Network,
}

impl Exposure {
    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_loopback() {
            Self::Loopback
        } else {
            Self::Network
        }
    }
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Whoever looks after us: they learn nothing and have no password.
    Probes,
    /// Machines that scrape.
    Scrapers,
    /// Those who may see keys and clients' addresses.
    Readers,
    /// Those who may see them, and what they ask takes its time.
    Askers,
    /// Those who may change what hotshard does.
    Operators,
}

/// What has to be set for a route to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Lifecycle,
    Sql,
}

impl Need {
    fn is_met(self, settings: &WebSettings) -> bool {
        match self {
            Self::Nothing => true,
            Self::Lifecycle => settings.enable_lifecycle,
            Self::Sql => settings.enable_sql,
        }
    }

    /// What is said in the route's place where it isn't met.
    fn complaint(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Lifecycle => {
                Some("this changes what hotshard does, which isn't allowed here; set web.enable_lifecycle\n")
            }
            Self::Sql => Some("the archive takes no questions in SQL here; set web.enable_sql\n"),
        }
    }
}

/// One route; those of operators take POST, the others GET.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) audience: Audience,
    pub(super) need: Need,
    handler: fn() -> MethodRouter<App>,
}

impl Route {
    /// Whether this path is one of the route's.
    fn is_at(&self, path: &str) -> bool {
        let (mut wanted, mut said) = (self.path.split('/'), path.split('/'));
        loop {
            match (wanted.next(), said.next()) {
                (None, None) => return true,
                (Some(part), Some(word)) if part == word || part.starts_with('{') => {}
                _ => return false,
            }
        }
    }
}

const fn read(path: &'static str, audience: Audience, handler: fn() -> MethodRouter<App>) -> Route {
    Route {
        path,
        audience,
        need: Need::Nothing,
        handler,
    }
}

const fn order(path: &'static str, handler: fn() -> MethodRouter<App>) -> Route {
    Route {
        path,
        audience: Audience::Operators,
        need: Need::Lifecycle,
        handler,
    }
}

/// Where the metrics are unless the settings say otherwise.
const TELEMETRY: &str = "/metrics";

/// Every route. The API's description and the tests are held to this list.
pub(super) const ROUTES: &[Route] = &[
    read("/", Audience::Readers, || get(html)),
    read("/assets/page.css", Audience::Readers, || get(page::style)),
    read("/assets/page.js", Audience::Readers, || get(page::script)),
    read("/assets/icon.svg", Audience::Readers, || get(page::icon)),
    read(TELEMETRY, Audience::Scrapers, || get(metrics)),
    read("/healthz", Audience::Probes, || get(health::alive)),
    read("/readyz", Audience::Probes, || get(health::ready)),
    read("/-/healthy", Audience::Probes, || get(health::alive)),
    read("/-/ready", Audience::Probes, || get(health::ready)),
    read("/api/openapi.json", Audience::Readers, || get(api::description)),
    read("/api/v1/groups", Audience::Readers, || get(api::groups)),
    read("/api/v1/groups/{id}/report", Audience::Readers, || get(api::report)),
    read("/api/v1/groups/{id}/rounds", Audience::Readers, || get(rounds::list)),
    read("/api/v1/rounds/{n}/report", Audience::Readers, || get(rounds::report)),
    read("/api/v1/events", Audience::Readers, || get(events::stream)),
    Route {
        path: "/api/v1/query",
        audience: Audience::Askers,
        need: Need::Sql,
        handler: || get(statement::answer),
    },
    order("/-/reload", || post(api::reload)),
    order("/-/pause", || post(api::pause)),
    order("/-/resume", || post(api::resume)),
    order("/api/v1/groups/{id}/windows", || post(api::round)),
];

/// Whether a path other than that of the metrics has a route.
pub(super) fn is_taken(path: &str) -> bool {
    ROUTES.iter().any(|route| route.path == path && path != TELEMETRY)
}

/// The routes of one listener.
pub(super) fn router(app: App, exposure: Exposure) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        if !route.need.is_met(&app.settings) {
            continue;
        }
        let path = if route.path == TELEMETRY {
            app.settings.telemetry_path.as_str()
        } else {
            route.path
        };
        let handler = (route.handler)();
        let handler = if route.path == "/api/v1/events" {
            handler
        } else {
            handler.layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                ANSWER_TIME_MAX,
            ))
        };
        let door = Door::new(&app, route.audience, exposure);
        router = router.route(path, handler.layer(middleware::from_fn_with_state(door, enter)));
    }
    let door = Door::new(&app, Audience::Scrapers, exposure);
    // Whoever has no password learns nothing, not even what there isn't.
    let nothing = any(nothing).layer(middleware::from_fn_with_state(door, enter));
    router
        .fallback_service(nothing.with_state(app.clone()))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(RequestBodyLimitLayer::new(BODY_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), account))
        .with_state(app)
}

/// Says where there is something.
async fn nothing(State(app): State<App>, uri: Uri) -> (StatusCode, String) {
    let path = uri.path();
    let mut meant = ROUTES.iter().filter(|route| route.is_at(path));
    let text = match meant.find_map(|route| route.need.complaint()) {
        Some(complaint) => complaint.to_owned(),
        None => format!(
            "there is nothing here; the page is /, the metrics are {}, and /api/openapi.json describes all there is\n",
            app.settings.telemetry_path
        ),
    };
    (StatusCode::NOT_FOUND, text)
}

/// What stands before one route.
#[derive(Clone)]
struct Door {
    audience: Audience,
    exposure: Exposure,
    allow_unauthenticated: bool,
    security: Security,
    names: Names,
}

impl Door {
    fn new(app: &App, audience: Audience, exposure: Exposure) -> Self {
        Self {
            audience,
            exposure,
            allow_unauthenticated: app.settings.allow_unauthenticated,
            security: app.security.clone(),
            names: app.names.clone(),
        }
    }

    async fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.audience == Audience::Probes {
            return Ok(());
        }
        let rules = self.security.rules();
        if !rules.admits(headers).await {
            return Err(Refusal::Password);
        }
        match self.audience {
            Audience::Probes | Audience::Scrapers => Ok(()),
            Audience::Readers => self.check_reader(headers, rules.authenticates()),
            // Nobody's browser is to give us work because of a page of another site, though that page couldn't read the answer.
            Audience::Askers => {
                self.check_reader(headers, rules.authenticates())?;
                if !rules.authenticates() {
                    self.names.check_host(headers)?;
                }
                self.names.check_origin(headers)
            }
            Audience::Operators => {
                self.check_reader(headers, rules.authenticates())?;
                self.names.check_host(headers)?;
                self.names.check_origin(headers)
            }
        }
    }

    fn check_reader(&self, headers: &HeaderMap, authenticated: bool) -> Result<(), Refusal> {
        match (authenticated, self.exposure) {
            // A browser that was led here under another name has no password for that name.
            (true, _) => Ok(()),
            (false, Exposure::Loopback) => self.names.check_host(headers),
            (false, Exposure::Network) if self.allow_unauthenticated => Ok(()),
            (false, Exposure::Network) => Err(Refusal::Unauthenticated),
        }
    }
}

async fn enter(State(door): State<Door>, request: Request, next: Next) -> Response {
    match door.check(request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Counts the answer under its route and says what browsers may do with it.
async fn account(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    let route = route.map_or("other", |path| known(&path));
    app.published.exports().answered(route, response.status().as_u16());
    let headers = response.headers_mut();
    for (name, value) in &app.security.rules().headers {
        headers.insert(name, value.clone());
    }
    for (name, value) in HEADERS {
        headers
            .entry(HeaderName::from_static(name))
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

fn known(path: &str) -> &'static str {
    ROUTES
        .iter()
        .find(|route| route.path == path)
        .map_or(TELEMETRY, |route| route.path)
}

const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

async fn html(State(app): State<App>) -> Response {
    page::html(app.settings.telemetry_path.as_str())
}

async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let format = Format::accepted(accepted);
    let content_type = [(header::CONTENT_TYPE, format.content_type())];
    (content_type, app.pages.page(format)).into_response()
}
