//! The HTTP server: three things to GET, nothing to change.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use pki::Time;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::health;
use crate::metrics;
use crate::settings::MetricsSettings;
use crate::sources::Sources;

/// Connections at a time; more wait.
const MAX_CONNECTIONS: usize = 64;
/// For a request's header to arrive.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);
/// For a connection, however many requests it has.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(600);
/// An address that is taken is tried again after this: at a reload by the one before.
const BIND_AGAIN: Duration = Duration::from_millis(500);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers at each of the addresses, for as long as it is polled.
pub async fn serve(settings: MetricsSettings, sources: Sources) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut listeners: JoinSet<()> =
        settings.bind.into_iter().map(|address| listen(address, sources.clone(), Arc::clone(&places))).collect();
    while listeners.join_next().await.is_some() {}
}

async fn listen(address: SocketAddr, sources: Sources, places: Arc<Semaphore>) {
    let listener = bind(address).await;
    // Dropped with this future, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    let sources = sources.clone();
                    connections.spawn(async move {
                        answer(stream, client, sources).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection for metrics could not be accepted");
                    sleep(BIND_AGAIN).await;
                }
            }
        }
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or(address);
                tracing::info!(%address, "metrics can be asked for");
                return listener;
            }
            Err(error) if told || error.kind() == std::io::ErrorKind::AddrInUse => {
                tracing::debug!(%address, %error, "metrics: the address cannot be had yet");
            }
            Err(error) => tracing::error!(%address, %error, "metrics: the address cannot be had; trying again"),
        }
        told = true;
        sleep(BIND_AGAIN).await;
    }
}

async fn answer(stream: TcpStream, client: SocketAddr, sources: Sources) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&request, &sources);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(CONNECTION_PATIENCE, connection).await {
        tracing::debug!(%client, %error, "metrics");
    }
}

fn respond(request: &Request<Incoming>, sources: &Sources) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET\n".to_owned());
    }
    match request.uri().path() {
        "/metrics" => match metrics::text(sources) {
            Ok(text) => response(StatusCode::OK, OPEN_METRICS, text),
            Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, "the metrics cannot be written\n".to_owned()),
        },
        "/live" => response(StatusCode::OK, PLAIN, "live\n".to_owned()),
        "/ready" => {
            let troubles = health::troubles(sources, Time::now());
            match troubles.is_empty() {
                true => response(StatusCode::OK, PLAIN, "ready\n".to_owned()),
                false => response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, troubles.join("\n") + "\n"),
            }
        }
        _ => response(StatusCode::NOT_FOUND, PLAIN, "there are /metrics, /live and /ready\n".to_owned()),
    }
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
